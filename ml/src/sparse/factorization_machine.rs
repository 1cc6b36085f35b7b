//! Factorization machines.

use waterwheel_engine::{Clock, DataStream, Error, Result};
use waterwheel_ps::Update;

use super::logistic::loss_derivative;
use super::{SparseExample, SparseFit, SparseRule, SparseTraining, SparseVector, fit_rule, fit_rule_from};
use crate::generate::sm;

/// What a factorization machine predicts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FmTask {
    /// Two classes, with the labels 0 and 1: logistic loss.
    #[default]
    Binary,
    /// Numbers: half the squared error.
    Regression,
}

/// Parameters of a factorization machine, not yet checked.
///
/// | parameter | default | valid |
/// |---|---|---|
/// | `task` | binary | |
/// | `factors` of a feature | 8 | 0 to 4,096 |
/// | `reg`: L2 on weights and factors, not on the bias | 0 | finite, 0 or more |
/// | `init`: first factors are uniform from `-init` to `init` | 0.01 | finite, 0 or more |
/// | `seed` of the first factors | 1 | |
///
/// # Examples
/// ```
/// use waterwheel_ml::sparse::{FmParams, FmTask};
/// assert!(FmParams::new().task(FmTask::Regression).factors(4).build().is_ok());
/// assert!(FmParams::new().reg(-1.0).build().is_err());
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FmParams {
    task: FmTask,
    factors: usize,
    reg: f64,
    init: f64,
    seed: u64,
}

impl Default for FmParams {
    fn default() -> Self {
        let (factors, reg, init, seed) = (Self::FACTORS, Self::REG, Self::INIT, Self::SEED);
        FmParams { task: FmTask::Binary, factors, reg, init, seed }
    }
}

/// The defaults, for flags that offer the same parameters.
impl FmParams {
    /// Factors of a feature.
    pub const FACTORS: usize = 8;
    /// Strength of L2 regularisation.
    pub const REG: f64 = 0.0;
    /// Greatest first factor.
    pub const INIT: f64 = 0.01;
    /// Seed.
    pub const SEED: u64 = 1;
}

impl FmParams {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets what is predicted.
    #[must_use]
    pub fn task(mut self, task: FmTask) -> Self {
        self.task = task;
        self
    }

    /// Sets the number of factors. With none it is a linear model.
    #[must_use]
    pub fn factors(mut self, factors: usize) -> Self {
        self.factors = factors;
        self
    }

    /// Sets the strength of L2 regularisation.
    #[must_use]
    pub fn reg(mut self, reg: f64) -> Self {
        self.reg = reg;
        self
    }

    /// Sets the greatest first factor.
    #[must_use]
    pub fn init(mut self, init: f64) -> Self {
        self.init = init;
        self
    }

    /// Sets the seed of the first factors.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Checks the parameters.
    ///
    /// # Errors
    /// The first parameter outside its range, with the value found and the range.
    pub fn build(self) -> Result<FactorizationMachine> {
        if self.factors > 4_096 {
            let found = self.factors;
            return Err(Error::config(format!(
                "factorization machine: factors: found {found}, expected 0 to 4096"
            )));
        }
        for (what, found) in [("reg", self.reg), ("init", self.init)] {
            if !(found.is_finite() && found >= 0.0) {
                return Err(Error::config(format!(
                    "factorization machine: {what}: found {found}, expected a finite number, 0 or more"
                )));
            }
        }
        Ok(FactorizationMachine { params: self })
    }
}

/// A factorization machine: a linear model with, for each pair of features, a weight that is the product of their
/// factors, so that it knows pairs that it has never met.
///
/// The score is `w0 + Σ w_i x_i + Σ_(i<j) (v_i·v_j) x_i x_j`, computed in time linear in the number of features. It is the
/// prediction of a regression; of two classes, 1 is predicted where it is above 0, and it is the log-odds. Workers push
/// gradients, an [optimizer](waterwheel_ps::optimizer) at the servers makes steps of them.
///
/// A row of the model has the weight of a feature and, behind it, its factors; that of the key 4,294,967,295 begins with
/// `w0`, and the rest of it is not used.
///
/// # References
/// Rendle, *Factorization machines*, ICDM 2010.
///
/// # Examples
/// ```
/// use waterwheel_engine::{RuntimeConfig, execute};
/// use waterwheel_ml::sparse::{FmParams, SparseExample, SparseTraining, SparseVector};
/// use waterwheel_ps::optimizer::AdaGrad;
///
/// let learned = execute(RuntimeConfig::threads(1), |env| {
///     // True if one is there without the other: no linear model can tell.
///     let example = |id: u64| {
///         let (a, b) = ((id % 2) as u32, (id / 2 % 2) as u32);
///         let features = SparseVector::ones(vec![a, 2 + b]).unwrap();
///         SparseExample { id, features, label: (id < 2_000).then_some(f64::from(a ^ b)) }
///     };
///     let machine = FmParams::new().factors(4).init(0.1).build()?;
///     let training = SparseTraining::new().credit(8);
///     let fit = machine.fit(AdaGrad::new(0.2)?, env.from_iter((0..2_004).map(example)), &training)?;
///     Ok(fit.predictions.filter(|prediction| prediction.label.is_none()).collect())
/// })?;
/// let expected = |id: u64| ((id % 2) ^ (id / 2 % 2)) as f64;
/// assert!(learned.concat().iter().all(|new| new.predicted == expected(new.id)));
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FactorizationMachine {
    params: FmParams,
}

