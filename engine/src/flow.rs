//! Flow control: an operator that can not take more input holds the sources that feed it.
//!
//! Only sources are ever held, never a feedback edge and never an operator in between, so whatever is in
//! flight can always finish; that is what releases the hold. A hold reaches the sources of every thread
//! at once and those of other processes by a notice, so what still arrives is bounded by a few batches.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use timely::scheduling::activate::SyncActivator;

use crate::runtime::state::{RunState, lock};

/// The sources that a stream descends from, by index.
pub(crate) type Lineage = Rc<BTreeSet<usize>>;

/// The valve of one source in one process.
#[derive(Default)]
pub(crate) struct Gate {
    holds: AtomicUsize,
    readers: Mutex<Vec<SyncActivator>>,
}

impl Gate {
    /// Whether some operator holds this source.
    #[inline]
    pub(crate) fn is_held(&self) -> bool {
        self.holds.load(Ordering::Acquire) > 0
    }

    /// Adds one reader of the source, to be woken when the last hold ends.
    pub(crate) fn register(&self, reader: SyncActivator) {
        lock(&self.readers).push(reader);
    }

    /// Adds one hold; true if it is the first.
    pub(crate) fn hold(&self) -> bool {
        self.holds.fetch_add(1, Ordering::AcqRel) == 0
    }

    /// Ends one hold and, if it was the last, wakes the readers; true if it was the last.
    pub(crate) fn release(&self) -> bool {
        let last = self.holds.fetch_sub(1, Ordering::AcqRel) == 1;
        if last {
            for reader in lock(&self.readers).iter() {
                // A reader that has ended can not be woken, and need not be.
                let _ = reader.activate();
            }
        }
        last
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
