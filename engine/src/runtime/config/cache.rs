//! Where the data caches of a process keep their records.

use std::path::{Path, PathBuf};

use crate::runtime::config::RuntimeConfig;

impl RuntimeConfig {
    /// Default of [`cache_memory_bytes`](Self::cache_memory_bytes): 1 GiB.
    pub const DEFAULT_CACHE_MEMORY_BYTES: u64 = 1 << 30;

    /// Sets how much memory the data caches of one process may take together, such as those of data that are
    /// replayed in every round of an iteration; what does not fit goes to files.
    ///
    /// Default 1 GiB. Valid: any number; with 0 everything is on disk. Half of it is divided evenly among all
    /// operators that cache, on each worker of the process; the other half goes to whoever needs it first. What
    /// counts is described at [`DataCache`](crate::DataCache).
    #[must_use]
    pub fn cache_memory_bytes(mut self, bytes: u64) -> Self {
        self.cache_memory_bytes = bytes;
        self
    }

    /// Sets the directory for what does not fit into the memory of data caches; it is made when the first file is.
    /// Each process has a directory of its own in there, which it removes at the end of the run. One that has been
    /// killed can not; what it has left is removed by the next run with a data cache in the same directory.
    ///
    /// Default: the system's directory for temporary files. On many systems that is in memory: name one on a disk
    /// then, or the caches take what they were to save.
    #[must_use]
    pub fn cache_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.cache_dir = Some(directory.into());
        self
    }

    /// The directory for data caches, as set or the system's.
    pub(crate) fn cache_parent(&self) -> PathBuf {
        self.cache_dir.as_deref().map_or_else(std::env::temp_dir, Path::to_path_buf)
    }
}
