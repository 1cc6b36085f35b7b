//! What may still arrive at an operator.

use timely::progress::frontier::MutableAntichain;

use crate::clock::{AnyClock, Clock, Epoch, EventClock};

/// The frontiers of an operator's inputs: what may still arrive.
#[derive(Debug)]
pub struct Frontiers<'a, T: AnyClock>(pub(super) &'a [MutableAntichain<T>]);

impl<T: Clock> Frontiers<'_, T> {
    /// The least time that may still arrive on any input, if any.
    pub(crate) fn least(&self) -> Option<T> {
        (0..self.0.len()).filter_map(|port| self.next(port)).min()
    }
}

impl<'a, T: AnyClock> Frontiers<'a, T> {
    pub(crate) fn new(inputs: &'a [MutableAntichain<T>]) -> Self {
        Frontiers(inputs)
    }

    /// The first checkpoint epoch of which something may still arrive on any input; `None` when nothing will.
    pub(crate) fn epoch(&self) -> Option<Epoch> {
        self.0.iter().filter_map(|input| input.frontier().iter().map(AnyClock::epoch).min()).min()
    }

    /// Whether a record at `time` or before may still arrive on input `port`.
    #[inline]
    pub fn may_arrive(&self, port: usize, time: &T) -> bool {
        self.0[port].less_equal(time)
    }

    /// Whether nothing at all will arrive any more on input `port`.
    #[inline]
    pub fn is_done(&self, port: usize) -> bool {
        self.0[port].frontier().is_empty()
    }

    /// The least time that may still arrive on input `port`, if any.
    #[inline]
    pub fn next(&self, port: usize) -> Option<T>
    where
        T: Clock,
    {
        self.0[port].frontier().iter().next().cloned()
    }
}

impl<T: Clock> Frontiers<'_, EventClock<T>> {
    /// The greatest time that is not after anything that may still arrive on any input, in rounds up to `round`
    /// where one is given; `None` when nothing will. Its event time is the watermark: the exact minimum over all
    /// partitions and workers.
    pub(crate) fn meet(&self, round: Option<&T>) -> Option<EventClock<T>> {
        self.0.iter().filter_map(|input| meet(input, round)).reduce(|a, b| {
            let (outer, inner) = (a.outer.min(b.outer), a.inner.min(b.inner));
            EventClock { outer, inner }
        })
    }

    /// The least outer time that may still arrive on input `port`, if any.
    pub(crate) fn next_outer(&self, port: usize) -> Option<T> {
        meet(&self.0[port], None).map(|time| time.outer)
    }
}

fn meet<T: Clock>(input: &MutableAntichain<EventClock<T>>, round: Option<&T>) -> Option<EventClock<T>> {
    let times = input.frontier();
    let times = || times.iter().filter(|time| round.is_none_or(|round| time.outer <= *round));
    let outer = times().map(|time| &time.outer).min()?;
    let inner = times().map(|time| time.inner).min()?;
    Some(EventClock { outer: outer.clone(), inner })
}
