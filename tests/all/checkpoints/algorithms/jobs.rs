//! The jobs that are killed: their data, and what their results must be.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use waterwheel::engine::machine;
use waterwheel::ml::generate::sm;
use waterwheel::ml::lda::{Document, LdaParams};
use waterwheel::ml::mf::{
    Interaction, MfParams, Rating, Recommendation, RecommenderParams, recommend_popular,
};
use waterwheel::ml::ranking::{QualityState, quality_by_window};
use waterwheel::ml::sketch::{Bloom, BloomShape, TextEvent, WordSimilarity};
use waterwheel::ml::sparse::{
    FmParams, MulticlassPassiveAggressive, MulticlassUpdate, PaUpdate, PassiveAggressive, SparseExample,
    SparseFit, SparseLogisticRegression, SparseTraining, SparseVector,
};
use waterwheel::ml::word2vec::{Sentence, Word2VecParams};
use waterwheel::prelude::*;
use waterwheel::ps::optimizer::{AdaGrad, FtrlProximal, Sgd};

/// An algorithm by its name.
pub(super) struct Algorithm {
    pub(super) name: &'static str,
    /// What the first process has in the end, in lines.
    pub(super) run: fn(RuntimeConfig) -> Result<Vec<String>>,
    /// Whether it is killed behind the end of its input, between two clocks.
    pub(super) trains_behind_its_input: bool,
    /// Up to how many workers two runs have the same result.
    pub(super) repeatable_up_to: usize,
    /// What any result must be.
    pub(super) check: fn(&[String], &str),
}

pub(super) fn algorithm(name: &str) -> Algorithm {
    let sparse = |name, run, repeatable_up_to| Algorithm {
        name,
        run,
        trains_behind_its_input: false,
        repeatable_up_to,
        check: check_predictions,
    };
    let of = |name, run, trains_behind_its_input, repeatable_up_to, check| Algorithm {
        name,
        run,
        trains_behind_its_input,
        repeatable_up_to,
        check,
    };
    match name {
        "pa" => sparse("pa", pa, 1),
        "pa-multiclass" => sparse("pa-multiclass", pa_multiclass, 1),
        "logistic-sgd" => sparse("logistic-sgd", sgd, 1),
        "logistic-adagrad" => sparse("logistic-adagrad", adagrad, 1),
        "logistic-ftrl" => sparse("logistic-ftrl", ftrl, 1),
        "fm" => sparse("fm", fm, 1),
        "mf" => of("mf", mf, true, 4, check_rows),
        "mf-online" => of("mf-online", mf_online, false, 0, check_ratings),
        "recommender" => of("recommender", recommender, false, 4, check_recommendations),
        "sketches" => of("sketches", sketches, false, 4, check_words),
        "lda" => of("lda", |config| lda(config, Consistency::Asynchronous), true, 1, check_topics),
        "lda-bsp" => {
            of("lda-bsp", |config| lda(config, Consistency::BULK_SYNCHRONOUS), false, 4, check_topics)
        }
        "word2vec" => of("word2vec", word2vec, true, 1, check_vectors),
        _ => panic!("no algorithm {name}"),
    }
}

/// Numbers in order, with a pause now and then: so a job is under way for a while.
struct Paced {
    next: u64,
    end: u64,
    /// When the next ones are due; it may be asked before.
    due: Instant,
}

/// For how long it gives numbers at least, and in how many pieces.
const LASTS: Duration = Duration::from_millis(1_200);
const PIECES: u64 = 100;

impl Source for Paced {
    type Item = u64;

    fn read(&mut self, limit: usize, out: &mut Vec<u64>) -> Result<SourceStatus> {
        let early = self.due.saturating_duration_since(machine::now());
        if !early.is_zero() {
            return Ok(SourceStatus::Idle(early));
        }
        self.due = machine::now() + LASTS / PIECES as u32;
        let end = self.end.min(self.next + (self.end / PIECES).clamp(1, limit as u64));
        out.extend(self.next..end);
        self.next = end;
        Ok(if end == self.end { SourceStatus::Done } else { SourceStatus::Idle(LASTS / PIECES as u32) })
    }

