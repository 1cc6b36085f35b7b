//! What a prediction costs, and how the cost changes with it.

use serde::{Deserialize, Serialize};
use waterwheel_engine::{Error, Result};

/// A loss of the product of features and coefficients.
pub(crate) trait Loss: Clone + 'static {
    /// Refuses a label that the loss has no meaning for.
    fn check(&self, label: f64) -> Result<()>;

    /// Loss of a row of weight 1 with this product, and its derivative by the product.
    fn loss_and_slope(&self, dot: f64, label: f64) -> (f64, f64);

    /// Replaces the product of each row by the derivative, both times the row's weight; returns the sum of losses.
    /// No weights: all are 1.
    fn losses(&self, products: &mut [f64], labels: &[f64], weights: &[f64]) -> f64 {
        one_by_one(self, products, labels, weights)
    }
}

fn one_by_one<L: Loss>(loss: &L, products: &mut [f64], labels: &[f64], weights: &[f64]) -> f64 {
    let mut sum = 0.0;
    let weights = weights.iter().copied().chain(std::iter::repeat(1.0));
    for ((product, label), weight) in products.iter_mut().zip(labels).zip(weights) {
        let (loss, slope) = loss.loss_and_slope(*product, *label);
        *product = weight * slope;
        sum += weight * loss;
    }
    sum
}

/// `ln(1 + exp(-y dot))` with y = 2 label - 1, for labels 0 and 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Logistic;

impl Loss for Logistic {
    fn check(&self, label: f64) -> Result<()> {
        binary(label).map_err(|error| match label {
            // As Flink ML says it.
            2.0.. if label.fract() == 0.0 => Error::data(format!(
                "label {label}: multinomial classification is not supported yet, expected 0 or 1"
            )),
            _ => error,
        })
    }

    #[inline]
    fn loss_and_slope(&self, dot: f64, label: f64) -> (f64, f64) {
        let (small, loss, slope) = Self::parts(dot, label);
        (small.ln_1p() + loss, slope)
    }

    /// Without weights the logarithms of many rows are one logarithm of a product: each factor is from 1 to 2.
    fn losses(&self, products: &mut [f64], labels: &[f64], weights: &[f64]) -> f64 {
        if !weights.is_empty() {
            return one_by_one(self, products, labels, weights);
        }
        let mut sum = 0.0;
        for (products, labels) in products.chunks_mut(FACTORS).zip(labels.chunks(FACTORS)) {
            let mut factors = 1.0;
            for (product, label) in products.iter_mut().zip(labels) {
                let (small, loss, slope) = Self::parts(*product, *label);
                *product = slope;
                factors *= 1.0 + small;
                sum += loss;
            }
            sum += factors.ln();
        }
        sum
    }
}

/// Factors up to 2 whose product is finite.
const FACTORS: usize = 512;

impl Logistic {
    /// `x` from 0 to 1, the loss without `ln(1 + x)`, and the slope. None overflows, wherever the margin is.
    #[inline]
    fn parts(dot: f64, label: f64) -> (f64, f64, f64) {
        let y = 2.0 * label - 1.0;
        let margin = dot * y;
        let small = (-margin.abs()).exp();
        let share = if margin >= 0.0 { small } else { 1.0 };
        (small, -margin.min(0.0), -y * share / (1.0 + small))
    }
}

/// The loss of a support vector classifier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SvcLoss {
    /// `max(0, 1 - y dot)`. The default, as in Flink ML.
    #[default]
    Hinge,
    /// `max(0, 1 - y dot)²`: smooth, so that gradient descent reaches the optimum.
    SquaredHinge,
}

impl Loss for SvcLoss {
    fn check(&self, label: f64) -> Result<()> {
        binary(label)
    }

    #[inline]
    fn loss_and_slope(&self, dot: f64, label: f64) -> (f64, f64) {
        let y = 2.0 * label - 1.0;
        let short = (1.0 - y * dot).max(0.0);
        match self {
            SvcLoss::Hinge => (short, if short > 0.0 { -y } else { 0.0 }),
            SvcLoss::SquaredHinge => (short * short, -2.0 * y * short),
        }
    }
}

/// `(dot - label)² / 2`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeastSquare;

impl Loss for LeastSquare {
    fn check(&self, _label: f64) -> Result<()> {
        Ok(())
    }

    #[inline]
    fn loss_and_slope(&self, dot: f64, label: f64) -> (f64, f64) {
        let error = dot - label;
        (0.5 * error * error, error)
    }
}

fn binary(label: f64) -> Result<()> {
    match label == 0.0 || label == 1.0 {
        true => Ok(()),
        false => Err(Error::data(format!("label {label}, expected 0 or 1"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Loss and gradient units of `iteration.md` §3.14, from Flink ML's tests.
    #[test]
    fn logistic_loss_and_gradient_are_those_of_flink_ml() {
        let (x, weight) = ([1.0, 2.0, 3.0], 2.0);
        let (loss, slope) = Logistic.loss_and_slope(x.iter().sum(), 1.0);
        assert!((weight * loss - 0.0049513).abs() < 1e-7);
        for (x, expected) in x.iter().zip([-0.0049452, -0.0098904, -0.0148357]) {
            assert!((weight * slope * x - expected).abs() < 1e-7);
        }
    }

    #[test]
    fn logistic_loss_is_finite_wherever_the_margin_is() {
        for dot in [-1e308, -800.0, 0.0, 800.0, 1e308] {
            for label in [0.0, 1.0] {
                let (loss, slope) = Logistic.loss_and_slope(dot, label);
                assert!(loss.is_finite() && loss >= 0.0 && slope.abs() <= 1.0, "{dot} {label}");
            }
        }
    }

    #[test]
    fn losses_of_many_rows_are_those_of_each() {
        let dots: Vec<f64> = (0..1_500).map(|i| (f64::from(i) - 700.0) / 40.0).collect();
        let labels: Vec<f64> = (0..1_500).map(|i| f64::from(i % 2)).collect();
        let (mut all, mut each) = (dots.clone(), dots);
        let sum = Logistic.losses(&mut all, &labels, &[]);
        let expected = one_by_one(&Logistic, &mut each, &labels, &[]);
        assert!((sum / expected - 1.0).abs() < 1e-12 && all == each, "{sum} {expected}");
    }

    #[test]
    fn labels_that_have_no_meaning_are_refused() {
        assert!(Logistic.check(2.0).unwrap_err().message().contains("multinomial"));
        assert!(Logistic.check(0.5).is_err() && SvcLoss::Hinge.check(-1.0).is_err());
        assert!(LeastSquare.check(-7.5).is_ok());
    }
}
