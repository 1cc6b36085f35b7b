//! Sparse vectors.

use serde::{Deserialize, Serialize};
use waterwheel_engine::{Error, Result};

/// The entries of a vector that are not zero: features by index, 0 to 4,294,967,294, rising, each with a finite value.
///
/// # Examples
/// ```
/// use waterwheel_ml::sparse::SparseVector;
///
/// let x = SparseVector::from_pairs([(7, 1.0), (2, 0.5), (7, 2.0)])?;
/// assert_eq!((x.indices(), x.values()), (&[2, 7][..], &[0.5, 3.0][..]));
/// assert_eq!(x.squared_norm(), 9.25);
/// assert!(SparseVector::new(vec![7, 2], vec![1.0, 1.0]).is_err());
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SparseVector {
    indices: Vec<u32>,
    values: Vec<f64>,
}

/// What an index must be below; the last number is kept for what belongs to no feature.
const INDICES: u32 = u32::MAX;

impl SparseVector {
    /// Of these indices, each with its value. A vector without entries is one too.
    ///
    /// # Errors
    /// There are not as many of both, indices do not rise, one is 4,294,967,295, or a value is not finite.
    pub fn new(indices: Vec<u32>, values: Vec<f64>) -> Result<Self> {
        let (found, expected) = (values.len(), indices.len());
        if found != expected {
            return Err(Error::data(format!("sparse vector: {found} values for {expected} indices")));
        }
        let mut least = 0u64;
        for (index, value) in indices.iter().zip(&values) {
            if u64::from(*index) < least || *index == INDICES {
                return Err(Error::data(format!(
                    "sparse vector: found index {index}, expected rising ones: from {least}, below {INDICES}"
                )));
            }
            if !value.is_finite() {
                return Err(Error::data(format!(
                    "sparse vector: found {value} at index {index}, expected a finite number"
                )));
            }
            least = u64::from(*index) + 1;
        }
        Ok(SparseVector { indices, values })
    }

    /// Of pairs of index and value in any order; values at the same index are added up.
    ///
    /// # Errors
    /// An index is 4,294,967,295, or a value is not finite.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (u32, f64)>) -> Result<Self> {
        let mut pairs: Vec<_> = pairs.into_iter().collect();
        pairs.sort_by_key(|(index, _)| *index);
        let (mut indices, mut values) = (Vec::with_capacity(pairs.len()), Vec::with_capacity(pairs.len()));
        for (index, value) in pairs {
            match (indices.last() == Some(&index), values.last_mut()) {
                (true, Some(sum)) => *sum += value,
                _ => {
                    indices.push(index);
                    values.push(value);
                }
            }
        }
        Self::new(indices, values)
    }

    /// Of features that are there or not: these are, each with the value 1.
    ///
    /// # Errors
    /// Indices do not rise, or one is 4,294,967,295.
    pub fn ones(indices: Vec<u32>) -> Result<Self> {
        let values = vec![1.0; indices.len()];
        Self::new(indices, values)
    }

    /// The indices, rising.
    pub fn indices(&self) -> &[u32] {
        &self.indices
    }

    /// The value at each index.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// Sum of the squares of the values.
    pub fn squared_norm(&self) -> f64 {
        self.values.iter().map(|x| x * x).sum()
    }

    /// Sum of the products with `weights`, one for each entry and in their order.
    #[inline]
    pub(crate) fn dot(&self, weights: &[f64]) -> f64 {
        self.values.iter().zip(weights).map(|(x, w)| x * w).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// T-FPS-23.
    #[test]
    fn t_fps_23_vectors_are_equal_by_indices_and_values() {
        let vector = |pairs: &[(u32, f64)]| SparseVector::from_pairs(pairs.iter().copied()).unwrap();
        assert_eq!(vector(&[(1, 2.0), (5, 1.0)]), vector(&[(5, 1.0), (1, 2.0)]));
        assert_ne!(vector(&[(1, 2.0)]), vector(&[(1, 3.0)]));
        assert_ne!(vector(&[(1, 2.0)]), vector(&[(2, 2.0)]));
        assert_eq!(SparseVector::default(), vector(&[]));
    }

    #[test]
    fn vectors_that_are_wrong_are_refused() {
        let message = |indices: Vec<u32>, values: Vec<f64>| {
            SparseVector::new(indices, values).unwrap_err().message().to_string()
        };
        assert_eq!(message(vec![1], vec![]), "sparse vector: 0 values for 1 indices");
        assert_eq!(
            message(vec![3, 3], vec![1.0; 2]),
            "sparse vector: found index 3, expected rising ones: from 4, below 4294967295"
        );
        assert_eq!(
            message(vec![3], vec![f64::NAN]),
            "sparse vector: found NaN at index 3, expected a finite number"
        );
        assert!(
            SparseVector::ones(vec![u32::MAX]).is_err() && SparseVector::ones(vec![u32::MAX - 1]).is_ok()
        );
        assert!(SparseVector::from_pairs([(1, f64::MAX), (1, f64::MAX)]).is_err());
    }
}
