//! Clocks that collections can live on.

use differential_dataflow::lattice::Lattice;
use timely::order::Product;

use crate::clock::{AnyClock, Epoch, Round, sealed};

/// Number of a batch of changes, counted from 0.
pub type BatchNumber = u64;

/// The clock of streams of batches: checkpoint epoch, and inside it the batch, ordered lexicographically.
pub type BatchClock = (Epoch, BatchNumber);

/// The clock inside [`iterate`](crate::Collection::iterate): the surrounding clock and a round, ordered as a
/// product. That a round of a later batch is not after a later round of an earlier batch is what lets each round
/// be updated by itself.
pub type InLoop<T> = Product<T, Round>;

/// A clock that a [`Collection`](crate::Collection) can live on: the checkpoint epoch, batches, rounds of loops,
/// and [`InLoop`] of these. Implemented by the engine only.
pub trait DeltaClock: AnyClock + Lattice {}

impl<T: AnyClock + Lattice> DeltaClock for T {}

impl<T: sealed::Sealed> sealed::Sealed for InLoop<T> {}

impl<T: AnyClock> AnyClock for InLoop<T> {
    fn epoch(&self) -> Epoch {
        self.outer.epoch()
    }

    fn first_of(epoch: Epoch) -> Self {
        Product { outer: T::first_of(epoch), inner: 0 }
    }

    fn is_end(&self) -> bool {
        self.outer.is_end()
    }

    fn counters(&self, to: &mut Vec<u64>) {
        self.outer.counters(to);
        to.push(self.inner);
    }
}
