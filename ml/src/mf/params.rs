//! Parameters, checked once.

use waterwheel_engine::{Error, Result};

/// Parameters of matrix factorization, not yet checked.
///
/// | parameter | default | valid |
/// |---|---|---|
/// | `rank`: factors per user and item | 10 | 1 to 4,096 |
/// | `epochs`: passes over the ratings, offline | 20 | 1 or more |
/// | `learning_rate` | 0.01 | finite, above 0 |
/// | `reg`: L2 on factors and biases | 0.05 | finite, 0 or more |
/// | `biases`: mean, user and item biases | false | |
/// | `init`: range of first factors, uniform | -0.1 to 0.1 | finite, low at most high |
/// | `seed` | 1 | |
/// | `blocks`: parts of users and of items | 8 | 1 to 1,024; more workers than parts do not help |
///
/// # Examples
/// ```
/// use waterwheel_ml::mf::MfParams;
/// let mf = MfParams::new().rank(16).reg(0.02).build()?;
/// assert_eq!(mf.rank(), 16);
/// assert!(MfParams::new().learning_rate(-1.0).build().is_err());
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct MfParams {
    rank: usize,
    epochs: u32,
    learning_rate: f32,
    reg: f32,
    biases: bool,
    init: (f32, f32),
    seed: u64,
    blocks: u32,
}

impl Default for MfParams {
    fn default() -> Self {
        MfParams {
            rank: Self::RANK,
            epochs: Self::EPOCHS,
            learning_rate: Self::LEARNING_RATE,
            reg: Self::REG,
            biases: false,
            init: Self::INIT,
            seed: Self::SEED,
            blocks: Self::BLOCKS,
        }
    }
}

/// The defaults, for flags and files that offer the same parameters.
impl MfParams {
    /// Factors per user and item.
    pub const RANK: usize = 10;
    /// Passes over the ratings.
    pub const EPOCHS: u32 = 20;
    /// Step size.
    pub const LEARNING_RATE: f32 = 0.01;
    /// Strength of L2 regularisation.
    pub const REG: f32 = 0.05;
    /// Range of first factors.
    pub const INIT: (f32, f32) = (-0.1, 0.1);
    /// Seed.
    pub const SEED: u64 = 1;
    /// Parts of users and of items.
    pub const BLOCKS: u32 = 8;
}

impl MfParams {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the number of factors.
    #[must_use]
    pub fn rank(mut self, rank: usize) -> Self {
        self.rank = rank;
        self
    }

    /// Sets the number of passes over the ratings.
    #[must_use]
    pub fn epochs(mut self, epochs: u32) -> Self {
        self.epochs = epochs;
        self
    }

    /// Sets the step size.
    #[must_use]
    pub fn learning_rate(mut self, rate: f32) -> Self {
        self.learning_rate = rate;
        self
    }

    /// Sets the strength of L2 regularisation.
    #[must_use]
    pub fn reg(mut self, reg: f32) -> Self {
        self.reg = reg;
        self
    }

    /// Sets whether the mean and biases are part of the prediction.
    #[must_use]
    pub fn biases(mut self, biases: bool) -> Self {
        self.biases = biases;
        self
    }

    /// Sets the range of the first factors.
    #[must_use]
    pub fn init(mut self, low: f32, high: f32) -> Self {
        self.init = (low, high);
        self
    }

    /// Sets the seed of first factors and of the order of training.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets into how many parts users and items are divided. The result depends on it, never on how many
    /// workers share the parts.
    #[must_use]
    pub fn blocks(mut self, blocks: u32) -> Self {
        self.blocks = blocks;
        self
    }

    /// Checks the parameters.
    ///
    /// # Errors
    /// The first parameter outside its range, with the value found and the range.
    pub fn build(self) -> Result<MatrixFactorization> {
        let wrong = |what: &str, found: String, expected: &str| {
            Err(Error::config(format!("{what}: found {found}, expected {expected}")))
        };
        if !(1..=4096).contains(&self.rank) {
            return wrong("rank", self.rank.to_string(), "1 to 4096");
        }
        if self.epochs == 0 {
            return wrong("epochs", "0".into(), "1 or more");
        }
        if !(self.learning_rate.is_finite() && self.learning_rate > 0.0) {
            return wrong("learning rate", self.learning_rate.to_string(), "a finite number above 0");
        }
        if !(self.reg.is_finite() && self.reg >= 0.0) {
            return wrong("reg", self.reg.to_string(), "a finite number, 0 or more");
        }
        let (low, high) = self.init;
        if !(low.is_finite() && high.is_finite() && low <= high) {
            return wrong("init", format!("{low} to {high}"), "a finite range, low at most high");
        }
        if !(1..=1024).contains(&self.blocks) {
            return wrong("blocks", self.blocks.to_string(), "1 to 1024");
        }
        Ok(MatrixFactorization { params: self })
    }
}

/// Matrix factorization with checked parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct MatrixFactorization {
    params: MfParams,
}

impl MatrixFactorization {
    /// Factors per user and item.
    pub fn rank(&self) -> usize {
        self.params.rank
    }

    /// Passes over the ratings, offline.
    pub fn epochs(&self) -> u32 {
        self.params.epochs
    }

    /// Step size.
    pub fn learning_rate(&self) -> f32 {
        self.params.learning_rate
    }

    /// Strength of L2 regularisation.
    pub fn reg(&self) -> f32 {
        self.params.reg
    }

    /// Whether mean and biases are part of the prediction.
    pub fn biases(&self) -> bool {
        self.params.biases
    }

    /// Seed of first factors and order.
    pub fn seed(&self) -> u64 {
        self.params.seed
    }

    /// Range of the first factors.
    pub fn init(&self) -> (f32, f32) {
        self.params.init
    }

    /// Parts of users and of items.
    pub fn blocks(&self) -> u32 {
        self.params.blocks
    }

    /// Elements of a row: the factors and, with biases, one more.
    pub fn width(&self) -> usize {
        self.params.rank + usize::from(self.params.biases)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn build_names_the_parameter_the_value_and_the_range() {
        let message = |params: MfParams| params.build().unwrap_err().message().to_string();
        assert_eq!(message(MfParams::new().rank(0)), "rank: found 0, expected 1 to 4096");
        assert_eq!(
            message(MfParams::new().learning_rate(f32::NAN)),
            "learning rate: found NaN, expected a finite number above 0"
        );
        assert_eq!(
            message(MfParams::new().init(1.0, 0.0)),
            "init: found 1 to 0, expected a finite range, low at most high"
        );
        assert_eq!(
            message(MfParams::new().reg(-0.1)),
            "reg: found -0.1, expected a finite number, 0 or more"
        );
    }
}
