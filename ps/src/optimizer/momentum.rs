//! Gradient descent with momentum.

use waterwheel_engine::Result;

use super::{Float, above_zero, decay, finite};
use crate::update::{Update, equal_widths};

/// Gradient descent with momentum: `v = momentum * v + g`, `w -= rate * v`; with Nesterov's look-ahead
/// `w -= rate * (g + momentum * v)`.
///
/// | parameter | default | valid |
/// |---|---|---|
/// | `rate`, `momentum` | | finite, above 0; 0 to below 1 |
/// | `nesterov` | off | |
///
/// # References
/// Polyak 1964; Sutskever et al., *On the importance of initialization and momentum in deep learning*, ICML 2013, in
/// the form in which PyTorch writes them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Momentum {
    rate: f64,
    momentum: f64,
    nesterov: bool,
}

impl Momentum {
    /// With this learning rate and share of the last step.
    ///
    /// # Errors
    /// A parameter is not valid.
    pub fn new(rate: f64, momentum: f64) -> Result<Self> {
        above_zero("learning rate of Momentum", rate)?;
        decay("momentum", momentum)?;
        Ok(Momentum { rate, momentum, nesterov: false })
    }

    /// Looks ahead: the gradient counts once more, as if taken where the momentum leads.
    #[must_use]
    pub fn nesterov(mut self) -> Self {
        self.nesterov = true;
        self
    }
}

impl<F: Float> Update<F, F> for Momentum {
    fn check_widths(&self, pull_width: usize, push_width: usize) -> Result<()> {
        equal_widths(pull_width, push_width)
    }

    fn init_slots(&self, width: usize, slots: &mut Vec<F>) {
        slots.resize(slots.len() + width, F::of(0.0));
    }

    #[inline]
    fn apply(&self, row: &mut [F], slots: &mut [F], gradient: &[F]) -> Result<()> {
        finite(gradient)?;
        let (rate, momentum) = (F::of(self.rate), F::of(self.momentum));
        for ((w, v), g) in row.iter_mut().zip(slots).zip(gradient) {
            *v = momentum * *v + *g;
            let step = if self.nesterov { *g + momentum * *v } else { *v };
            *w -= rate * step;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_close, weights};
    use super::*;

    #[test]
    fn momentum_carries_half_of_each_step_on() {
        // v: 1, 1.5, -0.25
        let momentum = Momentum::new(0.1, 0.5).unwrap();
        assert_close(&weights(&momentum, 0.0, &[1.0, 1.0, -1.0]), &[-0.1, -0.25, -0.225]);
    }

    #[test]
    fn momentum_with_look_ahead_counts_the_gradient_once_more() {
        // v: 1, 1.5, -0.25; steps: 1.5, 1.75, -1.125
        let momentum = Momentum::new(0.1, 0.5).unwrap().nesterov();
        assert_close(&weights(&momentum, 0.0, &[1.0, 1.0, -1.0]), &[-0.15, -0.325, -0.2125]);
    }

    #[test]
    fn momentum_of_one_is_refused() {
        assert_eq!(Momentum::new(0.1, 1.0).unwrap_err().message(), "momentum is 1, expected 0 to below 1");
    }
}
