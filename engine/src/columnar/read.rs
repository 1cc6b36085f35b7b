//! Sources from files of columns.

use std::marker::PhantomData;
use std::panic::Location;
use std::path::PathBuf;
use std::rc::Rc;

use arrow_array::{Array, StructArray};
use serde::de::DeserializeOwned;

use super::files::{self, FilePart, Ipc, Parquet, PartFormat, can_not_read};
use super::row::Cell;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::source::{Source, SourcePosition, SourceStatus, Split, Splits, expand_all};
use crate::stream::DataStream;

impl<'s> Env<'s> {
    /// The records of Parquet files. Workers read them by row groups; paths are those of [`read_csv`](Self::read_csv).
    ///
    /// The fields of a struct `R` are columns by name, those of a tuple by place; further columns are ignored. A null is
    /// `None`. Dates are days, and timestamps are numbers in the unit of their column, since 1970. Files may be those of any
    /// program, with nothing, Snappy or LZ4 as compression.
    ///
    /// A job that goes on from a checkpoint reads the rest of the row groups of the run before, and so on as many workers as
    /// that had, or fewer.
    ///
    /// # Errors
    /// No path is given, or a file can not be opened or is no Parquet. Then, during the run, an
    /// [`ErrorKind::Data`](crate::ErrorKind::Data) error that names file, row and column of a value that `R` can not be read
    /// from.
    ///
    /// # Examples
    /// See [`write_parquet`](DataStream::write_parquet).
    #[track_caller]
    pub fn read_parquet<R: DeserializeOwned + 'static>(
        &self,
        paths: impl IntoIterator<Item: Into<PathBuf>>,
    ) -> Result<DataStream<'s, R>> {
        self.read_columns::<Parquet, R>("read_parquet", Location::caller(), expand_all(paths)?)
    }

    /// As [`read_parquet`](Self::read_parquet), of files of Arrow IPC, whose batches are its row groups.
    ///
    /// # Errors
    /// As there.
    #[track_caller]
    pub fn read_arrow<R: DeserializeOwned + 'static>(
        &self,
        paths: impl IntoIterator<Item: Into<PathBuf>>,
    ) -> Result<DataStream<'s, R>> {
        self.read_columns::<Ipc, R>("read_arrow", Location::caller(), expand_all(paths)?)
    }

    fn read_columns<F: PartFormat, R: DeserializeOwned + 'static>(
        &self,
        name: &'static str,
        location: &'static Location<'static>,
        paths: Vec<PathBuf>,
    ) -> Result<DataStream<'s, R>> {
        if paths.is_empty() {
            return Err(Error::config(format!("{name} has no files, expected at least one path")));
        }
        let parts: Rc<[FilePart]> = files::parts_of::<F>(paths)?.into();
        let open = move |split| Ok(ColumnSource::<F, R>::new(Rc::clone(&parts), split));
        Ok(self.source_of(name, location, Splits::AtFirst(self.workers()), open))
    }
}

/// Reads every `of`-th part.
struct ColumnSource<F: PartFormat, R> {
    parts: Rc<[FilePart]>,
    split: Split,
    /// The part that is read now, or comes next.
    part: usize,
    /// Rows of it that were read.
    row: usize,
    batches: Option<F::Batches>,
    /// The batch that is being read, and how far it is.
    batch: Option<(StructArray, usize)>,
    records: PhantomData<fn() -> R>,
}

impl<F: PartFormat, R: DeserializeOwned> ColumnSource<F, R> {
    fn new(parts: Rc<[FilePart]>, split: Split) -> Self {
        let part = split.index;
        ColumnSource { parts, split, part, row: 0, batches: None, batch: None, records: PhantomData }
    }

    /// Has the next batch ready; whether there is one.
    fn next_batch(&mut self) -> Result<bool> {
        while let Some(FilePart { path, part }) = self.parts.get(self.part) {
            let wrong = |cause| can_not_read(path, cause);
            let batches = match &mut self.batches {
                Some(batches) => batches,
                None => self.batches.insert(F::open(files::open(path)?, *part).map_err(wrong)?),
            };
            if let Some(batch) = batches.next() {
                self.batch = Some((StructArray::from(batch.map_err(wrong)?), 0));
                return Ok(true);
            }
            (self.batches, self.row, self.part) = (None, 0, self.part + self.split.of);
        }
        Ok(false)
    }

    /// Reads up to so many records of the batch.
    fn read_batch(&mut self, limit: usize, out: &mut Vec<R>) -> Result<()> {
        let Some((rows, at)) = &mut self.batch else { return Ok(()) };
        let end = rows.len().min(at.saturating_add(limit));
        for row in *at..end {
            let record = R::deserialize(Cell::record(rows, row)).map_err(|error| {
                let FilePart { path, part } = &self.parts[self.part];
                let n = self.row + row - *at;
                Error::data(format!("{}: part {part}, row {n} (both from 0): {error}", path.display()))
            })?;
            out.push(record);
        }
        self.row += end - *at;
        *at = end;
        if end == rows.len() {
            self.batch = None;
        }
        Ok(())
    }
}

impl<F: PartFormat, R: DeserializeOwned + 'static> Source for ColumnSource<F, R> {
    type Item = R;

    fn read(&mut self, limit: usize, out: &mut Vec<R>) -> Result<SourceStatus> {
        if self.batch.is_none() && !self.next_batch()? {
            return Ok(SourceStatus::Done);
        }
        self.read_batch(limit, out)?;
        Ok(SourceStatus::Ready)
    }

    fn position(&self) -> Result<Option<SourcePosition>> {
        SourcePosition::new(&(self.part, self.row)).map(Some)
    }

    fn seek(&mut self, position: &SourcePosition) -> Result<()> {
        let (part, row) = position.get::<(usize, usize)>()?;
        self.part = part;
        while self.row < row {
            if self.batch.is_none() && !(self.next_batch()? && self.part == part) {
                return Err(Error::config(format!(
                    "part {part} of the files had {row} rows in the checkpoint, and now has fewer"
                )));
            }
            let Some((rows, at)) = &mut self.batch else { continue };
            let passed = (row - self.row).min(rows.len());
            (self.row, *at) = (self.row + passed, passed);
            if passed == rows.len() {
                self.batch = None;
            }
        }
        Ok(())
    }
}

/// A source of Parquet files, as the tests drive it.
#[cfg(test)]
pub(super) fn tests_source<R: DeserializeOwned + 'static>(
    paths: Vec<PathBuf>,
    split: Split,
) -> impl Source<Item = R> {
    let parts = files::parts_of::<Parquet>(paths).unwrap_or_default();
    ColumnSource::<Parquet, R>::new(parts.into(), split)
}
