//! Shortest paths from given nodes.

use waterwheel_engine::{Collection, DeltaClock, IterateScope, Round};

use crate::graph::Node;

/// The distance of each node from the nearest of `sources`.
///
/// `edges` are `(from, to, length)`, directed; give both directions for an undirected graph. Lengths are whole numbers,
/// zero allowed; sums saturate at `u64::MAX`. The result has one pair `(node, distance)` for each node that can be
/// reached; sources have distance 0, whether they have edges or not. Both inputs may change.
///
/// # Cost
/// An insertion or deletion costs in proportion to the distances that it changes, in all rounds together, times a
/// logarithm. Rounds are as many as the longest shortest path has edges. Memory is proportional to edges and to the
/// distances that nodes have had on the way.
///
/// # References
/// Bellman-Ford on differential dataflow (McSherry, Murray, Isaacs, Isard, CIDR 2013).
///
/// # Examples
/// ```
/// use waterwheel_engine::{Change, RuntimeConfig, execute};
/// use waterwheel_ml::graph::shortest_paths;
///
/// let distances = execute(RuntimeConfig::threads(2), |env| {
///     let edges = env.from_batches([vec![((1u32, 2u32, 5u64), 1), ((2, 3, 1), 1), ((1, 3, 9), 1)], vec![((1, 2, 5), -1)]]);
///     let sources = env.enter_batches(env.from_iter([(1u32, 1)])).into_collection();
///     Ok(shortest_paths(edges.into_collection(), sources).changes().collect())
/// })?;
/// let mut distances = distances.concat();
/// distances.sort();
/// let change = |batch, node, distance, diff| Change { batch, record: (node, distance), diff };
/// let first = [change(0, 1, 0, 1), change(0, 2, 5, 1), change(0, 3, 6, 1)];
/// let then = [change(1, 2, 5, -1), change(1, 3, 6, -1), change(1, 3, 9, 1)];
/// assert_eq!(distances, [first, then].concat());
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[track_caller]
pub fn shortest_paths<'s, N: Node, T: DeltaClock>(
    edges: Collection<'s, (N, N, u64), T>,
    sources: Collection<'s, N, T>,
) -> Collection<'s, (N, u64), T> {
    let place = edges.place();
    let by_node = edges.map(|(from, to, length)| (from, (to, length))).arrange_by_key();
    IterateScope::open(&place, "shortest_paths", |scope| {
        let own = scope.enter(sources).map(|source| (source, 0));
        let (variable, sent) = scope.empty_variable(Round::MAX);
        let least = sent.concat(own).arrange_by_key().reduce(|_node, distances, out| {
            out.push((*distances[0].0, 1));
        });
        let by_node = scope.enter_arranged(by_node);
        variable.set(least.clone().join_map(by_node, |_from, distance: &u64, (to, length)| {
            (*to, distance.saturating_add(*length))
        }));
        scope.leave(least.into_collection())
    })
}
