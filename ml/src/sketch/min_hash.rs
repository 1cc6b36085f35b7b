//! MinHash signatures.

use serde::{Deserialize, Serialize};
use waterwheel_engine::Result;

use super::hash::{function, hash};
use super::{Sketch, check_range, check_same};

/// The least values of hash functions over a set: two sets have the same least value with the probability of their
/// similarity, `|A ∩ B| / |A ∪ B|`.
///
/// The standard error is `sqrt(s (1 - s) / hashes)` for a similarity `s`.
///
/// # References
/// Broder, *On the resemblance and containment of documents*, SEQUENCES 1997.
///
/// # Examples
/// ```
/// use waterwheel_ml::sketch::{MinHash, Sketch};
///
/// let mut tea = MinHash::new(400, 1)?;
/// let mut cake = tea.clone();
/// (0..300u32).for_each(|id| tea.add(&id.to_le_bytes()));
/// (200..500u32).for_each(|id| cake.add(&id.to_le_bytes()));
/// assert!((tea.similarity(&cake)? - 0.2).abs() < 0.06);
/// assert!(tea.intersection(&cake, 300, 300)?.abs_diff(100) < 25);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MinHash {
    seed: u64,
    /// The greatest number where nothing was added.
    minima: Vec<u64>,
}

impl MinHash {
    /// Of no items, with so many hash functions, 1 to 2²⁰.
    ///
    /// # Errors
    /// Their number is out of its range.
    pub fn new(hashes: usize, seed: u64) -> Result<Self> {
        check_range("minhash", "hashes", hashes, 1..=1 << 20)?;
        Ok(MinHash { seed, minima: vec![u64::MAX; hashes] })
    }

    /// The share of equal least values: about `|A ∩ B| / |A ∪ B|`. Without items it is 0.
    ///
    /// # Errors
    /// The other one has another number of hash functions or another seed.
    pub fn similarity(&self, other: &Self) -> Result<f64> {
        self.check_like(other)?;
        let equal = self.minima.iter().zip(&other.minima).filter(|(a, b)| a == b && **a < u64::MAX).count();
        Ok(equal as f64 / self.minima.len().max(1) as f64)
    }

    /// About how many items both have, given how many different ones each has: `v / (v + 1) * (own + others)`, rounded,
    /// for the similarity `v`.
    ///
    /// # Errors
    /// Those of [`similarity`](Self::similarity).
    pub fn intersection(&self, other: &Self, own: u64, others: u64) -> Result<u64> {
        let v = self.similarity(other)?;
        Ok((v * (own as f64 + others as f64) / (v + 1.0)).round() as u64)
    }
}

impl Sketch for MinHash {
    fn add(&mut self, item: &[u8]) {
        let hash = hash(self.seed, item);
        for (i, least) in self.minima.iter_mut().enumerate() {
            *least = function(hash, i).min(*least);
        }
    }

    fn check_like(&self, other: &Self) -> Result<()> {
        check_same("minhash", (self.minima.len(), self.seed), (other.minima.len(), other.seed))
    }

    fn merge(&mut self, other: &Self) -> Result<()> {
        self.check_like(other)?;
        self.minima.iter_mut().zip(&other.minima).for_each(|(a, b)| *a = *b.min(a));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_without_items_are_not_similar() {
        let mut one = MinHash::new(8, 1).unwrap();
        let none = one.clone();
        assert_eq!(none.similarity(&none).unwrap(), 0.0);
        one.add(b"x");
        assert_eq!((one.similarity(&none).unwrap(), one.similarity(&one).unwrap()), (0.0, 1.0));
        assert_eq!(one.intersection(&one, 1, 1).unwrap(), 1);
        assert!(MinHash::new(0, 1).is_err());
    }

    #[test]
    fn similarity_is_the_share_of_common_items() {
        for common in [0u64, 100, 500, 900, 1_000] {
            let (mut a, mut b) = (MinHash::new(2_000, 5).unwrap(), MinHash::new(2_000, 5).unwrap());
            (0..1_000u64).for_each(|id| a.add(&id.to_le_bytes()));
            (1_000 - common..2_000 - common).for_each(|id| b.add(&id.to_le_bytes()));
            let expected = common as f64 / (2_000 - common) as f64;
            let error = 4.0 * (expected * (1.0 - expected) / 2_000.0).sqrt();
            assert!((a.similarity(&b).unwrap() - expected).abs() <= error, "{common}");
            assert!(a.intersection(&b, 1_000, 1_000).unwrap().abs_diff(common) < 60);
        }
    }
}
