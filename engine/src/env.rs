//! The environment of a job on one worker: its sources, and where it runs.

use std::cell::Cell;
use std::rc::Rc;

use crate::clock::Epoch;
use crate::delta::BatchClock;
use crate::edge::Place;

/// What a job builds its graph from. Each worker thread has its own.
pub struct Env<'s> {
    place: Place<'s, Epoch>,
    /// Where streams of batches live.
    batches: Place<'s, BatchClock>,
    next_source: Rc<Cell<usize>>,
}

impl<'s> Env<'s> {
    pub(crate) fn new(place: Place<'s, Epoch>, batches: Place<'s, BatchClock>) -> Self {
        Env { place, batches, next_source: Rc::default() }
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
