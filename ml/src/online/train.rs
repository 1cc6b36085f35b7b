//! The iteration under the online learners.
//!
//! Rows are gathered in order of arrival on one worker and cut into batches there; every batch is shared out evenly.
//! Each worker sums up its share with the model of the batches before, worker 0 makes the next model of the sums and
//! sends it to all. A worker with a backlog of shares holds the sources until it is gone.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use waterwheel_engine::checkpoint::{Saved, Snapshot, Written};
use waterwheel_engine::operator::{OperatorBuilder, SourcesOf, WakeOn};
use waterwheel_engine::{
    Clock, Collector, DataStream, Error, ProcessFunction, Record, Result, Round, StateReader, StateWriter,
};
use waterwheel_iteration::{IterationBodyResult, Iterations};

use crate::once::once;

/// What learns batch by batch.
pub(crate) trait OnlineLearner: Clone + 'static {
    type Block: Record;
    type Model: Record;
    /// What the rows of a batch come to on one worker.
    type Sums: Record;

    fn rows(block: &Self::Block) -> usize;
    fn slice(block: &Self::Block, rows: std::ops::Range<usize>) -> Self::Block;
    fn sum(&self, model: &Self::Model, blocks: &[Self::Block]) -> Result<Self::Sums>;
    /// The next model; the sums are in order of worker.
    fn update(&self, model: &Self::Model, sums: Vec<Self::Sums>) -> Result<Self::Model>;
}

/// Shares that a worker keeps before it holds the sources.
const BACKLOG: usize = 16;

/// The model after each batch of `batch` rows, in order, on worker 0.
pub(crate) fn train<'s, L: OnlineLearner>(
    rows: DataStream<'s, L::Block>,
    initial: L::Model,
    batch: usize,
    learner: L,
) -> Result<DataStream<'s, L::Model>> {
    if batch == 0 {
        return Err(Error::config("global_batch_size is 0, expected 1 or more"));
    }
    let workers = rows.workers();
    let start = once(&rows.place(), "first model", vec![(0u64, initial.clone())]).broadcast();
    let batcher = Batcher::<L> { batch, workers, version: 0, waiting: VecDeque::new(), n_waiting: 0 };
    let shares = rows.global().process_function(batcher);
    let (models,) = Iterations::iterate_unbounded((start,), (shares,), |_it, (models,), (shares,)| {
        let shares = shares.partition_custom(|share: &Share<L::Block>, _workers| share.worker);
        let sums = sums(models, shares, learner.clone());
        let updates = Updates { learner, workers, version: 0, model: initial, sums: BTreeMap::new() };
        let models = sums.partition_custom(|_, _| 0).process_function(updates);
        IterationBodyResult::new((models.clone().broadcast(),), (models,))
    });
    Ok(models.map(|(_version, model)| model))
}

/// The rows of one worker of a batch; every batch has one for each.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Share<B> {
    version: u64,
    worker: usize,
    blocks: Vec<B>,
}

/// Cuts rows into batches.
struct Batcher<L: OnlineLearner> {
    batch: usize,
    workers: usize,
    version: u64,
    waiting: VecDeque<L::Block>,
    n_waiting: usize,
}

impl<L: OnlineLearner> Batcher<L> {
    /// Takes the next rows.
    fn take(&mut self, mut rows: usize) -> Vec<L::Block> {
        let mut taken = Vec::new();
        while rows > 0
            && let Some(block) = self.waiting.pop_front()
        {
            let n = L::rows(&block);
            if n > rows {
                taken.push(L::slice(&block, 0..rows));
                self.waiting.push_front(L::slice(&block, rows..n));
            } else {
                taken.push(block);
            }
            let used = n.min(rows);
            rows -= used;
            self.n_waiting -= used;
        }
        taken
    }

    fn send(&mut self, rows: usize, out: &mut Collector<Share<L::Block>>) {
        for worker in 0..self.workers {
            let part = rows / self.workers + usize::from(worker < rows % self.workers);
            let blocks = self.take(part);
            out.emit(Share { version: self.version, worker, blocks });
        }
        self.version += 1;
    }
}

impl<L: OnlineLearner> ProcessFunction<L::Block> for Batcher<L> {
    type Out = Share<L::Block>;

    fn process(&mut self, block: L::Block, out: &mut Collector<Share<L::Block>>) -> Result<()> {
        self.n_waiting += L::rows(&block);
        if L::rows(&block) > 0 {
            self.waiting.push_back(block);
        }
        while self.n_waiting >= self.batch {
            self.send(self.batch, out);
        }
        Ok(())
    }

    /// The last batch may be short.
    fn end_of_input(&mut self, out: &mut Collector<Share<L::Block>>) -> Result<()> {
        if self.n_waiting > 0 {
            self.send(self.n_waiting, out);
        }
        Ok(())
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<()> {
        state.put(&(self.version, &self.waiting))
    }

    fn restore(&mut self, state: &mut StateReader) -> Result<()> {
        // Workers that rows never came to have something to say too, when they become fewer.
        while let Some((version, waiting)) = state.next_item::<(u64, VecDeque<L::Block>)>()? {
            self.version = self.version.max(version);
            self.n_waiting += waiting.iter().map(L::rows).sum::<usize>();
            self.waiting.extend(waiting);
        }
        Ok(())
    }
}

/// What a worker's share of a batch came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Part<S> {
    version: u64,
    worker: usize,
    sums: S,
}

