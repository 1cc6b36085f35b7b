//! Functions with a state per key and timers, in event time and in processing time.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use crate::checkpoint::{Saved, State, StateReader, StateWriter, Written};
use crate::clock::EventTime;
use crate::error::Result;
use crate::event::driver::{EventLogic, EventOut};
use crate::event::stream::Timed;
use crate::hash::{Key, key_group};
use crate::keyed::STATES;
use crate::machine;
use crate::metrics::StateSize;
use crate::process::{Collector, ForRound, Renewable, swap_function};

/// A function on the records of a keyed stream with event time: a state `S` per key, and timers.
///
/// In the body of an iteration the states of keys live over all rounds, unless operators begin anew in each round
/// there. Timers are those of a round always: the watermark of the round in which one was asked for makes it due, and
/// at the end of the round all are. One for processing time that is not due by then is dropped.
pub trait EventProcessFunction<K, D> {
    /// State of one key; made by `Default` at the key's first record.
    type State: State;
    /// What it emits.
    type Out: 'static;

    /// Handles one record of `key`. What it emits has the record's timestamp.
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn process(
        &mut self,
        key: &K,
        state: &mut Self::State,
        record: D,
        context: &mut TimerContext,
        out: &mut EventCollector<'_, Self::Out>,
    ) -> Result<()>;

    /// Called when a timer of `key` is due. What it emits has the timer's time; that of a processing-time
    /// timer, the watermark.
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn on_timer(
        &mut self,
        _key: &K,
        _state: &mut Self::State,
        _timer: Timer,
        _context: &mut TimerContext,
        _out: &mut EventCollector<'_, Self::Out>,
    ) -> Result<()> {
        Ok(())
    }

    /// What serves the next round, where operators begin anew in each round of a loop; there the states of keys do
    /// too. Default: nothing can.
    fn for_next_round(&self) -> ForRound<Self>
    where
        Self: Sized,
    {
        ForRound::Refused
    }

    /// Writes what the function keeps beside the states of keys, for a checkpoint.
    ///
    /// Called when all records before the checkpoint have been handled, and once before the first record. Default:
    /// nothing where [`for_next_round`](Self::for_next_round) says [`ForRound::Same`]; otherwise the function can not
    /// run in a job with checkpoints.
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn snapshot(&self, _state: &mut StateWriter) -> Result<()>
    where
        Self: Sized,
    {
        self.for_next_round().keeps_nothing()
    }

    /// Takes over, before its first record, what was written by [`snapshot`](Self::snapshot); as
    /// [`ProcessFunction::restore`](crate::ProcessFunction::restore).
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn restore(&mut self, _state: &mut StateReader) -> Result<()> {
        Ok(())
    }
}

/// A timer that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// The watermark has passed this time: all records up to it are there, but for late ones.
    EventTime(EventTime),
    /// The time that was asked for has gone by.
    ProcessingTime,
}

/// Emits results with a timestamp.
#[derive(Debug)]
pub struct EventCollector<'a, R> {
    timestamp: EventTime,
    results: &'a mut Collector<Timed<R>>,
}

impl<R> EventCollector<'_, R> {
    /// Emits one result.
    pub fn emit(&mut self, value: R) {
        self.results.emit(Timed { timestamp: self.timestamp, value });
    }
}

/// What a function with timers knows and can ask for.
#[derive(Debug)]
pub struct TimerContext {
    timestamp: EventTime,
    watermark: EventTime,
    asked: Vec<Asked>,
    clears: bool,
}

#[derive(Debug)]
enum Asked {
    Register(EventTime),
    Delete(EventTime),
    After(Duration),
}

impl TimerContext {
    /// Timestamp of the record, or time of the timer.
    pub fn timestamp(&self) -> EventTime {
        self.timestamp
    }

    /// The operator's watermark: no record before it is to come that is not late.
    pub fn watermark(&self) -> EventTime {
        self.watermark
    }

    /// Asks for a call when the watermark has passed `time`. One timer per key and time, however often it is
    /// asked for. A time that has passed is due at once.
    pub fn register_event_time_timer(&mut self, time: EventTime) {
        self.asked.push(Asked::Register(time));
    }

