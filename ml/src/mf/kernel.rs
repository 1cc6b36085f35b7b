//! One step of gradient descent on one rating: the inner loop of training.

/// Step size, regularisation and mean of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) rate: f32,
    pub(crate) reg: f32,
    /// Mean of all ratings; `None` without biases.
    pub(crate) mean: Option<f32>,
}

/// Sum of products in four lanes, so that it can be vectorised; the order of additions is fixed.
#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a4, a_rest) = a.split_at(a.len() & !3);
    let (b4, b_rest) = b.split_at(a4.len());
    let mut lanes = [0.0f32; 4];
    for (a, b) in a4.chunks_exact(4).zip(b4.chunks_exact(4)) {
        for lane in 0..4 {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]) + rest
}

impl Step {
    /// What the rows predict. A row is `rank` factors and, with biases, the bias behind them.
    #[inline(always)]
    pub(crate) fn predict(&self, user: &[f32], item: &[f32], rank: usize) -> f32 {
        let product = dot(&user[..rank], &item[..rank]);
        match self.mean {
            Some(mean) => mean + user[rank] + item[rank] + product,
            None => product,
        }
    }

    /// Moves both rows by one step and returns the error before it.
    #[inline(always)]
    pub(crate) fn learn(&self, user: &mut [f32], item: &mut [f32], rank: usize, rating: f32) -> f32 {
        let error = rating - self.predict(user, item, rank);
        let (rate, reg) = (self.rate, self.reg);
        for (p, q) in user[..rank].iter_mut().zip(&mut item[..rank]) {
            let (old_p, old_q) = (*p, *q);
            *p += rate * (error * old_q - reg * old_p);
            *q += rate * (error * old_p - reg * old_q);
        }
        if self.mean.is_some() {
            user[rank] += rate * (error - reg * user[rank]);
            item[rank] += rate * (error - reg * item[rank]);
        }
        error
    }
}

/// Calls `$body` with `$rank` as a constant for the ranks that people use, so that the loops unroll, or as
/// the variable itself.
macro_rules! with_constant_rank {
    ($rank:ident, $body:expr) => {
        with_constant_rank!(@each $rank, $body; 8 10 16 20 32 50 64 100 128)
    };
    (@each $rank:ident, $body:expr; $($constant:literal)*) => {
        match $rank {
            $( $constant => { const RANK: usize = $constant; let $rank = RANK; $body } )*
            _ => $body,
        }
    };
}
pub(crate) use with_constant_rank;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_step_by_hand() {
        let step = Step { rate: 0.1, reg: 0.5, mean: None };
        let (mut user, mut item) = ([1.0, 2.0], [0.5, -1.0]);
        let error = step.learn(&mut user, &mut item, 2, 1.0);
        // Prediction -1.5, error 2.5.
        assert_eq!(error, 2.5);
        let close = |a: f32, b: f32| assert!((a - b).abs() < 1e-6, "{a} {b}");
        close(user[0], 1.0 + 0.1 * (2.5 * 0.5 - 0.5));
        close(user[1], 2.0 + 0.1 * (-2.5 - 1.0));
        close(item[0], 0.5 + 0.1 * (2.5 - 0.25));
        close(item[1], -1.0 + 0.1 * (5.0 + 0.5));
    }

    #[test]
    fn biases_learn_beside_the_factors() {
        let step = Step { rate: 0.1, reg: 0.0, mean: Some(3.0) };
        let (mut user, mut item) = ([0.0, 0.5], [0.0, -0.25]);
        assert_eq!(step.predict(&user, &item, 1), 3.25);
        step.learn(&mut user, &mut item, 1, 4.25);
        assert_eq!((user[1], item[1]), (0.6, -0.15));
    }

    #[test]
    fn dot_of_any_length_is_the_sum_of_products() {
        for n in 0..40 {
            let a: Vec<f32> = (0..n).map(|i| i as f32).collect();
            let expected: f32 = a.iter().map(|x| x * 2.0).sum();
            assert_eq!(dot(&a, &vec![2.0; n]), expected);
        }
    }
}
