//! How the lines of a file become records.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use crate::source::csv::fields::FieldSplitter;
use crate::source::csv::file::CsvFile;
use crate::source::csv::message;
use crate::source::lines::{Line, Quotes};

/// How a line becomes a record.
pub(in crate::source) trait LineFormat: 'static {
    /// What a line says.
    type Value: 'static;

    /// For the lines of this file.
    fn of(file: &CsvFile) -> Self;

    /// Reads a line of the file; or what is wrong with it.
    fn decode(&mut self, line: &Line<'_>, file: &CsvFile) -> Result<Self::Value, String>;
}

/// Fields between separators, as serde reads them.
pub(in crate::source) struct CsvFormat<R> {
    splitter: FieldSplitter,
    value: PhantomData<fn() -> R>,
}

impl<R: DeserializeOwned + 'static> LineFormat for CsvFormat<R> {
    type Value = R;

    fn of(file: &CsvFile) -> Self {
        CsvFormat { splitter: FieldSplitter::new(file.separator()), value: PhantomData }
    }

    #[inline]
    fn decode(&mut self, line: &Line<'_>, file: &CsvFile) -> Result<R, String> {
        let fields = self.splitter.split(line);
        if line.quotes == Quotes::Unclosed {
            return Err(message::UNCLOSED.to_string());
        }
        if let Some(header) = file.header().filter(|header| header.len() > fields.as_bytes().len()) {
            return Err(message::short_line(fields.as_bytes(), header));
        }
        let value = fields.deserialize(file.header());
        value.map_err(|error| message::explain(error, line, fields.as_bytes(), file.header()))
    }
}
