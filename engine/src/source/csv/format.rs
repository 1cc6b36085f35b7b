//! How the lines of a file become records.

use serde::de::DeserializeSeed;

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
pub(in crate::source) struct CsvFormat<S> {
    /// Makes a value of the fields.
    seed: S,
    /// For a field with quotes inside.
    memory: Vec<u8>,
}

impl<S> CsvFormat<S> {
    pub(super) fn new(seed: S) -> Self {
        CsvFormat { seed, memory: Vec::new() }
    }
}

impl<R: 'static, S> LineFormat for CsvFormat<S>
where
    S: for<'de> DeserializeSeed<'de, Value = R> + Clone + 'static,
{
    type Value = R;

    fn another(&self) -> Self {
        CsvFormat::new(self.seed.clone())
    }

    #[inline]
    fn decode(&mut self, line: &Line<'_>, file: &CsvFile) -> Result<R, LineError> {
        let fields = Fields::of(*line, file.separator());
        if line.quotes == Quotes::Unclosed {
            return Err(message::unclosed(fields));
        }
        if line.quotes == Quotes::Closed
            && let Some(torn) = fields.torn()
        {
            return Err(message::torn(fields, file.header(), torn));
        }
        if let Some(header) = file.header().filter(|header| header.len() > fields.len()) {
            return Err(message::short_line(fields, header));
        }
        let value = deserialize(self.seed.clone(), fields, file.header(), &mut self.memory);
        value.map_err(|error| message::explain(error, fields, file.header()))
    }
}
