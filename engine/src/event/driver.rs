//! Runs the logic of an operator with event time: records, then the watermark, then processing time.

use std::marker::PhantomData;
use std::ops::Add;
use std::time::Duration;

use crate::checkpoint::{Part, Saved, Snapshot, Written};
use crate::clock::{Clock, EventClock, EventTime};
use crate::edge::{Edge, Place};
use crate::error::Result;
use crate::event::rounds::{OpenRound, Rounds, watermark_at};
use crate::event::spans::Renewed;
use crate::event::stream::Timed;
use crate::metrics::StateSize;
use crate::operator::{Activation, Frontiers, Input, OperatorBuilder, Output};
use crate::process::{Collector, ForRound, Renewable};
use crate::record_count::Counter;
use crate::runtime::state::RunState;

/// An edge of records with timestamps.
pub(crate) type EventEdge<'s, D, T> = Edge<'s, Vec<Timed<D>>, EventClock<T>>;

/// What an operator with event time does. Its own state is what it keeps over the rounds of a loop, if anything.
pub(crate) trait EventLogic<D>: Renewable + 'static {
    /// What it emits.
    type Out: 'static;

    /// What waits for the watermark: each round of a loop has its own.
    type Pending: Default + 'static;

    /// Handles one record.
    fn on_record(
        &mut self,
        pending: &mut Self::Pending,
        record: Timed<D>,
        watermark: EventTime,
        out: &mut EventOut<Self::Out, D>,
    ) -> Result<()>;

    /// Handles a batch of records, and calls `full` after each.
    #[inline]
    fn on_batch(
        &mut self,
        pending: &mut Self::Pending,
        batch: &mut Vec<Timed<D>>,
        watermark: EventTime,
        out: &mut EventOut<Self::Out, D>,
        mut full: impl FnMut(&mut EventOut<Self::Out, D>),
    ) -> Result<()> {
        for record in batch.drain(..) {
            self.on_record(pending, record, watermark, out)?;
            full(out);
        }
        Ok(())
    }

    /// The watermark has moved on to `watermark`.
    fn on_watermark(
        &mut self,
        pending: &mut Self::Pending,
        watermark: EventTime,
        out: &mut EventOut<Self::Out, D>,
    ) -> Result<()>;

    /// Called whenever the operator runs; returns after what time it has to run again, if it has to.
    fn on_processing_time(
        &mut self,
        _pending: &mut Self::Pending,
        _watermark: EventTime,
        _out: &mut EventOut<Self::Out, D>,
    ) -> Result<Option<Duration>> {
        Ok(None)
    }

    /// How much state it keeps by key, over the rounds; `None` where it keeps none.
    fn state_size(&self) -> Option<StateSize> {
        None
    }

    /// How much of what is pending is kept by key.
    fn pending_size(_pending: &Self::Pending) -> Option<StateSize> {
        None
    }

    /// Whether it can take part in checkpoints.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Writes what it keeps for a checkpoint: its own state, and what is pending, outside of loops. In a loop no round is
    /// open then. What is large may be marked, and written by [`sweep`](Self::sweep).
    fn write(&mut self, pending: Option<&mut Self::Pending>, to: &mut Written) -> Result<()>;

    /// Writes some more of what was marked; whether there is still more.
    fn sweep(&mut self, _pending: Option<&mut Self::Pending>, _to: &mut Written) -> Result<bool> {
        Ok(false)
    }

    /// Takes over what was written; all that is pending falls to this worker by its keys.
    fn read(&mut self, pending: Option<&mut Self::Pending>, from: &Saved<'_>) -> Result<()>;
}

/// Results, and records that came too late.
pub(crate) struct EventOut<R, D> {
    pub(crate) results: Collector<Timed<R>>,
    pub(crate) late: Collector<Timed<D>>,
}

impl<R, D> EventOut<R, D> {
    pub(crate) fn new() -> Self {
        EventOut { results: Collector::default(), late: Collector::default() }
    }
}

/// Finishes an operator that runs `logic` on the streams with event time of `around`; the edges carry results and
/// late records.
pub(crate) fn run<'s, D: 'static, T: Clock, L: EventLogic<D>>(
    mut op: OperatorBuilder<'s, EventClock<T>>,
    input: Input<Vec<Timed<D>>, EventClock<T>>,
    around: &Place<'s, T>,
    logic: L,
) -> (EventEdge<'s, L::Out, T>, EventEdge<'s, D, T>) {
    let spans = around.span().cloned().filter(|_| match logic.fresh() {
        ForRound::Same => false,
        ForRound::Fresh(_) => true,
        ForRound::Refused => {
            op.refuse_rounds();
            false
        }
    });
    let ticks = op.input_event_ticks();
    let late_count = Counter::new(RunState::late_records, op.origin(), op.id());
    let (results, results_edge) = op.output();
    let (late, late_edge) = op.output();
    op.wake_when_epochs_open();
    let (part, gauges) = (op.part_unless(|| logic.check()), op.origin().gauges());
    op.build(move |promises, activation| {
        // Late records are sent while their batch is handled; only results may come later.
        let rounds = Rounds::new(ticks, promises.into_iter().next());
        let (logic, out) = (Renewed::new(logic, spans), EventOut::new());
        let catches_up = part.is_taken();
        let mut driver =
            Driver { input, results, late, late_count, rounds, logic, out, activation, part, catches_up };
        move |frontiers| {
            driver.run(frontiers)?;
            if let Some(gauges) = &gauges
                && let Some(size) = driver.state_size()
            {
                gauges.note_state(size);
            }
            Ok(())
        }
    });
    (results_edge, late_edge)
}

