//! Sinks that write in transactions, and commit them with checkpoints.

mod csv;
mod files;
mod format;
mod ndjson;
mod rolling;

use std::collections::VecDeque;
use std::panic::Location;
use std::sync::Arc;

use serde::{Serialize, de::DeserializeOwned};

use crate::checkpoint::{Checkpoint, Checkpoints, Saved, Snapshot, Written};
use crate::clock::{AnyClock, Epoch};
use crate::collect::DataStreamSink;
use crate::error::{Result, Site};
use crate::operator::{OperatorBuilder, WakeOn};
use crate::stream::DataStream;

pub use format::{FileFormat, FileWriter, PartFile};
pub use rolling::RollingPolicy;

/// A place outside of the job that records are written to, in transactions: what comes between two checkpoints is seen
/// there all at once, when the second one is durable. A job that goes on from a checkpoint writes what comes behind it
/// once more, so each record is seen exactly once.
///
/// One instance per worker; see [`DataStream::write_to`]. Without checkpoints there is one transaction, up to the end of
/// the stream.
pub trait Sink<D>: 'static {
    /// What is needed to commit a transaction, in this run or in a later one.
    type Transaction: Clone + Serialize + DeserializeOwned + Send + 'static;

    /// Writes one record, so that nobody sees it yet.
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn write(&mut self, record: D) -> Result<()>;

    /// Ends the transaction: what was written since the last one is made durable, and still is not seen. `None` where
    /// there is nothing to commit.
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn prepare(&mut self) -> Result<Option<Self::Transaction>>;

    /// Lets a transaction be seen. Called in order, on a thread of its own. A transaction may be committed more than once,
    /// also in a later run and in another process: each time but the first must change nothing.
    ///
    /// # Errors
    /// Ends the run. When it is started again, the transaction is committed again.
    fn commit(transaction: Self::Transaction) -> Result<()>;

    /// Called on the first worker before anything is written, when all transactions up to the checkpoint that the run
    /// goes on from have been committed: removes what earlier attempts have written and never committed, and takes back,
    /// if it can, what was committed behind [`last_transaction`](SinkContext::last_transaction). Default: nothing.
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn discard_unfinished(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Where and in which attempt a [`Sink`] writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SinkContext {
    /// Index of the worker among all workers of the job.
    pub worker: usize,
    /// How many workers the job has.
    pub workers: usize,
    /// Number of the attempt, above those of all earlier ones; 0 without checkpoints.
    pub attempt: u64,
    /// Number of the first transaction, above those of all that were ever committed; 0 without checkpoints. The next
    /// ones count up.
    pub first_transaction: u64,
    /// Number of the last transaction of the checkpoint that the run goes on from; `None` at the beginning. What was
    /// committed between it and the first one comes again: the run goes on from an older checkpoint than the newest,
    /// because that is damaged or because it was told to.
    pub last_transaction: Option<u64>,
}

impl<'s, D: 'static, T: AnyClock> DataStream<'s, D, T> {
    /// Writes the records where they are to the [`Sink`] that `open` makes on each worker.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Mutex;
    /// use waterwheel_engine::{Result, RuntimeConfig, Sink, execute};
    ///
    /// static SEEN: Mutex<Vec<u32>> = Mutex::new(Vec::new());
    ///
    /// #[derive(Default)]
    /// struct Once(Vec<u32>);
    /// impl Sink<u32> for Once {
    ///     type Transaction = Vec<u32>;
    ///     fn write(&mut self, record: u32) -> Result<()> {
    ///         self.0.push(record);
    ///         Ok(())
    ///     }
    ///     fn prepare(&mut self) -> Result<Option<Vec<u32>>> {
    ///         Ok(Some(std::mem::take(&mut self.0)))
    ///     }
    ///     fn commit(records: Vec<u32>) -> Result<()> {
    ///         let mut seen = SEEN.lock().unwrap();
    ///         let news: Vec<u32> = records.into_iter().filter(|record| !seen.contains(record)).collect();
    ///         seen.extend(news);
    ///         Ok(())
    ///     }
    /// }
    /// execute(RuntimeConfig::threads(1), |env| {
    ///     env.from_iter([1, 2, 3]).write_to("once", |_context| Ok(Once::default()));
    ///     Ok(())
    /// })?;
    /// assert_eq!(*SEEN.lock().unwrap(), [1, 2, 3]);
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    #[track_caller]
    pub fn write_to<S: Sink<D>>(
        self,
        name: &str,
        open: impl Fn(SinkContext) -> Result<S> + 'static,
    ) -> DataStreamSink {
        self.write_to_at(name, Location::caller(), open)
    }

    pub(crate) fn write_to_at<S: Sink<D>>(
        self,
        name: &str,
        location: &'static Location<'static>,
        open: impl Fn(SinkContext) -> Result<S> + 'static,
    ) -> DataStreamSink {
        let (checkpoints, workers) = (self.place().run().checkpoints(), self.workers());
        let mut op = OperatorBuilder::made_at(&self.place(), name, location);
        let mut input = op.input(self.into_edge(), WakeOn::Progress);
        let mut ledger = Transactions::<S, D> {
            sink: None,
            prepared: VecDeque::new(),
            worker: op.worker_index(),
            workers,
            site: op.site(),
            checkpoints,
            epoch: 0,
            records: std::marker::PhantomData,
        };
        let mut part = op.part(&ledger);
        let as_sink = DataStreamSink::new(op.origin());
        let mut has_ended = false;
        op.build(move |_promises, _activation| {
            move |frontiers| {
                part.begin(&mut ledger)?;
                let sink = ledger.open(&open)?;
                input.try_for_each(|_token, batch| {
                    batch.drain(..).try_for_each(|record| sink.write(record))
                })?;
                part.step(frontiers, &mut ledger)?;
                if frontiers.epoch().is_none() && !has_ended {
                    has_ended = true;
                    if part.is_taken() { part.end(&mut ledger)? } else { ledger.commit_now()? }
                }
                Ok(())
            }
        });
        as_sink
    }
}

