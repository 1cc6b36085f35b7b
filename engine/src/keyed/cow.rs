//! States of which a copy is being written while they change.

use crate::checkpoint::Entries;
use crate::error::Result;
use crate::hash::Key;
use crate::keyed::table::{KeyTable, Spot};

/// Buckets of the table that are looked at in one slice.
const SLICE: usize = 1024;

/// Writes the state of a key.
pub(crate) type Encode<K, S> = Box<dyn Fn(&K, &S, &mut Entries) -> Result<()>>;

/// A state per key, of which a copy can be taken at once and written bit by bit.
///
/// Entries stay where they are; a bit of each place says whether what is there still has to be written. An entry is written
/// before it is lent to be changed, the others in slices, in the order in which they lie in memory. Where a piece of the
/// table has to grow, which moves its entries, all of the piece is written first.
pub(crate) struct CowTable<K, S> {
    table: KeyTable<K, S>,
    copy: Option<Box<Copy<K, S>>>,
    /// Whether an entry has gone since the last copy.
    has_lost: bool,
}

/// A copy that is being written.
struct Copy<K, S> {
    /// A bit per bucket of each piece that is not done: whether the entry there is written, or is none of the copy.
    written: Vec<Option<Box<[u64]>>>,
    next: Spot,
    encode: Encode<K, S>,
    entries: Entries,
    /// The first entry that could not be written.
    failure: Result<()>,
}

impl<K, S> Default for CowTable<K, S> {
    fn default() -> Self {
        CowTable { table: KeyTable::default(), copy: None, has_lost: false }
    }
}

impl<K: Key, S> CowTable<K, S> {
    /// The table itself, where no copy of it is being written: look-ups in it cost nothing extra. To be asked for once a
    /// batch.
    #[inline]
    pub(crate) fn settled(&mut self) -> Option<&mut KeyTable<K, S>> {
        if self.copy.is_some() {
            return None;
        }
        self.table.cut_if_large();
        Some(&mut self.table)
    }

    /// As [`KeyTable::state_or`].
    #[inline]
    pub(crate) fn state_or(&mut self, key: &K, make: impl FnOnce() -> S) -> (&K, &mut S, bool) {
        match &mut self.copy {
            Some(copy) => copy.state_or(&mut self.table, key, make),
            None => {
                self.table.cut_if_large();
                self.table.state_or(key, make)
            }
        }
    }

    /// The state of `key`.
    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut S> {
        self.write_before_use(key);
        self.table.get_mut(key)
    }

    /// Drops the state of `key`.
    pub(crate) fn remove(&mut self, key: &K) {
        self.write_before_use(key);
        self.table.remove(key);
        self.has_lost = true;
    }

    #[inline]
    fn write_before_use(&mut self, key: &K) {
        if let Some(copy) = &mut self.copy
            && let (_piece, Some(spot)) = self.table.find(key)
        {
            copy.write_at(&self.table, spot);
        }
    }

    /// Takes a copy, to be written by `encode`. What is not written yet of an earlier one is given up.
    pub(crate) fn mark(&mut self, encode: Encode<K, S>) {
        let bits = |piece| vec![0; self.table.n_buckets(piece).div_ceil(64)].into_boxed_slice();
        let written = (0..self.table.n_pieces()).map(|piece| Some(bits(piece))).collect();
        self.begin(written, encode);
    }

    /// As [`mark`](Self::mark), of what may have changed since the copy before if `may_be_changes` allows that; whether it
    /// is that and no more. It is all where an entry has gone, or where there was no copy before.
    pub(crate) fn mark_changes(&mut self, may_be_changes: bool, encode: Encode<K, S>) -> bool {
        let untouched: Option<Vec<_>> =
            (0..self.table.n_pieces()).map(|piece| self.table.untouched(piece).map(Some)).collect();
        let changes = untouched.filter(|_| may_be_changes && !self.has_lost);
        let are_changes = changes.is_some();
        match changes {
            Some(written) => self.begin(written, encode),
            None => self.mark(encode),
        }
        self.table.begin_noting();
        self.has_lost = false;
        are_changes
    }

    fn begin(&mut self, written: Vec<Option<Box<[u64]>>>, encode: Encode<K, S>) {
        let (next, entries) = (Spot { piece: 0, bucket: 0 }, Entries::default());
        self.copy = Some(Box::new(Copy { written, next, encode, entries, failure: Ok(()) }));
    }

    /// Writes a slice of the copy; whether there is more.
    ///
    /// # Errors
    /// An entry can not be written.
    pub(crate) fn sweep(&mut self, to: &mut Entries) -> Result<bool> {
        let Some(copy) = &mut self.copy else { return Ok(false) };
        let more = copy.write_slice(&self.table);
        to.append(&mut copy.entries);
        std::mem::replace(&mut copy.failure, Ok(()))?;
        if !more {
            self.copy = None;
        }
        Ok(more)
    }

    /// Whether no copy of it is being written.
    pub(crate) fn is_settled(&self) -> bool {
        self.copy.is_none()
    }

