//! Iterations over tuples of streams.

use std::panic::Location;
use std::rc::Rc;

use waterwheel_engine::{Clock, Error, LoopHead as _, Place, Round};

use crate::body::{Iteration, IterationBodyResult};
use crate::config::{IterationConfig, OperatorLifeCycle};
use crate::data::DataInputs;
use crate::head::Head;
use crate::listener::END_EPOCH;
use crate::streams::{Ending, Loop, Records, StreamTuple, Variables};

/// The streams inside a loop, in the clock `U`, of records `R`.
type Inner<'i, R, U> = <R as Records>::Streams<'i, (U, Round)>;

/// Builds iterations as of FLIP-176.
///
/// The variables of an iteration are streams that the body, which is called once while the graph is built, reads
/// and replaces: what it returns as their feedback comes again one epoch later. All first values and all data have
/// epoch 0, what is emitted while a record is handled has the epoch of the record, and the feedback edge adds 1.
#[derive(Clone, Copy, Debug)]
pub struct Iterations;

impl Iterations {
    /// Iterates until no record is fed back, until the criteria have no record in an epoch, or until
    /// [`max_rounds`](IterationConfig::max_rounds), whichever comes first.
    ///
    /// When the iteration ends with epoch *r*, nothing of epoch *r* + 1 is ever seen: there are as many epochs on
    /// every run, at every number of workers. Without criteria records pass the feedback edge at once, so epochs
    /// may overlap; with criteria the feedback of an epoch waits until all of it is decided.
    ///
    /// # Examples
    /// Newton's iteration for the square root of 2, beside a counter of another type:
    /// ```
    /// use waterwheel_engine::{RuntimeConfig, execute};
    /// use waterwheel_iteration::{IterationBodyResult, IterationConfig, Iterations};
    ///
    /// let roots = execute(RuntimeConfig::threads(2), |env| {
    ///     let (guess, steps) = (env.from_iter([1.0f64]), env.from_iter([0u32]));
    ///     let config = IterationConfig::new();
    ///     let (roots, counts) = Iterations::iterate_bounded((guess, steps), (), config, |_it, (x, n), ()| {
    ///         let better = x.map(|x| (x, (x + 2.0 / x) / 2.0));
    ///         let wrong = better.clone().filter(|(x, better)| (x - better).abs() > 1e-9);
    ///         let (next, n) = (better.map(|(_, better)| better), n.map(|n| n + 1));
    ///         IterationBodyResult::new((next.clone(), n.clone()), (next, n)).termination_criteria(wrong)
    ///     });
    ///     Ok((roots.collect(), counts.collect()))
    /// })?;
    /// let (roots, counts) = &roots[0];
    /// assert!((roots[4] - 2f64.sqrt()).abs() < 1e-12);
    /// assert_eq!(counts, &[1, 2, 3, 4, 5]);
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    #[track_caller]
    pub fn iterate_bounded<'s, U, V, D, O, F>(
        init_variables: V,
        data_streams: D,
        config: IterationConfig,
        body: F,
    ) -> O::Streams<'s, U>
    where
        U: Clock,
        V: StreamTuple<'s, U, Records: Variables>,
        D: DataInputs<'s, U>,
        O: Records,
        F: for<'i> FnOnce(
            &Iteration<'i, 's, U>,
            Inner<'i, V::Records, U>,
            Inner<'i, D::Records, U>,
        ) -> IterationBodyResult<'i, V::Records, O, (U, Round)>,
    {
        let init = init_variables.into_streams();
        let outer = V::Records::place(&init);
        if config.max_rounds == Some(0) {
            outer.refuse(Error::config(format!(
                "max_rounds of iteration \"{}\" is 0, expected 1 or more",
                config.name
            )));
        }
        build::<U, V::Records, D, O, F>(&outer, init, data_streams, &config, body)
    }

    /// Iterates for as long as there is input or a record in the loop. Streams may be unbounded; there are no
    /// criteria, and data streams are not replayed: either ends the run with an
    /// [`ErrorKind::Config`](waterwheel_engine::ErrorKind::Config) error.
    ///
    /// # Examples
    /// Numbers are halved until they are odd:
    /// ```
    /// use waterwheel_engine::{RuntimeConfig, execute};
    /// use waterwheel_iteration::{IterationBodyResult, Iterations};
    ///
    /// let odd = execute(RuntimeConfig::threads(1), |env| {
    ///     let (odd,) = Iterations::iterate_unbounded((env.from_iter([12u32, 7, 40]),), (), |_it, (x,), ()| {
    ///         let even = x.clone().filter(|x| x % 2 == 0).map(|x| x / 2);
    ///         IterationBodyResult::new((even,), (x.filter(|x| x % 2 == 1),))
    ///     });
    ///     Ok(odd.collect())
    /// })?;
    /// let mut odd = odd.concat();
    /// odd.sort();
    /// assert_eq!(odd, [3, 5, 7]);
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    #[track_caller]
    pub fn iterate_unbounded<'s, U, V, D, O, F>(
        init_variables: V,
        data_streams: D,
        body: F,
    ) -> O::Streams<'s, U>
    where
        U: Clock,
        V: StreamTuple<'s, U, Records: Variables>,
        D: DataInputs<'s, U>,
        O: Records,
        F: for<'i> FnOnce(
            &Iteration<'i, 's, U>,
            Inner<'i, V::Records, U>,
            Inner<'i, D::Records, U>,
        ) -> IterationBodyResult<'i, V::Records, O, (U, Round)>,
    {
        Self::iterate_unbounded_named("iterate_unbounded", init_variables, data_streams, body)
    }

    /// As [`iterate_unbounded`](Self::iterate_unbounded), with a name of the loop, for errors and for those who watch
    /// it. Default `iterate_unbounded`.
    #[track_caller]
    pub fn iterate_unbounded_named<'s, U, V, D, O, F>(
        name: &str,
        init_variables: V,
        data_streams: D,
        body: F,
    ) -> O::Streams<'s, U>
    where
        U: Clock,
        V: StreamTuple<'s, U, Records: Variables>,
        D: DataInputs<'s, U>,
        O: Records,
        F: for<'i> FnOnce(
            &Iteration<'i, 's, U>,
            Inner<'i, V::Records, U>,
            Inner<'i, D::Records, U>,
        ) -> IterationBodyResult<'i, V::Records, O, (U, Round)>,
    {
        let init = init_variables.into_streams();
        let outer = V::Records::place(&init);
        data_streams.refuse_replay();
        let config = IterationConfig { in_order: false, ..IterationConfig::new().name(name) };
        build::<U, V::Records, D, O, _>(&outer, init, data_streams, &config, |it, variables, data| {
            let result = body(it, variables, data);
            if result.go.is_some() {
                it.outer.refuse(Error::config(format!(
                    "iteration \"{name}\" is unbounded and has no termination criteria: \
                     use iterate_bounded, or leave them out"
                )));
            }
            result
        })
    }
}

