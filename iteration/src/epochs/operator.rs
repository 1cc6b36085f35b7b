//! The operator around a function that is told of epochs: records first, then the callbacks that are due.

use std::collections::BTreeMap;

use waterwheel_engine::operator::{Input, OperatorBuilder, Output, Promise, Token};
use waterwheel_engine::{
    Clock, Collector, DataStream, Error, Result, Round, SideOutputStream, SidePort, SideReaders,
};

use crate::frontier::least;
use crate::listener::{END_EPOCH, EpochContext};
use crate::schedule::Schedule;

/// Results are sent on once this many are waiting.
const SEND_AT: usize = 1024;

/// What is called when an epoch is complete, and at the termination.
pub(super) trait Callbacks: 'static {
    type Out: 'static;

    fn epoch_end(
        &mut self,
        epoch: Round,
        context: &mut EpochContext,
        out: &mut Collector<Self::Out>,
    ) -> Result<()>;

    fn termination(&mut self, context: &mut EpochContext, out: &mut Collector<Self::Out>) -> Result<()>;

    /// Whether there is a new instance for each round, if one is asked for.
    fn can_begin_anew(&self) -> bool;

    /// Begins anew.
    fn begin_anew(&mut self);
}

/// Handles the records that are there.
pub(super) trait Read<F: Callbacks, U: Clock>:
    FnMut(&mut F, &mut Emitter<F::Out, U>) -> Result<()> + 'static
{
}

impl<F: Callbacks, U: Clock, R> Read<F, U> for R where
    R: FnMut(&mut F, &mut Emitter<F::Out, U>) -> Result<()> + 'static
{
}

/// An operator that has its inputs of records; `read` handles those that are there.
pub(super) struct EpochOperator<'i, U: Clock, F, R> {
    pub(super) op: OperatorBuilder<'i, (U, Round)>,
    pub(super) n_inputs: usize,
    pub(super) f: F,
    pub(super) read: R,
}

impl<'i, U: Clock, F: Callbacks, R: Read<F, U>> EpochOperator<'i, U, F, R> {
    /// Finishes the operator.
    pub(super) fn results(self) -> DataStream<'i, F::Out, (U, Round)> {
        self.finish(None)
    }

    /// As [`results`](Self::results), with side outputs.
    pub(super) fn results_and_side_outputs(mut self) -> SideOutputStream<'i, F::Out, (U, Round)> {
        let (side, readers): (_, SideReaders<'i, _>) = self.op.side_port();
        let main = self.finish(Some(side));
        readers.beside(main)
    }

    fn finish(self, side: Option<SidePort<(U, Round)>>) -> DataStream<'i, F::Out, (U, Round)> {
        let EpochOperator { mut op, n_inputs, mut f, mut read } = self;
        let ends_span = op.begins_anew_after();
        if ends_span.is_some() && !f.can_begin_anew() {
            op.refuse_rounds();
        }
        // One instance at a time: rounds do not mix where each has its own.
        let ticks = op.input_ticks().map(|(ticks, in_order)| (ticks, in_order || ends_span.is_some()));
        let mut part = op.rounds_part();
        let takes_part = op.takes_part();
        let context = EpochContext::new(op.worker_index(), side.as_ref().map(SidePort::outputs));
        let (out, edge) = op.output::<Vec<F::Out>>();
        let mut emitter =
            Emitter { context, collector: Collector::default(), out, side, handles_up_to: None };
        op.build(move |promises, _activation| {
            let mut schedule = ticks.map(|ticks| Schedule::new(ticks, promises));
            move |frontiers| {
                let frontier = least(frontiers, n_inputs + 1);
                let Some(schedule) = &mut schedule else { return Ok(()) };
                part.begin(&mut ())?;
                if part.had_ended(0) {
                    // The iteration was over in an earlier run.
                    schedule.say_no_more();
                }
                schedule.read()?;
                emitter.handles_up_to = schedule.handles_up_to();
                read(&mut f, &mut emitter)?;
                while let Some((time, promises)) = schedule.next(frontier.as_ref()) {
                    if schedule.in_order() {
                        emitter.handles_up_to = Some(time.clone());
                        read(&mut f, &mut emitter)?;
                    }
                    if takes_part {
                        emitter.call(&mut f, &time, &promises)?;
                    }
                    if ends_span.as_ref().is_some_and(|ends_span| ends_span(&time)) {
                        f.begin_anew();
                    }
                    if schedule.in_order() {
                        emitter.handles_up_to = schedule.handles_up_to();
                        read(&mut f, &mut emitter)?;
                    }
                }
                part.step(frontiers, &mut ())?;
                if frontier.is_none() { part.end(&mut ()) } else { Ok(()) }
            }
        });
        DataStream::from_edge(edge)
    }
}

