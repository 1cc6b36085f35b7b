//! How the lines of a file become records.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use crate::source::csv::deserialize::deserialize;
use crate::source::csv::fields::Fields;
use crate::source::csv::file::CsvFile;
use crate::source::csv::message;
use crate::source::lines::{Line, Quotes};
use crate::source::text::LineError;

/// How a line becomes a record.
pub(in crate::source) trait LineFormat: 'static {
    /// What a line says.
    type Value: 'static;

    /// The same for another file.
    fn another(&self) -> Self;

    /// Reads a line of the file; or what is wrong with it.
    fn decode(&mut self, line: &Line<'_>, file: &CsvFile) -> Result<Self::Value, LineError>;
}

/// Fields between separators, as serde reads them.
pub(in crate::source) struct CsvFormat<R> {
    /// For a field with quotes inside.
    memory: Vec<u8>,
    value: PhantomData<fn() -> R>,
}

impl<R> CsvFormat<R> {
    pub(super) fn new() -> Self {
        CsvFormat { memory: Vec::new(), value: PhantomData }
    }
}

impl<R: DeserializeOwned + 'static> LineFormat for CsvFormat<R> {
    type Value = R;

    fn another(&self) -> Self {
        CsvFormat::new()
    }

    #[inline]
    fn decode(&mut self, line: &Line<'_>, file: &CsvFile) -> Result<R, LineError> {
        let fields = Fields::of(*line, file.separator());
        if line.quotes == Quotes::Unclosed {
            return Err(message::unclosed(fields));
        }
        if let Some(header) = file.header().filter(|header| header.len() > fields.len()) {
            return Err(message::short_line(fields, header));
        }
        let value = deserialize(fields, file.header(), &mut self.memory);
        value.map_err(|error| message::explain(error, fields, file.header()))
    }
}
