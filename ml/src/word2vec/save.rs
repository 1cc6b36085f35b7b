//! A model on disk; the format is `docs/formats/word2vec-model.md`.

use std::path::Path;

use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};
use waterwheel_engine::Result;
use waterwheel_ps::model_files::{self, Dtype, Tensor, tensor};

use super::Word2VecModel;
use crate::words::words;

const FORMAT: (&str, u32) = ("waterwheel-word2vec", 1);

impl Word2VecModel {
    /// Saves the model into a directory, which is made if it is not there. A model that was there before is replaced; a
    /// reader sees the old or the new one, or is told that they do not belong together.
    ///
    /// # Errors
    /// The directory or a file in it can not be written.
    pub fn save(&self, directory: &Path) -> Result<()> {
        let shape = vec![self.words(), self.dim()];
        let matrix = |name: &str, values: &[f32]| -> Tensor {
            (name.into(), Dtype::F32, shape.clone(), values.iter().flat_map(|x| x.to_le_bytes()).collect())
        };
        let tensors = [matrix("vectors", self.inputs()), matrix("contexts", self.outputs())];
        model_files::save(directory, FORMAT, &tensors, &Fields { words: self.words(), dim: self.dim() })
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
    words: usize,
    dim: usize,
}

impl Fields {
    fn into_model(self, tensors: &SafeTensors<'_>) -> Result<Word2VecModel> {
        let shape = [self.words, self.dim];
        let read = |name: &str| Ok(words(tensor(tensors, name, Dtype::F32, &shape)?, f32::from_le_bytes));
        Word2VecModel::from_parts(self.dim, read("vectors")?, read("contexts")?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> Word2VecModel {
        Word2VecModel::from_parts(2, vec![0.5, -1.5, f32::MIN_POSITIVE, 3.0], vec![0.0, 1.0, 2.0, -0.1])
            .unwrap()
    }

    #[test]
    fn saved_model_loads_and_damage_is_detected() {
        let dir = tempfile::tempdir().unwrap();
        model().save(dir.path()).unwrap();
        assert_eq!(Word2VecModel::load(dir.path()).unwrap(), model());
        let path = dir.path().join("model.safetensors");
        let good = std::fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            assert!(Word2VecModel::load(dir.path()).is_err(), "byte {at}");
        }
    }

    /// A model of version 1 must load for ever.
    #[test]
    fn golden_model_of_version_1_loads() {
        let golden = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/word2vec-v1"));
        assert_eq!(Word2VecModel::load(golden).unwrap(), model());
    }
}
