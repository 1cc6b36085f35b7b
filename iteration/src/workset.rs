//! Worksets on state that is changed in place.

mod operator;
mod slots;

use std::panic::Location;

use waterwheel_engine::hash::{Key, key_owner};
use waterwheel_engine::operator::WakeOn;
use waterwheel_engine::{Clock, DataStream, Record, Result, Round};

use crate::feedback::feedback_loop;
use crate::whole::hold;
use operator::Operator;

/// What [`iterate_workset`] does with the work of a key.
pub trait WorksetFunction<K, W>: 'static {
    /// State of one key, kept from one time of the clock to the next; made by `Default`.
    type State: Default + 'static;
    /// What it emits.
    type Out: 'static;

    /// Handles all work that `key` has in this round. `work` is in no order.
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn step(
        &mut self,
        key: &K,
        work: &mut Vec<W>,
        state: &mut Self::State,
        next: &mut Workset<K, W>,
    ) -> Result<()>;

    /// Called when no work is left at this time of the clock, once for each key that has had some. What it puts into
    /// `out` has this time. `false` drops the state.
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn settled(&mut self, key: &K, state: &mut Self::State, out: &mut Vec<Self::Out>) -> Result<bool>;
}

/// The work of the next round.
#[derive(Debug)]
pub struct Workset<K, W> {
    work: Vec<(K, W)>,
}

impl<K, W> Workset<K, W> {
    /// Adds work for `key`.
    pub fn add(&mut self, key: K, work: W) {
        self.work.push((key, work));
    }
}

/// Iterates on a keyed state until no work is left, for each time of the clock: delta iteration whose solution set is
/// changed in place, as Flink's is.
///
/// In round 0 of a time, the work is what `work` brings at that time; what [`step`](WorksetFunction::step) adds in a
/// round is the work of the next. A key's work of one round is handled in one call, on the worker that owns the key,
/// and no round begins before the one before is complete everywhere: results do not depend on the number of workers
/// where the function does not depend on the order of a key's work. Times follow each other.
///
/// Unlike [`iterate_delta`](crate::Iterations::iterate_delta) it keeps no history: memory is the state and the work in progress,
/// whatever the number of rounds, but a function has to know by itself how to undo. It fits what converges, such as
/// PageRank.
///
/// # Examples
/// Each number sends half of itself to the number below, as long as there is something left to send:
/// ```
/// use waterwheel_engine::{Result, RuntimeConfig, execute};
/// use waterwheel_iteration::{Workset, WorksetFunction, iterate_workset};
///
/// struct Halve;
/// impl WorksetFunction<u32, u64> for Halve {
///     type State = u64;
///     type Out = (u32, u64);
///
///     fn step(&mut self, key: &u32, work: &mut Vec<u64>, sum: &mut u64, next: &mut Workset<u32, u64>) -> Result<()> {
///         let new: u64 = work.drain(..).sum();
///         *sum += new;
///         if *key > 0 && new > 1 {
///             next.add(key - 1, new / 2);
///         }
///         Ok(())
///     }
///
///     fn settled(&mut self, key: &u32, sum: &mut u64, out: &mut Vec<(u32, u64)>) -> Result<bool> {
///         out.push((*key, *sum));
///         Ok(true)
///     }
/// }
///
/// let sums = execute(RuntimeConfig::threads(2), |env| {
///     Ok(iterate_workset(env.from_batches([vec![(3u32, 8u64)], vec![(1, 1)]]), Halve).collect())
/// })?;
/// let mut sums = sums.concat();
/// sums.sort();
/// assert_eq!(sums, [(0, 1), (1, 2), (1, 3), (2, 4), (3, 8)]);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[track_caller]
pub fn iterate_workset<'s, K: Key, W: Record, T: Clock, F: WorksetFunction<K, W>>(
    work: DataStream<'s, (K, W), T>,
    function: F,
) -> DataStream<'s, F::Out, T> {
    iterate_workset_named("iterate_workset", work, function)
}

/// As [`iterate_workset`], with a name of the loop, for errors and for those who watch it. Default `iterate_workset`.
#[track_caller]
pub fn iterate_workset_named<'s, K: Key, W: Record, T: Clock, F: WorksetFunction<K, W>>(
    name: &str,
    work: DataStream<'s, (K, W), T>,
    function: F,
) -> DataStream<'s, F::Out, T> {
    let (edge, at) = (work.into_edge(), Location::caller());
    let out = feedback_loop::<_, Round, _, _>(&edge.place(), name, |it, fed_back| {
        let all = hold(DataStream::from_edge(it.enter(edge)), at).union(DataStream::from_edge(fed_back));
        let mut op = it.operator("workset");
        // All of the loop is in one checkpoint epoch.
        op.keep_nothing();
        let workers = it.place().workers();
        let owner = move |(key, _): &(K, W)| key_owner(key, workers) as u64;
        let input = op.input_routed(all.into_edge(), WakeOn::Progress, owner);
        let (next, next_edge) = op.output();
        let (out, out_edge) = op.output();
        op.build(|_promises, _activation| {
            let mut operator = Operator::new(input, next, out, function);
            move |frontiers| operator.run(frontiers)
        });
        (next_edge, it.leave(out_edge))
    });
    DataStream::from_edge(out)
}
