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
            out.send(token, [&mut self.waiting]);
            self.waiting.clear();
        }
    }

    /// Sends all that waits.
    #[inline]
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

pub(crate) fn build<'s, D: 'static, T: Clock, F: ProcessFunction<D> + 'static>(
    edge: Edge<'s, Vec<D>, T>,
    f: F,
    location: &'static Location<'static>,
) -> DataStream<'s, F::Out, T> {
    let mut op = OperatorBuilder::made_at(&edge.place(), "process", location);
    let input = op.input(edge, WakeOn::Progress);
    run(op, input, f)
}

/// Finishes an operator that runs `f` on every record of `input`.
pub(crate) fn run<'s, D: 'static, T: Clock, F: ProcessFunction<D> + 'static>(
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
                for record in batch.drain(..) {
                    f.process(record, &mut collector)?;
                    collector.send_full(&token, &mut out);
                }
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
