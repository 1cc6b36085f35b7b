//! Reading a cache from any position.

use std::rc::Rc;

use crate::cache::segment::SegmentReader;
use crate::cache::{CachePosition, CacheShare, Segment};
use crate::error::{Error, Result};
use crate::record::Record;

/// Reads the batches of a [`DataCache`](crate::DataCache) in order: an iterator that ends after the last record, or
/// after the first error.
///
/// It reads what was there when it was made. Batches in memory are cloned; of a file one block at a time is read, from
/// front to back. A file that is damaged or not there is an [`ErrorKind::Data`](crate::ErrorKind::Data) error that
/// names the file and says what was found.
pub struct CacheReader<D: Record> {
    segments: Vec<Rc<Segment<D>>>,
    position: CachePosition,
    cursor: Cursor<D>,
    /// Keeps the directory of the files.
    _share: CacheShare,
}

/// Where a reader is inside of a segment.
enum Cursor<D> {
    /// Before the records at its position.
    Closed,
    /// Before the record `skip` of a batch.
    Memory {
        batch: usize,
        skip: usize,
    },
    File(SegmentReader<D>),
}

impl<D: Record> CacheReader<D> {
    pub(super) fn new(
        share: &CacheShare,
        segments: Vec<Rc<Segment<D>>>,
        position: CachePosition,
    ) -> Result<Self> {
        let CachePosition { segment, record } = position;
        let n = segments.get(segment).map_or(0, |segment| segment.records());
        if segment > segments.len() || record > n {
            let all = segments.len();
            return Err(Error::data(format!(
                "position {record} in segment {segment} of a data cache: it has {all} segments, and that one {n} records"
            )));
        }
        Ok(CacheReader { segments, position, cursor: Cursor::Closed, _share: share.clone() })
    }

    /// Where it is: behind all that it has given out.
    pub fn position(&self) -> CachePosition {
        self.position
    }

    fn read(&mut self) -> Result<Option<Vec<D>>> {
        while let Some(segment) = self.segments.get(self.position.segment) {
            let batch = match &**segment {
                Segment::Memory { batches, .. } => self.cursor.next_in_memory(batches, self.position.record),
                Segment::File(file) => {
                    if let Cursor::Closed = self.cursor {
                        self.cursor = Cursor::File(SegmentReader::open(file, self.position.record)?);
                    }
                    match &mut self.cursor {
                        Cursor::File(reader) => reader.next(file)?,
                        _ => None,
                    }
                }
            };
            match batch {
                Some(batch) => {
                    self.position.record += batch.len() as u64;
                    return Ok(Some(batch));
                }
                None => {
                    self.position = CachePosition { segment: self.position.segment + 1, record: 0 };
                    self.cursor = Cursor::Closed;
                }
            }
        }
        Ok(None)
    }
}

impl<D: Clone> Cursor<D> {
    /// A copy of the next batch; `position` is where reading begins.
    fn next_in_memory(&mut self, batches: &[Vec<D>], position: u64) -> Option<Vec<D>> {
        let (index, skip) = match self {
            Cursor::Memory { batch, skip } => (*batch, *skip),
            _ => find(batches, position),
        };
        *self = Cursor::Memory { batch: index + 1, skip: 0 };
        batches.get(index).map(|batch| batch[skip..].to_vec())
    }
}

/// The batch that the record at `position` is in, and how many are before it there.
fn find<D>(batches: &[Vec<D>], position: u64) -> (usize, usize) {
    let mut left = position;
    for (index, batch) in batches.iter().enumerate() {
        if left < batch.len() as u64 {
            return (index, left as usize);
        }
        left -= batch.len() as u64;
    }
    (batches.len(), 0)
}

impl<D: Record> Iterator for CacheReader<D> {
    type Item = Result<Vec<D>>;

    #[inline]
    fn next(&mut self) -> Option<Result<Vec<D>>> {
        let batch = self.read();
        if batch.is_err() {
            self.segments.clear();
        }
        batch.transpose()
    }
}

impl<D: Record> std::fmt::Debug for CacheReader<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CacheReader").field("position", &self.position).finish_non_exhaustive()
    }
}
