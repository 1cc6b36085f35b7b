//! What a distributed matrix is made of.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use waterwheel_engine::{Error, Result};

use crate::models::Scalar;
use crate::partition::{Part, Partitioning};

/// What of a matrix stays together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Split {
    /// A row is in one part: pulls and pushes of a row are one message.
    #[default]
    Rows,
    /// A part has some columns of every row: servers can multiply rows, each its share; see
    /// [`BigMatrix::dot`](super::BigMatrix::dot).
    Columns,
}

type Init<E> = Arc<dyn Fn(u64, usize) -> E + Send + Sync>;

/// What a [`BigMatrix`](super::BigMatrix) is to be.
///
/// | setting | default | valid |
/// |---|---|---|
/// | rows, columns | | any; columns below 2^32 |
/// | `split` | [`Split::Rows`] | |
/// | `partitioning`: which rows, or columns, are in which part | [`Partitioning::Range`] | |
/// | `parts_per_server` | 1 | 1 or more |
/// | `init` | zero | |
///
/// There are as many parts as servers times `parts_per_server`, but no more than rows, or columns, are split. Part `i`
/// is on server `i mod servers`.
#[derive(Clone)]
pub struct MatrixSpec<E> {
    pub(crate) rows: u64,
    pub(crate) columns: usize,
    pub(crate) split: Split,
    pub(crate) partitioning: Partitioning,
    pub(crate) parts_per_server: usize,
    pub(crate) init: Option<Init<E>>,
}

impl<E: Scalar> MatrixSpec<E> {
    /// A matrix of zeros, split by rows.
    pub fn new(rows: u64, columns: usize) -> Self {
        let (split, partitioning) = (Split::Rows, Partitioning::Range);
        MatrixSpec { rows, columns, split, partitioning, parts_per_server: 1, init: None }
    }

    /// Sets what stays together.
    #[must_use]
    pub fn split(mut self, split: Split) -> Self {
        self.split = split;
        self
    }

    /// Sets which rows, or columns, are in which part.
    #[must_use]
    pub fn partitioning(mut self, partitioning: Partitioning) -> Self {
        self.partitioning = partitioning;
        self
    }

    /// Sets how many parts of it a server has.
    #[must_use]
    pub fn parts_per_server(mut self, parts: usize) -> Self {
        self.parts_per_server = parts;
        self
    }

    /// Sets the first value of each element, as a function of its row and column alone.
    #[must_use]
    pub fn init(mut self, init: impl Fn(u64, usize) -> E + Send + Sync + 'static) -> Self {
        self.init = Some(Arc::new(init));
        self
    }

    /// Where its elements are, on so many servers.
    pub(crate) fn layout(&self, servers: usize) -> Result<Layout> {
        let limits = [("columns", self.columns as u64), ("parts_per_server", self.parts_per_server as u64)];
        if let Some((what, n)) = limits.iter().find(|(_, n)| *n >= u64::from(u32::MAX)) {
            return Err(Error::config(format!("matrix: {what} is {n}, expected less than 2^32 - 1")));
        }
        if self.parts_per_server == 0 {
            return Err(Error::config("matrix: parts_per_server is 0, expected 1 or more"));
        }
        let split_up = match self.split {
            Split::Rows => self.rows,
            Split::Columns => self.columns as u64,
        };
        let parts = (servers as u64).saturating_mul(self.parts_per_server as u64).min(split_up).max(1);
        let parts =
            u32::try_from(parts).map_err(|_| Error::config(format!("matrix: {parts} parts are too many")))?;
        let (rows, columns) = (self.rows, self.columns as u32);
        Ok(Layout { rows, columns, split: self.split, partitioning: self.partitioning, parts })
    }
}

impl<E> fmt::Debug for MatrixSpec<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut spec = f.debug_struct("MatrixSpec");
        spec.field("rows", &self.rows).field("columns", &self.columns).field("split", &self.split);
        spec.field("partitioning", &self.partitioning).finish_non_exhaustive()
    }
}

/// Where the elements of a matrix are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Layout {
    pub(crate) rows: u64,
    pub(crate) columns: u32,
    pub(crate) split: Split,
    pub(crate) partitioning: Partitioning,
    pub(crate) parts: u32,
}

impl Layout {
    /// The part of an element.
    pub(crate) fn part_of(&self, row: u64, column: u32) -> u32 {
        let (at, n) = match self.split {
            Split::Rows => (row, self.rows),
            Split::Columns => (u64::from(column), u64::from(self.columns)),
        };
        self.partitioning.part_of(at, n, u64::from(self.parts)) as u32
    }

    /// The rows of a part.
    pub(crate) fn rows_of(&self, part: u32) -> Part {
        match self.split {
            Split::Rows => self.partitioning.part(u64::from(part), self.rows, u64::from(self.parts)),
            Split::Columns => Part { first: 0, step: 1, len: self.rows },
        }
    }

    /// The columns of a part.
    pub(crate) fn columns_of(&self, part: u32) -> Part {
        let columns = u64::from(self.columns);
        match self.split {
            Split::Rows => Part { first: 0, step: 1, len: columns },
            Split::Columns => self.partitioning.part(u64::from(part), columns, u64::from(self.parts)),
        }
    }
}
