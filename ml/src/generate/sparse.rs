//! Sparse labelled rows, for linear models too wide for dense ones.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use waterwheel_engine::{Error, Result};

use super::{cell, centred, check_sizes, clamp, unit};

/// Rows with one feature of value 1 in each field, and a label drawn from a logistic model.
///
/// Each field has its own run of `per_field` features, of which low ones come most:
/// `⌊per_field·u²⌋` of uniform `u`. Hidden weights are in `[-1, 1)`; the margin is their sum, and the label
/// is true with the probability `1 / (1 + exp(-margin))`.
///
/// # Examples
/// ```
/// use waterwheel_ml::generate::Sparse;
///
/// let sparse = Sparse::new(1_000);
/// assert_eq!(sparse.dim(), 99_990);
/// let row = sparse.row(7);
/// assert_eq!(row.features.len(), 30);
/// assert!(row.features.is_sorted() && row.features.iter().all(|&feature| feature < sparse.dim()));
/// assert_eq!(sparse.iter().count(), 1_000);
/// ```
#[derive(Clone, Debug)]
pub struct Sparse {
    rows: u64,
    fields: u32,
    per_field: u32,
}

/// The features that a row has, and its label; the row type of [`Sparse`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SparseRow {
    /// The features whose value is 1, one of each field, ascending; all others are 0.
    pub features: Vec<u32>,
    /// The sum of the hidden weights of the features: the log-odds of the label.
    pub margin: f64,
    /// The label.
    pub label: bool,
}

impl Sparse {
    /// How many fields [`new`](Self::new) gives a row.
    pub const DEFAULT_FIELDS: u32 = 30;

    /// How many features [`new`](Self::new) gives a field.
    pub const DEFAULT_PER_FIELD: u32 = 3333;

    /// `rows` rows of 30 fields of 3333 features.
    pub fn new(rows: u64) -> Self {
        Sparse { rows, fields: Self::DEFAULT_FIELDS, per_field: Self::DEFAULT_PER_FIELD }
    }

    /// `rows` rows of `fields` fields of `per_field` features each.
    ///
    /// # Errors
    /// A config error where `fields` or `per_field` is 0, or their product is above `u32::MAX`.
    pub fn with_fields(rows: u64, fields: u32, per_field: u32) -> Result<Self> {
        check_sizes("sparse", &[("fields", fields), ("per_field", per_field)])?;
        if fields.checked_mul(per_field).is_none() {
            return Err(Error::config(format!(
                "sparse: {fields} fields of {per_field} features, but all together must be at most {}",
                u32::MAX
            )));
        }
        Ok(Sparse { rows, fields, per_field })
    }

    /// How many rows there are.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// How many fields, and so features, a row has.
    pub fn fields(&self) -> u32 {
        self.fields
    }

    /// How many different features there are.
    pub fn dim(&self) -> u32 {
        self.fields * self.per_field
    }

    /// The hidden weight of a feature, for comparison with the one that a program learns.
    #[inline]
    pub fn weight(&self, feature: u32) -> f64 {
        centred(15, feature.into())
    }

    /// Row `idx`.
    pub fn row(&self, idx: u64) -> SparseRow {
        let mut margin = 0.0;
        let features = (0..self.fields).map(|field| {
            let draw = unit(14, cell(idx, self.fields, field));
            let feature = field * self.per_field + (f64::from(self.per_field) * (draw * draw)) as u32;
            margin += self.weight(feature);
            feature
        });
        let features = features.collect();
        SparseRow { features, margin, label: unit(16, idx) < 1.0 / (1.0 + (-margin).exp()) }
    }

    /// The rows of `range`, as far as there are any.
    pub fn range(&self, range: Range<u64>) -> impl Iterator<Item = SparseRow> + Send + use<> {
        let sparse = self.clone();
        clamp(range, self.rows).map(move |idx| sparse.row(idx))
    }

    /// All rows.
    pub fn iter(&self) -> impl Iterator<Item = SparseRow> + Send + use<> {
        self.range(0..self.rows)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{PROBES, digest};
    use super::*;

    #[test]
    fn sparse_rows_are_golden() {
        let sparse = Sparse::with_fields(10, 4, 10).unwrap();
        let expected = [
            ([1, 10, 20, 34], 0.10973944737879249, true),
            ([8, 11, 20, 36], 0.11653098273179552, true),
            ([9, 13, 20, 35], -0.23726818949083306, false),
            ([0, 12, 23, 36], -0.21357005699527165, false),
            ([7, 10, 26, 31], -1.3374291841123067, false),
            ([9, 15, 22, 39], -0.47782285477103725, false),
            ([3, 13, 20, 35], -0.8172761452529498, false),
        ];
        let rows = expected.map(|(f, margin, label)| SparseRow { features: f.to_vec(), margin, label });
        assert_eq!(PROBES.map(|idx| sparse.row(idx)), rows);
    }

    #[test]
    fn sparse_digest_is_golden() {
        let bytes = |row: SparseRow| {
            let features = row.features.iter().flat_map(|feature| feature.to_le_bytes());
            features.chain(row.margin.to_le_bytes()).chain([u8::from(row.label)]).collect()
        };
        let sparse = Sparse::new(1_000);
        assert_eq!(digest(sparse.iter().map(bytes)), 0xbb9e_1c5b_2f22_0bc0);
        assert_eq!(sparse.iter().filter(|row| row.label).count(), 519);
    }

    #[test]
    fn sparse_range_equals_rows() {
        let sparse = Sparse::new(100);
        let rows: Vec<_> = (90..100).map(|idx| sparse.row(idx)).collect();
        assert_eq!(sparse.range(90..200).collect::<Vec<_>>(), rows);
        assert_eq!(sparse.iter().skip(90).collect::<Vec<_>>(), rows);
    }
}
