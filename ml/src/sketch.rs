//! Sketches: what a stream or a set is like, from memory of a fixed size.
//!
//! | sketch | of | tells |
//! |---|---|---|
//! | [`Bloom`] | a set | whether an item is in it; sizes of the set, of unions and of intersections |
//! | [`TimeAware`] | a set by window of time, for example [`TimeAwareBloom`] | the same within each window |
//! | [`MinHash`] | a set | similarity of two sets, and the size of their intersection |
//! | [`TugOfWar`] | counts by item | inner product of two, second moment of one |
//! | [`CountMin`] | counts by item | the count of an item, never too low |
//! | [`HyperLogLog`] | a set | its size |
//!
//! [`WordSimilarity`] finds the words that come together in a stream of texts, from a sketch for each word on the parameter
//! server.
//!
//! Every sketch is a commutative monoid: an empty one changes nothing, and those of parts of a stream, made anywhere and
//! merged in any order, are bit for bit that of the whole. Only sketches of the same parameters and seed can be merged.
//!
//! **Hash.** Items are bytes. The hash of an item is XXH3 (64 bits) with the sketch's seed, and function *i* of the item
//! is [`sm(hash, i)`](crate::generate::sm). This is part of the state of a sketch and does not change. (Flink Parameter
//! Server takes `MurmurHash3.stringHash(id, seed = i)`, for tug-of-war xxHash, so its sketches can not be mixed with
//! these.)

mod bloom;
mod count_min;
mod hash;
mod hyper_log_log;
mod min_hash;
mod similarity;
#[cfg(test)]
mod tests;
mod time_aware;
mod tug_of_war;

use waterwheel_engine::{Error, Result};

pub use bloom::{Bloom, BloomShape};
pub use count_min::{CountMin, CountMinShape};
pub use hyper_log_log::HyperLogLog;
pub use min_hash::MinHash;
pub use similarity::{
    SimilarWord, SimilarWords, SketchedWord, TextEvent, WordSimilarity, WordSimilarityFit, WordSketch,
};
pub use time_aware::{TimeAware, TimeAwareBloom};
pub use tug_of_war::TugOfWar;

/// What all sketches can do.
pub trait Sketch {
    /// Adds an item.
    fn add(&mut self, item: &[u8]);

    /// Whether a sketch has the parameters and the seed of this one.
    ///
    /// # Errors
    /// It has not: both are named.
    fn check_like(&self, other: &Self) -> Result<()>;

    /// Adds all that another sketch was given.
    ///
    /// # Errors
    /// It has other parameters or another seed. This one is as before then.
    fn merge(&mut self, other: &Self) -> Result<()>;
}

/// Compares the parameters of two sketches.
fn check_same<P: PartialEq + std::fmt::Debug>(sketch: &str, ours: P, theirs: P) -> Result<()> {
    if ours == theirs {
        return Ok(());
    }
    Err(Error::data(format!(
        "{sketch}: found a sketch with {theirs:?}, expected the same parameters and seed: {ours:?}"
    )))
}

/// Checks one parameter.
fn check_range(sketch: &str, what: &str, found: usize, range: std::ops::RangeInclusive<usize>) -> Result<()> {
    if range.contains(&found) {
        return Ok(());
    }
    let (least, most) = range.into_inner();
    Err(Error::config(format!("{sketch}: {what}: found {found}, expected {least} to {most}")))
}
