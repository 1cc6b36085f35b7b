//! Delta iteration: a solution set that deltas update, and a workset that drives them.

use waterwheel_engine::hash::Key;
use waterwheel_engine::{Collection, DeltaClock, InLoop, IterateScope, Round};

use crate::iterations::Iterations;

/// What one step of a delta iteration comes to.
#[derive(Debug)]
pub struct DeltaStep<'i, K, V, W, T: DeltaClock> {
    /// Records of the solution set that are new or replace the one with the same key. Of several with one key the
    /// least counts.
    pub delta: Collection<'i, (K, V), InLoop<T>>,
    /// The workset of the next step.
    pub workset: Collection<'i, W, InLoop<T>>,
}

impl Iterations {
    /// Iterates on a keyed solution set until the workset is empty; Flink's delta iteration, kept up to date.
    ///
    /// `solution_set` has one record per key. `step` is built once. In each round it gets the solution set and the
    /// workset, and returns the deltas, which take the place of the solution set's records with their keys, and the next
    /// workset. What comes out is the solution set after the last round: for every batch of the inputs, as if the
    /// iteration had been run anew on all that is there as of that batch, by work in proportion to what differs, round by
    /// round.
    ///
    /// The iteration ends when rounds bring nothing new. Deltas and next workset must be empty when the workset is, which
    /// they are when each comes from a join with it; then that is when the workset is empty.
    ///
    /// `max_rounds` is the number of rounds after which it ends in any case (`Round::MAX`: never); 0 leaves the solution
    /// set as it is.
    ///
    /// # Cost
    /// A round costs what it changes: deltas and workset, times the logarithm of what is kept. Kept are the inputs, the
    /// solution set, and per round the deltas and the workset. Where the workset is no more than what has changed in the
    /// solution set, [`Collection::iterate`] alone says the same with a third of the records.
    ///
    /// # References
    /// Ewen, Tzoumas, Kaufmann, Markl: *Spinning fast iterative data flows*, VLDB 2012 (delta iteration); McSherry, Murray,
    /// Isaacs, Isard: *Differential dataflow*, CIDR 2013 (keeping it up to date).
    ///
    /// # Examples
    /// Connected components: each node's least reachable label; only nodes whose label has changed are in the workset.
    /// ```
    /// use waterwheel_engine::{Change, RuntimeConfig, execute};
    /// use waterwheel_iteration::{DeltaStep, Iterations};
    ///
    /// let labels = execute(RuntimeConfig::threads(2), |env| {
    ///     let edges = env.from_batches([vec![((1u32, 2u32), 1), ((2, 3), 1)], vec![((1, 2), -1)]]).into_collection();
    ///     let edges = edges.flat_map(|(a, b)| [(a, b), (b, a)]);
    ///     let nodes = env.enter_batches(env.from_iter([1, 2, 3u32].map(|node| ((node, node), 1)))).into_collection();
    ///     let labels = Iterations::iterate_delta(nodes.clone(), nodes, u64::MAX, |scope, labels, changed| {
    ///         let sent = changed.join_map(scope.enter(edges), |_from, label, to| (*to, *label));
    ///         let least = sent.reduce(|_node, labels, out| out.push((*labels[0].0, 1)));
    ///         let better = least.join_map(labels, |node, new, old| (*node, *new, *old));
    ///         let better = better.filter(|(_, new, old)| new < old).map(|(node, new, _)| (node, new));
    ///         DeltaStep { delta: better.clone(), workset: better }
    ///     });
    ///     Ok(labels.changes().collect())
    /// })?;
    /// let mut labels = labels.concat();
    /// labels.sort();
    /// let change = |batch, node, label, diff| Change { batch, record: (node, label), diff };
    /// let first = [change(0, 1, 1, 1), change(0, 2, 1, 1), change(0, 3, 1, 1)];
    /// let then = [change(1, 2, 1, -1), change(1, 2, 2, 1), change(1, 3, 1, -1), change(1, 3, 2, 1)];
    /// assert_eq!(labels, [first.as_slice(), &then].concat());
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    #[track_caller]
    pub fn iterate_delta<'s, K: Key, V: Key, W: Key, T: DeltaClock>(
        solution_set: Collection<'s, (K, V), T>,
        workset: Collection<'s, W, T>,
        max_rounds: Round,
        step: impl for<'i> FnOnce(
            &IterateScope<'i, 's, T>,
            Collection<'i, (K, V), InLoop<T>>,
            Collection<'i, W, InLoop<T>>,
        ) -> DeltaStep<'i, K, V, W, T>,
    ) -> Collection<'s, (K, V), T> {
        Self::iterate_delta_named("iterate_delta", solution_set, workset, max_rounds, step)
    }

    /// As [`iterate_delta`](Self::iterate_delta), with a name of the loop, for errors. Default `iterate_delta`.
    #[track_caller]
    pub fn iterate_delta_named<'s, K: Key, V: Key, W: Key, T: DeltaClock>(
        name: &str,
        solution_set: Collection<'s, (K, V), T>,
        workset: Collection<'s, W, T>,
        max_rounds: Round,
        step: impl for<'i> FnOnce(
            &IterateScope<'i, 's, T>,
            Collection<'i, (K, V), InLoop<T>>,
            Collection<'i, W, InLoop<T>>,
        ) -> DeltaStep<'i, K, V, W, T>,
    ) -> Collection<'s, (K, V), T> {
        if max_rounds == 0 {
            return solution_set;
        }
        IterateScope::open(&solution_set.place(), name, |scope| {
            let (solution_variable, solution) = scope.variable(scope.enter(solution_set), max_rounds);
            let (workset_variable, work) = scope.variable(scope.enter(workset), max_rounds);
            let DeltaStep { delta, workset } = step(scope, solution.clone(), work);
            let next = updated(solution, delta);
            solution_variable.set(next.clone());
            workset_variable.set(workset);
            scope.leave(next)
        })
    }
}

/// The solution set with `delta` in place of the records with its keys.
fn updated<'i, K: Key, V: Key, T: DeltaClock>(
    solution: Collection<'i, (K, V), T>,
    delta: Collection<'i, (K, V), T>,
) -> Collection<'i, (K, V), T> {
    // False sorts first: a new value, if there is one, is the first of its key.
    let old = solution.map(|(key, value)| (key, (true, value)));
    let new = delta.map(|(key, value)| (key, (false, value)));
    old.concat(new).reduce(|_key, values, out| out.push((values[0].0.1.clone(), 1))).name("solution set")
}
