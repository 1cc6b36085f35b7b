//! The clock of a stream: checkpoint epoch outside loops, `(clock, round)` inside.

mod watermark;

use timely::order::TotalOrder;
use timely::progress::Timestamp;

pub(crate) use self::watermark::{Watermark, WatermarkPath};

/// Checkpoint epoch: the unit of checkpoints. Without checkpoints there is one, epoch 0.
pub type Epoch = u64;

/// Round of a loop, counted from 0; FLIP-176 calls it *epoch*.
pub type Round = u64;

/// Event time inside the checkpoint epochs, or the rounds, of `T`: both must pass before a time has passed, whatever
/// their order, so this is the one clock that is not totally ordered.
pub(crate) type EventClock<T> = timely::order::Product<T, Watermark>;

/// Event time in milliseconds, by convention since 1970-01-01 00:00 UTC.
pub type EventTime = i64;

/// Logical clock and hop inside a parameter-server loop, ordered lexicographically: workers advance the
/// clock, the feedback edge adds one to the hop.
pub type ClockHop = (u64, u64);

pub(crate) mod sealed {
    pub trait Sealed {}
}

/// What stamps the batches of an edge: a [`Clock`], or event time, which is not totally ordered. Implemented
/// by the engine only.
pub trait AnyClock: Timestamp + sealed::Sealed {
    /// How many counters of loops are nested in the checkpoint epoch.
    const NESTED: usize;

    /// The checkpoint epoch this time belongs to.
    fn epoch(&self) -> Epoch;

    /// The first time of a checkpoint epoch.
    fn first_of(epoch: Epoch) -> Self;

    /// Appends the checkpoint epoch, then the counters of the loops, from the outermost.
    fn counters(&self, to: &mut Vec<u64>);

    /// Whether this is behind all rounds of a loop around: the time of what is sent when it has ended.
    fn is_end(&self) -> bool;

    /// Whether it has an [`event_time`](Self::event_time).
    const HAS_EVENT_TIME: bool = false;

    /// The event time that it stands at, the least of all before the first; `None` without event time, and behind all of it.
    fn event_time(&self) -> Option<EventTime> {
        None
    }
}

/// The clock that stamps the records of a stream.
///
/// Outside loops it is the checkpoint [`Epoch`]; a loop nests a counter inside it as a tuple, ordered
/// lexicographically, so that every clock is totally ordered. Implemented by the engine only.
pub trait Clock: AnyClock + TotalOrder {}

impl<T: AnyClock + TotalOrder> Clock for T {}

/// The counter that a loop nests inside the surrounding clock. Implemented by the engine only.
pub trait LoopCounter: Timestamp + TotalOrder + sealed::Sealed {
    /// The number that programs know the counter by.
    fn number(&self) -> u64;

    /// How a feedback edge moves this counter.
    fn feedback_step() -> Self::Summary;

    /// The value behind all others that a loop has. A feedback edge can still move it, once: so a promise to send
    /// at it is seen behind the feedback edge too, and nothing is taken for ended before it is dropped.
    fn end() -> Self;

    /// Whether this is behind all values that a loop has.
    fn is_end(&self) -> bool {
        *self >= Self::end()
    }
}

impl sealed::Sealed for u64 {}
impl<T: sealed::Sealed, R: sealed::Sealed> sealed::Sealed for (T, R) {}

impl AnyClock for Epoch {
    const NESTED: usize = 0;

    fn epoch(&self) -> Epoch {
        *self
    }

    fn first_of(epoch: Epoch) -> Self {
        epoch
    }

    fn counters(&self, to: &mut Vec<u64>) {
        to.push(*self);
    }

    fn is_end(&self) -> bool {
        false
    }
}

impl<T: Clock, R: LoopCounter> AnyClock for (T, R) {
    const NESTED: usize = T::NESTED + 1;

    fn epoch(&self) -> Epoch {
        self.0.epoch()
    }

    fn first_of(epoch: Epoch) -> Self {
        (T::first_of(epoch), R::minimum())
    }

    fn counters(&self, to: &mut Vec<u64>) {
        self.0.counters(to);
        to.push(self.1.number());
    }

    fn is_end(&self) -> bool {
        self.0.is_end() || self.1.is_end()
    }
}

impl<T: sealed::Sealed> sealed::Sealed for EventClock<T> {}

impl<T: AnyClock> AnyClock for EventClock<T> {
    const NESTED: usize = T::NESTED;

    fn epoch(&self) -> Epoch {
        self.outer.epoch()
    }

    fn first_of(epoch: Epoch) -> Self {
        timely::order::Product { outer: T::first_of(epoch), inner: Timestamp::minimum() }
    }

    fn counters(&self, to: &mut Vec<u64>) {
        self.outer.counters(to);
    }

    fn is_end(&self) -> bool {
        self.outer.is_end()
    }

    const HAS_EVENT_TIME: bool = true;

    fn event_time(&self) -> Option<EventTime> {
        self.inner.time()
    }
}

impl LoopCounter for Round {
    fn number(&self) -> u64 {
        *self
    }

    fn feedback_step() -> u64 {
        1
    }

    fn end() -> u64 {
        Round::MAX - 1
    }
}

impl LoopCounter for ClockHop {
    fn number(&self) -> u64 {
        self.0
    }

    fn feedback_step() -> (u64, u64) {
        (0, 1)
    }

    fn end() -> (u64, u64) {
        (u64::MAX, u64::MAX - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use timely::PartialOrder;

    #[test]
    fn nested_clock_orders_outer_first_then_counter() {
        let early: (Epoch, ClockHop) = (1, (7, 9));
        assert!(early.less_equal(&(2, (0, 0))));
        assert!((1u64, (7u64, 9u64)).less_equal(&(1, (8, 0))));
        assert!(!(1u64, (8u64, 0u64)).less_equal(&(1, (7, 9))));
        assert_eq!(((3u64, 4u64), 5u64).epoch(), 3);
    }
}
