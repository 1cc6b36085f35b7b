//! How much went by, and how much is kept.

use std::ops::{Add, AddAssign};

/// What went through an input or an output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Volume {
    pub(crate) batches: u64,
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

impl AddAssign for Volume {
    #[inline]
    fn add_assign(&mut self, other: Self) {
        self.batches += other.batches;
        self.records += other.records;
        self.bytes += other.bytes;
    }
}

/// How much state an operator keeps by key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StateSize {
    pub(crate) keys: usize,
    /// Without what the entries point to, and without room for more.
    pub(crate) bytes: usize,
}

impl StateSize {
    /// So many entries of the same size.
    #[inline]
    pub(crate) fn of<Entry>(keys: usize) -> Self {
        StateSize { keys, bytes: keys * size_of::<Entry>() }
    }
}

impl Add for StateSize {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        StateSize { keys: self.keys + other.keys, bytes: self.bytes + other.bytes }
    }
}
