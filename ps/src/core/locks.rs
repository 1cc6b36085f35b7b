//! Which worker may change which parameter, where that is one worker at a time.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;
use waterwheel_engine::Key;

/// Locks on keys: a worker holds one from the pull that it is answered to its push.
pub(crate) struct Locks<K> {
    held: FxHashMap<K, Lock>,
}

struct Lock {
    holder: usize,
    /// One entry per pull, so that a worker that pulls twice has its turn twice.
    waiting: VecDeque<usize>,
}

impl<K: Key> Locks<K> {
    pub(crate) fn new() -> Self {
        Locks { held: FxHashMap::default() }
    }

    /// Gives `worker` the lock of `key`, or a place in the queue: whether it has it now.
    pub(crate) fn acquire(&mut self, key: &K, worker: usize) -> bool {
        match self.held.get_mut(key) {
            Some(lock) => {
                lock.waiting.push_back(worker);
                false
            }
            None => {
                self.held.insert(key.clone(), Lock { holder: worker, waiting: VecDeque::new() });
                true
            }
        }
    }

    /// Whether no lock is held.
    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// The worker that has the lock of `key`.
    pub(crate) fn holder(&self, key: &K) -> Option<usize> {
        self.held.get(key).map(|lock| lock.holder)
    }

    /// Takes the lock of `key` from its holder and returns who has it now.
    pub(crate) fn pass_on(&mut self, key: &K) -> Option<usize> {
        let lock = self.held.get_mut(key)?;
        match lock.waiting.pop_front() {
            Some(next) => {
                lock.holder = next;
                Some(next)
            }
            None => {
                self.held.remove(key);
                None
            }
        }
    }

    /// The keys that `worker` holds, in order.
    pub(crate) fn held_by(&self, worker: usize) -> Vec<K> {
        let held = self.held.iter().filter(|(_key, lock)| lock.holder == worker);
        let mut keys: Vec<K> = held.map(|(key, _lock)| key.clone()).collect();
        keys.sort();
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// T-FPS-16 (d) to (g): who waits, and in which order they have their turn.
    #[test]
    fn lock_goes_to_those_that_wait_in_order_of_their_pulls() {
        let mut locks = Locks::new();
        assert!(locks.acquire(&1, 42));
        for worker in [43, 43, 44] {
            assert!(!locks.acquire(&1, worker));
        }
        assert_eq!(locks.held_by(42), [1]);
        let turns: Vec<_> = std::iter::from_fn(|| locks.pass_on(&1)).collect();
        assert_eq!((turns, locks.holder(&1)), (vec![43, 43, 44], None));
        assert!(locks.acquire(&1, 45));
    }
}
