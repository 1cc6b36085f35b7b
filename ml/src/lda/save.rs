//! A model on disk; the format is `docs/formats/lda-model.md`.

use std::path::Path;

use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};
use waterwheel_engine::Result;
use waterwheel_ps::model_files::{self, Dtype, tensor};

use super::LdaModel;
use crate::words::words;

const FORMAT: (&str, u32) = ("waterwheel-lda", 1);

impl LdaModel {
    /// Saves the model into a directory, which is made if it is not there. A model that was there before is replaced; a
    /// reader sees the old or the new one, or is told that they do not belong together.
    ///
    /// # Errors
    /// The directory or a file in it can not be written.
    pub fn save(&self, directory: &Path) -> Result<()> {
        let counts = (0..self.words()).filter_map(|word| self.row(word)).flatten();
        let counts = counts.flat_map(|count| count.to_le_bytes()).collect();
        let shape = vec![self.words() as usize, self.topics() as usize];
        let (alpha, beta) = self.priors();
        let tensors = [("counts".into(), Dtype::U64, shape, counts)];
        model_files::save(
            directory,
            FORMAT,
            &tensors,
            &Fields { words: self.words(), topics: self.topics(), alpha, beta },
        )
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
    words: u32,
    topics: u32,
    alpha: f64,
    beta: f64,
}

impl Fields {
    fn into_model(self, tensors: &SafeTensors<'_>) -> Result<LdaModel> {
        let shape = [self.words as usize, self.topics as usize];
        let counts = words(tensor(tensors, "counts", Dtype::U64, &shape)?, u64::from_le_bytes);
        LdaModel::from_parts(self.words, self.topics, (self.alpha, self.beta), counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> LdaModel {
        LdaModel::from_parts(3, 2, (0.1, 0.01), vec![1, 0, 1 << 40, 7, 0, 5]).unwrap()
    }

    #[test]
    fn saved_model_loads_and_damage_is_detected() {
        let dir = tempfile::tempdir().unwrap();
        model().save(dir.path()).unwrap();
        assert_eq!(LdaModel::load(dir.path()).unwrap(), model());
        // A prior in the manifest can be another number that is valid; the counts can not.
        let path = dir.path().join("model.safetensors");
        let good = std::fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            assert!(LdaModel::load(dir.path()).is_err(), "byte {at}");
        }
    }

    /// A model of version 1 must load for ever.
    #[test]
    fn golden_model_of_version_1_loads() {
        let golden = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/lda-v1"));
        assert_eq!(LdaModel::load(golden).unwrap(), model());
    }
}
