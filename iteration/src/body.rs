//! What the body of an iteration gets and returns.

use std::collections::BTreeSet;

use waterwheel_engine::operator::{OperatorBuilder, WakeOn};
use waterwheel_engine::{Clock, DataStream, Edge, Mark, Place, Round};

use crate::streams::{Records, StreamTuple};

/// The inside of an iteration while it is built.
pub struct Iteration<'i, 's, U: Clock> {
    pub(crate) inner: Place<'i, (U, Round)>,
    pub(crate) outer: Place<'s, U>,
}

impl<'i, 's, U: Clock> Iteration<'i, 's, U> {
    /// Where operators of the body live.
    pub fn place(&self) -> &Place<'i, (U, Round)> {
        &self.inner
    }

    /// Where the loop is.
    pub fn outer(&self) -> &Place<'s, U> {
        &self.outer
    }

    /// Brings a stream of the surroundings into the body, a source for example; its records arrive in epoch 0.
    pub fn enter<D: 'static>(&self, stream: DataStream<'s, D, U>) -> DataStream<'i, D, (U, Round)> {
        DataStream::from_edge(self.inner.enter(stream.into_edge()))
    }
}

impl<U: Clock> std::fmt::Debug for Iteration<'_, '_, U> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Iteration").field(&self.inner).finish()
    }
}

/// What the body of an iteration returns: the feedback of its variables, its outputs, and perhaps criteria that
/// end it. `T` is the clock inside the loop.
pub struct IterationBodyResult<'i, V: Records, O: Records, T: Clock> {
    pub(crate) feedback: V::Streams<'i, T>,
    pub(crate) outputs: O::Streams<'i, T>,
    pub(crate) go: Option<Edge<'i, Vec<Mark>, T>>,
}

impl<'i, V: Records, O: Records, T: Clock> IterationBodyResult<'i, V, O, T> {
    /// Feeds back the streams `feedback`, one for each variable and in their order, and brings `outputs` out of
    /// the loop.
    pub fn new<F, P>(feedback: F, outputs: P) -> Self
    where
        F: StreamTuple<'i, T, Records = V>,
        P: StreamTuple<'i, T, Records = O>,
    {
        IterationBodyResult { feedback: feedback.into_streams(), outputs: outputs.into_streams(), go: None }
    }

    /// Ends the loop with the first round in which `criteria` has no records: what is fed back in that round is
    /// dropped.
    #[must_use]
    #[track_caller]
    pub fn termination_criteria<X: 'static>(self, criteria: DataStream<'i, X, T>) -> Self {
        IterationBodyResult { go: Some(vote(criteria)), ..self }
    }
}

/// Tells every worker of each round in which `criteria` has records here.
#[track_caller]
fn vote<'i, X: 'static, T: Clock>(criteria: DataStream<'i, X, T>) -> Edge<'i, Vec<Mark>, T> {
    let edge = criteria.into_edge();
    let mut op = OperatorBuilder::new(&edge.place(), "termination_criteria");
    let workers = edge.place().workers() as Mark;
    let mut input = op.input(edge, WakeOn::Records);
    let (mut out, votes) = op.output::<Vec<Mark>>();
    op.build(move |_promises, _activation| {
        let mut told = BTreeSet::new();
        move |frontiers| {
            input.for_each(|token, records| {
                records.clear();
                if told.insert(token.time()) {
                    out.send(&token, [&mut (0..workers).collect()]);
                }
            });
            match frontiers.next(0) {
                Some(next) => told = told.split_off(&next),
                None => told.clear(),
            }
            Ok(())
        }
    });
    votes
}

impl<V: Records, O: Records, T: Clock> std::fmt::Debug for IterationBodyResult<'_, V, O, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IterationBodyResult")
            .field("has_criteria", &self.go.is_some())
            .finish_non_exhaustive()
    }
}
