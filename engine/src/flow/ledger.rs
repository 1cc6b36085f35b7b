//! What one process knows of all exchanges of a job.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::error::{Error, Result, Site};
use crate::flow::Account;
use crate::runtime::state::{RunState, lock};

/// Records that a source is asked for at once, and that it may read in one activation.
const READ_LIMIT: usize = 1024;

/// Records that an operator reads from an exchange in one activation. Without an end to its turn a slow
/// operator whose senders keep up with it would read for ever: all it sends would pile up behind it, and its
/// worker could not be stopped.
const TURN: usize = 8192;

/// The ids of loops in a lineage begin here, above the index of any source.
const FIRST_LOOP: usize = 1 << 30;

/// The id that stands for a loop in a lineage; `number` is the same on every worker.
pub(crate) fn loop_id(number: usize) -> usize {
    FIRST_LOOP + number
}

/// The ids of operators that wait for the end of an input begin here.
const FIRST_WAITER: usize = 1 << 31;

/// An operator that waits for the end of an input.
struct Waiter {
    site: Site,
    /// What the input descends from.
    lineage: BTreeSet<usize>,
}

/// The accounts of all exchanges of a run in one process, and what loops descend from.
#[derive(Default)]
pub(crate) struct Ledger {
    /// Records in flight on one exchange above which its sources are held; 0: nothing is counted.
    limit: usize,
    /// Workers of the whole job.
    workers: usize,
    processes: usize,
    accounts: Mutex<BTreeMap<usize, Arc<Account>>>,
    loops: Mutex<BTreeMap<usize, BTreeSet<usize>>>,
    /// What some operator awaits the end of.
    awaited: Mutex<BTreeSet<usize>>,
    waiters: Mutex<BTreeMap<usize, Waiter>>,
    built: AtomicBool,
}

impl Ledger {
    pub(crate) fn new(limit: usize, threads: usize, processes: usize) -> Self {
        Ledger { limit, workers: threads * processes, processes, ..Self::default() }
    }

    /// Whether records in flight are counted.
    pub(crate) fn counts(&self) -> bool {
        self.limit > 0
    }

    /// Records that one source reads at once. All sources of all workers together stay well below the limit.
    pub(crate) fn read_limit(&self) -> usize {
        if self.counts() { (self.limit / (8 * self.workers)).clamp(1, READ_LIMIT) } else { READ_LIMIT }
    }

    /// Records that an operator reads from an exchange in one activation, up to the end of the last batch.
    pub(crate) fn turn(&self) -> usize {
        if self.counts() { (self.limit / (4 * self.workers)).clamp(1, TURN) } else { TURN }
    }

    /// The account of the exchange with this channel number, which is the same on every worker.
    pub(crate) fn account(&self, channel: usize) -> Arc<Account> {
        let make = || Arc::new(Account::new(channel, self.limit, self.workers, self.processes));
        Arc::clone(lock(&self.accounts).entry(channel).or_insert_with(make))
    }

    /// All accounts, in the order in which the exchanges were built.
    pub(crate) fn accounts(&self) -> Vec<Arc<Account>> {
        lock(&self.accounts).values().cloned().collect()
    }

    /// Says what goes into the feedback edge of loop `id`, or decides about it.
    ///
    /// # Errors
    /// Some of it comes from an operator that has something to say when the loop has ended: never.
    pub(crate) fn close_loop(&self, id: usize, lineage: &BTreeSet<usize>) -> Result<()> {
        lock(&self.loops).entry(id).or_default().extend(lineage);
        let seen = self.expanded(lineage);
        let waiters = lock(&self.waiters);
        let waits_for_itself = |waiter: &&Waiter| self.expanded(&waiter.lineage).contains(&id);
        match seen.iter().filter_map(|id| waiters.get(id)).find(waits_for_itself) {
            None => Ok(()),
            Some(Waiter { site, .. }) => Err(Error::config(format!(
                "operator \"{}\" ({}) waits for the end of a stream that depends on its own results through this \
                 loop, which would never come: let it work round by round (for_each_round, process_epochs), or \
                 say WAITS_FOR_END = false",
                site.operator, site.location
            ))),
        }
    }

