//! Where checkpoints are kept: parts and manifests in a directory or an object store.
//!
//! Knows nothing of running jobs. Every call waits for the storage, so none belongs on a worker thread.

mod checkpoint;
mod faults;
mod hex;
mod layout;
mod location;
mod manifest;
mod object;
mod part;
mod reader;
mod requests;
mod retention;
mod section;
mod storage;
mod table;
mod verify;
mod writer;

use std::sync::Arc;

pub use checkpoint::{Checkpoint, Section, Sections};
pub use faults::{FaultyStorage, StorageFault};
pub use manifest::CheckpointMeta;
pub use part::{PartInfo, PartRef};
pub use retention::{Garbage, GarbageScope};
pub use section::SectionKey;
pub use storage::{CHUNK, Listing, ObjectInfo, Storage, StorageError, Trouble, Upload};
pub use table::{SectionSummary, SectionTable};
pub use writer::PartWriter;

use crate::error::{Error, ErrorKind, Result};
use layout::Layout;
use manifest::Manifest;

/// The checkpoints of one job.
///
/// A checkpoint is one part of each worker, written by [`writer`](Self::writer), and a manifest that
/// [`commit`](Self::commit) writes last: it is there whole or not at all. Handles are cheap to clone, and may be in many
/// threads and processes at once. The bytes are described in `docs/formats/checkpoint.md`.
///
/// # Examples
/// ```
/// use waterwheel_engine::checkpoint::{CheckpointMeta, CheckpointStore, Newest, SectionKey};
///
/// let directory = tempfile::tempdir().map_err(|e| waterwheel_engine::Error::config("tempdir").caused_by(e))?;
/// let store = CheckpointStore::open(&directory.path().to_string_lossy(), "words")?;
/// assert!(matches!(store.newest()?, Newest::Never));
///
/// let attempt = store.claim_attempt(0)?;
/// let mut part = store.writer(attempt, 1, 0);
/// part.put(&SectionKey::new("lines", "position"), None, b"4711")?;
/// let (info, _table) = part.finish()?;
/// store.commit(1, &[info], CheckpointMeta { attempt, ..Default::default() })?;
///
/// let Newest::Found { checkpoint, .. } = store.newest()? else { panic!("it was committed") };
/// assert_eq!(checkpoint.epoch(), 1);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct CheckpointStore {
    storage: Arc<dyn Storage>,
    layout: Layout,
}

/// What there is to restore from.
#[derive(Debug)]
pub enum Newest {
    /// No checkpoint of this job was ever committed here: a clean start is right.
    Never,
    /// There were checkpoints, and none can be restored. The error says what is wrong with each; a clean start would
    /// lose what they held.
    Lost(Error),
    /// There is one, whole and with every checksum right.
    Found {
        /// The newest such checkpoint.
        checkpoint: Checkpoint,
        /// Newer ones that are damaged, newest first; each was named in a warning.
        passed_over: Vec<Error>,
    },
}

impl CheckpointStore {
    /// Opens the checkpoints of a job.
    ///
    /// `location` is a directory, which is made if it is not there, or a URL such as `s3://bucket/below`, in a build with
    /// the feature `s3`, `gcs` or `azure`; credentials then come from the environment, under the names that the tools of
    /// the cloud use.
    ///
    /// # Errors
    /// [`ErrorKind::Config`]: the directory can not be used, the scheme is not known, or the name of the job is not 1 to
    /// 128 letters of ASCII, digits, `.`, `_` and `-`.
    pub fn open(location: &str, job: &str) -> Result<Self> {
        let layout = Layout::new(job)?;
        Ok(CheckpointStore { storage: Arc::new(location::open(location)?), layout })
    }

    /// Opens checkpoints to look at them: a directory that is not there is not made.
    ///
    /// # Errors
    /// As [`open`](Self::open), and if the directory is not there.
    pub fn open_existing(location: &str, job: &str) -> Result<Self> {
        let layout = Layout::new(job)?;
        Ok(CheckpointStore { storage: Arc::new(location::open_existing(location)?), layout })
    }

    /// A store in memory, gone with its last handle: for tests.
    ///
    /// # Errors
    /// As [`open`](Self::open), for the name of the job.
    pub fn in_memory(job: &str) -> Result<Self> {
        Self::on(Arc::new(location::memory()?), job)
    }

    /// A store on a place of your own.
    ///
    /// # Errors
    /// As [`open`](Self::open), for the name of the job.
    pub fn on(storage: Arc<dyn Storage>, job: &str) -> Result<Self> {
        Ok(CheckpointStore { storage, layout: Layout::new(job)? })
    }

