//! Joins of two keyed streams within windows.

use std::marker::PhantomData;
use std::panic::Location;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::{Clock, Epoch};
use crate::event::interval_join::IntervalJoin;
use crate::event::keyed::KeyedEventStream;
use crate::event::stream::EventStream;
use crate::event::trigger::Trigger;
use crate::event::window::{TimeWindow, Windows};
use crate::event::window_function::{WindowFunction, WindowOut};
use crate::event::windowed::{WindowedResults, WindowedStream};
use crate::hash::Key;
use crate::process::Collector;
use crate::record::Record;

/// A record of one of two streams.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Side<L, R> {
    Left(L),
    Right(R),
}

/// The outputs of a join. Dropping one costs nothing.
#[derive(Debug)]
pub struct JoinedResults<'s, O, L, R, T: Clock = Epoch> {
    /// The results. A pair that is near in time has the later timestamp of the two; what a window came to, that of the
    /// window's last millisecond.
    pub results: EventStream<'s, O, T>,
    /// Left records that came too late to be joined: behind the watermark, or when all of their windows were gone.
    pub late_left: EventStream<'s, L, T>,
    /// Right records that came too late to be joined.
    pub late_right: EventStream<'s, R, T>,
}

impl<'s, O, L: Record, R: Record, T: Clock> JoinedResults<'s, O, L, R, T> {
    pub(crate) fn of(joined: WindowedResults<'s, O, Side<L, R>, T>) -> Self {
        let late_left = joined.late.clone().flat_map(|side| match side {
            Side::Left(left) => Some(left),
            Side::Right(_) => None,
        });
        let late_right = joined.late.flat_map(|side| match side {
            Side::Left(_) => None,
            Side::Right(right) => Some(right),
        });
        JoinedResults { results: joined.results, late_left, late_right }
    }
}

/// Two streams with event time, partitioned by the same key; see [`KeyedEventStream::join`].
pub struct JoinedStreams<'s, K, L, R, T: Clock = Epoch> {
    sides: KeyedEventStream<'s, K, Side<L, R>, T>,
}

impl<K, L, R, T: Clock> std::fmt::Debug for JoinedStreams<'_, K, L, R, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("JoinedStreams").field(&self.sides).finish()
    }
}

impl<'s, K: Key, L: Record, T: Clock> KeyedEventStream<'s, K, L, T> {
    /// Puts this stream beside another with the same type of key, to join records of equal key by
    /// [`window`](JoinedStreams::window) or [`between`](JoinedStreams::between) times.
    #[track_caller]
    pub fn join<R: Record>(self, other: KeyedEventStream<'s, K, R, T>) -> JoinedStreams<'s, K, L, R, T> {
        let (left_key, right_key) = (self.key, other.key);
        let sides = self.stream.map(Side::Left).union(other.stream.map(Side::Right));
        let key = move |side: &Side<L, R>| match side {
            Side::Left(left) => left_key(left),
            Side::Right(right) => right_key(right),
        };
        JoinedStreams { sides: sides.key_by(key) }
    }
}

impl<'s, K: Key, L: Record, R: Record, T: Clock> JoinedStreams<'s, K, L, R, T> {
    /// Joins what falls in the same window.
    pub fn window(self, windows: Windows) -> WindowJoin<'s, K, L, R, T> {
        WindowJoin { windowed: self.sides.window(windows) }
    }

    /// Joins each left record with the right records whose timestamps are from `lower` to `upper` milliseconds
    /// after its own, both included; negative is before.
    ///
    /// # Errors
    /// `lower` is above `upper`.
    pub fn between(self, lower: i64, upper: i64) -> crate::error::Result<IntervalJoin<'s, K, L, R, T>> {
        IntervalJoin::new(self.sides, lower, upper)
    }
}

/// A join within windows, before it is said what to make of the pairs.
pub struct WindowJoin<'s, K, L, R, T: Clock = Epoch> {
    windowed: WindowedStream<'s, K, Side<L, R>, T>,
}

impl<K, L, R, T: Clock> std::fmt::Debug for WindowJoin<'_, K, L, R, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("WindowJoin").field(&self.windowed).finish()
    }
}

impl<'s, K: Key, L: Record, R: Record, T: Clock> WindowJoin<'s, K, L, R, T> {
    /// Sets when windows are evaluated; see [`WindowedStream::trigger`].
    #[must_use]
    pub fn trigger(self, trigger: impl Trigger) -> Self {
        WindowJoin { windowed: self.windowed.trigger(trigger) }
    }

    /// Keeps windows longer; see [`WindowedStream::allowed_lateness`].
    #[must_use]
    pub fn allowed_lateness(self, lateness: Duration) -> Self {
        WindowJoin { windowed: self.windowed.allowed_lateness(lateness) }
    }

    /// Calls `f` with every pair of a left and a right record of the same key and window.
    #[track_caller]
    pub fn apply<O: 'static>(
        self,
        mut f: impl FnMut(&L, &R) -> O + 'static,
    ) -> JoinedResults<'s, O, L, R, T> {
        let pairs = move |_: &K, _: TimeWindow, left: &[L], right: &[R], out: &mut Collector<O>| {
            for left in left {
                right.iter().for_each(|right| out.emit(f(left, right)));
            }
        };
        let function = CoGrouped { f: pairs, collector: Collector::default(), of: PhantomData };
        JoinedResults::of(self.windowed.run("window_join", Location::caller(), function))
    }

    /// Calls `f` once per key and window with the records of both sides, of which one may be empty.
    #[track_caller]
    pub fn co_group<O: 'static>(
        self,
        f: impl FnMut(&K, TimeWindow, &[L], &[R], &mut Collector<O>) + 'static,
    ) -> JoinedResults<'s, O, L, R, T> {
        let function = CoGrouped { f, collector: Collector::default(), of: PhantomData };
        JoinedResults::of(self.windowed.run("co_group", Location::caller(), function))
    }
}

/// A function of the records of both sides of a window.
struct CoGrouped<F, O, L, R> {
    f: F,
    collector: Collector<O>,
    of: PhantomData<(L, R)>,
}

impl<K, L, R, O, F> WindowFunction<K, Side<L, R>> for CoGrouped<F, O, L, R>
where
    L: Record,
    R: Record,
    O: 'static,
    F: FnMut(&K, TimeWindow, &[L], &[R], &mut Collector<O>) + 'static,
{
    type Acc = (Vec<L>, Vec<R>);
    type Out = O;

    fn create(&self) -> Self::Acc {
        (Vec::new(), Vec::new())
    }

    fn add(&mut self, acc: &mut Self::Acc, record: Side<L, R>) {
        match record {
            Side::Left(left) => acc.0.push(left),
            Side::Right(right) => acc.1.push(right),
        }
    }

    fn merge(&mut self, mut acc: Self::Acc, mut other: Self::Acc) -> Self::Acc {
        acc.0.append(&mut other.0);
        acc.1.append(&mut other.1);
        acc
    }

    fn fire(&mut self, key: &K, window: TimeWindow, acc: &Self::Acc, out: &mut WindowOut<'_, O>) {
        (self.f)(key, window, &acc.0, &acc.1, &mut self.collector);
        self.collector.batch().drain(..).for_each(|value| out.emit(value));
    }
}