struct Driver<D: 'static, T: Clock, L: EventLogic<D>> {
    input: Input<Vec<Timed<D>>, EventClock<T>>,
    results: Output<Vec<Timed<L::Out>>, EventClock<T>>,
    late: Output<Vec<Timed<D>>, EventClock<T>>,
    late_count: Counter,
    /// The promise of each is for results: what fires when a time passes is sent with it.
    rounds: Rounds<T, L::Pending>,
    logic: Renewed<T, L>,
    out: EventOut<L::Out, D>,
    activation: Activation,
    part: Part,
    /// Whether the watermark that is known has to be heeded once more: what was restored may not know it.
    catches_up: bool,
}

impl<D: 'static, T: Clock, L: EventLogic<D>> Driver<D, T, L> {
    /// One activation.
    fn run(&mut self, frontiers: &Frontiers<'_, EventClock<T>>) -> Result<()> {
        self.part.begin(&mut Kept { rounds: &mut self.rounds, logic: &mut self.logic, of: PhantomData })?;
        self.rounds.read_ticks();
        self.read()?;
        // What sends by itself must not do so in an epoch before all have marked the one before; it is woken then.
        let waits = frontiers.epoch().is_some_and(|epoch| self.part.has_marked_before(epoch));
        if waits && !self.catches_up {
            return self.take_part(frontiers);
        }
        if frontiers.meet(None).is_none() {
            // What is pending outside of loops goes with the end of the input.
            self.part.write_all(&mut Kept {
                rounds: &mut self.rounds,
                logic: &mut self.logic,
                of: PhantomData,
            })?;
        }
        let Driver { results, rounds, logic, out, catches_up, .. } = self;
        let (mut pause, first) = (None, T::minimum());
        let catches_up = std::mem::take(catches_up);
        rounds.visit(
            |round| frontiers.meet(round),
            |round, open, next| {
                let watermark = watermark_at(next.as_ref()).filter(|watermark| *watermark > open.watermark);
                let known = catches_up.then_some(open.watermark).filter(|known| *known > EventTime::MIN);
                let watermark = watermark.or(known);
                logic.at(round.unwrap_or(&first), |logic| {
                    if let Some(watermark) = watermark {
                        open.watermark = watermark;
                        logic.on_watermark(&mut open.state, watermark, out)?;
                    }
                    if next.is_some() {
                        let due = logic.on_processing_time(&mut open.state, open.watermark, out)?;
                        pause = pause.into_iter().chain(due).min();
                    }
                    Ok(())
                })?;
                out.results.send_promised(&open.promise, results);
                next.map_or(Ok(()), |next| open.wait_until(&next))
            },
        )?;
        logic.forget(|last| frontiers.meet(Some(last)).is_some());
        if let Some(pause) = pause {
            self.activation.wake_after(pause);
        }
        self.take_part(frontiers)
    }

    /// How much is kept by key.
    fn state_size(&mut self) -> Option<StateSize> {
        let kept = self.logic.kept().and_then(|logic| logic.state_size());
        let pending = self.rounds.states().filter_map(L::pending_size);
        pending.chain(kept).reduce(StateSize::add)
    }

    /// After the watermark was heeded: what came of it was sent in the epoch that may be complete now.
    fn take_part(&mut self, frontiers: &Frontiers<'_, EventClock<T>>) -> Result<()> {
        if !self.part.is_taken() {
            return Ok(());
        }
        let mut kept = Kept { rounds: &mut self.rounds, logic: &mut self.logic, of: PhantomData };
        self.part.step(frontiers, &mut kept)?;
        if frontiers.epoch().is_none() { self.part.end(&mut kept) } else { Ok(()) }
    }

    fn read(&mut self) -> Result<()> {
        let Driver { input, results, late, late_count, rounds, logic, out, .. } = self;
        input.try_for_each(|token, batch| {
            let open = rounds.of_batch(&token);
            logic.at(&token.time().outer, |logic| {
                let full = |out: &mut EventOut<L::Out, D>| out.results.send_full(&token, results);
                logic.on_batch(&mut open.state, batch, open.watermark, out, full)
            })?;
            out.results.send(&token, results);
            if !out.late.is_empty() {
                late_count.add(out.late.batch().len() as u64);
                out.late.send(&token, late);
            }
            Ok(())
        })
    }
}

/// What an operator with event time keeps.
struct Kept<'a, D, T: Clock, L: EventLogic<D>> {
    rounds: &'a mut Rounds<T, L::Pending>,
    logic: &'a mut Renewed<T, L>,
    of: PhantomData<D>,
}

impl<D, T: Clock, L: EventLogic<D>> Snapshot for Kept<'_, D, T, L> {
    fn mark(&mut self, to: &mut Written) -> Result<()> {
        let open = self.rounds.outside_loops();
        if let Some(OpenRound { watermark, .. }) = &open {
            to.pooled().put(watermark)?;
        }
        self.logic.kept().map_or(Ok(()), |logic| logic.write(open.map(|open| &mut open.state), to))
    }

    fn sweep(&mut self, to: &mut Written) -> Result<bool> {
        let pending = self.rounds.outside_loops().map(|open| &mut open.state);
        self.logic.kept().map_or(Ok(false), |logic| logic.sweep(pending, to))
    }

    /// The watermark is the highest of those that workers knew: all of them are true.
    fn restore(&mut self, from: &Saved<'_>) -> Result<()> {
        let mut open = self.rounds.outside_loops();
        if let Some(OpenRound { watermark, .. }) = &mut open {
            let mut known = from.pooled()?;
            while let Some(other) = known.next_item()? {
                *watermark = EventTime::max(*watermark, other);
            }
        }
        let pending = open.map(|open| &mut open.state);
        self.logic.kept().map_or(Ok(()), |logic| logic.read(pending, from))
    }
}
