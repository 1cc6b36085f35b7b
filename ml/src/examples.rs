//! Blocks of training examples.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use waterwheel_engine::{Error, Result};

/// A block of rows with features, labels and weights: what moves between operators, and what kernels run on.
///
/// Features are a row-major matrix, or rows of the entries that are not zero (CSR). All features, labels and weights
/// are finite, weights are 0 or more.
///
/// # Examples
/// ```
/// use waterwheel_ml::Examples;
/// let block = Examples::dense(2, vec![1.0, 2.0, 3.0, 4.0], vec![0.0, 1.0])?.with_weights(vec![1.0, 0.5])?;
/// assert_eq!((block.rows(), block.dim(), block.dot(1, &[1.0, 10.0])), (2, 2, 43.0));
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Examples {
    dim: usize,
    features: Features,
    labels: Vec<f64>,
    /// Empty: all are 1.
    weights: Vec<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Features {
    Dense(Vec<f64>),
    Sparse {
        /// Where each row ends among the entries.
        ends: Vec<usize>,
        indices: Vec<u32>,
        values: Vec<f64>,
    },
}

impl Examples {
    /// Rows of `dim` features each, one after the other, and a label for each.
    ///
    /// # Errors
    /// `dim` is 0, the lengths do not fit, or a number is not finite.
    pub fn dense(dim: usize, features: Vec<f64>, labels: Vec<f64>) -> Result<Self> {
        if dim == 0 || features.len() != dim * labels.len() {
            let (found, rows) = (features.len(), labels.len());
            return Err(Error::data(format!(
                "{found} features for {rows} labels, expected {dim} for each, at least 1"
            )));
        }
        if let Some(at) = features.iter().position(|x| !x.is_finite()) {
            let (row, column) = (at / dim, at % dim);
            return Err(Error::data(format!(
                "feature {column} of row {row} is {}, expected a finite number",
                features[at]
            )));
        }
        all_finite("label", &labels)?;
        Ok(Examples { dim, features: Features::Dense(features), labels, weights: Vec::new() })
    }

    /// Rows of pairs (index, value), with rising indices below `dim`, and a label for each.
    ///
    /// # Errors
    /// The numbers of rows and labels differ, indices do not rise or reach `dim`, or a number is not finite.
    pub fn sparse<R>(dim: usize, rows: R, labels: Vec<f64>) -> Result<Self>
    where
        R: IntoIterator<Item: IntoIterator<Item = (u32, f64)>>,
    {
        let (mut ends, mut indices, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for (row, entries) in rows.into_iter().enumerate() {
            let mut least = 0;
            for (index, value) in entries {
                if (index as usize) < least || index as usize >= dim || !value.is_finite() {
                    return Err(Error::data(format!(
                        "row {row} has {value} at index {index}, expected a finite number and an index from {least} \
                         to {dim} (not included)"
                    )));
                }
                least = index as usize + 1;
                indices.push(index);
                values.push(value);
            }
            ends.push(indices.len());
        }
        if ends.len() != labels.len() {
            return Err(Error::data(format!("{} rows for {} labels", ends.len(), labels.len())));
        }
        all_finite("label", &labels)?;
        Ok(Examples {
            dim,
            features: Features::Sparse { ends, indices, values },
            labels,
            weights: Vec::new(),
        })
    }

    /// Gives each row a weight. Default: 1.
    ///
    /// # Errors
    /// There are not as many as rows, or one is negative or not finite.
    pub fn with_weights(mut self, weights: Vec<f64>) -> Result<Self> {
        if weights.len() != self.rows() {
            return Err(Error::data(format!("{} weights for {} rows", weights.len(), self.rows())));
        }
        all_finite("weight", &weights)?;
        if let Some(row) = weights.iter().position(|weight| *weight < 0.0) {
            return Err(Error::data(format!("weight {row} is {}, expected 0 or more", weights[row])));
        }
        self.weights = weights;
        Ok(self)
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.labels.len()
    }

    /// Number of features of a row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Label of each row.
    pub fn labels(&self) -> &[f64] {
        &self.labels
    }

    /// Weight of a row.
    #[inline]
    pub fn weight(&self, row: usize) -> f64 {
        self.weights.get(row).copied().unwrap_or(1.0)
    }

    /// Product of a row and `coefficients`, of which there are as many as features.
    #[inline]
    pub fn dot(&self, row: usize, coefficients: &[f64]) -> f64 {
        match &self.features {
            Features::Dense(values) => dot(&values[row * self.dim..(row + 1) * self.dim], coefficients),
            Features::Sparse { ends, indices, values } => {
                let entries = entries(ends, row);
                let products = indices[entries.clone()].iter().zip(&values[entries]);
                products.map(|(index, value)| value * coefficients[*index as usize]).sum()
            }
        }
    }

    /// Appends the product of each row of a range and `coefficients` to `products`.
    pub(crate) fn products(&self, rows: Range<usize>, coefficients: &[f64], products: &mut Vec<f64>) {
        match &self.features {
            Features::Dense(values) => {
                let rows = values[rows.start * self.dim..rows.end * self.dim].chunks_exact(self.dim);
                products.extend(rows.map(|row| dot(row, coefficients)));
            }
            Features::Sparse { .. } => products.extend(rows.map(|row| self.dot(row, coefficients))),
        }
    }

    /// Adds each row of a range, times its number in `by`, to `sums`.
    pub(crate) fn add_all_scaled(&self, rows: Range<usize>, by: &[f64], sums: &mut [f64]) {
        match &self.features {
            Features::Dense(values) => {
                add_rows_scaled(&values[rows.start * self.dim..rows.end * self.dim], by, sums);
            }
            Features::Sparse { .. } => {
                rows.zip(by).for_each(|(row, by)| self.add_scaled(row, *by, sums));
            }
        }
    }

    /// Weights of a range of rows; none if all are 1.
    pub(crate) fn weights(&self, rows: Range<usize>) -> &[f64] {
        if self.weights.is_empty() { &[] } else { &self.weights[rows] }
    }

    /// Adds `by` times a row to `sums`.
    #[inline]
    pub fn add_scaled(&self, row: usize, by: f64, sums: &mut [f64]) {
        match &self.features {
            Features::Dense(values) => {
                let features = &values[row * self.dim..(row + 1) * self.dim];
                sums.iter_mut().zip(features).for_each(|(sum, x)| *sum += by * x);
            }
            Features::Sparse { ends, indices, values } => {
                let entries = entries(ends, row);
                for (index, value) in indices[entries.clone()].iter().zip(&values[entries]) {
                    sums[*index as usize] += by * value;
                }
            }
        }
    }

    /// Calls `f` with the index of each entry of a row; dense rows have all of them.
    #[inline]
    pub(crate) fn for_each_entry(&self, row: usize, f: impl FnMut(usize)) {
        match &self.features {
            Features::Dense(_) => (0..self.dim).for_each(f),
            Features::Sparse { ends, indices, .. } => {
                indices[entries(ends, row)].iter().map(|index| *index as usize).for_each(f);
            }
        }
    }

    /// The rows of a range, as a block of their own.
    pub(crate) fn slice(&self, rows: Range<usize>) -> Examples {
        let features = match &self.features {
            Features::Dense(values) => {
                Features::Dense(values[rows.start * self.dim..rows.end * self.dim].to_vec())
            }
            Features::Sparse { ends, indices, values } => {
                let first = entries(ends, rows.start).start;
                let last = rows.end.checked_sub(1).map_or(first, |row| ends[row]);
                Features::Sparse {
                    ends: ends[rows.clone()].iter().map(|end| end - first).collect(),
                    indices: indices[first..last].to_vec(),
                    values: values[first..last].to_vec(),
                }
            }
        };
        let weights = if self.weights.is_empty() { Vec::new() } else { self.weights[rows.clone()].to_vec() };
        Examples { dim: self.dim, features, labels: self.labels[rows].to_vec(), weights }
    }
}

fn all_finite(what: &str, numbers: &[f64]) -> Result<()> {
    match numbers.iter().position(|x| !x.is_finite()) {
        None => Ok(()),
        Some(row) => Err(Error::data(format!("{what} {row} is {}, expected a finite number", numbers[row]))),
    }
}

fn entries(ends: &[usize], row: usize) -> Range<usize> {
    row.checked_sub(1).map_or(0, |before| ends[before])..ends[row]
}

/// Adds each row of `rows`, times its number in `by`, to `sums`; four rows at a time, so that a sum is read and written
/// once for four of them.
fn add_rows_scaled(rows: &[f64], by: &[f64], sums: &mut [f64]) {
    let dim = sums.len();
    let (by, by_rest) = by.as_chunks::<4>();
    let mut fours = rows.chunks_exact(4 * dim);
    for (rows, [a, b, c, d]) in fours.by_ref().zip(by) {
        let (first, second) = rows.split_at(2 * dim);
        let (x, y) = first.split_at(dim);
        let (z, w) = second.split_at(dim);
        for ((((sum, x), y), z), w) in sums.iter_mut().zip(x).zip(y).zip(z).zip(w) {
            *sum += (a * x + b * y) + (c * z + d * w);
        }
    }
    for (row, by) in fours.remainder().chunks_exact(dim).zip(by_rest) {
        sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += by * x);
    }
}

/// Sum of products in eight lanes, so that it can be vectorised; the order of additions is fixed.
#[inline]
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a, a_rest) = a.as_chunks::<8>();
    let (b, b_rest) = b.as_chunks::<8>();
    let mut lanes = [0.0; 8];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..8 {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + e) + (b + f)) + ((c + g) + (d + h)) + rest
}
