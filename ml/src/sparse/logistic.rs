//! Logistic regression on sparse rows.

use waterwheel_engine::{Clock, DataStream, Result};
use waterwheel_ps::Update;

use super::{SparseExample, SparseFit, SparseRule, SparseTraining, SparseVector, fit_rule, fit_rule_from};

/// Logistic regression on sparse rows: workers push gradients, and an optimizer at the servers makes steps of them.
///
/// The loss is `ln(1 + exp(-y w·x))` with `y` 1 for `true` and -1 for `false`, its gradient `-y x / (1 + exp(y w·x))`. The
/// score of a prediction is the log-odds `w·x` of `true`; [`probability`](Self::probability) makes a probability of it.
/// There is no intercept: add a feature that is always 1 for one.
///
/// # References
/// McMahan et al., *Ad click prediction: a view from the trenches*, KDD 2013, for
/// [FTRL-proximal](waterwheel_ps::optimizer::FtrlProximal), which makes most weights zero.
///
/// # Examples
/// ```
/// use waterwheel_engine::{RuntimeConfig, execute};
/// use waterwheel_ml::sparse::{SparseExample, SparseLogisticRegression, SparseTraining, SparseVector};
/// use waterwheel_ps::optimizer::FtrlProximal;
///
/// let learned = execute(RuntimeConfig::threads(2), |env| {
///     let example = |id: u64| SparseExample {
///         id,
///         features: SparseVector::ones(vec![(id % 7) as u32, 10]).unwrap(),
///         label: (id < 700).then_some(id % 7 < 3),
///     };
///     let ftrl = FtrlProximal::new(0.5)?.regularization(0.1, 0.0)?;
///     let training = SparseTraining::new().credit(8);
///     let fit = SparseLogisticRegression.fit(ftrl, env.from_iter((0..707).map(example)), &training)?;
///     Ok(fit.predictions.filter(|prediction| prediction.label.is_none()).collect())
/// })?;
/// let sure = |score: f64, label: bool| (SparseLogisticRegression::probability(score) > 0.5) == label;
/// assert!(learned.concat().iter().all(|new| sure(new.score, new.id % 7 < 3)));
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SparseLogisticRegression;

impl SparseLogisticRegression {
    /// Predicts and learns a stream of examples with this optimizer; see [`SparseTraining`].
    ///
    /// # Errors
    /// A setting of the training is not valid.
    #[track_caller]
    pub fn fit<'s, T: Clock>(
        &self,
        optimizer: impl Update<f64, f64>,
        examples: DataStream<'s, SparseExample<bool>, T>,
        training: &SparseTraining,
    ) -> Result<SparseFit<'s, bool, T>> {
        fit_rule(self, optimizer, examples, training)
    }

    /// The same, beginning with the weights of `model`, one for each feature; see [`fit_rule_from`] for optimizers.
    ///
    /// # Errors
    /// A setting of the training is not valid.
    #[track_caller]
    pub fn fit_from<'s, T: Clock>(
        &self,
        optimizer: impl Update<f64, f64>,
        model: DataStream<'s, (u32, Vec<f64>), T>,
        examples: DataStream<'s, SparseExample<bool>, T>,
        training: &SparseTraining,
    ) -> Result<SparseFit<'s, bool, T>> {
        fit_rule_from(self, optimizer, model, examples, training)
    }

    /// The probability of `true` by the score of a prediction.
    pub fn probability(score: f64) -> f64 {
        1.0 / (1.0 + (-score).exp())
    }
}

/// The derivative of `ln(1 + exp(-y score))` by the score, without overflow.
pub(super) fn loss_derivative(score: f64, label: bool) -> f64 {
    let y = if label { 1.0 } else { -1.0 };
    -y / (1.0 + (y * score).exp())
}

impl SparseRule for SparseLogisticRegression {
    type Label = bool;

    fn width(&self) -> usize {
        1
    }

    fn check(&self, _label: &bool) -> Result<()> {
        Ok(())
    }

    fn predict(&self, features: &SparseVector, rows: &[f64]) -> (bool, f64) {
        let score = features.dot(rows);
        (score > 0.0, score)
    }

    fn learn(&self, features: &SparseVector, rows: &[f64], label: &bool, pushes: &mut Vec<f64>) {
        let slope = loss_derivative(features.dot(rows), *label);
        pushes.extend(features.values().iter().map(|x| slope * x));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivative_is_that_of_the_loss_and_stays_finite() {
        let loss = |score: f64, label| (1.0 + f64::exp(if label { -score } else { score })).ln();
        for score in [-3.0, -0.1, 0.0, 2.5] {
            for label in [false, true] {
                let slope = (loss(score + 1e-6, label) - loss(score - 1e-6, label)) / 2e-6;
                assert!((slope - loss_derivative(score, label)).abs() < 1e-8);
            }
        }
        assert_eq!([loss_derivative(1e4, true), loss_derivative(-1e4, true)], [0.0, -1.0]);
        assert_eq!(SparseLogisticRegression::probability(-1e4), 0.0);
    }
}
