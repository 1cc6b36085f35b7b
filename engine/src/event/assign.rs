//! The operator that gives records their timestamps and moves the watermark.

use std::collections::BTreeMap;
use std::panic::Location;

use crate::checkpoint::{Part, Saved, Snapshot, Written};
use crate::clock::{Clock, EventClock, EventTime, Watermark};
use crate::edge::Place;
use crate::error::{Error, Result};
use crate::event::idle::{Idleness, Seat};
use crate::event::rounds::{OpenRound, Rounds};
use crate::event::strategy::WatermarkStrategy;
use crate::event::stream::{EventStream, Timed};
use crate::operator::{Frontiers, Input, OperatorBuilder, Output, Promise, WakeOn};
use crate::stream::DataStream;

impl<'s, D: 'static, T: Clock> DataStream<'s, D, T> {
    /// Turns to event time: every record gets the timestamp that `strategy` reads, and the watermark follows
    /// the highest timestamp of each worker's part of the stream. Where a worker reads several splits that are at
    /// different times, [`source_with_watermarks`](crate::Env::source_with_watermarks) follows each of them.
    ///
    /// In the body of an iteration event time runs anew in every round; see [`EventStream`]. In a loop that does
    /// not count rounds, such as that of a parameter server, there is none: the run ends with an
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) error that names the source line.
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
    pub fn assign_timestamps_and_watermarks(self, strategy: WatermarkStrategy<D>) -> EventStream<'s, D, T> {
        let location = Location::caller();
        let outer = self.into_edge();
        let around = outer.place();
        let Some(events) = around.events() else {
            unreachable!("every place of a stream is built around a scope for event time");
        };
        let mut op = OperatorBuilder::made_at(&events, "assign_timestamps_and_watermarks", location);
        op.refuse_unless(has_event_time(&around));
        let input = op.input(events.enter_event_time(outer), WakeOn::Progress);
        let ticks = op.input_event_ticks();
        // The clock of what enters stands at the beginning of event time; the watermark is this operator's word.
        let (out, edge) = if ticks.is_some() { op.watermark_output(0, 1) } else { op.detached_output() };
        let (stream, workers, worker, run) = (op.id(), around.workers(), around.worker_index(), around.run());
        let takes_part = op.takes_part();
        let part = op.part_unless(|| Ok(()));
        op.build(move |mut promises, activation| {
            let rounds = Rounds::new(ticks, promises.pop());
            let seat = Seat { run, worker, workers, activation };
            let idleness = strategy.idle_after.map(|timeout| Idleness::new(timeout, stream, seat));
            let early = BTreeMap::new();
            let mut assigner =
                Assigner { input, out, rounds, early, strategy, idleness, takes_part, worker, workers, part };
            move |frontiers| assigner.run(frontiers)
        });
        EventStream::from_edge(edge, around)
    }
}

/// Whether streams at `place` can have event time.
fn has_event_time<T: Clock>(place: &Place<'_, T>) -> Result<()> {
    match place.is_uncounted_loop() {
        true => Err(Error::config(
            "event time runs through the rounds of a loop, and this one does not count them: assign timestamps \
             outside of it, or in the body of an iteration",
        )),
        false => Ok(()),
    }
}

struct Assigner<D: 'static, T: Clock> {
    input: Input<Vec<D>, EventClock<T>>,
    out: Output<Vec<Timed<D>>, EventClock<T>>,
    /// The promise and the watermark of each are those of this worker's part.
    rounds: Rounds<T, Heard>,
    /// What has come before it was told that its round has begun, with the right to send it in the end.
    early: BTreeMap<T, (Promise<EventClock<T>>, Vec<Vec<D>>)>,
    strategy: WatermarkStrategy<D>,
    idleness: Option<Idleness>,
    /// Whether records can come to this worker.
    takes_part: bool,
    worker: usize,
    workers: usize,
    part: Part,
}

/// What was heard in a round.
#[derive(Default)]
struct Heard {
    highest: Option<EventTime>,
    /// Whether there were records since the last activation.
    had_records: bool,
}

