//! User functions on records: many results per record, and a call at the end of the input.

mod rounds;
mod run;

use std::marker::PhantomData;
use std::panic::Location;
use std::time::Instant;

use crate::checkpoint::{Saved, Snapshot, StateReader, StateWriter, Written};
use crate::clock::{AnyClock, Clock};
use crate::edge::Edge;
use crate::error::Result;
use crate::metrics::StateSize;
use crate::operator::{OperatorBuilder, Output, Promise, Token, WakeOn};
use crate::stream::DataStream;

pub use rounds::ForRound;
pub(crate) use rounds::{Renewable, SpanOf, Spans, state, swap_function};
pub(crate) use run::{Beside, run, run_beside, send};

/// Results are sent on once this many are waiting.
const SEND_AT: usize = 1024;

/// Takes the results of a user function.
#[derive(Debug)]
pub struct Collector<E> {
    waiting: Vec<E>,
}

impl<E> Default for Collector<E> {
    fn default() -> Self {
        Collector { waiting: Vec::new() }
    }
}

impl<E> Collector<E> {
    /// Takes all results that were emitted and not sent.
    pub fn drain(&mut self) -> Vec<E> {
        std::mem::take(&mut self.waiting)
    }

    /// Whether there is nothing to send.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The results that wait, to be sent as one batch with [`Output`].
    #[inline]
    pub fn batch(&mut self) -> &mut Vec<E> {
        &mut self.waiting
    }

    /// Emits one result.
    #[inline]
    pub fn emit(&mut self, result: E) {
        self.waiting.push(result);
    }
}

impl<E: 'static> Collector<E> {
    /// Runs `f` on each record of `batch`, and sends what it emits.
    #[inline]
    pub(crate) fn send_each<D, T: Clock>(
        &mut self,
        token: &Token<T>,
        out: &mut Output<Vec<E>, T>,
        batch: &mut Vec<D>,
        mut f: impl FnMut(D, &mut Self) -> Result<()>,
    ) -> Result<()> {
        for record in batch.drain(..) {
            f(record, self)?;
            self.send_full(token, out);
        }
        self.send(token, out);
        Ok(())
    }

    /// Sends what waits if it is a full batch.
    #[inline(always)]
    pub(crate) fn send_full<T: AnyClock>(&mut self, token: &Token<T>, out: &mut Output<Vec<E>, T>) {
        if self.waiting.len() >= SEND_AT {
            self.send(token, out);
        }
    }

    /// Sends all that waits. Not part of the loops over records that call it now and then.
    #[inline(never)]
    pub(crate) fn send<T: AnyClock>(&mut self, token: &Token<T>, out: &mut Output<Vec<E>, T>) {
        out.send(token, [&mut self.waiting]);
        self.waiting.clear();
    }

    /// Sends all that waits at the promise's time.
    pub(crate) fn send_promised<T: AnyClock>(&mut self, promise: &Promise<T>, out: &mut Output<Vec<E>, T>) {
        out.send_promised(promise, [&mut self.waiting]);
        self.waiting.clear();
    }
}

/// Takes the results of one batch and sends them at its time.
pub(crate) struct Results<'a, E: 'static, T: AnyClock> {
    collector: &'a mut Collector<E>,
    token: &'a Token<T>,
    out: &'a mut Output<Vec<E>, T>,
}

impl<E: 'static, T: AnyClock> Results<'_, E, T> {
    #[inline]
    pub(crate) fn collector(&mut self) -> &mut Collector<E> {
        self.collector
    }

    /// Sends what waits if it is a full batch; to be called after each record.
    #[inline(always)]
    pub(crate) fn send_full(&mut self) {
        self.collector.send_full(self.token, self.out);
    }
}

/// A function on the records of a stream, one instance per worker.
pub trait ProcessFunction<D> {
    /// What it emits.
    type Out: 'static;

    /// Whether the function is to be told of the end of its input. Default `true`.
    ///
    /// Waiting for the end keeps a loop alive: a function whose results are fed back into its own input must
    /// say `false`, or the loop never ends.
    const WAITS_FOR_END: bool = true;

    /// Handles one record.
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn process(&mut self, record: D, out: &mut Collector<Self::Out>) -> Result<()>;

    /// Called once per worker when the input has ended, even if this worker saw no record; not on workers
    /// beyond the stream's [`parallelism`](DataStream::set_parallelism).
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn end_of_input(&mut self, _out: &mut Collector<Self::Out>) -> Result<()> {
        Ok(())
    }

    /// What serves the next round, where operators begin anew in each round of a loop. Default: nothing can.
    fn for_next_round(&self) -> ForRound<Self>
    where
        Self: Sized,
    {
        ForRound::Refused
    }

    /// Writes what the function keeps between records, for a checkpoint; see [`CheckpointConfig`](crate::CheckpointConfig).
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

