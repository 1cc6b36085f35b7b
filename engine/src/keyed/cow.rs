//! States of which a copy is being written while they change.

use crate::checkpoint::Entries;
use crate::error::Result;
use crate::hash::Key;
use crate::keyed::table::KeyTable;

/// Entries that are written in one slice.
const SLICE: usize = 512;

/// Writes the state of a key.
pub(crate) type Encode<K, S> = Box<dyn Fn(&K, &S, &mut Entries) -> Result<()>>;

/// A state per key, of which a copy can be taken at once and written bit by bit.
///
/// To take it the whole table is put aside and an empty one takes its place, whatever its size. Entries then move back
/// one by one, each written as it does: those that are asked for at once, and so before they change, the others in
/// slices. So a copy costs no memory beyond the place of the entries in the table.
pub(crate) struct CowTable<K, S> {
    live: KeyTable<K, S>,
    aside: Option<Box<Aside<K, S>>>,
}

/// What is still to be written.
struct Aside<K, S> {
    table: KeyTable<K, S>,
    next_bucket: usize,
    encode: Encode<K, S>,
    written: Entries,
    /// The first entry that could not be written.
    failure: Result<()>,
}

impl<K, S> Default for CowTable<K, S> {
    fn default() -> Self {
        CowTable { live: KeyTable::default(), aside: None }
    }
}

impl<K: Key, S> CowTable<K, S> {
    /// The table itself, where no copy of it is being written: look-ups in it cost nothing extra.
    #[inline]
    pub(crate) fn settled(&mut self) -> Option<&mut KeyTable<K, S>> {
        match self.aside {
            None => Some(&mut self.live),
            Some(_) => None,
        }
    }

    /// As [`KeyTable::state_or`].
    #[inline]
    pub(crate) fn state_or(&mut self, key: &K, make: impl FnOnce() -> S) -> (&K, &mut S, bool) {
        self.bring_back(key);
        self.live.state_or(key, make)
    }

    /// The state of `key`.
    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut S> {
        self.bring_back(key);
        self.live.get_mut(key)
    }

    /// Drops the state of `key`.
    pub(crate) fn remove(&mut self, key: &K) {
        self.bring_back(key);
        self.live.remove(key);
    }

    #[inline]
    fn bring_back(&mut self, key: &K) {
        if let Some(aside) = &mut self.aside
            && let Some((key, state)) = aside.table.take(key)
        {
            aside.write(&key, &state);
            self.live.insert_new(key, state);
        }
    }

    /// Takes a copy, to be written by `encode`. What is not written yet of an earlier one is given up.
    pub(crate) fn mark(&mut self, encode: Encode<K, S>) {
        self.bring_all_back();
        let table = std::mem::take(&mut self.live);
        self.live.reserve(table.len());
        let written = Entries::default();
        self.aside = Some(Box::new(Aside { table, next_bucket: 0, encode, written, failure: Ok(()) }));
    }

    /// Writes a slice of the copy; whether there is more.
    ///
    /// # Errors
    /// An entry can not be written.
    pub(crate) fn sweep(&mut self, to: &mut Entries) -> Result<bool> {
        let Some(aside) = &mut self.aside else { return Ok(false) };
        to.append(&mut aside.written);
        std::mem::replace(&mut aside.failure, Ok(()))?;
        for _ in 0..SLICE {
            let Some((key, state)) = aside.table.take_from_bucket(&mut aside.next_bucket) else {
                self.aside = None;
                return Ok(false);
            };
            (aside.encode)(&key, &state, to)?;
            self.live.insert_new(key, state);
        }
        Ok(true)
    }

    /// Number of keys.
    pub(crate) fn len(&self) -> usize {
        self.live.len() + self.aside.as_ref().map_or(0, |aside| aside.table.len())
    }

    /// All keys and their states, in no order. What is not written yet of a copy is encoded first.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut S)> {
        self.bring_all_back();
        self.live.iter_mut()
    }

    /// Drops all states and their memory; what was to be written of them still is.
    pub(crate) fn clear(&mut self) {
        self.bring_all_back();
        self.live = KeyTable::default();
    }

    fn bring_all_back(&mut self) {
        let Some(aside) = &mut self.aside else { return };
        while let Some((key, state)) = aside.table.take_from_bucket(&mut aside.next_bucket) {
            aside.write(&key, &state);
            self.live.insert_new(key, state);
        }
    }
}

impl<K, S> Aside<K, S> {
    fn write(&mut self, key: &K, state: &S) {
        let outcome = (self.encode)(key, state, &mut self.written);
        if self.failure.is_ok() {
            self.failure = outcome;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::StateReader;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn encode() -> Encode<u32, u64> {
        Box::new(|key, state, to| to.put(u64::from(key % 128), &(key, state)))
    }

    fn decoded(mut entries: Entries) -> BTreeMap<u32, u64> {
        let mut all = BTreeMap::new();
        for (group, bytes) in entries.take(0) {
            let mut reader = StateReader::new(bytes);
            while let Some((key, state)) = reader.next_item::<(u32, u64)>().unwrap() {
                assert_eq!(key % 128, group);
                assert!(all.insert(key, state).is_none(), "key {key} is written twice");
            }
        }
        all
    }

    proptest! {
        /// Whatever is done to the table while a copy is written, the copy is that of the moment it was taken.
        #[test]
        fn copy_is_that_of_the_moment_it_was_taken(
            steps in prop::collection::vec((0u8..20, 0u32..3000), 0..4000),
        ) {
            let (mut table, mut model) = (CowTable::default(), BTreeMap::new());
            let mut copy: Option<(Entries, BTreeMap<u32, u64>)> = None;
            for key in 0..2000 {
                *table.state_or(&key, || 0u64).1 = u64::from(key);
                model.insert(key, u64::from(key));
            }
            for (step, key) in steps {
                match (step, &mut copy) {
                    (0, None) => {
                        table.mark(encode());
                        copy = Some((Entries::default(), model.clone()));
                    }
                    (1, Some((written, expected))) => {
                        if !table.sweep(written).unwrap() {
                            prop_assert_eq!(&decoded(std::mem::take(written)), expected);
                            copy = None;
                        }
                    }
                    (2, _) => {
                        table.remove(&key);
                        model.remove(&key);
                    }
                    (3, _) if key < 100 => {
                        let all: BTreeMap<u32, u64> = table.iter_mut().map(|(key, state)| (*key, *state)).collect();
                        prop_assert_eq!(&all, &model);
                    }
                    (4, _) if key < 20 => {
                        table.clear();
                        model.clear();
                    }
                    _ => {
                        *table.state_or(&key, || 0).1 += 1;
                        *model.entry(key).or_insert(0) += 1;
                    }
                }
            }
            let all: BTreeMap<u32, u64> = table.iter_mut().map(|(key, state)| (*key, *state)).collect();
            prop_assert_eq!(all, model.clone());
            prop_assert_eq!(table.get_mut(&7).copied(), model.get(&7).copied());
        }
    }

    #[test]
    fn entry_that_can_not_be_written_fails_the_copy_and_not_the_look_up() {
        let mut table = CowTable::default();
        table.state_or(&1u32, || 5u64);
        table.mark(Box::new(|_, _, _| Err(crate::Error::operator("no"))));
        assert_eq!(table.get_mut(&1).copied(), Some(5));
        assert!(table.sweep(&mut Entries::default()).is_err());
    }
}
