//! State of earlier versions of a program, turned into what the program keeps now.

use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};

use crate::checkpoint::state::{StateReader, StateWriter};
use crate::error::Result;
use crate::hash::Key;
use crate::keyed::STATES;

/// How the state of an operator is turned into that of a version of the program.
#[derive(Clone)]
pub(crate) struct Migration {
    /// The name by which the operator is found.
    pub(crate) operator: String,
    /// The kind of its state.
    pub(crate) kind: &'static str,
    /// The first version that has the new state.
    pub(crate) version: u64,
    convert: Arc<Convert>,
}

type Convert = dyn Fn(StateReader) -> Result<StateReader> + Send + Sync;

impl Migration {
    /// Of the states of keys.
    pub(super) fn of_keys<K: Key, Old: DeserializeOwned, New: Serialize>(
        operator: String,
        version: u64,
        f: impl Fn(&K, Old) -> Result<New> + Send + Sync + 'static,
    ) -> Self {
        let convert = move |mut old: StateReader| {
            let mut new = StateWriter::default();
            while let Some((key, age, state)) = old.next_item::<(K, Duration, Old)>()? {
                new.put(&(&key, age, f(&key, state)?))?;
            }
            Ok(StateReader::new(new.into_bytes()))
        };
        Migration { operator, kind: STATES, version, convert: Arc::new(convert) }
    }

    /// Of all that a function has put in its `snapshot`.
    pub(super) fn of_function(
        operator: String,
        version: u64,
        f: impl Fn(&mut StateReader, &mut StateWriter) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        let convert = move |mut old: StateReader| {
            let mut new = StateWriter::default();
            f(&mut old, &mut new)?;
            Ok(StateReader::new(new.into_bytes()))
        };
        Migration { operator, kind: super::participant::ITEMS, version, convert: Arc::new(convert) }
    }

    pub(crate) fn convert(&self, old: StateReader) -> Result<StateReader> {
        (self.convert)(old)
    }
}

impl std::fmt::Debug for Migration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Migration { operator, kind, version, .. } = self;
        f.debug_tuple("Migration").field(operator).field(kind).field(version).finish()
    }
}
