//! States of which a copy is being written while they change.

use std::ops::Range;

use hashbrown::HashTable;

use crate::checkpoint::{Entries, Touched};
use crate::error::Result;
use crate::hash::Key;
use crate::keyed::table::{KeyTable, Seer};

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
    /// The piece and the bucket that the next slice begins with.
    next: (usize, usize),
    encode: Encode<K, S>,
    out: Entries,
    /// The first entry that could not be written.
    failure: Result<()>,
}

impl<K, S> Default for CowTable<K, S> {
    fn default() -> Self {
        CowTable { table: KeyTable::default(), copy: None, has_lost: false }
    }
}

impl<K: Key, S> CowTable<K, S> {
    /// As [`KeyTable::state_or`].
    #[inline(always)]
    pub(crate) fn state_or(&mut self, key: &K, make: impl FnOnce() -> S) -> (&K, &mut S, bool) {
        match &mut self.copy {
            None => self.table.state_or(key, make),
            Some(copy) => self.table.seen_state_or(key, make, &mut **copy),
        }
    }

    /// Makes this the state of `key`.
    pub(crate) fn put(&mut self, key: &K, state: S)
    where
        S: Default,
    {
        let mut state = Some(state);
        let kept = self.state_or(key, || state.take().unwrap_or_default()).1;
        if let Some(state) = state {
            *kept = state;
        }
    }

    /// To be called now and then, where keys are added: cuts a table that has got many.
    #[inline]
    pub(crate) fn cut_if_large(&mut self) {
        if self.copy.is_none() {
            self.table.cut_if_large();
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
            && let Some((piece, bucket)) = self.table.find(key)
            && let Some(entry) = self.table.entries(piece).and_then(|entries| entries.get_bucket(bucket))
        {
            copy.lent(piece, bucket, entry);
        }
    }

    /// Takes a copy, to be written by `encode`. What is not written yet of an earlier one is given up.
    pub(crate) fn mark(&mut self, encode: Encode<K, S>) {
        let n_buckets = |piece| self.table.entries(piece).map_or(0, HashTable::num_buckets);
        let bits = |piece| vec![0; n_buckets(piece).div_ceil(64)].into_boxed_slice();
        let written = (0..self.table.n_pieces()).map(|piece| Some(bits(piece))).collect();
        self.begin(written, encode);
    }

    /// As [`mark`](Self::mark), of what may have changed since the copy before if `may_be_changes` allows that; whether it
    /// is that and no more. It is all where an entry has gone, where there was no copy before, or where most has changed.
    pub(crate) fn mark_changes(&mut self, may_be_changes: bool, encode: Encode<K, S>) -> bool {
        let untouched: Option<Vec<_>> =
            (0..self.table.n_pieces()).map(|piece| self.table.untouched(piece).map(Some)).collect();
        let changes = untouched.filter(|pieces| {
            let pages = pieces.iter().flatten().flat_map(|bits| bits.iter());
            may_be_changes && !self.has_lost && Touched::are_few_of(pages)
        });
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
        let (next, out) = ((0, 0), Entries::default());
        self.copy = Some(Box::new(Copy { written, next, encode, out, failure: Ok(()) }));
    }

    /// Writes a slice of the copy; whether there is more.
    ///
    /// # Errors
    /// An entry can not be written.
    pub(crate) fn sweep(&mut self, to: &mut Entries) -> Result<bool> {
        let Some(copy) = &mut self.copy else { return Ok(false) };
        let more = copy.write_slice(&self.table);
        copy.out.hand_over(to, !more);
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
            (copy.next.0..copy.written.len())
                .for_each(|piece| copy.write_piece(piece, self.table.entries(piece)));
        }
    }
}

/// An entry is written before it changes or moves.
impl<K: Key, S> Seer<K, S> for Copy<K, S> {
    #[inline]
    fn lent(&mut self, piece: usize, bucket: usize, (key, state): &(K, S)) {
        if self.take(piece, bucket) {
            let outcome = (self.encode)(key, state, &mut self.out);
            if self.failure.is_ok() {
                self.failure = outcome;
            }
        }
    }

    fn about_to_move(&mut self, piece: usize, entries: &HashTable<(K, S)>) {
        self.write_piece(piece, Some(entries));
    }

    fn added(&mut self, piece: usize, bucket: usize) {
        self.take(piece, bucket);
    }
}