    fn position(&self) -> Result<Option<SourcePosition>> {
        SourcePosition::new(&self.next).map(Some)
    }

    fn seek(&mut self, position: &SourcePosition) -> Result<()> {
        self.next = position.get()?;
        Ok(())
    }
}

fn paced<'s>(env: &Env<'s>, end: u64) -> DataStream<'s, u64> {
    env.source("numbers", 1, move |_split| Ok(Paced { next: 0, end, due: machine::now() }))
}

/// The lines of all workers of this process, sorted.
fn sorted(lines: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut lines = Vec::from_iter(lines);
    lines.sort_unstable();
    lines
}

const EXAMPLES: u64 = 4_000;
const FEATURES: u64 = 40;

/// An example of 6 of 40 features, each of which speaks for one of `classes`; the label is what most of them say.
fn example(id: u64, classes: u64) -> Result<(SparseVector, u64)> {
    let features: Vec<u64> = (0..6).map(|i| sm(id, i) % FEATURES).collect();
    let votes = |class| features.iter().filter(|feature| **feature % classes == class).count();
    let label = (0..classes).max_by_key(|class| (votes(*class), *class)).unwrap_or_default();
    Ok((SparseVector::from_pairs(features.into_iter().map(|feature| (feature as u32, 1.0)))?, label))
}

/// Learns, one example after the other with one worker: predictions, and weights.
fn learn<L: Record + std::fmt::Debug>(
    config: RuntimeConfig,
    of: fn(u64) -> Result<SparseExample<L>>,
    learner: impl for<'s> Fn(DataStream<'s, SparseExample<L>>, &SparseTraining) -> Result<SparseFit<'s, L, Epoch>>
    + Send
    + Sync
    + 'static,
) -> Result<Vec<String>> {
    let values = execute(config, move |env| {
        let credit = if env.workers() == 1 { 1 } else { 128 };
        let examples =
            paced(env, EXAMPLES).uid("numbers").try_map(of).key_by(|example| example.id).into_stream();
        let fit = learner(examples, &SparseTraining::new().credit(credit))?;
        let predictions =
            fit.predictions.map(|found| format!("{} {:?} {:?}", found.id, found.label, found.predicted));
        let weights = fit.weights.map(|(feature, row)| format!("feature {feature} {row:?}"));
        Ok(predictions.union(weights).collect())
    })?;
    Ok(sorted(values.concat()))
}

fn of_two(id: u64) -> Result<SparseExample<bool>> {
    let (features, label) = example(id, 2)?;
    Ok(SparseExample { id, features, label: Some(label == 1) })
}

fn of_numbers(id: u64) -> Result<SparseExample<f64>> {
    let (features, label) = example(id, 2)?;
    Ok(SparseExample { id, features, label: Some(label as f64) })
}

fn of_three(id: u64) -> Result<SparseExample<u32>> {
    let (features, label) = example(id, 3)?;
    Ok(SparseExample { id, features, label: Some(label as u32) })
}

fn pa(config: RuntimeConfig) -> Result<Vec<String>> {
    learn(config, of_two, |rows, training| {
        PassiveAggressive::new(PaUpdate::Pa1 { c: 0.02 })?.fit(rows, training)
    })
}

fn pa_multiclass(config: RuntimeConfig) -> Result<Vec<String>> {
    learn(config, of_three, |rows, training| {
        let update = MulticlassUpdate::OneVsAll(PaUpdate::Pa1 { c: 0.02 });
        MulticlassPassiveAggressive::new(3, update)?.fit(rows, training)
    })
}

fn sgd(config: RuntimeConfig) -> Result<Vec<String>> {
    learn(config, of_two, |rows, training| SparseLogisticRegression.fit(Sgd::new(0.1)?, rows, training))
}

fn adagrad(config: RuntimeConfig) -> Result<Vec<String>> {
    learn(config, of_two, |rows, training| SparseLogisticRegression.fit(AdaGrad::new(0.1)?, rows, training))
}

fn ftrl(config: RuntimeConfig) -> Result<Vec<String>> {
    learn(config, of_two, |rows, training| {
        SparseLogisticRegression.fit(FtrlProximal::new(0.1)?.regularization(0.1, 0.0)?, rows, training)
    })
}

