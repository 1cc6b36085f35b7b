//! The estimators.

use waterwheel_engine::{DataStream, Error, Result};

use crate::Examples;
use crate::linear::loss::{LeastSquare, Logistic, SvcLoss};
use crate::linear::model::{LinearRegressionModel, LinearSvcModel, LogisticRegressionModel};
use crate::linear::params::{SgdParams, TolOf, sgd_setters};
use crate::linear::sgd;

macro_rules! setters {
    () => {
        sgd_setters! {
            /// Steps at most; see [`SgdParams`].
            max_iter: u64;
            /// Step size; see [`SgdParams`].
            learning_rate: f64;
            /// Rows of a step; see [`SgdParams`].
            global_batch_size: usize;
            /// The loss at which training ends; see [`SgdParams`].
            tol: f64;
            /// What `tol` is compared with; see [`SgdParams`].
            tol_of: TolOf;
            /// Strength of regularisation; see [`SgdParams`].
            reg: f64;
            /// Share of the L1 norm in it; see [`SgdParams`].
            elastic_net: f64;
        }
    };
}

/// Logistic regression for labels 0 and 1, without an intercept: add a feature that is always 1.
///
/// Parameters and defaults: [`SgdParams`]. Multi-class is not supported; a label above 1 ends the run with an error.
///
/// # Examples
/// ```
/// use waterwheel_engine::{RuntimeConfig, execute};
/// use waterwheel_ml::{Examples, linear::LogisticRegression};
///
/// let models = execute(RuntimeConfig::threads(2), |env| {
///     let blocks = [Examples::dense(1, vec![-2.0, -1.0, 1.0, 3.0], vec![0.0, 0.0, 1.0, 1.0])?];
///     let model = LogisticRegression::new().max_iter(100).fit(env.from_iter(blocks))?;
///     Ok(model.collect())
/// })?;
/// let model = &models[0][0];
/// assert!(model.linear.coefficients()[0] > 1.0);
/// let new = Examples::dense(1, vec![-5.0, 5.0], vec![0.0, 0.0])?;
/// assert_eq!(model.predict(&new)?.iter().map(|p| p.label).collect::<Vec<_>>(), [0.0, 1.0]);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LogisticRegression {
    sgd: SgdParams,
}

impl LogisticRegression {
    /// With the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    setters!();

    /// Trains on all examples; the stream has the one model, on worker 0, and nothing where there are no examples.
    ///
    /// # Errors
    /// A parameter is not valid.
    #[track_caller]
    pub fn fit<'s>(
        &self,
        examples: DataStream<'s, Examples>,
    ) -> Result<DataStream<'s, LogisticRegressionModel>> {
        Ok(sgd::train(examples, self.sgd, Logistic)?.map(|linear| LogisticRegressionModel { linear }))
    }
}

/// A linear support vector classifier for labels 0 and 1, without an intercept: add a feature that is always 1.
///
/// Parameters and defaults: [`SgdParams`], `threshold` 0 (finite), `loss` hinge.
///
/// # Examples
/// ```
/// use waterwheel_engine::{RuntimeConfig, execute};
/// use waterwheel_ml::{Examples, linear::LinearSvc};
///
/// let models = execute(RuntimeConfig::threads(1), |env| {
///     let blocks = [Examples::dense(1, vec![-2.0, -1.0, 1.0, 3.0], vec![0.0, 0.0, 1.0, 1.0])?];
///     Ok(LinearSvc::new().fit(env.from_iter(blocks))?.collect())
/// })?;
/// let new = Examples::dense(1, vec![-5.0, 5.0], vec![0.0, 0.0])?;
/// assert_eq!(models[0][0].predict(&new)?[1].label, 1.0);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LinearSvc {
    sgd: SgdParams,
    threshold: f64,
    loss: SvcLoss,
}

impl LinearSvc {
    /// With the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    setters!();

    /// From which product on a row is of class 1.
    #[must_use]
    pub fn threshold(mut self, threshold: f64) -> Self {
        self.threshold = threshold;
        self
    }

    /// The loss.
    #[must_use]
    pub fn loss(mut self, loss: SvcLoss) -> Self {
        self.loss = loss;
        self
    }

    /// Trains on all examples; the stream has the one model, on worker 0, and nothing where there are no examples.
    ///
    /// # Errors
    /// A parameter is not valid.
    #[track_caller]
    pub fn fit<'s>(&self, examples: DataStream<'s, Examples>) -> Result<DataStream<'s, LinearSvcModel>> {
        let threshold = self.threshold;
        if !threshold.is_finite() {
            return Err(Error::config(format!("threshold is {threshold}, expected a finite number")));
        }
        let models = sgd::train(examples, self.sgd, self.loss)?;
        Ok(models.map(move |linear| LinearSvcModel { linear, threshold }))
    }
}

/// Linear regression by least squares, without an intercept: add a feature that is always 1.
///
/// Parameters and defaults: [`SgdParams`].
///
/// # Examples
/// ```
/// use waterwheel_engine::{RuntimeConfig, execute};
/// use waterwheel_ml::{Examples, linear::LinearRegression};
///
/// let models = execute(RuntimeConfig::threads(1), |env| {
///     let blocks = [Examples::dense(1, vec![1.0, 2.0, 3.0], vec![2.0, 4.0, 6.0])?];
///     Ok(LinearRegression::new().max_iter(100).fit(env.from_iter(blocks))?.collect())
/// })?;
/// assert!((models[0][0].linear.coefficients()[0] - 2.0).abs() < 1e-2);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LinearRegression {
    sgd: SgdParams,
}

impl LinearRegression {
    /// With the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    setters!();

    /// Trains on all examples; the stream has the one model, on worker 0, and nothing where there are no examples.
    ///
    /// # Errors
    /// A parameter is not valid.
    #[track_caller]
    pub fn fit<'s>(
        &self,
        examples: DataStream<'s, Examples>,
    ) -> Result<DataStream<'s, LinearRegressionModel>> {
        Ok(sgd::train(examples, self.sgd, LeastSquare)?.map(|linear| LinearRegressionModel { linear }))
    }
}
