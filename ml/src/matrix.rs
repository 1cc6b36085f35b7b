//! Row-major matrices.

use serde::{Deserialize, Serialize};
use waterwheel_engine::{Error, Result};

/// A block of rows of finite numbers, one row after the other.
///
/// # Examples
/// ```
/// use waterwheel_ml::Matrix;
/// let points = Matrix::new(2, vec![0.0, 1.0, 2.0, 3.0])?;
/// assert_eq!((points.rows(), points.row(1)), (2, &[2.0, 3.0][..]));
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Matrix {
    columns: usize,
    values: Vec<f64>,
}

impl Matrix {
    /// A matrix of so many columns.
    ///
    /// # Errors
    /// There are no columns, the last row is not full, or a number is not finite.
    pub fn new(columns: usize, values: Vec<f64>) -> Result<Self> {
        if columns == 0 || !values.len().is_multiple_of(columns) {
            let found = values.len();
            return Err(Error::data(format!("{found} numbers, expected rows of {columns}, at least 1")));
        }
        if let Some(at) = values.iter().position(|x| !x.is_finite()) {
            let (row, column) = (at / columns, at % columns);
            return Err(Error::data(format!(
                "row {row} has {} in column {column}, expected a finite number",
                values[at]
            )));
        }
        Ok(Matrix { columns, values })
    }

    pub(crate) fn zeros(rows: usize, columns: usize) -> Self {
        Matrix { columns, values: vec![0.0; rows * columns] }
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.values.len() / self.columns
    }

    /// One row.
    #[inline]
    pub fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.columns..(row + 1) * self.columns]
    }

    /// All numbers, row by row.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    #[inline]
    pub(crate) fn row_mut(&mut self, row: usize) -> &mut [f64] {
        &mut self.values[row * self.columns..(row + 1) * self.columns]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[f64]> {
        self.values.chunks_exact(self.columns)
    }

    /// The rows of a range, as a matrix of their own.
    pub(crate) fn slice(&self, rows: std::ops::Range<usize>) -> Matrix {
        let values = self.values[rows.start * self.columns..rows.end * self.columns].to_vec();
        Matrix { columns: self.columns, values }
    }

    pub(crate) fn push(&mut self, row: &[f64]) {
        self.values.extend_from_slice(row);
    }

    /// Adds all numbers of another matrix of this shape.
    pub(crate) fn add(&mut self, other: &Matrix) {
        self.values.iter_mut().zip(&other.values).for_each(|(sum, x)| *sum += x);
    }
}
