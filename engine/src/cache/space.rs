//! Memory and files for the data caches of one process, and the share that each operator has of them.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once};

use crate::cache::directory::{self, OwnDirectory};
use crate::cache::memory::{Budget, Lease, MemoryShare};
use crate::error::Result;
use crate::runtime::state::lock;

/// What the caches of one process have together.
pub(crate) struct CacheSpace {
    budget: Arc<Budget>,
    parent: PathBuf,
    /// Made when the first file is, so that jobs whose data fit leave no trace.
    own: Mutex<Option<OwnDirectory>>,
    cleaned: Once,
    next_file: AtomicU64,
}

impl CacheSpace {
    pub(crate) fn new(memory_bytes: u64, parent: &Path) -> Self {
        CacheSpace {
            budget: Arc::new(Budget::new(memory_bytes)),
            parent: parent.to_owned(),
            own: Mutex::default(),
            cleaned: Once::new(),
            next_file: AtomicU64::new(0),
        }
    }

    /// Removes all files. For the end of a run, when nobody reads or writes any more.
    pub(crate) fn close(&self) {
        lock(&self.own).take();
    }

    /// A file that nobody else has.
    fn new_file(&self) -> Result<PathBuf> {
        let mut own = lock(&self.own);
        let directory = match &*own {
            Some(directory) => directory,
            None => own.insert(OwnDirectory::create(&self.parent)?),
        };
        let number = self.next_file.fetch_add(1, Ordering::Relaxed);
        Ok(directory.path().join(format!("{number:08}.segment")))
    }
}

impl Default for CacheSpace {
    fn default() -> Self {
        Self::new(crate::RuntimeConfig::DEFAULT_CACHE_MEMORY_BYTES, &std::env::temp_dir())
    }
}

/// The part that one operator has, on one worker, of the memory and the directory of its process for data caches.
///
/// [`OperatorBuilder::cache_share`](crate::operator::OperatorBuilder::cache_share) gives an operator its share, for all
/// of its caches. Half of [`cache_memory_bytes`](crate::RuntimeConfig::cache_memory_bytes) is divided evenly among all
/// operators of the process that have one, so each has that for itself; the other half goes to whoever needs it first.
#[derive(Clone)]
pub struct CacheShare {
    space: Arc<CacheSpace>,
    memory: Rc<MemoryShare>,
}

impl CacheShare {
    /// A share of nothing else, outside of a job: so many bytes of memory, and files in `directory`, which is made
    /// if need be.
    pub fn alone(memory_bytes: u64, directory: &Path) -> Self {
        Self::of(&Arc::new(CacheSpace::new(memory_bytes, directory)))
    }

    /// One more share. The first one removes what a process has left behind that was killed.
    pub(crate) fn of(space: &Arc<CacheSpace>) -> Self {
        space.cleaned.call_once(|| directory::remove_left_over(&space.parent));
        CacheShare { space: Arc::clone(space), memory: Rc::new(MemoryShare::new(&space.budget)) }
    }

    pub(super) fn lease(&self) -> Lease {
        Lease::new(&self.memory)
    }

    pub(super) fn new_file(&self) -> Result<PathBuf> {
        self.space.new_file()
    }
}

impl std::fmt::Debug for CacheShare {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CacheShare").field("memory", &self.memory).finish_non_exhaustive()
    }
}
