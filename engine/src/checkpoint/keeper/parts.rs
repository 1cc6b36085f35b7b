//! Writing the parts of a process.

use crate::checkpoint::keeper::{Keeper, Section, Unwritten};
use crate::checkpoint::store::{PartInfo, PartWriter, SectionKey};
use crate::clock::Epoch;
use crate::error::{Error, Result};

impl Keeper {
    pub(super) fn write(&mut self, unwritten: &Unwritten) {
        match unwritten {
            Unwritten::Section(Section { epoch, worker, key, key_group, bytes }) => {
                self.put(*epoch, *worker, key, *key_group, bytes);
                self.state().note(|counts| counts.bytes += bytes.len() as u64);
                self.checkpoints.note_taken(bytes.len());
            }
            Unwritten::Earlier { epoch, worker, key } => self.take_over(*epoch, *worker, key),
        }
    }

    /// Adds all sections that the checkpoint before has of a key, where they are.
    fn take_over(&mut self, epoch: Epoch, worker: usize, key: &SectionKey) {
        let newest = std::mem::take(&mut self.newest_tables);
        let taken = match newest.get(&worker) {
            Some(base) => self.part(epoch, worker).and_then(|part| part.carry_all(base, key)),
            None => Err(Error::internal(format!("{key} is added to a checkpoint that is not there"))),
        };
        self.newest_tables = newest;
        if let Err(error) = taken {
            self.failure.get_or_insert(error.full_message());
        }
    }

    /// Adds a section to the part of a worker. A failure loses the parts of this epoch and nothing else.
    fn put(&mut self, epoch: Epoch, worker: usize, key: &SectionKey, key_group: Option<u32>, bytes: &[u8]) {
        if self.failure.is_none()
            && let Err(error) = self.part(epoch, worker).and_then(|part| part.put(key, key_group, bytes))
        {
            self.failure = Some(error.full_message());
        }
    }

    fn part(&mut self, epoch: Epoch, worker: usize) -> Result<&mut PartWriter> {
        let start =
            self.checkpoints.start().ok_or_else(|| Error::internal("state before the job has begun"))?;
        let number = start.first_epoch + epoch;
        let begin = || self.store.writer(start.attempt, number, worker as u32);
        Ok(self.parts.entry(worker).or_insert_with(begin))
    }

    /// Makes the parts of this process durable.
    pub(super) fn finish_parts(&mut self, epoch: Epoch) -> Result<Vec<PartInfo>> {
        let first = self.membership.process * self.membership.threads;
        for worker in first..first + self.membership.threads {
            if let Err(error) = self.part(epoch, worker) {
                self.failure.get_or_insert(error.full_message());
            }
        }
        for (worker, key, bytes) in self.progress.standing(epoch) {
            self.put(epoch, worker, &key, None, &bytes);
        }
        let parts = std::mem::take(&mut self.parts);
        if let Some(reason) = self.failure.take() {
            return Err(Error::storage(reason));
        }
        let mut infos = Vec::with_capacity(parts.len());
        for (worker, part) in parts {
            let (info, table) = part.finish()?;
            infos.push(info);
            self.finished_tables.insert(worker, table);
        }
        Ok(infos)
    }
}
