//! Connected components.

use waterwheel_engine::{Collection, DeltaClock, IterateScope, Round};

use crate::graph::Node;

/// The component of each node: the least node that it is connected with, whatever the direction of edges.
///
/// The result has one pair `(node, component)` for each node that has an edge; a loop edge `(n, n)` makes a node
/// without others. Edges may occur several times.
///
/// # Cost
/// An insertion or deletion costs in proportion to the labels that it changes, in all rounds together, times a
/// logarithm; a deletion that parts a component relabels the part that loses the least node. Memory is proportional to
/// edges and to the labels that nodes have had on the way.
///
/// # References
/// Min-label propagation on differential dataflow (McSherry, Murray, Isaacs, Isard, CIDR 2013), with least labels sent
/// first: label *l* starts in round 256 times the number of its binary digits, so that most nodes only ever see the
/// label that stays.
///
/// # Examples
/// ```
/// use waterwheel_engine::{Change, RuntimeConfig, execute};
/// use waterwheel_ml::graph::connected_components;
///
/// let components = execute(RuntimeConfig::threads(2), |env| {
///     let edges = env.from_batches([vec![((1u32, 2u32), 1), ((5, 6), 1)], vec![((2, 5), 1)], vec![((1, 2), -1)]]);
///     Ok(connected_components(edges.into_collection()).changes().collect())
/// })?;
/// let mut components = components.concat();
/// components.sort();
/// let as_of = |last| -> i64 {
///     let upto = components.iter().filter(|change: &&Change<(u32, u32)>| change.batch <= last);
///     upto.filter(|change| change.record.0 == change.record.1).map(|change| change.diff).sum()
/// };
/// assert_eq!([as_of(0), as_of(1), as_of(2)], [2, 1, 1]);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[track_caller]
pub fn connected_components<'s, N: Node, T: DeltaClock>(
    edges: Collection<'s, (N, N), T>,
) -> Collection<'s, (N, N), T> {
    let place = edges.place();
    let both_ways = edges.flat_map(|(a, b)| [(a, b), (b, a)]);
    let labels = both_ways.clone().map(|(node, _)| node).distinct().map(|node| (node, node));
    let by_node = both_ways.arrange_by_key();
    IterateScope::open(&place, "connected_components", |scope| {
        let own = scope.enter_at(labels, |(_, label)| first_round((*label).into()));
        let (variable, sent) = scope.empty_variable(Round::MAX);
        let least = sent.concat(own).arrange_by_key().reduce(|_node, labels, out| {
            out.push((*labels[0].0, 1));
        });
        let by_node = scope.enter_arranged(by_node);
        variable.set(least.clone().join_map(by_node, |_from, label, to| (*to, *label)));
        scope.leave(least.into_collection())
    })
}

/// The round in which a label starts: small ones first.
fn first_round(label: u64) -> Round {
    256 * Round::from(u64::BITS - label.leading_zeros())
}
