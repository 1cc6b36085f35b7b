//! How timestamps are read and how far behind them the watermark stays.

use std::rc::Rc;
use std::time::Duration;

use crate::clock::EventTime;
use crate::event::stream::Timed;

/// Where a record's timestamp is, how much disorder to expect, and when a silent partition no longer counts.
pub struct WatermarkStrategy<D> {
    pub(crate) timestamps: Rc<dyn Timestamps<D>>,
    pub(crate) bound: EventTime,
    pub(crate) idle_after: Option<Duration>,
}

impl<D> WatermarkStrategy<D> {
    /// Timestamps may be up to `bound` behind the highest one that was seen; what is further behind is late.
    ///
    /// `timestamp` gives a record's time in milliseconds. Fractions of a millisecond of `bound` do not count.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use waterwheel_engine::WatermarkStrategy;
    ///
    /// let strategy = WatermarkStrategy::bounded_out_of_orderness(Duration::from_secs(5), |at: &i64| *at);
    /// # let _ = strategy;
    /// ```
    pub fn bounded_out_of_orderness(bound: Duration, timestamp: impl Fn(&D) -> EventTime + 'static) -> Self {
        WatermarkStrategy { timestamps: Rc::new(timestamp), bound: millis(bound), idle_after: None }
    }

    /// Timestamps never go back within a partition.
    pub fn monotonous(timestamp: impl Fn(&D) -> EventTime + 'static) -> Self {
        Self::bounded_out_of_orderness(Duration::ZERO, timestamp)
    }

    /// A worker's part of the stream that has been silent for `timeout` no longer holds the watermark back:
    /// it follows the others until it has records again, of which some may then be late.
    ///
    /// Default: it holds the watermark back for as long as it is silent. A part that has ended never does.
    #[must_use]
    pub fn with_idleness(mut self, timeout: Duration) -> Self {
        self.idle_after = Some(timeout);
        self
    }
}

impl<D> std::fmt::Debug for WatermarkStrategy<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WatermarkStrategy")
            .field("bound_millis", &self.bound)
            .field("idle_after", &self.idle_after)
            .finish_non_exhaustive()
    }
}

/// Reads the timestamps of whole batches: one call a batch.
pub(crate) trait Timestamps<D> {
    /// Moves the records to `stamped`, and returns their highest timestamp.
    fn stamp(&self, records: &mut Vec<D>, stamped: &mut Vec<Timed<D>>) -> Option<EventTime>;

    /// The timestamp of one record.
    fn of(&self, record: &D) -> EventTime;
}

impl<D, F: Fn(&D) -> EventTime> Timestamps<D> for F {
    fn stamp(&self, records: &mut Vec<D>, stamped: &mut Vec<Timed<D>>) -> Option<EventTime> {
        let mut highest = None;
        stamped.extend(records.drain(..).map(|value| {
            let timestamp = self(&value);
            highest = highest.max(Some(timestamp));
            Timed { timestamp, value }
        }));
        highest
    }

    fn of(&self, record: &D) -> EventTime {
        self(record)
    }
}

/// Whole milliseconds of a duration.
pub(crate) fn millis(duration: Duration) -> EventTime {
    EventTime::try_from(duration.as_millis()).unwrap_or(EventTime::MAX)
}