/// The key of `w0`: no feature has it.
const BIAS: u32 = u32::MAX;

impl FactorizationMachine {
    /// Predicts and learns a stream of examples with this optimizer; see [`SparseTraining`].
    ///
    /// # Errors
    /// A setting of the training is not valid, or it says how many features there are: weights are found by hash.
    #[track_caller]
    pub fn fit<'s, T: Clock>(
        &self,
        optimizer: impl Update<f64, f64>,
        examples: DataStream<'s, SparseExample<f64>, T>,
        training: &SparseTraining,
    ) -> Result<SparseFit<'s, f64, T>> {
        check_training(training)?;
        fit_rule(self, optimizer, examples, training)
    }

    /// The same, beginning with the rows of `model`; see [`fit_rule_from`] for optimizers.
    ///
    /// # Errors
    /// As [`fit`](Self::fit).
    #[track_caller]
    pub fn fit_from<'s, T: Clock>(
        &self,
        optimizer: impl Update<f64, f64>,
        model: DataStream<'s, (u32, Vec<f64>), T>,
        examples: DataStream<'s, SparseExample<f64>, T>,
        training: &SparseTraining,
    ) -> Result<SparseFit<'s, f64, T>> {
        check_training(training)?;
        fit_rule_from(self, optimizer, model, examples, training)
    }

    /// The rows of the features, without that of `w0`, which comes last.
    fn feature_rows<'r>(&self, rows: &'r [f64]) -> impl Iterator<Item = &'r [f64]> + Clone + use<'r> {
        let width = self.width();
        rows[..rows.len().saturating_sub(width)].chunks_exact(width)
    }

    /// `Σ v_if x_i` for each factor.
    fn sums(&self, features: &SparseVector, rows: &[f64]) -> Vec<f64> {
        let mut sums = vec![0.0; self.params.factors];
        for (x, row) in features.values().iter().zip(self.feature_rows(rows)) {
            sums.iter_mut().zip(&row[1..]).for_each(|(sum, v)| *sum += v * x);
        }
        sums
    }

    fn score(&self, features: &SparseVector, rows: &[f64], sums: &[f64]) -> f64 {
        let bias = rows[rows.len() - self.width()];
        let (mut linear, mut squares) = (0.0, 0.0);
        for (x, row) in features.values().iter().zip(self.feature_rows(rows)) {
            linear += row[0] * x;
            squares += row[1..].iter().map(|v| (v * x).powi(2)).sum::<f64>();
        }
        bias + linear + 0.5 * (sums.iter().map(|sum| sum * sum).sum::<f64>() - squares)
    }
}

fn check_training(training: &SparseTraining) -> Result<()> {
    match training.features {
        None => Ok(()),
        Some(n) => Err(Error::config(format!(
            "factorization machine: found a training on {n} features, expected an unknown number: weights are found by \
             hash"
        ))),
    }
}

impl SparseRule for FactorizationMachine {
    type Label = f64;

    fn width(&self) -> usize {
        1 + self.params.factors
    }

    fn check(&self, label: &f64) -> Result<()> {
        let is_valid = match self.params.task {
            FmTask::Binary => *label == 0.0 || *label == 1.0,
            FmTask::Regression => label.is_finite(),
        };
        if is_valid {
            return Ok(());
        }
        let expected = if self.params.task == FmTask::Binary { "0 or 1" } else { "a finite number" };
        Err(Error::data(format!("found the label {label}, expected {expected}")))
    }

    fn keys(&self, features: &SparseVector, keys: &mut Vec<u32>) {
        keys.extend_from_slice(features.indices());
        keys.push(BIAS);
    }

    fn init(&self, feature: u32, row: &mut Vec<f64>) {
        let FmParams { factors, init, seed, .. } = self.params;
        let seed = sm(seed, feature.into());
        row.push(0.0);
        row.extend((0..factors as u64).map(|f| init * (2.0 * crate::generate::unit(seed, f) - 1.0)));
    }

