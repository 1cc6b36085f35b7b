//! Bloom filters.

use serde::{Deserialize, Serialize};
use waterwheel_engine::{Error, Result};

use super::hash::{hash, position};
use super::{Sketch, check_range, check_same};

/// Size of a Bloom filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BloomShape {
    /// Bits of the filter, 1 to 2³⁶.
    pub bits: usize,
    /// Bits that an item sets, 1 to 64. Best for *n* items: `bits / n * ln 2`.
    pub hashes: usize,
}

impl BloomShape {
    /// How many different items set so many bits, if their number is near its mean: `-bits / hashes * ln(1 - ones /
    /// bits)`. Of a full filter nothing more is known than that all bits are set; its answer is how many items do that in
    /// the mean, `bits / hashes * (ln bits + 0.5772)`, which is finite and above all others.
    ///
    /// # References
    /// Swamidass and Baldi, *Mathematical correction for fingerprint similarity measures to improve chemical retrieval*,
    /// J. Chem. Inf. Model. 47(3), 2007; for the full filter the coupon collector's problem.
    pub fn cardinality(self, ones: usize) -> f64 {
        /// Euler's constant.
        const GAMMA: f64 = 0.577_215_664_901_532_9;
        let (bits, hashes) = (self.bits as f64, self.hashes as f64);
        match ones {
            0 => 0.0,
            ones if ones < self.bits => -bits / hashes * (1.0 - ones as f64 / bits).ln(),
            _ => bits / hashes * (bits.ln() + GAMMA),
        }
    }
}

/// A Bloom filter: a set that may hold more than was added, and never less.
///
/// # References
/// Bloom, *Space/time trade-offs in hash coding with allowable errors*, CACM 13(7), 1970.
///
/// # Examples
/// ```
/// use waterwheel_ml::sketch::{Bloom, BloomShape, Sketch};
///
/// let mut tea = Bloom::new(BloomShape { bits: 10_000, hashes: 4 }, 1)?;
/// let mut cake = tea.clone();
/// (0..300u32).for_each(|id| tea.add(&id.to_le_bytes()));
/// (200..500u32).for_each(|id| cake.add(&id.to_le_bytes()));
/// assert!(tea.contains(&7u32.to_le_bytes()));
/// assert!((tea.estimate() - 300.0).abs() < 10.0);
/// assert!((tea.estimate_intersection(&cake)? - 100.0).abs() < 20.0);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Parts")]
pub struct Bloom {
    shape: BloomShape,
    seed: u64,
    /// Zeros behind the last bit.
    words: Vec<u64>,
}

/// A filter as it is read, not yet checked.
#[derive(Deserialize)]
struct Parts {
    shape: BloomShape,
    seed: u64,
    words: Vec<u64>,
}

impl TryFrom<Parts> for Bloom {
    type Error = Error;

    fn try_from(Parts { shape, seed, words }: Parts) -> Result<Self> {
        check_shape(shape)?;
        let (found, expected) = (words.len(), shape.bits.div_ceil(64));
        let behind = words.last().is_some_and(|last| shape.bits % 64 > 0 && last >> (shape.bits % 64) > 0);
        if found != expected || behind {
            return Err(Error::data(format!(
                "bloom filter: found {found} words of bits, expected {expected}, and zeros behind bit {}",
                shape.bits
            )));
        }
        Ok(Bloom { shape, seed, words })
    }
}

fn check_shape(shape: BloomShape) -> Result<()> {
    check_range("bloom filter", "bits", shape.bits, 1..=1 << 36)?;
    check_range("bloom filter", "hashes", shape.hashes, 1..=64)
}

impl Bloom {
    /// An empty filter.
    ///
    /// # Errors
    /// A size is out of its range.
    pub fn new(shape: BloomShape, seed: u64) -> Result<Self> {
        check_shape(shape)?;
        Ok(Bloom { shape, seed, words: vec![0; shape.bits.div_ceil(64)] })
    }

    /// Its size.
    pub fn shape(&self) -> BloomShape {
        self.shape
    }

    /// Whether an item may have been added; `false` is certain.
    pub fn contains(&self, item: &[u8]) -> bool {
        self.positions(item).all(|at| self.words[at / 64] >> (at % 64) & 1 == 1)
    }

    /// How many bits are set.
    pub fn ones(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// About how many different items were added.
    pub fn estimate(&self) -> f64 {
        self.shape.cardinality(self.ones())
    }

    /// About how many different items were added to either filter.
    ///
    /// # Errors
    /// The other one has another size or seed.
    pub fn estimate_union(&self, other: &Self) -> Result<f64> {
        self.check_like(other)?;
        let words = self.words.iter().zip(&other.words);
        Ok(self.shape.cardinality(words.map(|(a, b)| (a | b).count_ones() as usize).sum()))
    }

    /// About how many different items were added to both: both estimates less that of the union, at least 0.
    ///
    /// # Errors
    /// The other one has another size or seed.
    pub fn estimate_intersection(&self, other: &Self) -> Result<f64> {
        Ok((self.estimate() + other.estimate() - self.estimate_union(other)?).max(0.0))
    }

    fn positions(&self, item: &[u8]) -> impl Iterator<Item = usize> + use<> {
        let (hash, bits) = (hash(self.seed, item), self.shape.bits);
        (0..self.shape.hashes).map(move |i| position(hash, i, bits))
    }
}

impl Sketch for Bloom {
    fn add(&mut self, item: &[u8]) {
        self.positions(item).for_each(|at| self.words[at / 64] |= 1 << (at % 64));
    }

