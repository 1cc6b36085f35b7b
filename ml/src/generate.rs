//! Seeded data for examples, tests and benchmarks: the same bits on every machine.
//!
//! Each generator is a small struct of parameters whose rows are a function of their index alone, so any
//! row can be made at any time and in any order, and the splits of a source generate in parallel. Every
//! number comes from [`sm`]; powers are products, taken first, and sums run from left to right, so that
//! other programs can make the same data.
//!
//! | generator | row | made for |
//! |---|---|---|
//! | [`Labels`] | dense features and a noisy linear label | linear classifiers |
//! | [`Points`] | a point near one of the centres | clustering |
//! | [`Ratings`] | user, item, rating in half stars | recommendation |
//! | [`Sparse`] | one feature of each field, and a label | sparse linear models, the parameter server |
//! | [`Words`] | a word, ten on a line | counting, sketches |
//! | [`Graph`] | a directed edge | graph algorithms |
//! | [`Nexmark`](nexmark::Nexmark) | a person, an auction or a bid, in event time | queries on streams |
//!
//! Rows at and beyond the count follow the same formulas; the count bounds the iterators only.
//!
//! # Examples
//! ```
//! use waterwheel_engine::{RuntimeConfig, execute};
//! use waterwheel_ml::generate::{Ratings, split_range};
//!
//! let ratings = Ratings::new(100, 50, 1_000)?;
//! let read = execute(RuntimeConfig::threads(2), move |env| {
//!     let ratings = ratings.clone();
//!     Ok(env.from_splits(4, move |split| ratings.range(split_range(1_000, split, 4))).collect())
//! })?;
//! assert_eq!(read.concat().len(), 1_000);
//! # Ok::<(), waterwheel_engine::Error>(())
//! ```

mod format;
mod graph;
mod labels;
pub mod nexmark;
mod points;
mod ratings;
mod sparse;
mod table;
mod words;

use std::ops::Range;

use waterwheel_engine::{Error, Result};

pub use format::{Binary, Text};
pub use graph::{Graph, GraphEdge};
pub use labels::{LabeledPoint, Labels};
pub use points::{ClusterPoint, Points};
pub use ratings::{RatingRow, Ratings};
pub use sparse::{Sparse, SparseRow};
pub use words::Words;

/// Output `n`, counted from 0, of the generator splitmix64 started at state `seed`.
///
/// Steele, Lea and Flood, *Fast splittable pseudorandom number generators* (OOPSLA 2014), with the
/// constants of Vigna's public-domain `splitmix64.c`.
///
/// # Examples
/// ```
/// assert_eq!(waterwheel_ml::generate::sm(0, 0), 0xe220_a839_7b1d_cdaf);
/// ```
#[inline]
pub fn sm(seed: u64, n: u64) -> u64 {
    let z = seed.wrapping_add(n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The upper 53 bits of [`sm`] as a number in `[0, 1)`.
///
/// # Examples
/// ```
/// assert_eq!(waterwheel_ml::generate::unit(0, 0), 0.8833108082136426);
/// ```
#[inline]
pub fn unit(seed: u64, n: u64) -> f64 {
    const STEP: f64 = 1.0 / (1u64 << 53) as f64;
    (sm(seed, n) >> 11) as f64 * STEP
}

/// The rows of part `split` of `splits` nearly equal parts of `count` rows; none where there is no such part.
///
/// # Examples
/// ```
/// use waterwheel_ml::generate::split_range;
///
/// assert_eq!([0, 1, 2].map(|split| split_range(10, split, 3)), [0..3, 3..6, 6..10]);
/// assert!(split_range(10, 3, 3).is_empty());
/// ```
pub fn split_range(count: u64, split: usize, splits: usize) -> Range<u64> {
    let bound = |part: usize| {
        let part = part.min(splits) as u128;
        // At most `count`, so it fits.
        (u128::from(count) * part / splits.max(1) as u128) as u64
    };
    bound(split)..bound(split.saturating_add(1))
}

/// Number `n` of `seed`, moved to `[-1, 1)`.
#[inline]
fn centred(seed: u64, n: u64) -> f64 {
    2.0 * unit(seed, n) - 1.0
}

/// The index of a cell in a row-major matrix.
#[inline]
fn cell(row: u64, width: u32, column: u32) -> u64 {
    row.wrapping_mul(u64::from(width)).wrapping_add(u64::from(column))
}

/// The rows of `range` that a data set of `count` rows has.
fn clamp(range: Range<u64>, count: u64) -> Range<u64> {
    range.start.min(count)..range.end.min(count)
}

/// Checks the sizes that a generator divides or indexes by.
fn check_sizes(generator: &str, sizes: &[(&str, u32)]) -> Result<()> {
    match sizes.iter().find(|(_, size)| *size == 0) {
        None => Ok(()),
        Some((name, _)) => {
            Err(Error::config(format!("{generator}: {name} is 0, but it must be from 1 to {}", u32::MAX)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Rows for golden tests: the first ones and some far away.
    pub(super) const PROBES: [u64; 7] = [0, 1, 2, 3, 9_999, 123_456_789, 1_000_000_000_000];

    /// The hash of the little-endian bytes of rows, for golden tests.
    pub(super) fn digest(rows: impl Iterator<Item = Vec<u8>>) -> u64 {
        xxhash_rust::xxh3::xxh3_64(&rows.flatten().collect::<Vec<u8>>())
    }

    #[test]
    fn sm_is_splitmix64() {
        assert_eq!(
            [0, 1, 2, 3].map(|n| sm(0, n)),
            [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4, 0x06c4_5d18_8009_454f, 0xf88b_b8a8_724c_81ec,]
        );
        assert_eq!(sm(1_234_567, 0), 0x599e_d017_fb08_fc85);
        assert_eq!(sm(u64::MAX, u64::MAX), 0xb4d0_55fc_f2cb_bd7b);
    }

    #[test]
    fn unit_far_away_is_golden() {
        assert_eq!(unit(7, 1_000_000_000_000_000_000), 0.2351153992443965);
    }

    #[test]
    fn generator_of_nothing_names_the_size() {
        let error = Ratings::new(3, 0, 10).unwrap_err();
        assert_eq!(error.message(), "ratings: items is 0, but it must be from 1 to 4294967295");
        assert!(Labels::new(1, 0).is_err() && Points::new(1, 2, 0).is_err() && Graph::new(0, 1).is_err());
        assert!(Words::new(1, 0).is_err() && Sparse::with_fields(1, 65_536, 65_536).is_err());
    }

    proptest! {
        #[test]
        fn unit_is_below_one(seed: u64, n: u64) {
            prop_assert!((0.0..1.0).contains(&unit(seed, n)));
        }

        #[test]
        fn split_ranges_cover_every_row_once(count: u64, splits in 1usize..20) {
            let mut next = 0;
            for split in 0..splits {
                let range = split_range(count, split, splits);
                prop_assert_eq!(range.start, next);
                next = range.end;
            }
            prop_assert_eq!(next, count);
        }
    }
}