fn fm(config: RuntimeConfig) -> Result<Vec<String>> {
    learn(config, of_numbers, |rows, training| {
        FmParams::new().factors(2).build()?.fit(AdaGrad::new(0.1)?, rows, training)
    })
}

/// Each example is predicted once, and four in five of the last quarter are predicted right; every feature has a weight.
fn check_predictions(lines: &[String], place: &str) {
    let (weights, predictions): (Vec<&String>, Vec<&String>) =
        lines.iter().partition(|line| line.starts_with("feature"));
    assert!(weights.len() as u64 >= FEATURES, "{place}: {} weights", weights.len());
    let mut right = BTreeMap::new();
    for line in &predictions {
        let (id, found) = line.split_once(' ').unwrap();
        let (label, predicted) = found.strip_prefix("Some(").unwrap().split_once(") ").unwrap();
        right.insert(id.parse::<u64>().unwrap(), label == predicted);
    }
    assert_eq!((predictions.len() as u64, right.len() as u64), (EXAMPLES, EXAMPLES), "{place}");
    let last = EXAMPLES * 3 / 4;
    let share = right.range(last..).filter(|(_, right)| **right).count() as f64 / (EXAMPLES - last) as f64;
    println!("{place}: {share:.3} of the last quarter are right");
    assert!(share > 0.8, "{place}: {share}");
}

const RATINGS: u64 = 3_000;
const USERS: u64 = 60;
const ITEMS: u64 = 40;

fn rating(position: u64) -> Rating {
    let (user, item) = (sm(1, position) % USERS, sm(2, position) % ITEMS);
    Rating { user, item, rating: (1 + (user % 3 + item % 3)) as f32, position }
}

fn mf(config: RuntimeConfig) -> Result<Vec<String>> {
    let values = execute(config, |env| {
        let mf = MfParams::new().rank(4).epochs(300).blocks(4).biases(true).build()?;
        Ok(mf.fit(paced(env, RATINGS).uid("numbers").map(rating))?.collect())
    })?;
    let rows = values.into_iter().flatten().flat_map(|(model, _reports)| {
        let (_rank, _mean, users, items) = model.into_parts();
        let rows = |side: &str, factors: &waterwheel::ml::mf::Factors| {
            factors.ids().iter().map(|id| format!("{side} {id} {:?}", factors.row(*id))).collect::<Vec<_>>()
        };
        [rows("user", &users), rows("item", &items)].concat()
    });
    Ok(sorted(rows))
}

fn check_rows(lines: &[String], place: &str) {
    assert_eq!(lines.len() as u64, USERS + ITEMS, "{place}");
}

fn mf_online(config: RuntimeConfig) -> Result<Vec<String>> {
    let values = execute(config, |env| {
        let mf = MfParams::new().rank(4).biases(true).learning_rate(0.05).build()?;
        let fit = mf.fit_online(paced(env, RATINGS).uid("numbers").map(rating), 3.0)?;
        let line = |found: waterwheel::ml::mf::Prequential| {
            format!("{} {}", found.rating.position, found.rating.rating - found.predicted)
        };
        Ok(fit.predictions.map(line).collect())
    })?;
    Ok(sorted(values.concat()))
}

/// Each rating is predicted once, and those of the last quarter with less than half of the spread of all, 1.15.
fn check_ratings(lines: &[String], place: &str) {
    let errors = lines.iter().map(|line| line.split_once(' ').unwrap());
    let errors: BTreeMap<u64, f64> =
        errors.map(|(n, error)| (n.parse().unwrap(), error.parse().unwrap())).collect();
    assert_eq!((lines.len() as u64, errors.len() as u64), (RATINGS, RATINGS), "{place}");
    let last = RATINGS * 3 / 4;
    let squares: f64 = errors.range(last..).map(|(_, error)| error * error).sum();
    let rmse = (squares / (RATINGS - last) as f64).sqrt();
    println!("{place}: rmse {rmse:.3}");
    assert!(rmse < 0.57, "{place}: {rmse}");
}

const INTERACTIONS: u64 = 4_000;