    /// The jobs that have checkpoints, or attempts at one, at a location that is there; in order of name.
    ///
    /// # Errors
    /// As [`open_existing`](Self::open_existing), and [`ErrorKind::Storage`].
    pub fn jobs(location: &str) -> Result<Vec<String>> {
        let storage = location::open_existing(location)?;
        let mut jobs = Vec::new();
        for directory in storage.list("").map_err(StorageError::into_error)?.directories {
            let Ok(layout) = Layout::new(&directory) else { continue };
            let inside = storage.list(layout.job()).map_err(StorageError::into_error)?.directories;
            if inside.iter().any(|name| layout::DIRECTORIES.contains(&name.as_str())) {
                jobs.push(directory);
            }
        }
        Ok(jobs)
    }

    /// The name of the job.
    pub fn job(&self) -> &str {
        self.layout.job()
    }

    /// Takes a number for an attempt at the job: above all that were taken before, and `at_least` this one. From then on
    /// earlier attempts can not commit any more. One process calls it, before it reads [`newest`](Self::newest), and
    /// tells the others.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`]; [`ErrorKind::Config`] if no number is left.
    pub fn claim_attempt(&self, at_least: u64) -> Result<u64> {
        loop {
            let next = self.newest_attempt()?.map_or(Some(0), |taken| taken.checked_add(1));
            let attempt =
                next.ok_or_else(|| Error::config("all numbers of attempts are taken"))?.max(at_least);
            match self.storage.create(&self.layout.attempt(attempt), Vec::new()) {
                // Another process was faster.
                Err(error) if error.trouble() == Trouble::AlreadyExists => {}
                done => return done.map(|()| attempt).map_err(StorageError::into_error),
            }
        }
    }

    /// The newest attempt that was begun.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`].
    pub fn newest_attempt(&self) -> Result<Option<u64>> {
        let taken = self.storage.list(&self.layout.attempts()).map_err(StorageError::into_error)?.objects;
        Ok(taken.iter().filter_map(|object| layout::number(&object.name)).max())
    }

    /// Begins the part of a worker for an epoch. Only the attempt that has claimed a number writes under it: a part is
    /// written once.
    pub fn writer(&self, attempt: u64, epoch: u64, worker: u32) -> PartWriter {
        PartWriter::new(self.clone(), attempt, epoch, worker)
    }

    /// Makes a checkpoint of the parts of all workers: writes the manifest, unless there is one of this epoch. To commit
    /// the same once more does nothing.
    ///
    /// # Errors
    /// * [`ErrorKind::Fenced`]: a later attempt has begun, or another one has committed this epoch. The caller must end.
    /// * [`ErrorKind::Storage`]: it can not be written, and this checkpoint has failed. After a time-out it may be there
    ///   nevertheless.
    /// * [`ErrorKind::Data`]: a part that it needs is not there, or there is a manifest of this epoch that is damaged.
    /// * [`ErrorKind::Internal`]: the parts are not of this epoch and attempt, or not one of each worker.
    pub fn commit(&self, epoch: u64, parts: &[PartInfo], meta: CheckpointMeta) -> Result<()> {
        let manifest = Manifest::new(self.job(), epoch, parts, meta)?;
        let attempt = manifest.attempt;
        if let Some(later) = self.newest_attempt()?.filter(|newest| *newest > attempt) {
            return Err(self.fenced(epoch, attempt, later));
        }
        manifest.all_parts().try_for_each(|part| reader::check_length(&*self.storage, &self.layout, part))?;
        let bytes = manifest.encode()?;
        match self.storage.create(&self.layout.manifest(epoch), bytes) {
            Err(error) if error.trouble() == Trouble::AlreadyExists => self.check_same(&manifest)?,
            done => done.map_err(StorageError::into_error)?,
        }
        self.note_committed();
        Ok(())
    }

    /// The newest checkpoint of which every byte was read and found right. Damaged ones are named in a warning and passed
    /// over.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`]: something can not be read now, which is no reason to go back to an older one.
    /// [`ErrorKind::Config`]: one was written in a later version of the format.
    pub fn newest(&self) -> Result<Newest> {
        let mut passed_over = Vec::new();
        for epoch in self.epochs()?.into_iter().rev() {
            match self.verify(epoch) {
                Ok(checkpoint) => return Ok(Newest::Found { checkpoint, passed_over }),
                Err(error) if error.kind() == ErrorKind::Data => {
                    tracing::warn!(job = self.job(), epoch, "damaged checkpoint: {}", error.full_message());
                    passed_over.push(error);
                }
                Err(error) => return Err(error),
            }
        }
        if passed_over.is_empty() && !self.has_committed()? {
            return Ok(Newest::Never);
        }
        Ok(Newest::Lost(self.lost(&passed_over)))
    }

