//! The states of one worker's keys.

use std::hash::BuildHasher;

use hashbrown::HashTable;
use hashbrown::hash_table::{AbsentEntry, OccupiedEntry};
use rustc_hash::FxBuildHasher;

use crate::hash::Key;

/// A state per key. Unlike a map it lends the key that it holds, so that a key which is a part of a record
/// need not be cloned to be looked up and then outlive the record.
pub(crate) struct KeyTable<K, S> {
    entries: HashTable<(K, S)>,
}

impl<K, S> Default for KeyTable<K, S> {
    fn default() -> Self {
        KeyTable { entries: HashTable::new() }
    }
}

impl<K: Key, S> KeyTable<K, S> {
    /// The state of `key`, the key itself, and whether the state was made for this call.
    #[inline(always)]
    pub(crate) fn state_or(&mut self, key: &K, make: impl FnOnce() -> S) -> (&K, &mut S, bool) {
        let hash = FxBuildHasher.hash_one(key);
        let (entry, is_new) = match self.entries.find_entry(hash, |(known, _)| known == key) {
            Ok(entry) => (entry, false),
            Err(absent) => (insert(absent, hash, key, make), true),
        };
        let (key, state) = entry.into_mut();
        (key, state, is_new)
    }

    /// As [`state_or`](Self::state_or), with states that begin as their default.
    #[inline(always)]
    pub(crate) fn state_of(&mut self, key: &K) -> (&K, &mut S, bool)
    where
        S: Default,
    {
        self.state_or(key, S::default)
    }

    /// The state of `key`.
    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut S> {
        let hash = FxBuildHasher.hash_one(key);
        self.entries.find_mut(hash, |(known, _)| known == key).map(|(_, state)| state)
    }

    /// Drops the state of `key`.
    pub(crate) fn remove(&mut self, key: &K) {
        drop(self.take(key));
    }

    /// Takes out `key` and its state.
    pub(crate) fn take(&mut self, key: &K) -> Option<(K, S)> {
        let hash = FxBuildHasher.hash_one(key);
        let entry = self.entries.find_entry(hash, |(known, _)| known == key).ok()?;
        Some(entry.remove().0)
    }

    /// Takes out the first entry at `bucket` or behind it, and moves `bucket` there. Nothing may be added between two
    /// calls that share a bucket.
    pub(crate) fn take_from_bucket(&mut self, bucket: &mut usize) -> Option<(K, S)> {
        while *bucket < self.entries.num_buckets() {
            if let Ok(entry) = self.entries.get_bucket_entry(*bucket) {
                return Some(entry.remove().0);
            }
            *bucket += 1;
        }
        None
    }

    /// Adds a key that is not there.
    pub(crate) fn insert_new(&mut self, key: K, state: S) {
        let hash = FxBuildHasher.hash_one(&key);
        self.entries.insert_unique(hash, (key, state), |(key, _)| FxBuildHasher.hash_one(key));
    }

    /// Makes room for `n` more keys.
    pub(crate) fn reserve(&mut self, n: usize) {
        self.entries.reserve(n, |(key, _)| FxBuildHasher.hash_one(key));
    }

    /// Number of keys.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Drops all states and keeps their memory.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All keys and their states, in no order.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut S)> {
        self.entries.iter_mut().map(|(key, state)| (&*key, state))
    }
}

/// Kept out of the way of the keys that are known.
#[cold]
#[inline(never)]
fn insert<'t, K: Key, S>(
    absent: AbsentEntry<'t, (K, S)>,
    hash: u64,
    key: &K,
    make: impl FnOnce() -> S,
) -> OccupiedEntry<'t, (K, S)> {
    absent.into_table().insert_unique(hash, (key.clone(), make()), |(key, _)| FxBuildHasher.hash_one(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn key_table_equals_a_map(keys in prop::collection::vec(0u32..200, 0..2_000)) {
            let (mut table, mut map) = (KeyTable::<String, u64>::default(), BTreeMap::new());
            for key in keys.iter().map(u32::to_string) {
                let (known, count, is_new) = table.state_of(&key);
                prop_assert_eq!((known, is_new), (&key, !map.contains_key(&key)));
                *count += 1;
                *map.entry(key).or_insert(0) += 1;
            }
            let entries: BTreeMap<_, _> = table.iter_mut().map(|(key, n)| (key.clone(), *n)).collect();
            prop_assert_eq!(entries, map);
        }
    }
}
