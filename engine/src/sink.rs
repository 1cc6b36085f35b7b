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

/// How often a record is seen where a sink writes it, in a job that is started again from its checkpoints.
///
/// Without checkpoints nothing is written again, and so nothing is doubled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DeliveryGuarantee {
    /// Records are seen as soon as they are written. What was written behind the checkpoint that the job goes on from is
    /// written once more.
    AtLeastOnce,
    /// Records are seen when a checkpoint is durable that knows of them, once.
    #[default]
    ExactlyOnce,
}

impl From<DeliveryGuarantee> for &'static str {
    /// In small letters: `at least once`, `exactly once`.
    fn from(delivery: DeliveryGuarantee) -> Self {
        match delivery {
            DeliveryGuarantee::AtLeastOnce => "at least once",
            DeliveryGuarantee::ExactlyOnce => "exactly once",
        }
    }
}

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

    /// Lets a transaction of this run be seen. Called in order, on a thread of its own.
    ///
    /// # Errors
    /// Ends the run. When it is started again, the transaction is recovered.
    fn commit(transaction: Self::Transaction) -> Result<()>;

    /// Lets a transaction be seen that is in the checkpoint that the run goes on from: of any worker of that run, and
    /// perhaps committed already, as a whole or in part. What is seen already must not change. Called in order on the first
    /// worker, before any worker commits anything. Default: [`commit`](Self::commit), which then must be able to do that.
    ///
    /// # Errors
    /// Ends the run, naming this operator. When it is started again, the transaction is recovered again.
    fn recover_and_commit(&mut self, transaction: Self::Transaction) -> Result<()> {
        Self::commit(transaction)
    }

    /// Called on the first worker before it writes anything, when all transactions up to the checkpoint that the run
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
    /// What this sink is known by: the same on all workers and in every attempt at the job, another for every other sink;
    /// `None` without checkpoints. XXH3 (64 bits) of the name of the job, the place of its checkpoints and the
    /// [uid](crate::DataStreamSink::uid) of the sink, each with a zero byte behind it.
    pub sink: Option<u64>,
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
        self.write_to_at(name, Location::caller(), DeliveryGuarantee::ExactlyOnce, open)
    }

    pub(crate) fn write_to_at<S: Sink<D>>(
        self,
        name: &str,
        location: &'static Location<'static>,
        delivery: DeliveryGuarantee,
        open: impl Fn(SinkContext) -> Result<S> + 'static,
    ) -> DataStreamSink {
        let (checkpoints, workers) = (self.place().run().checkpoints(), self.workers());
        let mut op = OperatorBuilder::made_at(&self.place(), name, location);
        let mut input = op.input(self.into_edge(), WakeOn::Progress);
        let mut ledger = Transactions::<S, D> {
            sink: None,
            recovered: Vec::new(),
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
        op.origin().set_delivery(delivery);
        let mut has_ended = false;
        op.build(move |_promises, _activation| {
            move |frontiers| {
                part.begin(&mut ledger)?;
                let sink = ledger.open(part.name(), &open)?;
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
    /// Those of the checkpoint that the run goes on from, on the first worker, until the sink is there.
    recovered: Vec<S::Transaction>,
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
    /// The sink, of the operator that checkpoints know by `uid`.
    fn open(&mut self, uid: Option<&str>, open: &impl Fn(SinkContext) -> Result<S>) -> Result<&mut S> {
        let sink = match self.sink.take() {
            Some(sink) => sink,
            None => {
                let mut sink = open(self.context(uid))?;
                if self.worker == 0 {
                    let recovered = std::mem::take(&mut self.recovered);
                    recovered.into_iter().try_for_each(|transaction| sink.recover_and_commit(transaction))?;
                    sink.discard_unfinished()?;
                }
                sink
            }
        };
        Ok(self.sink.insert(sink))
    }

    fn context(&self, uid: Option<&str>) -> SinkContext {
        let checkpoints = self.checkpoints.as_deref();
        let start = checkpoints.and_then(Checkpoints::start);
        let (attempt, first_transaction) = start.map_or((0, 0), |start| (start.attempt, start.first_epoch));
        let last_transaction = start.and_then(|start| start.checkpoint.as_ref()).map(Checkpoint::epoch);
        let sink = checkpoints.zip(uid).map(|(checkpoints, uid)| checkpoints.identity_of(uid));
        let (worker, workers) = (self.worker, self.workers);
        SinkContext { sink, worker, workers, attempt, first_transaction, last_transaction }
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

    /// The first worker is to commit what all had prepared: then it knows what is left over.
    fn restore(&mut self, from: &Saved<'_>) -> Result<()> {
        if self.worker == 0 {
            let mut transactions = from.pooled()?;
            while let Some(transaction) = transactions.next_item()? {
                self.recovered.push(transaction);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