fn interaction(number: u64) -> Interaction {
    let (user, turn) = (number % 40, number / 40);
    Interaction { user, item: 100 * (user % 4) + (user + turn) % 10, time: number as i64 }
}

fn recommender(config: RuntimeConfig) -> Result<Vec<String>> {
    let values = execute(config, |env| {
        let params =
            RecommenderParams::new().top(5).user_memory(5).consistency(Consistency::BULK_SYNCHRONOUS);
        let fit = params.build()?.fit(paced(env, INTERACTIONS).uid("numbers").map(interaction))?;
        let popular = recommend_popular(paced(env, INTERACTIONS).uid("others").map(interaction), 5, 5);
        let line = |kind: &'static str| {
            move |found: Recommendation| format!("{kind} {} {:?}", found.number, found.best)
        };
        let window = |found: &Recommendation| (found.number as i64 / 1_000, found.rank());
        let quality = quality_by_window(fit.recommendations.clone(), window, &QualityState::new());
        let hits = quality.flat_map(|quality| {
            let windows =
                quality.windows().map(|(window, sums)| format!("hits {window} {:?}", sums.hit_rate()));
            windows.collect::<Vec<_>>()
        });
        let rows = fit.users.map(|(user, row)| format!("user {user} {row:?}"));
        let items = fit.items.map(|(item, row)| format!("item {item} {row:?}"));
        let found = fit.recommendations.map(line("found")).union(popular.map(line("popular")));
        Ok(found.union(hits).union(rows).union(items).collect())
    })?;
    Ok(sorted(values.concat()))
}

/// Both recommend once for each interaction; what is hit comes to be nearly all.
fn check_recommendations(lines: &[String], place: &str) {
    let of = |kind: &str| lines.iter().filter(|line| line.starts_with(kind)).count() as u64;
    assert_eq!((of("found"), of("popular")), (INTERACTIONS, INTERACTIONS), "{place}");
    assert_eq!((of("user"), of("item"), of("hits")), (40, 40, 4), "{place}");
    let last = lines.iter().find_map(|line| line.strip_prefix("hits 3 Some(")).unwrap();
    let hits: f64 = last.trim_end_matches(')').parse().unwrap();
    println!("{place}: hit rate {hits:.3}");
    assert!(hits > 0.8, "{place}: {hits}");
}

const TEXTS: u64 = 3_000;

fn words_of(id: u64) -> Vec<String> {
    (1..20u64).filter(|word| id.is_multiple_of(*word)).map(|word| format!("w{word:02}")).collect()
}

/// Sketches of words, and a query now and then, whose answers depend on when it comes: that it is answered does not.
fn sketches(config: RuntimeConfig) -> Result<Vec<String>> {
    let values = execute(config, |env| {
        let similarity = WordSimilarity::new(Bloom::new(BloomShape { bits: 512, hashes: 3 }, 7)?, 4)?;
        let events = paced(env, TEXTS).uid("numbers").flat_map(|id| {
            let text = TextEvent::Text { id, time: 0, words: words_of(id) };
            let query = id.is_multiple_of(50).then(|| TextEvent::Query { id, word: "w02".into() });
            std::iter::once(text).chain(query)
        });
        let found = similarity.run(events.rebalance())?;
        let answers = found.answers.map(|answer| format!("answer {}", answer.id));
        let model = found
            .model
            .map(|(word, sketched)| format!("word {word} {} {:?}", sketched.texts, sketched.sketch));
        Ok(answers.union(model).collect())
    })?;
    Ok(sorted(values.concat()))
}

/// Each word has as many texts as it is in, and each query is answered.
fn check_words(lines: &[String], place: &str) {
    let texts: Vec<String> =
        (1..20).map(|word| format!("word w{word:02} {} ", (0..TEXTS).step_by(word).count())).collect();
    assert!(texts.iter().all(|text| lines.iter().any(|line| line.starts_with(text))), "{place}");
    assert_eq!(lines.len() as u64, 19 + TEXTS / 50, "{place}");
}

const DOCUMENTS: u64 = 200;
const LENGTH: u64 = 60;

