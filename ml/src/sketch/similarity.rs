//! Which words come together: a sketch for each word on the parameter server, and the most similar words of any.

mod merge;
mod server;
mod worker;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use waterwheel_engine::hash::key_owner;
use waterwheel_engine::{DataStream, Error, Record, Result};
use waterwheel_ps::{Placement, PsConfig, transform, transform_with_model_load};

use super::{Bloom, MinHash, Sketch, TimeAware, TugOfWar};
use server::{ServerOut, SimilarityServer};
use worker::SimilarityWorker;

/// What a sketch of the texts of a word must be able to do.
pub trait WordSketch: Record {
    /// Adds a text at its time.
    fn add_text(&mut self, time: i64, text: &[u8]);

    /// About how many texts both words have, given how many each has: one number, or one for each slot of time that both
    /// have. `means` is for tug-of-war sketches.
    ///
    /// # Errors
    /// The sketches are not alike, or `means` does not fit.
    fn common(&self, other: &Self, texts: (u64, u64), means: usize) -> Result<Vec<(Option<i64>, f64)>>;
}

impl WordSketch for Bloom {
    fn add_text(&mut self, _time: i64, text: &[u8]) {
        self.add(text);
    }

    fn common(&self, other: &Self, _texts: (u64, u64), _means: usize) -> Result<Vec<(Option<i64>, f64)>> {
        Ok(vec![(None, self.estimate_intersection(other)?)])
    }
}

impl WordSketch for MinHash {
    fn add_text(&mut self, _time: i64, text: &[u8]) {
        self.add(text);
    }

    fn common(
        &self,
        other: &Self,
        (own, others): (u64, u64),
        _means: usize,
    ) -> Result<Vec<(Option<i64>, f64)>> {
        Ok(vec![(None, self.intersection(other, own, others)? as f64)])
    }
}

impl WordSketch for TugOfWar {
    fn add_text(&mut self, _time: i64, text: &[u8]) {
        self.add(text);
    }

    fn common(&self, other: &Self, _texts: (u64, u64), means: usize) -> Result<Vec<(Option<i64>, f64)>> {
        Ok(vec![(None, self.inner_product(other, means)?)])
    }
}

/// Slot by slot, for sketches that need not know how many texts there are.
macro_rules! by_slot {
    ($($sketch:ty)*) => { $(
        impl WordSketch for TimeAware<$sketch> {
            fn add_text(&mut self, time: i64, text: &[u8]) {
                self.add_at(time, text);
            }

            fn common(&self, other: &Self, texts: (u64, u64), means: usize) -> Result<Vec<(Option<i64>, f64)>> {
                let slots = self.common_slots(other);
                let scores = slots.map(|(slot, ours, theirs)| {
                    let common = ours.common(theirs, texts, means)?;
                    Ok(common.into_iter().map(move |(_, score)| (Some(slot), score)))
                });
                Ok(scores.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
            }
        }
    )* };
}
by_slot!(Bloom TugOfWar);

/// A text in a stream, or a question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum TextEvent {
    /// A text with these words.
    Text {
        /// What tells it from others.
        id: u64,
        /// When it was written, in the unit of the sketch's slots.
        time: i64,
        /// Its words; one that is there twice counts once.
        words: Vec<String>,
    },
    /// Which words have most texts in common with this one?
    Query {
        /// What the answer is known by.
        id: u64,
        /// The word.
        word: String,
    },
}

impl TextEvent {
    /// A text of the words of `text` that are to be looked at, in lower case, if there are any. Words are what white space
    /// separates.
    ///
    /// # Examples
    /// ```
    /// use std::collections::BTreeSet;
    /// use waterwheel_ml::sketch::TextEvent;
    ///
    /// let watched: BTreeSet<String> = ["rain", "storm"].map(String::from).into();
    /// let event = TextEvent::of_text(7, 0, "Storm and RAIN and storm", &watched);
    /// let words = ["rain", "storm"].map(String::from).to_vec();
    /// assert_eq!(event, Some(TextEvent::Text { id: 7, time: 0, words }));
    /// assert_eq!(TextEvent::of_text(8, 0, "sun", &watched), None);
    /// ```
    pub fn of_text(id: u64, time: i64, text: &str, watched: &BTreeSet<String>) -> Option<Self> {
        let words = text.split_whitespace().map(str::to_lowercase).filter(|word| watched.contains(word));
        let words: Vec<String> = words.collect::<BTreeSet<_>>().into_iter().collect();
        (!words.is_empty()).then_some(TextEvent::Text { id, time, words })
    }
}

/// A word with about how many texts it has in common with another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SimilarWord {
    /// The word.
    pub word: String,
    /// About how many texts both have.
    pub score: f64,
}

/// The answer to a query.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SimilarWords {
    /// The id of the query.
    pub id: u64,
    /// The word that was asked for.
    pub word: String,
    /// The best words, best first and of equal ones in alphabetic order: for each slot of time, in order, or for all time.
    /// Nothing if the word is not known.
    pub best: Vec<(Option<i64>, Vec<SimilarWord>)>,
}

/// The sketch of a word, and how many texts it has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SketchedWord<S> {
    /// Texts that were added.
    pub texts: u64,
    /// Their sketch.
    pub sketch: S,
}

