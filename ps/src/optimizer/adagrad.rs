//! AdaGrad.

use waterwheel_engine::Result;

use super::{Float, above_zero, finite, zero_or_more};
use crate::update::{Update, equal_widths};

/// AdaGrad: `n += g^2`, `w -= rate * g / (sqrt(n) + epsilon)`.
///
/// | parameter | default | valid |
/// |---|---|---|
/// | `rate` | | finite, above 0 |
/// | `epsilon` | 1e-10 | finite, above 0 |
/// | `initial`: first value of `n` | 0 | finite, 0 or more |
///
/// # References
/// Duchi, Hazan and Singer, *Adaptive subgradient methods for online learning and stochastic optimization*, JMLR 2011.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdaGrad {
    rate: f64,
    epsilon: f64,
    initial: f64,
}

impl AdaGrad {
    /// With this learning rate.
    ///
    /// # Errors
    /// The rate is not valid.
    pub fn new(rate: f64) -> Result<Self> {
        Ok(AdaGrad { rate: above_zero("learning rate of AdaGrad", rate)?, epsilon: 1e-10, initial: 0.0 })
    }

    /// Sets what keeps the first division from being one by zero.
    ///
    /// # Errors
    /// It is not valid.
    pub fn epsilon(mut self, epsilon: f64) -> Result<Self> {
        self.epsilon = above_zero("epsilon of AdaGrad", epsilon)?;
        Ok(self)
    }

    /// Sets the first value of the sum of squares, which shortens the first steps.
    ///
    /// # Errors
    /// It is not valid.
    pub fn initial(mut self, squares: f64) -> Result<Self> {
        self.initial = zero_or_more("initial sum of squares of AdaGrad", squares)?;
        Ok(self)
    }
}

impl<F: Float> Update<F, F> for AdaGrad {
    fn check_widths(&self, pull_width: usize, push_width: usize) -> Result<()> {
        equal_widths(pull_width, push_width)
    }

    fn init_slots(&self, width: usize, slots: &mut Vec<F>) {
        slots.resize(slots.len() + width, F::of(self.initial));
    }

    #[inline]
    fn apply(&self, row: &mut [F], slots: &mut [F], gradient: &[F]) -> Result<()> {
        finite(gradient)?;
        let (rate, epsilon) = (F::of(self.rate), F::of(self.epsilon));
        for ((w, n), g) in row.iter_mut().zip(slots).zip(gradient) {
            *n += *g * *g;
            *w -= rate * *g / (n.sqrt() + epsilon);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_close, weights};
    use super::*;

    #[test]
    fn adagrad_divides_by_the_root_of_the_squares_so_far() {
        // n: 9, 25, 50 (with epsilon far below the tolerance)
        let adagrad = AdaGrad::new(1.0).unwrap().epsilon(1e-300).unwrap();
        let third = -1.8 + 5.0 / 50.0_f64.sqrt();
        assert_close(&weights(&adagrad, 0.0, &[3.0, 4.0, -5.0]), &[-1.0, -1.8, third]);
    }

    #[test]
    fn adagrad_with_initial_squares_takes_shorter_first_steps() {
        let adagrad = AdaGrad::new(1.0).unwrap().initial(16.0).unwrap().epsilon(1.0).unwrap();
        assert_close(&weights(&adagrad, 0.0, &[3.0]), &[-0.5]);
    }

    #[test]
    fn adagrad_stays_where_the_gradient_is_zero() {
        assert_close(&weights(&AdaGrad::new(0.1).unwrap(), 2.0, &[0.0, 0.0]), &[2.0, 2.0]);
    }

    #[test]
    fn adagrad_with_bad_parameters_is_refused() {
        let good = AdaGrad::new(0.1).unwrap();
        assert!(AdaGrad::new(-1.0).is_err() && good.epsilon(0.0).is_err() && good.initial(f64::NAN).is_err());
    }
}
