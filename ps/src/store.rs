//! Where a server keeps its rows: one slab, found by hash or by position.

use rustc_hash::FxHashMap;
use waterwheel_engine::{Error, Key, Result};

use crate::dense::dense_index;
use crate::element::Element;

/// Rows of `width` elements in one contiguous slab, made on first touch.
pub(crate) struct RowStore<K, E> {
    width: usize,
    slots: Slots<K>,
    /// Key of each row, in order of first touch.
    keys: Vec<K>,
    slab: Vec<E>,
}

enum Slots<K> {
    Hashed(FxHashMap<K, u32>),
    /// Keys `first..first + filled.len()`, each at its own place.
    Dense {
        first: u64,
        filled: Vec<bool>,
    },
}

impl<K: Key, E: Element> RowStore<K, E> {
    pub(crate) fn hashed(width: usize) -> Self {
        RowStore { width, slots: Slots::Hashed(FxHashMap::default()), keys: Vec::new(), slab: Vec::new() }
    }

    /// For the keys `first..first + n`; `blank` fills rows that were not touched yet.
    pub(crate) fn dense(width: usize, first: u64, n: u64, blank: E) -> Self {
        let filled = vec![false; n as usize];
        let slab = vec![blank; n as usize * width];
        RowStore { width, slots: Slots::Dense { first, filled }, keys: Vec::new(), slab }
    }

    /// The row of `key`; `init` appends its elements on first touch.
    #[inline]
    pub(crate) fn row(&mut self, key: &K, init: impl FnOnce(&mut Vec<E>)) -> Result<&mut [E]> {
        let start = match &mut self.slots {
            Slots::Hashed(map) => match map.get(key) {
                Some(slot) => *slot as usize * self.width,
                None => return self.insert_hashed(key, init),
            },
            Slots::Dense { first, filled } => {
                let index = dense_index(key).and_then(|index| index.checked_sub(*first));
                let Some(index) = index.filter(|index| *index < filled.len() as u64) else {
                    return Err(Error::operator(format!(
                        "key {key:?} does not belong to this server's range"
                    )));
                };
                if !filled[index as usize] {
                    return self.fill_dense(index as usize, key, init);
                }
                index as usize * self.width
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
        let mut row = Vec::with_capacity(self.width);
        init(&mut row);
        if row.len() != self.width {
            return Err(wrong_width(key, row.len(), self.width));
        }
        if let Slots::Dense { filled, .. } = &mut self.slots {
            filled[index] = true;
        }
        self.keys.push(key.clone());
        let place = &mut self.slab[index * self.width..(index + 1) * self.width];
        place.clone_from_slice(&row);
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
                Slots::Dense { first, .. } => dense_index(key).map_or(0, |index| (index - first) as usize),
            };
            visit(key, &self.slab[place * self.width..(place + 1) * self.width]);
        }
    }
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
