//! Building windowed computations.

use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::clock::{Clock, Epoch, EventTime};
use crate::event::keyed::KeyedEventStream;
use crate::event::panes::Panes;
use crate::event::sessions::Sessions;
use crate::event::strategy::millis;
use crate::event::stream::EventStream;
use crate::event::trigger::{EventTimeTrigger, NeverTrigger, Trigger};
use crate::event::window::{Kind, TimeWindow, Windows};
use crate::event::window_function::{Aggregated, Folded, OfRecords, WindowFunction};
use crate::hash::Key;
use crate::keyed::AggregateFunction;
use crate::process::Collector;
use crate::record::Record;

/// What a window came to. Its timestamp in the stream is the window's last millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WindowResult<K, R> {
    /// The key.
    pub key: K,
    /// The window.
    pub window: TimeWindow,
    /// The result.
    pub value: R,
}

/// The two outputs of an operator with event time. Dropping one costs nothing.
#[derive(Debug)]
pub struct WindowedResults<'s, R, D, T: Clock = Epoch> {
    /// The results.
    pub results: EventStream<'s, R, T>,
    /// Records that came when all of their windows were gone: as they are, with their timestamps.
    pub late: EventStream<'s, D, T>,
}

/// Windows over a keyed stream, before it is said what to compute.
pub struct WindowedStream<'s, K, D, T: Clock = Epoch> {
    keyed: KeyedEventStream<'s, K, D, T>,
    settings: WindowSettings,
}

/// Windows, when they are evaluated and when they are gone.
#[derive(Clone)]
pub(crate) struct WindowSettings {
    pub(crate) windows: Windows,
    pub(crate) trigger: Rc<dyn Trigger>,
    /// Whether the trigger is [`EventTimeTrigger`], which needs not be asked before a window's end.
    fires_at_end: bool,
    pub(crate) lateness: EventTime,
}

impl WindowSettings {
    pub(crate) fn new(windows: Windows) -> Self {
        let trigger: Rc<dyn Trigger> = match windows.0 {
            Kind::Global => Rc::new(NeverTrigger),
            _ => Rc::new(EventTimeTrigger),
        };
        WindowSettings { windows, trigger, fires_at_end: windows.0 != Kind::Global, lateness: 0 }
    }

    pub(crate) fn set_trigger(&mut self, trigger: impl Trigger) {
        self.trigger = Rc::new(trigger);
        self.fires_at_end = false;
    }

    /// Whether the trigger is to be asked about a record that was added.
    #[inline]
    pub(crate) fn may_fire_on_element(&self, window: &TimeWindow, watermark: EventTime) -> bool {
        !self.fires_at_end || watermark >= window.end
    }

    /// The one window of a record at `timestamp`, if there is just one and it does not fire when the record is
    /// added.
    #[inline]
    pub(crate) fn quiet_window(&self, timestamp: EventTime, watermark: EventTime) -> Option<TimeWindow> {
        let window = self.windows.only_window(timestamp)?;
        (!self.may_fire_on_element(&window, watermark)).then_some(window)
    }

    /// Whether a record can no longer change the window.
    pub(crate) fn is_gone(&self, window: &TimeWindow, watermark: EventTime) -> bool {
        // The global window lasts for all time, also when the watermark says that all input is over.
        window.end.saturating_add(self.lateness) <= watermark && window.end < EventTime::MAX
    }
}

impl<K, D, T: Clock> std::fmt::Debug for WindowedStream<'_, K, D, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let settings = &self.settings;
        f.debug_struct("WindowedStream")
            .field("keyed", &self.keyed)
            .field("windows", &settings.windows)
            .field("lateness_millis", &settings.lateness)
            .finish_non_exhaustive()
    }
}

impl<'s, K: Key, D: Record, T: Clock> WindowedStream<'s, K, D, T> {
    pub(crate) fn new(keyed: KeyedEventStream<'s, K, D, T>, windows: Windows) -> Self {
        WindowedStream { keyed, settings: WindowSettings::new(windows) }
    }

