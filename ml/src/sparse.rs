//! Online learning on sparse rows, with the weights of each feature on the parameter server.
//!
//! A worker pulls the weights of an example's features in one request, predicts, and, if the example has a label, pushes
//! what it has learned. So every example is predicted before it is learned (*test, then train*), labelled and unlabelled
//! ones come in one stream, and there may be any number of features, known before or not.
//!
//! * [`PassiveAggressive`]: two classes, PA, PA-I and PA-II.
//! * [`MulticlassPassiveAggressive`]: many classes, one against all others or by the cost of mistakes.
//! * [`SparseLogisticRegression`]: two classes, with an [optimizer](waterwheel_ps::optimizer) at the servers.
//! * [`FactorizationMachine`]: two classes or numbers, with products of pairs of features.
//!
//! [`SparseTraining`] says how: in one pass or several, asynchronously or by the clock. A learner of one's own is a
//! [`SparseRule`].

mod example;
mod factorization_machine;
mod libsvm;
mod logistic;
mod model;
mod multiclass;
mod passive_aggressive;
mod rule;
mod train;
mod training;
mod vector;
mod worker;

pub use example::{SparseExample, SparsePrediction};
pub use factorization_machine::{FactorizationMachine, FmParams, FmTask};
pub use libsvm::{LibSvmRow, read_libsvm};
pub use logistic::SparseLogisticRegression;
pub use model::SparseModel;
pub use multiclass::{MulticlassPassiveAggressive, MulticlassUpdate};
pub use passive_aggressive::{PaUpdate, PassiveAggressive};
pub use rule::SparseRule;
pub use train::{SparseFit, fit_rule, fit_rule_from};
pub use training::SparseTraining;
pub use vector::SparseVector;