/// Learns from a stream of texts which words come together, and answers queries in the same stream.
///
/// Each word has a sketch of the texts that it is in, on the server of the word. A query pulls the sketch of its word and
/// sends it to all servers; each compares it with those that it has, and their best `top` words are put together. A query
/// sees the texts that came before it on the same worker, and those of other workers as they come.
///
/// | sketch | score |
/// |---|---|
/// | [`Bloom`] | size of the intersection by the numbers of bits |
/// | [`MinHash`] | the same by the similarity of both, and how many texts each has |
/// | [`TugOfWar`] | inner product, as the median of `means` means |
/// | [`TimeAware`] of Bloom or tug-of-war | the same, for each slot of time that both words have |
///
/// Sketches are commutative monoids, so what servers have at the end does not depend on the order of the texts, nor on how
/// many workers there are.
///
/// # References
/// The jobs on tweets of Flink Parameter Server.
///
/// # Examples
/// ```
/// use waterwheel_engine::{RuntimeConfig, execute};
/// use waterwheel_ml::sketch::{MinHash, TextEvent, WordSimilarity};
///
/// let found = execute(RuntimeConfig::threads(1), |env| {
///     let text = |id: u64| {
///         let words = if id % 2 == 0 { ["rain", "storm"] } else { ["sun", "beach"] };
///         TextEvent::Text { id, time: 0, words: words.map(String::from).to_vec() }
///     };
///     let query = TextEvent::Query { id: 1, word: "rain".into() };
///     let events = env.from_iter((0..100).map(text).chain([query]));
///     let job = WordSimilarity::new(MinHash::new(64, 1)?, 1)?;
///     Ok(job.run(events)?.answers.collect())
/// })?;
/// let (_all_time, best) = &found[0][0].best[0];
/// assert_eq!((best[0].word.as_str(), best[0].score), ("storm", 50.0));
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct WordSimilarity<S> {
    empty: S,
    top: usize,
    means: usize,
}

/// The results of [`WordSimilarity`], as streams.
#[derive(Debug)]
pub struct WordSimilarityFit<'s, S> {
    /// The answer to each query.
    pub answers: DataStream<'s, SimilarWords>,
    /// The sketch of every word, when the stream has ended.
    pub model: DataStream<'s, (String, SketchedWord<S>)>,
}

impl<S: WordSketch> WordSimilarity<S> {
    /// With sketches that begin as `empty`, and answers of up to `top` words, 1 or more.
    ///
    /// # Errors
    /// `top` is 0.
    pub fn new(empty: S, top: usize) -> Result<Self> {
        if top == 0 {
            return Err(Error::config("word similarity: top: found 0, expected 1 or more"));
        }
        Ok(WordSimilarity { empty, top, means: 1 })
    }

    /// Sets of how many means tug-of-war sketches take the median, 1 by default: a divisor of their counters.
    #[must_use]
    pub fn means(mut self, means: usize) -> Self {
        self.means = means;
        self
    }

    /// Learns the texts and answers the queries of a stream.
    ///
    /// # Errors
    /// The parameter server can not be laid out.
    #[track_caller]
    pub fn run<'s>(&self, events: DataStream<'s, TextEvent>) -> Result<WordSimilarityFit<'s, S>> {
        let (server, worker) = (SimilarityServer::new(self), SimilarityWorker::new());
        let servers = events.workers();
        let trained = transform(events, worker, server, &config())?;
        Ok(self.divide(trained.output, trained.model, servers))
    }

    /// The same, beginning with the sketches of a model.
    ///
    /// # Errors
    /// The parameter server can not be laid out.
    #[track_caller]
    pub fn run_from<'s>(
        &self,
        model: DataStream<'s, (String, SketchedWord<S>)>,
        events: DataStream<'s, TextEvent>,
    ) -> Result<WordSimilarityFit<'s, S>> {
        let (server, worker) = (SimilarityServer::new(self), SimilarityWorker::new());
        let servers = events.workers();
        let model = model.map(|(word, sketched)| (SimilarityKey::Word(word), vec![Some(Box::new(sketched))]));
        let trained = transform_with_model_load(model, events, worker, server, &config())?;
        Ok(self.divide(trained.output, trained.model, servers))
    }

    fn divide<'s>(
        &self,
        unknown: DataStream<'s, SimilarWords>,
        served: DataStream<'s, ServerOut<S>>,
        servers: usize,
    ) -> WordSimilarityFit<'s, S> {
        let parts = served.clone().flat_map(|out| match out {
            ServerOut::Part(part) => Some(part),
            ServerOut::Word(..) => None,
        });
        let model = served.flat_map(|out| match out {
            ServerOut::Word(word, sketched) => Some((word, *sketched)),
            ServerOut::Part(_) => None,
        });
        let answers = merge::merge(parts, servers, self.top).union(unknown);
        WordSimilarityFit { answers, model }
    }
}

/// A parameter: the sketch of a word, or the place where a server is asked to compare.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum SimilarityKey {
    Word(String),
    Server(u32),
}

fn config() -> PsConfig<SimilarityKey> {
    let placement = Placement::custom(|key: &SimilarityKey, servers| match key {
        SimilarityKey::Word(word) => key_owner(word, servers),
        SimilarityKey::Server(server) => *server as usize,
    });
    PsConfig::new().placement(placement)
}