impl<D: 'static, T: Clock> Assigner<D, T> {
    /// One activation.
    fn run(&mut self, frontiers: &Frontiers<'_, EventClock<T>>) -> Result<()> {
        let (worker, workers) = (self.worker, self.workers);
        self.part.begin(&mut Kept { rounds: &mut self.rounds, worker, workers })?;
        self.rounds.read_ticks();
        self.send_early(frontiers)?;
        self.read()?;
        self.move_on(frontiers.next_outer(0).as_ref())?;
        // Not before: other processes may not know of this stream while the graph is built.
        if let Some(idleness) = &mut self.idleness
            && (!self.takes_part || frontiers.meet(None).is_none())
        {
            idleness.end(self.rounds.are_told());
            self.idleness = None;
        }
        let mut kept = Kept { rounds: &mut self.rounds, worker, workers };
        self.part.step(frontiers, &mut kept)?;
        match self.part.is_taken() && frontiers.epoch().is_none() {
            true => self.part.end(&mut kept),
            false => Ok(()),
        }
    }

    /// Sends the records that are there.
    fn read(&mut self) -> Result<()> {
        let Assigner { input, out, rounds, early, strategy, .. } = self;
        input.try_for_each(|token, batch| {
            let outer = token.time().outer;
            if let Some(round) = rounds.get_mut(&outer) {
                return stamp(strategy, round, &outer, batch, out);
            }
            if !rounds.are_told() {
                return Err(Error::internal("a record came after the end of its stream"));
            }
            let (_, batches) = early.entry(outer).or_insert_with(|| (token.silent_promise(0), Vec::new()));
            batches.push(std::mem::take(batch));
            Ok(())
        })
    }

    /// Sends what has waited for its round to begin. What is in no round, because it was emitted when a loop had
    /// ended, says nothing about event time.
    fn send_early(&mut self, frontiers: &Frontiers<'_, EventClock<T>>) -> Result<()> {
        let Assigner { out, rounds, early, strategy, .. } = self;
        if early.is_empty() {
            return Ok(());
        }
        let (may_begin, mut outcome) = (frontiers.next_outer(1), Ok(()));
        early.retain(|outer, (right, batches)| {
            let round = rounds.get_mut(outer);
            let waits = round.is_none() && may_begin.as_ref().is_some_and(|first| first <= outer);
            if waits || outcome.is_err() {
                return true;
            }
            match round {
                Some(round) => {
                    outcome =
                        batches.iter_mut().try_for_each(|batch| stamp(strategy, round, outer, batch, out));
                }
                None => batches.iter_mut().for_each(|batch| {
                    let mut stamped = Vec::with_capacity(batch.len());
                    strategy.timestamps.stamp(batch, &mut stamped);
                    out.send_promised(right, [&mut stamped]);
                }),
            }
            false
        });
        outcome
    }

    /// Moves on to `next`, the first outer time at which a record may still come.
    fn move_on(&mut self, next: Option<&T>) -> Result<()> {
        let Assigner { rounds, idleness, takes_part, .. } = self;
        let next_in = |round: Option<&T>| {
            let next = next.filter(|next| round.is_none_or(|round| *next <= round))?;
            Some(EventClock::new(next.clone(), Watermark::SILENT))
        };
        // The watermark of a later round waits for this one anyway.
        let mut idleness = idleness.as_mut();
        rounds.visit(next_in, |round, open, next| {
            let Some(next) = next else { return Ok(()) };
            let had_records = std::mem::take(&mut open.state.had_records);
            if !*takes_part {
                return open.wait_until(&next);
            }
            if let Some(idleness) = idleness.take() {
                open.watermark = idleness.follow(numbers_of(round), open.watermark, had_records);
            }
            open.wait_until(&EventClock::new(next.outer, Watermark::at(open.watermark)))
        })
    }
}

/// Sends a batch with its timestamps, and moves the watermark on with them.
fn stamp<D, T: Clock>(
    strategy: &WatermarkStrategy<D>,
    round: &mut OpenRound<T, Heard>,
    outer: &T,
    batch: &mut Vec<D>,
    out: &mut Output<Vec<Timed<D>>, EventClock<T>>,
) -> Result<()>
where
    D: 'static,
{
    let OpenRound { promise, watermark, state } = round;
    let mut stamped = Vec::with_capacity(batch.len());
    state.had_records = true;
    state.highest = state.highest.max(strategy.timestamps.stamp(batch, &mut stamped));
    let now = promise.time();
    let of_batch = EventClock::new(outer.clone(), now.inner);
    out.send_promised(&promise.later(&of_batch)?, [&mut stamped]);
    *watermark = state.highest.map_or(*watermark, |at| at.saturating_sub(strategy.bound).max(*watermark));
    let then = EventClock::new(now.outer.clone(), Watermark::at(*watermark));
    promise.advance_to(&then)
}

/// The numbers of a round and of those around it; none outside loops.
fn numbers_of<T: Clock>(round: Option<&T>) -> Vec<u64> {
    let mut numbers = Vec::new();
    round.inspect(|round| round.counters(&mut numbers));
    numbers
}

/// What an assigner keeps: how far its stream is, outside of loops; in a loop no round is open at a checkpoint.
struct Kept<'a, T: Clock> {
    rounds: &'a mut Rounds<T, Heard>,
    worker: usize,
    workers: usize,
}

impl<T: Clock> Snapshot for Kept<'_, T> {
    fn mark(&mut self, to: &mut Written) -> Result<()> {
        match self.rounds.outside_loops() {
            Some(OpenRound { watermark, state, .. }) => {
                to.pooled().put(&(self.worker, *watermark, state.highest))
            }
            None => Ok(()),
        }
    }

    /// As far as the least of those whose records may come to this worker.
    fn restore(&mut self, from: &Saved<'_>) -> Result<()> {
        let Some(open) = self.rounds.outside_loops() else { return Ok(()) };
        let (mut all, mut items) = (Vec::new(), from.pooled()?);
        while let Some((worker, watermark, highest)) =
            items.next_item::<(usize, EventTime, Option<EventTime>)>()?
        {
            all.push((worker, watermark, highest));
        }
        let is_mine = |worker: usize| worker % self.workers == self.worker;
        let has_share = all.iter().any(|(worker, ..)| is_mine(*worker));
        let share = || all.iter().filter(|(worker, ..)| !has_share || is_mine(*worker));
        if let Some(least) = share().map(|(_, watermark, _)| *watermark).min() {
            open.watermark = least;
        }
        open.state.highest = share().map(|(.., highest)| *highest).min().flatten();
        Ok(())
    }
}
