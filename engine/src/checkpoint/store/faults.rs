//! Storage that fails on purpose: for tests of what stands on it.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::checkpoint::store::storage::{Listing, ObjectInfo, Storage, StorageError, Trouble, Upload};

/// What goes wrong with a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StorageFault {
    /// Nothing is written, and that is said.
    FailedWrite,
    /// The first part of the bytes is there under the name, and the call fails.
    TornWrite,
    /// One byte is wrong, and the call says that all is well.
    CorruptByte,
    /// No space is left.
    FullDisk,
    /// Neither reading nor writing is permitted.
    PermissionLost,
    /// All is written, but the answer does not come in time.
    TimeOut,
    /// It takes so long, and then it is done; [`FaultyStorage::mend`] ends the wait.
    Slow(Duration),
}

/// A storage around another one that fails by a seed, or as long as it is told to.
///
/// Whether a write fails depends on the seed, the name of the object and how often that was written to, and not on what
/// other threads do: one seed is one schedule.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use waterwheel_engine::checkpoint::{CheckpointMeta, CheckpointStore, FaultyStorage, StorageFault};
///
/// let healthy = CheckpointStore::in_memory("words")?;
/// let storage = Arc::new(FaultyStorage::new(healthy.shared_storage(), 7));
/// let store = CheckpointStore::on(storage.clone(), "words")?;
/// let attempt = store.claim_attempt(0)?;
///
/// storage.fail_with(StorageFault::FullDisk);
/// assert!(store.writer(attempt, 1, 0).finish().is_err());
/// storage.mend();
/// let (part, _) = store.writer(attempt, 2, 0).finish()?;
/// store.commit(2, &[part], CheckpointMeta { attempt, ..Default::default() })?;
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Debug)]
pub struct FaultyStorage {
    inner: Arc<dyn Storage>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    seed: u64,
    /// Faults that come by themselves, and of 1000 writes how many have each.
    rates: Vec<(StorageFault, u64)>,
    state: Mutex<State>,
    mended: Condvar,
    injected: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// What all calls have now.
    standing: Option<StorageFault>,
    /// How often each object was written to.
    writes: FxHashMap<String, u64>,
}

impl FaultyStorage {
    /// Passes everything on, until told otherwise.
    pub fn new(inner: Arc<dyn Storage>, seed: u64) -> Self {
        Self::with_rates(inner, seed, &[])
    }

    /// Fails by itself: of 1000 writes so many with each of these faults.
    pub fn with_rates(inner: Arc<dyn Storage>, seed: u64, rates: &[(StorageFault, u64)]) -> Self {
        let (state, mended, injected) = (Mutex::default(), Condvar::new(), AtomicU64::new(0));
        FaultyStorage {
            inner,
            shared: Arc::new(Shared { seed, rates: rates.to_vec(), state, mended, injected }),
        }
    }

    /// Every call has this fault from now on.
    pub fn fail_with(&self, fault: StorageFault) {
        self.shared.state().standing = Some(fault);
    }

    /// Ends what [`fail_with`](Self::fail_with) has begun.
    pub fn mend(&self) {
        self.shared.state().standing = None;
        self.shared.mended.notify_all();
    }

    /// Number of faults so far.
    pub fn injected(&self) -> u64 {
        self.shared.injected.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self, name: &str, what: &str, kind: std::io::ErrorKind) -> StorageError {
        let trouble = match kind {
            std::io::ErrorKind::TimedOut => Trouble::TimedOut,
            _ => Trouble::Other,
        };
        let message = format!("injected fault (seed {}): {what} {name}", self.seed);
        StorageError::new(trouble, message).caused_by(std::io::Error::from(kind))
    }

    /// The fault of the next write to an object.
    fn next_fault(&self, name: &str) -> Option<StorageFault> {
        let mut state = self.state();
        let writes = state.writes.entry(name.to_owned()).or_default();
        *writes += 1;
        let draw =
            xxh3_64_with_seed(name.as_bytes(), self.seed ^ writes.wrapping_mul(0x9e37_79b9_7f4a_7c15)) % 1000;
        let mut below = 0;
        let drawn = self.rates.iter().find(|(_, rate)| {
            below += rate;
            draw < below
        });
        let fault = state.standing.or(drawn.map(|(fault, _)| *fault));
        self.injected.fetch_add(u64::from(fault.is_some()), Ordering::Relaxed);
        fault
    }

