//! Files of columns as formats of sinks.

use std::io;
use std::marker::PhantomData;
use std::panic::Location;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_schema::{Fields, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use super::ColumnError;
use super::column::Batch;
use super::schema::columns_of;
use crate::clock::AnyClock;
use crate::collect::DataStreamSink;
use crate::error::{Error, Result};
use crate::record::Record;
use crate::sink::{FileFormat, FileWriter, PartFile, RollingPolicy};
use crate::stream::DataStream;

/// Records of a batch, the unit in which files are written and read.
pub(super) const BATCH_RECORDS: usize = 8192;

/// Records of a row group of Parquet: a part that one worker reads.
const ROW_GROUP_RECORDS: usize = 16 * BATCH_RECORDS;

impl<'s, D: Record, T: AnyClock> DataStream<'s, D, T> {
    /// Writes the records as Parquet files in a directory of their own, which
    /// [`read_parquet`](crate::Env::read_parquet) reads back; when they appear and what they are called is as for
    /// [`write_files_as`](Self::write_files_as), with the suffix `.parquet`.
    ///
    /// The columns are the fields of the record, a struct or a tuple (then they are called `1`, `2` and so on), with the
    /// types that serde tells: numbers, `bool`, texts, bytes, lists and structs of these; `Option` may be null, and variants
    /// of an enum without data are texts. Pages are compressed with Snappy; a row group has 131,072 records.
    ///
    /// # Errors
    /// The type has no columns, such as a map: a configuration error, at once.
    ///
    /// # Examples
    /// ```
    /// use serde::{Deserialize, Serialize};
    /// use waterwheel_engine::{RollingPolicy, RuntimeConfig, execute};
    ///
    /// #[derive(Clone, Serialize, Deserialize)]
    /// struct Point {
    ///     name: String,
    ///     at: Vec<f32>,
    /// }
    ///
    /// let dir = tempfile::tempdir()?;
    /// let to = dir.path().to_path_buf();
    /// execute(RuntimeConfig::threads(1), move |env| {
    ///     let points = (0..3).map(|i| Point { name: format!("p{i}"), at: vec![i as f32; 2] });
    ///     env.from_iter(points).write_parquet(&to, RollingPolicy::default())?;
    ///     Ok(())
    /// })?;
    /// let files = dir.path().join("*.parquet");
    /// let names = execute(RuntimeConfig::threads(2), move |env| {
    ///     Ok(env.read_parquet::<Point>([&files])?.map(|point| point.name).collect())
    /// })?;
    /// assert_eq!(names.concat(), ["p0", "p1", "p2"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn write_parquet(
        self,
        directory: impl Into<PathBuf>,
        rolling: RollingPolicy,
    ) -> Result<DataStreamSink> {
        let format = Columns::<Parquet>::of::<D>("write_parquet")?;
        Ok(self.write_files_at("write_parquet", Location::caller(), directory.into(), format, rolling))
    }

    /// As [`write_parquet`](Self::write_parquet), as files of Arrow IPC with the suffix `.arrow`, which
    /// [`read_arrow`](crate::Env::read_arrow) reads back. They are larger, and quicker to write and read.
    ///
    /// # Errors
    /// As there.
    #[track_caller]
    pub fn write_arrow(
        self,
        directory: impl Into<PathBuf>,
        rolling: RollingPolicy,
    ) -> Result<DataStreamSink> {
        let format = Columns::<Ipc>::of::<D>("write_arrow")?;
        Ok(self.write_files_at("write_arrow", Location::caller(), directory.into(), format, rolling))
    }
}

/// A format of files that are written batch by batch.
trait BatchWriter: Sized + 'static {
    const SUFFIX: &'static str;

    fn begin(file: PartFile, schema: Arc<Schema>) -> io::Result<Self>;
    fn write(&mut self, batch: &arrow_array::RecordBatch) -> io::Result<()>;
    fn finish(self) -> io::Result<PartFile>;
}

struct Parquet(ArrowWriter<PartFile>);

impl BatchWriter for Parquet {
    const SUFFIX: &'static str = ".parquet";

    fn begin(file: PartFile, schema: Arc<Schema>) -> io::Result<Self> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_max_row_group_row_count(Some(ROW_GROUP_RECORDS))
            .build();
        ArrowWriter::try_new(file, schema, Some(properties)).map(Parquet).map_err(io::Error::other)
    }

    fn write(&mut self, batch: &arrow_array::RecordBatch) -> io::Result<()> {
        self.0.write(batch).map_err(io::Error::other)
    }

    fn finish(self) -> io::Result<PartFile> {
        self.0.into_inner().map_err(io::Error::other)
    }
}

struct Ipc(arrow_ipc::writer::FileWriter<PartFile>);

impl BatchWriter for Ipc {
    const SUFFIX: &'static str = ".arrow";

    fn begin(file: PartFile, schema: Arc<Schema>) -> io::Result<Self> {
        arrow_ipc::writer::FileWriter::try_new(file, &schema).map(Ipc).map_err(io::Error::other)
    }

    fn write(&mut self, batch: &arrow_array::RecordBatch) -> io::Result<()> {
        self.0.write(batch).map_err(io::Error::other)
    }

    fn finish(mut self) -> io::Result<PartFile> {
        self.0.finish().map_err(io::Error::other)?;
        self.0.into_inner().map_err(io::Error::other)
    }
}

/// Files of these columns.
struct Columns<W> {
    fields: Fields,
    writer: PhantomData<fn() -> W>,
}

impl<W> Clone for Columns<W> {
    fn clone(&self) -> Self {
        Columns { fields: self.fields.clone(), writer: PhantomData }
    }
}

impl<W> Columns<W> {
    fn of<D: Record>(name: &str) -> Result<Self> {
        let fields = columns_of::<D>().map_err(|error| {
            let record = std::any::type_name::<D>();
            Error::config(format!("{name}: {record} can not be written as columns: {error}"))
        })?;
        Ok(Columns { fields, writer: PhantomData })
    }
}

impl<D: Record, W: BatchWriter> FileFormat<D> for Columns<W> {
    type Writer = ColumnsWriter<W>;

    fn suffix(&self) -> &str {
        W::SUFFIX
    }

    fn begin(&self, file: PartFile) -> io::Result<ColumnsWriter<W>> {
        let out = W::begin(file, Arc::new(Schema::new(self.fields.clone())))?;
        Ok(ColumnsWriter { batch: Batch::new(&self.fields).map_err(invalid)?, out })
    }
}

/// Gathers records into batches.
struct ColumnsWriter<W> {
    batch: Batch,
    out: W,
}

impl<W: BatchWriter> ColumnsWriter<W> {
    fn write_batch(&mut self) -> io::Result<()> {
        if self.batch.len() == 0 {
            return Ok(());
        }
        self.out.write(&self.batch.take().map_err(invalid)?)
    }
}

fn invalid(error: ColumnError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl<D: Record, W: BatchWriter> FileWriter<D> for ColumnsWriter<W> {
    fn write(&mut self, record: &D) -> io::Result<()> {
        self.batch.push(record).map_err(invalid)?;
        if self.batch.len() == BATCH_RECORDS { self.write_batch() } else { Ok(()) }
    }

    fn finish(mut self) -> io::Result<PartFile> {
        self.write_batch()?;
        self.out.finish()
    }
}
