//! Passive-aggressive classification into many classes.

use waterwheel_engine::{Clock, DataStream, Error, Result};
use waterwheel_ps::Sum;

use super::{
    PaUpdate, SparseExample, SparseFit, SparseRule, SparseTraining, SparseVector, fit_rule, fit_rule_from,
};

/// How examples of many classes change the weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MulticlassUpdate {
    /// Each class is told apart from all others, as one of two with the same features.
    OneVsAll(PaUpdate),
    /// By the cost of the class that was predicted (*PB*).
    PredictionBased,
    /// By the class whose score and cost together are the greatest (*ML*).
    MaxLoss,
}

/// Passive-aggressive classification into the classes `0..n`, each with a weight for each feature.
///
/// The score of class `k` is `s_k = w_k·x`. The class with the greatest score is predicted, of equal ones the first, and
/// the score of a prediction is its score.
///
/// * One against all: for each class [`PaUpdate`], with `y = 1` for the class of the example and -1 for the others.
/// * By cost: with the class `y` of the example and the costs `c(y, k)` of taking it for `k`, the other class is the
///   predicted one (PB), or the one with the greatest `s_k - s_y + sqrt(c(y, k))` (ML). If it is not `y`, with the loss
///   `l = s_k - s_y + sqrt(c(y, k))`, `w_y += tau x` and `w_k -= tau x` for `tau = l / (2 |x|^2)`.
///
/// # References
/// Crammer et al., *Online passive-aggressive algorithms*, JMLR 7, 2006; section 8 for costs.
///
/// # Examples
/// ```
/// use waterwheel_engine::{RuntimeConfig, execute};
/// use waterwheel_ml::sparse::{
///     MulticlassPassiveAggressive, MulticlassUpdate, SparseExample, SparseTraining, SparseVector,
/// };
///
/// let learned = execute(RuntimeConfig::threads(1), |env| {
///     let example = |id: u64| SparseExample {
///         id,
///         features: SparseVector::ones(vec![(id % 5) as u32]).unwrap(),
///         label: (id < 50).then_some((id % 5 / 2) as u32),
///     };
///     let learner = MulticlassPassiveAggressive::new(3, MulticlassUpdate::MaxLoss)?;
///     let fit = learner.fit(env.from_iter((0..55).map(example)), &SparseTraining::new().credit(1))?;
///     Ok(fit.predictions.filter(|prediction| prediction.label.is_none()).collect())
/// })?;
/// assert!(learned.concat().iter().all(|new| new.predicted == (new.id % 5 / 2) as u32));
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct MulticlassPassiveAggressive {
    classes: u32,
    update: MulticlassUpdate,
    /// Square roots of the costs by class and the one that it is taken for; 1 for all mistakes if there are none.
    roots: Vec<f64>,
}

impl MulticlassPassiveAggressive {
    /// With so many classes, 2 to 65,536, and a cost of 1 for each mistake.
    ///
    /// # Errors
    /// The number of classes or the aggressiveness of the update is out of its range.
    pub fn new(classes: u32, update: MulticlassUpdate) -> Result<Self> {
        if !(2..=65_536).contains(&classes) {
            return Err(Error::config(format!(
                "passive-aggressive: classes: found {classes}, expected 2 to 65536"
            )));
        }
        if let MulticlassUpdate::OneVsAll(update) = update {
            update.check()?;
        }
        Ok(MulticlassPassiveAggressive { classes, update, roots: Vec::new() })
    }