    /// Whether a checkpoint was ever committed here, even if none is left.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`].
    pub fn has_committed(&self) -> Result<bool> {
        match self.storage.head(&self.layout.committed()) {
            Ok(_) => Ok(true),
            Err(error) if error.trouble() == Trouble::NotFound => Ok(!self.epochs()?.is_empty()),
            Err(error) => Err(error.into_error()),
        }
    }

    /// The checkpoint of an epoch, of which only manifest and offset tables are read now. Sections are checked when they
    /// are read.
    ///
    /// # Errors
    /// [`ErrorKind::Data`]: it is damaged or not there. Else as [`newest`](Self::newest).
    pub fn checkpoint(&self, epoch: u64) -> Result<Checkpoint> {
        let (manifest, written) = self.manifest(epoch)?;
        Checkpoint::open(self.clone(), manifest, written)
    }

    /// The checkpoint of an epoch, after every byte that it stands on was read and found right.
    ///
    /// # Errors
    /// As [`checkpoint`](Self::checkpoint).
    pub fn verify(&self, epoch: u64) -> Result<Checkpoint> {
        let checkpoint = self.checkpoint(epoch)?;
        verify::verify(self, &checkpoint.manifest)?;
        Ok(checkpoint)
    }

    /// The epochs of all manifests, damaged ones too, ascending.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`].
    pub fn epochs(&self) -> Result<Vec<u64>> {
        let manifests =
            self.storage.list(&self.layout.manifests()).map_err(StorageError::into_error)?.objects;
        Ok(manifests.iter().filter_map(|object| layout::manifest_epoch(&object.name)).collect())
    }

    /// The first epoch above all manifests, damaged ones too: where an attempt must go on, because an epoch is committed
    /// once.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`].
    pub fn next_epoch(&self) -> Result<u64> {
        Ok(self.epochs()?.last().map_or(0, |epoch| epoch.saturating_add(1)))
    }

    /// The place itself, for a store of another job or with [`FaultyStorage`] between.
    pub fn shared_storage(&self) -> Arc<dyn Storage> {
        Arc::clone(&self.storage)
    }

    fn storage(&self) -> &dyn Storage {
        &*self.storage
    }

    fn layout(&self) -> &Layout {
        &self.layout
    }

    /// A manifest, and when it was written.
    fn manifest(&self, epoch: u64) -> Result<(Manifest, String)> {
        let name = self.layout.manifest(epoch);
        let read = self.storage.head(&name).and_then(|info| match info.length {
            // An empty range is none to some places.
            0 => Ok((Vec::new(), info.written)),
            length => Ok((self.storage.read(&name, 0..length)?, info.written)),
        });
        match read {
            Ok((bytes, written)) => Ok((Manifest::decode(&bytes, &name, self.job(), epoch)?, written)),
            Err(error) if error.trouble() == Trouble::NotFound => {
                Err(Error::data(format!("{name}: it is missing")))
            }
            Err(error) => Err(error.into_error()),
        }
    }

    /// Checks that the manifest that is there is this one.
    fn check_same(&self, manifest: &Manifest) -> Result<()> {
        let (found, _) = self.manifest(manifest.epoch)?;
        if found == *manifest {
            Ok(())
        } else {
            Err(self.fenced(manifest.epoch, manifest.attempt, found.attempt))
        }
    }

    fn fenced(&self, epoch: u64, attempt: u64, other: u64) -> Error {
        let job = self.job();
        let what = if other > attempt { "has taken over" } else { "has committed it" };
        Error::fenced(format!(
            "attempt {attempt} can not commit epoch {epoch} of job {job}: attempt {other} {what}"
        ))
    }

    /// Leaves a mark that there was a checkpoint, for the day on which none is left.
    fn note_committed(&self) {
        match self.storage.create(&self.layout.committed(), Vec::new()) {
            Err(error) if error.trouble() != Trouble::AlreadyExists => {
                tracing::warn!(
                    "a mark beside the checkpoint is missing: {}",
                    error.into_error().full_message()
                );
            }
            _ => {}
        }
    }

    fn lost(&self, passed_over: &[Error]) -> Error {
        let job = self.job();
        let each: Vec<_> = passed_over.iter().map(Error::full_message).collect();
        let what = if each.is_empty() { "all were removed".into() } else { each.join("; ") };
        Error::data(format!("job {job} had checkpoints here, and none can be restored: {what}"))
    }
}

#[cfg(test)]
mod tests;
