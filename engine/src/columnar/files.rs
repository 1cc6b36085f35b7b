//! Files of columns and the parts that they can be read in.

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use parquet::arrow::arrow_reader::{
    ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};

use super::write::BATCH_RECORDS;
use crate::error::{Error, Result};

/// A format of files that are read part by part.
pub(super) trait PartFormat: 'static {
    /// Reads the batches of one part.
    type Batches: Iterator<Item = Result<RecordBatch, String>> + 'static;

    /// How many parts a file has.
    fn count_parts(file: File) -> Result<usize, String>;

    /// The batches of a part.
    fn open(file: File, part: usize) -> Result<Self::Batches, String>;
}

/// A part of a file: a row group of Parquet, a batch of Arrow IPC.
#[derive(Clone, Debug)]
pub(super) struct FilePart {
    pub(super) path: PathBuf,
    pub(super) part: usize,
}

/// All parts of the files, in order.
///
/// # Errors
/// A file can not be opened, or is of another format.
pub(super) fn parts_of<F: PartFormat>(paths: Vec<PathBuf>) -> Result<Vec<FilePart>> {
    let mut parts = Vec::new();
    for path in paths {
        let file = open(&path)?;
        let n = F::count_parts(file).map_err(|cause| can_not_read(&path, cause))?;
        parts.extend((0..n).map(|part| FilePart { path: path.clone(), part }));
    }
    Ok(parts)
}

pub(super) fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|error| Error::data(format!("can not open {}", path.display())).caused_by(error))
}

pub(super) fn can_not_read(path: &Path, cause: String) -> Error {
    Error::data(format!("can not read {}", path.display())).caused_by(cause)
}

pub(super) struct Parquet;

impl Parquet {
    fn builder(file: File) -> Result<ParquetRecordBatchReaderBuilder<File>, String> {
        // Types by the file's own words: what another program calls a dictionary are texts.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)
            .map_err(|error| error.to_string())
    }
}

pub(super) struct ParquetBatches(ParquetRecordBatchReader);

impl Iterator for ParquetBatches {
    type Item = Result<RecordBatch, String>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|batch| batch.map_err(|error| error.to_string()))
    }
}

impl PartFormat for Parquet {
    type Batches = ParquetBatches;

    fn count_parts(file: File) -> Result<usize, String> {
        Self::builder(file).map(|builder| builder.metadata().num_row_groups())
    }

    fn open(file: File, part: usize) -> Result<ParquetBatches, String> {
        let builder = Self::builder(file)?.with_row_groups(vec![part]).with_batch_size(BATCH_RECORDS);
        builder.build().map(ParquetBatches).map_err(|error| error.to_string())
    }
}

pub(super) struct Ipc;

impl Ipc {
    fn reader(file: File) -> Result<arrow_ipc::reader::FileReader<std::io::BufReader<File>>, String> {
        arrow_ipc::reader::FileReader::try_new_buffered(file, None).map_err(|error| error.to_string())
    }
}

impl PartFormat for Ipc {
    type Batches = std::option::IntoIter<Result<RecordBatch, String>>;

    fn count_parts(file: File) -> Result<usize, String> {
        Self::reader(file).map(|reader| reader.num_batches())
    }

    fn open(file: File, part: usize) -> Result<Self::Batches, String> {
        let mut reader = Self::reader(file)?;
        reader.set_index(part).map_err(|error| error.to_string())?;
        Ok(reader.next().map(|batch| batch.map_err(|error| error.to_string())).into_iter())
    }
}
