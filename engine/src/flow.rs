//! Flow control: an operator that can not take more input holds the sources that feed it.
//!
//! Only sources are ever held, never a feedback edge and never an operator in between, so whatever is in
//! flight can always finish; that is what releases the hold. A hold reaches the sources of every thread
//! at once and those of other processes by a notice, so what still arrives is bounded by a few batches.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use timely::scheduling::activate::SyncActivator;

use crate::runtime::state::{RunState, lock};

/// The sources that a stream descends from, by index.
pub(crate) type Lineage = Rc<BTreeSet<usize>>;

/// The valve of one source in one process.
///
/// Holds of this process and of others are counted apart: only the former are told to the others.
#[derive(Default)]
pub(crate) struct Gate {
    own: AtomicUsize,
    /// May be below zero for a moment, while notices of different threads overtake each other.
    remote: AtomicIsize,
    readers: Mutex<Vec<SyncActivator>>,
}

impl Gate {
    /// Whether some operator holds this source.
    #[inline]
    pub(crate) fn is_held(&self) -> bool {
        self.own.load(Ordering::Acquire) > 0 || self.remote.load(Ordering::Acquire) > 0
    }

    /// Adds one reader of the source, to be woken when the last hold ends.
    pub(crate) fn register(&self, reader: SyncActivator) {
        lock(&self.readers).push(reader);
    }

    /// Adds one hold of this process; true if it is the first, which the others must be told of.
    pub(crate) fn hold(&self) -> bool {
        self.own.fetch_add(1, Ordering::AcqRel) == 0
    }

    /// Ends one hold of this process; true if it was the last, which the others must be told of.
    pub(crate) fn release(&self) -> bool {
        let last = self.own.fetch_sub(1, Ordering::AcqRel) == 1;
        self.wake_unless_held();
        last
    }

    /// Notes that another process holds, or no longer holds, the source.
    pub(crate) fn note_remote(&self, held: bool) {
        self.remote.fetch_add(if held { 1 } else { -1 }, Ordering::AcqRel);
        self.wake_unless_held();
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
    gates: Vec<(usize, Arc<Gate>)>,
    holding: bool,
}

impl SourceHold {
    /// A hold, not yet taken, on `sources` except those in `spared`.
    ///
    /// An operator that waits for one input to end while it leaves another unread must spare the sources
    /// of the first: holding them would be a deadlock.
    pub(crate) fn new(run: Arc<RunState>, sources: &Lineage, spared: &Lineage) -> Self {
        let gates = sources.difference(spared).map(|source| (*source, run.gate(*source))).collect();
        SourceHold { run, gates, holding: false }
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
        for (source, gate) in &self.gates {
            let edge = if hold { gate.hold() } else { gate.release() };
            if edge {
                self.run.tell_hold(*source, hold);
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
}
