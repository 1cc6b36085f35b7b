//! Models that learn from an unbounded stream, one batch after the other, in an unbounded iteration.
//!
//! Parameters, defaults and formulas are those of Flink ML 2.3 (`OnlineKMeans`, `OnlineLogisticRegression`), without
//! its defects: a batch is what arrives, whatever the number of workers, the last one may be short, a cluster without
//! points keeps its centroid, and all state is in the model.

mod ftrl;
mod kmeans;
mod train;

pub use ftrl::{FtrlGradient, OnlineLogisticRegression, OnlineLogisticRegressionModel};
pub use kmeans::OnlineKMeans;