    fn check_like(&self, other: &Self) -> Result<()> {
        check_same("bloom filter", (self.shape, self.seed), (other.shape, other.seed))
    }

    fn merge(&mut self, other: &Self) -> Result<()> {
        self.check_like(other)?;
        self.words.iter_mut().zip(&other.words).for_each(|(a, b)| *a |= b);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A filter with these bits.
    fn with_bits(bits: usize, ones: &[usize]) -> Bloom {
        let mut bloom = Bloom::new(BloomShape { bits, hashes: 3 }, 0).unwrap();
        ones.iter().for_each(|at| bloom.words[at / 64] |= 1 << (at % 64));
        bloom
    }

    /// T-FPS-22. The numbers are of 20 bits; bit 20 is there in the original, so the sets have one more here.
    #[test]
    fn t_fps_22_bloom_estimates_are_the_spec_numbers() {
        let shape = BloomShape { bits: 20, hashes: 3 };
        let close =
            |found: f64, expected: f64| assert!((found - expected).abs() < 1e-14, "{found} {expected}");
        close(shape.cardinality(4), 1.487_623_675_428_065);
        let (a, b) = (with_bits(20, &[1, 4, 10, 19]), with_bits(20, &[1, 5, 10, 14]));
        close(a.estimate(), 1.487_623_675_428_065);
        close(a.estimate_union(&b).unwrap(), 2.377_832_959_591_549);
        close(a.estimate_intersection(&b).unwrap(), 0.597_414_391_264_580_9);
    }

    #[test]
    fn full_filter_has_a_finite_estimate_above_all_others() {
        let all: Vec<usize> = (0..130).collect();
        let (almost, full) = (with_bits(130, &all[1..]), with_bits(130, &all));
        assert_eq!((almost.ones(), full.ones()), (129, 130));
        assert!(full.estimate().is_finite() && full.estimate() > almost.estimate());
        let both = full.estimate_intersection(&almost).unwrap();
        assert!((both - almost.estimate()).abs() < 1e-9);
        assert!(with_bits(1, &[0]).estimate().is_finite());
        assert_eq!(with_bits(1, &[]).estimate(), 0.0);
    }

    #[test]
    fn disjoint_filters_never_intersect_below_nothing() {
        // Together they set so much that the formula gives less than 0.
        let (a, b) = (with_bits(8, &[0, 1, 2]), with_bits(8, &[3, 4, 5, 6]));
        assert!(a.estimate() + b.estimate() < a.estimate_union(&b).unwrap());
        assert_eq!(a.estimate_intersection(&b).unwrap(), 0.0);
    }

    #[test]
    fn false_positives_are_as_rare_as_the_formula_says() {
        let mut bloom = Bloom::new(BloomShape { bits: 10_007, hashes: 5 }, 3).unwrap();
        (0..1_000u64).for_each(|id| bloom.add(&id.to_le_bytes()));
        assert!((0..1_000u64).all(|id| bloom.contains(&id.to_le_bytes())));
        let wrong = (1_000..101_000u64).filter(|id| bloom.contains(&id.to_le_bytes())).count();
        let expected = 100_000.0 * (1.0 - (-5.0 * 1_000.0 / 10_007.0f64).exp()).powi(5);
        assert!((wrong as f64 / expected - 1.0).abs() < 0.15, "{wrong} {expected}");
    }

    #[test]
    fn shapes_that_mean_nothing_are_refused() {
        let message =
            |bits, hashes| Bloom::new(BloomShape { bits, hashes }, 0).unwrap_err().message().to_string();
        assert_eq!(message(0, 3), "bloom filter: bits: found 0, expected 1 to 68719476736");
        assert_eq!(message(3, 0), "bloom filter: hashes: found 0, expected 1 to 64");
        assert_eq!(message(3, 1 << 16), "bloom filter: hashes: found 65536, expected 1 to 64");
    }

    #[test]
    fn bits_behind_the_last_are_refused() {
        let read = |words: &str| {
            let text = format!("{{\"shape\":{{\"bits\":70,\"hashes\":3}},\"seed\":1,\"words\":{words}}}");
            serde_json::from_str::<Bloom>(&text)
        };
        assert_eq!(read("[1,63]").unwrap().ones(), 7);
        for words in ["[1]", "[1,64]", "[1,1,0]"] {
            let error = read(words).unwrap_err().to_string();
            assert!(error.contains("expected 2, and zeros behind bit 70"), "{error}");
        }
    }
}
