//! What servers hold and what they and the workers do, as a program sees it while a job runs.

mod traffic;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use traffic::{ServerFigures, WorkerFigures};
pub use traffic::{ServerTraffic, WorkerTraffic};

/// Reads what the servers of this process hold, and what they and its workers do, while a job runs and after it.
///
/// Give it to a server, as [`SimpleServer::state`](crate::SimpleServer::state), for what it holds; and to the job, as
/// [`PsConfig::state`](crate::PsConfig::state), for what is pulled and pushed. Clones read the same; of several runs
/// the one that started last.
///
/// # Examples
/// ```
/// use waterwheel_engine::{RuntimeConfig, execute};
/// # use waterwheel_engine::Result;
/// # use waterwheel_ps::{ParameterServerClient, WorkerLogic};
/// use waterwheel_ps::{PsConfig, PsState, SimpleServer, Sum, transform};
/// # struct PushEach;
/// # impl WorkerLogic for PushEach {
/// #     type In = u64;
/// #     type Key = u64;
/// #     type Pull = f32;
/// #     type Push = f32;
/// #     type Out = ();
/// #     fn on_recv(&mut self, key: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> { ps.push(key, [1.0]) }
/// #     fn on_pull_recv(&mut self, _: &u64, _: &[f32], _: &mut ParameterServerClient<Self>) -> Result<()> { Ok(()) }
/// # }
///
/// let state = PsState::new();
/// let watched = state.clone();
/// execute(RuntimeConfig::threads(2), move |env| {
///     let server = SimpleServer::with_update(|_: &u64, row: &mut Vec<f32>| row.push(0.0), Sum).state(&watched);
///     Ok(transform(env.from_iter(0..1_000u64), PushEach, server, &PsConfig::new())?.model.collect())
/// })?;
/// assert_eq!(state.servers().iter().map(|server| server.rows).sum::<u64>(), 1_000);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct PsState {
    held: Registry<Figures>,
    servers: Registry<ServerFigures>,
    workers: Registry<WorkerFigures>,
}

/// Figures by the index of who writes them.
#[derive(Debug)]
struct Registry<F> {
    entries: Arc<Mutex<Vec<(usize, Arc<F>)>>>,
}

impl<F> Clone for Registry<F> {
    fn clone(&self) -> Self {
        Registry { entries: Arc::clone(&self.entries) }
    }
}

impl<F> Default for Registry<F> {
    fn default() -> Self {
        Registry { entries: Arc::default() }
    }
}

impl<F: Default> Registry<F> {
    /// Begins the figures of `index`, in place of those of a run before.
    fn enter(&self, index: usize) -> Arc<F> {
        let figures = Arc::new(F::default());
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|(other, _)| *other != index);
        entries.push((index, Arc::clone(&figures)));
        entries.sort_by_key(|(index, _)| *index);
        figures
    }

    fn read<R>(&self, read: impl Fn(usize, &F) -> R) -> Vec<R> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.iter().map(|(index, figures)| read(*index, figures)).collect()
    }
}

/// What one server holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerState {
    /// Index of the server.
    pub index: usize,
    /// Rows that are stored.
    pub rows: u64,
    /// Memory of the rows, of what the update keeps behind them and of their index, used or not, in bytes. What
    /// elements own elsewhere, as texts do, is not counted.
    pub bytes: u64,
    /// Rows that were evicted.
    pub evicted: u64,
}

/// What one server holds, written by it alone.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    rows: AtomicU64,
    bytes: AtomicU64,
    evicted: AtomicU64,
}

impl PsState {
    /// A handle that sees nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the servers of this process hold that were given this handle and have served, by index.
    pub fn servers(&self) -> Vec<ServerState> {
        self.held.read(|index, figures| figures.read(index))
    }

    /// What the servers of this process have been asked, by index.
    pub fn server_traffic(&self) -> Vec<ServerTraffic> {
        self.servers.read(|index, figures| figures.read(index))
    }

    /// What the workers of this process have asked, by index.
    pub fn worker_traffic(&self) -> Vec<WorkerTraffic> {
        self.workers.read(|index, figures| figures.read(index))
    }

    /// Begins the figures of what a server holds.
    pub(crate) fn enter(&self, index: usize) -> Arc<Figures> {
        self.held.enter(index)
    }

    pub(crate) fn enter_server(&self, index: usize) -> Arc<ServerFigures> {
        self.servers.enter(index)
    }

    pub(crate) fn enter_worker(&self, index: usize) -> Arc<WorkerFigures> {
        self.workers.enter(index)
    }
}

impl Figures {
    /// Nothing else is ordered by these writes: a reader sees each figure as it was a moment ago.
    pub(crate) fn write(&self, rows: usize, bytes: usize, evicted: u64) {
        self.rows.store(rows as u64, Ordering::Relaxed);
        self.bytes.store(bytes as u64, Ordering::Relaxed);
        self.evicted.store(evicted, Ordering::Relaxed);
    }

    fn read(&self, index: usize) -> ServerState {
        ServerState {
            index,
            rows: self.rows.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            evicted: self.evicted.load(Ordering::Relaxed),
        }
    }
}
