//! What the operators of a job do, in numbers, and how they are connected.
//!
//! Every operator of a worker has [`Gauges`], which that worker alone writes, once a batch or once an activation; readers
//! see each number as it was a moment ago. A job that nobody watches has none.

mod gauges;
mod registry;
mod size;
pub(crate) mod stopwatch;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::clock::EventTime;
use crate::runtime::state::lock;
use crate::sink::DeliveryGuarantee;

pub(crate) use gauges::Gauges;
pub(crate) use registry::Registry;
pub(crate) use size::{StateSize, Volume};

/// Shows the operators of a job while it runs, and after it: what each one does on the workers of this process, and how
/// they are connected.
///
/// Give it to [`RuntimeConfig::job_metrics`](crate::RuntimeConfig::job_metrics). Clones show the same; of several runs the
/// one that started last. Watching costs a reading of the clock for each time that an operator is run.
///
/// # Examples
/// ```
/// use waterwheel_engine::{JobMetrics, RuntimeConfig, execute};
///
/// let metrics = JobMetrics::new();
/// execute(RuntimeConfig::threads(2).job_metrics(metrics.clone()), |env| {
///     env.from_iter(0..1000).rebalance().filter(|x| x % 4 == 0).sink(|_| Ok(())).name("every fourth");
///     Ok(())
/// })?;
/// let operators = metrics.operators();
/// let last = operators.iter().find(|operator| operator.name == "every fourth").unwrap();
/// assert_eq!(last.workers.iter().map(|worker| worker.records_in).sum::<u64>(), 250);
/// assert!(metrics.connections().iter().any(|connection| connection.to == last.id));
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct JobMetrics {
    shared: Arc<Mutex<Option<Arc<Registry>>>>,
}

/// One operator of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OperatorMetrics {
    /// Number of the operator, the same on all workers of all processes. Operators are numbered in the order in which
    /// they are built.
    pub id: usize,
    /// Path of the operator, as in errors: the loops around it, from the outermost, and its name, with slashes between
    /// them.
    pub name: String,
    /// Source line where it was made, as `file:line:column`.
    pub location: String,
    /// The stable name that the program gave it, if it did.
    pub uid: Option<String>,
    /// How often records are seen where it writes them, with checkpoints, if it is a sink.
    pub delivery: Option<DeliveryGuarantee>,
    /// What it does on each worker of this process.
    pub workers: Vec<WorkerMetrics>,
}

/// What an operator does on one worker. Counts are from the beginning of the run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerMetrics {
    /// Index of the worker among all workers of the job.
    pub worker: usize,
    /// Records that were read, of all inputs.
    pub records_in: u64,
    /// Batches that were read, of all inputs.
    pub batches_in: u64,
    /// Memory of the records that were read, of all inputs, in bytes: without what they point to, as the letters of a
    /// `String`.
    pub bytes_in: u64,
    /// Records that were sent, of all outputs.
    pub records_out: u64,
    /// Batches that were sent, of all outputs.
    pub batches_out: u64,
    /// Memory of the records that were sent, of all outputs, in bytes: without what they point to.
    pub bytes_out: u64,
    /// How often it was run.
    pub activations: u64,
    /// How long it ran, all together, with what it took to get to it from the operator that ran before.
    pub busy: Duration,
    /// How long its sources could not read because too much was in flight, all together; zero for other operators.
    pub held: Duration,
    /// The watermark at the operator, in milliseconds: the exact minimum over all workers. `None` where there is no event
    /// time, before the first watermark, and when there will be no more records.
    pub watermark: Option<EventTime>,
    /// Keys whose state it keeps, in each window by itself; `None` where it keeps none by key.
    pub keys: Option<u64>,
    /// Memory of these states and keys, in bytes: without what they point to, and without free room in tables.
    pub state_bytes: Option<u64>,
}

/// What went between this process and another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerMetrics {
    /// Index of the other process.
    pub process: usize,
    /// Bytes of records and of progress that were sent to it, without the headers of frames.
    pub bytes_sent: u64,
    /// Bytes that came from it.
    pub bytes_received: u64,
}

