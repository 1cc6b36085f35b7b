//! Streams of records with timestamps.

use serde::{Deserialize, Serialize};

use crate::clock::{Clock, Epoch, EventClock, EventTime};
use crate::collect::Collected;
use crate::edge::Place;
use crate::error::Result;
use crate::event::driver::EventEdge;
use crate::event::keyed::KeyedEventStream;
use crate::event::window::Windows;
use crate::event::windowed::WindowedStream;
use crate::hash::Key;
use crate::record::Record;
use crate::stream::DataStream;

/// A record with its timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timed<D> {
    /// When it happened, in milliseconds.
    pub timestamp: EventTime,
    /// The record.
    pub value: D,
}

impl<D> Timed<D> {
    fn map<E>(self, f: impl FnOnce(D) -> E) -> Timed<E> {
        Timed { timestamp: self.timestamp, value: f(self.value) }
    }
}

/// A stream whose records have timestamps, and which knows its watermark; made by
/// [`assign_timestamps_and_watermarks`](DataStream::assign_timestamps_and_watermarks).
///
/// Transformations keep a record's timestamp. The watermark of an operator is *W* when no record with a timestamp
/// below *W* is to come that is not late (Flink's watermark is *W* - 1). It is the exact minimum over all workers
/// and records on their way. At the end of the input it is the end of time, so every window fires.
///
/// # In the body of an iteration
/// Event time runs anew in every round: a round is a stream of its own. Its watermark follows its records and is the
/// end of time when the round is complete; so windows fire, timers are due and joins forget at the end of their round
/// at the latest, and what they emit belongs to it. Records of two rounds are never in one window or one pair, and no
/// record makes one of another round late. In a loop inside another, each round of each run is one of these streams.
///
/// A round 0 that goes on, because there is still data to come, has windows that fire as its watermark moves. The
/// watermark of a later round begins to move when the round before it is complete: until then it is not known on every
/// worker whether records are to come. What is emitted when the iteration has ended is a round of its own, whose
/// windows fire at its end.
///
/// To feed results back, turn to a plain stream with [`into_stream`](Self::into_stream); what comes back gets new
/// timestamps, by another [`assign_timestamps_and_watermarks`](DataStream::assign_timestamps_and_watermarks). A stream
/// that enters the loop leaves its event time outside, and gets it anew in the same way.
pub struct EventStream<'s, D, T: Clock = Epoch> {
    inner: DataStream<'s, Timed<D>, EventClock<T>>,
    around: Place<'s, T>,
}

impl<D: Clone + 'static, T: Clock> Clone for EventStream<'_, D, T> {
    fn clone(&self) -> Self {
        EventStream { inner: self.inner.clone(), around: self.around.clone() }
    }
}

impl<D, T: Clock> std::fmt::Debug for EventStream<'_, D, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("EventStream").field(&self.inner).finish()
    }
}

impl<'s, D: 'static, T: Clock> EventStream<'s, D, T> {
    pub(crate) fn from_edge(edge: EventEdge<'s, D, T>, around: Place<'s, T>) -> Self {
        EventStream { inner: DataStream::from_edge(edge), around }
    }

    pub(crate) fn into_parts(self) -> (EventEdge<'s, D, T>, Place<'s, T>) {
        (self.inner.into_edge(), self.around)
    }

    /// The stream in its scope, and where that is.
    pub(crate) fn into_inner(self) -> (DataStream<'s, Timed<D>, EventClock<T>>, Place<'s, T>) {
        (self.inner, self.around)
    }

    pub(crate) fn of(inner: DataStream<'s, Timed<D>, EventClock<T>>, around: Place<'s, T>) -> Self {
        EventStream { inner, around }
    }

    /// The records without their timestamps: back to a plain stream.
    #[must_use]
    #[track_caller]
    pub fn into_stream(self) -> DataStream<'s, D, T> {
        self.into_timed_stream().map(|timed| timed.value)
    }

    /// The records with their timestamps, as a plain stream.
    #[must_use]
    #[track_caller]
    pub fn into_timed_stream(self) -> DataStream<'s, Timed<D>, T> {
        DataStream::from_edge(self.around.leave_event_time(self.inner.into_edge()))
    }

    /// Names the operator that made this stream, for its errors.
    #[must_use]
    pub fn name(self, name: &str) -> Self {
        EventStream { inner: self.inner.name(name), ..self }
    }

    /// Replaces each record by `f` of it.
    #[track_caller]
    pub fn map<E: 'static>(self, mut f: impl FnMut(D) -> E + 'static) -> EventStream<'s, E, T> {
        EventStream { inner: self.inner.map(move |timed| timed.map(&mut f)), around: self.around }
    }

    /// As [`map`](Self::map), for a function that can fail: its error ends the run.
    #[track_caller]
    pub fn try_map<E: 'static>(self, mut f: impl FnMut(D) -> Result<E> + 'static) -> EventStream<'s, E, T> {
        let inner =
            self.inner.try_map(move |Timed { timestamp, value }| Ok(Timed { timestamp, value: f(value)? }));
        EventStream { inner, around: self.around }
    }

    /// Keeps the records for which `keep` is true.
    #[track_caller]
    pub fn filter(self, mut keep: impl FnMut(&D) -> bool + 'static) -> Self {
        EventStream { inner: self.inner.filter(move |timed| keep(&timed.value)), around: self.around }
    }

    /// Replaces each record by all items of `f` of it, each with the record's timestamp.
    #[track_caller]
    pub fn flat_map<I: IntoIterator<Item: 'static>>(
        self,
        mut f: impl FnMut(D) -> I + 'static,
    ) -> EventStream<'s, I::Item, T> {
        let inner = self.inner.flat_map(move |Timed { timestamp, value }| {
            f(value).into_iter().map(move |value| Timed { timestamp, value })
        });
        EventStream { inner, around: self.around }
    }

    /// Shows each record with its timestamp to `look` and passes it on.
    #[track_caller]
    pub fn inspect(self, look: impl FnMut(&Timed<D>) + 'static) -> Self {
        EventStream { inner: self.inner.inspect(look), around: self.around }
    }

    /// All records of both streams. The watermark is the lower of theirs.
    #[must_use]
    #[track_caller]
    pub fn union(self, other: Self) -> Self {
        EventStream { inner: self.inner.union(other.inner), around: self.around }
    }

    /// Partitions the stream by key: all records of one key are handled by the worker that owns the key.
    #[track_caller]
    pub fn key_by<K: Key>(self, key: impl Fn(&D) -> K + 'static) -> KeyedEventStream<'s, K, D, T>
    where
        D: Record,
    {
        KeyedEventStream::new(self, key)
    }

    /// Windows over all records together, whatever their key: on one worker.
    #[track_caller]
    pub fn window_all(self, windows: Windows) -> WindowedStream<'s, (), D, T>
    where
        D: Record,
    {
        self.key_by(|_| ()).window(windows)
    }

    /// Gathers all records on worker 0; see [`DataStream::collect`].
    #[track_caller]
    pub fn collect(self) -> Collected<D>
    where
        D: Record,
    {
        self.into_stream().collect()
    }
}
