//! Loops as a program sees them while a job runs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::clock::Round;
use crate::machine;
use crate::runtime::state::lock;

/// Rounds of each loop that are remembered.
const REMEMBERED: usize = 64;

/// Shows the loops of a job while it runs, and after it: how far each one is, and what its rounds take.
///
/// Give it to [`RuntimeConfig::loop_state`](crate::RuntimeConfig::loop_state). Clones show the same; of several runs
/// the one that started last.
///
/// # Examples
/// ```
/// use waterwheel_engine::{DataStream, LoopState, Round, RuntimeConfig, execute};
///
/// let loops = LoopState::new();
/// execute(RuntimeConfig::threads(2).loop_state(loops.clone()), |env| {
///     let start = env.from_iter([8u64, 3]);
///     env.place().nested::<Round, _>("halve", |inner, _outer| {
///         let (open, fed_back) = inner.feedback(std::panic::Location::caller());
///         let all = DataStream::from_edge(inner.enter(start.into_edge()));
///         let halved = all.union(DataStream::from_edge(fed_back)).filter(|x| x % 2 == 0).map(|x| x / 2);
///         open.close(halved.into_edge());
///     });
///     Ok(())
/// })?;
/// let [halve] = &loops.loops()[..] else { panic!("one loop") };
/// assert_eq!((halve.name.as_str(), halve.round), ("halve", 3));
/// assert_eq!(halve.rounds.iter().map(|round| round.records).collect::<Vec<_>>(), [0, 1, 1, 1]);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct LoopState {
    shared: Arc<Mutex<Option<Arc<LoopGauges>>>>,
}

/// One loop of a running job, as this process knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoopFlow {
    /// Path of the loop: the names of the loops around it, from the outermost, and its own, with slashes between them.
    pub name: String,
    /// The last round that a record was fed back into here; 0 before the first one.
    pub round: Round,
    /// The last 64 rounds, in order; those of a loop inside another one, of all its runs.
    pub rounds: Vec<RoundFlow>,
}

/// One round of a loop.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RoundFlow {
    /// Checkpoint epoch, then the rounds of the loops around, then that of this loop.
    pub clock: Vec<u64>,
    /// Records that were fed back into it in this process. Those that come from outside, in round 0, are not
    /// counted.
    pub records: u64,
    /// From its first record to the first one of the next round, or until now. Rounds may overlap.
    pub took: Duration,
}

impl LoopState {
    /// A handle that sees nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// All loops, in the order in which they were built. Empty before the run.
    pub fn loops(&self) -> Vec<LoopFlow> {
        let gauges = lock(&self.shared).clone();
        gauges
            .map(|gauges| lock(&gauges.loops).values().map(|gauge| gauge.state()).collect())
            .unwrap_or_default()
    }

    /// The gauges of a run that this handle is to show.
    pub(crate) fn watch(&self) -> Arc<LoopGauges> {
        let gauges = Arc::<LoopGauges>::default();
        *lock(&self.shared) = Some(Arc::clone(&gauges));
        gauges
    }
}

impl std::fmt::Debug for LoopState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoopState").field("loops", &self.loops()).finish()
    }
}

/// The gauges of all loops of a run in one process, by the address of the loop in the graph.
#[derive(Default)]
pub(crate) struct LoopGauges {
    loops: Mutex<BTreeMap<Vec<usize>, Arc<LoopGauge>>>,
}

impl LoopGauges {
    /// The gauge of the loop at `address`, which is the same on every worker.
    pub(crate) fn gauge(&self, address: &[usize], name: &str) -> Arc<LoopGauge> {
        let mut loops = lock(&self.loops);
        let make = || Arc::new(LoopGauge::new(name));
        Arc::clone(loops.entry(address.to_vec()).or_insert_with(make))
    }
}

/// The gauge of one loop in one process.
pub(crate) struct LoopGauge {
    name: String,
    rounds: Mutex<BTreeMap<Vec<u64>, Seen>>,
}

struct Seen {
    began: Instant,
    records: u64,
}

impl LoopGauge {
    fn new(name: &str) -> Self {
        LoopGauge { name: name.into(), rounds: Mutex::default() }
    }

    /// Notes that `records` are fed back into the round at `clock`; of none, that the run begins.
    pub(crate) fn note(&self, clock: Vec<u64>, records: u64) {
        let mut rounds = lock(&self.rounds);
        let seen = rounds.entry(clock).or_insert_with(|| Seen { began: machine::now(), records: 0 });
        seen.records += records;
        if rounds.len() > REMEMBERED {
            rounds.pop_first();
        }
    }

    fn state(&self) -> LoopFlow {
        let rounds = lock(&self.rounds);
        let began = rounds.values().map(|seen| seen.began);
        let ends = began.skip(1).chain([machine::now()]);
        let of_round = |((clock, seen), end): ((&Vec<u64>, &Seen), Instant)| RoundFlow {
            clock: clock.clone(),
            records: seen.records,
            took: end.saturating_duration_since(seen.began),
        };
        let rounds: Vec<_> = rounds.iter().zip(ends).map(of_round).collect();
        let round = rounds.last().and_then(|round| round.clock.last().copied()).unwrap_or(0);
        LoopFlow { name: self.name.clone(), round, rounds }
    }
}
