//! What a learner does with one example.

use waterwheel_engine::{Record, Result};

use super::SparseVector;

/// What a learner on sparse rows does with one example and the weights of its features; the rest is the same for all.
///
/// Weights are rows of [`width`](Self::width) numbers, one row for each of the [`keys`](Self::keys) of an example and in
/// their order.
pub trait SparseRule: Clone + 'static {
    /// What is learned and predicted.
    type Label: Record + Copy + PartialEq + std::fmt::Debug;

    /// Weights of a feature, 1 or more.
    fn width(&self) -> usize;

    /// Refuses a label that can not be learned.
    ///
    /// # Errors
    /// The label is not valid; the message says which are.
    fn check(&self, label: &Self::Label) -> Result<()>;

    /// Appends the keys of the rows that an example needs: its features, by default.
    fn keys(&self, features: &SparseVector, keys: &mut Vec<u32>) {
        keys.extend_from_slice(features.indices());
    }

    /// Appends the first weights of a feature, as a function of it and nothing else. Zeros by default.
    fn init(&self, _feature: u32, row: &mut Vec<f64>) {
        row.resize(row.len() + self.width(), 0.0);
    }

    /// The label that the weights give the features, and how sure that is.
    fn predict(&self, features: &SparseVector, rows: &[f64]) -> (Self::Label, f64);

    /// Appends to `pushes` what is to be pushed for each key, row by row, or nothing at all.
    fn learn(&self, features: &SparseVector, rows: &[f64], label: &Self::Label, pushes: &mut Vec<f64>);
}
