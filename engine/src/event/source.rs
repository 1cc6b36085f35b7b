//! Sources whose records have timestamps from the start: the watermark knows every split.

use std::panic::Location;
use std::time::{Duration, Instant};

use crate::checkpoint::{Saved, Snapshot, Written};
use crate::clock::{AnyClock, EventClock, EventTime, Watermark};
use crate::env::Env;
use crate::error::Result;
use crate::event::idle::{Idleness, Seat};
use crate::event::strategy::WatermarkStrategy;
use crate::event::stream::EventStream;
use crate::machine;
use crate::source::{Source, SourceStatus, Split, SplitReader, Splits};

impl<'s> Env<'s> {
    /// As [`source`](Env::source), with event time from the start: the watermark follows the least of all
    /// splits, so that splits which are at different times make no record late.
    ///
    /// [`assign_timestamps_and_watermarks`](crate::DataStream::assign_timestamps_and_watermarks) behind a source
    /// knows each worker's part only, in which the records of its splits are mixed. With
    /// [`with_idleness`](WatermarkStrategy::with_idleness) a silent split does not hold the watermark back;
    /// one that is not asked, because there is too much in flight, is not silent. One that has ended holds
    /// nothing back.
    ///
    /// # Examples
    /// Two days, read side by side by one worker:
    /// ```
    /// use std::time::Duration;
    /// use waterwheel_engine::{Result, RuntimeConfig, Source, SourceStatus, WatermarkStrategy, Windows, execute};
    ///
    /// struct Hours { day: i64, hour: i64 }
    /// impl Source for Hours {
    ///     type Item = i64;
    ///     fn read(&mut self, _limit: usize, out: &mut Vec<i64>) -> Result<SourceStatus> {
    ///         out.push((24 * self.day + self.hour) * 3_600_000);
    ///         self.hour += 1;
    ///         Ok(if self.hour == 24 { SourceStatus::Done } else { SourceStatus::Ready })
    ///     }
    /// }
    /// let found = execute(RuntimeConfig::threads(1), |env| {
    ///     let day = |split| Ok(Hours { day: split as i64, hour: 0 });
    ///     let times = env.source_with_watermarks("days", 2, day, WatermarkStrategy::monotonous(|at| *at));
    ///     let per_day = times.window_all(Windows::tumbling(Duration::from_secs(86_400))?).count();
    ///     Ok((per_day.results.map(|day| day.value).collect(), per_day.late.collect()))
    /// })?;
    /// assert_eq!(found, [(vec![24, 24], vec![])]);
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    #[track_caller]
    pub fn source_with_watermarks<S: Source>(
        &self,
        name: &str,
        splits: usize,
        open: impl Fn(usize) -> Result<S> + 'static,
        strategy: WatermarkStrategy<S::Item>,
    ) -> EventStream<'s, S::Item> {
        let name = (name, Location::caller());
        self.timed_source_of(name, Splits::Fixed(splits), move |split| open(split.index), strategy)
    }

    /// As [`source_with_watermarks`](Self::source_with_watermarks), for splits of either kind.
    pub(crate) fn timed_source_of<S: Source>(
        &self,
        (name, location): (&str, &'static Location<'static>),
        splits: Splits,
        open: impl Fn(Split) -> Result<S> + 'static,
        strategy: WatermarkStrategy<S::Item>,
    ) -> EventStream<'s, S::Item> {
        let Some(events) = self.place().events() else {
            unreachable!("every job is built around a scope for event time");
        };
        let reader = SplitReader::new(self, splits, open);
        let (mut op, valve) = self.source_operator(&events, name, location);
        let (mut output, edge) = op.output();
        let (run, worker, workers, stream) = (events.run(), self.worker_index(), self.workers(), op.id());
        let mut part = op.source_part(&reader);
        op.build(move |mut promises, activation| {
            let mut promise = promises.pop();
            let seat = Seat { run, worker, workers, activation: activation.clone() };
            let idleness = strategy.idle_after.map(|timeout| Idleness::new(timeout, stream, seat));
            let mut splits = TimedSplits { reader, clocks: SplitClocks::new(&strategy, idleness) };
            let mut watermark = EventTime::MIN;
            move |_frontiers| {
                part.begin(&mut splits)?;
                let Some(now) = &mut promise else { return Ok(()) };
                if let Some(next) = part.leave(now.time().epoch(), &mut splits)? {
                    now.advance_to(&EventClock::new(next, Watermark::at(watermark)))?;
                }
                if !part.is_open(now.time().epoch()) {
                    // It is woken when the epoch is opened.
                    return Ok(());
                }
                let TimedSplits { reader, clocks } = &mut splits;
                clocks.begin(|| reader.reached());
                if !valve.lets_read() {
                    // The end of the hold activates the source again.
                    reader.note_hold();
                    clocks.note_hold(watermark);
                    return Ok(());
                }
                let status = reader.read(
                    || valve.is_held(),
                    |records, part| {
                        let Some(split) = part.split else { return };
                        let mut stamped = Vec::with_capacity(records.len());
                        let highest = strategy.timestamps.stamp(records, &mut stamped);
                        clocks.note(split, highest, part.has_ended);
                        output.send_promised(now, [&mut stamped]);
                    },
                )?;
                watermark = clocks.watermark(watermark);
                match status {
                    SourceStatus::Ready => activation.wake(),
                    SourceStatus::Idle(pause) => activation.wake_after(pause),
                    SourceStatus::Done => {
                        clocks.end();
                        part.end(&mut splits)?;
                        promise = None;
                        return Ok(());
                    }
                }
                now.advance_to(&EventClock::new(now.time().outer, Watermark::at(watermark)))
            }
        });
        EventStream::from_edge(edge, self.place().clone())
    }
}