    /// Number of keys.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is no key.
    pub(crate) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// All keys and their states, in no order. What is not written yet of a copy is encoded first.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut S)> {
        self.write_all();
        self.table.iter_mut()
    }

    /// Drops all states and their memory; what was to be written of them still is.
    pub(crate) fn clear(&mut self) {
        self.write_all();
        self.table = KeyTable::default();
        self.has_lost = true;
    }

    /// As [`clear`](Self::clear), but the memory stays.
    pub(crate) fn empty(&mut self) {
        self.write_all();
        self.table.clear();
        self.has_lost = true;
    }

    fn write_all(&mut self) {
        if let Some(copy) = &mut self.copy {
            (copy.next.piece..copy.written.len()).for_each(|piece| copy.write_piece(&self.table, piece));
        }
    }
}

impl<K: Key, S> Copy<K, S> {
    fn state_or<'t>(
        &mut self,
        table: &'t mut KeyTable<K, S>,
        key: &K,
        make: impl FnOnce() -> S,
    ) -> (&'t K, &'t mut S, bool) {
        match table.find(key) {
            (_piece, Some(spot)) => {
                self.write_at(table, spot);
                table.state_or(key, make)
            }
            (piece, None) => {
                if table.is_full(piece) {
                    self.write_piece(table, piece);
                }
                let (spot, key, state) = table.insert_new(key.clone(), make());
                self.take(spot);
                (key, state, true)
            }
        }
    }

    /// Notes that nothing has to be written of a place any more; whether something had to be.
    #[inline]
    fn take(&mut self, Spot { piece, bucket }: Spot) -> bool {
        let Some(Some(bits)) = self.written.get_mut(piece) else { return false };
        let Some(word) = bits.get_mut(bucket / 64) else { return false };
        let was_due = *word & 1 << (bucket % 64) == 0;
        *word |= 1 << (bucket % 64);
        was_due
    }

    /// Writes the entry at a place, if that is still to be done.
    #[inline]
    fn write_at(&mut self, table: &KeyTable<K, S>, spot: Spot) {
        if self.take(spot)
            && let Some((key, state)) = table.at(spot)
        {
            let outcome = (self.encode)(key, state, &mut self.entries);
            if self.failure.is_ok() {
                self.failure = outcome;
            }
        }
    }

    /// Writes what is left of a piece.
    fn write_piece(&mut self, table: &KeyTable<K, S>, piece: usize) {
        if self.written.get(piece).is_some_and(Option::is_some) {
            (0..table.n_buckets(piece)).for_each(|bucket| self.write_at(table, Spot { piece, bucket }));
            self.written[piece] = None;
        }
    }

    /// Writes a slice; whether there is more.
    fn write_slice(&mut self, table: &KeyTable<K, S>) -> bool {
        let mut left = SLICE;
        while let Some(bits) = self.written.get(self.next.piece) {
            let (Spot { piece, bucket }, n_buckets) = (self.next, table.n_buckets(self.next.piece));
            if bits.is_none() || bucket >= n_buckets {
                self.written[piece] = None;
                self.next = Spot { piece: piece + 1, bucket: 0 };
                continue;
            }
            if left == 0 {
                return true;
            }
            if bits.as_ref().and_then(|bits| bits.get(bucket / 64)) == Some(&u64::MAX) {
                // Nothing has changed there, or all is written.
                (self.next.bucket, left) = (bucket - bucket % 64 + 64, left - 1);
                continue;
            }
            let end = n_buckets.min(bucket - bucket % 64 + 64).min(bucket + left);
            (bucket..end).for_each(|bucket| self.write_at(table, Spot { piece, bucket }));
            (self.next.bucket, left) = (end, left - (end - bucket));
        }
        false
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
            n_keys in prop::sample::select(vec![0u32, 20, 2000, 70_000]),
        ) {
            let (mut table, mut model) = (CowTable::default(), BTreeMap::new());
            let mut copy: Option<(Entries, BTreeMap<u32, u64>)> = None;
            for key in 0..n_keys {
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
                        if key < 10 { table.clear() } else { table.empty() }
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

    /// Pieces that grow while the copy is written are written before.
    #[test]
    fn copy_of_a_table_that_grows_to_many_times_its_size_is_that_of_before() {
        let (mut table, mut written) = (CowTable::default(), Entries::default());
        for n in [100u32, 70_000] {
            table.clear();
            (0..n).for_each(|key| *table.state_or(&key, || 0u64).1 = u64::from(key));
            table.mark(encode());
            assert!(table.sweep(&mut written).unwrap() || n == 100);
            (0..5 * n).for_each(|key| *table.state_or(&key, || 0).1 += 1);
            while table.sweep(&mut written).unwrap() {}
            let expected = (0..n).map(|key| (key, u64::from(key)));
            assert!(decoded(std::mem::take(&mut written)).into_iter().eq(expected), "{n} keys");
            assert_eq!(table.len(), 5 * n as usize);
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
