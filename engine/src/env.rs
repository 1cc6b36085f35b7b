//! The environment of a job on one worker: its sources, and where it runs.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use timely::dataflow::Scope;

use crate::clock::{Epoch, EventClock};
use crate::delta::BatchClock;
use crate::edge::Place;
use crate::runtime::state::RunState;

/// What a job builds its graph from. Each worker thread has its own.
pub struct Env<'s> {
    place: Place<'s, Epoch>,
    /// Where streams of batches live.
    batches: Place<'s, BatchClock>,
    next_source: Rc<Cell<usize>>,
}

impl<'s> Env<'s> {
    pub(crate) fn new(
        scope: Scope<'s, Epoch>,
        events: Scope<'s, EventClock<Epoch>>,
        batches: Scope<'s, BatchClock>,
        run: Arc<RunState>,
    ) -> Self {
        let batches = Place::new(batches, Arc::clone(&run));
        Env { place: Place::new(scope, run).with_events(events), batches, next_source: Rc::default() }
    }

    /// Index of this worker, in `0..workers()`, over all processes.
    pub fn worker_index(&self) -> usize {
        self.place.worker_index()
    }

    /// Number of workers of the whole job.
    pub fn workers(&self) -> usize {
        self.place.workers()
    }

    /// Where operators of this job live, for the layers that build their own.
    pub fn place(&self) -> &Place<'s, Epoch> {
        &self.place
    }

    /// Where streams of batches live.
    pub(crate) fn batch_place(&self) -> &Place<'s, BatchClock> {
        &self.batches
    }

    pub(crate) fn next_source(&self) -> usize {
        let index = self.next_source.get();
        self.next_source.set(index + 1);
        index
    }
}

impl std::fmt::Debug for Env<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (worker, workers) = (self.worker_index(), self.workers());
        f.debug_struct("Env").field("worker", &worker).field("workers", &workers).finish()
    }
}
