//! Writing a part, section by section.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_64;

use crate::checkpoint::store::CheckpointStore;
use crate::checkpoint::store::part::{Author, Footer, HEADER, PartInfo, PartRef};
use crate::checkpoint::store::reader::SectionReader;
use crate::checkpoint::store::section::{self, SectionKey};
use crate::checkpoint::store::storage::{CHUNK, StorageError, Trouble, Upload};
use crate::checkpoint::store::table::{Address, Place, SectionTable};
use crate::error::{Error, Result};
use crate::hash::KEY_GROUPS;

/// Earlier parts that a part may refer to; what is in others is copied.
const MAX_REFERRED: usize = 16;
/// A part of which less than one in so many bytes is still in use is not referred to; its bytes are copied.
const SPARSE: u64 = 8;

/// Writes the state of one worker as of one epoch.
///
/// Sections that have changed are [`put`](Self::put), sections that have not are [taken over](Self::carry). Nothing is
/// there before [`finish`](Self::finish), and nothing counts before
/// [`CheckpointStore::commit`]. Call it on a thread that may wait: it compresses and writes.
///
/// # Examples
/// ```
/// use waterwheel_engine::checkpoint::{CheckpointMeta, CheckpointStore, SectionKey};
///
/// let store = CheckpointStore::in_memory("words")?;
/// let attempt = store.claim_attempt(0)?;
/// let state = SectionKey::new("count", "state");
/// let mut part = store.writer(attempt, 1, 0);
/// part.put(&state, Some(17), b"rows of group 17")?;
/// let (info, table) = part.finish()?;
/// store.commit(1, &[info], CheckpointMeta { attempt, ..Default::default() })?;
///
/// // Nothing has changed since.
/// let mut part = store.writer(attempt, 2, 0);
/// part.carry(&table, &state, Some(17))?;
/// let (info, _) = part.finish()?;
/// store.commit(2, &[info], CheckpointMeta { attempt, ..Default::default() })?;
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
pub struct PartWriter {
    store: CheckpointStore,
    attempt: u64,
    epoch: u64,
    worker: u32,
    /// What is not written yet; the first of it is at `flushed`.
    buffer: Vec<u8>,
    /// Where sections are compressed.
    packed: Vec<u8>,
    flushed: u64,
    upload: Option<Box<dyn Upload>>,
    sections: BTreeMap<Address, Vec<(Option<PartRef>, Place)>>,
    /// A write has failed: the part is lost.
    failed: bool,
}

impl std::fmt::Debug for PartWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let PartWriter { attempt, epoch, worker, .. } = self;
        f.debug_struct("PartWriter").field("part", &(attempt, epoch, worker)).finish_non_exhaustive()
    }
}

impl PartWriter {
    pub(super) fn new(store: CheckpointStore, attempt: u64, epoch: u64, worker: u32) -> Self {
        PartWriter {
            store,
            attempt,
            epoch,
            worker,
            buffer: HEADER.to_vec(),
            packed: Vec::new(),
            flushed: 0,
            upload: None,
            sections: BTreeMap::new(),
            failed: false,
        }
    }

    /// Adds a section: the bytes of a key group in `0..128`, or of state that belongs to no key. Several of one key and
    /// group come back one by one, in this order.
    ///
    /// # Errors
    /// The key group is out of range, or the storage fails; then the part is lost.
    pub fn put(&mut self, key: &SectionKey, key_group: Option<u32>, bytes: &[u8]) -> Result<()> {
        if let Some(group) = key_group.filter(|group| u64::from(*group) >= KEY_GROUPS) {
            return Err(Error::internal(format!(
                "section {key}: key group {group}, expected 0..{KEY_GROUPS}"
            )));
        }
        let at = self.buffer.len();
        section::store(bytes, &mut self.packed, &mut self.buffer);
        let place = Place {
            offset: self.flushed + at as u64,
            stored: (self.buffer.len() - at) as u64,
            length: bytes.len() as u64,
            xxh3: xxh3_64(&self.buffer[at..]),
        };
        self.add(key, key_group, None, place);
        self.flush()
    }

    /// Takes over the sections of a key and key group from an earlier checkpoint, which must be committed and not yet
    /// removed: `base` is the table of this worker's part of it, or of the checkpoint that was restored. Takes the
    /// newest one; where it was not committed after all, write in full.
    ///
    /// Bytes are copied only where the earlier part is hardly in use any more.
    ///
    /// # Errors
    /// `base` has no such section.
    pub fn carry(&mut self, base: &SectionTable, key: &SectionKey, key_group: Option<u32>) -> Result<()> {
        let places = base.get(&(key.clone(), key_group));
        if places.is_empty() {
            return Err(Error::internal(format!(
                "section {key} of key group {key_group:?} can not be taken over: the earlier checkpoint has none"
            )));
        }
        places.iter().for_each(|(part, place)| self.add(key, key_group, Some(*part), *place));
        Ok(())
    }

    /// As [`carry`](Self::carry), of all key groups that `base` has of a key; there may be none. What is [put](Self::put)
    /// now comes behind it.
    ///
    /// # Errors
    /// As [`carry`](Self::carry).
    pub fn carry_all(&mut self, base: &SectionTable, key: &SectionKey) -> Result<()> {
        base.key_groups(key).try_for_each(|key_group| self.carry(base, key, key_group))
    }

