//! Follow the regularised leader.

use waterwheel_engine::Result;

use super::{Float, above_zero, finite, zero_or_more};
use crate::update::{Update, equal_widths};

/// FTRL-proximal: sparse weights by regularisation of the first order, with a learning rate for each weight.
///
/// | parameter | default | valid |
/// |---|---|---|
/// | `alpha`: step size | | finite, above 0 |
/// | `beta`: smooths the first steps | 1 | finite, above 0 |
/// | `l1`, `l2`: strength of regularisation | 0 | finite, 0 or more |
///
/// A row begins with the weights that the server's `init` gives, and with `z = n = 0`.
///
/// # References
/// McMahan et al., *Ad click prediction: a view from the trenches*, KDD 2013, algorithm 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FtrlProximal {
    alpha: f64,
    beta: f64,
    l1: f64,
    l2: f64,
}

impl FtrlProximal {
    /// With this step size.
    ///
    /// # Errors
    /// It is not valid.
    pub fn new(alpha: f64) -> Result<Self> {
        Ok(FtrlProximal { alpha: above_zero("alpha of FtrlProximal", alpha)?, beta: 1.0, l1: 0.0, l2: 0.0 })
    }

    /// Sets what smooths the first steps.
    ///
    /// # Errors
    /// It is not valid.
    pub fn beta(mut self, beta: f64) -> Result<Self> {
        self.beta = above_zero("beta of FtrlProximal", beta)?;
        Ok(self)
    }

    /// Sets the strengths of regularisation by the L1 norm, which makes weights zero, and by the L2 norm.
    ///
    /// # Errors
    /// One is not valid.
    pub fn regularization(mut self, l1: f64, l2: f64) -> Result<Self> {
        self.l1 = zero_or_more("l1 of FtrlProximal", l1)?;
        self.l2 = zero_or_more("l2 of FtrlProximal", l2)?;
        Ok(self)
    }

    /// One step of one weight `w` with the gradient `g`; `z` and `n` are what it remembers, zero at first: the sum of
    /// the gradients less the way that the weight has gone, and the sum of their squares.
    #[inline]
    pub fn step<F: Float>(&self, g: F, w: &mut F, z: &mut F, n: &mut F) {
        let (alpha, l1) = (F::of(self.alpha), F::of(self.l1));
        let sigma = ((*n + g * g).sqrt() - n.sqrt()) / alpha;
        *z += g - sigma * *w;
        *n += g * g;
        let rate = (F::of(self.beta) + n.sqrt()) / alpha + F::of(self.l2);
        *w = if z.abs() <= l1 { F::of(0.0) } else { (z.signum() * l1 - *z) / rate };
    }
}

/// Slots: `z` and `n` side by side for each weight.
impl<F: Float> Update<F, F> for FtrlProximal {
    fn check_widths(&self, pull_width: usize, push_width: usize) -> Result<()> {
        equal_widths(pull_width, push_width)
    }

    fn init_slots(&self, width: usize, slots: &mut Vec<F>) {
        slots.resize(slots.len() + 2 * width, F::of(0.0));
    }

    #[inline]
    fn apply(&self, row: &mut [F], slots: &mut [F], gradient: &[F]) -> Result<()> {
        finite(gradient)?;
        let (pairs, _) = slots.as_chunks_mut::<2>();
        for ((w, [z, n]), g) in row.iter_mut().zip(pairs).zip(gradient) {
            self.step(*g, w, z, n);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_close, weights};
    use super::*;

    /// alpha 1, beta 1: z = g - sigma w with sigma = sqrt(n + g^2) - sqrt(n); w = (sign(z) l1 - z) / (1 + sqrt(n) + l2).
    #[test]
    fn ftrl_follows_its_formula() {
        let ftrl = FtrlProximal::new(1.0).unwrap().regularization(1.0, 0.5).unwrap();
        // g = 3: z = 3, n = 9, w = (1 - 3) / 4.5. g = 4: sigma = 5 - 3, z = 7 - 2 w, n = 25, w = (1 - z) / 6.5.
        let w1 = -2.0 / 4.5;
        let w2 = (1.0 - (7.0 - 2.0 * w1)) / 6.5;
        assert_close(&weights(&ftrl, 0.0, &[3.0, 4.0]), &[w1, w2]);
    }

    #[test]
    fn ftrl_keeps_a_weight_at_zero_while_its_gradients_are_within_l1() {
        let ftrl = FtrlProximal::new(0.5).unwrap().regularization(2.0, 0.0).unwrap();
        let found = weights(&ftrl, 0.0, &[1.0, 1.0, 1.0]);
        assert_eq!(found[..2], [0.0, 0.0]);
        // z = 3, n = 3: (2 - 3) / ((1 + sqrt 3) / 0.5).
        assert_close(&found[2..], &[-0.5 / (1.0 + 3.0_f64.sqrt())]);
    }

    #[test]
    fn ftrl_with_bad_parameters_is_refused() {
        let good = FtrlProximal::new(0.1).unwrap();
        assert!(FtrlProximal::new(0.0).is_err() && good.beta(0.0).is_err());
        assert!(good.regularization(-1.0, 0.0).is_err() && good.regularization(0.0, f64::INFINITY).is_err());
    }
}
