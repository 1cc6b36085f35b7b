//! Parameters of stochastic gradient descent.

use waterwheel_engine::{Error, Result};

/// What `tol` is compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TolOf {
    /// The mean loss of the batch. The default: Flink ML leaves the penalty out.
    #[default]
    Loss,
    /// The mean loss of the batch and the penalty of the coefficients.
    LossAndPenalty,
}

/// Parameters of stochastic gradient descent, checked by `fit`.
///
/// | parameter | default | valid |
/// |---|---|---|
/// | `max_iter`: steps at most | 20 | 1 or more |
/// | `learning_rate` | 0.1 | finite, above 0 |
/// | `global_batch_size`: rows of a step, over all workers | 32 | 1 or more |
/// | `tol`: a loss at which training ends | 1e-6 | finite, 0 or more |
/// | `tol_of`: what `tol` is compared with | loss alone | |
/// | `reg`: strength of regularisation | 0 | finite, 0 or more |
/// | `elastic_net`: share of the L1 norm | 0 | 0 to 1 |
///
/// A step takes each worker's next rows, in order and from the first again behind the last: `global_batch_size`
/// divided by the workers, one more on the first ones where that leaves a rest. So that every step sees all rows, it
/// must be as large as all workers' rows would be if each had as many as the one with the most; `usize::MAX` always
/// is. Then the model does not depend on the number of workers but for the order of sums.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SgdParams {
    pub(crate) max_iter: u64,
    pub(crate) learning_rate: f64,
    pub(crate) global_batch_size: usize,
    pub(crate) tol: f64,
    pub(crate) tol_of: TolOf,
    pub(crate) reg: f64,
    pub(crate) elastic_net: f64,
}

impl Default for SgdParams {
    fn default() -> Self {
        SgdParams {
            max_iter: 20,
            learning_rate: 0.1,
            global_batch_size: 32,
            tol: 1e-6,
            tol_of: TolOf::Loss,
            reg: 0.0,
            elastic_net: 0.0,
        }
    }
}

impl SgdParams {
    pub(crate) fn check(&self) -> Result<()> {
        let not = |what: &str, found: &dyn std::fmt::Display, expected: &str| {
            Err(Error::config(format!("{what} is {found}, expected {expected}")))
        };
        let at_least_0 = |x: f64| x.is_finite() && x >= 0.0;
        match self {
            SgdParams { max_iter: 0, .. } => not("max_iter", &0, "1 or more"),
            SgdParams { global_batch_size: 0, .. } => not("global_batch_size", &0, "1 or more"),
            SgdParams { learning_rate: x, .. } if !at_least_0(*x) || *x == 0.0 => {
                not("learning_rate", x, "a finite number above 0")
            }
            SgdParams { tol: x, .. } if !at_least_0(*x) => not("tol", x, "a finite number, 0 or more"),
            SgdParams { reg: x, .. } if !at_least_0(*x) => not("reg", x, "a finite number, 0 or more"),
            SgdParams { elastic_net: x, .. } if !(0.0..=1.0).contains(x) => not("elastic_net", x, "0 to 1"),
            _ => Ok(()),
        }
    }

    /// Rows of a step on worker `worker` of `workers`.
    pub(crate) fn local_batch(&self, worker: usize, workers: usize) -> usize {
        self.global_batch_size / workers + usize::from(worker < self.global_batch_size % workers)
    }
}

/// Setters of the parameters, for an estimator with a field `sgd`.
macro_rules! sgd_setters {
    ($($(#[$doc:meta])* $name:ident: $type:ty;)*) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $name(mut self, $name: $type) -> Self {
            self.sgd.$name = $name;
            self
        }
    )*};
}
pub(crate) use sgd_setters;
