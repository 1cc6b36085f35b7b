//! Data of other programs that can not be part of the project.

use std::path::{Path, PathBuf};

/// The folder of the reference data, if it has this file: `WATERWHEEL_REFERENCE_DATA`, or one beside the checkout.
/// Whoever gets none says that the test was skipped.
pub(crate) fn reference_data(file: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let folder = std::env::var_os("WATERWHEEL_REFERENCE_DATA").map_or_else(beside, PathBuf::from);
    let found = folder.join(file).exists();
    if !found {
        println!("skipped: there is no {} here", folder.join(file).display());
    }
    found.then_some(folder)
}
