//! What one process knows of all exchanges of a job.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::flow::Account;
use crate::runtime::state::{RunState, lock};

/// Records that a source is asked for at once, and that it may read in one activation.
const READ_LIMIT: usize = 1024;

/// Records that an operator reads from an exchange in one activation. Without an end to its turn a slow
/// operator whose senders keep up with it would read for ever, and all it sends would pile up behind it.
const TURN: usize = 8192;

/// The ids of loops in a lineage begin here, above the index of any source.
const FIRST_LOOP: usize = 1 << 30;

/// The id that stands for a loop in a lineage; `number` is the same on every worker.
pub(crate) fn loop_id(number: usize) -> usize {
    FIRST_LOOP + number
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
        if self.counts() { (self.limit / (4 * self.workers)).clamp(1, TURN) } else { usize::MAX }
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

    /// Says what goes into the feedback edge of loop `id`.
    pub(crate) fn close_loop(&self, id: usize, lineage: &BTreeSet<usize>) {
        lock(&self.loops).insert(id, lineage.clone());
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
        let loops = lock(&self.loops);
        let (mut seen, mut open) = (BTreeSet::new(), Vec::from_iter(lineage.iter().copied()));
        while let Some(id) = open.pop() {
            if seen.insert(id) {
                open.extend(loops.get(&id).into_iter().flatten());
            }
        }
        seen.retain(|id| *id < FIRST_LOOP);
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
        ledger.close_loop(inner, &BTreeSet::from([2, inner, outer]));
        ledger.close_loop(outer, &BTreeSet::from([0, outer, inner]));
        assert_eq!(ledger.sources(&BTreeSet::from([inner]), false), BTreeSet::from([0, 2]));
        ledger.note_awaited(&BTreeSet::from([2]));
        assert_eq!(ledger.sources(&BTreeSet::from([5, outer]), true), BTreeSet::from([0, 5]));
        ledger.note_awaited(&BTreeSet::from([inner]));
        assert_eq!(ledger.sources(&BTreeSet::from([5, outer]), true), BTreeSet::from([5]));
        assert_eq!(ledger.sources(&BTreeSet::from([5, outer]), false), BTreeSet::from([0, 2, 5]));
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
