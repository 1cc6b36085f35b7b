//! Trained linear models.

use serde::{Deserialize, Serialize};
use waterwheel_engine::{DataStream, Error, Result};

use crate::Examples;

/// Coefficients of a linear model, and how they came about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LinearModel {
    coefficients: Vec<f64>,
    steps: u64,
    loss: f64,
}

impl LinearModel {
    pub(crate) fn new(coefficients: Vec<f64>, steps: u64, loss: f64) -> Self {
        LinearModel { coefficients, steps, loss }
    }

    /// One for each feature.
    pub fn coefficients(&self) -> &[f64] {
        &self.coefficients
    }

    /// Steps that were made.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Mean loss of the last batch, before the last step.
    pub fn loss(&self) -> f64 {
        self.loss
    }

    pub(crate) fn into_coefficients(self) -> Vec<f64> {
        self.coefficients
    }

    /// Product of each row and the coefficients.
    fn products<'a>(&'a self, block: &'a Examples) -> Result<impl Iterator<Item = f64> + 'a> {
        if block.dim() != self.coefficients.len() {
            let (found, expected) = (block.dim(), self.coefficients.len());
            return Err(Error::data(format!("a block has {found} features, the model expects {expected}")));
        }
        Ok((0..block.rows()).map(|row| block.dot(row, &self.coefficients)))
    }
}

/// A class, and how sure the model is of each.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// 0 or 1.
    pub label: f64,
    /// For class 0 and class 1: probabilities of a logistic regression, distances of a support vector classifier.
    pub raw: (f64, f64),
}

macro_rules! model {
    ($(#[$doc:meta])* $name:ident($($field:ident: $type:ty)?) -> $row:ty, |$this:ident, $dot:ident| $predict:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        pub struct $name {
            /// The coefficients.
            pub linear: LinearModel,
            $(
                /// From this product on a row is of class 1.
                pub $field: $type,
            )?
        }

        impl $name {
            /// A prediction for each row of a block; its labels are not looked at.
            ///
            /// # Errors
            /// The block has another number of features than the model.
            pub fn predict(&self, block: &Examples) -> Result<Vec<$row>> {
                let $this = self;
                Ok($this.linear.products(block)?.map(|$dot| $predict).collect())
            }

            /// Predictions for all blocks of a stream, block by block.
            #[track_caller]
            pub fn transform<'s>(&self, examples: DataStream<'s, Examples>) -> DataStream<'s, Vec<$row>> {
                let model = self.clone();
                examples.try_map(move |block| model.predict(&block))
            }
        }
    };
}
model! {
    /// A logistic regression: the probability of class 1 is `1 / (1 + exp(-product))`.
    LogisticRegressionModel() -> Prediction, |_this, dot| {
        let p = 1.0 / (1.0 + (-dot).exp());
        Prediction { label: f64::from(u8::from(dot >= 0.0)), raw: (1.0 - p, p) }
    }
}
model! {
    /// A linear support vector classifier.
    LinearSvcModel(threshold: f64) -> Prediction, |this, dot| {
        Prediction { label: f64::from(u8::from(dot >= this.threshold)), raw: (dot, -dot) }
    }
}
model! {
    /// A linear regression: the product itself.
    LinearRegressionModel() -> f64, |_this, dot| dot
}
