//! The files that paths stand for.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The files of all paths, in order.
///
/// # Errors
/// A pattern is wrong or nothing matches it.
pub(crate) fn expand_all(paths: impl IntoIterator<Item: Into<PathBuf>>) -> Result<Vec<PathBuf>> {
    let files = paths.into_iter().map(|path| expand(path.into())).collect::<Result<Vec<_>>>()?;
    Ok(files.into_iter().flatten().collect())
}

/// The files that a path stands for: itself, or all that match it in order of name if there is no file of that name and
/// it has one of `*?[`; then there is at least one.
fn expand(path: PathBuf) -> Result<Vec<PathBuf>> {
    if !is_pattern(&path) {
        return Ok(vec![path]);
    }
    let files = find(&path)?;
    match files.is_empty() {
        true => Err(Error::data(format!("no file matches {:?}", path.to_string_lossy()))),
        false => Ok(files),
    }
}

/// The files that a path stands for and that are there now.
///
/// # Errors
/// A pattern is wrong, or a directory can not be read.
pub(crate) fn find(path: &Path) -> Result<Vec<PathBuf>> {
    if !is_pattern(path) {
        return Ok(path.is_file().then(|| path.to_path_buf()).into_iter().collect());
    }
    let text = path.to_string_lossy();
    let wrong = |error: &dyn fmt::Display| Error::config(format!("path {text:?}: {error}"));
    let found = glob::glob(&text).map_err(|error| wrong(&error))?;
    let found = found.collect::<Result<Vec<_>, _>>().map_err(|error| wrong(&error))?;
    Ok(found.into_iter().filter(|path| path.is_file()).collect())
}

fn is_pattern(path: &Path) -> bool {
    path.to_string_lossy().contains(['*', '?', '[']) && !path.exists()
}
