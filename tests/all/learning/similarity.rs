//! Words that come together, by sketches: the same on every cluster as one sketch after the other by hand.

use std::collections::{BTreeMap, BTreeSet};

use waterwheel::ml::sketch::{
    Bloom, BloomShape, MinHash, SimilarWord, SimilarWords, SketchedWord, TextEvent, TimeAwareBloom, TugOfWar,
    WordSimilarity, WordSketch,
};
use waterwheel::prelude::*;

use crate::cluster::{everywhere, test_path};

/// Words 0 to 19; text `id` has those that divide it, and some others.
fn texts() -> Vec<(u64, i64, Vec<String>)> {
    let text = |id: u64| {
        let words =
            (1..20u64).filter(|word| id.is_multiple_of(*word) || generate::sm(*word, id).is_multiple_of(23));
        let mut words: Vec<String> = words.map(|word| format!("w{word:02}")).collect();
        // Said twice, it counts once.
        words.extend(words.first().cloned());
        (id, id as i64 * 10, words)
    };
    (0..600).map(text).collect()
}

type Model<S> = BTreeMap<String, SketchedWord<S>>;

/// All sketches, one text after the other.
fn by_hand<S: WordSketch>(empty: &S) -> Model<S> {
    let mut model = Model::new();
    for (id, time, words) in texts() {
        for word in words.into_iter().collect::<BTreeSet<_>>() {
            let new = || SketchedWord { texts: 0, sketch: empty.clone() };
            let sketched = model.entry(word).or_insert_with(new);
            sketched.texts += 1;
            sketched.sketch.add_text(time, &id.to_le_bytes());
        }
    }
    model
}

const TOP: usize = 4;
const MEANS: usize = 8;

/// The answer to a query by comparing with every word.
fn answer<S: WordSketch>(model: &Model<S>, id: u64, word: &str) -> SimilarWords {
    let mut best: BTreeMap<Option<i64>, Vec<SimilarWord>> = BTreeMap::new();
    if let Some(asked) = model.get(word) {
        for (other, sketched) in model.iter().filter(|(other, _)| *other != word) {
            let texts = (asked.texts, sketched.texts);
            for (slot, score) in asked.sketch.common(&sketched.sketch, texts, MEANS).unwrap() {
                best.entry(slot).or_default().push(SimilarWord { word: other.clone(), score });
            }
        }
    }
    for words in best.values_mut() {
        words.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.word.cmp(&b.word)));
        words.truncate(TOP);
    }
    SimilarWords { id, word: word.to_string(), best: best.into_iter().collect() }
}

/// Each word is asked for twice at once, and one that nobody has said.
fn queries() -> Vec<(u64, String)> {
    let words = (0..40u64).map(|id| (id, format!("w{:02}", 1 + id % 19)));
    words.chain([(40, "nothing".to_string()), (41, "nothing".to_string())]).collect()
}

/// Learns, then answers from the model that was learned.
fn check<S: WordSketch + PartialEq + std::fmt::Debug + Sync>(path: &str, empty: S) {
    let expected = by_hand(&empty);
    let job = |config: RuntimeConfig| {
        let (empty, loaded) = (empty.clone(), expected.clone());
        let values = execute(config, move |env| {
            let similarity = WordSimilarity::new(empty.clone(), TOP)?.means(MEANS);
            let texts = texts().into_iter().map(|(id, time, words)| TextEvent::Text { id, time, words });
            let learned = similarity.run(env.from_iter(texts).rebalance())?;
            let queries = queries().into_iter().map(|(id, word)| TextEvent::Query { id, word });
            let (model, queries) = (env.from_iter(loaded.clone()), env.from_iter(queries).rebalance());
            let asked = similarity.run_from(model, queries)?;
            Ok((learned.model.collect(), asked.answers.collect()))
        });
        values.unwrap().swap_remove(0)
    };
    everywhere(
        path,
        job,
        |(model, mut answers): (Vec<(String, SketchedWord<S>)>, Vec<SimilarWords>), place| {
            assert_eq!(model.into_iter().collect::<Model<S>>(), expected, "{place}");
            answers.sort_by_key(|answer| answer.id);
            let by_hand: Vec<_> = queries().iter().map(|(id, word)| answer(&expected, *id, word)).collect();
            assert_eq!(answers, by_hand, "{place}");
        },
    );
}

#[test]
fn bloom_filters_of_words_are_those_by_hand_everywhere() {
    let empty = Bloom::new(BloomShape { bits: 4_000, hashes: 3 }, 1).unwrap();
    check(test_path!(bloom_filters_of_words_are_those_by_hand_everywhere), empty);
}

