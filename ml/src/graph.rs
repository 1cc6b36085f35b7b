//! Graph algorithms whose answers follow insertions and deletions of edges.
//!
//! Each takes a [`Collection`](waterwheel_engine::Collection) of edges and returns one of answers. When a batch of
//! changes is complete, the changes of the answer come out, the same as if it had been computed anew.

mod connected_components;
mod k_core;
mod pagerank;
mod shortest_paths;

use waterwheel_engine::hash::Key;

pub use connected_components::connected_components;
pub use k_core::k_core;
pub use pagerank::{PageRank, PageRankParams, Score, TotalScore, page_rank};
pub use shortest_paths::shortest_paths;

/// What names a node: `u64` or a smaller unsigned integer.
pub trait Node: Key + Copy + Into<u64> {}

impl<N: Key + Copy + Into<u64>> Node for N {}