/// Sums up each share when the model of the batches before it is there.
#[track_caller]
fn sums<'i, L: OnlineLearner, U: Clock>(
    models: DataStream<'i, (u64, L::Model), (U, Round)>,
    shares: DataStream<'i, Share<L::Block>, (U, Round)>,
    learner: L,
) -> DataStream<'i, Part<L::Sums>, (U, Round)> {
    let (models, shares) = (models.into_edge(), shares.into_edge());
    let mut op = OperatorBuilder::new(&models.place(), "sums");
    let sources = shares.sources();
    let mut models = op.input(models, WakeOn::Records);
    let mut shares = op.input(shares, WakeOn::Records);
    let (mut out, edge) = op.output();
    let mut hold = op.source_hold(&sources, &SourcesOf::default());
    let mut state = Sums { learner, latest: None, waiting: VecDeque::new() };
    let mut part = op.part(&state);
    op.build(move |_promises, _activation| {
        move |frontiers| {
            part.begin(&mut state)?;
            shares.try_for_each(|token, batch| {
                state.waiting.extend(batch.drain(..));
                out.send(&token, [&mut Vec::from_iter(state.next_sums()?)]);
                Ok(())
            })?;
            models.try_for_each(|token, batch| {
                state.latest = batch.drain(..).last().or(state.latest.take());
                out.send(&token, [&mut Vec::from_iter(state.next_sums()?)]);
                Ok(())
            })?;
            part.step(frontiers, &mut state)?;
            hold.set(state.waiting.len() > BACKLOG);
            if frontiers.is_done(0) && frontiers.is_done(1) {
                part.end(&mut state)?;
            }
            Ok(())
        }
    });
    DataStream::from_edge(edge)
}

/// The newest model, and the shares that wait for theirs.
struct Sums<L: OnlineLearner> {
    learner: L,
    latest: Option<(u64, L::Model)>,
    waiting: VecDeque<Share<L::Block>>,
}

impl<L: OnlineLearner> Sums<L> {
    /// The sums of the next share, if its model is there.
    fn next_sums(&mut self) -> Result<Option<Part<L::Sums>>> {
        let Some((version, model)) = &self.latest else { return Ok(None) };
        let Some(share) = self.waiting.pop_front_if(|share| share.version == *version) else {
            return Ok(None);
        };
        let sums = self.learner.sum(model, &share.blocks)?;
        Ok(Some(Part { version: share.version, worker: share.worker, sums }))
    }
}

impl<L: OnlineLearner> Snapshot for Sums<L> {
    /// Every share that came has met its model, or the loop would not be empty.
    fn mark(&mut self, to: &mut Written) -> Result<()> {
        match self.waiting.len() {
            0 => to.copied().put(&self.latest),
            n => Err(Error::internal(format!("{n} shares wait at the end of a checkpoint epoch"))),
        }
    }

    fn restore(&mut self, from: &Saved<'_>) -> Result<()> {
        self.latest = from.copied()?.next_item()?.flatten();
        Ok(())
    }
}

/// Makes the next model when all parts of a batch are there, on worker 0.
struct Updates<L: OnlineLearner> {
    learner: L,
    workers: usize,
    version: u64,
    model: L::Model,
    /// By worker.
    sums: BTreeMap<usize, L::Sums>,
}

impl<L: OnlineLearner> ProcessFunction<Part<L::Sums>> for Updates<L> {
    type Out = (u64, L::Model);
    /// Its results are fed back.
    const WAITS_FOR_END: bool = false;

    fn process(&mut self, part: Part<L::Sums>, out: &mut Collector<(u64, L::Model)>) -> Result<()> {
        let Part { version, worker, sums } = part;
        if version != self.version || self.sums.insert(worker, sums).is_some() {
            let expected = self.version;
            return Err(Error::internal(format!(
                "sums of batch {version} from worker {worker}, expected {expected}"
            )));
        }
        if self.sums.len() == self.workers {
            let sums = std::mem::take(&mut self.sums).into_values().collect();
            self.model = self.learner.update(&self.model, sums)?;
            self.version += 1;
            out.emit((self.version, self.model.clone()));
        }
        Ok(())
    }

    /// At the end of a checkpoint epoch every batch is either complete or not begun.
    fn snapshot(&self, state: &mut StateWriter) -> Result<()> {
        match self.sums.len() {
            0 => state.put(&(self.version, &self.model)),
            n => Err(Error::internal(format!("sums of {n} workers at the end of a checkpoint epoch"))),
        }
    }

    fn restore(&mut self, state: &mut StateReader) -> Result<()> {
        while let Some((version, model)) = state.next_item()? {
            if version >= self.version {
                (self.version, self.model) = (version, model);
            }
        }
        Ok(())
    }
}