    /// Takes an event-time timer of this key back.
    pub fn delete_event_time_timer(&mut self, time: EventTime) {
        self.asked.push(Asked::Delete(time));
    }

    /// Asks for a call after `delay` on the clock of the machine. What is not due when the input ends is
    /// dropped.
    pub fn register_processing_time_timer(&mut self, delay: Duration) {
        self.asked.push(Asked::After(delay));
    }

    /// Drops the state of this key after the call; the next one starts from `Default`. Timers stay.
    pub fn clear_state(&mut self) {
        self.clears = true;
    }
}

/// Runs an [`EventProcessFunction`] with the states of this worker's keys.
pub(crate) struct Processed<K, D, F: EventProcessFunction<K, D>> {
    f: F,
    key: Rc<dyn Fn(&D) -> K>,
    states: FxHashMap<K, F::State>,
    context: TimerContext,
}

/// The timers that were asked for.
pub(crate) struct Timers<K> {
    event: BTreeMap<EventTime, BTreeSet<K>>,
    processing: BTreeMap<Instant, Vec<K>>,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Timers { event: BTreeMap::new(), processing: BTreeMap::new() }
    }
}

impl<K: Key, D, F: EventProcessFunction<K, D>> Processed<K, D, F> {
    pub(crate) fn new(f: F, key: Rc<dyn Fn(&D) -> K>) -> Self {
        let watermark = EventTime::MIN;
        let context = TimerContext { timestamp: watermark, watermark, asked: Vec::new(), clears: false };
        Processed { f, key, states: FxHashMap::default(), context }
    }

    /// Calls the function for `key` at `timestamp`, then does what it asked for.
    fn call(
        &mut self,
        timers: &mut Timers<K>,
        key: &K,
        timestamp: EventTime,
        results: &mut Collector<Timed<F::Out>>,
        f: impl FnOnce(&mut F, &mut F::State, &mut TimerContext, &mut EventCollector<'_, F::Out>) -> Result<()>,
    ) -> Result<()> {
        self.context.timestamp = timestamp;
        let mut out = EventCollector { timestamp, results };
        match self.states.get_mut(key) {
            Some(state) => f(&mut self.f, state, &mut self.context, &mut out)?,
            None => {
                let state = self.states.entry(key.clone()).or_default();
                f(&mut self.f, state, &mut self.context, &mut out)?;
            }
        }
        if std::mem::take(&mut self.context.clears) {
            self.states.remove(key);
        }
        for asked in self.context.asked.drain(..) {
            match asked {
                Asked::Register(time) => {
                    timers.event.entry(time).or_default().insert(key.clone());
                }
                Asked::Delete(time) => {
                    if let Some(keys) = timers.event.get_mut(&time) {
                        keys.remove(key);
                    }
                }
                Asked::After(delay) => {
                    timers.processing.entry(machine::now() + delay).or_default().push(key.clone());
                }
            }
        }
        Ok(())
    }

    /// Runs the event-time timers that the watermark has passed, those asked for on the way included.
    fn run_timers(&mut self, timers: &mut Timers<K>, results: &mut Collector<Timed<F::Out>>) -> Result<()> {
        let watermark = self.context.watermark;
        let passed = |time: EventTime| time < watermark || watermark == EventTime::MAX;
        while let Some(entry) = timers.event.first_entry().filter(|entry| passed(*entry.key())) {
            let (time, keys) = entry.remove_entry();
            for key in keys {
                self.call(timers, &key, time, results, |f, state, context, out| {
                    f.on_timer(&key, state, Timer::EventTime(time), context, out)
                })?;
            }
        }
        Ok(())
    }
}

impl<K: Key, D, F: EventProcessFunction<K, D> + 'static> Renewable for Processed<K, D, F> {
    type State = (Option<F>, FxHashMap<K, F::State>);

    fn fresh(&self) -> ForRound<Self::State> {
        self.f.for_next_round().with(FxHashMap::default)
    }

    fn swap(&mut self, (f, states): &mut Self::State) {
        swap_function(&mut self.f, f);
        std::mem::swap(&mut self.states, states);
    }
}

impl<K: Key, D: 'static, F: EventProcessFunction<K, D> + 'static> EventLogic<D> for Processed<K, D, F> {
    type Out = F::Out;
    type Pending = Timers<K>;

