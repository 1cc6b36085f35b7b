//! Passive-aggressive classification into two classes.

use std::fmt;
use std::str::FromStr;

use waterwheel_engine::{Clock, DataStream, Error, Result};
use waterwheel_ps::Sum;

use super::{SparseExample, SparseFit, SparseRule, SparseTraining, SparseVector, fit_rule, fit_rule_from};

/// How far an update goes that is needed because of a loss `l` on features of the squared norm `n`.
///
/// | variant | text form | `tau` |
/// |---|---|---|
/// | `Pa` | `pa` | `l / n`: as far as it takes |
/// | `Pa1 { c }` | `pa1:c` | `min(c, l / n)` |
/// | `Pa2 { c }` | `pa2:c` | `l / (n + 1 / (2 c))` |
///
/// `c`, the *aggressiveness*, is finite and above 0; smaller ones are better against wrong labels.
///
/// # Examples
/// ```
/// use waterwheel_ml::sparse::PaUpdate;
/// assert_eq!("pa1:0.1".parse::<PaUpdate>()?, PaUpdate::Pa1 { c: 0.1 });
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum PaUpdate {
    /// As far as it takes.
    #[default]
    Pa,
    /// At most `c`.
    Pa1 {
        /// Aggressiveness.
        c: f64,
    },
    /// Less far, the smaller `c` is.
    Pa2 {
        /// Aggressiveness.
        c: f64,
    },
}

impl PaUpdate {
    pub(super) fn check(self) -> Result<Self> {
        match self {
            PaUpdate::Pa1 { c } | PaUpdate::Pa2 { c } if !(c.is_finite() && c > 0.0) => Err(Error::config(
                format!("passive-aggressive: c: found {c}, expected a finite number above 0"),
            )),
            update => Ok(update),
        }
    }

    /// `tau`; 0 if there is no loss, or nothing to put it right with.
    pub(super) fn rate(self, loss: f64, squared_norm: f64) -> f64 {
        if loss <= 0.0 || squared_norm <= 0.0 {
            return 0.0;
        }
        match self {
            PaUpdate::Pa => loss / squared_norm,
            PaUpdate::Pa1 { c } => c.min(loss / squared_norm),
            PaUpdate::Pa2 { c } => loss / (squared_norm + 1.0 / (2.0 * c)),
        }
    }
}

impl FromStr for PaUpdate {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::config(format!("update: found {text:?}, expected pa, pa1:c or pa2:c, for example pa1:0.1"))
        };
        let c = |text: &str| text.parse().map_err(|_| wrong());
        match text.to_ascii_lowercase().split(':').collect::<Vec<_>>()[..] {
            ["pa"] => Ok(PaUpdate::Pa),
            ["pa1", text] => PaUpdate::Pa1 { c: c(text)? }.check(),
            ["pa2", text] => PaUpdate::Pa2 { c: c(text)? }.check(),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for PaUpdate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PaUpdate::Pa => f.write_str("pa"),
            PaUpdate::Pa1 { c } => write!(f, "pa1:{c}"),
            PaUpdate::Pa2 { c } => write!(f, "pa2:{c}"),
        }
    }
}

/// Passive-aggressive classification into two classes: the weights change only where an example is not on its side by a
/// margin of 1, and then as little as puts it there.
///
/// With the label `y`, 1 for `true` and -1 for `false`, the loss is `l = max(0, 1 - y w·x)`, and `w += tau y x` with `tau`
/// of [`PaUpdate`]. The score of a prediction is `w·x`; above 0 is `true`. There is no intercept: add a feature that is
/// always 1 for one. Examples without features are predicted and change nothing.
///
/// # References
/// Crammer, Dekel, Keshet, Shalev-Shwartz and Singer, *Online passive-aggressive algorithms*, JMLR 7, 2006.
///
/// # Examples
/// ```
/// use waterwheel_engine::{RuntimeConfig, execute};
/// use waterwheel_ml::sparse::{PaUpdate, PassiveAggressive, SparseExample, SparseTraining, SparseVector};
///
/// let learned = execute(RuntimeConfig::threads(2), |env| {
///     // Even features speak for `true`.
///     let example = |id: u64| SparseExample {
///         id,
///         features: SparseVector::ones(vec![(id % 7) as u32]).unwrap(),
///         label: (id < 70).then_some(id % 7 % 2 == 0),
///     };
///     let learner = PassiveAggressive::new(PaUpdate::Pa1 { c: 0.5 })?;
///     let fit = learner.fit(env.from_iter((0..77).map(example)), &SparseTraining::new().credit(1))?;
///     Ok(fit.predictions.filter(|prediction| prediction.label.is_none()).collect())
/// })?;
/// assert!(learned.concat().iter().all(|new| new.predicted == (new.id % 7 % 2 == 0)));
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PassiveAggressive {
    update: PaUpdate,
}

