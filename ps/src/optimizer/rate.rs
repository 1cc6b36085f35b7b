//! Learning rates that may fall.

/// The size of a step, as a function of the number *t* of pushes to the row, from 1.
///
/// A number is [`Constant`](Self::Constant). Valid: finite and above 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LearningRate {
    /// The same at every push.
    Constant(f64),
    /// This number divided by the square root of *t*. Rows of `f32` count to 2^24 and then stay there.
    InverseSqrt(f64),
}

impl LearningRate {
    /// The rate at the first push.
    pub fn first(self) -> f64 {
        match self {
            LearningRate::Constant(rate) | LearningRate::InverseSqrt(rate) => rate,
        }
    }
}

impl From<f64> for LearningRate {
    fn from(rate: f64) -> Self {
        LearningRate::Constant(rate)
    }
}
