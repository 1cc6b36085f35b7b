//! Distributed vectors.

use serde::{Deserialize, Serialize};
use waterwheel_engine::Result;

use crate::models::server::ModelRow;
use crate::models::{BigMatrix, ModelClient, ModelLogic, Scalar};

/// A vector of `len` elements that is spread over the servers: a handle, as [`BigMatrix`] is, of which it is one
/// column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct BigVector<E> {
    column: BigMatrix<E>,
}

impl<E: Scalar> BigVector<E> {
    pub(crate) fn new(column: BigMatrix<E>) -> Self {
        BigVector { column }
    }

    /// Number of elements.
    pub fn len(&self) -> u64 {
        self.column.rows()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of parts that it is split into.
    pub fn parts(&self) -> usize {
        self.column.parts()
    }

    /// The same vector, with this limit on the elements in one message; 65,536 by default.
    ///
    /// # Errors
    /// The limit is 0.
    pub fn with_message_limit(&self, elements: usize) -> Result<Self> {
        self.column.with_message_limit(elements).map(Self::new)
    }

    /// Asks for the elements with these numbers, and calls `then` with them.
    ///
    /// # Errors
    /// A number is out of range.
    pub fn pull<L: ModelLogic>(
        &self,
        ps: &mut ModelClient<'_, L>,
        keys: &[u64],
        then: impl FnOnce(&mut L, Vec<E>, &mut ModelClient<'_, L>) -> Result<()> + 'static,
    ) -> Result<()> {
        self.column.pull_rows(ps, keys, then)
    }

    /// Adds each of `values` to the element with its number, as [`BigMatrix::push`].
    ///
    /// # Errors
    /// A number is out of range, or there are not as many of both.
    pub fn push<L: ModelLogic>(&self, ps: &mut ModelClient<'_, L>, keys: &[u64], values: &[E]) -> Result<()> {
        self.column.push_rows(ps, keys, values)
    }

    /// Frees its memory, as [`BigMatrix::destroy`].
    ///
    /// # Errors
    /// The request can not be sent.
    pub fn destroy<L: ModelLogic>(
        &self,
        ps: &mut ModelClient<'_, L>,
        then: impl FnOnce(&mut L, &mut ModelClient<'_, L>) -> Result<()> + 'static,
    ) -> Result<()> {
        self.column.destroy(ps, then)
    }

    /// The number and value of an output row, if it is an element of this vector.
    pub fn element_of(&self, row: &ModelRow) -> Option<(u64, E)> {
        self.column.elements_of(row)?.next().map(|(_, value)| (row.row, value))
    }
}
