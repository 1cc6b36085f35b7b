//! User functions on records: many results per record, and a call at the end of the input.

use std::panic::Location;

use crate::clock::{AnyClock, Clock};
use crate::edge::Edge;
use crate::error::Result;
use crate::operator::{Input, OperatorBuilder, Output, Promise, Token, WakeOn};
use crate::stream::DataStream;

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
    /// Sends what waits if it is a full batch.
    #[inline]
    pub(crate) fn send_full<T: AnyClock>(&mut self, token: &Token<T>, out: &mut Output<Vec<E>, T>) {
        if self.waiting.len() >= SEND_AT {
            self.send(token, out);
        }
    }

    /// Sends all that waits.
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

/// Takes the results of one batch and sends them at its time; what waits at the end is sent then.
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
    #[inline]
    pub(crate) fn send_full(&mut self) {
        self.collector.send_full(self.token, self.out);
    }
}

/// A function on the records of a stream, one instance per worker.
pub trait ProcessFunction<D> {
    /// What it emits.
    type Out: 'static;

    /// Handles one record.
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn process(&mut self, record: D, out: &mut Collector<Self::Out>) -> Result<()>;

    /// Called once per worker when the input has ended, even if this worker saw no record.
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn end_of_input(&mut self, _out: &mut Collector<Self::Out>) -> Result<()> {
        Ok(())
    }
}

/// A function on batches: what an operator runs, whether per record or per key.
pub(crate) trait BatchFunction<D>: 'static {
    /// What it emits.
    type Out: 'static;

    /// Handles the records of a batch in order, and takes all of them.
    fn process_batch<T: Clock>(
        &mut self,
        batch: &mut Vec<D>,
        out: &mut Results<'_, Self::Out, T>,
    ) -> Result<()>;

    /// As [`ProcessFunction::end_of_input`].
    fn end_of_input(&mut self, out: &mut Collector<Self::Out>) -> Result<()>;
}

/// A function on records, one after the other.
struct PerRecord<F>(F);

impl<D: 'static, F: ProcessFunction<D> + 'static> BatchFunction<D> for PerRecord<F> {
    type Out = F::Out;

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
    let input = op.input(edge, WakeOn::Progress);
    run(op, input, PerRecord(f))
}

/// Finishes an operator that runs `f` on every batch of `input`.
pub(crate) fn run<'s, D: 'static, T: Clock, F: BatchFunction<D>>(
    mut op: OperatorBuilder<'s, T>,
    mut input: Input<Vec<D>, T>,
    mut f: F,
) -> DataStream<'s, F::Out, T> {
    let (mut out, edge) = op.output::<Vec<F::Out>>();
    op.build(move |mut promises, _activation| {
        // Kept until the end of the input, at the time that may still arrive: the last call sends with it.
        let mut last = promises.pop();
        let mut collector = Collector::default();
        move |frontiers| {
            input.try_for_each(|token, batch| {
                let mut results = Results { collector: &mut collector, token: &token, out: &mut out };
                f.process_batch(batch, &mut results)?;
                collector.send(&token, &mut out);
                Ok(())
            })?;
            match (frontiers.next(0), &mut last) {
                (Some(time), Some(promise)) if time != *promise.time() => promise.advance_to(&time)?,
                (None, Some(promise)) => {
                    f.end_of_input(&mut collector)?;
                    collector.send_promised(promise, &mut out);
                    last = None;
                }
                _ => {}
            }
            Ok(())
        }
    });
    DataStream::from_edge(edge)
}
