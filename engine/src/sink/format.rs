//! How records become the bytes of a file.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A format of files, for [`DataStream::write_files_as`](crate::DataStream::write_files_as).
///
/// # Examples
/// Each file with its number of records in the last line:
/// ```
/// use std::io::{self, Write};
/// use waterwheel_engine::{FileFormat, FileWriter, PartFile, RollingPolicy, RuntimeConfig, execute};
///
/// #[derive(Clone)]
/// struct Counted;
/// struct CountedWriter(PartFile, u64);
///
/// impl FileFormat<u32> for Counted {
///     type Writer = CountedWriter;
///     fn suffix(&self) -> &str {
///         ".txt"
///     }
///     fn begin(&self, file: PartFile) -> io::Result<CountedWriter> {
///         Ok(CountedWriter(file, 0))
///     }
/// }
/// impl FileWriter<u32> for CountedWriter {
///     fn write(&mut self, record: &u32) -> io::Result<()> {
///         self.1 += 1;
///         writeln!(self.0, "{record}")
///     }
///     fn finish(mut self) -> io::Result<PartFile> {
///         writeln!(self.0, "{} records", self.1)?;
///         Ok(self.0)
///     }
/// }
///
/// let dir = tempfile::tempdir()?;
/// let to = dir.path().to_path_buf();
/// execute(RuntimeConfig::threads(1), move |env| {
///     env.from_iter([7, 8]).write_files_as(&to, Counted, RollingPolicy::default());
///     Ok(())
/// })?;
/// let text = std::fs::read_to_string(dir.path().join("part-0000000000-0000.txt"))?;
/// assert_eq!(text, "7\n8\n2 records\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait FileFormat<D>: Clone + 'static {
    /// Writes one file.
    type Writer: FileWriter<D>;

    /// What names of files end with, with its dot: `.csv`.
    fn suffix(&self) -> &str;

    /// Begins a file.
    ///
    /// # Errors
    /// Ends the run, naming the file.
    fn begin(&self, file: PartFile) -> io::Result<Self::Writer>;
}

/// Writes the records of one file.
pub trait FileWriter<D>: 'static {
    /// Writes one record, or keeps it to be written.
    ///
    /// # Errors
    /// Ends the run, naming the file.
    fn write(&mut self, record: &D) -> io::Result<()>;

    /// Writes what is left, and gives the file back. It is made durable by whoever called.
    ///
    /// # Errors
    /// Ends the run, naming the file.
    fn finish(self) -> io::Result<PartFile>;
}

/// A file that is being written and that nobody sees yet. Writes are buffered.
#[derive(Debug)]
pub struct PartFile {
    file: BufWriter<File>,
    len_bytes: Arc<AtomicU64>,
}

impl PartFile {
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        Ok(PartFile { file: BufWriter::new(File::create(path)?), len_bytes: Arc::default() })
    }

    /// Bytes that were written so far, as they grow.
    pub(super) fn len_bytes(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.len_bytes)
    }

    /// Writes what is buffered to the disk.
    pub(super) fn make_durable(mut self) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_all()
    }
}

impl Write for PartFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.file.write(bytes)?;
        self.len_bytes.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Records written one after the other by a function.
#[derive(Clone)]
pub(super) struct PlainFormat<F> {
    pub(super) suffix: String,
    pub(super) format: F,
}

impl<D, F: Fn(&D, &mut dyn Write) -> io::Result<()> + Clone + 'static> FileFormat<D> for PlainFormat<F> {
    type Writer = PlainWriter<F>;

    fn suffix(&self) -> &str {
        &self.suffix
    }

    fn begin(&self, file: PartFile) -> io::Result<PlainWriter<F>> {
        Ok(PlainWriter { file, format: self.format.clone() })
    }
}

/// Writes what the function makes of each record.
pub(super) struct PlainWriter<F> {
    file: PartFile,
    format: F,
}

impl<D, F: Fn(&D, &mut dyn Write) -> io::Result<()> + 'static> FileWriter<D> for PlainWriter<F> {
    fn write(&mut self, record: &D) -> io::Result<()> {
        (self.format)(record, &mut self.file)
    }

    fn finish(self) -> io::Result<PartFile> {
        Ok(self.file)
    }
}