    /// Sets when windows are evaluated.
    #[must_use]
    pub fn trigger(mut self, trigger: impl Trigger) -> Self {
        self.settings.set_trigger(trigger);
        self
    }

    /// Keeps windows for `lateness` after the watermark has reached their end: a record that comes in that time
    /// evaluates its window anew. Default: zero.
    #[must_use]
    pub fn allowed_lateness(mut self, lateness: Duration) -> Self {
        self.settings.lateness = millis(lateness);
        self
    }

    /// Keeps an aggregate of each window: memory does not grow with the records.
    #[track_caller]
    pub fn aggregate<G>(self, aggregate: G) -> WindowedResults<'s, WindowResult<K, G::Out>, D, T>
    where
        G: AggregateFunction<In = D>,
    {
        self.run("window_aggregate", Location::caller(), Aggregated(aggregate))
    }

    /// Combines the records of each window two by two; `combine` must be associative and commutative.
    #[track_caller]
    pub fn reduce(
        self,
        combine: impl Fn(D, D) -> D + 'static,
    ) -> WindowedResults<'s, WindowResult<K, D>, D, T> {
        let combine = Rc::new(combine);
        let merging = Rc::clone(&combine);
        let add = move |acc: &mut Option<D>, record: D| {
            *acc = Some(match acc.take() {
                Some(before) => combine(before, record),
                None => record,
            });
        };
        let merge = move |acc: Option<D>, other: Option<D>| match (acc, other) {
            (Some(a), Some(b)) => Some(merging(a, b)),
            (a, b) => a.or(b),
        };
        let folded = Folded { create: || None, add, merge };
        let WindowedResults { results, late } = self.run("window_reduce", Location::caller(), folded);
        let results = results.flat_map(|WindowResult { key, window, value }| {
            value.map(|value| WindowResult { key, window, value })
        });
        WindowedResults { results, late }
    }

    /// Counts the records of each window.
    #[track_caller]
    pub fn count(self) -> WindowedResults<'s, WindowResult<K, u64>, D, T> {
        let add = |n: &mut u64, _record: D| *n += 1;
        let folded = Folded { create: || 0, add, merge: |a: u64, b: u64| a + b };
        self.run("window_count", Location::caller(), folded)
    }

    /// Adds up a number of each record of a window.
    #[track_caller]
    pub fn sum<N>(self, number: impl Fn(&D) -> N + 'static) -> WindowedResults<'s, WindowResult<K, N>, D, T>
    where
        N: Default + Clone + std::ops::AddAssign + Serialize + DeserializeOwned + 'static,
    {
        let add = move |sum: &mut N, record: D| *sum += number(&record);
        let merge = |mut sum: N, more: N| {
            sum += more;
            sum
        };
        let folded = Folded { create: N::default, add, merge };
        self.run("window_sum", Location::caller(), folded)
    }

    /// Keeps all records of each window and hands them to `f` together, in order of arrival.
    #[track_caller]
    pub fn process<R: 'static>(
        self,
        f: impl FnMut(&K, TimeWindow, &[D], &mut Collector<R>) + 'static,
    ) -> WindowedResults<'s, R, D, T> {
        self.run("window_process", Location::caller(), OfRecords::new(f))
    }

    pub(crate) fn run<F: WindowFunction<K, D>>(
        self,
        name: &str,
        location: &'static Location<'static>,
        function: F,
    ) -> WindowedResults<'s, F::Out, D, T> {
        let (keyed, settings) = (self.keyed, self.settings);
        if matches!(settings.windows.0, Kind::Session { .. }) {
            let key = Rc::clone(&keyed.key);
            return keyed.run(name, location, Sessions::new(key, settings, function));
        }
        let key = Rc::clone(&keyed.route);
        keyed.run(name, location, Panes::new(key, settings, function))
    }
}
