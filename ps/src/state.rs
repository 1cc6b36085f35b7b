//! The memory of servers as a program sees it while a job runs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Reads how many rows the servers of this process hold, while a job runs and after it.
///
/// Give it to a server, as [`SimpleServer::state`](crate::SimpleServer::state). Clones read the same; of several runs
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
    servers: Arc<Mutex<Vec<Arc<Figures>>>>,
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

/// The figures of one server, written by it alone.
#[derive(Debug)]
pub(crate) struct Figures {
    index: usize,
    rows: AtomicU64,
    bytes: AtomicU64,
    evicted: AtomicU64,
}

impl PsState {
    /// A handle that sees nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The servers of this process that have served, by index.
    pub fn servers(&self) -> Vec<ServerState> {
        let figures = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        figures.iter().map(|figures| figures.read()).collect()
    }

    /// Begins the figures of a server.
    pub(crate) fn enter(&self, index: usize) -> Arc<Figures> {
        let zero = || AtomicU64::new(0);
        let figures = Arc::new(Figures { index, rows: zero(), bytes: zero(), evicted: zero() });
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        servers.retain(|other| other.index != index);
        servers.push(Arc::clone(&figures));
        servers.sort_by_key(|figures| figures.index);
        figures
    }
}

impl Figures {
    /// Nothing else is ordered by these writes: a reader sees each figure as it was a moment ago.
    pub(crate) fn write(&self, rows: usize, bytes: usize, evicted: u64) {
        self.rows.store(rows as u64, Ordering::Relaxed);
        self.bytes.store(bytes as u64, Ordering::Relaxed);
        self.evicted.store(evicted, Ordering::Relaxed);
    }

    fn read(&self) -> ServerState {
        ServerState {
            index: self.index,
            rows: self.rows.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            evicted: self.evicted.load(Ordering::Relaxed),
        }
    }
}
