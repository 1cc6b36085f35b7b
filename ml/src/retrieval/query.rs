//! A query and what its scores can be at most.

use super::bucket::{Column, LANES};

/// A query, with what all its bounds need.
#[derive(Clone, Debug)]
pub(super) struct Query<'q> {
    vector: &'q [f32],
    length: f64,
    /// Where the largest coordinate of its direction is, and that coordinate; the first of equal ones.
    largest: (usize, f64),
    /// The largest coordinates of its direction by place, so that a filter goes through memory in one direction.
    focus: Vec<(usize, f32)>,
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
        let length = vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
        let share = |x: f32| if length > 0.0 { f64::from(x) / length } else { 0.0 };
        let mut largest = (0, 0.0f32);
        for (at, x) in vector.iter().enumerate() {
            if x.abs() > largest.1.abs() {
                largest = (at, *x);
            }
        }
        let (focus, rest) = focus_of(vector, focus.min(dim), share);
        Query {
            vector,
            length,
            largest: (largest.0, share(largest.1)),
            focus,
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

    pub(super) fn largest(&self) -> (usize, f64) {
        self.largest
    }

    pub(super) fn focus(&self) -> &[(usize, f32)] {
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

/// The `n` largest coordinates of a vector by place, each as its share of the length, and the length of all others in
/// the same measure. No coordinate is looked at if `n` is 0.
fn focus_of(vector: &[f32], n: usize, share: impl Fn(f32) -> f64) -> (Vec<(usize, f32)>, f64) {
    if n == 0 {
        return (Vec::new(), 1.0);
    }
    let mut places: Vec<usize> = (0..vector.len()).collect();
    let by_size = |i: &usize, j: &usize| vector[*j].abs().total_cmp(&vector[*i].abs()).then(i.cmp(j));
    places.select_nth_unstable_by(n - 1, by_size);
    let rest = places[n..].iter().map(|at| share(vector[*at]).powi(2)).sum::<f64>().sqrt();
    places.truncate(n);
    places.sort_unstable();
    (places.into_iter().map(|at| (at, share(vector[at]) as f32)).collect(), rest)
}
