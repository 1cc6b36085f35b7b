//! The operator that gives records their timestamps and moves the watermark.

use std::panic::Location;

use crate::clock::{Epoch, EventClock, EventTime};
use crate::error::{Error, Result};
use crate::event::driver::OuterEvents;
use crate::event::idle::{Idleness, Seat};
use crate::event::strategy::WatermarkStrategy;
use crate::event::stream::{EventStream, Timed};
use crate::operator::{Input, OperatorBuilder, Output, Promise, WakeOn};
use crate::stream::DataStream;

impl<'s, D: 'static> DataStream<'s, D, Epoch> {
    /// Turns to event time: every record gets the timestamp that `strategy` reads, and the watermark follows
    /// the highest timestamp of each worker's part of the stream. Where a worker reads several splits that are at
    /// different times, [`source_with_watermarks`](crate::Env::source_with_watermarks) follows each of them.
    ///
    /// # Examples
    /// How many clicks per user and minute:
    /// ```
    /// use std::time::Duration;
    /// use waterwheel_engine::{RuntimeConfig, WatermarkStrategy, Windows, execute};
    ///
    /// let per_minute = execute(RuntimeConfig::threads(2), |env| {
    ///     let clicks = env.from_iter([("ann", 1_000i64), ("bob", 2_000), ("ann", 3_000), ("ann", 61_000)]);
    ///     let clicks = clicks.map(|(user, at)| (user.to_string(), at));
    ///     let disorder = Duration::from_secs(5);
    ///     let strategy = WatermarkStrategy::bounded_out_of_orderness(disorder, |click: &(String, i64)| click.1);
    ///     let per_user = clicks.assign_timestamps_and_watermarks(strategy).key_by(|click| click.0.clone());
    ///     let counts = per_user.window(Windows::tumbling(Duration::from_secs(60))?).count();
    ///     Ok(counts.results.map(|n| (n.key, n.window.start, n.value)).collect())
    /// })?;
    /// let mut per_minute = per_minute.concat();
    /// per_minute.sort();
    /// let row = |user: &str, start, n| (user.to_string(), start, n);
    /// assert_eq!(per_minute, [row("ann", 0, 2), row("ann", 60_000, 1), row("bob", 0, 1)]);
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    #[track_caller]
    pub fn assign_timestamps_and_watermarks(self, strategy: WatermarkStrategy<D>) -> EventStream<'s, D> {
        let location = Location::caller();
        let outer = self.into_edge();
        let around = outer.place();
        let Some(events) = around.events() else {
            unreachable!("every job is built around a scope for event time");
        };
        let mut op = OperatorBuilder::made_at(&events, "assign_timestamps_and_watermarks", location);
        let input = op.input(events.enter_event_time(outer), WakeOn::Progress);
        // The clock of what enters stands at the beginning of event time; the watermark is this operator's word.
        let (out, edge) = op.detached_output();
        let (stream, workers, worker, run) = (op.id(), around.workers(), around.worker_index(), around.run());
        op.build(move |mut promises, activation| {
            let promise = promises.pop();
            let seat = Seat { run, worker, workers, activation };
            let idleness = strategy.idle_after.map(|timeout| Idleness::new(timeout, stream, seat));
            let mut assigner = Assigner { input, out, promise, strategy, highest: None, idleness };
            move |frontiers| assigner.run(frontiers.meet(0))
        });
        EventStream::from_edge(edge, around)
    }
}

struct Assigner<D: 'static> {
    input: Input<Vec<D>, OuterEvents>,
    out: Output<Vec<Timed<D>>, OuterEvents>,
    /// At the watermark of this worker's part.
    promise: Option<Promise<OuterEvents>>,
    strategy: WatermarkStrategy<D>,
    highest: Option<EventTime>,
    idleness: Option<Idleness>,
}

impl<D: 'static> Assigner<D> {
    fn run(&mut self, next: Option<OuterEvents>) -> Result<()> {
        let had_records = self.read()?;
        let Some(promise) = &mut self.promise else { return Ok(()) };
        match (next, &mut self.idleness) {
            (Some(next), None) => promise.advance_to(&EventClock::new(next.outer, promise.time().inner))?,
            (Some(next), Some(idleness)) => {
                let watermark = idleness.follow(promise.time().inner, had_records);
                promise.advance_to(&EventClock::new(next.outer, watermark))?;
            }
            (None, idleness) => {
                let watermark = promise.time().inner;
                idleness.iter_mut().for_each(|idleness| idleness.end(watermark));
                self.promise = None;
            }
        }
        Ok(())
    }

    /// Sends the records that are there; whether there were any.
    fn read(&mut self) -> Result<bool> {
        let Assigner { input, out, promise, strategy, highest, .. } = self;
        let mut had_records = false;
        input.try_for_each(|token, batch| {
            had_records = true;
            let Some(promise) = promise else {
                return Err(Error::internal("a record came after the end of its stream"));
            };
            let mut stamped = Vec::with_capacity(batch.len());
            *highest = (*highest).max(strategy.timestamps.stamp(batch, &mut stamped));
            let now = *promise.time();
            let of_batch = EventClock::new(token.time().outer, now.inner);
            out.send_promised(&promise.later(&of_batch)?, [&mut stamped]);
            let watermark = highest.map_or(now.inner, |highest| highest.saturating_sub(strategy.bound));
            promise.advance_to(&EventClock::new(now.outer, now.inner.max(watermark)))
        })?;
        Ok(had_records)
    }
}
