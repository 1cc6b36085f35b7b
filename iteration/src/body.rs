//! What the body of an iteration gets and returns.

use std::collections::BTreeSet;
use std::panic::Location;

use waterwheel_engine::operator::{OperatorBuilder, WakeOn};
use waterwheel_engine::{Clock, DataStream, Edge, Mark, Place, Round};

use crate::streams::{Records, StreamTuple, Variables};
use crate::whole::whole;

/// The inside of an iteration while it is built.
///
/// Streams of the body can have event time, which runs anew in every round; see
/// [`EventStream`](waterwheel_engine::EventStream).
///
/// # Examples
/// Times that double from round to round, counted by the minute in each:
/// ```
/// use std::time::Duration;
/// use waterwheel_engine::{RuntimeConfig, WatermarkStrategy, Windows, execute};
/// use waterwheel_iteration::{IterationBodyResult, IterationConfig, Iterations};
///
/// let counts = execute(RuntimeConfig::threads(2), |env| {
///     let (times, config) = (env.from_iter([1_000i64, 2_000, 61_000]), IterationConfig::new().max_rounds(2));
///     let minute = Windows::tumbling(Duration::from_secs(60))?;
///     let (counts,) = Iterations::iterate_bounded((times,), (), config, |_it, (at,), ()| {
///         let disorder = Duration::from_secs(100);
///         let strategy = WatermarkStrategy::bounded_out_of_orderness(disorder, |at: &i64| *at);
///         let timed = at.clone().assign_timestamps_and_watermarks(strategy);
///         let counts = timed.window_all(minute).count().results.map(|n| (n.window.start, n.value));
///         IterationBodyResult::new((at.map(|at| 2 * at),), (counts.into_stream(),))
///     });
///     Ok(counts.collect())
/// })?;
/// let mut counts = counts.concat();
/// counts.sort();
/// assert_eq!(counts, [(0, 2), (0, 2), (60_000, 1), (120_000, 1)]);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
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
    ///
    /// # Examples
    /// ```
    /// use waterwheel_engine::{RuntimeConfig, execute};
    /// use waterwheel_iteration::{IterationBodyResult, Iterations};
    ///
    /// let all = execute(RuntimeConfig::threads(1), |env| {
    ///     let late = env.from_iter([100u64]);
    ///     let (all,) = Iterations::iterate_unbounded((env.from_iter([2u64]),), (), |it, (x,), ()| {
    ///         let all = x.union(it.enter(late));
    ///         IterationBodyResult::new((all.clone().filter(|x| *x % 10 > 0).map(|x| x - 1),), (all,))
    ///     });
    ///     Ok(all.collect())
    /// })?;
    /// let mut all = all.concat();
    /// all.sort();
    /// assert_eq!(all, [0, 1, 2, 100]);
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    #[track_caller]
    pub fn enter<D: 'static>(&self, stream: DataStream<'s, D, U>) -> DataStream<'i, D, (U, Round)> {
        whole(DataStream::from_edge(self.inner.enter(stream.into_edge())), Location::caller())
    }

    /// Lets the operators that `sub_body` makes of `inputs` begin anew in each round: they see the end of their
    /// input when the round is complete, and then their state is gone. Rounds may overlap.
    ///
    /// Functions with a state of their own need `for_next_round`, or the run ends with an error.
    ///
    /// # Examples
    /// ```
    /// use waterwheel_engine::{RuntimeConfig, execute};
    /// use waterwheel_iteration::{IterationBodyResult, IterationConfig, Iterations};
    ///
    /// let sums = execute(RuntimeConfig::threads(1), |env| {
    ///     let (start, config) = (env.from_iter([1u64, 2, 3]), IterationConfig::new().max_rounds(3));
    ///     let (sums,) = Iterations::iterate_bounded((start,), (), config, |it, (x,), ()| {
    ///         let (sums,) = it.for_each_round((x,), |(x,)| {
    ///             (x.map_partition(|records| [records.iter().sum::<u64>()]),)
    ///         });
    ///         IterationBodyResult::new((sums.clone(),), (sums,))
    ///     });
    ///     Ok(sums.collect())
    /// })?;
    /// assert_eq!(sums.concat(), [6, 6, 6]);
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    pub fn for_each_round<In, Out>(
        &self,
        inputs: In,
        sub_body: impl FnOnce(<In::Records as Records>::Streams<'i, (U, Round)>) -> Out,
    ) -> <Out::Records as Records>::Streams<'i, (U, Round)>
    where
        In: StreamTuple<'i, (U, Round), Records: Variables>,
        Out: StreamTuple<'i, (U, Round)>,
    {
        Self::at(Place::per_round, inputs, sub_body)
    }

    /// Lets the operators that `sub_body` makes of `inputs` keep their state over all rounds, inside of a body or
    /// a part of it whose operators begin anew in each.
    ///
    /// # Examples
    /// How many records there were in a round, and in all rounds so far:
    /// ```
    /// use waterwheel_engine::{RuntimeConfig, execute};
    /// use waterwheel_iteration::{IterationBodyResult, IterationConfig, Iterations, OperatorLifeCycle};
    ///
    /// let counts = execute(RuntimeConfig::threads(1), |env| {
    ///     let config = IterationConfig::new().max_rounds(3).operator_life_cycle(OperatorLifeCycle::PerRound);
    ///     let (counts,) = Iterations::iterate_bounded((env.from_iter([5u64, 6]),), (), config, |it, (x,), ()| {
    ///         let of_round = x.clone().map_partition(|records| [records.len() as u64]);
    ///         let (counts,) = it.all_rounds((of_round,), |(of_round,)| {
    ///             (of_round.key_by(|_| 0u8).process(|_, total: &mut u64, n, out| {
    ///                 *total += n;
    ///                 out.emit((n, *total));
    ///             }),)
    ///         });
    ///         IterationBodyResult::new((x,), (counts,))
    ///     });
    ///     Ok(counts.collect())
    /// })?;
    /// assert_eq!(counts.concat(), [(2, 2), (2, 4), (2, 6)]);
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    pub fn all_rounds<In, Out>(
        &self,
        inputs: In,
        sub_body: impl FnOnce(<In::Records as Records>::Streams<'i, (U, Round)>) -> Out,
    ) -> <Out::Records as Records>::Streams<'i, (U, Round)>
    where
        In: StreamTuple<'i, (U, Round), Records: Variables>,
        Out: StreamTuple<'i, (U, Round)>,
    {
        Self::at(Place::all_rounds, inputs, sub_body)
    }

    fn at<In, Out>(
        life_cycle: fn(Place<'i, (U, Round)>) -> Place<'i, (U, Round)>,
        inputs: In,
        sub_body: impl FnOnce(<In::Records as Records>::Streams<'i, (U, Round)>) -> Out,
    ) -> <Out::Records as Records>::Streams<'i, (U, Round)>
    where
        In: StreamTuple<'i, (U, Round), Records: Variables>,
        Out: StreamTuple<'i, (U, Round)>,
    {
        let inputs = inputs.into_streams();
        let around = In::Records::place(&inputs);
        let inputs = In::Records::read_at(inputs, &life_cycle(around.clone()));
        let outputs = sub_body(inputs).into_streams();
        <Out::Records as Records>::read_at(outputs, &around)
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
    op.keep_nothing();
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
