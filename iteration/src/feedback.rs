//! The feedback loop.

use std::panic::Location;

use waterwheel_engine::operator::{Batch, OperatorBuilder};
use waterwheel_engine::{Clock, Edge, LoopCounter, Place};

/// The inside of a loop while it is built: brings edges in and out.
pub struct LoopBody<'a, 'i, 's, T: Clock, R: LoopCounter> {
    inner: &'a Place<'i, (T, R)>,
    outer: &'a Place<'s, T>,
    location: &'static Location<'static>,
}

impl<'i, 's, T: Clock, R: LoopCounter> LoopBody<'_, 'i, 's, T, R> {
    /// Starts an operator of the loop. In errors it has the source line of the loop.
    pub fn operator(&self, name: &str) -> OperatorBuilder<'i, (T, R)> {
        OperatorBuilder::made_at(self.inner, name, self.location)
    }

    /// Where operators of the loop live.
    pub fn place(&self) -> &Place<'i, (T, R)> {
        self.inner
    }

    /// Brings an edge of the surroundings into the loop; its batches enter at counter 0.
    pub fn enter<C: Default + Batch>(&self, edge: Edge<'s, C, T>) -> Edge<'i, C, (T, R)> {
        self.inner.enter(edge)
    }

    /// Brings an edge of the loop out; its batches lose the counter.
    pub fn leave<C: Default + Batch>(&self, edge: Edge<'i, C, (T, R)>) -> Edge<'s, C, T> {
        self.outer.leave(edge)
    }
}

impl<T: Clock, R: LoopCounter> std::fmt::Debug for LoopBody<'_, '_, '_, T, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("LoopBody").field(self.inner).finish()
    }
}

/// Builds a loop with one feedback edge.
///
/// `body` gets what is fed back (batches come one step of the counter later) and returns the edge to feed
/// back and its results, which it brings out with [`LoopBody::leave`]. The loop ends when no batch and no
/// promise of one is left inside: there is no time-out.
///
/// # Examples
/// Numbers circulate and are halved until they are odd:
/// ```
/// use waterwheel_engine::operator::{OperatorBuilder, WakeOn};
/// use waterwheel_engine::{DataStream, Round, RuntimeConfig, execute};
/// use waterwheel_iteration::feedback_loop;
///
/// let odd = execute(RuntimeConfig::threads(1), |env| {
///     let numbers = env.from_iter([12u32, 7, 40]).into_edge();
///     let odd = feedback_loop::<_, Round, _, _>(env.place(), "halve", |it, fed_back| {
///         let all = DataStream::from_edge(it.enter(numbers)).union(DataStream::from_edge(fed_back));
///         let even = all.clone().filter(|x| x % 2 == 0).map(|x| x / 2);
///         let odd = all.filter(|x| x % 2 == 1);
///         (even.into_edge(), it.leave(odd.into_edge()))
///     });
///     Ok(DataStream::from_edge(odd).collect())
/// })?;
/// let mut odd = odd.concat();
/// odd.sort();
/// assert_eq!(odd, [3, 5, 7]);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[track_caller]
pub fn feedback_loop<'s, T: Clock, R: LoopCounter, C: Default + Batch, O>(
    around: &Place<'s, T>,
    name: &str,
    body: impl for<'a, 'i> FnOnce(&LoopBody<'a, 'i, 's, T, R>, Edge<'i, C, (T, R)>) -> (Edge<'i, C, (T, R)>, O),
) -> O {
    let location = Location::caller();
    around.nested(name, |inner, outer| {
        let (open, fed_back) = inner.feedback(location);
        let (feedback, results) = body(&LoopBody { inner, outer, location }, fed_back);
        open.close(feedback);
        results
    })
}
