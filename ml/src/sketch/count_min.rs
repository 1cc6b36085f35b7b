//! Count-min sketches.

use serde::{Deserialize, Serialize};
use waterwheel_engine::{Error, Result};

use super::hash::{hash, position};
use super::{Sketch, check_range, check_same};

/// Size of a count-min sketch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountMinShape {
    /// Counters of a row, 1 or more; at most 2³² in all rows together.
    pub width: usize,
    /// Rows, each with a hash function of its own, 1 to 64.
    pub depth: usize,
}

impl CountMinShape {
    /// The smallest one whose estimates are too high by more than `error` times the total with a probability of at most
    /// `failure`: `e / error` counters in each of `ln(1 / failure)` rows, rounded up.
    ///
    /// # Errors
    /// One is not between 0 and 1, or so small that the size is out of its range.
    pub fn within(error: f64, failure: f64) -> Result<Self> {
        if !(error > 0.0 && error < 1.0 && failure > 0.0 && failure < 1.0) {
            return Err(Error::config(format!(
                "count-min: error {error}, failure {failure}: expected both above 0 and below 1"
            )));
        }
        let width = (std::f64::consts::E / error).ceil() as usize;
        let shape = CountMinShape { width, depth: (1.0 / failure).ln().ceil() as usize };
        check_shape(shape)?;
        Ok(shape)
    }
}

/// Counts of items, never too low, and with little probability much too high.
///
/// # References
/// Cormode and Muthukrishnan, *An improved data stream summary: the count-min sketch and its applications*, J. Algorithms
/// 55(1), 2005.
///
/// # Examples
/// ```
/// use waterwheel_ml::sketch::{CountMin, CountMinShape, Sketch};
///
/// let mut words = CountMin::new(CountMinShape::within(0.001, 0.01)?, 1)?;
/// "to be or not to be".split(' ').for_each(|word| words.add(word.as_bytes()));
/// assert_eq!((words.estimate(b"be"), words.total()), (2, 6));
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Parts")]
pub struct CountMin {
    shape: CountMinShape,
    seed: u64,
    total: u64,
    /// Row by row.
    counts: Vec<u64>,
}

/// A sketch as it is read, not yet checked.
#[derive(Deserialize)]
struct Parts {
    shape: CountMinShape,
    seed: u64,
    total: u64,
    counts: Vec<u64>,
}

impl TryFrom<Parts> for CountMin {
    type Error = Error;

    fn try_from(Parts { shape, seed, total, counts }: Parts) -> Result<Self> {
        check_shape(shape)?;
        let (found, expected) = (counts.len(), shape.width * shape.depth);
        if found != expected {
            return Err(Error::data(format!("count-min: found {found} counters, expected {expected}")));
        }
        Ok(CountMin { shape, seed, total, counts })
    }
}

fn check_shape(shape: CountMinShape) -> Result<()> {
    /// In all rows.
    const MOST: usize = 1 << 32;
    check_range("count-min", "depth", shape.depth, 1..=64)?;
    check_range("count-min", "width", shape.width, 1..=MOST / shape.depth)
}

impl CountMin {
    /// Of no items.
    ///
    /// # Errors
    /// A size is out of its range.
    pub fn new(shape: CountMinShape, seed: u64) -> Result<Self> {
        check_shape(shape)?;
        Ok(CountMin { shape, seed, total: 0, counts: vec![0; shape.width * shape.depth] })
    }

    /// Its size.
    pub fn shape(&self) -> CountMinShape {
        self.shape
    }

    /// How many items were added, each as often as it was.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Adds an item so many times. Counts end at the greatest number.
    #[inline]
    pub fn add_count(&mut self, item: &[u8], count: u64) {
        let hash = hash(self.seed, item);
        self.total = self.total.saturating_add(count);
        let CountMinShape { width, .. } = self.shape;
        for (row, counts) in self.counts.chunks_exact_mut(width).enumerate() {
            let counter = &mut counts[position(hash, row, width)];
            *counter = counter.saturating_add(count);
        }
    }

    /// How often an item was added, or more.
    #[inline]
    pub fn estimate(&self, item: &[u8]) -> u64 {
        let hash = hash(self.seed, item);
        let CountMinShape { width, .. } = self.shape;
        let rows = self.counts.chunks_exact(width).enumerate();
        rows.map(|(row, counts)| counts[position(hash, row, width)]).min().unwrap_or(0)
    }
}

impl Sketch for CountMin {
    fn add(&mut self, item: &[u8]) {
        self.add_count(item, 1);
    }

    fn check_like(&self, other: &Self) -> Result<()> {
        check_same("count-min", (self.shape, self.seed), (other.shape, other.seed))
    }

    fn merge(&mut self, other: &Self) -> Result<()> {
        self.check_like(other)?;
        self.total = self.total.saturating_add(other.total);
        self.counts.iter_mut().zip(&other.counts).for_each(|(a, b)| *a = a.saturating_add(*b));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_are_never_low_and_seldom_high() {
        let (error, failure) = (0.002, 0.02);
        let mut sketch = CountMin::new(CountMinShape::within(error, failure).unwrap(), 9).unwrap();
        assert_eq!(sketch.shape(), CountMinShape { width: 1_360, depth: 4 });
        let count = |id: u64| 1 + 10_000 / (id + 1);
        (0..5_000u64).for_each(|id| sketch.add_count(&id.to_le_bytes(), count(id)));
        assert_eq!(sketch.total(), (0..5_000).map(count).sum::<u64>());
        let over = |id: u64| sketch.estimate(&id.to_le_bytes()).checked_sub(count(id)).unwrap();
        let bound = (error * sketch.total() as f64) as u64;
        let high = (0..5_000).filter(|id| over(*id) > bound).count();
        assert!(high as f64 <= failure * 5_000.0, "{high}");
    }

    #[test]
    fn counts_end_at_the_greatest_number() {
        let mut sketch = CountMin::new(CountMinShape { width: 4, depth: 2 }, 0).unwrap();
        sketch.add_count(b"x", u64::MAX);
        sketch.add(b"x");
        assert_eq!((sketch.estimate(b"x"), sketch.total()), (u64::MAX, u64::MAX));
    }

    #[test]
    fn sizes_that_mean_nothing_are_refused() {
        let message = |width, depth| {
            let shape = CountMinShape { width, depth };
            CountMin::new(shape, 0).unwrap_err().message().to_string()
        };
        assert_eq!(message(0, 4), "count-min: width: found 0, expected 1 to 1073741824");
        assert_eq!(message((1 << 30) + 1, 4), "count-min: width: found 1073741825, expected 1 to 1073741824");
        assert_eq!(message(4, 1_000), "count-min: depth: found 1000, expected 1 to 64");
        assert!(CountMinShape::within(0.0, 0.1).is_err() && CountMinShape::within(0.1, f64::NAN).is_err());
        assert!(CountMinShape::within(1e-300, 0.1).is_err());
        let text = "{\"shape\":{\"width\":3,\"depth\":2},\"seed\":1,\"total\":0,\"counts\":[0,0]}";
        let error = serde_json::from_str::<CountMin>(text).unwrap_err().to_string();
        assert_eq!(error, "count-min: found 2 counters, expected 6");
    }
}