impl PassiveAggressive {
    /// With this update.
    ///
    /// # Errors
    /// Its aggressiveness is not valid.
    pub fn new(update: PaUpdate) -> Result<Self> {
        Ok(PassiveAggressive { update: update.check()? })
    }

    /// Predicts and learns a stream of examples; see [`SparseTraining`].
    ///
    /// # Errors
    /// A setting of the training is not valid.
    #[track_caller]
    pub fn fit<'s, T: Clock>(
        &self,
        examples: DataStream<'s, SparseExample<bool>, T>,
        training: &SparseTraining,
    ) -> Result<SparseFit<'s, bool, T>> {
        fit_rule(self, Sum, examples, training)
    }

    /// The same, beginning with the weights of `model`: one for each feature.
    ///
    /// # Errors
    /// A setting of the training is not valid.
    #[track_caller]
    pub fn fit_from<'s, T: Clock>(
        &self,
        model: DataStream<'s, (u32, Vec<f64>), T>,
        examples: DataStream<'s, SparseExample<bool>, T>,
        training: &SparseTraining,
    ) -> Result<SparseFit<'s, bool, T>> {
        fit_rule_from(self, Sum, model, examples, training)
    }
}

impl SparseRule for PassiveAggressive {
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
        let y = if *label { 1.0 } else { -1.0 };
        let tau = self.update.rate(1.0 - y * features.dot(rows), features.squared_norm());
        if tau > 0.0 {
            pushes.extend(features.values().iter().map(|x| tau * y * x));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an example pushes that the weights know nothing of.
    fn pushed(update: PaUpdate, pairs: &[(u32, f64)], label: bool) -> Vec<f64> {
        let features = SparseVector::from_pairs(pairs.iter().copied()).unwrap();
        let mut pushes = Vec::new();
        let rows = vec![0.0; features.len()];
        PassiveAggressive::new(update).unwrap().learn(&features, &rows, &label, &mut pushes);
        pushes
    }

    /// T-NEW-05.
    #[test]
    fn t_new_05_binary_updates_are_those_computed_by_hand() {
        let x = [(0, 1.0), (2, 2.0)];
        assert_eq!(pushed(PaUpdate::Pa, &x, true), [0.2, 0.4]);
        assert_eq!(pushed(PaUpdate::Pa1 { c: 0.1 }, &x, true), [0.1, 0.2]);
        assert_eq!(pushed(PaUpdate::Pa2 { c: 1.0 }, &x, true), [1.0 / 5.5, 2.0 / 5.5]);
        assert_eq!(pushed(PaUpdate::Pa, &x, false), [-0.2, -0.4]);
    }

    #[test]
    fn example_without_features_or_with_zeros_pushes_nothing() {
        for update in [PaUpdate::Pa, PaUpdate::Pa1 { c: 1.0 }, PaUpdate::Pa2 { c: 1.0 }] {
            assert!(pushed(update, &[], true).is_empty());
            assert!(pushed(update, &[(3, 0.0)], true).is_empty());
        }
    }

    #[test]
    fn update_text_reads_back_and_mistakes_are_named() {
        for text in ["pa", "pa1:0.1", "pa2:2"] {
            assert_eq!(text.parse::<PaUpdate>().unwrap().to_string(), text);
        }
        let message = |text: &str| text.parse::<PaUpdate>().unwrap_err().message().to_string();
        assert_eq!(message("pa3"), "update: found \"pa3\", expected pa, pa1:c or pa2:c, for example pa1:0.1");
        assert_eq!(message("pa1:-1"), "passive-aggressive: c: found -1, expected a finite number above 0");
        assert!(PassiveAggressive::new(PaUpdate::Pa2 { c: f64::NAN }).is_err());
    }
}