/// The splits of one worker, and how far each is in event time.
struct TimedSplits<R> {
    reader: R,
    clocks: SplitClocks,
}

impl<S: Source, F: Fn(Split) -> Result<S>> TimedSplits<SplitReader<S, F>> {
    fn write(&mut self, to: &mut Written) -> Result<()> {
        self.reader.write(to, |place| self.clocks.splits.get(place).and_then(|clock| clock.highest))
    }
}

impl<S: Source, F: Fn(Split) -> Result<S>> Snapshot for TimedSplits<SplitReader<S, F>> {
    fn mark(&mut self, to: &mut Written) -> Result<()> {
        self.write(to)
    }

    fn end(&mut self, to: &mut Written) -> Result<()> {
        self.write(to)
    }

    fn restore(&mut self, from: &Saved<'_>) -> Result<()> {
        self.reader.restore(from)
    }
}

/// How far each split of one worker is.
struct SplitClocks {
    bound: EventTime,
    idle_after: Option<Duration>,
    idleness: Option<Idleness>,
    /// Whether any split gave records since the watermark was asked for.
    had_records: bool,
    /// Whether it knows the splits.
    has_begun: bool,
    splits: Vec<SplitClock>,
}

#[derive(Clone, Copy, Debug)]
struct SplitClock {
    highest: Option<EventTime>,
    has_ended: bool,
    last_record: Instant,
}

impl SplitClocks {
    fn new<D>(strategy: &WatermarkStrategy<D>, idleness: Option<Idleness>) -> Self {
        let (bound, idle_after) = (strategy.bound, strategy.idle_after);
        SplitClocks { bound, idle_after, idleness, had_records: false, has_begun: false, splits: Vec::new() }
    }

    /// The first time, takes note of the splits and of what they have reached.
    fn begin(&mut self, reached: impl FnOnce() -> Vec<Option<EventTime>>) {
        if !std::mem::replace(&mut self.has_begun, true) {
            let last_record = machine::now();
            let clock = |highest| SplitClock { highest, has_ended: false, last_record };
            self.splits = reached().into_iter().map(clock).collect();
        }
    }

    /// A split was asked, and gave records up to `highest`.
    fn note(&mut self, split: usize, highest: Option<EventTime>, has_ended: bool) {
        let Some(clock) = self.splits.get_mut(split) else { return };
        clock.highest = clock.highest.max(highest);
        clock.has_ended = has_ended;
        if highest.is_some() && self.idle_after.is_some() {
            clock.last_record = machine::now();
            self.had_records = true;
        }
    }

    /// The source is held: its splits have no chance to speak.
    fn note_hold(&mut self, watermark: EventTime) {
        if let Some(idleness) = &mut self.idleness {
            let now = machine::now();
            self.splits.iter_mut().for_each(|clock| clock.last_record = now);
            idleness.follow(Vec::new(), watermark, true);
        }
    }

    /// Where the watermark moves on to from `now`: to the least of the splits that others wait for, and where
    /// all are silent, to the highest that any has come to.
    fn watermark(&mut self, now: EventTime) -> EventTime {
        let at = self.idle_after.map(|timeout| (timeout, machine::now()));
        let is_active = |clock: &SplitClock| {
            at.is_none_or(|(timeout, at)| at.saturating_duration_since(clock.last_record) < timeout)
        };
        let bound = self.bound;
        let reached =
            |clock: &SplitClock| clock.highest.map_or(EventTime::MIN, |at| at.saturating_sub(bound));
        let open = || self.splits.iter().filter(|clock| !clock.has_ended);
        let least = open().filter(|clock| is_active(clock)).map(reached).min();
        let watermark = least.or_else(|| open().map(reached).max()).map_or(now, |reached| reached.max(now));
        match &mut self.idleness {
            Some(idleness) => idleness.follow(Vec::new(), watermark, std::mem::take(&mut self.had_records)),
            None => watermark,
        }
    }

    /// There will be no more records.
    fn end(&mut self) {
        if let Some(idleness) = &mut self.idleness {
            idleness.end(false);
        }
    }
}
