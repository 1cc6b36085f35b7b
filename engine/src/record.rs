//! What a record must be to move between workers.

use serde::{Serialize, de::DeserializeOwned};

/// A record that can move between workers and processes.
///
/// Implemented for every type that has the listed traits; derive `Clone`, `Serialize` and `Deserialize`. Between
/// processes a record is its numbers and texts, without names, so a type that reads whatever there is (untagged
/// enums, flattened fields, JSON values) works inside one process only: between two the run ends with an error.
pub trait Record: Clone + Send + Serialize + DeserializeOwned + 'static {}

impl<D: Clone + Send + Serialize + DeserializeOwned + 'static> Record for D {}
