//! What a record must be to move between workers.

use serde::{Serialize, de::DeserializeOwned};

/// A record that can move between workers and processes.
///
/// Implemented for every type that has the listed traits; derive `Clone`, `Serialize` and `Deserialize`.
pub trait Record: Clone + Send + Serialize + DeserializeOwned + 'static {}

impl<D: Clone + Send + Serialize + DeserializeOwned + 'static> Record for D {}
