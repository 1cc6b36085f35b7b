//! One budget of memory for the data caches of a process, shared out so that none of them can take it all.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Memory for the data caches of one process.
///
/// Half of it is divided evenly among the operators that cache, on all worker threads; each has its part for itself.
/// The other half goes to whoever asks first: data are often not spread evenly.
#[derive(Debug)]
pub(super) struct Budget {
    total: u64,
    shares: AtomicU64,
    /// What has been taken of the common half.
    common: AtomicU64,
}

impl Budget {
    pub(super) fn new(bytes: u64) -> Self {
        Budget { total: bytes, shares: AtomicU64::new(0), common: AtomicU64::new(0) }
    }

    /// Bytes that each operator has for itself.
    fn own(&self) -> u64 {
        self.total / 2 / self.shares.load(Ordering::Relaxed).max(1)
    }

    fn take_common(&self, bytes: u64) -> bool {
        let limit = self.total - self.total / 2;
        let more = |taken: u64| taken.checked_add(bytes).filter(|taken| *taken <= limit);
        self.common.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }
}

/// What one operator has of the budget, on one worker. Made for all operators before the first takes anything.
#[derive(Debug)]
pub(super) struct MemoryShare {
    budget: Arc<Budget>,
    own: Cell<u64>,
    common: Cell<u64>,
}

impl MemoryShare {
    pub(super) fn new(budget: &Arc<Budget>) -> Self {
        budget.shares.fetch_add(1, Ordering::Relaxed);
        MemoryShare { budget: Arc::clone(budget), own: Cell::new(0), common: Cell::new(0) }
    }

    /// Takes from what is its own first, and the rest from what is common.
    fn take(&self, bytes: u64) -> bool {
        let own = bytes.min(self.budget.own().saturating_sub(self.own.get()));
        let taken = self.budget.take_common(bytes - own);
        if taken {
            self.own.set(self.own.get() + own);
            self.common.set(self.common.get() + bytes - own);
        }
        taken
    }

    /// What is common goes first, for the others.
    fn give_back(&self, bytes: u64) {
        let common = bytes.min(self.common.get());
        self.common.set(self.common.get() - common);
        self.budget.common.fetch_sub(common, Ordering::Relaxed);
        self.own.set(self.own.get() - (bytes - common));
    }
}

impl Drop for MemoryShare {
    fn drop(&mut self) {
        self.budget.shares.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Memory that one segment has taken; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Lease {
    share: Rc<MemoryShare>,
    bytes: u64,
}

impl Lease {
    pub(super) fn new(share: &Rc<MemoryShare>) -> Self {
        Lease { share: Rc::clone(share), bytes: 0 }
    }

    /// Takes more; false, and nothing is taken, if there is not enough.
    pub(super) fn grow(&mut self, bytes: u64) -> bool {
        let taken = self.share.take(bytes);
        if taken {
            self.bytes += bytes;
        }
        taken
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.share.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(bytes: u64, n: usize) -> Vec<Rc<MemoryShare>> {
        let budget = Arc::new(Budget::new(bytes));
        (0..n).map(|_| Rc::new(MemoryShare::new(&budget))).collect()
    }

    #[test]
    fn share_of_its_own_is_there_when_others_have_taken_all_else() {
        let shares = shares(1000, 5);
        let (mut greedy, mut late) = (Lease::new(&shares[0]), Lease::new(&shares[4]));
        assert!(!greedy.grow(601));
        assert!(greedy.grow(600) && !greedy.grow(1));
        assert!(!late.grow(101));
        assert!(late.grow(100));
        assert!(!late.grow(1));
    }

    #[test]
    fn memory_that_is_given_back_is_there_for_others() {
        let shares = shares(1000, 2);
        let (mut first, mut second) = (Lease::new(&shares[0]), Lease::new(&shares[1]));
        assert!(first.grow(250) && first.grow(500));
        assert!(second.grow(250) && !second.grow(1));
        drop(first);
        assert!(second.grow(500));
        let mut first = Lease::new(&shares[0]);
        assert!(first.grow(250) && !first.grow(1));
        assert_eq!((first.bytes(), second.bytes()), (250, 750));
    }

    #[test]
    fn no_memory_is_none_for_anybody_and_much_is_enough() {
        let (none, all) = (shares(0, 1), shares(u64::MAX, 1));
        assert!(!Lease::new(&none[0]).grow(1));
        let mut lease = Lease::new(&all[0]);
        assert!(lease.grow(1 << 62) && lease.grow(1 << 62));
    }
}
