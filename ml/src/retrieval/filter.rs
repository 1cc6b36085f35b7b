//! What rules the vectors of one bucket out.
//!
//! A bound is computed with rounding errors, and so is the score that it bounds. Nothing may be ruled out whose
//! computed score is at least the threshold, so each bound is widened by more than what all roundings can do: see
//! [`Query`] for scores and partial sums, and the comments here for the rest. Lengths are rounded up from the start.

use super::Pruning;
use super::bucket::{Bucket, Column, LANES, Tile};
use super::query::Query;

/// Vectors shorter than this are not filtered, so that no bound meets numbers too small for full precision.
const SHORT: f32 = 1e-15;

/// Widens the bounds of a share of a vector's length: more than the errors of 2^-22 of the length rounded up and of 2^-26
/// of a root of a difference, together.
const SHARE_SLACK: f64 = 1e-6;

/// One of the strategies, made ready for one query, bucket and threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Filter {
    /// Keeps all.
    All,
    /// Keeps vectors of at least this length.
    Length { least: f32 },
    /// Keeps those whose coordinate is in this range, times their length.
    Coordinate { at: usize, low: f32, high: f32 },
    /// Keeps those whose greatest product with the query's direction is at least this.
    Partial { needed: f32 },
}

impl Filter {
    /// `None`: no vector of the bucket, and none shorter, can have a score of `theta`. Without one all can.
    pub(super) fn new(
        pruning: Pruning,
        bucket: &Bucket,
        query: &Query<'_>,
        theta: Option<f32>,
    ) -> Option<Self> {
        let Some(needed) = theta.and_then(|theta| query.needed(theta)) else { return Some(Filter::All) };
        let (greatest, least) = (bucket.greatest(), bucket.least());
        if needed > f64::from(greatest) * (1.0 + query.slack()) {
            return None;
        }
        if least < SHORT {
            return Some(Filter::All);
        }
        Some(match pruning.in_bucket(greatest, least) {
            Pruning::Length => Self::length(needed, query),
            Pruning::Coord | Pruning::Lc(_) => Self::coordinate(needed, bucket, query),
            Pruning::Incr(_) | Pruning::Li(..) => Filter::Partial { needed: (needed as f32).next_down() },
        })
    }

    fn length(needed: f64, query: &Query<'_>) -> Self {
        match needed > 0.0 {
            true => Filter::Length { least: ((needed / (1.0 + query.slack())) as f32).next_down() },
            false => Filter::All,
        }
    }

    /// A good vector has at most an angle b to the query, and the query the angle a to the axis of its largest
    /// coordinate. So the vector's angle to the axis is from a - b to a + b, as far as these are from 0 to π.
    fn coordinate(needed: f64, bucket: &Bucket, query: &Query<'_>) -> Self {
        let (at, cos_a) = query.largest();
        let (greatest, least) = (f64::from(bucket.greatest()), f64::from(bucket.least()));
        let needed = needed - query.slack() * greatest;
        // The widest angle that one in the bucket may have: the longest one's, but if even a product below zero is
        // enough, the shortest one's.
        let cos_b = (needed / if needed > 0.0 { greatest } else { least }).min(1.0);
        if cos_b <= -1.0 {
            return Filter::All;
        }
        let root = ((1.0 - cos_b * cos_b) * (1.0 - cos_a * cos_a).max(0.0)).sqrt();
        let low = if cos_a <= -cos_b { -1.0 } else { cos_a * cos_b - root };
        let high = if cos_a >= cos_b { 1.0 } else { cos_a * cos_b + root };
        Filter::Coordinate { at, low: (low - SHARE_SLACK) as f32, high: (high + SHARE_SLACK) as f32 }
    }

    /// How many vectors of a tile it keeps.
    #[inline]
    pub(super) fn kept(self, tile: Tile<'_>, query: &Query<'_>) -> usize {
        let lengths = tile.lengths;
        let kept = match self {
            Filter::All => LANES,
            Filter::Length { least } => count(|lane| lengths[lane] >= least),
            Filter::Coordinate { at, low, high } => {
                let column = &tile.columns[at];
                count(|lane| (low * lengths[lane] <= column[lane]) & (column[lane] <= high * lengths[lane]))
            }
            Filter::Partial { needed } => {
                let bounds = partial_bounds(tile, query);
                count(|lane| bounds[lane] >= needed)
            }
        };
        kept.min(tile.ids.len())
    }
}

/// For each vector the product with the query's direction in the focus, and by Cauchy and Schwarz what all other
/// coordinates can add to it.
#[inline]
fn partial_bounds(tile: Tile<'_>, query: &Query<'_>) -> Column {
    let (mut products, mut squares) = ([0.0f32; LANES], [0.0f32; LANES]);
    for (at, q) in query.focus() {
        let column = &tile.columns[*at];
        for lane in 0..LANES {
            products[lane] += q * column[lane];
            squares[lane] += column[lane] * column[lane];
        }
    }
    let (rest, slack) = (query.rest() as f32, query.slack() as f32);
    let mut bounds = [0.0; LANES];
    for lane in 0..LANES {
        let length = tile.lengths[lane];
        // What the squares of the focus leave of the whole; their sum is off by less than the slack.
        let left = (length * length * (1.0 + slack) - squares[lane]).max(0.0);
        bounds[lane] = products[lane] + rest * left.sqrt() + slack * length;
    }
    bounds
}

/// In how many lanes it holds. A sum without branches, so that it can be vectorised.
#[inline(always)]
fn count(holds: impl Fn(usize) -> bool) -> usize {
    (0..LANES).map(|lane| u32::from(holds(lane))).sum::<u32>() as usize
}
