//! A checkpoint that can be restored from.

use std::ops::Range;

use crate::checkpoint::store::CheckpointStore;
use crate::checkpoint::store::manifest::Manifest;
use crate::checkpoint::store::part::PartRef;
use crate::checkpoint::store::reader::{SectionReader, check_length, damaged, read_footer};
use crate::checkpoint::store::section::SectionKey;
use crate::checkpoint::store::table::{Place, SectionTable};
use crate::error::Result;

/// A whole checkpoint: the state of all workers as of the end of an epoch.
///
/// It reads only the sections that it is asked for, and checks each.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    store: CheckpointStore,
    pub(super) manifest: Manifest,
    written: String,
    /// The sections of each worker.
    tables: Vec<SectionTable>,
}

/// The bytes of one section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// The worker that has written it, among [`Checkpoint::workers`].
    pub worker: u32,
    /// Its key group; `None` for state that belongs to no key.
    pub key_group: Option<u32>,
    /// What was put.
    pub bytes: Vec<u8>,
}

impl Checkpoint {
    /// Reads the offset tables.
    pub(super) fn open(store: CheckpointStore, manifest: Manifest, written: String) -> Result<Self> {
        let mut tables = Vec::with_capacity(manifest.parts.len());
        for part in &manifest.parts {
            let (footer, _) = read_footer(store.storage(), store.layout(), part)?;
            let table = footer.into_table(*part);
            tables.push(table.map_err(|what| damaged(store.layout(), part, what))?);
        }
        let mut earlier = manifest.refers_to.iter();
        earlier.try_for_each(|part| check_length(store.storage(), store.layout(), part))?;
        Ok(Checkpoint { store, manifest, written, tables })
    }

    /// The epoch: the state is that of all input up to its end.
    pub fn epoch(&self) -> u64 {
        self.manifest.epoch
    }

    /// The attempt at the job that wrote it.
    pub fn attempt(&self) -> u64 {
        self.manifest.attempt
    }

    /// Number of workers that wrote it.
    pub fn workers(&self) -> usize {
        self.tables.len()
    }

    /// The version of the program that wrote it; empty where it had none.
    pub fn program(&self) -> &str {
        &self.manifest.program
    }

    /// The fingerprint of the graph that wrote it.
    pub fn fingerprint(&self) -> u64 {
        self.manifest.fingerprint
    }

    /// The version of Waterwheel that wrote it.
    pub fn created_by(&self) -> &str {
        &self.manifest.created_by
    }

    /// When it was committed, as the storage has it: RFC 3339, to the second and in UTC.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// The name of the savepoint, where it is one.
    pub fn savepoint(&self) -> Option<&str> {
        self.manifest.savepoint.as_deref()
    }

    /// The version of what the operators keep, as the program counts it.
    pub fn state_version(&self) -> u64 {
        self.manifest.state_version
    }

    /// The parts of this epoch, in order of worker.
    pub fn parts(&self) -> &[PartRef] {
        &self.manifest.parts
    }

    /// Earlier parts with sections that had not changed.
    pub fn refers_to(&self) -> &[PartRef] {
        &self.manifest.refers_to
    }

    /// The keys of all sections, each once: what a job must find an operator for.
    pub fn keys(&self) -> Vec<SectionKey> {
        let mut keys: Vec<_> = self.tables.iter().flat_map(SectionTable::keys).cloned().collect();
        keys.sort();
        keys.dedup();
        keys
    }

    /// Where all sections are, for [`PartWriter::carry`](crate::checkpoint::PartWriter::carry).
    pub fn sections(&self) -> SectionTable {
        let mut all = SectionTable::default();
        self.tables.iter().for_each(|table| all.extend(table.clone()));
        all
    }

    /// The sections of a key in a range of key groups, in order of group, then worker, then as they were put.
    ///
    /// # Examples
    /// ```
    /// # use waterwheel_engine::checkpoint::{CheckpointMeta, CheckpointStore, Newest, SectionKey};
    /// let store = CheckpointStore::in_memory("words")?;
    /// let attempt = store.claim_attempt(0)?;
    /// let state = SectionKey::new("count", "state");
    /// let mut part = store.writer(attempt, 1, 0);
    /// part.put(&state, Some(3), b"three")?;
    /// part.put(&state, Some(100), b"hundred")?;
    /// store.commit(1, &[part.finish()?.0], CheckpointMeta { attempt, ..Default::default() })?;
    ///
    /// let Newest::Found { checkpoint, .. } = store.newest()? else { panic!("it is there") };
    /// // The second of two workers owns the groups from 64 on.
    /// for section in checkpoint.read(&state, 64..128) {
    ///     assert_eq!(section?.bytes, b"hundred");
    /// }
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    pub fn read(&self, key: &SectionKey, key_groups: Range<u32>) -> Sections<'_> {
        self.between(key, Some(key_groups.start), Some(key_groups.end))
    }

    /// The sections of a key that belong to no key group, in order of worker, then as they were put.
    pub fn read_ungrouped(&self, key: &SectionKey) -> Sections<'_> {
        self.between(key, None, Some(0))
    }

    fn between(&self, key: &SectionKey, from: Option<u32>, to: Option<u32>) -> Sections<'_> {
        let mut found = Vec::new();
        if from < to {
            for (worker, table) in self.tables.iter().enumerate() {
                let range = table.range((key.clone(), from)..(key.clone(), to));
                found.extend(range.flat_map(|((_, group), places)| {
                    places.iter().map(move |(part, place)| (*group, worker as u32, *part, *place))
                }));
            }
        }
        found.sort_by_key(|(group, worker, ..)| (*group, *worker));
        Sections::new(&self.store, found)
    }
}

/// Reads sections one after the other. Ends with the first error.
#[derive(Debug)]
pub struct Sections<'a> {
    addresses: std::vec::IntoIter<(Option<u32>, u32)>,
    reader: SectionReader<'a>,
}

impl<'a> Sections<'a> {
    fn new(store: &'a CheckpointStore, found: Vec<(Option<u32>, u32, PartRef, Place)>) -> Self {
        let addresses: Vec<_> = found.iter().map(|(group, worker, ..)| (*group, *worker)).collect();
        let places = found.into_iter().map(|(_, _, part, place)| (part, place));
        let reader = SectionReader::new(store.storage(), store.layout(), places);
        Sections { addresses: addresses.into_iter(), reader }
    }
}

impl Iterator for Sections<'_> {
    type Item = Result<Section>;

    fn next(&mut self) -> Option<Self::Item> {
        let (key_group, worker) = self.addresses.next()?;
        let bytes = self.reader.next_section()?;
        if bytes.is_err() {
            self.addresses = Vec::new().into_iter();
        }
        Some(bytes.map(|bytes| Section { worker, key_group, bytes }))
    }
}
