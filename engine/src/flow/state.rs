//! Flow control as a program sees it while a job runs.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::flow::Ledger;
use crate::runtime::state::lock;

/// Reads the state of flow control while a job runs, and after it.
///
/// Give it to [`RuntimeConfig::flow_state`](crate::RuntimeConfig::flow_state). Clones read the same; of
/// several runs the one that started last.
///
/// # Examples
/// ```
/// use waterwheel_engine::{FlowState, RuntimeConfig, execute};
///
/// let flow = FlowState::new();
/// execute(RuntimeConfig::threads(2).flow_state(flow.clone()), |env| {
///     env.from_iter(0..10_000).rebalance().sink(|_| Ok(()));
///     Ok(())
/// })?;
/// let exchanges = flow.exchanges();
/// assert_eq!((exchanges[0].operator.as_str(), exchanges.len()), ("rebalance", 1));
/// assert!(exchanges[0].peak <= 2 * exchanges[0].limit);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct FlowState {
    shared: Arc<Mutex<Option<Arc<Ledger>>>>,
}

/// One exchange, or one feedback edge, of a running job.
///
/// Numbers are of the whole job as this process knows them: up to about a quarter of the limit behind.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExchangeFlow {
    /// Number of the exchange, the same on all workers.
    pub id: usize,
    /// Path of the operator that reads from it, as in errors; of a feedback edge, that of the loop.
    pub operator: String,
    /// Records that have been sent into it and not yet read out of it.
    pub in_flight: u64,
    /// The most that was in flight at once.
    pub peak: u64,
    /// Above this the sources are held, until half of it is in flight.
    pub limit: u64,
    /// Whether it holds its sources now.
    pub holds: bool,
    /// How often it has taken a hold on them in this process.
    pub times_held: u64,
    /// How long it has held them in this process, all holds together.
    pub time_held: Duration,
}

impl FlowState {
    /// A handle that sees nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// All exchanges and feedback edges that have moved a record on this process, in the order in which
    /// they were built. Empty before the run and when
    /// [`max_in_flight_records`](crate::RuntimeConfig::max_in_flight_records) is 0.
    pub fn exchanges(&self) -> Vec<ExchangeFlow> {
        let ledger = lock(&self.shared).clone();
        let accounts = ledger.map(|ledger| ledger.accounts()).unwrap_or_default();
        accounts.iter().filter_map(|account| account.state()).collect()
    }

    pub(crate) fn watch(&self, ledger: &Arc<Ledger>) {
        *lock(&self.shared) = Some(Arc::clone(ledger));
    }
}

impl std::fmt::Debug for FlowState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FlowState").field("exchanges", &self.exchanges()).finish()
    }
}
