//! Labelled dense rows, for linear classifiers.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use waterwheel_engine::Result;

use super::table::Table;
use super::{cell, centred, check_sizes, clamp};

/// Dense rows with features in `[-1, 1)` and a label that a hidden plane through the origin decides.
///
/// The margin of a row is its product with hidden weights in `[-1, 1)` plus noise in `[-0.5, 0.5)`; the
/// label is whether the margin is positive. So rows near the plane are mislabelled, and no others.
///
/// # Examples
/// ```
/// use waterwheel_ml::generate::Labels;
///
/// let labels = Labels::new(1_000, 20)?;
/// let row = labels.row(7);
/// assert_eq!(row.features.len(), 20);
/// assert_eq!(row.label, row.margin > 0.0);
/// assert_eq!(labels.iter().count(), 1_000);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Labels {
    rows: u64,
    dim: u32,
    weights: Table<f64>,
}

/// A dense row and its label; the row type of [`Labels`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LabeledPoint {
    /// The features, each in `[-1, 1)`.
    pub features: Vec<f64>,
    /// The product with the hidden weights, and the noise.
    pub margin: f64,
    /// Whether the margin is positive.
    pub label: bool,
}

impl Labels {
    /// `rows` rows of `dim` features.
    ///
    /// # Errors
    /// A config error where `dim` is 0.
    pub fn new(rows: u64, dim: u32) -> Result<Self> {
        check_sizes("labels", &[("dim", dim)])?;
        Ok(Labels { rows, dim, weights: Table::new(dim.into(), |column| centred(2, column)) })
    }

    /// How many rows there are.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// How many features a row has.
    pub fn dim(&self) -> u32 {
        self.dim
    }

    /// The hidden weights, for comparison with those that a program learns.
    pub fn weights(&self) -> Vec<f64> {
        (0..self.dim).map(|column| self.weights.get(column.into())).collect()
    }

    /// Row `idx`.
    pub fn row(&self, idx: u64) -> LabeledPoint {
        let mut features = Vec::with_capacity(self.dim as usize);
        let margin = self.append(idx, &mut features);
        LabeledPoint { features, margin, label: margin > 0.0 }
    }

    /// Puts the features of row `idx` behind a row-major block and returns the margin.
    pub fn append(&self, idx: u64, block: &mut Vec<f64>) -> f64 {
        let mut sum = 0.0;
        block.extend((0..self.dim).map(|column| {
            let feature = centred(1, cell(idx, self.dim, column));
            sum += feature * self.weights.get(column.into());
            feature
        }));
        sum + 0.5 * centred(3, idx)
    }

    /// The rows of `range`, as far as there are any; keeps its own handle to the weights.
    pub fn range(&self, range: Range<u64>) -> impl Iterator<Item = LabeledPoint> + Send + use<> {
        let labels = self.clone();
        clamp(range, self.rows).map(move |idx| labels.row(idx))
    }

    /// All rows.
    pub fn iter(&self) -> impl Iterator<Item = LabeledPoint> + Send + use<> {
        self.range(0..self.rows)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{PROBES, digest};
    use super::*;

    #[test]
    fn labels_rows_are_golden() {
        let labels = Labels::new(10, 3).unwrap();
        let expected = [
            ([0.1331231503445618, 0.49156351452540226, 0.9420055071735924], 0.06285825869268058, true),
            ([-0.11128156588845584, -0.1114705983472839, 0.525788783823522], 0.22502317309801753, true),
            ([0.754697373528346, 0.04613435970196278, -0.4289826312060667], 0.19155055899668355, true),
            ([0.5879932113246111, -0.19171566189954858, 0.21084073795065827], -0.3750983597210245, false),
            ([-0.9914924046121096, 0.8976025559429608, 0.9075316407108442], 0.23379678786316582, true),
            ([0.6607209910551184, 0.8447517331631376, 0.867065391973816], 0.9997672651892567, true),
            ([0.33719663243865217, -0.7343552352571714, -0.722194455975351], -0.03314497271515193, false),
        ];
        let rows = expected.map(|(x, margin, label)| LabeledPoint { features: x.to_vec(), margin, label });
        assert_eq!(PROBES.map(|idx| labels.row(idx)), rows);
        assert_eq!(labels.weights(), [0.18237946839615882, 0.49829936774764927, 0.19127616280001059]);
    }

    #[test]
    fn labels_digest_is_golden() {
        let bytes = |row: LabeledPoint| {
            let numbers = row.features.iter().chain([&row.margin]).flat_map(|x| x.to_le_bytes());
            numbers.chain([u8::from(row.label)]).collect()
        };
        let labels = Labels::new(1_000, 5).unwrap();
        assert_eq!(digest(labels.iter().map(bytes)), 0x075f_eec3_e4fc_12df);
        assert_eq!(labels.iter().filter(|row| row.label).count(), 487);
    }

    #[test]
    fn labels_range_equals_rows() {
        let labels = Labels::new(100, 3).unwrap();
        let rows: Vec<_> = (90..100).map(|idx| labels.row(idx)).collect();
        assert_eq!(labels.range(90..200).collect::<Vec<_>>(), rows);
        assert_eq!(labels.iter().skip(90).collect::<Vec<_>>(), rows);
    }
}