/// A document about two of four topics; topic *t* is words 10 t to 10 t + 9.
fn document(id: u64) -> Document {
    let word = |at: u64| {
        let draw = sm(id, at);
        let topic = (id + if draw.is_multiple_of(3) { 1 } else { 0 }) % 4;
        (10 * topic + draw / 3 % 10) as u32
    };
    Document { id, words: (0..LENGTH).map(word).collect() }
}

fn lda(config: RuntimeConfig, consistency: Consistency) -> Result<Vec<String>> {
    let values = execute(config, move |env| {
        let params = LdaParams::new(40).topics(4).sweeps(120).alpha(0.5).seed(2).consistency(consistency);
        Ok(params.build()?.fit(paced(env, DOCUMENTS).uid("numbers").map(document))?.collect())
    })?;
    let lines = values.into_iter().flatten().flat_map(|trained| {
        let words =
            (0..40).map(|word| format!("word {word} {:?}", trained.model.row(word).unwrap_or_default()));
        let topics = trained
            .documents
            .iter()
            .map(|document| format!("document {} {:?}", document.id, document.counts));
        words.chain(topics).chain([format!("perplexity {:?}", trained.perplexity)]).collect::<Vec<_>>()
    });
    Ok(sorted(lines))
}

/// The numbers in brackets of all lines that begin with `kind`.
fn numbers<'l>(lines: &'l [String], kind: &'l str) -> impl Iterator<Item = Vec<f64>> + 'l {
    let of = |line: &String| {
        let (_, list) = line.split_once('[').unwrap();
        list.trim_end_matches([']', ')']).split(", ").map(|number| number.parse().unwrap()).collect()
    };
    lines.iter().filter(move |line| line.starts_with(kind)).map(of)
}

/// Servers and documents count every token once, and most tokens are of the topic of their word: 0.3 are by chance, and 0.7 of
/// a chain that has mixed two topics up.
fn check_topics(lines: &[String], place: &str) {
    for kind in ["word", "document"] {
        let tokens: f64 = numbers(lines, kind).flatten().sum();
        assert_eq!(tokens as u64, DOCUMENTS * LENGTH, "{place}: {kind}s");
    }
    let main = |counts: Vec<f64>| counts.iter().copied().fold(0.0, f64::max);
    let share = numbers(lines, "word").map(main).sum::<f64>() / (DOCUMENTS * LENGTH) as f64;
    println!("{place}: {share:.3} of the tokens are of the topic of their word");
    assert!(share > 0.6, "{place}: {share}");
}

fn word2vec(config: RuntimeConfig) -> Result<Vec<String>> {
    let values = execute(config, |env| {
        let params =
            Word2VecParams::new().dim(12).window(3).subsample(0.0).learning_rate(0.05).batch(60).epochs(12);
        let sentence = |id: u64| {
            let words = (0..12).map(|at| (10 * (id % 4) + sm(id, at) % 10) as u32).collect();
            Sentence { id, words }
        };
        Ok(params.build(vec![120; 40])?.fit(paced(env, 400).uid("numbers").map(sentence))?.collect())
    })?;
    let lines = values.into_iter().flatten().flat_map(|model| {
        (0..40)
            .map(|word| format!("word {word:02} {:?}", model.vector(word).unwrap_or_default()))
            .collect::<Vec<_>>()
    });
    Ok(sorted(lines))
}

/// The vector that has the least angle with that of a word is of its group, for nine in ten.
fn check_vectors(lines: &[String], place: &str) {
    let rows: Vec<Vec<f64>> = numbers(lines, "word").collect();
    let dot = |a: usize, b: usize| rows[a].iter().zip(&rows[b]).map(|(a, b)| a * b).sum::<f64>();
    let cosine = |a, b| dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
    let nearest = |word: usize| {
        let others = (0..40).filter(move |other| *other != word);
        others.max_by(|a, b| cosine(word, *a).total_cmp(&cosine(word, *b))).unwrap()
    };
    let near = (0..40).filter(|word| nearest(*word) / 10 == word / 10).count();
    println!("{place}: {near} of 40 words are next to one of their group");
    assert!(rows.len() == 40 && near >= 36, "{place}: {near}");
}
