//! A model on disk: `model.safetensors` with the numbers and `model.json`, the manifest, written last.
//!
//! Tensors: `users.ids` and `items.ids` (`U64`, `[n]`, ascending), `users.rows` and `items.rows` (`F32`,
//! `[n, width]`), `mean` (`F32`, `[1]` with biases, `[0]` without). The manifest holds the format's name and
//! version, what the shapes must be, and the XXH3 checksum of the tensor file in hexadecimal. See
//! `docs/formats/mf-model.md`.

use std::path::Path;

use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};
use waterwheel_engine::Result;
use waterwheel_ps::model_files::{self, Dtype, tensor};

use crate::mf::{Factors, MfModel};
use crate::words::words;

const FORMAT: (&str, u32) = ("waterwheel-mf", 1);

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    rank: usize,
    biases: bool,
    users: usize,
    items: usize,
}

impl MfModel {
    /// Saves the model into a directory, which is made if it is not there. A model that was there before is
    /// replaced; a reader sees the old or the new one, or is told that they do not belong together.
    ///
    /// # Errors
    /// The directory or a file in it can not be written.
    pub fn save(&self, directory: &Path) -> Result<()> {
        model_files::save(
            directory,
            FORMAT,
            &self.to_tensors(),
            &Fields {
                rank: self.rank(),
                biases: self.mean().is_some(),
                users: self.users().ids().len(),
                items: self.items().ids().len(),
            },
        )
    }

    /// Loads a model that [`save`](Self::save) has written.
    ///
    /// # Errors
    /// A file is missing, of another format or version, damaged (the checksum tells), or does not fit the
    /// manifest.
    ///
    /// # Examples
    /// ```no_run
    /// let model = waterwheel_ml::mf::MfModel::load("model".as_ref())?;
    /// println!("{}", model.predict(7, 42));
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    pub fn load(directory: &Path) -> Result<Self> {
        model_files::load(directory, FORMAT, Fields::into_model)
    }

    fn to_tensors(&self) -> Vec<model_files::Tensor> {
        let width = self.rank() + usize::from(self.mean().is_some());
        let mut data = Vec::new();
        for (name, factors) in [("users", self.users()), ("items", self.items())] {
            let n = factors.ids().len();
            let ids: Vec<u8> = factors.ids().iter().flat_map(|id| id.to_le_bytes()).collect();
            let rows: Vec<u8> = factors.rows().iter().flat_map(|value| value.to_le_bytes()).collect();
            data.push((format!("{name}.ids"), Dtype::U64, vec![n], ids));
            data.push((format!("{name}.rows"), Dtype::F32, vec![n, width], rows));
        }
        let mean: Vec<u8> = self.mean().iter().flat_map(|mean| mean.to_le_bytes()).collect();
        data.push(("mean".into(), Dtype::F32, vec![mean.len() / 4], mean));
        data
    }
}

impl Fields {
    fn into_model(self, tensors: &SafeTensors<'_>) -> Result<MfModel> {
        let n_means = usize::from(self.biases);
        let width = self.rank + n_means;
        let mean = words(tensor(tensors, "mean", Dtype::F32, &[n_means])?, f32::from_le_bytes).pop();
        let load = |name: &str, n: usize| -> Result<Factors> {
            let ids = tensor(tensors, &format!("{name}.ids"), Dtype::U64, &[n])?;
            let rows = tensor(tensors, &format!("{name}.rows"), Dtype::F32, &[n, width])?;
            Factors::from_parts(words(ids, u64::from_le_bytes), words(rows, f32::from_le_bytes), width)
        };
        MfModel::from_parts(self.rank, mean, load("users", self.users)?, load("items", self.items)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "model.json";
    const TENSORS: &str = "model.safetensors";

    fn model() -> MfModel {
        let users =
            Factors::from_rows(vec![(7, vec![0.1, f32::MIN_POSITIVE]), (u64::MAX, vec![3.0, 4.0])], 2);
        let items = Factors::from_rows(vec![(0, vec![-1.5, 0.25])], 2);
        MfModel::from_parts(1, Some(3.527), users.unwrap(), items.unwrap()).unwrap()
    }

    #[test]
    fn saved_model_loads_bit_for_bit() {
        let dir = tempfile::tempdir().unwrap();
        model().save(dir.path()).unwrap();
        model().save(dir.path()).unwrap();
        assert_eq!(MfModel::load(dir.path()).unwrap(), model());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    /// A model of version 1 must load for ever.
    #[test]
    fn golden_model_of_version_1_loads() {
        let golden = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/mf-v1"));
        assert_eq!(MfModel::load(golden).unwrap(), model());
    }

    #[test]
    fn every_flipped_byte_of_a_model_is_detected() {
        let dir = tempfile::tempdir().unwrap();
        model().save(dir.path()).unwrap();
        for file in [TENSORS, MANIFEST] {
            let path = dir.path().join(file);
            let good = std::fs::read(&path).unwrap();
            for at in 0..good.len() {
                let mut bad = good.clone();
                bad[at] ^= 0x01;
                std::fs::write(&path, &bad).unwrap();
                match MfModel::load(dir.path()) {
                    Err(_) => {}
                    // A manifest may differ in white space alone.
                    Ok(loaded) => assert!(file == MANIFEST && loaded == model(), "{file} byte {at}"),
                }
            }
            std::fs::write(&path, &good).unwrap();
        }
    }

    #[test]
    fn missing_and_foreign_files_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = MfModel::load(dir.path()).unwrap_err();
        assert!(error.message().contains("model.json"), "{error}");
        model().save(dir.path()).unwrap();
        let path = dir.path().join(MANIFEST);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("\"version\": 1", "\"version\": 2")).unwrap();
        let error = MfModel::load(dir.path()).unwrap_err();
        assert!(error.message().ends_with("found waterwheel-mf version 2, expected waterwheel-mf version 1"));
    }
}
