//! Numbers by key, in segments: growth moves one segment at a time.

use std::hash::BuildHasher;

use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;
use waterwheel_engine::Key;

/// Number of segments: an index never needs room for more than one of them twice.
pub(crate) const SEGMENTS: usize = 64;

/// A number for each of many keys.
pub(crate) struct Index<K> {
    segments: Box<[HashTable<(K, u32)>; SEGMENTS]>,
    /// Memory of the segments in bytes.
    bytes: usize,
    len: usize,
}

/// A bucket of a segment.
pub(crate) enum Bucket<'i, K> {
    Entry(&'i K, u32),
    Empty,
    BehindLast,
}

impl<K: Key> Index<K> {
    pub(crate) fn new() -> Self {
        Index { segments: Box::new(std::array::from_fn(|_| HashTable::new())), bytes: 0, len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Memory of the table, used or not, in bytes. What keys own elsewhere is not counted.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    #[inline]
    pub(crate) fn get(&self, key: &K) -> Option<u32> {
        let hash = hash(key);
        self.segments[segment(hash)].find(hash, |(found, _)| found == key).map(|(_, number)| *number)
    }

    /// The number of a key that is there.
    #[inline]
    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut u32> {
        let hash = hash(key);
        let entry = self.segments[segment(hash)].find_mut(hash, |(found, _)| found == key);
        entry.map(|(_, number)| number)
    }

    /// What is in a bucket of a segment. Entries move to other buckets when there are more of them.
    pub(crate) fn in_bucket(&self, segment: usize, bucket: usize) -> Bucket<'_, K> {
        let Some(entries) = self.segments.get(segment).filter(|entries| bucket < entries.num_buckets())
        else {
            return Bucket::BehindLast;
        };
        match entries.get_bucket(bucket) {
            Some((key, number)) => Bucket::Entry(key, *number),
            None => Bucket::Empty,
        }
    }

    /// Adds a key that is not there.
    pub(crate) fn insert(&mut self, key: K, number: u32) {
        let hash = hash(&key);
        let segment = &mut self.segments[segment(hash)];
        let before = segment.allocation_size();
        segment.insert_unique(hash, (key, number), |(key, _)| self::hash(key));
        self.bytes += segment.allocation_size() - before;
        self.len += 1;
    }

    pub(crate) fn remove(&mut self, key: &K) {
        let hash = hash(key);
        if let Ok(entry) = self.segments[segment(hash)].find_entry(hash, |(found, _)| found == key) {
            entry.remove();
            self.len -= 1;
        }
    }

    /// All entries, in no order that means anything.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(K, u32)> {
        self.segments.iter().flatten()
    }
}

#[inline]
fn hash<K: Key>(key: &K) -> u64 {
    FxBuildHasher.hash_one(key)
}

/// From bits that the tables use neither for buckets, which are the lowest, nor for tags, which are the highest.
#[inline]
fn segment(hash: u64) -> usize {
    (hash >> 44) as usize % SEGMENTS
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn no_segment_gets_more_than_a_tenth_of_the_keys_of_a_pattern() {
        for step in [1u64, 64, 128, 1 << 20] {
            let mut sizes = vec![0; SEGMENTS];
            (0..64_000).for_each(|n| sizes[segment(hash(&(n * step)))] += 1);
            assert!(sizes.iter().all(|n| *n < 6_400), "step {step}: {sizes:?}");
        }
    }

    proptest! {
        #[test]
        fn index_does_what_a_map_does(ops in prop::collection::vec((0u16..50, any::<u8>()), 1..300)) {
            let (mut index, mut reference) = (Index::new(), BTreeMap::new());
            for (key, op) in ops {
                match (op % 3, index.get_mut(&key)) {
                    (0, _) => {
                        index.remove(&key);
                        reference.remove(&key);
                    }
                    (_, Some(number)) => {
                        *number = u32::from(op);
                        reference.insert(key, u32::from(op));
                    }
                    (_, None) => {
                        index.insert(key, u32::from(op));
                        prop_assert_eq!(reference.insert(key, u32::from(op)), None);
                    }
                }
            }
            let mut all: Vec<_> = index.iter().copied().collect();
            all.sort_unstable();
            prop_assert_eq!(index.len(), reference.len());
            prop_assert_eq!(all, reference.into_iter().collect::<Vec<_>>());
        }
    }
}
