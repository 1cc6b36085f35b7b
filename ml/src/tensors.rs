//! Models on disk: a file of tensors, and a manifest, written last, that says what they must be.

use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};
use serde::Serialize;
use serde::de::DeserializeOwned;
use waterwheel_engine::{Error, Result};
use xxhash_rust::xxh3::xxh3_64;

/// Name of the manifest in the directory of a model.
pub(crate) const MANIFEST: &str = "model.json";
/// Name of the file of tensors.
pub(crate) const TENSORS: &str = "model.safetensors";

/// What every manifest says.
pub(crate) trait Manifest: Serialize + DeserializeOwned {
    /// Name of the format.
    const FORMAT: &str;
    /// Its version.
    const VERSION: u32;

    /// The format and version that it names.
    fn format(&self) -> (&str, u32);
    /// The name of the file of tensors and its checksum, as [`checksum`] writes it.
    fn file(&self) -> (&str, &str);
}

/// A tensor in memory: name, type, shape and little-endian bytes.
pub(crate) type NamedTensor = (String, Dtype, Vec<usize>, Vec<u8>);

/// The bytes of a file of these tensors.
pub(crate) fn encode(tensors: &[NamedTensor]) -> Result<Vec<u8>> {
    let failed = |error| Error::internal("can not encode the tensors").caused_by(error);
    let mut views = Vec::new();
    for (name, dtype, shape, bytes) in tensors {
        views.push((name, TensorView::new(*dtype, shape.clone(), bytes).map_err(failed)?));
    }
    serialize(views, None).map_err(failed)
}

/// XXH3 (64 bits, seed 0) of a file, in hexadecimal.
pub(crate) fn checksum(bytes: &[u8]) -> String {
    format!("{:016x}", xxh3_64(bytes))
}

/// Writes a model into a directory, which is made if it is not there. One that was there before is replaced; a reader
/// sees the old or the new one, or is told that they do not belong together.
pub(crate) fn save(directory: &Path, tensors: &[u8], manifest: &impl Manifest) -> Result<()> {
    let text = serde_json::to_string_pretty(manifest)
        .map_err(|error| Error::internal("can not write the manifest").caused_by(error))?;
    std::fs::create_dir_all(directory).map_err(|error| cannot("create", directory, error))?;
    write_whole(&directory.join(TENSORS), tensors)?;
    write_whole(&directory.join(MANIFEST), format!("{text}\n").as_bytes())
}

/// A model as it was read, with all checks passed that need no knowledge of it.
pub(crate) struct Loaded<M> {
    pub(crate) manifest: M,
    path: PathBuf,
    bytes: Vec<u8>,
}

/// Reads what [`save`] has written.
pub(crate) fn load<M: Manifest>(directory: &Path) -> Result<Loaded<M>> {
    let path = directory.join(MANIFEST);
    let text = std::fs::read_to_string(&path).map_err(|error| cannot("read", &path, error))?;
    let invalid = |what: String| Error::data(format!("{}: {what}", path.display()));
    let manifest: M = serde_json::from_str(&text)
        .map_err(|error| invalid("not a model manifest".into()).caused_by(error))?;
    let ((format, version), (file, expected)) = (manifest.format(), manifest.file());
    if (format, version) != (M::FORMAT, M::VERSION) {
        let (ours, our_version) = (M::FORMAT, M::VERSION);
        return Err(invalid(format!(
            "found {format} version {version}, expected {ours} version {our_version}"
        )));
    }
    if file != TENSORS {
        return Err(invalid(format!("names the file \"{file}\", expected {TENSORS}")));
    }
    let path = directory.join(TENSORS);
    let bytes = std::fs::read(&path).map_err(|error| cannot("read", &path, error))?;
    let found = checksum(&bytes);
    if found != expected {
        let path = path.display();
        return Err(Error::data(format!("{path}: checksum is {found}, the manifest says {expected}")));
    }
    Ok(Loaded { manifest, path, bytes })
}

impl<M> Loaded<M> {
    /// The tensors.
    pub(crate) fn tensors(&self) -> Result<Tensors<'_>> {
        let tensors = SafeTensors::deserialize(&self.bytes).map_err(|error| {
            Error::data(format!("{}: not a tensor file", self.path.display())).caused_by(error)
        })?;
        Ok(Tensors { tensors })
    }
}

/// The tensors of a file.
pub(crate) struct Tensors<'t> {
    tensors: SafeTensors<'t>,
}

impl<'t> Tensors<'t> {
    /// The bytes of a tensor, if it is what is expected.
    pub(crate) fn bytes(&self, name: &str, dtype: Dtype, shape: &[usize]) -> Result<&'t [u8]> {
        let view = self
            .tensors
            .tensor(name)
            .map_err(|error| Error::data(format!("no tensor \"{name}\" in the model")).caused_by(error))?;
        if view.dtype() != dtype || view.shape() != shape {
            let (found, found_shape) = (view.dtype(), view.shape());
            return Err(Error::data(format!(
                "tensor \"{name}\": found {found:?} {found_shape:?}, expected {dtype:?} {shape:?}"
            )));
        }
        Ok(view.data())
    }

    /// A tensor of numbers, read by `read`.
    pub(crate) fn numbers<T, const N: usize>(
        &self,
        name: &str,
        dtype: Dtype,
        shape: &[usize],
        read: impl Fn([u8; N]) -> T,
    ) -> Result<Vec<T>> {
        Ok(words(self.bytes(name, dtype, shape)?, read))
    }
}

fn words<T, const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|word| read(*word)).collect()
}

/// Writes beside the file and renames, so that nobody reads half of it.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let beside: PathBuf = path.with_extension("tmp");
    std::fs::write(&beside, bytes).map_err(|error| cannot("write", &beside, error))?;
    std::fs::rename(&beside, path).map_err(|error| cannot("write", path, error))
}

fn cannot(what: &str, path: &Path, error: std::io::Error) -> Error {
    Error::data(format!("can not {what} {}", path.display())).caused_by(error)
}

/// Checks that files are detected in which any byte is wrong. A manifest may differ in white space alone.
#[cfg(test)]
pub(crate) fn check_every_flipped_byte<M: PartialEq + std::fmt::Debug>(
    directory: &Path,
    model: &M,
    load: impl Fn(&Path) -> Result<M>,
) {
    for file in [TENSORS, MANIFEST] {
        let path = directory.join(file);
        let good = std::fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x01;
            std::fs::write(&path, &bad).unwrap();
            match load(directory) {
                Err(_) => {}
                Ok(loaded) => assert!(file == MANIFEST && loaded == *model, "{file} byte {at}"),
            }
        }
        std::fs::write(&path, &good).unwrap();
    }
}
