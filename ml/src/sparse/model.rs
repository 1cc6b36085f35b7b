//! Weights of features, when training has ended.

use std::path::Path;

use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};
use waterwheel_engine::{Error, Result};
use waterwheel_ps::model_files::{self, Dtype, tensor};

use super::{SparseRule, SparseVector};
use crate::words::words;

const FORMAT: (&str, u32) = ("waterwheel-sparse", 1);

/// The weights that a learner on sparse rows has found: a row of `width` numbers for each feature that it has met.
///
/// # Examples
/// ```
/// use waterwheel_ml::sparse::{SparseLogisticRegression, SparseModel, SparseVector};
///
/// let model = SparseModel::from_rows(1, vec![(7, vec![2.0]), (3, vec![-1.0])])?;
/// let x = SparseVector::ones(vec![3, 5, 7])?;
/// assert_eq!(model.predict(&SparseLogisticRegression, &x)?, (true, 1.0));
///
/// let directory = tempfile::tempdir()?;
/// model.save(directory.path())?;
/// assert_eq!(SparseModel::load(directory.path())?, model);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SparseModel {
    width: usize,
    /// Rising.
    features: Vec<u32>,
    rows: Vec<f64>,
}

impl SparseModel {
    /// Of the rows of features, in any order.
    ///
    /// # Errors
    /// A row has not `width` numbers, 1 or more, or one that is not finite; or a feature comes twice.
    pub fn from_rows(width: usize, mut rows: Vec<(u32, Vec<f64>)>) -> Result<Self> {
        rows.sort_by_key(|(feature, _)| *feature);
        let features = rows.iter().map(|(feature, _)| *feature).collect();
        if let Some((feature, row)) = rows.iter().find(|(_, row)| row.len() != width) {
            let found = row.len();
            return Err(Error::data(format!("feature {feature}: found {found} weights, expected {width}")));
        }
        Self::from_parts(width, features, rows.into_iter().flat_map(|(_, row)| row).collect())
    }

    fn from_parts(width: usize, features: Vec<u32>, rows: Vec<f64>) -> Result<Self> {
        if width == 0 {
            return Err(Error::data("model of sparse rows: found 0 weights a feature, expected 1 or more"));
        }
        if let Some(pair) = features.windows(2).find(|pair| pair[0] >= pair[1]) {
            return Err(Error::data(format!(
                "feature {} comes after {}, expected rising ones",
                pair[1], pair[0]
            )));
        }
        if let Some(at) = rows.iter().position(|weight| !weight.is_finite()) {
            let (feature, weight) = (features[at / width], rows[at]);
            return Err(Error::data(format!("feature {feature}: found {weight}, expected a finite number")));
        }
        Ok(SparseModel { width, features, rows })
    }

    /// Weights of a feature.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The features, rising.
    pub fn features(&self) -> &[u32] {
        &self.features
    }

    /// The weights of a feature, if it was met.
    pub fn row(&self, feature: u32) -> Option<&[f64]> {
        let at = self.features.binary_search(&feature).ok()?;
        Some(&self.rows[at * self.width..(at + 1) * self.width])
    }

    /// Every feature with its weights.
    pub fn rows(&self) -> impl Iterator<Item = (u32, &[f64])> {
        self.features.iter().copied().zip(self.rows.chunks_exact(self.width))
    }

    /// What the learner that made the model says of an example: the label and the score. Features that were never met
    /// have weights of 0.
    ///
    /// # Errors
    /// The learner has another number of weights a feature.
    pub fn predict<R: SparseRule>(&self, rule: &R, features: &SparseVector) -> Result<(R::Label, f64)> {
        if rule.width() != self.width {
            let (found, expected) = (self.width, rule.width());
            return Err(Error::data(format!(
                "the model has {found} weights a feature, the learner expects {expected}"
            )));
        }
        let mut keys = Vec::with_capacity(features.len() + 1);
        rule.keys(features, &mut keys);
        let mut rows = Vec::with_capacity(keys.len() * self.width);
        for key in keys {
            match self.row(key) {
                Some(row) => rows.extend_from_slice(row),
                None => rows.resize(rows.len() + self.width, 0.0),
            }
        }
        Ok(rule.predict(features, &rows))
    }

    /// Saves the model into a directory, which is made if it is not there. A model that was there before is replaced; a
    /// reader sees the old or the new one, or is told that they do not belong together.
    ///
    /// # Errors
    /// The directory or a file in it can not be written.
    pub fn save(&self, directory: &Path) -> Result<()> {
        let n = self.features.len();
        let features = self.features.iter().flat_map(|feature| feature.to_le_bytes()).collect();
        let rows = self.rows.iter().flat_map(|weight| weight.to_le_bytes()).collect();
        let tensors = [
            ("features".into(), Dtype::U32, vec![n], features),
            ("weights".into(), Dtype::F64, vec![n, self.width], rows),
        ];
        model_files::save(directory, FORMAT, &tensors, &Fields { width: self.width, features: n })
    }

    /// Loads a model that [`save`](Self::save) has written.
    ///
    /// # Errors
    /// A file is missing, of another format or version, damaged (the checksum tells), or does not fit the manifest.
    pub fn load(directory: &Path) -> Result<Self> {
        model_files::load(directory, FORMAT, Fields::into_model)
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    width: usize,
    features: usize,
}

impl Fields {
    fn into_model(self, tensors: &SafeTensors<'_>) -> Result<SparseModel> {
        let (n, width) = (self.features, self.width);
        let features = words(tensor(tensors, "features", Dtype::U32, &[n])?, u32::from_le_bytes);
        let rows = words(tensor(tensors, "weights", Dtype::F64, &[n, width])?, f64::from_le_bytes);
        SparseModel::from_parts(width, features, rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> SparseModel {
        SparseModel::from_rows(2, vec![(u32::MAX, vec![0.1, -2.0]), (4, vec![f64::MIN_POSITIVE, 3.0])])
            .unwrap()
    }

    #[test]
    fn damaged_tensors_of_a_model_are_detected() {
        let dir = tempfile::tempdir().unwrap();
        model().save(dir.path()).unwrap();
        assert_eq!(SparseModel::load(dir.path()).unwrap(), model());
        let path = dir.path().join("model.safetensors");
        let good = std::fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            assert!(SparseModel::load(dir.path()).is_err(), "byte {at}");
        }
    }

    /// A model of version 1 must load for ever.
    #[test]
    fn golden_model_of_version_1_loads() {
        let golden = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/sparse-v1"));
        assert_eq!(SparseModel::load(golden).unwrap(), model());
    }

    #[test]
    fn rows_that_make_no_model_are_refused() {
        let message = |rows| SparseModel::from_rows(1, rows).unwrap_err().message().to_string();
        assert_eq!(message(vec![(3, vec![])]), "feature 3: found 0 weights, expected 1");
        assert_eq!(
            message(vec![(3, vec![1.0]), (3, vec![1.0])]),
            "feature 3 comes after 3, expected rising ones"
        );
        assert_eq!(message(vec![(3, vec![f64::NAN])]), "feature 3: found NaN, expected a finite number");
    }
}
