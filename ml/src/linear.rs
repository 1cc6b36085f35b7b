//! Linear models, trained by gradient descent on mini-batches in a bounded iteration.
//!
//! Parameters, defaults and the order of computation are those of Flink ML 2.3 (`LogisticRegression`, `LinearSVC`,
//! `LinearRegression`, its `SGD` and `RegularizationUtils`), so models have the same numbers.

mod estimators;
mod loss;
mod model;
mod params;
mod regularization;
mod sgd;

pub use estimators::{LinearRegression, LinearSvc, LogisticRegression};
pub use loss::SvcLoss;
pub use model::{LinearModel, LinearRegressionModel, LinearSvcModel, LogisticRegressionModel, Prediction};
pub use params::{SgdParams, TolOf};
