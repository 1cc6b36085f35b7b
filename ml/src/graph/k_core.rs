//! The k-core of a graph.

use waterwheel_engine::{Collection, DeltaClock};

use crate::graph::Node;

/// The nodes of the *k*-core: the largest set of nodes of which each has at least `k` neighbours in the set.
///
/// Edges have no direction; loop edges do not count, and an edge that occurs several times, or both ways, counts once.
/// Each node of the core occurs once. With `k` = 0 it is every node that has an edge to another one.
///
/// # Cost
/// An insertion or deletion costs in proportion to the nodes that it moves in or out, in all rounds together, and their
/// edges, times a logarithm. Memory is proportional to edges.
///
/// # References
/// Seidman, *Network structure and minimum degree*, Social Networks 5 (1983); by taking away what has too few
/// neighbours, round after round, as Batagelj and Zaversnik (2003) do one node at a time.
///
/// # Examples
/// The edges of the core follow from its nodes:
/// ```
/// use waterwheel_engine::{RuntimeConfig, execute};
/// use waterwheel_ml::graph::k_core;
///
/// let core = execute(RuntimeConfig::threads(2), |env| {
///     let edges = env.from_batches([[(1u32, 2u32), (2, 3), (3, 1), (3, 4)].map(|edge| (edge, 1))]).into_collection();
///     let nodes = k_core(edges.clone(), 2);
///     let from_core = edges.semijoin(nodes.clone());
///     let in_core = from_core.map(|(a, b)| (b, a)).semijoin(nodes);
///     Ok(in_core.map(|(b, a)| (a, b)).changes().map(|change| change.record).collect())
/// })?;
/// let mut core = core.concat();
/// core.sort();
/// assert_eq!(core, [(1, 2), (2, 3), (3, 1)]);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[track_caller]
pub fn k_core<'s, N: Node, T: DeltaClock>(edges: Collection<'s, (N, N), T>, k: u64) -> Collection<'s, N, T> {
    let once = edges.filter(|(a, b)| a != b).map(|(a, b)| (a.min(b), a.max(b))).distinct();
    let both_ways = once.flat_map(|(a, b)| [(a, b), (b, a)]);
    let nodes = both_ways.clone().map(|(node, _)| node).distinct();
    let by_node = both_ways.arrange_by_key();
    let enough = i64::try_from(k).unwrap_or(i64::MAX).max(1);
    nodes.iterate(|scope, members| {
        let by_node = scope.enter_arranged(by_node);
        let members = members.map(|node| (node, ())).arrange_by_key();
        let links = members.join_map(by_node, |_member, (), neighbour| *neighbour);
        links.threshold(move |_node, links| i64::from(links >= enough))
    })
}
