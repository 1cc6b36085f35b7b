//! Models on disk: a directory with `model.safetensors`, which has the numbers, and `model.json`, the manifest, which
//! is written last and has the checksum of the other.
//!
//! What the tensors and the further fields of the manifest mean is each format's own; [`SavedModel`](crate::SavedModel)
//! is that of the parameter server.

use std::path::{Path, PathBuf};

use safetensors::tensor::TensorView;
use safetensors::{SafeTensors, serialize};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use waterwheel_engine::{Error, Result};
use xxhash_rust::xxh3::xxh3_64;

pub use safetensors::tensor::Dtype;

const MANIFEST: &str = "model.json";
const TENSORS: &str = "model.safetensors";

/// A tensor to be written: its name, type, shape and bytes, little-endian.
pub type Tensor = (String, Dtype, Vec<usize>, Vec<u8>);

/// What a manifest says: the fields `F` are those of its format alone.
#[derive(Serialize)]
struct Manifest<'a, F> {
    format: &'a str,
    version: u32,
    #[serde(flatten)]
    fields: &'a F,
    /// Name of the tensor file.
    tensors: &'a str,
    /// XXH3 (64 bits, seed 0) of the tensor file, 16 hexadecimal digits.
    xxh3: String,
}

/// The fields that every manifest has.
#[derive(Deserialize)]
struct Header {
    format: String,
    version: u32,
    tensors: String,
    xxh3: String,
}

/// Saves tensors and a manifest into a directory, which is made if it is not there. A model that was there before is
/// replaced; a reader sees the old or the new one, or is told that they do not belong together. The manifest has the name
/// and version of the format, `fields`, and the checksum of the tensors.
///
/// # Errors
/// The directory or a file in it can not be written.
pub fn save<F: Serialize>(
    directory: &Path,
    (format, version): (&str, u32),
    tensors: &[Tensor],
    fields: &F,
) -> Result<()> {
    let failed = |error| Error::internal("can not encode the tensors").caused_by(error);
    let mut views = Vec::new();
    for (name, dtype, shape, bytes) in tensors {
        views.push((name, TensorView::new(*dtype, shape.clone(), bytes).map_err(failed)?));
    }
    let bytes = serialize(views, None).map_err(failed)?;
    let xxh3 = format!("{:016x}", xxh3_64(&bytes));
    let manifest = Manifest { format, version, fields, tensors: TENSORS, xxh3 };
    let text = serde_json::to_string_pretty(&manifest)
        .map_err(|error| Error::internal("can not write the manifest").caused_by(error))?;
    std::fs::create_dir_all(directory).map_err(|error| cannot("create", directory, error))?;
    write_whole(&directory.join(TENSORS), &bytes)?;
    write_whole(&directory.join(MANIFEST), format!("{text}\n").as_bytes())
}

/// Loads what [`save`] has written: what `read` makes of the fields and of the tensors. A type of fields should deny unknown
/// ones.
///
/// # Errors
/// A file is missing, of another format or version, or damaged (the checksum tells); and those of `read`.
pub fn load<F: DeserializeOwned, R>(
    directory: &Path,
    (format, version): (&str, u32),
    read: impl FnOnce(F, &SafeTensors<'_>) -> Result<R>,
) -> Result<R> {
    load_one_of(directory, format, &[version], |fields, _version, tensors| read(fields, tensors))
}

/// As [`load`], of any of these versions; `read` is told which it is.
///
/// # Errors
/// As of `load`.
pub fn load_one_of<F: DeserializeOwned, R>(
    directory: &Path,
    format: &str,
    versions: &[u32],
    read: impl FnOnce(F, u32, &SafeTensors<'_>) -> Result<R>,
) -> Result<R> {
    let path = directory.join(MANIFEST);
    let text = std::fs::read_to_string(&path).map_err(|error| cannot("read", &path, error))?;
    let invalid = |what: String| Error::data(format!("{}: {what}", path.display()));
    let no_manifest = |error| invalid("not a manifest of this kind of model".into()).caused_by(error);
    let mut fields: Map<String, Value> = serde_json::from_str(&text).map_err(no_manifest)?;
    let header =
        ["format", "version", "tensors", "xxh3"].iter().filter_map(|name| fields.remove_entry(*name));
    let found: Header = serde_json::from_value(Value::Object(header.collect())).map_err(no_manifest)?;
    if found.format != format || !versions.contains(&found.version) {
        let versions = versions.iter().map(u32::to_string).collect::<Vec<_>>().join(" or ");
        return Err(invalid(format!(
            "found {} version {}, expected {format} version {versions}",
            found.format, found.version
        )));
    }
    if found.tensors != TENSORS {
        return Err(invalid(format!("names the file \"{}\", expected {TENSORS}", found.tensors)));
    }
    let fields: F = serde_json::from_value(Value::Object(fields)).map_err(no_manifest)?;
    let path = directory.join(TENSORS);
    let bytes = std::fs::read(&path).map_err(|error| cannot("read", &path, error))?;
    let (sum, path) = (format!("{:016x}", xxh3_64(&bytes)), path.display());
    if sum != found.xxh3 {
        return Err(Error::data(format!("{path}: checksum is {sum}, the manifest says {}", found.xxh3)));
    }
    let tensors = SafeTensors::deserialize(&bytes)
        .map_err(|error| Error::data(format!("{path}: not a tensor file")).caused_by(error))?;
    read(fields, found.version, &tensors)
}

/// The bytes of a tensor, if it is what is expected.
///
/// # Errors
/// There is no such tensor, or it has another type or shape.
pub fn tensor<'t>(tensors: &SafeTensors<'t>, name: &str, dtype: Dtype, shape: &[usize]) -> Result<&'t [u8]> {
    let view = tensors
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

/// Writes beside the file and renames, so that nobody reads half of it.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let beside: PathBuf = path.with_extension("tmp");
    std::fs::write(&beside, bytes).map_err(|error| cannot("write", &beside, error))?;
    std::fs::rename(&beside, path).map_err(|error| cannot("write", path, error))
}

fn cannot(what: &str, path: &Path, error: std::io::Error) -> Error {
    Error::data(format!("can not {what} {}", path.display())).caused_by(error)
}
