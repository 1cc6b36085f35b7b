//! A query and what its scores can be at most.

use super::bucket::{Column, LANES};

/// A query, with what all its bounds need.
#[derive(Clone, Debug)]
pub(super) struct Query<'q> {
    vector: &'q [f32],
    length: f64,
    /// The largest coordinates of its direction, and where they are.
    focus: Vec<(usize, f64)>,
    /// Length of its direction in all other coordinates.
    rest: f64,
    /// By how much a computed score, or a bound from partial sums, can be off, per length of the vector and the query.
    slack: f64,
    /// By how much products too small for `f32` can put a score off.
    underflow: f64,
}

impl<'q> Query<'q> {
    /// Of finite coordinates. `focus` coordinates will be looked at first.
    pub(super) fn new(vector: &'q [f32], focus: usize) -> Self {
        let dim = vector.len();
        let squares = |x: &[(usize, f64)]| x.iter().map(|(_, x)| x * x).sum::<f64>();
        let mut direction: Vec<_> = vector.iter().map(|x| f64::from(*x)).enumerate().collect();
        let length = squares(&direction).sqrt();
        if length > 0.0 {
            direction.iter_mut().for_each(|(_, x)| *x /= length);
        }
        direction.sort_by(|(i, a), (j, b)| b.abs().total_cmp(&a.abs()).then(i.cmp(j)));
        let rest = squares(&direction[focus.min(dim)..]).sqrt();
        direction.truncate(focus);
        Query {
            vector,
            length,
            focus: direction,
            rest,
            // A sum of n products of f32 is off by at most n 2^-24 |p| |q| (Higham, Accuracy and Stability of Numerical
            // Algorithms, 3.1, with n 2^-24 below 2^-8 here). Twice that pays for a score and a partial sum at once, the
            // rest for roundings of a bound.
            slack: (dim + 8) as f64 * 2f64.powi(-23),
            underflow: dim as f64 * 2f64.powi(-149),
        }
    }

    /// The product with a vector's direction times its length that it needs for this score: `theta / |q|`, lowered so
    /// far that no rounding of the score matters but [`slack`](Self::slack). `None`: all vectors have the same score.
    pub(super) fn needed(&self, theta: f32) -> Option<f64> {
        (self.length > 0.0).then(|| (f64::from(theta) - self.underflow) / self.length)
    }

    pub(super) fn slack(&self) -> f64 {
        self.slack
    }

    pub(super) fn focus(&self) -> &[(usize, f64)] {
        &self.focus
    }

    pub(super) fn rest(&self) -> f64 {
        self.rest
    }

    /// The scores of a tile: for each vector the sum of the products from the first coordinate on.
    #[inline]
    pub(super) fn scores(&self, columns: &[Column]) -> Column {
        let mut sums = [0.0; LANES];
        for (column, q) in columns.iter().zip(self.vector) {
            for lane in 0..LANES {
                sums[lane] += q * column[lane];
            }
        }
        sums
    }
}
