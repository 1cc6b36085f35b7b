//! The states of one worker's keys.

use std::hash::BuildHasher;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
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

impl<K: Key, S: Default> KeyTable<K, S> {
    /// The state of `key`, the key itself, and whether this is the first time that it is seen.
    #[inline]
    pub(crate) fn state_of(&mut self, key: &K) -> (&K, &mut S, bool) {
        let hash = |key: &K| FxBuildHasher.hash_one(key);
        let entry = self.entries.entry(hash(key), |(known, _)| known == key, |(known, _)| hash(known));
        let is_new = matches!(entry, Entry::Vacant(_));
        let (key, state) = entry.or_insert_with(|| (key.clone(), S::default())).into_mut();
        (key, state, is_new)
    }

    /// All keys and their states, in no order.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut S)> {
        self.entries.iter_mut().map(|(key, state)| (&*key, state))
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
