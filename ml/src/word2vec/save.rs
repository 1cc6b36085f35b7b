//! A model on disk; the format is `docs/formats/word2vec-model.md`.

use std::path::Path;

use safetensors::tensor::Dtype;
use serde::{Deserialize, Serialize};
use waterwheel_engine::Result;

use super::Word2VecModel;
use crate::tensors::{self, Manifest as _, NamedTensor, TENSORS};

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    format: String,
    version: u32,
    words: usize,
    dim: usize,
    tensors: String,
    xxh3: String,
}

impl tensors::Manifest for Manifest {
    const FORMAT: &str = "waterwheel-word2vec";
    const VERSION: u32 = 1;

    fn format(&self) -> (&str, u32) {
        (&self.format, self.version)
    }

    fn file(&self) -> (&str, &str) {
        (&self.tensors, &self.xxh3)
    }
}

impl Word2VecModel {
    /// Saves the model into a directory, which is made if it is not there. A model that was there before is replaced; a
    /// reader sees the old or the new one, or is told that they do not belong together.
    ///
    /// # Errors
    /// The directory or a file in it can not be written.
    pub fn save(&self, directory: &Path) -> Result<()> {
        let shape = vec![self.words(), self.dim()];
        let tensor = |name: &str, values: &[f32]| -> NamedTensor {
            (name.into(), Dtype::F32, shape.clone(), values.iter().flat_map(|x| x.to_le_bytes()).collect())
        };
        let tensors = [tensor("vectors", self.inputs()), tensor("contexts", self.outputs())];
        let tensors = tensors::encode(&tensors)?;
        let manifest = Manifest {
            format: Manifest::FORMAT.into(),
            version: Manifest::VERSION,
            words: self.words(),
            dim: self.dim(),
            tensors: TENSORS.into(),
            xxh3: tensors::checksum(&tensors),
        };
        tensors::save(directory, &tensors, &manifest)
    }

    /// Loads a model that [`save`](Self::save) has written.
    ///
    /// # Errors
    /// A file is missing, of another format or version, damaged (the checksum tells), or does not fit the manifest.
    pub fn load(directory: &Path) -> Result<Self> {
        let loaded = tensors::load::<Manifest>(directory)?;
        let (shape, tensors) = ([loaded.manifest.words, loaded.manifest.dim], loaded.tensors()?);
        let read = |name: &str| tensors.numbers(name, Dtype::F32, &shape, f32::from_le_bytes);
        Self::from_parts(loaded.manifest.dim, read("vectors")?, read("contexts")?)
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
    fn every_flipped_byte_of_a_model_is_detected() {
        let dir = tempfile::tempdir().unwrap();
        model().save(dir.path()).unwrap();
        assert_eq!(Word2VecModel::load(dir.path()).unwrap(), model());
        tensors::check_every_flipped_byte(dir.path(), &model(), Word2VecModel::load);
    }

    /// A model of version 1 must load for ever.
    #[test]
    fn golden_model_of_version_1_loads() {
        let golden = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/word2vec-v1"));
        assert_eq!(Word2VecModel::load(golden).unwrap(), model());
    }
}
#[cfg(test)]
#[test]
fn tmp_golden() {
    Word2VecModel::from_parts(2, vec![0.5, -1.5, f32::MIN_POSITIVE, 3.0], vec![0.0, 1.0, 2.0, -0.1])
        .unwrap()
        .save(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/word2vec-v1")))
        .unwrap();
}