/// A way that records take from one operator to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Connection {
    /// Number of the operator that sends.
    pub from: usize,
    /// Number of the operator that reads.
    pub to: usize,
    /// How the records are moved.
    pub kind: ConnectionKind,
}

/// How records are moved along a [`Connection`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConnectionKind {
    /// They stay on their worker.
    Forward,
    /// Each goes to the worker that its key, or the like, says.
    Exchange,
    /// They go back to the beginning of their loop, into its next round.
    Feedback,
}

/// Where a run is between its start and its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JobPhase {
    /// It has not begun, or its graph is being built, or it waits for other processes.
    #[default]
    Waiting,
    /// All workers of all processes have built the same graph, and run it.
    Running,
    /// It has ended well.
    Ended,
    /// It has failed, or was interrupted.
    Failed,
}

impl From<JobPhase> for &'static str {
    /// In small letters: `waiting`, `running`, `ended`, `failed`.
    fn from(phase: JobPhase) -> Self {
        match phase {
            JobPhase::Waiting => "waiting",
            JobPhase::Running => "running",
            JobPhase::Ended => "ended",
            JobPhase::Failed => "failed",
        }
    }
}

impl JobMetrics {
    /// A handle that sees nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// All operators that have been built, by number. Empty before the run.
    pub fn operators(&self) -> Vec<OperatorMetrics> {
        let registry = lock(&self.shared).clone();
        registry.map(|registry| registry.operators()).unwrap_or_default()
    }

    /// How operators are connected, in order of their numbers. Empty before the run.
    pub fn connections(&self) -> Vec<Connection> {
        let registry = lock(&self.shared).clone();
        registry.map(|registry| registry.connections()).unwrap_or_default()
    }

    /// What went between this process and each of the others, by their indices. Empty before the run.
    pub fn peers(&self) -> Vec<PeerMetrics> {
        let registry = lock(&self.shared).clone();
        registry.map(|registry| registry.peers()).unwrap_or_default()
    }

    /// The figures of one type that the job keeps while it is watched, with the names of what keeps them, in the order in
    /// which they were built; see [`Place::figures`](crate::Place::figures).
    pub fn figures<F: Clone + 'static>(&self) -> Vec<(String, F)> {
        let registry = lock(&self.shared).clone();
        registry.map(|registry| registry.figures()).unwrap_or_default()
    }

    /// Where the run is.
    pub fn phase(&self) -> JobPhase {
        lock(&self.shared).as_ref().map_or(JobPhase::Waiting, |registry| registry.phase())
    }

    /// The registry of a run that this handle is to show.
    pub(crate) fn watch(&self) -> Arc<Registry> {
        let registry = Arc::<Registry>::default();
        *lock(&self.shared) = Some(Arc::clone(&registry));
        registry
    }
}

impl OperatorMetrics {
    /// What it does on all workers of this process together; the watermark is the lowest, `worker` is 0.
    pub fn total(&self) -> WorkerMetrics {
        self.workers.iter().fold(WorkerMetrics::default(), |sum, one| WorkerMetrics {
            worker: 0,
            records_in: sum.records_in + one.records_in,
            batches_in: sum.batches_in + one.batches_in,
            bytes_in: sum.bytes_in + one.bytes_in,
            records_out: sum.records_out + one.records_out,
            batches_out: sum.batches_out + one.batches_out,
            bytes_out: sum.bytes_out + one.bytes_out,
            activations: sum.activations + one.activations,
            busy: sum.busy + one.busy,
            held: sum.held + one.held,
            watermark: least(sum.watermark, one.watermark),
            keys: both(sum.keys, one.keys),
            state_bytes: both(sum.state_bytes, one.state_bytes),
        })
    }
}

/// Their sum, where there is any.
fn both(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    a.map_or(b, |a| Some(a + b.unwrap_or(0)))
}

fn least(a: Option<EventTime>, b: Option<EventTime>) -> Option<EventTime> {
    a.map_or(b, |a| b.map_or(Some(a), |b| Some(a.min(b))))
}

impl std::fmt::Debug for JobMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JobMetrics").field("operators", &self.operators().len()).finish_non_exhaustive()
    }
}
