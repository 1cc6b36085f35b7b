//! Stochastic gradient descent.

use waterwheel_engine::Result;

use super::{Float, LearningRate, above_zero, finite};
use crate::update::{Update, equal_widths};

/// Stochastic gradient descent: `w -= rate * g`.
///
/// ```
/// use waterwheel_ps::optimizer::{LearningRate, Sgd};
/// let (steady, falling) = (Sgd::new(0.1)?, Sgd::new(LearningRate::InverseSqrt(0.5))?);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    rate: LearningRate,
}

impl Sgd {
    /// With this learning rate: a number, or a [`LearningRate`] that falls.
    ///
    /// # Errors
    /// The rate is not finite and above 0.
    pub fn new(rate: impl Into<LearningRate>) -> Result<Self> {
        let rate = rate.into();
        above_zero("learning rate of Sgd", rate.first())?;
        Ok(Sgd { rate })
    }
}

impl<F: Float> Update<F, F> for Sgd {
    fn check_widths(&self, pull_width: usize, push_width: usize) -> Result<()> {
        equal_widths(pull_width, push_width)
    }

    fn init_slots(&self, _width: usize, slots: &mut Vec<F>) {
        if let LearningRate::InverseSqrt(_) = self.rate {
            slots.push(F::of(0.0));
        }
    }

    #[inline]
    fn apply(&self, row: &mut [F], slots: &mut [F], gradient: &[F]) -> Result<()> {
        finite(gradient)?;
        let mut rate = F::of(self.rate.first());
        if let (LearningRate::InverseSqrt(_), [pushes, ..]) = (self.rate, slots) {
            *pushes += F::of(1.0);
            rate = rate / pushes.sqrt();
        }
        row.iter_mut().zip(gradient).for_each(|(w, g)| *w -= rate * *g);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_close, weights};
    use super::*;

    #[test]
    fn sgd_with_a_constant_rate_subtracts_the_scaled_gradients() {
        assert_close(&weights(&Sgd::new(0.5).unwrap(), 1.0, &[1.0, -2.0, 4.0]), &[0.5, 1.5, -0.5]);
    }

    #[test]
    fn sgd_with_a_falling_rate_divides_it_by_the_root_of_the_pushes() {
        let sgd = Sgd::new(LearningRate::InverseSqrt(1.0)).unwrap();
        let third = -1.0 - 0.5_f64.sqrt() - (1.0_f64 / 3.0).sqrt();
        let expected = [-1.0, -1.0 - 0.5_f64.sqrt(), third, third - 0.5];
        assert_close(&weights(&sgd, 0.0, &[1.0; 4]), &expected);
    }

    #[test]
    fn sgd_without_a_rate_is_refused() {
        assert!(Sgd::new(0.0).is_err() && Sgd::new(LearningRate::InverseSqrt(f64::INFINITY)).is_err());
    }
}
