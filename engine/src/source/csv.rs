//! Sources from CSV files.

mod bytes;
mod deserialize;
mod fields;
mod file;
mod format;
mod message;
mod options;
mod part;
mod timed;
mod watch;

use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use serde::de::{DeserializeOwned, DeserializeSeed};
use serde::{Deserialize, Serialize};

use crate::bad_record::{BadRecordPolicy, Judge};
use crate::clock::AnyClock;
use crate::edge::Edge;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::operator::{OperatorBuilder, WakeOn};
use crate::source::Splits;
use crate::source::csv::format::CsvFormat;
use crate::source::paths::expand_all;
use crate::stream::DataStream;

pub(in crate::source) use file::CsvFile;
pub(in crate::source) use format::LineFormat;
pub use options::{CsvOptions, Delimiter, Header};
use part::{LineSource, Share};
pub use timed::CsvEventStreams;
use watch::WatchedFiles;

/// A record of a CSV file, and where it was.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CsvRecord<R> {
    /// Index of the file among the paths that were given.
    pub file: u32,
    /// Records before it in its file, good or bad. Header and blank lines are not records.
    pub row: u64,
    /// Line of the file where it begins, from 1. Every `\n` counts, also between quotes and in blank lines.
    pub line: u64,
    /// What the line says.
    pub value: R,
}

/// A record of a file of lines that could not be read. Displays as `path:line:column: message`, or `path:line: message`
/// where nothing is known of the column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BadRecord {
    /// Path of the file, as it was given.
    pub file: String,
    /// Line of the file where it begins, from 1.
    pub line: u64,
    /// The character of the record, from 1, where that begins what is wrong: of a CSV file the field, of JSON lines where
    /// reading stopped, of a field that is missing the end. Newlines between quotes count as characters.
    pub column: Option<u64>,
    /// What is wrong with it, with the name of the field where there is one, or else its number from 1.
    pub message: String,
}

impl fmt::Display for BadRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BadRecord { file, line, column, message } = self;
        match column {
            Some(column) => write!(f, "{file}:{line}:{column}: {message}"),
            None => write!(f, "{file}:{line}: {message}"),
        }
    }
}

/// What a line turned out to be. The bad ones are rare: boxed, they do not make the good ones larger.
type Row<R> = Result<CsvRecord<R>, Box<BadRecord>>;

/// The two streams of [`Env::read_csv`]: records, and those that could not be read.
pub type CsvStreams<'s, R> = (DataStream<'s, CsvRecord<R>>, DataStream<'s, BadRecord>);

