//! Sources from files of JSON lines.

use std::marker::PhantomData;
use std::panic::Location;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::bad_record::BadRecordPolicy;
use crate::env::Env;
use crate::error::Result;
use crate::source::csv::{CsvFile, CsvStreams, LineFormat};
use crate::source::lines::Line;
use crate::source::text::{LineError, whole_lines};

/// A JSON value in each line, as serde reads it.
struct JsonFormat<R>(PhantomData<fn() -> R>);

impl<R: DeserializeOwned + 'static> LineFormat for JsonFormat<R> {
    type Value = R;

    fn another(&self) -> Self {
        JsonFormat(PhantomData)
    }

    #[inline]
    fn decode(&mut self, line: &Line<'_>, _file: &CsvFile) -> Result<R, LineError> {
        serde_json::from_slice(line.text).map_err(|_| complaint::<R>(line.text))
    }
}

/// Where in a line the first mistake is, and what it is.
#[cold]
fn complaint<R: DeserializeOwned>(text: &[u8]) -> LineError {
    let mut json = serde_json::Deserializer::from_slice(text);
    let (path, error) = match serde_path_to_error::deserialize::<_, R>(&mut json) {
        Err(error) => (error.path().to_string(), error.into_inner()),
        Ok(_) => match json.end() {
            Err(error) => (".".into(), error),
            Ok(()) => return LineError::new("it can not be read"),
        },
    };
    let message = error.to_string();
    // Line and column are told with the record.
    let message = message.split_once(" at line ").map_or(message.as_str(), |(message, _)| message);
    // Where the text itself is wrong there is no field yet.
    let field = if path == "." || !error.is_data() { String::new() } else { format!("field \"{path}\": ") };
    LineError::new(format!("{field}{message}")).at(error.column().saturating_sub(1))
}

impl<'s> Env<'s> {
    /// The records of files of JSON lines (NDJSON): one value a line, read into `R` by serde; and the lines that could not
    /// be read, which is none unless `on_bad_record` is [`BadRecordPolicy::DeadLetter`].
    ///
    /// Files are found, divided among the workers, decompressed, numbered and gone on with as those of
    /// [`read_csv`](Self::read_csv). Blank lines are skipped. Further fields are ignored, as serde does.
    ///
    /// # Errors
    /// As `read_csv`. A bad record is told as `events.ndjson:7:21: field "user": invalid type: string "x",
    /// expected u32`.
    ///
    /// # Examples
    /// ```
    /// use serde::Deserialize;
    /// use waterwheel_engine::{BadRecordPolicy, RuntimeConfig, execute};
    ///
    /// #[derive(Clone, Deserialize)]
    /// struct Event {
    ///     user: u32,
    ///     at: i64,
    /// }
    ///
    /// let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("events.ndjson");
    /// std::fs::write(&path, "{\"user\": 1, \"at\": 5}\n{\"user\": \"x\", \"at\": 6}\n{\"at\": 7, \"user\": 2}\n")?;
    ///
    /// let workers = execute(RuntimeConfig::threads(1), move |env| {
    ///     let (events, bad) = env.read_ndjson::<Event>([&path], BadRecordPolicy::DeadLetter)?;
    ///     Ok((events.map(|event| (event.value.user, event.value.at)).collect(), bad.map(|bad| (bad.column, bad.message)).collect()))
    /// })?;
    /// let (events, bad): (Vec<_>, Vec<_>) = workers.into_iter().next().unwrap();
    /// assert_eq!(events, [(1, 5), (2, 7)]);
    /// assert_eq!(bad, [(Some(12), "field \"user\": invalid type: string \"x\", expected u32".to_string())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn read_ndjson<R: DeserializeOwned + 'static>(
        &self,
        paths: impl IntoIterator<Item: Into<PathBuf>>,
        on_bad_record: BadRecordPolicy,
    ) -> Result<CsvStreams<'s, R>> {
        let name = ("read_ndjson", Location::caller());
        self.read_lines_as(name, paths, whole_lines(on_bad_record), JsonFormat::<R>(PhantomData))
    }

    /// As [`read_ndjson`](Self::read_ndjson), and of files that appear while the job runs, as by
    /// [`watch_csv`](Self::watch_csv).
    ///
    /// # Errors
    /// As there.
    #[track_caller]
    pub fn watch_ndjson<R: DeserializeOwned + 'static>(
        &self,
        paths: impl IntoIterator<Item: Into<PathBuf>>,
        on_bad_record: BadRecordPolicy,
        every: Duration,
    ) -> Result<CsvStreams<'s, R>> {
        let name = ("watch_ndjson", Location::caller());
        self.watch_lines_as(name, paths, whole_lines(on_bad_record), (every, JsonFormat::<R>(PhantomData)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{RuntimeConfig, execute};
    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};

    #[derive(Clone, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
    struct Nested {
        id: u32,
        tags: Vec<String>,
        of: Option<Box<Nested>>,
    }

    fn complaint_of(text: &str) -> String {
        assert!(serde_json::from_str::<Nested>(text).is_err(), "{text}");
        let LineError { offset, message } = complaint::<Nested>(text.as_bytes());
        format!("column {}: {message}", offset.unwrap() + 1)
    }

    #[test]
    fn mistakes_are_told_with_their_column_and_field() {
        let cases = [
            (
                "{\"id\":1,\"tags\":[\"a\",2],\"of\":null}",
                "column 21: field \"tags[1]\": invalid type: integer `2`, expected a string",
            ),
            (
                "{\"id\":1,\"tags\":[],\"of\":{\"id\":-1,\"tags\":[]}}",
                "column 31: field \"of.id\": invalid value: integer `-1`, expected u32",
            ),
            ("{\"id\":1}", "column 8: missing field `tags`"),
            ("{\"id\":1,\"tags\":[]} x", "column 20: trailing characters"),
            ("{\"id\":1,", "column 8: EOF while parsing a value"),
            ("not json", "column 2: expected ident"),
        ];
        for (text, expected) in cases {
            assert_eq!(complaint_of(text), expected, "{text}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_a_mistake_and_no_panic() {
        let text = b"{\"id\":1,\"tags\":[\"\xff\"]}";
        assert!(complaint::<Nested>(text).offset.is_some_and(|offset| offset > 0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        /// What is written line by line is read again, on any number of workers.
        #[test]
        fn values_come_back_whatever_texts_are_in_them(
            values in prop::collection::vec((any::<u32>(), prop::collection::vec(".{0,8}", 0..3), any::<bool>()), 0..200),
            threads in 1usize..5,
        ) {
            let values: Vec<Nested> = values.into_iter().map(|(id, tags, nested)| {
                let inner = Nested { id: 7, tags: vec!["\n\"".into()], of: None };
                Nested { id, tags, of: nested.then(|| Box::new(inner)) }
            }).collect();
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("values.ndjson");
            let lines: String = values.iter().map(|value| serde_json::to_string(value).unwrap() + "\n").collect();
            std::fs::write(&path, lines).unwrap();
            let read = execute(RuntimeConfig::threads(threads), move |env| {
                let (values, _bad) = env.read_ndjson::<Nested>([&path], BadRecordPolicy::Fail)?;
                Ok(values.map(|record| (record.row, record.value)).collect())
            }).unwrap();
            let mut read = read.concat();
            read.sort_by_key(|(row, _)| *row);
            prop_assert_eq!(read.into_iter().map(|(_, value)| value).collect::<Vec<_>>(), values);
        }
    }
}