    /// Sets the costs: a row for each class of an example, in it one for each that it is taken for. Only updates by cost
    /// look at them.
    ///
    /// # Errors
    /// There are not as many as pairs of classes, one is negative or not finite, or a class has a cost for itself.
    pub fn costs(mut self, costs: &[f64]) -> Result<Self> {
        let n = self.classes as usize;
        if costs.len() != n * n {
            let found = costs.len();
            return Err(Error::config(format!(
                "passive-aggressive: found {found} costs, expected {} for {n} classes",
                n * n
            )));
        }
        for (at, cost) in costs.iter().enumerate() {
            let (class, taken_for) = (at / n, at % n);
            if !(cost.is_finite() && *cost >= 0.0 && (class != taken_for || *cost == 0.0)) {
                return Err(Error::config(format!(
                    "passive-aggressive: the cost of {class} taken for {taken_for} is {cost}, expected a finite number, 0 \
                     or more, and 0 for itself"
                )));
            }
        }
        self.roots = costs.iter().map(|cost| cost.sqrt()).collect();
        Ok(self)
    }

    /// Predicts and learns a stream of examples; see [`SparseTraining`].
    ///
    /// # Errors
    /// A setting of the training is not valid.
    #[track_caller]
    pub fn fit<'s, T: Clock>(
        &self,
        examples: DataStream<'s, SparseExample<u32>, T>,
        training: &SparseTraining,
    ) -> Result<SparseFit<'s, u32, T>> {
        fit_rule(self, Sum, examples, training)
    }

    /// The same, beginning with the weights of `model`: for each feature one for each class.
    ///
    /// # Errors
    /// A setting of the training is not valid.
    #[track_caller]
    pub fn fit_from<'s, T: Clock>(
        &self,
        model: DataStream<'s, (u32, Vec<f64>), T>,
        examples: DataStream<'s, SparseExample<u32>, T>,
        training: &SparseTraining,
    ) -> Result<SparseFit<'s, u32, T>> {
        fit_rule_from(self, Sum, model, examples, training)
    }

    fn root_of_cost(&self, class: usize, taken_for: usize) -> f64 {
        let at = class * self.classes as usize + taken_for;
        self.roots.get(at).copied().unwrap_or(f64::from(u8::from(class != taken_for)))
    }

    /// By how much the row of each class moves along the features, if any does.
    fn rates(&self, features: &SparseVector, scores: &[f64], label: usize) -> Option<Vec<f64>> {
        let norm = features.squared_norm();
        let mut rates = vec![0.0; scores.len()];
        if let MulticlassUpdate::OneVsAll(update) = self.update {
            for (class, (rate, score)) in rates.iter_mut().zip(scores).enumerate() {
                let y = if class == label { 1.0 } else { -1.0 };
                *rate = y * update.rate(1.0 - y * score, norm);
            }
            return rates.iter().any(|rate| *rate != 0.0).then_some(rates);
        }
        let loss = |class: usize| scores[class] - scores[label] + self.root_of_cost(label, class);
        let other = match self.update {
            MulticlassUpdate::MaxLoss => argmax((0..scores.len()).map(loss)),
            _ => argmax(scores.iter().copied()),
        };
        // With all that it takes, spread over two rows.
        let tau = PaUpdate::Pa.rate(loss(other), 2.0 * norm);
        if other == label || tau == 0.0 {
            return None;
        }
        (rates[label], rates[other]) = (tau, -tau);
        Some(rates)
    }
}

/// Where the greatest number is, the first of equal ones.
fn argmax(numbers: impl Iterator<Item = f64>) -> usize {
    let mut best = (0, f64::NEG_INFINITY);
    for (at, number) in numbers.enumerate() {
        if number > best.1 {
            best = (at, number);
        }
    }
    best.0
}

/// The score of each class.
fn scores(features: &SparseVector, rows: &[f64], classes: usize) -> Vec<f64> {
    let mut scores = vec![0.0; classes];
    for (x, row) in features.values().iter().zip(rows.chunks_exact(classes)) {
        scores.iter_mut().zip(row).for_each(|(score, w)| *score += x * w);
    }
    scores
}

impl SparseRule for MulticlassPassiveAggressive {
    type Label = u32;

    fn width(&self) -> usize {
        self.classes as usize
    }

