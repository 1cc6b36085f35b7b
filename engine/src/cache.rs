//! Data that are read again and again: in memory up to a budget, then in files.
//!
//! A [`DataCache`] takes batches and gives them back in order, any number of times. [`memory`] shares one budget out
//! among the caches of a process, [`segment`] is the file of records (`docs/formats/data-cache.md`), [`directory`]
//! is where files lie and how those of a killed process are found.

mod directory;
mod footprint;
mod memory;
mod reader;
mod segment;
mod space;

use std::rc::Rc;

use crate::error::{Error, Result};
use crate::record::Record;
use memory::Lease;
use segment::SegmentWriter;

pub use reader::CacheReader;
pub use segment::SegmentFile;
pub use space::CacheShare;
pub(crate) use space::CacheSpace;

/// A file is finished when it has so many bytes, and the next one begun.
const SEGMENT_BYTES: u64 = 256 << 20;

/// Batches of records, to be read again from the start or from any position, in order, any number of times.
///
/// As long as its [share](CacheShare) of the process's memory for caches lasts, a cache keeps batches as they are,
/// and a reader clones them. What comes later is written to files, in the encoding that records have between
/// processes, and read back from there in blocks of about 64 KiB; one such block, or one batch if that is larger, is
/// in memory for each file that is being written or read.
///
/// **What counts** as memory of a batch is the capacity of its list times the size of a record, and for records that
/// own memory what they own: for each text and each list the bytes in it and 16 for the allocator. It is found
/// through serde, so the content of a `Box` does not count, nor do padding and spare capacity inside of records.
///
/// Files are removed when the cache and its readers are dropped. What a process leaves behind that is killed is
/// removed by the next one that caches data in the same directory.
///
/// # Examples
/// ```
/// use waterwheel_engine::{CachePosition, CacheShare, DataCache};
///
/// let directory = std::env::temp_dir();
/// let mut cache = DataCache::new(&CacheShare::alone(1 << 20, &directory));
/// cache.append(vec!["to be".to_string(), "or not".to_string()])?;
/// cache.append(vec!["to be".to_string()])?;
/// for _ in 0..2 {
///     let words: Vec<_> = cache.reader()?.collect::<Result<_, _>>()?;
///     assert_eq!(words.concat(), ["to be", "or not", "to be"]);
/// }
/// let rest = cache.reader_from(CachePosition { segment: 0, record: 2 })?;
/// assert_eq!(rest.position(), CachePosition { segment: 0, record: 2 });
/// assert_eq!(rest.map(|batch| batch.map(|batch| batch.len())).sum::<Result<usize, _>>()?, 1);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
pub struct DataCache<D: Record> {
    share: CacheShare,
    segments: Vec<Rc<Segment<D>>>,
    /// The file that is being written: the segment behind all others.
    open: Option<SegmentWriter<D>>,
    segment_bytes: u64,
    /// Something could not be written: it is not all there.
    is_incomplete: bool,
}

/// A run of records, in one place.
enum Segment<D> {
    Memory { batches: Vec<Vec<D>>, lease: Lease },
    File(SegmentFile),
}

/// Where a reader is: so many records have been read of this segment, and all of those before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CachePosition {
    /// Index of the segment, from 0. A stretch of records in memory is a segment, and so is each file.
    pub segment: usize,
    /// Number of its records that have been read.
    pub record: u64,
}

impl<D: Record> DataCache<D> {
    /// An empty cache.
    pub fn new(share: &CacheShare) -> Self {
        DataCache {
            share: share.clone(),
            segments: Vec::new(),
            open: None,
            segment_bytes: SEGMENT_BYTES,
            is_incomplete: false,
        }
    }

