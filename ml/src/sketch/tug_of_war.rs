//! Tug-of-war sketches (AMS).

use serde::{Deserialize, Serialize};
use waterwheel_engine::{Error, Result};

use super::hash::{function, hash};
use super::{Sketch, check_range, check_same};

/// Random signs of all items, times their counts, added up: products of such sums are inner products of the counts in
/// the mean.
///
/// Sign `i` of an item is bit `i % 64` of its function `i / 64`: 1 is plus, 0 is minus. Counts may be negative: an item
/// is taken out by adding it -1 times.
///
/// # References
/// Alon, Matias and Szegedy, *The space complexity of approximating the frequency moments*, STOC 1996; Alon, Gibbons,
/// Matias and Szegedy, *Tracking join and self-join sizes in limited storage*, PODS 1999.
///
/// # Examples
/// ```
/// use waterwheel_ml::sketch::{Sketch, TugOfWar};
///
/// let mut tea = TugOfWar::new(2_048, 1)?;
/// let mut cake = tea.clone();
/// (0..300u32).for_each(|id| tea.add(&id.to_le_bytes()));
/// (200..500u32).for_each(|id| cake.add(&id.to_le_bytes()));
/// assert!((tea.inner_product(&cake, 8)? - 100.0).abs() < 30.0);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TugOfWar {
    seed: u64,
    counters: Vec<i64>,
}

impl TugOfWar {
    /// Of no items, with so many counters, 1 to 2²⁰.
    ///
    /// # Errors
    /// Their number is out of its range.
    pub fn new(counters: usize, seed: u64) -> Result<Self> {
        check_range("tug-of-war", "counters", counters, 1..=1 << 20)?;
        Ok(TugOfWar { seed, counters: vec![0; counters] })
    }

    /// Adds an item so many times.
    pub fn add_count(&mut self, item: &[u8], count: i64) {
        let hash = hash(self.seed, item);
        for (word, counters) in self.counters.chunks_mut(64).enumerate() {
            let signs = function(hash, word);
            for (bit, counter) in counters.iter_mut().enumerate() {
                // Around the ends, so that sums do not depend on their order.
                *counter =
                    counter.wrapping_add(if signs >> bit & 1 == 1 { count } else { count.wrapping_neg() });
            }
        }
    }

    /// About the sum over all items of the product of both counts: the median of `means` means over so many equal parts
    /// of the counters (of an even number the mean of the middle two). More means are better against outliers, and
    /// longer ones against noise.
    ///
    /// # Errors
    /// The other one has another number of counters or another seed; `means` does not divide the number of counters.
    pub fn inner_product(&self, other: &Self, means: usize) -> Result<f64> {
        self.check_like(other)?;
        let counters = self.counters.len();
        if means == 0 || !counters.is_multiple_of(means) {
            return Err(Error::config(format!(
                "tug-of-war: means: found {means}, expected a divisor of the {counters} counters"
            )));
        }
        let size = (counters / means).max(1);
        let parts = self.counters.chunks(size).zip(other.counters.chunks(size));
        Ok(median(parts.map(|(a, b)| dot(a, b) / size as f64).collect()))
    }

    /// About the sum of the squares of all counts: [`inner_product`](Self::inner_product) with itself.
    ///
    /// # Errors
    /// `means` does not divide the number of counters.
    pub fn second_moment(&self, means: usize) -> Result<f64> {
        self.inner_product(self, means)
    }
}

fn dot(a: &[i64], b: &[i64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| *a as f64 * *b as f64).fold(0.0, |sum, product| sum + product)
}

/// Of no numbers it is 0.
fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let (below, above) = (numbers.len().saturating_sub(1) / 2, numbers.len() / 2);
    match (numbers.get(below), numbers.get(above)) {
        (Some(below), Some(above)) => (below + above) / 2.0,
        _ => 0.0,
    }
}

impl Sketch for TugOfWar {
    fn add(&mut self, item: &[u8]) {
        self.add_count(item, 1);
    }

    fn check_like(&self, other: &Self) -> Result<()> {
        check_same("tug-of-war", (self.counters.len(), self.seed), (other.counters.len(), other.seed))
    }

    fn merge(&mut self, other: &Self) -> Result<()> {
        self.check_like(other)?;
        self.counters.iter_mut().zip(&other.counters).for_each(|(a, b)| *a = a.wrapping_add(*b));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// T-FPS-22.
    #[test]
    fn t_fps_22_dot_is_the_sum_of_products() {
        assert_eq!(dot(&[1, 2, 3, 4], &[1, 1, 1, 1]), 10.0);
        assert_eq!(dot(&[1, 2, 3, 4], &[0; 4]), 0.0);
    }

    #[test]
    fn median_of_an_even_number_is_the_mean_of_the_middle_two() {
        assert_eq!(median(vec![5.0, 1.0, 3.0]), 3.0);
        assert_eq!(median(vec![7.0, 1.0, 3.0, 5.0]), 4.0);
        assert_eq!(median(vec![]), 0.0);
    }

    /// A counter for each that was asked for, not one word more.
    #[test]
    fn counters_are_as_many_as_asked_for() {
        for counters in [1, 63, 64, 65, 128] {
            let mut sketch = TugOfWar::new(counters, 1).unwrap();
            sketch.add(b"x");
            assert_eq!(sketch.counters.len(), counters);
            assert!(sketch.counters.iter().all(|counter| counter.abs() == 1));
            assert_eq!(sketch.second_moment(1).unwrap(), 1.0);
            sketch.add_count(b"x", -1);
            assert_eq!(sketch, TugOfWar::new(counters, 1).unwrap());
        }
        let sketch = TugOfWar::new(10, 1).unwrap();
        let error = sketch.second_moment(4).unwrap_err();
        assert_eq!(error.message(), "tug-of-war: means: found 4, expected a divisor of the 10 counters");
    }

    #[test]
    fn inner_product_and_second_moment_are_near_the_truth() {
        let (mut a, mut b) = (TugOfWar::new(4_096, 2).unwrap(), TugOfWar::new(4_096, 2).unwrap());
        let count = |id: u64| (id % 7) as i64;
        (0..500u64).for_each(|id| a.add_count(&id.to_le_bytes(), count(id)));
        (300..900u64).for_each(|id| b.add_count(&id.to_le_bytes(), count(id)));
        let expected: i64 = (300..500).map(|id| count(id) * count(id)).sum();
        let square: i64 = (0..500).map(|id| count(id) * count(id)).sum();
        let error = |found: f64, expected: i64| (found / expected as f64 - 1.0).abs();
        assert!(error(a.second_moment(8).unwrap(), square) < 0.1);
        assert!(error(a.inner_product(&b, 8).unwrap(), expected) < 0.2);
    }
}
