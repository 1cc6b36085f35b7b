//! From what a user writes to a place for objects.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;

use crate::checkpoint::store::object::ObjectStorage;
use crate::error::{Error, Result};

/// Opens a directory, which is made if it is not there, or a URL.
pub(super) fn open(location: &str) -> Result<ObjectStorage> {
    match location.split_once("://") {
        Some((scheme, rest)) => open_url(location, scheme, rest),
        None => {
            let directory = Path::new(location);
            create_durably(directory).map_err(|error| unusable(directory, error))?;
            open_directory(directory)
        }
    }
}

/// Opens what is there; a directory that is missing is an error.
pub(super) fn open_existing(location: &str) -> Result<ObjectStorage> {
    match location.split_once("://") {
        Some((scheme, rest)) => open_url(location, scheme, rest),
        None => open_directory(Path::new(location)),
    }
}

/// Memory that is gone with the last handle to it.
pub(super) fn memory() -> ObjectStorage {
    ObjectStorage::at_once("memory".into(), Arc::new(InMemory::new()))
}

fn open_directory(directory: &Path) -> Result<ObjectStorage> {
    let root = directory.canonicalize().map_err(|error| unusable(directory, error))?;
    if !root.is_dir() {
        return Err(Error::config(format!("checkpoint location {} is no directory", directory.display())));
    }
    let files = LocalFileSystem::new_with_prefix(&root)
        .map_err(|error| unusable(directory, std::io::Error::other(error)))?
        .with_fsync(true);
    let place = directory.display().to_string();
    Ok(ObjectStorage::new(place, Arc::new(files), ObjectPath::default())?.in_directory(root))
}

fn unusable(directory: &Path, error: std::io::Error) -> Error {
    Error::config(format!("can not use {} for checkpoints", directory.display())).caused_by(error)
}

/// Makes a directory and those above it, so that a power cut does not take them away again.
fn create_durably(directory: &Path) -> std::io::Result<()> {
    if directory.as_os_str().is_empty() {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "the path is empty"));
    }
    let missing: Vec<PathBuf> =
        directory.ancestors().take_while(|above| !above.exists()).map(Path::to_path_buf).collect();
    std::fs::create_dir_all(directory)?;
    missing.iter().try_for_each(|made| match made.parent() {
        Some(above) if above.as_os_str().is_empty() => sync_directory(Path::new(".")),
        Some(above) => sync_directory(above),
        None => Ok(()),
    })
}

#[cfg(unix)]
fn sync_directory(directory: &Path) -> std::io::Result<()> {
    std::fs::File::open(directory)?.sync_all()
}

/// Directories can not be opened elsewhere.
#[cfg(not(unix))]
fn sync_directory(_directory: &Path) -> std::io::Result<()> {
    Ok(())
}

/// A bucket and what is below it, with credentials from the environment.
fn open_url(location: &str, scheme: &str, rest: &str) -> Result<ObjectStorage> {
    let below = rest.split_once('/').map_or("", |(_bucket, below)| below);
    let prefix = ObjectPath::parse(below)
        .map_err(|error| Error::config(format!("checkpoint location {location}")).caused_by(error))?;
    let place = location.trim_end_matches('/').to_owned();
    ObjectStorage::new(place, bucket(location, scheme)?, prefix)
}

fn bucket(location: &str, scheme: &str) -> Result<Arc<dyn ObjectStore>> {
    #[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
    let refused = |error| Error::config(format!("can not open {location} for checkpoints")).caused_by(error);
    match scheme {
        #[cfg(feature = "s3")]
        "s3" | "s3a" => {
            let builder = object_store::aws::AmazonS3Builder::from_env().with_url(location);
            Ok(Arc::new(builder.build().map_err(refused)?))
        }
        #[cfg(feature = "gcs")]
        "gs" => {
            let builder = object_store::gcp::GoogleCloudStorageBuilder::from_env().with_url(location);
            Ok(Arc::new(builder.build().map_err(refused)?))
        }
        #[cfg(feature = "azure")]
        "az" | "azure" | "abfs" | "abfss" => {
            let builder = object_store::azure::MicrosoftAzureBuilder::from_env().with_url(location);
            Ok(Arc::new(builder.build().map_err(refused)?))
        }
        _ => Err(Error::config(format!(
            "checkpoint location {location}: {scheme}:// is not known to this build; give a directory by its path, or \
             build with one of the features s3 (s3://), gcs (gs://), azure (az://)"
        ))),
    }
}