    /// Adds a batch behind all others.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the cache directory can not be written to;
    /// [`ErrorKind::Data`](crate::ErrorKind::Data) if the disk is full, or records can not be written (they fail to
    /// serialize). Then the cache is incomplete and all that is asked of it later is an error.
    pub fn append(&mut self, batch: Vec<D>) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let bytes = footprint::of(&batch);
        match self.keep(batch, bytes) {
            Some(batch) => self.writing(|cache| cache.append_to_file(batch, bytes)),
            None => Ok(()),
        }
    }

    fn append_to_file(&mut self, batch: Vec<D>, bytes: u64) -> Result<()> {
        let file = match &mut self.open {
            Some(file) => file,
            None => self.open.insert(SegmentWriter::create(self.share.new_file()?)?),
        };
        file.append(batch, bytes)?;
        if file.len_bytes() < self.segment_bytes { Ok(()) } else { self.finish_file() }
    }

    fn finish_file(&mut self) -> Result<()> {
        if let Some(file) = self.open.take() {
            self.segments.push(Rc::new(Segment::File(file.finish()?)));
        }
        Ok(())
    }

    /// Runs `write`, unless it is known that an earlier batch is missing.
    fn writing(&mut self, write: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        if self.is_incomplete {
            return Err(Error::data("a data cache is incomplete: an earlier batch could not be written"));
        }
        let written = write(self);
        self.is_incomplete = written.is_err();
        written
    }

    /// Keeps a batch in memory; gives it back if there is not enough.
    fn keep(&mut self, batch: Vec<D>, bytes: u64) -> Option<Vec<D>> {
        if self.open.is_some() || self.is_incomplete {
            return Some(batch);
        }
        // A segment that is being read stays as it is.
        if let Some(Segment::Memory { batches, lease }) = self.segments.last_mut().and_then(Rc::get_mut) {
            if !lease.grow(bytes) {
                return Some(batch);
            }
            batches.push(batch);
            return None;
        }
        let mut lease = self.share.lease();
        if !lease.grow(bytes) {
            return Some(batch);
        }
        self.segments.push(Rc::new(Segment::Memory { batches: vec![batch], lease }));
        None
    }

    /// Completes the file that is being written, if there is one. What comes later is a segment of its own.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn finish(&mut self) -> Result<()> {
        self.writing(Self::finish_file)
    }

    /// Reads all that is there now, from the start.
    ///
    /// # Errors
    /// Those of [`finish`](Self::finish).
    pub fn reader(&mut self) -> Result<CacheReader<D>> {
        self.reader_from(CachePosition::default())
    }

    /// Reads what is there now behind `position`.
    ///
    /// # Errors
    /// Those of [`finish`](Self::finish); [`ErrorKind::Data`](crate::ErrorKind::Data) if there is no such position,
    /// or if the file it is in can not be read.
    pub fn reader_from(&mut self, position: CachePosition) -> Result<CacheReader<D>> {
        self.finish()?;
        CacheReader::new(&self.share, self.segments.clone(), position)
    }

    /// The files that are complete, in order.
    pub fn files(&self) -> impl Iterator<Item = &SegmentFile> {
        self.segments.iter().filter_map(|segment| match &**segment {
            Segment::Memory { .. } => None,
            Segment::File(file) => Some(file),
        })
    }

    /// Number of segments, that of the file which is being written included.
    pub fn n_segments(&self) -> usize {
        self.segments.len() + usize::from(self.open.is_some())
    }

    /// What its batches in memory count for, in bytes.
    pub fn memory_bytes(&self) -> u64 {
        let bytes = self.segments.iter().map(|segment| match &**segment {
            Segment::Memory { lease, .. } => lease.bytes(),
            Segment::File(_) => 0,
        });
        bytes.sum()
    }
}

impl<D> Segment<D> {
    fn records(&self) -> u64 {
        match self {
            Segment::Memory { batches, .. } => batches.iter().map(|batch| batch.len() as u64).sum(),
            Segment::File(file) => file.records(),
        }
    }
}

impl<D: Record> std::fmt::Debug for DataCache<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DataCache")
            .field("n_segments", &self.n_segments())
            .field("memory_bytes", &self.memory_bytes())
            .finish_non_exhaustive()
    }
}

/// An error about a file or directory of a cache.
fn about(kind: crate::ErrorKind, what: &str, path: &std::path::Path) -> Error {
    Error::new(kind, format!("{what} {}", path.display()))
}

#[cfg(test)]
mod tests;