    /// Takes over, before its first record, what was written by [`snapshot`](Self::snapshot): with the same number of
    /// workers by the same worker; otherwise worker `w` of `n` gets what those had whose index modulo `n` is `w`, of none,
    /// one or several.
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn restore(&mut self, _state: &mut StateReader) -> Result<()> {
        Ok(())
    }
}

/// When there is something to do, as of a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    pub(crate) at: Instant,
    pub(crate) now: Instant,
}

impl Due {
    pub(crate) fn has_come(self) -> bool {
        self.at <= self.now
    }
}

/// A function on batches: what an operator runs, whether per record or per key.
pub(crate) trait BatchFunction<D>: Renewable + Snapshot + 'static {
    /// What it emits.
    type Out: 'static;

    /// As [`ProcessFunction::WAITS_FOR_END`].
    const WAITS_FOR_END: bool;

    /// Whether there is something to do when time has gone by.
    const HAS_TIMERS: bool = false;

    /// How much state it keeps by key; `None` where it keeps none by key.
    fn state_size(&self) -> Option<StateSize> {
        None
    }

    /// Handles the records of a batch in order, and takes all of them.
    fn process_batch<T: Clock>(
        &mut self,
        batch: &mut Vec<D>,
        out: &mut Results<'_, Self::Out, T>,
    ) -> Result<()>;

    /// Does what is due, or a part of it, and says when there is more to do, if ever.
    fn on_processing_time(&mut self, _out: &mut Collector<Self::Out>) -> Result<Option<Due>> {
        Ok(None)
    }

    /// As [`ProcessFunction::end_of_input`].
    fn end_of_input(&mut self, out: &mut Collector<Self::Out>) -> Result<()>;
}

/// A function on records, one after the other.
pub(crate) struct PerRecord<F, D>(F, PhantomData<fn(D)>);

impl<F, D> PerRecord<F, D> {
    pub(crate) fn new(f: F) -> Self {
        PerRecord(f, PhantomData)
    }
}

impl<D, F: ProcessFunction<D> + 'static> Renewable for PerRecord<F, D> {
    type State = (Option<F>, ());

    fn fresh(&self) -> ForRound<Self::State> {
        self.0.for_next_round().alone(F::WAITS_FOR_END)
    }

    fn swap(&mut self, (f, ()): &mut Self::State) {
        swap_function(&mut self.0, f);
    }
}

impl<D, F: ProcessFunction<D> + 'static> Snapshot for PerRecord<F, D> {
    fn check(&self) -> Result<()> {
        self.0.snapshot(&mut StateWriter::default())
    }

    fn mark(&mut self, to: &mut Written) -> Result<()> {
        self.0.snapshot(to.items())
    }

    fn restore(&mut self, from: &Saved<'_>) -> Result<()> {
        self.0.restore(&mut from.items()?)
    }
}

impl<D: 'static, F: ProcessFunction<D> + 'static> BatchFunction<D> for PerRecord<F, D> {
    type Out = F::Out;
    const WAITS_FOR_END: bool = F::WAITS_FOR_END;

    #[inline]
    fn process_batch<T: Clock>(
        &mut self,
        batch: &mut Vec<D>,
        out: &mut Results<'_, F::Out, T>,
    ) -> Result<()> {
        for record in batch.drain(..) {
            self.0.process(record, out.collector())?;
            out.send_full();
        }
        Ok(())
    }

    fn end_of_input(&mut self, out: &mut Collector<F::Out>) -> Result<()> {
        self.0.end_of_input(out)
    }
}

pub(crate) fn build<'s, D: 'static, T: Clock, F: ProcessFunction<D> + 'static>(
    edge: Edge<'s, Vec<D>, T>,
    f: F,
    location: &'static Location<'static>,
) -> DataStream<'s, F::Out, T> {
    let mut op = OperatorBuilder::made_at(&edge.place(), "process", location);
    let input = op.input(edge, WakeOn::end(F::WAITS_FOR_END));
    run(op, input, PerRecord::new(f))
}

/// The promises of an operator that has something to send when its input has ended: kept until then, at the
/// time that may still arrive.
pub(crate) struct LastWord<T: Clock>(Vec<Promise<T>>);

impl<T: Clock> LastWord<T> {
    /// Keeps the promises, if there will be something to send.
    pub(crate) fn new(promises: Vec<Promise<T>>, waits_for_end: bool) -> Self {
        LastWord(if waits_for_end { promises } else { Vec::new() })
    }

    /// Moves on to `time`, the first that may still arrive.
    #[inline]
    pub(crate) fn wait_until(&mut self, time: &T) -> Result<()> {
        let mut behind = self.0.iter_mut().filter(|promise| promise.time() != time);
        behind.try_for_each(|promise| promise.advance_to(time))
    }

    /// One promise per output, in order; none after [`say_no_more`](Self::say_no_more).
    pub(crate) fn promises(&self) -> &[Promise<T>] {
        &self.0
    }

    /// Drops the promises.
    pub(crate) fn say_no_more(&mut self) {
        self.0.clear();
    }
}
