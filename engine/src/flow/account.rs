//! How many records are in flight on one exchange.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use crate::flow::{ExchangeFlow, Gate};
use crate::machine;
use crate::runtime::state::{RunState, lock};

/// One exchange, or one feedback edge, as one process sees it.
///
/// Every worker adds what it has sent less what it has read, once that has moved by [`share`](Self::share).
/// What is in flight is the sum over all workers: this process's own, and what the others have told of
/// theirs. Each process decides by itself whether that is too much, and holds the sources' gates it has.
pub(crate) struct Account {
    channel: usize,
    limit: i64,
    /// Change of one worker's sum from which on it is added here. All workers' together are a sixteenth.
    share: u64,
    /// Change of this process's sum from which on the others are told; 0 when there are none. All processes'
    /// together are an eighth.
    telling_step: u64,
    name: OnceLock<String>,
    own: AtomicI64,
    others: AtomicI64,
    told: AtomicI64,
    telling: Mutex<()>,
    /// What each other process has told last.
    peers: Mutex<FxHashMap<usize, i64>>,
    peak: AtomicI64,
    holding: AtomicBool,
    hold: Mutex<Hold>,
}

/// The hold of an exchange on its sources, and its history.
#[derive(Default)]
struct Hold {
    lineage: BTreeSet<usize>,
    may_wait: bool,
    gates: Option<Vec<Arc<Gate>>>,
    times: u64,
    since: Option<Instant>,
    ended: Duration,
}

impl Account {
    pub(crate) fn new(channel: usize, limit: usize, workers: usize, processes: usize) -> Self {
        let telling_step = if processes > 1 { (limit / (8 * processes)).max(1) } else { 0 };
        Account {
            channel,
            limit: i64::try_from(limit).unwrap_or(i64::MAX),
            share: (limit / (16 * workers.max(1))).max(1) as u64,
            telling_step: telling_step as u64,
            name: OnceLock::new(),
            own: AtomicI64::new(0),
            others: AtomicI64::new(0),
            told: AtomicI64::new(0),
            telling: Mutex::new(()),
            peers: Mutex::default(),
            peak: AtomicI64::new(0),
            holding: AtomicBool::new(false),
            hold: Mutex::default(),
        }
    }

    /// Says what the exchange descends from, and whether its reader may leave it unread until another input
    /// has ended.
    pub(crate) fn set_lineage(&self, lineage: &BTreeSet<usize>, may_wait: bool) {
        let mut hold = lock(&self.hold);
        (hold.lineage, hold.may_wait) = (lineage.clone(), may_wait);
    }

    /// Names the operator that reads from the exchange; the first name stays.
    pub(crate) fn set_name(&self, name: impl FnOnce() -> String) {
        self.name.get_or_init(name);
    }

    /// Change of one worker's sum, in records, from which on it is added here.
    pub(crate) fn share(&self) -> u64 {
        self.share
    }

    /// Adds the change of one worker's sum.
    pub(crate) fn add(&self, change: i64, run: &RunState) {
        let own = self.own.fetch_add(change, Ordering::SeqCst).wrapping_add(change);
        if self.telling_step > 0 && self.is_news(own) {
            self.tell(run);
        }
        self.review(run);
    }

    fn is_news(&self, own: i64) -> bool {
        own.wrapping_sub(self.told.load(Ordering::SeqCst)).unsigned_abs() >= self.telling_step
    }

    /// Tells the other processes this one's sum. One thread at a time, so that the last word is the newest.
    #[cold]
    fn tell(&self, run: &RunState) {
        let _turn = lock(&self.telling);
        let own = self.own.load(Ordering::SeqCst);
        if self.is_news(own) {
            self.told.store(own, Ordering::SeqCst);
            run.tell_in_flight(self.channel, own);
        }
    }

    /// Notes the sum that another process has told.
    pub(crate) fn note_remote(&self, process: usize, sum: i64, run: &RunState) {
        let before = lock(&self.peers).insert(process, sum).unwrap_or(0);
        self.others.fetch_add(sum.wrapping_sub(before), Ordering::SeqCst);
        self.review(run);
    }

    /// Records in flight, as far as is known here.
    fn in_flight(&self) -> i64 {
        self.own.load(Ordering::SeqCst).wrapping_add(self.others.load(Ordering::SeqCst))
    }

    /// Takes or ends the hold if what is in flight asks for it.
    pub(crate) fn review(&self, run: &RunState) {
        let in_flight = self.in_flight();
        if in_flight > self.peak.load(Ordering::Relaxed) {
            self.peak.fetch_max(in_flight, Ordering::Relaxed);
        }
        if self.should_hold(in_flight) != self.holding.load(Ordering::SeqCst) {
            self.change(run);
        }
    }

    fn should_hold(&self, in_flight: i64) -> bool {
        let enough = if self.holding.load(Ordering::SeqCst) { self.limit / 2 } else { self.limit };
        in_flight > enough
    }

