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
pub use waterwheel_engine::random::{sm, unit};
pub use words::Words;

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
    fn generator_of_nothing_names_the_size() {
        let error = Ratings::new(3, 0, 10).unwrap_err();
        assert_eq!(error.message(), "ratings: items is 0, but it must be from 1 to 4294967295");
        assert!(Labels::new(1, 0).is_err() && Points::new(1, 2, 0).is_err() && Graph::new(0, 1).is_err());
        assert!(Words::new(1, 0).is_err() && Sparse::with_fields(1, 65_536, 65_536).is_err());
    }

    proptest! {
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