#[track_caller]
fn build<'s, U, V, D, O, F>(
    outer: &Place<'s, U>,
    init: V::Streams<'s, U>,
    data: D,
    config: &IterationConfig,
    body: F,
) -> O::Streams<'s, U>
where
    U: Clock,
    V: Variables,
    D: DataInputs<'s, U>,
    O: Records,
    F: for<'i> FnOnce(
        &Iteration<'i, 's, U>,
        Inner<'i, V, U>,
        Inner<'i, D::Records, U>,
    ) -> IterationBodyResult<'i, V, O, (U, Round)>,
{
    let location = Location::caller();
    outer.nested::<Round, _>(&config.name, |inner, outer| {
        let head = Head::new(inner, outer, config, location);
        let place = inner.clone().with_head(Rc::clone(&head) as Rc<_>);
        let place = match config.life_cycle {
            OperatorLifeCycle::AllRound => place,
            OperatorLifeCycle::PerRound => place.per_round(),
        };
        let the_loop = Loop { place: &place, head: &head };
        let (variables, open) = V::open(init, &the_loop);
        let data = data.bring(&place, location);
        let it = Iteration { inner: place.clone(), outer: outer.clone() };
        let IterationBodyResult { feedback, outputs, go } = body(&it, variables, data);
        let max_rounds = config.max_rounds.unwrap_or(END_EPOCH);
        let ticks = head.is_cut().then(|| head.ticks());
        head.finish();
        V::close(feedback, open, &Ending { max_rounds, go, ticks });
        O::leave(outputs, outer)
    })
}
