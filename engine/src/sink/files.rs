//! Files that appear whole, each with what one worker has written between two checkpoints.

use std::fs::File;
use std::io::{self, Write};
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::clock::AnyClock;
use crate::collect::DataStreamSink;
use crate::error::{Error, Result};
use crate::sink::format::PlainFormat;
use crate::sink::{DeliveryGuarantee, FileFormat, FileWriter, PartFile, RollingPolicy, Sink, SinkContext};
use crate::stream::DataStream;

/// What the name of a file begins and ends with while it is written.
const PENDING: (&str, &str) = (".", ".pending");

impl<'s, D: 'static, T: AnyClock> DataStream<'s, D, T> {
    /// Writes the records to files in a directory of their own, each with the function `format`; see
    /// [`write_files_as`](Self::write_files_as).
    ///
    /// # Examples
    /// ```
    /// # use std::io::Write;
    /// # use waterwheel_engine::{execute, RuntimeConfig};
    /// let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("squares");
    /// let to = path.clone();
    /// execute(RuntimeConfig::threads(1), move |env| {
    ///     env.from_iter([1, 2, 3]).write_files(&to, ".txt", |x, file| writeln!(file, "{}", x * x));
    ///     Ok(())
    /// })?;
    /// assert_eq!(std::fs::read_to_string(path.join("part-0000000000-0000.txt"))?, "1\n4\n9\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn write_files(
        self,
        directory: impl Into<PathBuf>,
        suffix: &str,
        format: impl Fn(&D, &mut dyn Write) -> io::Result<()> + Clone + 'static,
    ) -> DataStreamSink {
        let format = PlainFormat { suffix: suffix.to_string(), format };
        let rolling = RollingPolicy::default();
        self.write_files_at("write_files", Location::caller(), directory.into(), format, rolling)
    }

    /// Writes the records to files in a directory of their own, which all processes share.
    ///
    /// Files are called `part-TRANSACTION-WORKER` and the suffix of the format, with ten and four digits. With checkpoints
    /// each has what a worker got between two of them, and appears when the second is durable; without, there is one for
    /// each worker, at the end. Where `rolling` has a limit there may be several in place of each, called
    /// `part-TRANSACTION-WORKER-NUMBER`, with six digits more.
    ///
    /// A file that is there is whole and durable, and never changes. One without records is not made. Over all files each
    /// record is there exactly once, whatever fails. Names of files that are being written begin with a dot and end with
    /// `.pending`.
    ///
    /// A job that goes on from an older checkpoint than the newest, because that is damaged or because
    /// [it was told to](crate::CheckpointConfig::from_checkpoint), first removes the files that were written since: what
    /// they hold is written again.
    ///
    /// A job that begins anew removes the files of this suffix that runs before it have left in the directory: what is there
    /// at its end is its own.
    ///
    /// The directory is made if it is not there. One that can not be written ends the run, with an
    /// [`ErrorKind::Data`](crate::ErrorKind::Data) error.
    ///
    /// See [`FileFormat`] for an example.
    #[track_caller]
    pub fn write_files_as(
        self,
        directory: impl Into<PathBuf>,
        format: impl FileFormat<D>,
        rolling: RollingPolicy,
    ) -> DataStreamSink {
        self.write_files_at("write_files", Location::caller(), directory.into(), format, rolling)
    }

    pub(crate) fn write_files_at(
        self,
        name: &str,
        location: &'static Location<'static>,
        directory: PathBuf,
        format: impl FileFormat<D>,
        rolling: RollingPolicy,
    ) -> DataStreamSink {
        self.write_to_at(name, location, DeliveryGuarantee::ExactlyOnce, move |context| {
            FileSink::open(directory.clone(), context, format.clone(), rolling)
        })
    }
}

/// Writes one file after the other.
struct FileSink<D, F: FileFormat<D>> {
    directory: PathBuf,
    context: SinkContext,
    format: F,
    rolling: RollingPolicy,
    /// Number of the transaction.
    number: u64,
    /// Those of the transaction that are complete.
    full: Vec<Appearance>,
    open: Option<OpenFile<F::Writer>>,
    records: std::marker::PhantomData<fn(D)>,
}

/// The file that is being written.
struct OpenFile<W> {
    writer: W,
    records: u64,
    len_bytes: Arc<AtomicU64>,
}

/// A file that is to appear.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Appearance {
    directory: PathBuf,
    pending: String,
    name: String,
}