/// A sink and its transactions that may not have been committed yet.
struct Transactions<S: Sink<D>, D> {
    /// Made when the operator first runs.
    sink: Option<S>,
    prepared: VecDeque<(Epoch, S::Transaction)>,
    worker: usize,
    workers: usize,
    site: Site,
    checkpoints: Option<Arc<Checkpoints>>,
    /// The epoch of the transaction that is open.
    epoch: Epoch,
    records: std::marker::PhantomData<fn(D)>,
}

impl<S: Sink<D>, D: 'static> Transactions<S, D> {
    fn open(&mut self, open: &impl Fn(SinkContext) -> Result<S>) -> Result<&mut S> {
        let sink = match self.sink.take() {
            Some(sink) => sink,
            None => {
                let start = self.checkpoints.as_ref().and_then(|checkpoints| checkpoints.start());
                let (attempt, first_transaction) =
                    start.map_or((0, 0), |start| (start.attempt, start.first_epoch));
                let last_transaction =
                    start.and_then(|start| start.checkpoint.as_ref()).map(Checkpoint::epoch);
                let (worker, workers) = (self.worker, self.workers);
                let context = SinkContext { worker, workers, attempt, first_transaction, last_transaction };
                let mut sink = open(context)?;
                if self.worker == 0 {
                    sink.discard_unfinished()?;
                }
                sink
            }
        };
        Ok(self.sink.insert(sink))
    }

    fn prepare(&mut self) -> Result<Option<S::Transaction>> {
        self.sink.as_mut().map_or(Ok(None), Sink::prepare)
    }

    /// Without checkpoints.
    fn commit_now(&mut self) -> Result<()> {
        self.prepare()?.map_or(Ok(()), S::commit)
    }

    /// Ends the transaction of an epoch. Those of checkpoints that failed are committed with the next one.
    fn end_epoch(&mut self, to: &mut Written) -> Result<()> {
        let committed = self.checkpoints.as_ref().and_then(|checkpoints| checkpoints.committed());
        self.prepared.retain(|(epoch, _transaction)| Some(*epoch) > committed);
        if let Some(transaction) = self.prepare()? {
            self.prepared.push_back((self.epoch, transaction.clone()));
            let site = self.site.clone();
            to.commits.push(Box::new(move || S::commit(transaction).map_err(|error| error.at(site))));
        }
        self.epoch += 1;
        self.prepared.iter().try_for_each(|(_epoch, transaction)| to.pooled().put(transaction))
    }
}

impl<S: Sink<D>, D: 'static> Snapshot for Transactions<S, D> {
    fn mark(&mut self, to: &mut Written) -> Result<()> {
        self.end_epoch(to)
    }

    fn end(&mut self, to: &mut Written) -> Result<()> {
        self.end_epoch(to)
    }

    /// The first worker commits what all had prepared: then it knows what is left over.
    fn restore(&mut self, from: &Saved<'_>) -> Result<()> {
        if self.worker == 0 {
            let mut transactions = from.pooled()?;
            while let Some(transaction) = transactions.next_item()? {
                S::commit(transaction)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