    /// Makes the part durable. The first of what it returns goes to the worker that commits; the second is for
    /// [`carry`](Self::carry) after that.
    ///
    /// # Errors
    /// The storage fails, or a section that was to be copied is damaged.
    pub fn finish(mut self) -> Result<(PartInfo, SectionTable)> {
        if self.failed {
            return Err(Error::storage("a part can not be finished: a write of it has failed before"));
        }
        self.copy_sparse()?;
        let layout = self.store.layout().clone();
        let (attempt, epoch, worker) = (self.attempt, self.epoch, self.worker);
        let author = Author { job: layout.job(), attempt, epoch, worker };
        let located = self.sections.iter().flat_map(|((key, key_group), places)| {
            places.iter().map(move |(part, place)| (key, *key_group, *part, *place))
        });
        let footer = Footer::new(author, located);
        let (bytes, checksum) = footer.encode()?;
        self.buffer.extend(bytes);
        let length = self.flushed + self.buffer.len() as u64;
        let part = PartRef { attempt, epoch, worker, length, checksum };
        self.end(&part.name(&layout))?;
        let info = PartInfo { part, refers_to: footer.refers_to().to_vec() };
        let table = footer.into_table(part).map_err(Error::internal)?;
        Ok((info, table))
    }

    fn add(&mut self, key: &SectionKey, key_group: Option<u32>, part: Option<PartRef>, place: Place) {
        self.sections.entry((key.clone(), key_group)).or_default().push((part, place));
    }

    /// Writes what is whole chunks.
    fn flush(&mut self) -> Result<()> {
        while self.buffer.len() > CHUNK {
            let rest = self.buffer.split_off(CHUNK);
            self.flushed += CHUNK as u64;
            let chunk = std::mem::replace(&mut self.buffer, rest);
            self.write(chunk)?;
        }
        Ok(())
    }

    fn write(&mut self, chunk: Vec<u8>) -> Result<()> {
        let written = self.begin().and_then(|upload| upload.write(chunk).map_err(StorageError::into_error));
        self.failed |= written.is_err();
        written
    }

    fn begin(&mut self) -> Result<&mut dyn Upload> {
        if self.failed {
            return Err(Error::storage("a part can not be written on: a write of it has failed before"));
        }
        let upload = match self.upload.take() {
            Some(upload) => upload,
            None => {
                let name = self.store.layout().part(self.attempt, self.epoch, self.worker);
                self.check_new(&name)?;
                self.store.storage().upload(&name).map_err(StorageError::into_error)?
            }
        };
        Ok(self.upload.insert(upload).as_mut())
    }

    /// An upload takes the place of what is there; a part must not.
    fn check_new(&self, name: &str) -> Result<()> {
        match self.store.storage().head(name) {
            Err(error) if error.trouble() == Trouble::NotFound => Ok(()),
            Err(error) => Err(error.into_error()),
            Ok(_) => Err(Error::storage(format!("can not write {name}: it is there already"))),
        }
    }

    /// Writes the rest: in one call where nothing was written before.
    fn end(&mut self, name: &str) -> Result<()> {
        self.flush()?;
        let rest = std::mem::take(&mut self.buffer);
        if self.upload.is_none() {
            return self.store.storage().create(name, rest).map_err(StorageError::into_error);
        }
        self.write(rest)?;
        let mut upload = self.upload.take();
        upload.as_mut().map_or(Ok(()), |upload| upload.complete().map_err(StorageError::into_error))
    }

    /// Copies what is in parts that are hardly in use any more, or too many.
    fn copy_sparse(&mut self) -> Result<()> {
        let mut used = BTreeMap::<PartRef, u64>::new();
        for (part, place) in self.sections.values().flatten() {
            if let Some(part) = part {
                *used.entry(*part).or_default() += place.stored;
            }
        }
        // The fullest are referred to.
        let mut parts: Vec<_> = used.into_iter().map(|(part, used)| (used, part)).collect();
        parts.sort_by(|a, b| b.cmp(a));
        let dense = |(used, part): &&(u64, PartRef)| used.saturating_mul(SPARSE) >= part.length;
        let kept: Vec<_> = parts.iter().filter(dense).take(MAX_REFERRED).map(|(_, part)| *part).collect();
        let addresses: Vec<_> = self.sections.keys().cloned().collect();
        addresses.iter().try_for_each(|address| self.copy_unless_in(&kept, address))
    }

    fn copy_unless_in(&mut self, kept: &[PartRef], address: &Address) -> Result<()> {
        let Some(mut places) = self.sections.remove(address) else { return Ok(()) };
        let store = self.store.clone();
        for (part, place) in &mut places {
            let Some(earlier) = part.filter(|part| !kept.contains(part)) else { continue };
            let mut reader = SectionReader::new(store.storage(), store.layout(), [(earlier, *place)]);
            let stored =
                reader.next_stored().unwrap_or_else(|| Err(Error::internal("no section to copy")))?.1;
            (*part, place.offset) = (None, self.flushed + self.buffer.len() as u64);
            self.buffer.extend_from_slice(stored);
            self.flush()?;
        }
        self.sections.insert(address.clone(), places);
        Ok(())
    }
}

impl Drop for PartWriter {
    /// Gives up what was not finished.
    fn drop(&mut self) {
        if let Some(mut upload) = self.upload.take() {
            upload.abort();
        }
    }
}
