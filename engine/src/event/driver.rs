//! Runs the logic of an operator with event time: records, then the watermark, then processing time.

use std::time::Duration;

use crate::clock::{Epoch, EventClock, EventTime};
use crate::edge::Edge;
use crate::error::Result;
use crate::event::stream::Timed;
use crate::operator::{Activation, Input, OperatorBuilder, Output, Promise};
use crate::process::Collector;

/// The clock of streams with event time outside loops.
pub(crate) type OuterEvents = EventClock<Epoch>;

/// An edge of records with timestamps.
pub(crate) type EventEdge<'s, D> = Edge<'s, Vec<Timed<D>>, OuterEvents>;

/// What an operator with event time does.
pub(crate) trait EventLogic<D>: 'static {
    /// What it emits.
    type Out: 'static;

    /// Handles one record.
    fn on_record(
        &mut self,
        record: Timed<D>,
        watermark: EventTime,
        out: &mut EventOut<Self::Out, D>,
    ) -> Result<()>;

    /// Handles a batch of records, and calls `full` after each.
    #[inline]
    fn on_batch(
        &mut self,
        batch: &mut Vec<Timed<D>>,
        watermark: EventTime,
        out: &mut EventOut<Self::Out, D>,
        mut full: impl FnMut(&mut EventOut<Self::Out, D>),
    ) -> Result<()> {
        for record in batch.drain(..) {
            self.on_record(record, watermark, out)?;
            full(out);
        }
        Ok(())
    }

    /// The watermark has moved on to `watermark`.
    fn on_watermark(&mut self, watermark: EventTime, out: &mut EventOut<Self::Out, D>) -> Result<()>;

    /// Called whenever the operator runs; returns after what time it has to run again, if it has to.
    fn on_processing_time(&mut self, _out: &mut EventOut<Self::Out, D>) -> Result<Option<Duration>> {
        Ok(None)
    }
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

/// Finishes an operator that runs `logic`; the edges carry results and late records.
pub(crate) fn run<'s, D: 'static, L: EventLogic<D>>(
    mut op: OperatorBuilder<'s, OuterEvents>,
    input: Input<Vec<Timed<D>>, OuterEvents>,
    logic: L,
) -> (EventEdge<'s, L::Out>, EventEdge<'s, D>) {
    let (results, results_edge) = op.output();
    let (late, late_edge) = op.output();
    op.build(move |promises, activation| {
        // Late records are sent while their batch is handled; only results may come later.
        let promise = promises.into_iter().next();
        let (watermark, out) = (EventTime::MIN, EventOut::new());
        let mut driver = Driver { input, results, late, promise, watermark, logic, out, activation };
        move |frontiers| driver.run(frontiers.meet(0))
    });
    (results_edge, late_edge)
}

struct Driver<D: 'static, L: EventLogic<D>> {
    input: Input<Vec<Timed<D>>, OuterEvents>,
    results: Output<Vec<Timed<L::Out>>, OuterEvents>,
    late: Output<Vec<Timed<D>>, OuterEvents>,
    /// Kept at the least time that may still arrive: what fires when it passes is sent with it.
    promise: Option<Promise<OuterEvents>>,
    watermark: EventTime,
    logic: L,
    out: EventOut<L::Out, D>,
    activation: Activation,
}

impl<D: 'static, L: EventLogic<D>> Driver<D, L> {
    /// One activation; `next` is the least time that may still arrive.
    fn run(&mut self, next: Option<OuterEvents>) -> Result<()> {
        self.read()?;
        let Some(promise) = &mut self.promise else { return Ok(()) };
        let watermark = next.map_or(EventTime::MAX, |time| time.inner);
        if watermark > self.watermark {
            self.watermark = watermark;
            self.logic.on_watermark(watermark, &mut self.out)?;
        }
        if next.is_some()
            && let Some(pause) = self.logic.on_processing_time(&mut self.out)?
        {
            self.activation.wake_after(pause);
        }
        self.out.results.send_promised(promise, &mut self.results);
        match next {
            Some(time) if time != *promise.time() => promise.advance_to(&time)?,
            Some(_) => {}
            None => self.promise = None,
        }
        Ok(())
    }

    fn read(&mut self) -> Result<()> {
        let Driver { input, results, late, watermark, logic, out, .. } = self;
        input.try_for_each(|token, batch| {
            logic.on_batch(batch, *watermark, out, |out| out.results.send_full(&token, results))?;
            out.results.send(&token, results);
            out.late.send(&token, late);
            Ok(())
        })
    }
}