#[test]
fn time_aware_bloom_filters_of_words_are_those_by_hand_everywhere() {
    let empty = Bloom::new(BloomShape { bits: 1_000, hashes: 3 }, 1).unwrap();
    let empty = TimeAwareBloom::new(empty, 0, 1_500).unwrap();
    let slots: Vec<_> = answer(&by_hand(&empty), 0, "w02").best.iter().map(|(slot, _)| *slot).collect();
    assert_eq!(slots, [Some(0), Some(1), Some(2), Some(3)]);
    check(test_path!(time_aware_bloom_filters_of_words_are_those_by_hand_everywhere), empty);
}

#[test]
fn minhash_signatures_of_words_are_those_by_hand_everywhere() {
    check(
        test_path!(minhash_signatures_of_words_are_those_by_hand_everywhere),
        MinHash::new(128, 1).unwrap(),
    );
}

#[test]
fn tug_of_war_sketches_of_words_are_those_by_hand_everywhere() {
    check(
        test_path!(tug_of_war_sketches_of_words_are_those_by_hand_everywhere),
        TugOfWar::new(512, 1).unwrap(),
    );
}

/// How many texts two words have in common, exactly.
fn exact() -> BTreeMap<(String, String), f64> {
    let mut common: BTreeMap<(String, String), BTreeSet<u64>> = BTreeMap::new();
    for (id, _, words) in texts() {
        for a in &words {
            for b in words.iter().filter(|b| *b != a) {
                common.entry((a.clone(), b.clone())).or_default().insert(id);
            }
        }
    }
    common.into_iter().map(|(pair, texts)| (pair, texts.len() as f64)).collect()
}

/// The word that has most texts in common with another is found, or one with nearly as many.
#[test]
fn similar_words_are_nearly_those_of_exact_counts() {
    fn check<S: WordSketch>(name: &str, empty: S, tolerance: f64) {
        let (model, exact) = (by_hand(&empty), exact());
        for word in model.keys() {
            let of = |other: &str| exact.get(&(word.clone(), other.to_string())).copied().unwrap_or(0.0);
            let most = model.keys().map(|other| of(other)).fold(0.0, f64::max);
            let best = &answer(&model, 0, word).best[0].1[0];
            assert!(
                of(&best.word) >= most - tolerance,
                "{name} {word}: {best:?}, exactly {}, most {most}",
                of(&best.word)
            );
        }
    }
    check("bloom", Bloom::new(BloomShape { bits: 20_000, hashes: 3 }, 1).unwrap(), 8.0);
    check("minhash", MinHash::new(1_024, 1).unwrap(), 25.0);
    check("tug-of-war", TugOfWar::new(8_192, 1).unwrap(), 25.0);
}

/// A query in the stream of the texts sees those that came before it.
#[test]
fn query_between_texts_sees_what_came_before() {
    let values = execute(RuntimeConfig::threads(1), |env| {
        let text = |id, words: &[&str]| TextEvent::Text {
            id,
            time: 0,
            words: words.iter().map(|word| word.to_string()).collect(),
        };
        let query = |id| TextEvent::Query { id, word: "tea".into() };
        let events = vec![
            query(1),
            text(1, &["tea", "cake"]),
            query(2),
            text(2, &["tea", "milk"]),
            text(3, &["tea", "milk"]),
            query(3),
            query(4),
        ];
        Ok(WordSimilarity::new(MinHash::new(64, 1)?, 1)?.run(env.from_iter(events))?.answers.collect())
    });
    let mut answers: Vec<SimilarWords> = values.unwrap().concat();
    answers.sort_by_key(|answer| answer.id);
    let best: Vec<_> =
        answers.iter().map(|answer| answer.best.first().map(|(_, words)| words[0].word.as_str())).collect();
    assert_eq!(best, [None, Some("cake"), Some("milk"), Some("milk")]);
}

#[test]
fn settings_that_do_not_fit_are_named() {
    assert!(
        WordSimilarity::new(MinHash::new(8, 1).unwrap(), 0).unwrap_err().message().contains("top: found 0")
    );
    let values = execute(RuntimeConfig::threads(2), |env| {
        let events = [
            TextEvent::Text { id: 1, time: 0, words: vec!["a".into(), "b".into()] },
            TextEvent::Query { id: 1, word: "a".into() },
        ];
        let similarity = WordSimilarity::new(TugOfWar::new(10, 1)?, 1)?.means(4);
        Ok(similarity.run(env.from_iter(events))?.answers.collect())
    });
    let error = values.unwrap_err();
    assert!(error.message().contains("means: found 4, expected a divisor of the 10 counters"), "{error}");
}
