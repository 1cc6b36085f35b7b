//! The states of one worker's keys.

use std::hash::BuildHasher;

use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;

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

impl<K: std::hash::Hash + Ord + Clone, S: Default> KeyTable<K, S> {
    /// The state of `key`, made if it is the first time that the key is seen, and the key.
    #[inline]
    pub(crate) fn state_of(&mut self, key: &K) -> (&K, &mut S) {
        let hash = |key: &K| FxBuildHasher.hash_one(key);
        let entry = self.entries.entry(hash(key), |(known, _)| known == key, |(known, _)| hash(known));
        let (key, state) = entry.or_insert_with(|| (key.clone(), S::default())).into_mut();
        (key, state)
    }

    /// Takes all states, in order of key.
    pub(crate) fn take_sorted(&mut self) -> Vec<(K, S)> {
        let mut entries: Vec<_> = std::mem::take(&mut self.entries).into_iter().collect();
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        entries
    }
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
                let (known, count) = table.state_of(&key);
                prop_assert_eq!(known, &key);
                *count += 1;
                *map.entry(key).or_insert(0) += 1;
            }
            prop_assert_eq!(table.take_sorted(), map.into_iter().collect::<Vec<_>>());
            prop_assert!(table.take_sorted().is_empty());
        }
    }
}