impl<'s> Env<'s> {
    /// The records of CSV files, and those that could not be read, which is none unless `options` say
    /// [`BadRecordPolicy::DeadLetter`].
    ///
    /// All workers read each file, every one a range of its bytes, so every process needs the files under the
    /// same paths, and they must not change during the run. A path with `*`, `?` or `[..]` stands for all files that match
    /// it, in order of name. A file whose name ends with `.gz` is decompressed as it is read, by one worker: one can not
    /// begin in the middle of it. Records, row and line numbers do not depend on
    /// the number of workers; the order between workers does. A worker reads its records in order.
    ///
    /// A file may begin with a byte order mark. Lines end with `\n` or `\r\n`; blank ones are skipped. With a
    /// header, the fields of a struct `R` are found by name (`#[serde(alias = "...")]` allows others), and
    /// every line needs as many fields as the header. Without one, and for a tuple, they are taken in order.
    /// Further fields are ignored. `NaN` and `inf` are numbers. A field whose quotes enclose the end of a line and have text
    /// behind them makes a bad record: so looks a quote that is not closed.
    ///
    /// A job that goes on from a checkpoint reads the rest of the ranges of the run before, and so on as many workers as
    /// that had, or fewer.
    ///
    /// # Errors
    /// No path is given, the delimiter is a quote or the end of a line, or a file can not be opened or its
    /// first line not be read. Then, during the run, an [`ErrorKind::Data`](crate::ErrorKind::Data) error that
    /// names the file if it can not be read further, if its length has changed, or if a line is longer than
    /// 64 MB; and by default at the first bad record, as `ratings.csv:7:12: field "rating": found "abc", expected
    /// a number`: file, line, column and field.
    ///
    /// # Examples
    /// ```
    /// use serde::{Deserialize, Serialize};
    /// use waterwheel_engine::{BadRecordPolicy, CsvOptions, RuntimeConfig, execute};
    ///
    /// #[derive(Clone, Serialize, Deserialize)]
    /// struct Rating {
    ///     user: u32,
    ///     #[serde(alias = "movie")]
    ///     item: u32,
    ///     rating: f32,
    /// }
    ///
    /// let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("ratings.csv");
    /// std::fs::write(&path, "user,movie,rating\n1,10,4.5\n2,10,?\n2,11,3\n")?;
    ///
    /// let workers = execute(RuntimeConfig::threads(2), move |env| {
    ///     let options = CsvOptions::default().on_bad_record(BadRecordPolicy::DeadLetter);
    ///     let (ratings, bad) = env.read_csv::<Rating>([&path], options)?;
    ///     let ratings = ratings.map(|record| (record.line, record.value.item, record.value.rating));
    ///     Ok((ratings.collect(), bad.map(|bad| (bad.line, bad.message)).collect()))
    /// })?;
    /// let (mut ratings, bad): (Vec<_>, Vec<_>) = workers.into_iter().next().unwrap();
    /// ratings.sort_by_key(|(line, ..)| *line);
    /// assert_eq!(ratings, [(2, 10, 4.5), (4, 11, 3.0)]);
    /// assert_eq!(bad, [(3, "field \"rating\": found \"?\", expected a number".to_string())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn read_csv<R: DeserializeOwned + 'static>(
        &self,
        paths: impl IntoIterator<Item: Into<PathBuf>>,
        options: CsvOptions,
    ) -> Result<CsvStreams<'s, R>> {
        options.check()?;
        let format = CsvFormat::new(PhantomData::<R>);
        self.read_lines_as(("read_csv", Location::caller()), paths, options, format)
    }

    /// As [`read_csv`](Self::read_csv), with a value of the program's in place of a type that reads the fields: for columns
    /// that are not known before the program runs.
    ///
    /// With a header the fields are a map from names to values in the order of the columns, without one a sequence. Every
    /// record is read by a clone of `seed`.
    ///
    /// # Errors
    /// As `read_csv`.
    ///
    /// # Examples
    /// ```
    /// use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
    /// use waterwheel_engine::{CsvOptions, RuntimeConfig, execute};
    ///
    /// /// The whole number in the column of this name.
    /// #[derive(Clone)]
    /// struct Column(String);
    ///
    /// impl<'de> DeserializeSeed<'de> for Column {
    ///     type Value = u64;
    ///     fn deserialize<D: Deserializer<'de>>(self, fields: D) -> Result<u64, D::Error> {
    ///         fields.deserialize_map(self)
    ///     }
    /// }
    ///
    /// impl<'de> Visitor<'de> for Column {
    ///     type Value = u64;
    ///     fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    ///         write!(f, "a column {:?}", self.0)
    ///     }
    ///     fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<u64, A::Error> {
    ///         let mut found = None;
    ///         while let Some(name) = fields.next_key::<String>()? {
    ///             if name == self.0 {
    ///                 found = Some(fields.next_value()?);
    ///             } else {
    ///                 fields.next_value::<IgnoredAny>()?;
    ///             }
    ///         }
    ///         found.ok_or_else(|| serde::de::Error::custom(format!("there is no column {:?}", self.0)))
    ///     }
    /// }
    ///
    /// let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("sales.csv");
    /// std::fs::write(&path, "shop,cents\nnorth,350\nsouth,120\n")?;
    /// let workers = execute(RuntimeConfig::threads(1), move |env| {
    ///     let (cents, _bad) = env.read_csv_with([&path], CsvOptions::default(), Column("cents".into()))?;
    ///     Ok(cents.map(|record| record.value).collect())
    /// })?;
    /// assert_eq!(workers.concat(), [350, 120]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn read_csv_with<R: 'static, S>(
        &self,
        paths: impl IntoIterator<Item: Into<PathBuf>>,
        options: CsvOptions,
        seed: S,
    ) -> Result<CsvStreams<'s, R>>
    where
        S: for<'de> DeserializeSeed<'de, Value = R> + Clone + 'static,
    {
        options.check()?;
        self.read_lines_as(("read_csv", Location::caller()), paths, options, CsvFormat::new(seed))
    }

    /// The records of CSV files that are there and of those that appear later: what matches the paths is looked for again
    /// `every` so often. The stream is endless.
    ///
    /// A file is read once, as a whole and by one worker; it must be whole when its name appears, as by renaming it, and not
    /// change afterwards. [`CsvRecord::file`] is 0. All else is as for [`read_csv`](Self::read_csv). Checkpoints hold the
    /// names of all files that were read.
    ///
    /// # Errors
    /// No path is given, or the delimiter is a quote or the end of a line. During the run as for `read_csv`.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use waterwheel_engine::{CsvOptions, ErrorKind, RuntimeConfig, StopHandle, execute};
    ///
    /// let dir = tempfile::tempdir()?;
    /// std::fs::write(dir.path().join("a.csv"), "1,2\n")?;
    /// let (files, next) = (dir.path().join("*.csv"), dir.path().to_path_buf());
    /// let stop = StopHandle::new();
    /// let config = RuntimeConfig::threads(1).stop_handle(stop.clone());
    /// let end = execute(config, move |env| {
    ///     let (rows, _bad) = env.watch_csv::<(u32, u32)>([&files], CsvOptions::default(), Duration::from_millis(5))?;
    ///     let (next, stop) = (next.clone(), stop.clone());
    ///     rows.sink(move |row| {
    ///         match row.value {
    ///             // A file that appears whole.
    ///             (1, 2) => {
    ///                 std::fs::write(next.join("b.part"), "3,4\n").unwrap();
    ///                 std::fs::rename(next.join("b.part"), next.join("b.csv")).unwrap();
    ///             }
    ///             _ => stop.stop(),
    ///         }
    ///         Ok(())
    ///     });
    ///     Ok(())
    /// });
    /// assert_eq!(end.unwrap_err().kind(), ErrorKind::Interrupted);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn watch_csv<R: DeserializeOwned + 'static>(
        &self,
        paths: impl IntoIterator<Item: Into<PathBuf>>,
        options: CsvOptions,
        every: Duration,
    ) -> Result<CsvStreams<'s, R>> {
        options.check()?;
        let format = CsvFormat::new(PhantomData::<R>);
        self.watch_lines_as(("watch_csv", Location::caller()), paths, options, (every, format))
    }

    /// The records of files that appear, whose lines have a format.
    pub(in crate::source) fn watch_lines_as<F: LineFormat>(
        &self,
        (name, location): (&'static str, &'static Location<'static>),
        paths: impl IntoIterator<Item: Into<PathBuf>>,
        options: CsvOptions,
        (every, format): (Duration, F),
    ) -> Result<CsvStreams<'s, F::Value>> {
        let patterns: Rc<[PathBuf]> = paths.into_iter().map(Into::into).collect();
        if patterns.is_empty() {
            return Err(Error::config(format!("{name} has no files, expected at least one path")));
        }
        let open = move |split| {
            Ok(WatchedFiles::new(Rc::clone(&patterns), options, every, (split, format.another())))
        };
        let rows = self.source_of(name, location, Splits::AtFirst(self.workers()), open);
        Ok(streams_of(rows, (name, location), options.on_bad_record))
    }

    /// The records of files whose lines have a format.
    pub(in crate::source) fn read_lines_as<F: LineFormat>(
        &self,
        (name, location): (&'static str, &'static Location<'static>),
        paths: impl IntoIterator<Item: Into<PathBuf>>,
        options: CsvOptions,
        format: F,
    ) -> Result<CsvStreams<'s, F::Value>> {
        let files = inspect_all(name, paths, options)?;
        let on_bad_record = options.on_bad_record;
        let open = move |split| {
            Ok(LineSource::new(Rc::clone(&files), Share { split, on_bad_record }, format.another()))
        };
        let rows = self.source_of(name, location, Splits::AtFirst(self.workers()), open);
        Ok(streams_of(rows, (name, location), on_bad_record))
    }
}

