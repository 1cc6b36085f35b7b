//! Tables of values that a generator would otherwise compute for every row.

use std::fmt;
use std::sync::Arc;

/// Entries that are kept: with more, looking up the profile of a user misses the cache and takes longer
/// than computing it (measured: 20 ns a rating where all are kept, 55 beyond, 175 from a table of 2²⁰).
const MAX_KEPT: u64 = 1 << 14;

/// A function of an index whose first values are kept, and shared by clones.
#[derive(Clone)]
pub(super) struct Table<T> {
    kept: Arc<[T]>,
    compute: fn(u64) -> T,
}

impl<T: Clone> Table<T> {
    pub(super) fn new(len: u64, compute: fn(u64) -> T) -> Self {
        Table { kept: (0..len.min(MAX_KEPT)).map(compute).collect(), compute }
    }

    #[inline]
    pub(super) fn get(&self, idx: u64) -> T {
        match usize::try_from(idx).ok().and_then(|idx| self.kept.get(idx)) {
            Some(value) => value.clone(),
            None => (self.compute)(idx),
        }
    }
}

impl<T> fmt::Debug for Table<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("kept", &self.kept.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_beyond_its_kept_entries_computes_them() {
        let table = Table::new(u64::MAX, |idx| 2 * idx);
        assert_eq!(table.kept.len() as u64, MAX_KEPT);
        assert_eq!([0, MAX_KEPT - 1, MAX_KEPT, 5 * MAX_KEPT].map(|idx| table.get(idx) / 2), {
            [0, MAX_KEPT - 1, MAX_KEPT, 5 * MAX_KEPT]
        });
    }
}