    /// Says that an operator waits for the end of an input; returns what stands for it in a lineage.
    pub(crate) fn note_waiter(&self, operator: usize, site: &Site, lineage: &BTreeSet<usize>) -> usize {
        let id = FIRST_WAITER + operator;
        let mut waiters = lock(&self.waiters);
        let waiter = waiters.entry(id);
        let make = || Waiter { site: site.clone(), lineage: BTreeSet::new() };
        waiter.or_insert_with(make).lineage.extend(lineage);
        id
    }

    /// Says that some operator leaves an input unread until what descends from `lineage` has ended.
    pub(crate) fn note_awaited(&self, lineage: &BTreeSet<usize>) {
        lock(&self.awaited).extend(lineage);
    }

    /// The sources that `lineage` descends from, through loops; for an input that may be left unread
    /// without those that any operator awaits.
    pub(crate) fn sources(&self, lineage: &BTreeSet<usize>, may_wait: bool) -> BTreeSet<usize> {
        let mut sources = self.reachable(lineage);
        if may_wait {
            let awaited = self.reachable(&lock(&self.awaited));
            sources.retain(|source| !awaited.contains(source));
        }
        sources
    }

    fn reachable(&self, lineage: &BTreeSet<usize>) -> BTreeSet<usize> {
        let mut seen = self.expanded(lineage);
        seen.retain(|id| *id < FIRST_LOOP);
        seen
    }

    /// A lineage with all that goes into the loops it passes.
    fn expanded(&self, lineage: &BTreeSet<usize>) -> BTreeSet<usize> {
        let loops = lock(&self.loops);
        let (mut seen, mut open) = (BTreeSet::new(), Vec::from_iter(lineage.iter().copied()));
        while let Some(id) = open.pop() {
            if seen.insert(id) {
                open.extend(loops.get(&id).into_iter().flatten());
            }
        }
        seen
    }

    /// Whether the graph stands, so that it is known what loops descend from.
    pub(crate) fn is_built(&self) -> bool {
        self.built.load(Ordering::SeqCst)
    }

    /// Says that a worker of this process has built the graph. Sources may be held from now on.
    pub(crate) fn set_built(&self, run: &RunState) {
        self.built.store(true, Ordering::SeqCst);
        self.accounts().iter().for_each(|account| account.review(run));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_of_a_loop_are_those_of_what_is_fed_back_through_other_loops_too() {
        let ledger = Ledger::default();
        let (inner, outer) = (loop_id(7), loop_id(3));
        ledger.close_loop(inner, &BTreeSet::from([2, inner, outer])).unwrap();
        ledger.close_loop(outer, &BTreeSet::from([0, outer, inner])).unwrap();
        assert_eq!(ledger.sources(&BTreeSet::from([inner]), false), BTreeSet::from([0, 2]));
        ledger.note_awaited(&BTreeSet::from([2]));
        assert_eq!(ledger.sources(&BTreeSet::from([5, outer]), true), BTreeSet::from([0, 5]));
        ledger.note_awaited(&BTreeSet::from([inner]));
        assert_eq!(ledger.sources(&BTreeSet::from([5, outer]), true), BTreeSet::from([5]));
        assert_eq!(ledger.sources(&BTreeSet::from([5, outer]), false), BTreeSet::from([0, 2, 5]));
    }

    #[test]
    fn operator_that_waits_for_its_own_results_is_refused_also_through_another_loop() {
        let site = Site { operator: "sum".into(), location: "job.rs:7:1".into(), worker: 0 };
        let (inner, outer) = (loop_id(1), loop_id(2));
        let ledger = Ledger::default();
        let on_data = ledger.note_waiter(4, &site, &BTreeSet::from([0]));
        let on_loop = ledger.note_waiter(5, &site, &BTreeSet::from([0, outer]));
        ledger.close_loop(inner, &BTreeSet::from([inner, on_data, on_loop])).unwrap();
        let error = ledger.close_loop(outer, &BTreeSet::from([1, inner])).unwrap_err();
        assert!(error.message().starts_with("operator \"sum\" (job.rs:7:1) waits for the end of"), "{error}");
    }

    #[test]
    fn turns_and_reads_are_never_nothing_and_small_beside_the_limit() {
        for limit in [1, 10, 1000, 1 << 18, usize::MAX] {
            let ledger = Ledger::new(limit, 4, 2);
            assert!((1..=READ_LIMIT).contains(&ledger.read_limit()), "{limit}");
            assert!((1..=TURN).contains(&ledger.turn()), "{limit}");
            assert!(limit < 100 || ledger.read_limit() * 8 <= limit / 8, "{limit}");
        }
    }
}
