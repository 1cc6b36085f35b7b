//! Logistic regression by follow-the-regularised-leader.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use waterwheel_engine::{DataStream, Error, Result};
use waterwheel_ps::optimizer::FtrlProximal;

use crate::Examples;
use crate::linear::Prediction;
use crate::online::train::{OnlineLearner, train};

/// What the gradient of a batch is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FtrlGradient {
    /// The mean over all examples, each counted as often as its weight says. The default.
    #[default]
    Mean,
    /// For each feature the sum over the examples that have an entry for it, unweighted, divided by the sum of their
    /// weights: what Flink ML does with sparse vectors. (Of dense ones it takes the mean, and ignores the weights.)
    PerEntry,
}

/// Logistic regression on a stream, for labels 0 and 1, without an intercept.
///
/// | parameter | default | valid |
/// |---|---|---|
/// | `alpha`: step size | 0.1 | finite, above 0 |
/// | `beta`: smooths the first steps | 0.1 | finite, above 0 |
/// | `reg`: strength of regularisation | 0 | finite, 0 or more |
/// | `elastic_net`: share of the L1 norm | 0 | 0 to 1 |
/// | `global_batch_size`: examples of a batch, over all workers | 32 | 1 or more |
/// | `gradient` | mean | |
///
/// Batches are the examples in order of arrival, the last one may be short. So models do not depend on the number of
/// workers, but for the order of sums.
///
/// # References
/// McMahan et al., *Ad click prediction: a view from the trenches*, KDD 2013 (FTRL-Proximal); Flink ML's
/// `OnlineLogisticRegression`.
///
/// # Examples
/// ```
/// use waterwheel_engine::{RuntimeConfig, execute};
/// use waterwheel_ml::{Examples, online::OnlineLogisticRegression};
///
/// let models = execute(RuntimeConfig::threads(2), |env| {
///     let batch = || Examples::dense(1, vec![-1.0, 1.0], vec![0.0, 1.0]).unwrap();
///     let examples = env.from_iter((0..50).map(move |_| batch()));
///     Ok(OnlineLogisticRegression::new(vec![0.0]).global_batch_size(2).fit(examples)?.collect())
/// })?;
/// let last = models[0].last().unwrap();
/// assert!(last.version() == 50 && last.coefficients()[0] > 0.5);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct OnlineLogisticRegression {
    initial: OnlineLogisticRegressionModel,
    alpha: f64,
    beta: f64,
    gradient: FtrlGradient,
    reg: f64,
    elastic_net: f64,
    global_batch_size: usize,
}

impl OnlineLogisticRegression {
    /// Starts from these coefficients, one for each feature.
    pub fn new(coefficients: Vec<f64>) -> Self {
        let zeros = vec![0.0; coefficients.len()];
        Self::resume(OnlineLogisticRegressionModel { coefficients, n: zeros.clone(), z: zeros, version: 0 })
    }

    /// Goes on where a model has ended.
    pub fn resume(initial: OnlineLogisticRegressionModel) -> Self {
        OnlineLogisticRegression {
            initial,
            alpha: 0.1,
            beta: 0.1,
            gradient: FtrlGradient::Mean,
            reg: 0.0,
            elastic_net: 0.0,
            global_batch_size: 32,
        }
    }

    /// Sets the step size.
    #[must_use]
    pub fn alpha(mut self, alpha: f64) -> Self {
        self.alpha = alpha;
        self
    }

    /// Sets what smooths the first steps.
    #[must_use]
    pub fn beta(mut self, beta: f64) -> Self {
        self.beta = beta;
        self
    }

    /// Sets the strength of regularisation.
    #[must_use]
    pub fn reg(mut self, reg: f64) -> Self {
        self.reg = reg;
        self
    }

    /// Sets the share of the L1 norm in it.
    #[must_use]
    pub fn elastic_net(mut self, share: f64) -> Self {
        self.elastic_net = share;
        self
    }

    /// Sets the examples of a batch.
    #[must_use]
    pub fn global_batch_size(mut self, examples: usize) -> Self {
        self.global_batch_size = examples;
        self
    }

    /// Sets what the gradient of a batch is.
    #[must_use]
    pub fn gradient(mut self, gradient: FtrlGradient) -> Self {
        self.gradient = gradient;
        self
    }

