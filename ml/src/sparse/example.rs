//! Examples and predictions.

use serde::{Deserialize, Serialize};

use super::SparseVector;

/// A row of features with its label, or without one: then it is predicted and not learned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SparseExample<L> {
    /// What its prediction is known by. Where there are several passes, the order of later ones depends on it.
    pub id: u64,
    /// The features.
    pub features: SparseVector,
    /// What is to be learned.
    pub label: Option<L>,
}

/// What a model said of an example, before it learned it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SparsePrediction<L> {
    /// The id of the example.
    pub id: u64,
    /// The label of the example, if it has one.
    pub label: Option<L>,
    /// The label that the model gives it.
    pub predicted: L,
    /// How sure it is: see the learner.
    pub score: f64,
}
