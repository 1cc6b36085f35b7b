//! Event time as progress tracking knows it.

use serde::{Deserialize, Serialize};
use timely::order::{PartialOrder, TotalOrder};
use timely::progress::Timestamp;
use timely::progress::timestamp::PathSummary;

use crate::clock::EventTime;

/// The least event time that what is sent may still have; behind all event times for what says nothing about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Watermark(EventTime);

impl Watermark {
    /// Behind all event times.
    pub(crate) const SILENT: Watermark = Watermark(EventTime::MAX);

    /// The watermark at an event time. The last one of all is taken for the one before it.
    pub(crate) fn at(time: EventTime) -> Self {
        Watermark(time.min(EventTime::MAX - 1))
    }

    /// The event time, if it says one.
    pub(crate) fn time(self) -> Option<EventTime> {
        (self != Self::SILENT).then_some(self.0)
    }
}

/// What a path does to the watermark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum WatermarkPath {
    /// Nothing.
    #[default]
    Keeps,
    /// What has come along it says nothing about event time.
    Silences,
}

impl PartialOrder for Watermark {
    #[inline]
    fn less_equal(&self, other: &Self) -> bool {
        self <= other
    }
}

impl TotalOrder for Watermark {}

impl Timestamp for Watermark {
    type Summary = WatermarkPath;

    fn minimum() -> Self {
        Watermark(EventTime::MIN)
    }
}

impl PartialOrder for WatermarkPath {
    fn less_equal(&self, other: &Self) -> bool {
        self <= other
    }
}

impl PathSummary<Watermark> for WatermarkPath {
    #[inline]
    fn results_in(&self, watermark: &Watermark) -> Option<Watermark> {
        Some(match self {
            WatermarkPath::Keeps => *watermark,
            WatermarkPath::Silences => Watermark::SILENT,
        })
    }

    fn followed_by(&self, other: &Self) -> Option<Self> {
        Some(*self.max(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_that_silences_leads_behind_all_event_times_whatever_else_is_on_it() {
        let silent = |path: WatermarkPath, at: EventTime| path.results_in(&Watermark::at(at)).unwrap().time();
        for (first, then) in
            [(WatermarkPath::Silences, WatermarkPath::Keeps), (WatermarkPath::Keeps, WatermarkPath::Silences)]
        {
            let path = first.followed_by(&then).unwrap();
            assert_eq!([EventTime::MIN, 0, EventTime::MAX].map(|at| silent(path, at)), [None; 3]);
        }
        let kept =
            [EventTime::MIN, 0, EventTime::MAX - 1, EventTime::MAX].map(|at| silent(Default::default(), at));
        assert_eq!(kept, [EventTime::MIN, 0, EventTime::MAX - 1, EventTime::MAX - 1].map(Some));
    }
}
