//! The server: sketches of words, and what is most like one that comes with a query.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use waterwheel_engine::{Collector, Error, Result};
use waterwheel_ps::{LogicReader, LogicWriter, ParameterServer, ServerLogic};

use super::merge::Part;
use super::worker::{Pulled, Query, Told};
use super::{SimilarWord, SimilarityKey, SketchedWord, WordSimilarity, WordSketch};

/// What a server outputs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum ServerOut<S> {
    Part(Part),
    /// A word with its sketch, at the end.
    Word(String, Box<SketchedWord<S>>),
}

pub(super) struct SimilarityServer<S> {
    job: WordSimilarity<S>,
    /// In order of word, so that results do not depend on the order in which they came.
    words: BTreeMap<String, Box<SketchedWord<S>>>,
}

type Client<S> = ParameterServer<SimilarityKey, Pulled<S>, ServerOut<S>>;

/// Best first: the highest score, of equal ones the first word.
pub(super) fn order(a: &SimilarWord, b: &SimilarWord) -> Ordering {
    b.score.total_cmp(&a.score).then_with(|| a.word.cmp(&b.word))
}

impl<S: WordSketch> SimilarityServer<S> {
    pub(super) fn new(job: &WordSimilarity<S>) -> Self {
        SimilarityServer { job: job.clone(), words: BTreeMap::new() }
    }

    fn add(&mut self, word: &str, id: u64, time: i64) {
        if !self.words.contains_key(word) {
            let new = SketchedWord { texts: 0, sketch: self.job.empty.clone() };
            self.words.insert(word.to_string(), Box::new(new));
        }
        if let Some(sketched) = self.words.get_mut(word) {
            sketched.texts += 1;
            sketched.sketch.add_text(time, &id.to_le_bytes());
        }
    }

    /// The best words here.
    fn compare(&self, query: &Query<S>) -> Result<Part> {
        let mut best: BTreeMap<Option<i64>, Vec<SimilarWord>> = BTreeMap::new();
        let asked = &query.sketched;
        for (word, sketched) in self.words.iter().filter(|(word, _)| **word != query.word) {
            let texts = (asked.texts, sketched.texts);
            for (slot, score) in asked.sketch.common(&sketched.sketch, texts, self.job.means)? {
                let words = best.entry(slot).or_default();
                words.push(SimilarWord { word: word.clone(), score });
                // Twice as many as are needed, so that they are sorted seldom.
                if words.len() >= 2 * self.job.top {
                    keep_best(words, self.job.top);
                }
            }
        }
        best.values_mut().for_each(|words| keep_best(words, self.job.top));
        let (number, id, word) = (query.number, query.id, query.word.clone());
        Ok(Part { number, id, word, best: best.into_iter().collect() })
    }
}

/// Leaves the best ones, in order.
pub(super) fn keep_best(words: &mut Vec<SimilarWord>, top: usize) {
    words.sort_by(order);
    words.truncate(top);
}

impl<S: WordSketch> ServerLogic for SimilarityServer<S> {
    type Key = SimilarityKey;
    type Pull = Pulled<S>;
    type Push = Told<S>;
    type Out = ServerOut<S>;

    fn on_pull(
        &mut self,
        key: &SimilarityKey,
        _worker: usize,
        answer: &mut Vec<Pulled<S>>,
        _ps: &mut Client<S>,
    ) -> Result<()> {
        let SimilarityKey::Word(word) = key else {
            return Err(Error::internal("a pull of a server's place for queries"));
        };
        answer.push(self.words.get(word).cloned());
        Ok(())
    }

    fn on_push(&mut self, key: &SimilarityKey, told: &[Told<S>], ps: &mut Client<S>) -> Result<()> {
        match (key, told) {
            (SimilarityKey::Word(word), [Told::Text { id, time }]) => self.add(word, *id, *time),
            (SimilarityKey::Server(_), [Told::Query(query)]) => {
                ps.output(ServerOut::Part(self.compare(query)?));
            }
            _ => return Err(Error::internal(format!("a push to {key:?} that does not belong there"))),
        }
        Ok(())
    }

    fn on_load(&mut self, key: &SimilarityKey, value: &[Pulled<S>]) -> Result<()> {
        if let (SimilarityKey::Word(word), [Some(sketched)]) = (key, value) {
            self.words.insert(word.clone(), sketched.clone());
        }
        Ok(())
    }

    fn snapshot(&mut self, to: &mut LogicWriter<'_>) -> Result<()> {
        let mut words = self.words.iter();
        words.try_for_each(|(word, sketched)| to.put_keyed(&SimilarityKey::Word(word.clone()), sketched))
    }

    fn restore(&mut self, from: &mut LogicReader<'_>) -> Result<()> {
        from.for_each_keyed(|key, sketched: Box<SketchedWord<S>>| {
            if let SimilarityKey::Word(word) = key {
                self.words.insert(word, sketched);
            }
            Ok(())
        })
    }

    fn close(&mut self, out: &mut Collector<ServerOut<S>>) -> Result<()> {
        let words = std::mem::take(&mut self.words);
        words.into_iter().for_each(|(word, sketched)| out.emit(ServerOut::Word(word, sketched)));
        Ok(())
    }
}