impl<D: 'static, F: FileFormat<D>> FileSink<D, F> {
    fn open(directory: PathBuf, context: SinkContext, format: F, rolling: RollingPolicy) -> Result<Self> {
        std::fs::create_dir_all(&directory).map_err(|error| failed("make directory", &directory, error))?;
        let number = context.first_transaction;
        let (full, open, records) = (Vec::new(), None, std::marker::PhantomData);
        let sink = FileSink { directory, context, format, rolling, number, full, open, records };
        if context.last_transaction.is_none() {
            sink.remove_files_if(|name| sink.is_of_an_earlier_run(name))?;
        }
        Ok(sink)
    }

    /// Whether an earlier run has written a file in place of which this worker writes. Each worker sees to its own, of which
    /// none has appeared yet, and the first one to those of workers that there are no more.
    fn is_of_an_earlier_run(&self, name: &str) -> bool {
        let SinkContext { worker, workers, .. } = self.context;
        let of = numbers(name, self.format.suffix());
        of.is_some_and(|(_, of)| of == worker || worker == 0 && of >= workers)
    }

    fn remove_files_if(&self, is_stale: impl Fn(&str) -> bool) -> Result<()> {
        let list = |error| failed("list", &self.directory, error);
        for entry in std::fs::read_dir(&self.directory).map_err(list)? {
            let name = entry.map_err(list)?.file_name().to_string_lossy().into_owned();
            if is_stale(&name) {
                let path = self.directory.join(name);
                std::fs::remove_file(&path).map_err(|error| failed("remove", &path, error))?;
            }
        }
        Ok(())
    }

    /// Of the file that is written now, or comes next.
    fn appearance(&self) -> Appearance {
        let SinkContext { worker, attempt, .. } = self.context;
        let part = if self.rolling.rolls() { format!("-{:06}", self.full.len()) } else { String::new() };
        let name = format!("part-{:010}-{worker:04}{part}{}", self.number, self.format.suffix());
        let pending = format!("{}{name}.{attempt}{}", PENDING.0, PENDING.1);
        Appearance { directory: self.directory.clone(), pending, name }
    }

    /// Whether what a file holds was written behind the checkpoint that the run goes on from, and will be once more.
    fn comes_again(&self, name: &str) -> bool {
        let SinkContext { first_transaction, last_transaction, .. } = self.context;
        let of = numbers(name, self.format.suffix());
        of.is_some_and(|(number, _)| number < first_transaction && Some(number) > last_transaction)
    }

    fn create(&self) -> io::Result<OpenFile<F::Writer>> {
        let file = PartFile::create(&self.appearance().pending_path())?;
        let len_bytes = file.len_bytes();
        Ok(OpenFile { writer: self.format.begin(file)?, records: 0, len_bytes })
    }

    fn append(&mut self, record: &D) -> io::Result<()> {
        let file = match self.open.take() {
            Some(file) => file,
            None => self.create()?,
        };
        let file = self.open.insert(file);
        file.writer.write(record)?;
        file.records += 1;
        if self.rolling.is_full(file.records, file.len_bytes.load(Ordering::Relaxed)) {
            self.close()
        } else {
            Ok(())
        }
    }

    /// Makes the file that is open durable.
    fn close(&mut self) -> io::Result<()> {
        if let Some(file) = self.open.take() {
            file.writer.finish()?.make_durable()?;
            self.full.push(self.appearance());
        }
        Ok(())
    }

    fn can_not_write(&self, error: io::Error) -> Error {
        failed("write", &self.appearance().pending_path(), error)
    }
}

impl Appearance {
    fn pending_path(&self) -> PathBuf {
        self.directory.join(&self.pending)
    }

    fn path(&self) -> PathBuf {
        self.directory.join(&self.name)
    }

    /// Gives the file its name, which it may have already.
    fn appear(&self) -> Result<()> {
        let (from, to) = (self.pending_path(), self.path());
        match std::fs::rename(&from, &to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && to.exists() => Ok(()),
            outcome => outcome.map_err(|error| failed("rename", &from, error)),
        }
    }
}

impl<D: 'static, F: FileFormat<D>> Sink<D> for FileSink<D, F> {
    type Transaction = Vec<Appearance>;

    fn write(&mut self, record: D) -> Result<()> {
        self.append(&record).map_err(|error| self.can_not_write(error))
    }

    fn prepare(&mut self) -> Result<Option<Vec<Appearance>>> {
        self.close().map_err(|error| self.can_not_write(error))?;
        self.number += 1;
        Ok(Some(std::mem::take(&mut self.full)).filter(|files| !files.is_empty()))
    }

    fn commit(files: Vec<Appearance>) -> Result<()> {
        files.iter().try_for_each(Appearance::appear)?;
        files.first().map_or(Ok(()), |file| sync(&file.directory))
    }

    fn discard_unfinished(&mut self) -> Result<()> {
        let mine = format!(".{}{}", self.context.attempt, PENDING.1);
        self.remove_files_if(|name| {
            let is_pending = name.starts_with(".part-") && name.ends_with(PENDING.1);
            // Other workers of this attempt may have begun.
            is_pending && !name.ends_with(&mine) || self.comes_again(name)
        })
    }
}

/// The transaction and the worker in the name of a file that has appeared.
fn numbers(name: &str, suffix: &str) -> Option<(u64, usize)> {
    let mut parts = name.strip_prefix("part-")?.strip_suffix(suffix)?.split('-');
    let (transaction, worker) = (parts.next()?, parts.next()?);
    Some((transaction.parse().ok()?, worker.parse().ok()?))
}

/// Makes the names in a directory durable.
#[cfg(unix)]
fn sync(directory: &Path) -> Result<()> {
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(|error| failed("sync", directory, error))
}

/// Directories can not be opened elsewhere.
#[cfg(not(unix))]
fn sync(_directory: &Path) -> Result<()> {
    Ok(())
}

fn failed(what: &str, path: &Path, cause: io::Error) -> Error {
    Error::data(format!("can not {what} {}", path.display())).caused_by(cause)
}