/// What is known of the files before they are read.
///
/// # Errors
/// There are none, or one can not be opened.
fn inspect_all(
    name: &str,
    paths: impl IntoIterator<Item: Into<PathBuf>>,
    options: CsvOptions,
) -> Result<Rc<[CsvFile]>> {
    let files = expand_all(paths)?.into_iter().map(|path| CsvFile::inspect(path, options));
    let files: Rc<[CsvFile]> = files.collect::<Result<_>>()?;
    if files.is_empty() {
        return Err(Error::config(format!("{name} has no files, expected at least one path")));
    }
    Ok(files)
}

/// Good records and bad ones.
fn streams_of<'s, R: 'static>(
    rows: DataStream<'s, Row<R>>,
    name: (&str, &'static Location<'static>),
    policy: BadRecordPolicy,
) -> CsvStreams<'s, R> {
    let (good, bad) = divide(rows.into_edge(), name, policy, |row: Row<R>| row);
    (DataStream::from_edge(good), DataStream::from_edge(bad))
}

/// Divides good records from bad ones, as `tell` tells them apart.
fn divide<'s, I: 'static, G: 'static, T: AnyClock>(
    rows: Edge<'s, Vec<I>, T>,
    (name, location): (&str, &'static Location<'static>),
    policy: BadRecordPolicy,
    tell: impl Fn(I) -> Result<G, Box<BadRecord>> + 'static,
) -> (Edge<'s, Vec<G>, T>, Edge<'s, Vec<BadRecord>, T>) {
    let origin = Rc::clone(&rows.origin);
    let mut op = OperatorBuilder::made_at(&rows.place(), name, location);
    let judge = Judge::new(policy, Rc::clone(&origin), op.id());
    let mut input = op.input(rows, WakeOn::Records);
    let (mut good_out, good_edge) = op.output();
    let (mut bad_out, bad_edge) = op.output();
    op.keep_nothing();
    op.build(move |_promises, _activation| {
        let mut bad = Vec::new();
        move |_frontiers| {
            input.for_each(|token, batch| {
                // In the memory of the batch: most or all of them are good.
                let good = std::mem::take(batch).into_iter().filter_map(|row| match tell(row) {
                    Ok(record) => Some(record),
                    Err(record) => {
                        judge.count();
                        if policy == BadRecordPolicy::DeadLetter {
                            bad.push(*record);
                        }
                        None
                    }
                });
                let mut good: Vec<_> = good.collect();
                good_out.send(&token, [&mut good]);
                bad_out.send(&token, [&mut bad]);
            });
            Ok(())
        }
    });
    // Errors come from the source: naming the stream of good records is to name it.
    let good_edge = Edge { origin, ..good_edge };
    (good_edge, bad_edge)
}

#[cfg(test)]
mod tests;
