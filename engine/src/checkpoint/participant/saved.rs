//! The state of an operator as a later run reads it.

use crate::checkpoint::participant::{COPIED, COUNTED, ENDED, FIXED, ITEMS, POOLED, Participant};
use crate::checkpoint::state::StateReader;
use crate::checkpoint::store::Checkpoint;
use crate::error::Result;
use crate::hash::{KEY_GROUPS, group_owner};

/// The state of one operator in the checkpoint that the run goes on from.
pub struct Saved<'a> {
    checkpoint: &'a Checkpoint,
    participant: &'a Participant,
    pub(super) had_ended: Vec<bool>,
}

impl<'a> Saved<'a> {
    /// That of a participant.
    pub(super) fn new(checkpoint: &'a Checkpoint, participant: &'a Participant) -> Result<Self> {
        let mut saved = Saved { checkpoint, participant, had_ended: Vec::new() };
        saved.had_ended = saved.copy(ENDED)?.next_item()?.unwrap_or_default();
        Ok(saved)
    }

    /// Whether input `port` had ended.
    pub fn had_ended(&self, port: usize) -> bool {
        self.had_ended.get(port).copied().unwrap_or(false)
    }

    /// This worker's share of the [items](crate::checkpoint::Written::items): with as many workers as before, those that it has written;
    /// otherwise worker `w` of `n` gets those of all workers whose index modulo `n` is `w`.
    ///
    /// # Errors
    /// The checkpoint can not be read.
    pub fn items(&self) -> Result<StateReader> {
        self.items_of(self.participant.origin.worker(), self.workers())
    }

    /// As [`items`](Self::items), for number `index` of `n` workers that share them.
    ///
    /// # Errors
    /// The checkpoint can not be read.
    pub fn items_of(&self, index: usize, n: usize) -> Result<StateReader> {
        let items = self.read_items(ITEMS, |writer, _writers| writer % n.max(1) == index)?;
        if items.is_empty() { Ok(items) } else { self.migrated(ITEMS, items) }
    }

    /// Hands this worker's share of the [fixed state](crate::checkpoint::Written::fixed), as that of [`items`](Self::items), to `take`, in pieces
    /// that each end with a whole item.
    ///
    /// # Errors
    /// The checkpoint can not be read; or those of `take`.
    pub fn fixed(&self, mut take: impl FnMut(StateReader) -> Result<()>) -> Result<()> {
        let (index, n) = (self.participant.origin.worker(), self.workers().max(1));
        let key = self.participant.key(FIXED);
        let mut sections = self.checkpoint.read_ungrouped_of(&key, |writer| writer % n == index);
        sections.try_for_each(|section| take(StateReader::new(section?.bytes)))
    }

    /// What all workers had [alike](crate::checkpoint::Written::copied), from one of them.
    ///
    /// # Errors
    /// The checkpoint can not be read.
    pub fn copied(&self) -> Result<StateReader> {
        self.copy(COPIED)
    }

    /// What all workers had [pooled](crate::checkpoint::Written::pooled), in order of their index.
    ///
    /// # Errors
    /// The checkpoint can not be read.
    pub fn pooled(&self) -> Result<StateReader> {
        self.read_items(POOLED, |_writer, _writers| true)
    }

    /// Goes on counting where the workers whose share this one has have been.
    pub(super) fn restore_counts(&self) -> Result<()> {
        let (origin, n) = (&self.participant.origin, self.workers());
        let mut counted = self.read_items(COUNTED, |writer, _writers| writer % n == origin.worker())?;
        let tallies = origin.tallies();
        while let Some(records) = counted.next_item::<Vec<u64>>()? {
            tallies.iter().zip(records).for_each(|(tally, records)| tally.add(records, origin));
        }
        Ok(())
    }

    fn copy(&self, kind: &str) -> Result<StateReader> {
        let me = self.participant.origin.worker();
        self.read_items(kind, |writer, writers| writers.get(me % writers.len().max(1)) == Some(&writer))
    }

    fn read_items(&self, kind: &str, is_wanted: impl Fn(usize, &[usize]) -> bool) -> Result<StateReader> {
        let sections = self.checkpoint.read_ungrouped(&self.participant.key(kind));
        let sections = sections.collect::<Result<Vec<_>>>()?;
        let writers: Vec<usize> = sections.iter().map(|section| section.worker as usize).collect();
        let mut reader = StateReader::default();
        let wanted = sections.iter().filter(|section| is_wanted(section.worker as usize, &writers));
        wanted.for_each(|section| reader.append(&section.bytes));
        Ok(reader)
    }

    /// Hands the entries of a kind, of this worker's key groups, to `take`, in pieces that each end with a whole entry.
    ///
    /// # Errors
    /// The checkpoint can not be read; or those of `take`.
    pub fn entries(&self, kind: &str, mut take: impl FnMut(StateReader) -> Result<()>) -> Result<()> {
        let (me, n) = (self.participant.origin.worker(), self.workers());
        let mine: Vec<u32> =
            (0..KEY_GROUPS as u32).filter(|group| group_owner(u64::from(*group), n) == me).collect();
        let (Some(first), Some(last)) = (mine.first(), mine.last()) else { return Ok(()) };
        let mut sections = self.checkpoint.read(&self.participant.key(kind), *first..*last + 1);
        sections.try_for_each(|section| take(self.migrated(kind, StateReader::new(section?.bytes))?))
    }

    /// State of an earlier version of the program, as this one keeps it.
    fn migrated(&self, kind: &str, state: StateReader) -> Result<StateReader> {
        let config = self.participant.checkpoints.config();
        let mut migrations = config.migrations(&self.participant.name, kind, self.checkpoint.state_version());
        migrations.try_fold(state, |state, migration| migration.convert(state))
    }

    /// Hands the entries of a kind, of the key groups and written by the workers that `is_wanted(group, worker)`, to `take`,
    /// in pieces that each end with a whole entry: for state whose place is not the owner of its key group.
    ///
    /// # Errors
    /// As [`entries`](Self::entries).
    pub fn entries_where(
        &self,
        kind: &str,
        is_wanted: impl Fn(u64, usize) -> bool,
        mut take: impl FnMut(StateReader) -> Result<()>,
    ) -> Result<()> {
        let mut sections = self.checkpoint.read(&self.participant.key(kind), 0..KEY_GROUPS as u32);
        sections.try_for_each(|section| {
            let section = section?;
            let group = section.key_group.map_or(0, u64::from);
            match is_wanted(group, section.worker as usize) {
                true => take(self.migrated(kind, StateReader::new(section.bytes))?),
                false => Ok(()),
            }
        })
    }

    /// Number of workers that the operator runs on.
    fn workers(&self) -> usize {
        self.participant.origin.parallelism().min(self.participant.workers)
    }
}

impl std::fmt::Debug for Saved<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Saved").field(&self.participant.name).finish()
    }
}