/// Sends what a function emits.
pub(super) struct Emitter<E: 'static, U: Clock> {
    context: EpochContext,
    collector: Collector<E>,
    out: Output<Vec<E>, (U, Round)>,
    side: Option<SidePort<(U, Round)>>,
    /// Records behind this time wait.
    handles_up_to: Option<(U, Round)>,
}

/// The right to send at the time of a batch.
enum Right<'a, T: Clock> {
    Token(&'a Token<T>),
    /// One promise per output.
    Promises(&'a [Promise<T>]),
}

/// Batches of one input that wait for their round.
pub(super) struct Waiting<D, T: Clock>(BTreeMap<T, (Vec<Promise<T>>, Vec<Vec<D>>)>);

impl<D, T: Clock> Default for Waiting<D, T> {
    fn default() -> Self {
        Waiting(BTreeMap::new())
    }
}

impl<E: 'static, U: Clock> Emitter<E, U> {
    /// Hands each record of `input` whose round has come to `f`, and sends what it emits; the others wait.
    pub(super) fn handle<D: 'static>(
        &mut self,
        input: &mut Input<Vec<D>, (U, Round)>,
        waiting: &mut Waiting<D, (U, Round)>,
        mut f: impl FnMut(D, &mut EpochContext, &mut Collector<E>) -> Result<()>,
    ) -> Result<()> {
        while let Some(first) = waiting.0.first_entry().filter(|first| !self.is_early(first.key())) {
            let ((_, epoch), (promises, batches)) = first.remove_entry();
            for mut batch in batches {
                self.handle_batch(epoch, &mut batch, &Right::Promises(&promises), &mut f)?;
            }
        }
        input.try_for_each(|token, batch| {
            let time = token.time();
            if self.is_early(&time) {
                let n_outputs = if self.side.is_some() { 2 } else { 1 };
                let promises = || (0..n_outputs).map(|port| token.promise(port)).collect();
                let (_, batches) = waiting.0.entry(time).or_insert_with(|| (promises(), Vec::new()));
                batches.push(std::mem::take(batch));
                return Ok(());
            }
            self.handle_batch(time.1, batch, &Right::Token(&token), &mut f)
        })
    }

    /// Calls `f` for the end of an epoch or of the run, and sends what it emits.
    fn call<F: Callbacks<Out = E>>(
        &mut self,
        f: &mut F,
        (_, epoch): &(U, Round),
        promises: &[Promise<(U, Round)>],
    ) -> Result<()> {
        self.context.set_epoch(*epoch);
        match *epoch {
            END_EPOCH => f.termination(&mut self.context, &mut self.collector)?,
            epoch => f.epoch_end(epoch, &mut self.context, &mut self.collector)?,
        }
        self.send(&Right::Promises(promises))
    }

    /// Whether records of `time` have to wait. Those from the end of the loop around do not: no round of this
    /// one begins with them.
    fn is_early(&self, time: &(U, Round)) -> bool {
        self.handles_up_to.as_ref().is_some_and(|last| time > last) && !time.0.is_end()
    }

    fn handle_batch<D>(
        &mut self,
        epoch: Round,
        batch: &mut Vec<D>,
        right: &Right<'_, (U, Round)>,
        mut f: impl FnMut(D, &mut EpochContext, &mut Collector<E>) -> Result<()>,
    ) -> Result<()> {
        self.context.set_epoch(epoch);
        for record in batch.drain(..) {
            f(record, &mut self.context, &mut self.collector)?;
            if self.collector.batch().len() >= SEND_AT {
                self.send_results(right)?;
            }
        }
        self.send(right)
    }

    fn send_results(&mut self, right: &Right<'_, (U, Round)>) -> Result<()> {
        match right {
            Right::Token(token) => self.out.send(token, [self.collector.batch()]),
            Right::Promises(promises) => self.out.send_promised(last(promises)?, [self.collector.batch()]),
        }
        self.collector.batch().clear();
        Ok(())
    }

    /// Sends all that waits; results are the last output, side outputs the first if there are any.
    fn send(&mut self, right: &Right<'_, (U, Round)>) -> Result<()> {
        self.send_results(right)?;
        match (&mut self.side, right) {
            (Some(side), Right::Token(token)) => side.send(token),
            (Some(side), Right::Promises([first, ..])) => side.send_promised(first),
            _ => {}
        }
        Ok(())
    }
}

fn last<T: Clock>(promises: &[Promise<T>]) -> Result<&Promise<T>> {
    promises.last().ok_or_else(|| Error::internal("something is sent after the last callback"))
}
