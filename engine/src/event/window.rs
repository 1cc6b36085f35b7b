//! Windows: stretches of event time, and how records are assigned to them.

use std::cmp::Ordering;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::EventTime;
use crate::error::{Error, Result};
use crate::event::strategy::millis;

/// The times from `start` (included) to `end` (excluded), in milliseconds. Ordered by end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TimeWindow {
    /// First time inside.
    pub start: EventTime,
    /// First time behind.
    pub end: EventTime,
}

impl TimeWindow {
    /// The timestamp of the window's results: the last time inside.
    pub fn max_timestamp(&self) -> EventTime {
        self.end.saturating_sub(1)
    }

    /// Whether a time is inside.
    #[inline]
    pub(crate) fn contains(&self, timestamp: EventTime) -> bool {
        self.start <= timestamp && timestamp < self.end
    }

    /// Whether the two overlap or touch.
    pub(crate) fn touches(&self, other: &TimeWindow) -> bool {
        self.start <= other.end && other.start <= self.end
    }

    /// The smallest window around both.
    pub(crate) fn cover(&self, other: &TimeWindow) -> TimeWindow {
        TimeWindow { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

impl Ord for TimeWindow {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.end, self.start).cmp(&(other.end, other.start))
    }
}

impl PartialOrd for TimeWindow {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// How records are assigned to windows.
///
/// Durations count in whole milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows(pub(crate) Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Windows of `size`, one every `slide`, shifted by `offset`; tumbling ones slide by their size.
    Sliding {
        size: EventTime,
        slide: EventTime,
        offset: EventTime,
    },
    Session {
        gap: EventTime,
    },
    Global,
}

impl Windows {
    /// Windows of `size` side by side, from time 0: every record is in one.
    ///
    /// # Errors
    /// `size` is less than a millisecond.
    pub fn tumbling(size: Duration) -> Result<Self> {
        Self::sliding(size, size)
    }

    /// Windows of `size` that begin every `slide`: a record is in `size / slide` of them, or in none where
    /// `slide` is larger and leaves gaps.
    ///
    /// # Errors
    /// `size` or `slide` is less than a millisecond.
    pub fn sliding(size: Duration, slide: Duration) -> Result<Self> {
        let (size, slide) = (positive("size", size)?, positive("slide", slide)?);
        Ok(Windows(Kind::Sliding { size, slide, offset: 0 }))
    }

    /// One window per burst of activity: records of a key that are no more than `gap` apart are together.
    ///
    /// # Errors
    /// `gap` is less than a millisecond.
    pub fn session(gap: Duration) -> Result<Self> {
        Ok(Windows(Kind::Session { gap: positive("gap", gap)? }))
    }

    /// One window for all time. It is evaluated by its [`trigger`](crate::WindowedStream::trigger) only, which
    /// by default is never.
    pub fn global() -> Self {
        Windows(Kind::Global)
    }

    /// Shifts tumbling and sliding windows: day windows of a time zone, for example. The others have no place
    /// to be shifted from.
    #[must_use]
    pub fn offset(self, offset_millis: EventTime) -> Self {
        match self.0 {
            Kind::Sliding { size, slide, .. } => {
                Windows(Kind::Sliding { size, slide, offset: offset_millis.rem_euclid(slide) })
            }
            other => Windows(other),
        }
    }

    /// The one window of a record at `timestamp`, where there is just one; of a session it is the beginning.
    #[inline]
    pub(crate) fn only_window(&self, timestamp: EventTime) -> Option<TimeWindow> {
        match self.0 {
            Kind::Sliding { size, slide, offset } => {
                let start = timestamp.checked_sub(timestamp.checked_sub(offset)?.rem_euclid(slide))?;
                (size == slide).then_some(TimeWindow { start, end: start.saturating_add(size) })
            }
            Kind::Session { gap } => {
                Some(TimeWindow { start: timestamp, end: timestamp.saturating_add(gap) })
            }
            Kind::Global => Some(TimeWindow { start: EventTime::MIN, end: EventTime::MAX }),
        }
    }

    /// Appends the windows of a record at `timestamp`.
    pub(crate) fn assign(&self, timestamp: EventTime, windows: &mut Vec<TimeWindow>) {
        let Kind::Sliding { size, slide, offset } = self.0 else {
            windows.extend(self.only_window(timestamp));
            return;
        };
        let since = timestamp.saturating_sub(offset).rem_euclid(slide);
        let mut start = timestamp.saturating_sub(since);
        while start > timestamp.saturating_sub(size) {
            windows.push(TimeWindow { start, end: start.saturating_add(size) });
            let Some(earlier) = start.checked_sub(slide) else { break };
            start = earlier;
        }
    }
}

fn positive(what: &str, duration: Duration) -> Result<EventTime> {
    match millis(duration) {
        0 => Err(Error::config(format!("window {what} is {duration:?}, expected 1 ms or more"))),
        millis => Ok(millis),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows_of(windows: Windows, timestamp: EventTime) -> Vec<(EventTime, EventTime)> {
        let mut found = Vec::new();
        windows.assign(timestamp, &mut found);
        found.into_iter().map(|window| (window.start, window.end)).collect()
    }

    #[test]
    fn tumbling_window_of_a_time_holds_it_also_before_zero_and_with_an_offset() {
        let five = Windows::tumbling(Duration::from_millis(5)).unwrap();
        assert_eq!(windows_of(five, 0), [(0, 5)]);
        assert_eq!(windows_of(five, 4), [(0, 5)]);
        assert_eq!(windows_of(five, -1), [(-5, 0)]);
        for at in -20..20 {
            let only = five.offset(3).only_window(at).map(|window| (window.start, window.end));
            assert_eq!(windows_of(five.offset(3), at), [only.unwrap()]);
        }
        assert_eq!(windows_of(five.offset(2), 1), [(-3, 2)]);
        assert_eq!(windows_of(five.offset(-3), 2), [(2, 7)]);
    }

    #[test]
    fn sliding_windows_overlap_or_leave_gaps() {
        let millis = Duration::from_millis;
        let overlapping = Windows::sliding(millis(10), millis(4)).unwrap();
        assert_eq!(windows_of(overlapping, 9), [(8, 18), (4, 14), (0, 10)]);
        let gaps = Windows::sliding(millis(2), millis(5)).unwrap();
        assert_eq!((windows_of(gaps, 6), windows_of(gaps, 7)), (vec![(5, 7)], vec![]));
    }

    #[test]
    fn windows_at_the_ends_of_time_do_not_overflow() {
        let day = Windows::sliding(Duration::from_secs(86_400), Duration::from_secs(3_600)).unwrap();
        for timestamp in [EventTime::MIN, EventTime::MIN + 1, EventTime::MAX - 1, EventTime::MAX] {
            assert!(windows_of(day, timestamp).len() <= 24);
        }
    }

    #[test]
    fn window_without_length_is_refused() {
        let error = Windows::tumbling(Duration::from_micros(999)).unwrap_err();
        assert_eq!(error.message(), "window size is 999µs, expected 1 ms or more");
    }
}
