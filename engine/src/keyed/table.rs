//! The states of one worker's keys.

use std::hash::BuildHasher;

use hashbrown::HashTable;
use hashbrown::hash_table::{AbsentEntry, OccupiedEntry};
use rustc_hash::FxBuildHasher;

use crate::checkpoint::Touched;
use crate::hash::Key;

/// A state per key. Unlike a map it lends the key that it holds, so that a key which is a part of a record
/// need not be cloned to be looked up and then outlive the record.
///
/// A table of many keys is cut in pieces that grow by themselves, so that nobody waits until all of it has moved.
pub(crate) struct KeyTable<K, S> {
    /// All entries, until it is cut.
    whole: Piece<K, S>,
    /// None or [`PIECES`].
    pieces: Box<[Piece<K, S>]>,
    n_keys: usize,
}

/// Entries, and which of them have been lent.
struct Piece<K, S> {
    entries: HashTable<(K, S)>,
    touched: Touched,
}

/// Who sees what becomes of the entries of a table.
pub(super) trait Seer<K, S> {
    /// The entry in a bucket of a piece is lent.
    fn lent(&mut self, piece: usize, bucket: usize, entry: &(K, S));

    /// The entries of a piece are about to move to other buckets.
    fn about_to_move(&mut self, piece: usize, entries: &HashTable<(K, S)>);

    /// An entry was added in a bucket of a piece.
    fn added(&mut self, piece: usize, bucket: usize);
}

/// Nobody.
impl<K, S> Seer<K, S> for () {
    #[inline(always)]
    fn lent(&mut self, _piece: usize, _bucket: usize, _entry: &(K, S)) {}

    #[inline(always)]
    fn about_to_move(&mut self, _piece: usize, _entries: &HashTable<(K, S)>) {}

    #[inline(always)]
    fn added(&mut self, _piece: usize, _bucket: usize) {}
}

/// Keys from which on a table is cut.
const CUT: usize = 1 << 16;
/// Pieces of a table that is cut, as a power of two.
const PIECES_LOG: u32 = 10;
const PIECES: usize = 1 << PIECES_LOG;

impl<K, S> Piece<K, S> {
    fn with_capacity(n: usize) -> Self {
        Piece { entries: HashTable::with_capacity(n), touched: Touched::default() }
    }
}

impl<K, S> Default for KeyTable<K, S> {
    fn default() -> Self {
        KeyTable { whole: Piece::with_capacity(0), pieces: Box::default(), n_keys: 0 }
    }
}

/// Which piece an entry with this hash is in. The bits that the pieces themselves use have no say in it.
#[inline(always)]
fn piece_of(hash: u64) -> usize {
    (hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - PIECES_LOG)) as usize
}

#[inline(always)]
fn hash_of<K: Key, S>((key, _): &(K, S)) -> u64 {
    FxBuildHasher.hash_one(key)
}

impl<K: Key, S> KeyTable<K, S> {
    #[inline(always)]
    fn with_hash(&mut self, hash: u64) -> &mut Piece<K, S> {
        if self.pieces.is_empty() { &mut self.whole } else { &mut self.pieces[piece_of(hash)] }
    }

    /// The state of `key`, the key itself, and whether the state was made for this call.
    #[inline(always)]
    pub(crate) fn state_or(&mut self, key: &K, make: impl FnOnce() -> S) -> (&K, &mut S, bool) {
        self.seen_state_or(key, make, &mut ())
    }

    /// As [`state_or`](Self::state_or); `seer` sees what becomes of entries.
    #[inline(always)]
    pub(super) fn seen_state_or(
        &mut self,
        key: &K,
        make: impl FnOnce() -> S,
        seer: &mut impl Seer<K, S>,
    ) -> (&K, &mut S, bool) {
        let hash = FxBuildHasher.hash_one(key);
        let index = if self.pieces.is_empty() { 0 } else { piece_of(hash) };
        let piece = if self.pieces.is_empty() { &mut self.whole } else { &mut self.pieces[index] };
        let Piece { entries, touched } = piece;
        let (entry, is_new) = match entries.find_entry(hash, |(known, _)| known == key) {
            Ok(entry) => {
                seer.lent(index, entry.bucket_index(), entry.get());
                (entry, false)
            }
            Err(absent) => {
                let entry = insert(absent, (index, touched), hash, (key, make), seer);
                seer.added(index, entry.bucket_index());
                self.n_keys += 1;
                (entry, true)
            }
        };
        touched.note(entry.bucket_index());
        let (key, state) = entry.into_mut();
        (key, state, is_new)
    }

    /// As [`state_or`](Self::state_or), with states that begin as their default.
    #[cfg(test)]
    pub(crate) fn state_of(&mut self, key: &K) -> (&K, &mut S, bool)
    where
        S: Default,
    {
        self.state_or(key, S::default)
    }

    /// The state of `key`.
    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut S> {
        let hash = FxBuildHasher.hash_one(key);
        let Piece { entries, touched } = self.with_hash(hash);
        let entry = entries.find_entry(hash, |(known, _)| known == key).ok()?;
        touched.note(entry.bucket_index());
        Some(&mut entry.into_mut().1)
    }

    /// Drops the state of `key`.
    pub(crate) fn remove(&mut self, key: &K) {
        let hash = FxBuildHasher.hash_one(key);
        if let Ok(entry) = self.with_hash(hash).entries.find_entry(hash, |(known, _)| known == key) {
            entry.remove();
            self.n_keys -= 1;
        }
    }

