//! Sources from files whose lines a function reads.

use std::panic::Location;
use std::path::PathBuf;
use std::rc::Rc;
use std::str::from_utf8;

use crate::bad_record::BadRecordPolicy;
use crate::env::Env;
use crate::error::Result;
use crate::source::csv::{CsvFile, CsvOptions, CsvStreams, Delimiter, Header, LineFormat};
use crate::source::lines::Line;

/// Why a line is no record, for [`Env::read_lines`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineError {
    /// Bytes of the line before what is wrong.
    pub(in crate::source) offset: Option<usize>,
    pub(in crate::source) message: String,
}

impl LineError {
    /// What is wrong: what was found and what was expected.
    pub fn new(message: impl Into<String>) -> Self {
        LineError { offset: None, message: message.into() }
    }

    /// That it begins behind so many bytes of the line. Without it only the line is told.
    #[must_use]
    pub fn at(mut self, offset: usize) -> Self {
        self.offset = Some(offset);
        self
    }
}

/// The character of `text`, from 1, that is behind `offset` bytes.
pub(in crate::source) fn column(text: &[u8], offset: usize) -> u64 {
    // A character of UTF-8 has one byte that does not go on with another.
    let begins = |byte: &&u8| **byte & 0b1100_0000 != 0b1000_0000;
    1 + text.iter().take(offset).filter(begins).count() as u64
}

/// A line is one field, whatever it says.
pub(in crate::source) fn whole_lines(on_bad_record: BadRecordPolicy) -> CsvOptions {
    CsvOptions { delimiter: Delimiter::None, header: Header::No, on_bad_record }
}

/// Lines as a function reads them.
struct TextFormat<P>(Rc<P>);

impl<R: 'static, P: Fn(&str) -> Result<R, LineError> + 'static> LineFormat for TextFormat<P> {
    type Value = R;

    fn another(&self) -> Self {
        TextFormat(Rc::clone(&self.0))
    }

    #[inline]
    fn decode(&mut self, line: &Line<'_>, _file: &CsvFile) -> Result<R, LineError> {
        match from_utf8(line.text) {
            Ok(text) => (self.0)(text),
            Err(error) => Err(LineError::new(format!("expected UTF-8: {error}")).at(error.valid_up_to())),
        }
    }
}

impl<'s> Env<'s> {
    /// The records that `parse` makes of the lines of files; and the lines that are none, which is none unless
    /// `on_bad_record` is [`BadRecordPolicy::DeadLetter`].
    ///
    /// Files are found, divided among the workers, decompressed, numbered and gone on with as those of
    /// [`read_csv`](Self::read_csv). Lines come without their end; blank ones are skipped.
    ///
    /// # Errors
    /// As `read_csv`. A bad record is told with its file, line and column.
    ///
    /// # Examples
    /// ```
    /// use waterwheel_engine::{BadRecordPolicy, LineError, RuntimeConfig, execute};
    ///
    /// let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("app.log");
    /// std::fs::write(&path, "WARN disk is nearly full\nwhat is this\nINFO started\n")?;
    ///
    /// let workers = execute(RuntimeConfig::threads(1), move |env| {
    ///     let (events, bad) = env.read_lines([&path], BadRecordPolicy::DeadLetter, |line| {
    ///         let (level, text) = line.split_once(' ').ok_or_else(|| LineError::new("expected a level and a text"))?;
    ///         match level {
    ///             "INFO" | "WARN" => Ok((level.to_string(), text.len())),
    ///             other => Err(LineError::new(format!("level: found {other:?}, expected INFO or WARN")).at(0)),
    ///         }
    ///     })?;
    ///     Ok((events.map(|event| event.value).collect(), bad.map(|bad| (bad.line, bad.column, bad.message)).collect()))
    /// })?;
    /// let (events, bad) = &workers[0];
    /// assert_eq!(events, &[("WARN".to_string(), 19), ("INFO".to_string(), 7)]);
    /// assert_eq!(bad, &[(2, Some(1), "level: found \"what\", expected INFO or WARN".to_string())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn read_lines<R: 'static>(
        &self,
        paths: impl IntoIterator<Item: Into<PathBuf>>,
        on_bad_record: BadRecordPolicy,
        parse: impl Fn(&str) -> Result<R, LineError> + 'static,
    ) -> Result<CsvStreams<'s, R>> {
        let name = ("read_lines", Location::caller());
        self.read_lines_as(name, paths, whole_lines(on_bad_record), TextFormat(Rc::new(parse)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{RuntimeConfig, execute};

    #[test]
    fn columns_count_characters() {
        let text = "aé€😀z".as_bytes();
        let columns: Vec<u64> = [0, 1, 3, 6, 10, 11, 99].map(|offset| column(text, offset)).to_vec();
        assert_eq!(columns, [1, 2, 3, 4, 5, 6, 6]);
    }

    #[test]
    fn lines_are_read_by_the_function_on_any_number_of_workers() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("numbers");
        let lines = (0..1_000).map(|i| if i == 500 { "5\"0,x\r\n\n".into() } else { format!("{i}\n") });
        std::fs::write(&path, [lines.collect::<String>().as_bytes(), b"1\xff"].concat()).unwrap();
        for threads in [1, 2, 4] {
            let path = path.clone();
            let read = execute(RuntimeConfig::threads(threads), move |env| {
                let (numbers, bad) = env.read_lines([&path], BadRecordPolicy::DeadLetter, |line| {
                    let wrong = line.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(0);
                    line.parse::<u64>().map_err(|_| LineError::new(format!("found {line:?}")).at(wrong))
                })?;
                Ok((numbers.map(|n| n.value).collect(), bad.map(|bad| bad.to_string()).collect()))
            });
            let (numbers, bad): (Vec<_>, Vec<_>) = read.unwrap().into_iter().unzip();
            assert_eq!(numbers.concat().iter().sum::<u64>(), 999 * 500 - 500, "{threads}");
            let (mut bad, name) = (bad.concat(), dir.path().join("numbers"));
            bad.sort();
            let expected = [
                "1002:2: expected UTF-8: invalid utf-8 sequence of 1 bytes from index 1",
                "501:2: found \"5\\\"0,x\"",
            ];
            assert_eq!(bad, expected.map(|bad| format!("{}:{bad}", name.display())));
        }
    }
}
