//! Files of columns: Parquet and Arrow IPC, read and written as records by serde. Feature `arrow`.
//!
//! Nothing public names a type of the Arrow crates, whose versions change every quarter: columns are told by the type of the
//! record.

mod column;
mod files;
mod read;
mod row;
mod schema;
mod write;

use std::fmt;

use serde::{de, ser};

/// What is wrong with a record or its type, and the path of the column.
#[derive(Debug)]
pub(crate) struct ColumnError {
    /// From the outside in.
    path: Vec<String>,
    message: String,
}

impl ColumnError {
    pub(crate) fn new(message: impl fmt::Display) -> Self {
        ColumnError { path: Vec::new(), message: message.to_string() }
    }

    /// The same, within a column.
    pub(crate) fn within(mut self, column: &str) -> Self {
        self.path.insert(0, column.into());
        self
    }
}

impl fmt::Display for ColumnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.is_empty() {
            true => f.write_str(&self.message),
            false => write!(f, "column {:?}: {}", self.path.join("."), self.message),
        }
    }
}

impl std::error::Error for ColumnError {}

impl de::Error for ColumnError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        ColumnError::new(message)
    }
}

impl ser::Error for ColumnError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        ColumnError::new(message)
    }
}

#[cfg(test)]
mod tests;
