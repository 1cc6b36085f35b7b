//! Clustering.
//!
//! Parameters and defaults are those of Flink ML 2.3 (`KMeans`), without its defects: a cluster that loses all of its
//! points keeps its centroid instead of becoming NaN.

mod distance;
mod kmeans;
mod nearest;
mod start;
mod sums;

pub use distance::DistanceMeasure;
pub use kmeans::{KMeans, KMeansModel};
pub(crate) use sums::ClusterSums;
