//! Scores as whole numbers.

use serde::{Deserialize, Serialize};
use waterwheel_engine::{Collection, DeltaClock};

/// Binary digits of a score behind the point.
pub(super) const FRACTION_BITS: u32 = 40;

/// The score of a node without incoming edges, in units.
pub(super) const ONE: i64 = 1 << FRACTION_BITS;

/// A node's score: 1 for a node without incoming edges, in units of 2^-40.
///
/// GraphX and Pregel call 1 - damping times this number the rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Score(pub(super) i64);

/// The sum of all scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TotalScore(i128);

impl Score {
    /// The score as a number, 1 or more.
    pub fn value(&self) -> f64 {
        self.0 as f64 / ONE as f64
    }

    /// The PageRank: this score over the sum of all.
    pub fn rank(&self, total: &TotalScore) -> f64 {
        self.0 as f64 / total.0 as f64
    }
}

impl TotalScore {
    /// The sum as a number.
    pub fn value(&self) -> f64 {
        self.0 as f64 / ONE as f64
    }
}

/// The sum of all scores, by differences: what a change costs does not depend on the number of nodes.
pub(super) fn total<'s, T: DeltaClock>(scores: Collection<'s, Score, T>) -> Collection<'s, TotalScore, T> {
    // In two halves, for the sum of many scores does not fit the number of times that a record can occur.
    let halves = scores.explode(|Score(units)| [(true, units >> HALF_BITS), (false, units & LOW)]).count();
    halves
        .map(|(is_high, sum)| ((), (is_high, sum)))
        .reduce(|(), halves, out| {
            let units =
                |(is_high, sum): &(bool, i64)| i128::from(*sum) << if *is_high { HALF_BITS } else { 0 };
            out.push((halves.iter().map(|(half, _)| units(half)).sum(), 1));
        })
        .map(|((), sum)| TotalScore(sum))
}

const HALF_BITS: u32 = 24;
const LOW: i64 = (1 << HALF_BITS) - 1;
