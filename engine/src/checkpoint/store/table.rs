//! Where the sections of parts are.

use std::collections::BTreeMap;
use std::collections::btree_map::Range as MapRange;

use crate::checkpoint::store::part::PartRef;
use crate::checkpoint::store::section::SectionKey;

/// Where in a part a section is, and what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: u64,
    /// Bytes that are stored.
    pub(super) stored: u64,
    /// Bytes before compression.
    pub(super) length: u64,
    /// XXH3 of what is stored.
    pub(super) xxh3: u64,
}

/// A key and its key group, `None` for state that belongs to no key.
pub(super) type Address = (SectionKey, Option<u32>);

/// Which sections there are, and where: what a worker needs to take over sections that have not changed since.
///
/// [`PartWriter::finish`](crate::checkpoint::PartWriter::finish) gives that of one worker, and
/// [`Checkpoint::sections`](crate::checkpoint::Checkpoint::sections) that of all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SectionTable {
    by_address: BTreeMap<Address, Vec<(PartRef, Place)>>,
}

impl SectionTable {
    pub(super) fn add(&mut self, key: SectionKey, key_group: Option<u32>, part: PartRef, place: Place) {
        self.by_address.entry((key, key_group)).or_default().push((part, place));
    }

    pub(super) fn get(&self, address: &Address) -> &[(PartRef, Place)] {
        self.by_address.get(address).map_or(&[], Vec::as_slice)
    }

    pub(super) fn range(
        &self,
        addresses: std::ops::Range<Address>,
    ) -> MapRange<'_, Address, Vec<(PartRef, Place)>> {
        self.by_address.range(addresses)
    }

    /// All sections, by key, key group and the order in which they were put.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Address, PartRef, Place)> {
        self.by_address
            .iter()
            .flat_map(|(address, places)| places.iter().map(move |(part, place)| (address, *part, *place)))
    }

    /// Whether there is a section of this key and key group.
    pub fn contains(&self, key: &SectionKey, key_group: Option<u32>) -> bool {
        self.by_address.contains_key(&(key.clone(), key_group))
    }

    /// The key groups that there are sections of, of a key.
    pub(super) fn key_groups(&self, key: &SectionKey) -> impl Iterator<Item = Option<u32>> {
        let groups = self.by_address.range((key.clone(), None)..=(key.clone(), Some(u32::MAX)));
        groups.map(|((_key, group), _)| *group)
    }

    /// The keys, each once, in order.
    pub fn keys(&self) -> Vec<&SectionKey> {
        let mut keys: Vec<_> = self.by_address.keys().map(|(key, _)| key).collect();
        keys.dedup();
        keys
    }

    /// What there is of each key, in order.
    pub fn summary(&self) -> Vec<SectionSummary> {
        let mut summary: Vec<SectionSummary> = Vec::new();
        for ((key, key_group), places) in &self.by_address {
            if summary.last().is_none_or(|last| last.key != *key) {
                summary.push(SectionSummary::new(key));
            }
            if let Some(last) = summary.last_mut() {
                last.sections += places.len();
                last.key_groups += usize::from(key_group.is_some());
                last.stored_bytes += places.iter().map(|(_, place)| place.stored).sum::<u64>();
                last.bytes += places.iter().map(|(_, place)| place.length).sum::<u64>();
            }
        }
        summary
    }

    /// Number of sections.
    pub fn len(&self) -> usize {
        self.by_address.values().map(Vec::len).sum()
    }

    /// Whether there is no section.
    pub fn is_empty(&self) -> bool {
        self.by_address.is_empty()
    }

    /// Adds all sections of another table behind those that are here.
    pub(super) fn extend(&mut self, other: SectionTable) {
        for (address, places) in other.by_address {
            self.by_address.entry(address).or_default().extend(places);
        }
    }
}

/// What there is of one key, as [`SectionTable::summary`] counts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SectionSummary {
    /// The key.
    pub key: SectionKey,
    /// Number of sections.
    pub sections: usize,
    /// Number of key groups that have any.
    pub key_groups: usize,
    /// Bytes before compression.
    pub bytes: u64,
    /// Bytes that are stored.
    pub stored_bytes: u64,
}

impl SectionSummary {
    fn new(key: &SectionKey) -> Self {
        SectionSummary { key: key.clone(), sections: 0, key_groups: 0, bytes: 0, stored_bytes: 0 }
    }
}