    /// Fails a call that only reads, where nothing is permitted.
    fn check_reading(&self, name: &str) -> Result<(), StorageError> {
        let standing = self.state().standing;
        match standing {
            Some(StorageFault::PermissionLost) => {
                self.injected.fetch_add(1, Ordering::Relaxed);
                Err(self.error(name, "can not read", std::io::ErrorKind::PermissionDenied))
            }
            _ => Ok(()),
        }
    }

    /// Writes with the next fault of an object.
    fn write(
        &self,
        name: &str,
        mut bytes: Vec<u8>,
        write: &mut dyn FnMut(Vec<u8>) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        use std::io::ErrorKind::{PermissionDenied, StorageFull, TimedOut, WriteZero};
        let Some(fault) = self.next_fault(name) else { return write(bytes) };
        match fault {
            StorageFault::FailedWrite => Err(self.error(name, "can not write", std::io::ErrorKind::Other)),
            StorageFault::FullDisk => Err(self.error(name, "can not write", StorageFull)),
            StorageFault::PermissionLost => Err(self.error(name, "can not write", PermissionDenied)),
            StorageFault::TornWrite => {
                bytes.truncate(bytes.len() / 2);
                write(bytes)?;
                Err(self.error(name, "wrote half of", WriteZero))
            }
            StorageFault::CorruptByte => {
                let at = xxh3_64_with_seed(name.as_bytes(), self.seed) as usize % bytes.len().max(1);
                bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= 0x10);
                write(bytes)
            }
            StorageFault::TimeOut => {
                write(bytes)?;
                Err(self.error(name, "no answer in time when writing", TimedOut))
            }
            StorageFault::Slow(wait) => {
                let state = self.state();
                let waited =
                    self.mended.wait_timeout_while(state, wait, |state| state.standing == Some(fault));
                drop(waited);
                write(bytes)
            }
        }
    }
}

impl Storage for FaultyStorage {
    fn create(&self, name: &str, bytes: Vec<u8>) -> Result<(), StorageError> {
        self.shared.write(name, bytes, &mut |bytes| self.inner.create(name, bytes))
    }

    fn upload(&self, name: &str) -> Result<Box<dyn Upload>, StorageError> {
        self.shared.check_reading(name)?;
        let upload = self.inner.upload(name)?;
        Ok(Box::new(FaultyUpload { upload, name: name.to_owned(), shared: Arc::clone(&self.shared) }))
    }

    fn read(&self, name: &str, range: Range<u64>) -> Result<Vec<u8>, StorageError> {
        self.shared.check_reading(name)?;
        self.inner.read(name, range)
    }

    fn head(&self, name: &str) -> Result<ObjectInfo, StorageError> {
        self.shared.check_reading(name)?;
        self.inner.head(name)
    }

    fn list(&self, directory: &str) -> Result<Listing, StorageError> {
        self.shared.check_reading(directory)?;
        self.inner.list(directory)
    }

    fn unfinished(&self, directory: &str) -> Result<Vec<String>, StorageError> {
        self.shared.check_reading(directory)?;
        self.inner.unfinished(directory)
    }

    fn delete(&self, name: &str) -> Result<(), StorageError> {
        self.shared.check_reading(name)?;
        self.inner.delete(name)
    }
}

struct FaultyUpload {
    upload: Box<dyn Upload>,
    name: String,
    shared: Arc<Shared>,
}

impl Upload for FaultyUpload {
    fn write(&mut self, bytes: Vec<u8>) -> Result<(), StorageError> {
        let upload = &mut self.upload;
        self.shared.write(&self.name, bytes, &mut |bytes| upload.write(bytes))
    }

    fn complete(&mut self) -> Result<(), StorageError> {
        self.upload.complete()
    }

    fn abort(&mut self) {
        self.upload.abort();
    }
}
