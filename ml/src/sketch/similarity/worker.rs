//! The worker: sends texts to the sketches of their words, and queries to all servers.

use std::collections::VecDeque;
use std::marker::PhantomData;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use waterwheel_engine::{Error, Result};
use waterwheel_ps::{LogicWriter, ParameterServerClient, WorkerContext, WorkerLogic};

use super::{SimilarWords, SimilarityKey, SketchedWord, TextEvent, WordSketch};

/// What is pushed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Told<S> {
    /// A text has the word.
    Text { id: u64, time: i64 },
    /// Compare this one with all others.
    Query(Query<S>),
}

/// A query on its way to a server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Query<S> {
    /// The worker that asks, and how many it has asked before: no two queries have the same.
    pub(super) number: (u32, u64),
    pub(super) id: u64,
    pub(super) word: String,
    pub(super) sketched: Box<SketchedWord<S>>,
}

/// What is pulled: the sketch of a word, if there is one.
pub(super) type Pulled<S> = Option<Box<SketchedWord<S>>>;

pub(super) struct SimilarityWorker<S> {
    worker: u32,
    servers: u32,
    asked: u64,
    /// Ids of the queries that wait for the sketch of a word, in order.
    waiting: FxHashMap<String, VecDeque<u64>>,
    sketch: PhantomData<fn() -> S>,
}

type Client<S> = ParameterServerClient<SimilarityWorker<S>>;

impl<S: WordSketch> SimilarityWorker<S> {
    pub(super) fn new() -> Self {
        SimilarityWorker {
            worker: 0,
            servers: 1,
            asked: 0,
            waiting: FxHashMap::default(),
            sketch: PhantomData,
        }
    }
}

impl<S: WordSketch> WorkerLogic for SimilarityWorker<S> {
    type In = TextEvent;
    type Key = SimilarityKey;
    type Pull = Pulled<S>;
    type Push = Told<S>;
    type Out = SimilarWords;

    fn open(&mut self, context: &WorkerContext) -> Result<()> {
        (self.worker, self.servers) = (context.index as u32, context.servers as u32);
        Ok(())
    }

    fn on_recv(&mut self, event: TextEvent, ps: &mut Client<S>) -> Result<()> {
        match event {
            TextEvent::Text { id, time, mut words } => {
                words.sort_unstable();
                words.dedup();
                let told = |word| ps.push(SimilarityKey::Word(word), [Told::Text { id, time }]);
                words.into_iter().try_for_each(told)
            }
            TextEvent::Query { id, word } => {
                self.waiting.entry(word.clone()).or_default().push_back(id);
                ps.pull(SimilarityKey::Word(word))
            }
        }
    }

    fn on_pull_recv(&mut self, key: &SimilarityKey, value: &[Pulled<S>], ps: &mut Client<S>) -> Result<()> {
        let unknown = || Error::internal(format!("the sketch of {key:?}, which nobody asked for"));
        let (SimilarityKey::Word(word), [pulled]) = (key, value) else { return Err(unknown()) };
        let queries = self.waiting.get_mut(word).ok_or_else(unknown)?;
        let id = queries.pop_front().ok_or_else(unknown)?;
        if queries.is_empty() {
            self.waiting.remove(word);
        }
        let Some(sketched) = pulled else {
            ps.output(SimilarWords { id, word: word.clone(), best: Vec::new() });
            return Ok(());
        };
        self.asked += 1;
        let query =
            Query { number: (self.worker, self.asked), id, word: word.clone(), sketched: sketched.clone() };
        (0..self.servers)
            .try_for_each(|server| ps.push(SimilarityKey::Server(server), [Told::Query(query.clone())]))
    }

    /// No query is under way. Numbers of queries may begin anew, as all that had one are answered.
    fn snapshot(&self, _to: &mut LogicWriter<'_>) -> Result<()> {
        Ok(())
    }
}