impl<K: Key, S> Copy<K, S> {
    /// Notes that nothing has to be written of a bucket any more; whether something had to be.
    #[inline]
    fn take(&mut self, piece: usize, bucket: usize) -> bool {
        let Some(Some(bits)) = self.written.get_mut(piece) else { return false };
        let Some(word) = bits.get_mut(bucket / 64) else { return false };
        let was_due = *word & 1 << (bucket % 64) == 0;
        *word |= 1 << (bucket % 64);
        was_due
    }

    /// Writes the entries in some buckets, as far as that is still to be done.
    fn write_buckets(&mut self, piece: usize, buckets: Range<usize>, entries: &HashTable<(K, S)>) {
        for bucket in buckets {
            if let Some(entry) = entries.get_bucket(bucket) {
                self.lent(piece, bucket, entry);
            }
        }
    }

    /// Writes what is left of a piece.
    fn write_piece(&mut self, piece: usize, entries: Option<&HashTable<(K, S)>>) {
        if let Some(entries) = entries.filter(|_| self.written.get(piece).is_some_and(Option::is_some)) {
            self.write_buckets(piece, 0..entries.num_buckets(), entries);
            self.written[piece] = None;
        }
    }

    /// Writes a slice; whether there is more.
    fn write_slice(&mut self, table: &KeyTable<K, S>) -> bool {
        let mut left = SLICE;
        while let Some(bits) = self.written.get(self.next.0) {
            let (piece, bucket) = self.next;
            let entries = table.entries(piece).filter(|entries| bucket < entries.num_buckets());
            let (Some(bits), Some(entries)) = (bits, entries) else {
                self.written[piece] = None;
                self.next = (piece + 1, 0);
                continue;
            };
            if left == 0 {
                return true;
            }
            // A page of 64 of which nothing has changed, or all is written, is passed over at once.
            let is_done = bits.get(bucket / 64) == Some(&u64::MAX);
            let end = entries.num_buckets().min(bucket - bucket % 64 + 64);
            if !is_done {
                self.write_buckets(piece, bucket..end, entries);
            }
            (self.next.1, left) = (end, left.saturating_sub(if is_done { 1 } else { end - bucket }));
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
                table.cut_if_large();
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

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// A copy of all, and what has changed since in each copy behind it, is the state at the last of them.
        #[test]
        fn copies_of_changes_add_up_to_the_state(
            steps in prop::collection::vec((0u8..40, 0u32..80_000), 0..3000),
            n_keys in prop::sample::select(vec![0u32, 2000, 70_000]),
        ) {
            let (mut table, mut model) = (CowTable::default(), BTreeMap::new());
            let (mut durable, mut copy) = (None, None);
            for key in 0..n_keys {
                *table.state_or(&key, || 0u64).1 = u64::from(key);
                model.insert(key, u64::from(key));
            }
            for (step, key) in steps {
                table.cut_if_large();
                match (step, &mut copy) {
                    (0 | 1, None) => {
                        // One in four has not become durable.
                        durable = durable.filter(|_| key % 4 > 0);
                        let are_changes = table.mark_changes(durable.is_some(), encode());
                        copy = Some((Entries::default(), are_changes, model.clone()));
                    }
                    (2..10, Some((written, are_changes, expected))) => {
                        if !table.sweep(written).unwrap() {
                            let mut all = durable.take().filter(|_| *are_changes).unwrap_or_default();
                            let written = decoded(std::mem::take(written));
                            BTreeMap::extend(&mut all, written);
                            prop_assert_eq!(&all, expected);
                            (durable, copy) = (Some(all), None);
                        }
                    }
                    (10, _) if key < 100 => {
                        table.remove(&key);
                        model.remove(&key);
                    }
                    (11, _) if key < 200 => {
                        table.clear();
                        model.clear();
                    }
                    (12, _) if key < 2000 => {
                        table.iter_mut().for_each(|(_, state)| *state += 1);
                        model.values_mut().for_each(|state| *state += 1);
                    }
                    (13..20, _) if model.contains_key(&key) => {
                        *table.get_mut(&key).unwrap() += 2;
                        *model.entry(key).or_insert(0) += 2;
                    }
                    _ => {
                        *table.state_or(&key, || 0).1 += 1;
                        *model.entry(key).or_insert(0) += 1;
                    }
                }
            }
        }
    }

    /// Pieces that grow while the copy is written are written before.
    #[test]
    fn copy_of_a_table_that_grows_to_many_times_its_size_is_that_of_before() {
        let (mut table, mut written) = (CowTable::default(), Entries::default());
        for n in [100u32, 70_000] {
            table.clear();
            (0..n).for_each(|key| *table.state_or(&key, || 0u64).1 = u64::from(key));
            table.cut_if_large();
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