    fn on_record(
        &mut self,
        timers: &mut Timers<K>,
        record: Timed<D>,
        watermark: EventTime,
        out: &mut EventOut<F::Out, D>,
    ) -> Result<()> {
        self.context.watermark = watermark;
        let Timed { timestamp, value } = record;
        let key = (self.key)(&value);
        self.call(timers, &key, timestamp, &mut out.results, |f, state, context, out| {
            f.process(&key, state, value, context, out)
        })?;
        // A timer for a time that has passed is due at once.
        self.run_timers(timers, &mut out.results)
    }

    fn on_watermark(
        &mut self,
        timers: &mut Timers<K>,
        watermark: EventTime,
        out: &mut EventOut<F::Out, D>,
    ) -> Result<()> {
        self.context.watermark = watermark;
        self.run_timers(timers, &mut out.results)
    }

    fn on_processing_time(
        &mut self,
        timers: &mut Timers<K>,
        watermark: EventTime,
        out: &mut EventOut<F::Out, D>,
    ) -> Result<Option<Duration>> {
        if timers.processing.is_empty() {
            return Ok(None);
        }
        self.context.watermark = watermark;
        let now = machine::now();
        while let Some(entry) = timers.processing.first_entry().filter(|entry| *entry.key() <= now) {
            for key in entry.remove() {
                self.call(timers, &key, watermark, &mut out.results, |f, state, context, out| {
                    f.on_timer(&key, state, Timer::ProcessingTime, context, out)
                })?;
            }
        }
        self.run_timers(timers, &mut out.results)?;
        Ok(timers.processing.keys().next().map(|due| due.saturating_duration_since(now)))
    }

    fn state_size(&self) -> Option<StateSize> {
        Some(StateSize::of::<(K, F::State)>(self.states.len()))
    }

    fn check(&self) -> Result<()> {
        self.f.snapshot(&mut StateWriter::default())
    }

    fn write(&mut self, timers: Option<&mut Timers<K>>, to: &mut Written) -> Result<()> {
        self.f.snapshot(to.items())?;
        let states = to.entries(STATES);
        self.states
            .iter()
            .try_for_each(|(key, state)| states.put(key_group(key), &(key, Duration::ZERO, state)))?;
        timers.map_or(Ok(()), |timers| timers.write(to))
    }

    fn read(&mut self, timers: Option<&mut Timers<K>>, from: &Saved<'_>) -> Result<()> {
        self.f.restore(&mut from.items()?)?;
        from.entries(STATES, |mut states| {
            while let Some((key, _age, state)) = states.next_item::<(K, Duration, F::State)>()? {
                self.states.insert(key, state);
            }
            Ok(())
        })?;
        timers.map_or(Ok(()), |timers| timers.read(from))
    }
}

/// The kinds of timers in checkpoints: for event time, and for processing time with what is left of their delay.
const EVENT_TIMERS: &str = "event_timers";
const PROCESSING_TIMERS: &str = "processing_timers";

impl<K: Key> Timers<K> {
    fn write(&self, to: &mut Written) -> Result<()> {
        let entries = to.entries(EVENT_TIMERS);
        for (time, keys) in &self.event {
            keys.iter().try_for_each(|key| entries.put(key_group(key), &(key, time)))?;
        }
        let (entries, now) = (to.entries(PROCESSING_TIMERS), machine::now());
        for (due, keys) in &self.processing {
            let delay = due.saturating_duration_since(now);
            keys.iter().try_for_each(|key| entries.put(key_group(key), &(key, delay)))?;
        }
        Ok(())
    }

    /// Time in which the job did not run does not count.
    fn read(&mut self, from: &Saved<'_>) -> Result<()> {
        from.entries(EVENT_TIMERS, |mut timers| {
            while let Some((key, time)) = timers.next_item()? {
                self.event.entry(time).or_default().insert(key);
            }
            Ok(())
        })?;
        let now = machine::now();
        from.entries(PROCESSING_TIMERS, |mut timers| {
            while let Some((key, delay)) = timers.next_item::<(K, Duration)>()? {
                self.processing.entry(now + delay).or_default().push(key);
            }
            Ok(())
        })
    }
}
