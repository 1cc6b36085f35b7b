//! Where a server keeps its rows: one slab, found by hash or by position.

use rustc_hash::FxHashMap;
use waterwheel_engine::{Error, Key, Result};

use crate::dense::dense_index;
use crate::element::Element;
use crate::prefetch;

/// Rows of `width` elements in one contiguous slab, made on first touch.
pub(crate) struct RowStore<K, E> {
    width: usize,
    slots: Slots<K>,
    /// Key of each row, in order of first touch.
    keys: Vec<K>,
    slab: Vec<E>,
    /// The row that is being made.
    fresh: Vec<E>,
}

enum Slots<K> {
    Hashed(FxHashMap<K, u32>),
    /// Keys `first..first + n`, each at its own place.
    Dense {
        first: u64,
        n: u64,
        /// A bit per key: whether its row was made.
        filled: Vec<u64>,
    },
}

impl<K: Key, E: Element> RowStore<K, E> {
    pub(crate) fn hashed(width: usize) -> Self {
        Self::with_slots(width, Slots::Hashed(FxHashMap::default()), Vec::new())
    }

    /// For the keys `first..first + n`; `blank` fills rows that were not touched yet.
    pub(crate) fn dense(width: usize, first: u64, n: u64, blank: E) -> Self {
        let filled = vec![0; n.div_ceil(64) as usize];
        Self::with_slots(width, Slots::Dense { first, n, filled }, vec![blank; n as usize * width])
    }

    fn with_slots(width: usize, slots: Slots<K>, slab: Vec<E>) -> Self {
        RowStore { width, slots, keys: Vec::new(), slab, fresh: Vec::new() }
    }

    /// Brings the rows of `keys` near, those that exist: many at once cost little more than one.
    pub(crate) fn prefetch(&self, keys: &[K]) {
        for key in keys {
            let place = match &self.slots {
                Slots::Hashed(map) => map.get(key).map(|slot| *slot as usize),
                Slots::Dense { first, n, .. } => position(key, *first, *n),
            };
            if let Some(row) = place.and_then(|place| self.slab.get(place * self.width..)) {
                prefetch::read(&row[..self.width.min(row.len())]);
            }
        }
    }

    /// The row of `key`; `init` appends its elements on first touch.
    #[inline]
    pub(crate) fn row(&mut self, key: &K, init: impl FnOnce(&mut Vec<E>)) -> Result<&mut [E]> {
        let start = match &mut self.slots {
            Slots::Hashed(map) => match map.get(key) {
                Some(slot) => *slot as usize * self.width,
                None => return self.insert_hashed(key, init),
            },
            Slots::Dense { first, n, filled } => {
                let Some(index) = position(key, *first, *n) else {
                    return Err(Error::operator(format!(
                        "key {key:?} does not belong to this server's range"
                    )));
                };
                if filled[index / 64] & (1 << (index % 64)) == 0 {
                    return self.fill_dense(index, key, init);
                }
                index * self.width
            }
        };
        Ok(&mut self.slab[start..start + self.width])
    }

    #[cold]
    fn insert_hashed(&mut self, key: &K, init: impl FnOnce(&mut Vec<E>)) -> Result<&mut [E]> {
        let start = self.slab.len();
        init(&mut self.slab);
        let made = self.slab.len() - start;
        if made != self.width {
            self.slab.truncate(start);
            return Err(wrong_width(key, made, self.width));
        }
        let slot = u32::try_from(self.keys.len())
            .map_err(|_| Error::operator("one server can hold at most 2^32 rows; use more servers"))?;
        if let Slots::Hashed(map) = &mut self.slots {
            map.insert(key.clone(), slot);
        }
        self.keys.push(key.clone());
        Ok(&mut self.slab[start..])
    }

    #[cold]
    fn fill_dense(&mut self, index: usize, key: &K, init: impl FnOnce(&mut Vec<E>)) -> Result<&mut [E]> {
        self.fresh.clear();
        init(&mut self.fresh);
        if self.fresh.len() != self.width {
            return Err(wrong_width(key, self.fresh.len(), self.width));
        }
        if let Slots::Dense { filled, .. } = &mut self.slots {
            filled[index / 64] |= 1 << (index % 64);
        }
        self.keys.push(key.clone());
        let place = &mut self.slab[index * self.width..(index + 1) * self.width];
        place.clone_from_slice(&self.fresh);
        Ok(place)
    }

    /// Calls `visit` with every touched row, in order of key.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&K, &[E])) {
        let mut order: Vec<usize> = (0..self.keys.len()).collect();
        order.sort_by(|a, b| self.keys[*a].cmp(&self.keys[*b]));
        for touched in order {
            let key = &self.keys[touched];
            let place = match &self.slots {
                Slots::Hashed(_) => touched,
                Slots::Dense { first, n, .. } => position(key, *first, *n).unwrap_or_default(),
            };
            visit(key, &self.slab[place * self.width..(place + 1) * self.width]);
        }
    }
}

/// Position of `key` among `first..first + n`.
#[inline]
fn position<K: 'static>(key: &K, first: u64, n: u64) -> Option<usize> {
    let index = dense_index(key)?.checked_sub(first)?;
    (index < n).then_some(index as usize)
}

fn wrong_width<K: std::fmt::Debug>(key: &K, found: usize, expected: usize) -> Error {
    Error::operator(format!("row of key {key:?} has {found} elements, expected {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(store: &RowStore<u64, i32>) -> Vec<(u64, Vec<i32>)> {
        let mut rows = Vec::new();
        store.for_each(|key, row| rows.push((*key, row.to_vec())));
        rows
    }

    #[test]
    fn hashed_and_dense_rows_are_made_once_and_visited_in_order_of_key() {
        for mut store in [RowStore::hashed(2), RowStore::dense(2, 10, 5, 0)] {
            for key in [13u64, 10, 13] {
                store.row(&key, |row| row.extend([key as i32, 1])).unwrap()[1] += 1;
            }
            assert_eq!(rows(&store), [(10, vec![10, 2]), (13, vec![13, 3])]);
        }
    }

    #[test]
    fn row_of_wrong_width_is_refused_and_leaves_no_trace() {
        for mut store in [RowStore::hashed(2), RowStore::dense(2, 0, 5, 0)] {
            let error = store.row(&3u64, |row| row.push(1)).unwrap_err();
            assert_eq!(error.message(), "row of key 3 has 1 elements, expected 2");
            assert_eq!(rows(&store), []);
        }
    }

    #[test]
    fn key_of_another_range_is_refused() {
        let mut store = RowStore::dense(1, 10, 5, 0);
        assert!(store.row(&9u64, |row| row.push(0)).is_err());
        assert!(store.row(&15u64, |row| row.push(0)).is_err());
    }
}
