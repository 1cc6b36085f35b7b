//! Word vectors: words that come together are near each other.

use waterwheel::ml::word2vec::{Sentence, Word2VecModel, Word2VecParams};
use waterwheel::prelude::*;

use crate::cluster::{everywhere, test_path};

/// Sentences of twelve words of one of four groups: group *g* is words 10 g to 10 g + 9.
fn sentences() -> Vec<Sentence> {
    let word = |id: u64, at: u64| (10 * (id % 4) + generate::sm(id, at) % 10) as u32;
    (0..1_200).map(|id| Sentence { id, words: (0..12).map(|at| word(id, at)).collect() }).collect()
}

fn params() -> Word2VecParams {
    Word2VecParams::new().dim(12).window(3).subsample(0.0).learning_rate(0.1).batch(60).epochs(4)
}

fn fit(
    config: RuntimeConfig,
    params: &Word2VecParams,
    start: Option<Word2VecModel>,
) -> Option<Word2VecModel> {
    let word2vec = params.clone().build(vec![360; 40]).unwrap();
    let word2vec = match start {
        Some(model) => word2vec.resume(model).unwrap(),
        None => word2vec,
    };
    let trained =
        execute(config, move |env| Ok(word2vec.fit(env.from_iter(sentences()).rebalance())?.collect()));
    trained.unwrap().into_iter().flatten().next()
}

/// How many of the five nearest words of each are of its group.
fn share_of_group(model: &Word2VecModel) -> f64 {
    let near = (0..40u32).flat_map(|word| {
        let near = model.neighbours(word, 5).unwrap().into_iter();
        near.map(move |neighbour| u32::from(neighbour.word / 10 == word / 10))
    });
    f64::from(near.sum::<u32>()) / 200.0
}

#[test]
fn words_that_come_together_are_near_each_other_everywhere() {
    let path = test_path!(words_that_come_together_are_near_each_other_everywhere);
    everywhere(
        path,
        |config| fit(config, &params(), None),
        |model, place| {
            let model = model.unwrap();
            assert_eq!((model.words(), model.dim()), (40, 12));
            let share = share_of_group(&model);
            println!("{place}: {share:.3} of the neighbours are of the group");
            assert!(share > 0.95, "{place}: {share}");
        },
    );
}

#[test]
fn one_worker_trains_the_same_bits_again_and_goes_on_from_a_saved_model() {
    let short = params().epochs(1);
    let first = fit(RuntimeConfig::threads(1), &short, None).unwrap();
    assert_eq!(fit(RuntimeConfig::threads(1), &short, None), Some(first.clone()));
    assert_ne!(fit(RuntimeConfig::threads(1), &short.clone().seed(2), None), Some(first.clone()));
    let dir = tempfile::tempdir().unwrap();
    first.save(dir.path()).unwrap();
    let loaded = Word2VecModel::load(dir.path()).unwrap();
    assert_eq!(loaded, first);
    // On other servers, and with nothing to learn, the model is what it was.
    let still =
        fit(RuntimeConfig::threads(2), &short.clone().learning_rate(1e-30), Some(loaded.clone())).unwrap();
    assert_eq!(still, first);
    let further = fit(RuntimeConfig::threads(2), &params(), Some(loaded)).unwrap();
    assert!(share_of_group(&further) > 0.95);
}

#[test]
fn words_and_models_that_do_not_fit_are_named() {
    let word2vec = params().build(vec![1; 3]).unwrap();
    let done = execute(RuntimeConfig::threads(2), move |env| {
        Ok(word2vec.fit(env.from_iter([Sentence { id: 9, words: vec![0, 3] }]))?.collect())
    });
    assert_eq!(done.unwrap_err().message(), "sentence 9: found word 3, expected 0 to 2");
    let other = Word2VecModel::from_parts(2, vec![0.0; 6], vec![0.0; 6]).unwrap();
    let error = params().build(vec![1; 3]).unwrap().resume(other).unwrap_err();
    assert!(error.message().contains("3 words with 2 coordinates, expected 3 with 12"), "{error}");
    let message = |params: Word2VecParams| params.build(vec![1]).unwrap_err().message().to_string();
    assert_eq!(message(Word2VecParams::new().window(0)), "word2vec: window: found 0, expected 1 or more");
    assert_eq!(message(Word2VecParams::new().dim(0)), "word2vec: dim: found 0, expected 1 to 65536");
    assert!(Word2VecParams::new().build(vec![0, 0]).is_err());
    let nothing = params().build(vec![1; 3]).unwrap();
    let done = execute(RuntimeConfig::threads(2), move |env| Ok(nothing.fit(env.from_iter([]))?.collect()));
    assert_eq!(done.unwrap().into_iter().flatten().next().unwrap().words(), 3);
}
