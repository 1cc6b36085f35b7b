//! Edges of a directed graph, for graph algorithms.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use waterwheel_engine::Result;

use super::{check_sizes, clamp, unit};

/// A directed graph whose low nodes have the most out-edges: from `⌊nodes·u²⌋` to `⌊nodes·u⌋` of uniform `u`.
///
/// Loops and parallel edges occur. For components the edges are taken as undirected.
///
/// # Examples
/// ```
/// use waterwheel_ml::generate::{Graph, GraphEdge};
///
/// let graph = Graph::new(1_000, 5_000)?;
/// let GraphEdge { src, dst } = graph.row(7);
/// assert!(src < 1_000 && dst < 1_000);
/// assert_eq!(graph.iter().count(), 5_000);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Graph {
    nodes: u32,
    edges: u64,
}

/// A directed edge; the row type of [`Graph`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GraphEdge {
    /// The node it leaves, from 0.
    pub src: u32,
    /// The node it enters, from 0.
    pub dst: u32,
}

impl Graph {
    /// `edges` edges between `nodes` nodes.
    ///
    /// # Errors
    /// A config error where `nodes` is 0.
    pub fn new(nodes: u32, edges: u64) -> Result<Self> {
        check_sizes("graph", &[("nodes", nodes)])?;
        Ok(Graph { nodes, edges })
    }

    /// How many nodes there are, with those that have no edge.
    pub fn nodes(&self) -> u32 {
        self.nodes
    }

    /// How many edges there are.
    pub fn edges(&self) -> u64 {
        self.edges
    }

    /// Edge `idx`.
    #[inline]
    pub fn row(&self, idx: u64) -> GraphEdge {
        let (nodes, of_src) = (f64::from(self.nodes), unit(18, idx));
        GraphEdge { src: (nodes * (of_src * of_src)) as u32, dst: (nodes * unit(19, idx)) as u32 }
    }

    /// The edges of `range`, as far as there are any.
    pub fn range(&self, range: Range<u64>) -> impl Iterator<Item = GraphEdge> + Send + use<> {
        let graph = self.clone();
        clamp(range, self.edges).map(move |idx| graph.row(idx))
    }

    /// All edges.
    pub fn iter(&self) -> impl Iterator<Item = GraphEdge> + Send + use<> {
        self.range(0..self.edges)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{PROBES, digest};
    use super::*;

    #[test]
    fn graph_edges_are_golden() {
        let graph = Graph::new(1_000, 10).unwrap();
        let expected = [(4, 735), (510, 116), (185, 363), (494, 82), (113, 338), (322, 946), (738, 193)];
        assert_eq!(PROBES.map(|idx| graph.row(idx)), expected.map(|(src, dst)| GraphEdge { src, dst }));
    }

    #[test]
    fn graph_digest_is_golden() {
        let bytes = |GraphEdge { src, dst }: GraphEdge| [src.to_le_bytes(), dst.to_le_bytes()].concat();
        let graph = Graph::new(123_456, 1_000).unwrap();
        assert_eq!(digest(graph.iter().map(bytes)), 0x0cae_739b_efab_cc14);
    }

    #[test]
    fn graph_range_equals_rows() {
        let graph = Graph::new(10, 100).unwrap();
        let rows: Vec<_> = (90..100).map(|idx| graph.row(idx)).collect();
        assert_eq!(graph.range(90..200).collect::<Vec<_>>(), rows);
        assert_eq!(graph.iter().skip(90).collect::<Vec<_>>(), rows);
    }
}