    fn check(&self, label: &u32) -> Result<()> {
        if *label < self.classes {
            return Ok(());
        }
        Err(Error::data(format!("found class {label}, expected 0 to {}", self.classes - 1)))
    }

    fn predict(&self, features: &SparseVector, rows: &[f64]) -> (u32, f64) {
        let scores = scores(features, rows, self.width());
        let best = argmax(scores.iter().copied());
        (best as u32, scores[best])
    }

    fn learn(&self, features: &SparseVector, rows: &[f64], label: &u32, pushes: &mut Vec<f64>) {
        let scores = scores(features, rows, self.width());
        if let Some(rates) = self.rates(features, &scores, *label as usize) {
            pushes.extend(features.values().iter().flat_map(|x| rates.iter().map(move |rate| rate * x)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pushed(learner: &MulticlassPassiveAggressive, pairs: &[(u32, f64)], label: u32) -> Vec<f64> {
        let features = SparseVector::from_pairs(pairs.iter().copied()).unwrap();
        let mut pushes = Vec::new();
        learner.learn(&features, &vec![0.0; features.len() * learner.width()], &label, &mut pushes);
        pushes
    }

    /// T-NEW-04: three classes, costs of 1, no weights, x = {0: 1, 1: 2}. Pushes are by feature and class.
    #[test]
    fn t_new_04_updates_by_cost_are_those_computed_by_hand() {
        let x = [(0, 1.0), (1, 2.0)];
        let learner = |update| MulticlassPassiveAggressive::new(3, update).unwrap();
        let (by_prediction, by_loss) = (MulticlassUpdate::PredictionBased, MulticlassUpdate::MaxLoss);
        assert!(pushed(&learner(by_prediction), &x, 0).is_empty());
        assert_eq!(pushed(&learner(by_prediction), &x, 1), [-0.1, 0.1, 0.0, -0.2, 0.2, 0.0]);
        assert_eq!(pushed(&learner(by_loss), &x, 0), [0.1, -0.1, 0.0, 0.2, -0.2, 0.0]);
        let ones = [0.0, 1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0];
        let with_costs = learner(by_loss).costs(&ones).unwrap();
        assert_eq!(pushed(&with_costs, &x, 0), [0.1, -0.1, 0.0, 0.2, -0.2, 0.0]);
    }

    #[test]
    fn dearest_mistake_is_put_right_first() {
        let costs = [0.0, 1.0, 4.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0];
        let learner = MulticlassPassiveAggressive::new(3, MulticlassUpdate::MaxLoss).unwrap();
        // Loss sqrt(4), |x|^2 = 1.
        assert_eq!(pushed(&learner.costs(&costs).unwrap(), &[(9, 1.0)], 0), [1.0, 0.0, -1.0]);
    }

    #[test]
    fn one_against_all_is_the_binary_update_of_each_class() {
        let learner = MulticlassPassiveAggressive::new(3, MulticlassUpdate::OneVsAll(PaUpdate::Pa)).unwrap();
        assert_eq!(pushed(&learner, &[(0, 1.0), (2, 2.0)], 1), [-0.2, 0.2, -0.2, -0.4, 0.4, -0.4]);
        assert!(pushed(&learner, &[], 1).is_empty());
    }

    #[test]
    fn settings_and_labels_out_of_range_are_named() {
        let learner = MulticlassPassiveAggressive::new(3, MulticlassUpdate::PredictionBased).unwrap();
        assert_eq!(learner.check(&3).unwrap_err().message(), "found class 3, expected 0 to 2");
        assert!(MulticlassPassiveAggressive::new(1, MulticlassUpdate::MaxLoss).is_err());
        let costs = |costs: &[f64]| learner.clone().costs(costs).unwrap_err().message().to_string();
        assert_eq!(costs(&[0.0]), "passive-aggressive: found 1 costs, expected 9 for 3 classes");
        assert!(costs(&[1.0; 9]).starts_with("passive-aggressive: the cost of 0 taken for 0 is 1"));
    }
}
