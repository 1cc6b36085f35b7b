//! What an operator keeps, and where it writes it.

use crate::checkpoint::keeper::Commit;
use crate::checkpoint::participant::Saved;
use crate::checkpoint::state::{Entries, StateWriter};
use crate::error::Result;

/// What an operator keeps between records, as checkpoints see it.
pub trait Snapshot {
    /// Whether it can take part in checkpoints at all.
    ///
    /// # Errors
    /// It can not.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Takes the state as it is now: what changes later is no part of it. What is too much to be written at once is left
    /// to [`sweep`](Self::sweep).
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn mark(&mut self, to: &mut Written) -> Result<()>;

    /// Writes some more of the state as it was marked; whether there is still more.
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn sweep(&mut self, _to: &mut Written) -> Result<bool> {
        Ok(false)
    }

    /// Takes over the state of a checkpoint, before anything else is done.
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn restore(&mut self, from: &Saved<'_>) -> Result<()>;

    /// All input has ended, and has been answered. Gives up what would serve further records; what the end of the job
    /// needs is written to `to`, for all checkpoints to come.
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn end(&mut self, _to: &mut Written) -> Result<()> {
        Ok(())
    }
}

/// An operator that keeps nothing takes part to be waited for.
impl Snapshot for () {
    fn mark(&mut self, _to: &mut Written) -> Result<()> {
        Ok(())
    }

    fn restore(&mut self, _from: &Saved<'_>) -> Result<()> {
        Ok(())
    }
}

/// State on its way to storage. What a later run reads of it depends on what it belongs to.
#[derive(Default)]
pub struct Written {
    pub(super) items: StateWriter,
    pub(super) copied: StateWriter,
    pub(super) pooled: StateWriter,
    pub(super) fixed: StateWriter,
    /// Whether the fixed state is in a durable checkpoint.
    pub(super) has_fixed: bool,
    /// By kind.
    pub(super) entries: Vec<(&'static str, Entries)>,
    /// What is to be done when the checkpoint is durable.
    pub(crate) commits: Vec<Commit>,
    /// Whether the checkpoint before is durable, so that what it holds can be taken over.
    pub(super) may_add: bool,
    /// Kinds of which all that the checkpoint before holds is taken over.
    pub(super) added_to: Vec<&'static str>,
}

impl Written {
    /// State of this worker that belongs to no key: each worker of a later run reads the share of
    /// [`Saved::items`].
    pub fn items(&mut self) -> &mut StateWriter {
        &mut self.items
    }

    /// State that all workers have alike: each worker of a later run reads that of one of them.
    pub fn copied(&mut self) -> &mut StateWriter {
        &mut self.copied
    }

    /// State of this worker that all need to know: each worker of a later run reads that of all.
    pub fn pooled(&mut self) -> &mut StateWriter {
        &mut self.pooled
    }

    /// State of this worker that belongs to no key and will never change: `None` where it is durable already, so that
    /// checkpoints refer to it. Each worker of a later run reads the share of [`Saved::fixed`].
    pub fn fixed(&mut self) -> Option<&mut StateWriter> {
        (!self.has_fixed).then_some(&mut self.fixed)
    }

    /// Says that the fixed state has changed after all: what is written of it now takes the place of all that was.
    pub fn renew_fixed(&mut self) {
        self.has_fixed = false;
    }

    /// State by key group, of which an operator may have several kinds: a later run reads what belongs to the worker that
    /// owns the key group.
    pub fn entries(&mut self, kind: &'static str) -> &mut Entries {
        let known = self.entries.iter().position(|(known, _)| *known == kind);
        let at = known.unwrap_or_else(|| {
            self.entries.push((kind, Entries::default()));
            self.entries.len() - 1
        });
        &mut self.entries[at].1
    }
}

/// States of which a checkpoint holds only what has changed since the one before, which it refers to.
impl Written {
    /// Whether entries may be [added](Self::add_to) to those of the checkpoint before.
    pub fn may_add(&self) -> bool {
        self.may_add
    }

    /// Takes over all entries of a kind from the checkpoint before: what is written now comes behind them, and of several
    /// entries of one key the last one counts. To be said in [`Snapshot::mark`], if [`may_add`](Self::may_add) says yes.
    pub fn add_to(&mut self, kind: &'static str) {
        self.added_to.push(kind);
    }
}

impl std::fmt::Debug for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kinds: Vec<_> = self.entries.iter().map(|(kind, _)| kind).collect();
        f.debug_struct("Written").field("entries", &kinds).finish_non_exhaustive()
    }
}