    /// Looks again after each change: who adds to the sum meanwhile may have found the old state to be right.
    #[cold]
    fn change(&self, run: &RunState) {
        if !run.ledger().is_built() {
            // It is not known yet what loops descend from. All accounts are reviewed when it is.
            return;
        }
        let mut hold = lock(&self.hold);
        loop {
            let holding = self.holding.load(Ordering::SeqCst);
            if self.should_hold(self.in_flight()) == holding {
                return;
            }
            self.holding.store(!holding, Ordering::SeqCst);
            hold.set(!holding, run);
            tracing::debug!(
                exchange = self.name(),
                held = !holding,
                "exchange holds or releases its sources"
            );
        }
    }

    fn name(&self) -> &str {
        self.name.get().map_or("", String::as_str)
    }

    /// The state as a reader sees it; `None` before anything was sent or read here.
    pub(crate) fn state(&self) -> Option<ExchangeFlow> {
        let operator = self.name.get()?.clone();
        let count = |records: i64| u64::try_from(records).unwrap_or(0);
        let hold = lock(&self.hold);
        Some(ExchangeFlow {
            id: self.channel,
            operator,
            in_flight: count(self.in_flight()),
            peak: count(self.peak.load(Ordering::Relaxed)),
            limit: count(self.limit),
            holds: hold.since.is_some(),
            times_held: hold.times,
            time_held: hold.ended + hold.since.map(|since| since.elapsed()).unwrap_or_default(),
        })
    }
}

impl Hold {
    fn set(&mut self, held: bool, run: &RunState) {
        if held {
            self.times += 1;
            self.since = Some(machine::now());
        } else if let Some(since) = self.since.take() {
            self.ended += since.elapsed();
        }
        let (lineage, may_wait) = (&self.lineage, self.may_wait);
        let gates = self.gates.get_or_insert_with(|| {
            let sources = run.ledger().sources(lineage, may_wait);
            sources.into_iter().map(|source| run.gate(source)).collect()
        });
        gates.iter().for_each(|gate| gate.note_exchange(held));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Ledger;

    /// A run of one source whose exchange 0 descends from it, and that exchange's account.
    fn run_with(limit: usize, threads: usize, processes: usize) -> (RunState, Arc<Account>) {
        let run = RunState::with_ledger(Ledger::new(limit, threads, processes));
        let account = run.ledger().account(0);
        account.set_lineage(&BTreeSet::from([0]), false);
        run.ledger().set_built(&run);
        (run, account)
    }

    #[test]
    fn sources_are_held_above_the_limit_and_released_at_half_of_it() {
        let (run, account) = run_with(100, 2, 1);
        let held_after = |change| {
            account.add(change, &run);
            run.gate(0).is_held()
        };
        assert_eq!([100, 1, -50, -1, 50, 1].map(held_after), [false, true, true, false, false, true]);
    }

    #[test]
    fn what_other_processes_tell_replaces_what_they_told_before() {
        let (run, account) = run_with(100, 1, 3);
        account.note_remote(1, 80, &run);
        account.note_remote(2, 30, &run);
        assert!(run.gate(0).is_held());
        account.note_remote(1, 10, &run);
        assert!(!run.gate(0).is_held());
        account.add(61, &run);
        assert!(run.gate(0).is_held());
        account.note_remote(2, i64::MIN, &run);
        assert!(!run.gate(0).is_held());
    }

    #[test]
    fn hold_that_is_due_before_the_graph_is_built_is_taken_then() {
        let run = RunState::with_ledger(Ledger::new(10, 1, 2));
        run.ledger().account(4).note_remote(1, 11, &run);
        run.ledger().account(4).set_lineage(&BTreeSet::from([1]), false);
        assert!(!run.gate(1).is_held());
        run.ledger().set_built(&run);
        assert!(run.gate(1).is_held());
    }

    /// What is not told may neither hold for ever nor add up to much.
    #[test]
    fn untold_changes_of_all_workers_and_processes_are_below_a_quarter_of_the_limit() {
        for (limit, threads, processes) in [(1, 1, 2), (7, 4, 4), (100, 2, 2), (5000, 64, 8), (1 << 18, 4, 2)]
        {
            let account = Account::new(0, limit, threads * processes, processes);
            let untold = (account.share - 1) * (threads * processes) as u64
                + (account.telling_step - 1) * processes as u64;
            assert!(untold * 4 <= limit as u64, "{limit} {threads} {processes}: {untold}");
        }
    }

    #[test]
    fn threads_that_add_and_take_at_once_leave_the_source_free() {
        let (run, account) = run_with(8, 4, 1);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..20_000).for_each(|i| account.add(if i % 2 == 0 { 9 } else { -9 }, &run)));
            }
        });
        assert!(!run.gate(0).is_held());
        let state = account.state();
        assert!(state.is_none(), "an exchange without a name is not shown: {state:?}");
        account.set_name(|| "here".into());
        let state = account.state().unwrap();
        assert!(
            state.in_flight == 0 && !state.holds && state.peak <= 36 && state.times_held > 0,
            "{state:?}"
        );
    }
}