    fn predict(&self, features: &SparseVector, rows: &[f64]) -> (f64, f64) {
        let score = self.score(features, rows, &self.sums(features, rows));
        match self.params.task {
            FmTask::Binary => (f64::from(u8::from(score > 0.0)), score),
            FmTask::Regression => (score, score),
        }
    }

    fn learn(&self, features: &SparseVector, rows: &[f64], label: &f64, pushes: &mut Vec<f64>) {
        let sums = self.sums(features, rows);
        let score = self.score(features, rows, &sums);
        let slope = match self.params.task {
            FmTask::Binary => loss_derivative(score, *label > 0.5),
            FmTask::Regression => score - label,
        };
        let reg = self.params.reg;
        for (x, row) in features.values().iter().zip(self.feature_rows(rows)) {
            pushes.push(slope * x + reg * row[0]);
            let factors = row[1..].iter().zip(&sums);
            pushes.extend(factors.map(|(v, sum)| slope * x * (sum - v * x) + reg * v));
        }
        pushes.push(slope);
        pushes.resize(pushes.len() + self.params.factors, 0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The score as it is defined, pair by pair.
    fn by_pairs(machine: &FactorizationMachine, features: &SparseVector, rows: &[f64]) -> f64 {
        let width = machine.width();
        let row = |i: usize| &rows[i * width..(i + 1) * width];
        let (x, n) = (features.values(), features.len());
        let mut score = row(n)[0];
        for i in 0..n {
            score += row(i)[0] * x[i];
            for j in i + 1..n {
                let product: f64 = row(i)[1..].iter().zip(&row(j)[1..]).map(|(a, b)| a * b).sum();
                score += product * x[i] * x[j];
            }
        }
        score
    }

    fn case(task: FmTask, reg: f64) -> (FactorizationMachine, SparseVector, Vec<f64>) {
        let machine = FmParams::new().task(task).factors(3).reg(reg).init(0.7).seed(5).build().unwrap();
        let features = SparseVector::from_pairs([(2, 1.0), (9, -0.5), (11, 2.0), (40, 1.5)]).unwrap();
        let (mut keys, mut rows) = (Vec::new(), Vec::new());
        machine.keys(&features, &mut keys);
        keys.iter().for_each(|key| machine.init(*key, &mut rows));
        rows.iter_mut().enumerate().for_each(|(i, w)| *w += 0.01 * i as f64);
        (machine, features, rows)
    }

    #[test]
    fn score_is_the_sum_over_all_pairs() {
        let (machine, features, rows) = case(FmTask::Regression, 0.0);
        let (_, score) = machine.predict(&features, &rows);
        assert!((score - by_pairs(&machine, &features, &rows)).abs() < 1e-12);
        let nothing = SparseVector::default();
        assert_eq!(machine.predict(&nothing, &rows[..4]), (rows[0], rows[0]));
    }

    #[test]
    fn pushes_are_the_gradient_of_the_loss() {
        for (task, label) in [(FmTask::Regression, 0.3), (FmTask::Binary, 0.0), (FmTask::Binary, 1.0)] {
            let (machine, features, rows) = case(task, 0.1);
            let mut pushes = Vec::new();
            machine.learn(&features, &rows, &label, &mut pushes);
            let n = features.len() * machine.width();
            let loss = |rows: &[f64]| {
                let score = by_pairs(&machine, &features, rows);
                let fit = match task {
                    FmTask::Regression => 0.5 * (score - label).powi(2),
                    FmTask::Binary => (1.0 + (if label > 0.5 { -score } else { score }).exp()).ln(),
                };
                fit + 0.05 * rows[..n].iter().map(|w| w * w).sum::<f64>()
            };
            for at in 0..rows.len() {
                let moved = |by: f64| {
                    let mut rows = rows.clone();
                    rows[at] += by;
                    loss(&rows)
                };
                let slope = (moved(1e-6) - moved(-1e-6)) / 2e-6;
                assert!((slope - pushes[at]).abs() < 1e-7, "{task:?} {at}: {slope} {}", pushes[at]);
            }
        }
    }

    #[test]
    fn labels_and_settings_out_of_range_are_named() {
        let machine = FmParams::new().build().unwrap();
        assert_eq!(machine.check(&-1.0).unwrap_err().message(), "found the label -1, expected 0 or 1");
        let error = FmParams::new().factors(5_000).build().unwrap_err();
        assert_eq!(error.message(), "factorization machine: factors: found 5000, expected 0 to 4096");
        let error = check_training(&SparseTraining::new().features(9)).unwrap_err();
        assert!(error.message().contains("found a training on 9 features"));
    }
}