    /// Cuts a table that has got many keys. To be called now and then: entries move.
    #[inline]
    pub(crate) fn cut_if_large(&mut self) {
        if self.whole.entries.len() >= CUT {
            self.cut();
        }
    }

    #[cold]
    fn cut(&mut self) {
        let whole = std::mem::replace(&mut self.whole, Piece::with_capacity(0));
        let room = 2 * whole.entries.len() / PIECES;
        self.pieces = (0..PIECES).map(|_| Piece::with_capacity(room)).collect();
        for entry in whole.entries {
            let hash = hash_of(&entry);
            self.pieces[piece_of(hash)].entries.insert_unique(hash, entry, hash_of);
        }
        if whole.touched.is_on() {
            self.begin_noting();
            self.note_all();
        }
    }

    /// Number of keys.
    pub(crate) fn len(&self) -> usize {
        self.n_keys
    }

    /// Drops all states and keeps their memory.
    pub(crate) fn clear(&mut self) {
        self.all_pieces_mut().for_each(|piece| piece.entries.clear());
        self.n_keys = 0;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.n_keys == 0
    }

    /// All keys and their states, in no order.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut S)> {
        self.note_all();
        let entries = self.all_pieces_mut().flat_map(|piece| piece.entries.iter_mut());
        entries.map(|(key, state)| (&*key, state))
    }

    fn all_pieces_mut(&mut self) -> impl Iterator<Item = &mut Piece<K, S>> {
        std::iter::once(&mut self.whole).chain(&mut self.pieces)
    }
}

/// Places, for who has something to note of each.
impl<K: Key, S> KeyTable<K, S> {
    pub(super) fn n_pieces(&self) -> usize {
        self.pieces.len().max(1)
    }

    fn piece(&self, piece: usize) -> Option<&Piece<K, S>> {
        if self.pieces.is_empty() { Some(&self.whole) } else { self.pieces.get(piece) }
    }

    /// The entries of a piece.
    pub(super) fn entries(&self, piece: usize) -> Option<&HashTable<(K, S)>> {
        self.piece(piece).map(|piece| &piece.entries)
    }

    /// Where the entry of `key` is: its piece and bucket.
    pub(super) fn find(&self, key: &K) -> Option<(usize, usize)> {
        let hash = FxBuildHasher.hash_one(key);
        let piece = if self.pieces.is_empty() { 0 } else { piece_of(hash) };
        let bucket = self.entries(piece)?.find_bucket_index(hash, |(known, _)| known == key)?;
        Some((piece, bucket))
    }

    /// Begins to note which entries are lent, from none on.
    pub(super) fn begin_noting(&mut self) {
        self.all_pieces_mut().for_each(|piece| piece.touched.begin(piece.entries.num_buckets()));
    }

    fn note_all(&mut self) {
        self.all_pieces_mut().for_each(|piece| piece.touched.note_all(piece.entries.num_buckets()));
    }

    /// A bit per place of a piece: set where nothing has been lent since it was begun to note that. `None` if it is not
    /// noted.
    pub(super) fn untouched(&self, piece: usize) -> Option<Box<[u64]>> {
        let touched = &self.piece(piece)?.touched;
        touched.is_on().then(|| touched.untouched())
    }
}

/// Kept out of the way of the keys that are known.
#[cold]
#[inline(never)]
fn insert<'t, K: Key, S>(
    absent: AbsentEntry<'t, (K, S)>,
    (piece, touched): (usize, &mut Touched),
    hash: u64,
    (key, make): (&K, impl FnOnce() -> S),
    seer: &mut impl Seer<K, S>,
) -> OccupiedEntry<'t, (K, S)> {
    let entries = absent.into_table();
    if entries.len() == entries.capacity() {
        seer.about_to_move(piece, entries);
        entries.reserve(1, hash_of);
        touched.note_all(entries.num_buckets());
    }
    entries.insert_unique(hash, (key.clone(), make()), hash_of)
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

    /// Keys of any make are spread over the pieces: of none is more than twice its share in one of them.
    #[test]
    fn table_that_was_cut_holds_what_it_held_in_pieces_of_about_one_size() {
        let spread: [fn(u64) -> u64; 4] = [|n| n, |n| n << 16, |n| n << 40, |n| n.wrapping_mul(1 << 20 | 1)];
        for key_of in spread {
            let mut table = KeyTable::default();
            for n in 0..3 * CUT as u64 {
                table.cut_if_large();
                *table.state_of(&key_of(n)).1 = n;
            }
            assert_eq!((table.n_pieces(), table.len()), (PIECES, 3 * CUT));
            let largest = table.pieces.iter().map(|piece| piece.entries.len()).max();
            assert!(largest < Some(2 * 3 * CUT / PIECES), "{largest:?}");
            for n in (0..3 * CUT as u64).step_by(7) {
                assert_eq!(table.get_mut(&key_of(n)).copied(), Some(n));
                let (piece, bucket) = table.find(&key_of(n)).unwrap();
                assert!(table.entries(piece).unwrap().get_bucket(bucket) == Some(&(key_of(n), n)));
                table.remove(&key_of(n));
                assert_eq!(table.find(&key_of(n)), None);
            }
            assert_eq!(table.len(), table.iter_mut().count());
            table.clear();
            assert!(table.is_empty());
        }
    }
}
