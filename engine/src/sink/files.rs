//! Files that appear whole, each with what one worker has written between two checkpoints.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::panic::Location;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::clock::AnyClock;
use crate::error::{Error, Result};
use crate::sink::{Sink, SinkContext};
use crate::stream::DataStream;

/// What the name of a file begins and ends with while it is written.
const PENDING: (&str, &str) = (".", ".pending");

impl<'s, D: 'static, T: AnyClock> DataStream<'s, D, T> {
    /// Writes the records to files in a directory of their own, which all processes share, each with `format`.
    ///
    /// Files are called `part-TRANSACTION-WORKER` and `suffix`, with ten and four digits. With checkpoints each has what a
    /// worker got between two of them, and appears when the second is durable; without, there is one for each worker, at
    /// the end. A file that is there is whole and durable, and never changes. One without records is not made. Over all
    /// files each record is there exactly once, whatever fails. Names of files that are being written begin with a dot and
    /// end with `.pending`.
    ///
    /// A job that goes on from an older checkpoint than the newest, because that is damaged or because
    /// [it was told to](crate::CheckpointConfig::from_checkpoint), first removes the files that were written since: what
    /// they hold is written again.
    ///
    /// The directory is made if it is not there. One that can not be written ends the run, with an
    /// [`ErrorKind::Data`](crate::ErrorKind::Data) error.
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
    ) {
        let (directory, suffix) = (directory.into(), suffix.to_string());
        self.write_to_at("write_files", Location::caller(), move |context| {
            FileSink::open(directory.clone(), suffix.clone(), context, format.clone())
        });
    }
}

/// Writes one file after the other.
struct FileSink<F> {
    directory: PathBuf,
    suffix: String,
    context: SinkContext,
    format: F,
    /// Number of the transaction.
    number: u64,
    file: Option<BufWriter<File>>,
}

/// A file that is to appear.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Appearance {
    directory: PathBuf,
    pending: String,
    name: String,
}

impl<F> FileSink<F> {
    fn open(directory: PathBuf, suffix: String, context: SinkContext, format: F) -> Result<Self> {
        std::fs::create_dir_all(&directory).map_err(|error| failed("make directory", &directory, error))?;
        let number = context.first_transaction;
        Ok(FileSink { directory, suffix, context, format, number, file: None })
    }

    fn appearance(&self) -> Appearance {
        let SinkContext { worker, attempt, .. } = self.context;
        let name = format!("part-{:010}-{worker:04}{}", self.number, self.suffix);
        let pending = format!("{}{name}.{attempt}{}", PENDING.0, PENDING.1);
        Appearance { directory: self.directory.clone(), pending, name }
    }

    /// Whether what a file holds was written behind the checkpoint that the run goes on from, and will be once more.
    fn comes_again(&self, name: &str) -> bool {
        let SinkContext { first_transaction, last_transaction, .. } = self.context;
        let number = name.strip_prefix("part-").filter(|_| name.ends_with(&self.suffix));
        let number = number.and_then(|rest| rest.split_once('-')?.0.parse::<u64>().ok());
        number.is_some_and(|number| number < first_transaction && Some(number) > last_transaction)
    }

    fn create(&self) -> Result<BufWriter<File>> {
        let path = self.appearance().pending_path();
        File::create(&path).map(BufWriter::new).map_err(|error| failed("write", &path, error))
    }
}

impl Appearance {
    fn pending_path(&self) -> PathBuf {
        self.directory.join(&self.pending)
    }

    fn path(&self) -> PathBuf {
        self.directory.join(&self.name)
    }
}

impl<D: 'static, F: Fn(&D, &mut dyn Write) -> io::Result<()> + 'static> Sink<D> for FileSink<F> {
    type Transaction = Appearance;

    fn write(&mut self, record: D) -> Result<()> {
        if self.file.is_none() {
            self.file = Some(self.create()?);
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        (self.format)(&record, file)
            .map_err(|error| failed("write", &self.appearance().pending_path(), error))
    }

    fn prepare(&mut self) -> Result<Option<Appearance>> {
        let appearance = self.appearance();
        self.number += 1;
        let Some(mut file) = self.file.take() else { return Ok(None) };
        let durable = file.flush().and_then(|()| file.get_ref().sync_all());
        durable.map_err(|error| failed("write", &appearance.pending_path(), error))?;
        Ok(Some(appearance))
    }

    fn commit(appearance: Appearance) -> Result<()> {
        let (from, to) = (appearance.pending_path(), appearance.path());
        match std::fs::rename(&from, &to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && to.exists() => Ok(()),
            Err(error) => Err(failed("rename", &from, error)),
            Ok(()) => sync(&appearance.directory),
        }
    }

    fn discard_unfinished(&mut self) -> Result<()> {
        let mine = format!(".{}{}", self.context.attempt, PENDING.1);
        let list = |error| failed("list", &self.directory, error);
        for entry in std::fs::read_dir(&self.directory).map_err(list)? {
            let name = entry.map_err(list)?.file_name().to_string_lossy().into_owned();
            let is_pending = name.starts_with(".part-") && name.ends_with(PENDING.1);
            // Other workers of this attempt may have begun.
            let is_stale = is_pending && !name.ends_with(&mine);
            if is_stale || self.comes_again(&name) {
                let path = self.directory.join(name);
                std::fs::remove_file(&path).map_err(|error| failed("remove", &path, error))?;
            }
        }
        Ok(())
    }
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
