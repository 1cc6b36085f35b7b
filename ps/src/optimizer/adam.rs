//! Adam.

use waterwheel_engine::Result;

use super::{Float, above_zero, decay, finite};
use crate::update::{Update, equal_widths};

/// Adam: running means of the gradients and of their squares, both freed of their bias towards zero.
///
/// | parameter | default | valid |
/// |---|---|---|
/// | `rate` | | finite, above 0 |
/// | `beta1`, `beta2`: decay of the two means | 0.9, 0.999 | 0 to below 1 |
/// | `epsilon` | 1e-8 | finite, above 0 |
///
/// Steps are counted by row: a row that is pushed rarely is corrected for its own pushes.
///
/// # References
/// Kingma and Ba, *Adam: a method for stochastic optimization*, ICLR 2015, algorithm 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    rate: f64,
    beta1: f64,
    beta2: f64,
    epsilon: f64,
}

impl Adam {
    /// With this learning rate.
    ///
    /// # Errors
    /// The rate is not valid.
    pub fn new(rate: f64) -> Result<Self> {
        Ok(Adam { rate: above_zero("learning rate of Adam", rate)?, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 })
    }

    /// Sets the decays of the mean of the gradients and of the mean of their squares.
    ///
    /// # Errors
    /// One is not valid.
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Result<Self> {
        (self.beta1, self.beta2) = (decay("beta1 of Adam", beta1)?, decay("beta2 of Adam", beta2)?);
        Ok(self)
    }

    /// Sets what is added to the divisor.
    ///
    /// # Errors
    /// It is not valid.
    pub fn epsilon(mut self, epsilon: f64) -> Result<Self> {
        self.epsilon = above_zero("epsilon of Adam", epsilon)?;
        Ok(self)
    }
}

/// Slots: `beta1^t`, `beta2^t`, then the two means side by side for each weight.
impl<F: Float> Update<F, F> for Adam {
    fn check_widths(&self, pull_width: usize, push_width: usize) -> Result<()> {
        equal_widths(pull_width, push_width)
    }

    fn init_slots(&self, width: usize, slots: &mut Vec<F>) {
        slots.extend([F::of(1.0); 2]);
        slots.resize(slots.len() + 2 * width, F::of(0.0));
    }

    #[inline]
    fn apply(&self, row: &mut [F], slots: &mut [F], gradient: &[F]) -> Result<()> {
        finite(gradient)?;
        let [power1, power2, means @ ..] = slots else { return Ok(()) };
        let (means, _) = means.as_chunks_mut::<2>();
        let one = F::of(1.0);
        let (rate, epsilon) = (F::of(self.rate), F::of(self.epsilon));
        let (beta1, beta2) = (F::of(self.beta1), F::of(self.beta2));
        *power1 = *power1 * beta1;
        *power2 = *power2 * beta2;
        let (free1, free2) = (one / (one - *power1), one / (one - *power2));
        for ((w, [m, v]), g) in row.iter_mut().zip(means).zip(gradient) {
            *m = beta1 * *m + (one - beta1) * *g;
            *v = beta2 * *v + (one - beta2) * *g * *g;
            *w -= rate * (*m * free1) / ((*v * free2).sqrt() + epsilon);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_close, weights};
    use super::*;

    #[test]
    fn adam_takes_a_first_step_of_the_learning_rate_whatever_the_gradient() {
        for gradient in [1e-3, 5.0, -700.0] {
            let step = weights(&Adam::new(0.1).unwrap().epsilon(1e-300).unwrap(), 1.0, &[gradient])[0] - 1.0;
            assert_close(&[step], &[-0.1 * gradient.signum()]);
        }
    }

    /// Betas of a half: m = 1/2, then 3/4 of 1 freed to 1; v likewise; then a gradient of -2.
    #[test]
    fn adam_follows_its_formula() {
        let adam = Adam::new(1.0).unwrap().betas(0.5, 0.5).unwrap().epsilon(1e-300).unwrap();
        // m: 0.5, 0.75, -0.625; corrections 1/2, 3/4, 7/8. v: 0.5, 0.75, 2.375.
        let third = -2.0 + (0.625 / 0.875) / (2.375_f64 / 0.875).sqrt();
        assert_close(&weights(&adam, 0.0, &[1.0, 1.0, -2.0]), &[-1.0, -2.0, third]);
    }

    #[test]
    fn adam_with_bad_parameters_is_refused() {
        let good = Adam::new(0.1).unwrap();
        assert!(
            Adam::new(f64::NAN).is_err() && good.betas(0.9, 1.0).is_err() && good.betas(-0.1, 0.9).is_err()
        );
        assert!(good.epsilon(0.0).is_err());
    }
}
