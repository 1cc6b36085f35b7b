//! HyperLogLog.

use serde::{Deserialize, Serialize};
use waterwheel_engine::{Error, Result};

use super::hash::hash;
use super::{Sketch, check_range, check_same};

/// How many different items there are, from one byte for each of `2^precision` registers.
///
/// The standard error is `1.04 / sqrt(2^precision)`, for small numbers less. The estimator needs no table of corrections.
///
/// # References
/// Flajolet, Fusy, Gandouet and Meunier, *HyperLogLog: the analysis of a near-optimal cardinality estimation algorithm*,
/// AofA 2007; the estimator of Ertl, *New cardinality estimation algorithms for HyperLogLog sketches*, arXiv 1702.01284,
/// 2017, algorithm 6.
///
/// # Examples
/// ```
/// use waterwheel_ml::sketch::{HyperLogLog, Sketch};
///
/// let mut users = HyperLogLog::new(12, 1)?;
/// (0..100_000u64).for_each(|visit| users.add(&(visit % 30_000).to_le_bytes()));
/// assert!((users.estimate() / 30_000.0 - 1.0).abs() < 0.05);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Parts")]
pub struct HyperLogLog {
    precision: u8,
    seed: u64,
    registers: Vec<u8>,
}

/// A sketch as it is read, not yet checked.
#[derive(Deserialize)]
struct Parts {
    precision: u8,
    seed: u64,
    registers: Vec<u8>,
}

impl TryFrom<Parts> for HyperLogLog {
    type Error = Error;

    fn try_from(Parts { precision, seed, registers }: Parts) -> Result<Self> {
        let empty = HyperLogLog::new(precision, seed)?;
        let (found, expected, most) = (registers.len(), empty.registers.len(), empty.most());
        match registers.iter().max() {
            Some(max) if found == expected && *max <= most => Ok(HyperLogLog { registers, ..empty }),
            max => Err(Error::data(format!(
                "hyperloglog: found {found} registers up to {}, expected {expected} up to {most}",
                max.unwrap_or(&0)
            ))),
        }
    }
}

impl HyperLogLog {
    /// Of no items, with `2^precision` registers; 4 to 18.
    ///
    /// # Errors
    /// The precision is out of its range.
    pub fn new(precision: u8, seed: u64) -> Result<Self> {
        check_range("hyperloglog", "precision", precision.into(), 4..=18)?;
        Ok(HyperLogLog { precision, seed, registers: vec![0; 1 << precision] })
    }

    /// About how many different items were added.
    pub fn estimate(&self) -> f64 {
        let m = self.registers.len() as f64;
        let mut with_rank = [0.0f64; 66];
        self.registers.iter().for_each(|rank| with_rank[usize::from(*rank)] += 1.0);
        let most = usize::from(self.most());
        let mut z = m * tau(1.0 - with_rank[most] / m);
        for rank in (1..most).rev() {
            z = 0.5 * (z + with_rank[rank]);
        }
        z += m * sigma(with_rank[0] / m);
        // Of nothing z is infinite. With all registers at their end it is 0, and all that can be told apart have come.
        (m * m / (2.0 * std::f64::consts::LN_2 * z)).min(2f64.powi(64))
    }

    /// The greatest number in a register.
    fn most(&self) -> u8 {
        65 - self.precision
    }
}

/// `x + Σ x^(2^k) 2^(k-1)`.
fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

/// `(1 - x - Σ (1 - x^(2^-k))² 2^-k) / 3`.
fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

impl Sketch for HyperLogLog {
    /// The first bits of the hash are the register, and the zeros that follow, plus 1, its number if it is greater.
    fn add(&mut self, item: &[u8]) {
        let hash = hash(self.seed, item);
        let register = (hash >> (64 - self.precision)) as usize;
        let zeros = (hash << self.precision).leading_zeros().min(64 - u32::from(self.precision)) as u8;
        self.registers[register] = self.registers[register].max(zeros + 1);
    }

    fn check_like(&self, other: &Self) -> Result<()> {
        check_same("hyperloglog", (self.precision, self.seed), (other.precision, other.seed))
    }

    fn merge(&mut self, other: &Self) -> Result<()> {
        self.check_like(other)?;
        self.registers.iter_mut().zip(&other.registers).for_each(|(a, b)| *a = *b.max(a));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_are_within_the_error_at_every_size() {
        let mut sketch = HyperLogLog::new(12, 4).unwrap();
        assert_eq!(sketch.estimate(), 0.0);
        let mut added = 0u64;
        for n in [1u64, 10, 100, 1_000, 3_000, 10_000, 30_000, 100_000, 1_000_000] {
            (added..n).for_each(|id| sketch.add(&id.to_le_bytes()));
            added = n;
            let (error, n) = (3.0 * 1.04 / 64.0, n as f64);
            assert!((sketch.estimate() - n).abs() <= error * n + 0.1, "{n}: {}", sketch.estimate());
        }
    }

    #[test]
    fn registers_at_their_end_have_a_finite_estimate() {
        let text = |rank: u8| format!("{{\"precision\":4,\"seed\":0,\"registers\":{:?}}}", [rank; 16]);
        let full: HyperLogLog = serde_json::from_str(&text(61)).unwrap();
        assert_eq!(full.estimate(), 2f64.powi(64));
        let error = serde_json::from_str::<HyperLogLog>(&text(62)).unwrap_err().to_string();
        assert_eq!(error, "hyperloglog: found 16 registers up to 62, expected 16 up to 61");
        assert!(HyperLogLog::new(3, 0).is_err() && HyperLogLog::new(19, 0).is_err());
    }
}
