//! The valve of a source, and an operator's hold on it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use timely::scheduling::activate::SyncActivator;

use crate::flow::Lineage;
use crate::runtime::state::{RunState, lock};

/// The valve of one source in one process.
///
/// Holds are counted by who tells whom: those of this process's operators are told to the other processes,
/// those of others are what has been told to this one, and those of exchanges are not told, because every
/// process finds them by itself. Sequentially consistent, so that of two last holds that end at once one
/// sees that the other has ended, and wakes the readers.
#[derive(Default)]
pub(crate) struct Gate {
    own: AtomicUsize,
    /// May be below zero for a moment, while notices of different threads overtake each other.
    remote: AtomicIsize,
    exchanges: AtomicUsize,
    readers: Mutex<Vec<SyncActivator>>,
}

impl Gate {
    /// Whether some operator or exchange holds this source.
    #[inline]
    pub(crate) fn is_held(&self) -> bool {
        self.own.load(Ordering::SeqCst) > 0
            || self.remote.load(Ordering::SeqCst) > 0
            || self.exchanges.load(Ordering::SeqCst) > 0
    }

    /// Adds one reader of the source, to be woken when the last hold ends.
    pub(crate) fn register(&self, reader: SyncActivator) {
        lock(&self.readers).push(reader);
    }

    /// Adds one hold of this process; true if it is the first, which the others must be told of.
    pub(crate) fn hold(&self) -> bool {
        self.own.fetch_add(1, Ordering::SeqCst) == 0
    }

    /// Ends one hold of this process; true if it was the last, which the others must be told of.
    pub(crate) fn release(&self) -> bool {
        let last = self.own.fetch_sub(1, Ordering::SeqCst) == 1;
        self.wake_unless_held();
        last
    }

    /// Notes that another process holds, or no longer holds, the source.
    pub(crate) fn note_remote(&self, held: bool) {
        self.remote.fetch_add(if held { 1 } else { -1 }, Ordering::SeqCst);
        self.wake_unless_held();
    }

    /// Adds or ends the hold of one exchange.
    pub(crate) fn note_exchange(&self, held: bool) {
        if held {
            self.exchanges.fetch_add(1, Ordering::SeqCst);
        } else {
            self.exchanges.fetch_sub(1, Ordering::SeqCst);
            self.wake_unless_held();
        }
    }

    fn wake_unless_held(&self) {
        if !self.is_held() {
            for reader in lock(&self.readers).iter() {
                // A reader that has ended can not be woken, and need not be.
                let _ = reader.activate();
            }
        }
    }
}

/// An operator's hold on the sources of one of its inputs. Released when dropped.
pub struct SourceHold {
    run: Arc<RunState>,
    lineage: BTreeSet<usize>,
    may_wait: bool,
    /// Found at the first hold: loops are closed by then.
    gates: OnceLock<Vec<(usize, Arc<Gate>)>>,
    holding: bool,
}

impl SourceHold {
    /// A hold, not yet taken, on what `held` descends from.
    ///
    /// An operator that waits for one input to end while it leaves another unread must name the sources
    /// of the first in `spared`: to hold them, or others that some operator awaits, would be a deadlock.
    pub(crate) fn new(run: Arc<RunState>, held: &Lineage, spared: &Lineage) -> Self {
        run.ledger().note_awaited(spared);
        let (lineage, may_wait) = (BTreeSet::clone(held), !spared.is_empty());
        SourceHold { run, lineage, may_wait, gates: OnceLock::new(), holding: false }
    }

    /// Takes or ends the hold; does nothing when it is already so.
    #[inline]
    pub fn set(&mut self, hold: bool) {
        if hold != self.holding {
            self.holding = hold;
            self.change(hold);
        }
    }

    /// Whether the sources are held by this operator.
    pub fn is_holding(&self) -> bool {
        self.holding
    }

    #[cold]
    fn change(&self, hold: bool) {
        let run = &self.run;
        let gates = self.gates.get_or_init(|| {
            let sources = run.ledger().sources(&self.lineage, self.may_wait);
            sources.into_iter().map(|source| (source, run.gate(source))).collect()
        });
        for (source, gate) in gates {
            let edge = if hold { gate.hold() } else { gate.release() };
            if edge {
                run.tell_hold(*source, hold);
            }
        }
    }
}

impl Drop for SourceHold {
    fn drop(&mut self) {
        self.set(false);
    }
}

impl std::fmt::Debug for SourceHold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SourceHold").field("holding", &self.holding).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Holds of two processes were counted together: a release that the other process had never been told of
    /// the hold for left the source held for ever.
    #[test]
    fn holds_of_two_processes_that_overlap_leave_the_source_free() {
        let (mine, theirs) = (Gate::default(), Gate::default());
        assert!(mine.hold());
        theirs.note_remote(true);
        assert!(theirs.hold());
        mine.note_remote(true);
        assert!(mine.release());
        theirs.note_remote(false);
        assert!(mine.is_held() && theirs.is_held());
        assert!(theirs.release());
        mine.note_remote(false);
        assert!(!mine.is_held() && !theirs.is_held());
    }

    #[test]
    fn only_the_first_hold_and_the_last_release_of_a_process_are_told() {
        let gate = Gate::default();
        assert_eq!([gate.hold(), gate.hold(), gate.release(), gate.release()], [true, false, false, true]);
    }

    /// An operator's first hold must be told even while an exchange holds already, of which nobody is told.
    #[test]
    fn hold_of_an_exchange_does_not_hide_that_of_an_operator() {
        let gate = Gate::default();
        gate.note_exchange(true);
        assert!(gate.hold());
        gate.note_exchange(false);
        assert!(gate.is_held());
        assert!(gate.release());
        assert!(!gate.is_held());
    }
}