    /// The model after each batch, in order, on worker 0.
    ///
    /// # Errors
    /// A parameter is not valid.
    #[track_caller]
    pub fn fit<'s>(
        &self,
        examples: DataStream<'s, Examples>,
    ) -> Result<DataStream<'s, OnlineLogisticRegressionModel>> {
        let (reg, share) = (self.reg, self.elastic_net);
        if !(reg.is_finite() && reg >= 0.0 && (0.0..=1.0).contains(&share)) {
            return Err(Error::config(format!(
                "reg {reg}, elastic_net {share}: expected reg 0 or more and finite, and elastic_net from 0 to 1"
            )));
        }
        let ftrl = FtrlProximal::new(self.alpha)?.beta(self.beta)?;
        let ftrl = ftrl.regularization(share * reg, (1.0 - share) * reg)?;
        let learner = Learner { ftrl, gradient: self.gradient };
        train(examples, self.initial.clone(), self.global_batch_size, learner)
    }
}

/// Coefficients, and all that training needs to go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OnlineLogisticRegressionModel {
    coefficients: Vec<f64>,
    /// Sums of squared gradients.
    n: Vec<f64>,
    /// Sums of gradients, less the way that the coefficients have gone.
    z: Vec<f64>,
    version: u64,
}

impl OnlineLogisticRegressionModel {
    /// One for each feature.
    pub fn coefficients(&self) -> &[f64] {
        &self.coefficients
    }

    /// Batches it was trained on.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// A prediction for each row of a block; its labels are not looked at.
    ///
    /// # Errors
    /// The block has another number of features than the model.
    pub fn predict(&self, block: &Examples) -> Result<Vec<Prediction>> {
        self.check(block)?;
        let prediction = |row| {
            let p = sigmoid(block.dot(row, &self.coefficients));
            Prediction { label: f64::from(u8::from(p >= 0.5)), raw: (1.0 - p, p) }
        };
        Ok((0..block.rows()).map(prediction).collect())
    }

    fn check(&self, block: &Examples) -> Result<()> {
        match (block.dim(), self.coefficients.len()) {
            (found, expected) if found == expected => Ok(()),
            (found, expected) => {
                Err(Error::data(format!("a block has {found} features, the model expects {expected}")))
            }
        }
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// What turns the gradients of a batch into the next model.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Learner {
    ftrl: FtrlProximal,
    gradient: FtrlGradient,
}

/// Sum of the gradients of examples, and what it is divided by: one number for all features, or one for each.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Gradient {
    sum: Vec<f64>,
    weights: Vec<f64>,
}

impl OnlineLearner for Learner {
    type Block = Examples;
    type Model = OnlineLogisticRegressionModel;
    type Sums = Gradient;

    fn rows(block: &Examples) -> usize {
        block.rows()
    }

    fn slice(block: &Examples, rows: Range<usize>) -> Examples {
        block.slice(rows)
    }

    fn sum(&self, model: &OnlineLogisticRegressionModel, blocks: &[Examples]) -> Result<Gradient> {
        let dim = model.coefficients.len();
        let by_entry = self.gradient == FtrlGradient::PerEntry;
        let weights = vec![0.0; if by_entry { dim } else { 1 }];
        let mut gradient = Gradient { sum: vec![0.0; dim], weights };
        for block in blocks {
            model.check(block)?;
            for (row, label) in block.labels().iter().enumerate() {
                if *label != 0.0 && *label != 1.0 {
                    return Err(Error::data(format!("label {label}, expected 0 or 1")));
                }
                let weight = block.weight(row);
                let error = sigmoid(block.dot(row, &model.coefficients)) - label;
                if by_entry {
                    block.add_scaled(row, error, &mut gradient.sum);
                    block.for_each_entry(row, |i| gradient.weights[i] += weight);
                } else {
                    block.add_scaled(row, weight * error, &mut gradient.sum);
                    gradient.weights[0] += weight;
                }
            }
        }
        Ok(gradient)
    }

    fn update(
        &self,
        model: &OnlineLogisticRegressionModel,
        parts: Vec<Gradient>,
    ) -> Result<OnlineLogisticRegressionModel> {
        let mut model = model.clone();
        model.version += 1;
        for (i, w) in model.coefficients.iter_mut().enumerate() {
            let place = if self.gradient == FtrlGradient::PerEntry { i } else { 0 };
            let weight: f64 = parts.iter().map(|part| part.weights[place]).sum();
            if weight == 0.0 {
                continue;
            }
            let g = parts.iter().map(|part| part.sum[i]).sum::<f64>() / weight;
            let (n, z) = (&mut model.n[i], &mut model.z[i]);
            self.ftrl.step(g, w, z, n);
        }
        Ok(model)
    }
}
