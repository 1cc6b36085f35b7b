//! An operator's part in checkpoints; how to take part is told in [`checkpoint`](crate::checkpoint).

use std::rc::Rc;
use std::sync::Arc;

use crate::checkpoint::keeper::{Commit, Message, Section};
use crate::checkpoint::shared::Checkpoints;
use crate::checkpoint::state::{Entries, StateReader, StateWriter};
use crate::checkpoint::store::{Checkpoint, SectionKey};
use crate::clock::{AnyClock, Epoch};
use crate::error::{Error, Result};
use crate::hash::{KEY_GROUPS, group_owner};
use crate::operator::{Activation, Frontiers};
use crate::origin::Origin;

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
    items: StateWriter,
    copied: StateWriter,
    pooled: StateWriter,
    /// By kind.
    entries: Vec<(&'static str, Entries)>,
    /// What is to be done when the checkpoint is durable.
    pub(crate) commits: Vec<Commit>,
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

impl std::fmt::Debug for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kinds: Vec<_> = self.entries.iter().map(|(kind, _)| kind).collect();
        f.debug_struct("Written").field("entries", &kinds).finish_non_exhaustive()
    }
}

/// Which state of an operator a section is, beside the kinds of its entries.
pub(super) const ITEMS: &str = "items";
const COPIED: &str = "copied";
const POOLED: &str = "pooled";
/// Which of its inputs had ended.
const ENDED: &str = "ended";

/// Bytes of a key group from which they are handed over before all of it is written.
const SECTION_BYTES: usize = 64 << 10;

/// An operator's part in checkpoints, if the run makes any; see [`OperatorBuilder::part`](crate::operator::OperatorBuilder::part).
pub struct Part(Option<Box<Participant>>);

/// An operator that takes part in checkpoints.
struct Participant {
    checkpoints: Arc<Checkpoints>,
    origin: Rc<Origin>,
    activation: Activation,
    n_inputs: usize,
    /// Workers of the whole job.
    workers: usize,
    /// Number among all participants of this process.
    index: usize,
    /// Number among those of the same name on this worker.
    nth: usize,
    name: String,
    has_begun: bool,
    /// Inputs that had ended in the checkpoint that the run goes on from.
    had_ended: Vec<bool>,
    /// Inputs whose end has been answered.
    answered: Vec<bool>,
    /// The epoch whose state has not been marked yet.
    epoch: Epoch,
    /// The epoch whose state is being written.
    sweeping: Option<Epoch>,
    has_ended: bool,
    written: Written,
}

impl Part {
    /// The part of the operator of `origin`; none in a run without checkpoints.
    pub(crate) fn new(origin: &Rc<Origin>, activation: Activation, n_inputs: usize, workers: usize) -> Self {
        let Some(checkpoints) = origin.run().checkpoints() else { return Part(None) };
        let first_name = origin.site().operator;
        let (index, nth) = checkpoints.enlist(origin.worker(), &first_name);
        // An operator that nothing ever comes to has its state restored all the same.
        activation.wake();
        Part(Some(Box::new(Participant {
            checkpoints,
            origin: Rc::clone(origin),
            activation,
            n_inputs,
            workers,
            index,
            nth,
            name: first_name,
            has_begun: false,
            had_ended: Vec::new(),
            answered: vec![false; n_inputs],
            epoch: 0,
            sweeping: None,
            has_ended: false,
            written: Written::default(),
        })))
    }

    /// Whether the run makes checkpoints.
    pub fn is_taken(&self) -> bool {
        self.0.is_some()
    }

    /// To be called first in each activation: restores the state in the first one.
    ///
    /// # Errors
    /// The state can not be read, or nobody takes some of the state in the checkpoint.
    #[inline]
    pub fn begin(&mut self, state: &mut impl Snapshot) -> Result<()> {
        match &mut self.0 {
            Some(participant) if !participant.has_begun => participant.begin(state),
            _ => Ok(()),
        }
    }

    /// Whether input `port` had ended in the checkpoint that the run goes on from, so that its end has been answered.
    #[inline]
    pub fn had_ended(&self, port: usize) -> bool {
        self.0.as_ref().is_some_and(|participant| participant.had_ended(port))
    }

    /// Notes that the end of input `port`, one of several, has been answered; not before what it is answered in.
    pub fn note_end(&mut self, port: usize) {
        if let Some(answered) = self.0.as_mut().and_then(|participant| participant.answered.get_mut(port)) {
            *answered = true;
        }
    }

    /// To be called in each activation when the inputs have been read, and before their end is answered: marks the state
    /// when an epoch is complete, and writes some of what was marked.
    ///
    /// # Errors
    /// The state can not be written.
    #[inline]
    pub fn step<T: AnyClock>(
        &mut self,
        frontiers: &Frontiers<'_, T>,
        state: &mut impl Snapshot,
    ) -> Result<()> {
        match &mut self.0 {
            Some(participant) => participant.step(frontiers, state),
            None => Ok(()),
        }
    }

    /// To be called when the end of all inputs has been answered.
    ///
    /// # Errors
    /// The state can not be written.
    pub fn end(&mut self, state: &mut impl Snapshot) -> Result<()> {
        match &mut self.0 {
            Some(participant) if !participant.has_ended => participant.end(state),
            _ => Ok(()),
        }
    }

    /// For a source at `epoch`: marks its state if it has to leave that, and says where it goes.
    #[inline]
    pub(crate) fn leave(&mut self, epoch: Epoch, state: &mut impl Snapshot) -> Result<Option<Epoch>> {
        let Some(participant) = &mut self.0 else { return Ok(None) };
        let next = participant.checkpoints.leave(epoch);
        if let Some(next) = next {
            participant.mark(next, state)?;
            participant.sweep_all(state)?;
        }
        Ok(next)
    }

    /// The epoch that an operator at `epoch` should go to, if it is to leave that one; for an operator that goes on by
    /// itself when its input has ended.
    #[inline]
    pub fn next_epoch(&self, epoch: Epoch) -> Option<Epoch> {
        self.0.as_ref().and_then(|participant| participant.checkpoints.leave(epoch))
    }

    /// Whether something new may be begun in `epoch`: all operators have marked their state as of the end of the one
    /// before. Always true without checkpoints.
    #[inline]
    pub fn is_open(&self, epoch: Epoch) -> bool {
        self.0.as_ref().is_none_or(|participant| participant.checkpoints.is_open(epoch))
    }

    /// Whether the operator has marked all epochs before `epoch`, and others have not yet: nothing may be sent in it.
    #[inline]
    pub(crate) fn has_marked_before(&self, epoch: Epoch) -> bool {
        self.0
            .as_ref()
            .is_some_and(|participant| participant.epoch == epoch && !participant.checkpoints.is_open(epoch))
    }

    /// For an operator that keeps nothing, but whose effects a checkpoint has to wait for: all its part.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    #[inline]
    pub fn be_waited_for<T: AnyClock>(&mut self, frontiers: &Frontiers<'_, T>) -> Result<()> {
        if self.is_taken() {
            self.begin(&mut ())?;
            self.step(frontiers, &mut ())?;
            if frontiers.epoch().is_none() {
                self.end(&mut ())?;
            }
        }
        Ok(())
    }
}

impl Participant {
    fn begin(&mut self, state: &mut impl Snapshot) -> Result<()> {
        self.has_begun = true;
        self.name = match self.origin.uid() {
            Some(uid) => uid,
            None => self.derived_name(),
        };
        let checkpoints = Arc::clone(&self.checkpoints);
        let start = checkpoints.start().ok_or_else(|| Error::internal("it runs before the job has begun"))?;
        if let Some(checkpoint) = &start.checkpoint {
            let mut saved = Saved { checkpoint, participant: self, had_ended: Vec::new() };
            saved.had_ended = saved.copy(ENDED)?.next_item()?.unwrap_or_default();
            state.restore(&saved)?;
            self.had_ended = saved.had_ended;
            (0..self.n_inputs).for_each(|port| self.answered[port] = self.had_ended(port));
        }
        checkpoints.note_restored(&self.name)
    }

    fn derived_name(&self) -> String {
        let name = format!("{}#{}", self.name, self.nth);
        if self.origin.worker() == 0 {
            let place = self.origin.site().location;
            tracing::warn!(
                "operator \"{name}\" ({place}) has no uid: its state is found by name and order alone"
            );
        }
        name
    }

    fn had_ended(&self, port: usize) -> bool {
        self.had_ended.get(port).copied().unwrap_or(false)
    }

    fn step<T: AnyClock>(&mut self, frontiers: &Frontiers<'_, T>, state: &mut impl Snapshot) -> Result<()> {
        match frontiers.epoch() {
            Some(next) if next > self.epoch => self.mark(next, state)?,
            Some(_) => {}
            // What answers the end is no part of what was marked before.
            None => return self.sweep_all(state),
        }
        if self.sweeping.is_some() { self.sweep(state) } else { Ok(()) }
    }

    /// Marks the state at the end of the epoch before `next`.
    fn mark(&mut self, next: Epoch, state: &mut impl Snapshot) -> Result<()> {
        let epoch = std::mem::replace(&mut self.epoch, next);
        if next != epoch + 1 || self.sweeping.is_some() {
            return Err(Error::internal(format!(
                "epoch {next} has begun before the checkpoint of {epoch} was made"
            )));
        }
        state.mark(&mut self.written)?;
        if self.answered.contains(&true) {
            self.send(epoch, ENDED, None, ended_item(&self.answered)?);
        }
        self.send_commits(epoch);
        self.sweeping = Some(epoch);
        self.checkpoints.tell(Message::Marked { participant: self.index, epoch });
        Ok(())
    }

    fn sweep(&mut self, state: &mut impl Snapshot) -> Result<()> {
        if self.checkpoints.is_congested() {
            self.activation.wake_after(std::time::Duration::from_millis(1));
            return Ok(());
        }
        if self.sweep_some(state)? {
            self.activation.wake();
        }
        Ok(())
    }

    fn sweep_all(&mut self, state: &mut impl Snapshot) -> Result<()> {
        while self.sweep_some(state)? {}
        Ok(())
    }

    /// Writes some of what was marked; whether there is more.
    fn sweep_some(&mut self, state: &mut impl Snapshot) -> Result<bool> {
        let Some(epoch) = self.sweeping else { return Ok(false) };
        let more = state.sweep(&mut self.written)?;
        let mut written = std::mem::take(&mut self.written.entries);
        for (kind, entries) in &mut written {
            for (group, bytes) in entries.take(if more { SECTION_BYTES } else { 0 }) {
                self.send(epoch, kind, Some(group), bytes);
            }
        }
        self.written.entries = written;
        if !more {
            for (kind, items) in self.take_items() {
                self.send(epoch, kind, None, items);
            }
            self.sweeping = None;
            self.checkpoints.tell(Message::Swept { participant: self.index, epoch });
        }
        Ok(more)
    }

    fn end(&mut self, state: &mut impl Snapshot) -> Result<()> {
        self.sweep_all(state)?;
        self.has_ended = true;
        state.end(&mut self.written)?;
        let mut sections = vec![(self.key(ENDED), ended_item(&vec![true; self.n_inputs])?)];
        sections.extend(self.take_items().map(|(kind, items)| (SectionKey::new(&self.name, kind), items)));
        self.send_commits(self.epoch);
        let (participant, worker, since) = (self.index, self.origin.worker(), self.epoch);
        self.checkpoints.tell(Message::Ended { participant, worker, since, sections });
        Ok(())
    }

    fn send_commits(&mut self, epoch: Epoch) {
        for commit in std::mem::take(&mut self.written.commits) {
            self.checkpoints.tell(Message::Commit { epoch, commit });
        }
    }

    /// What is written and belongs to no key, by kind.
    fn take_items(&mut self) -> impl Iterator<Item = (&'static str, Vec<u8>)> + use<> {
        let Written { items, copied, pooled, .. } = &mut self.written;
        let taken = [(ITEMS, items), (COPIED, copied), (POOLED, pooled)]
            .map(|(kind, items)| (kind, std::mem::take(items)));
        // Functions on workers that have no part in the stream have nothing to say.
        let takes_part = self.origin.worker() < self.origin.parallelism();
        let bytes = taken.map(|(kind, items)| (kind, items.into_bytes())).into_iter();
        bytes.filter(move |(_, items)| takes_part && !items.is_empty())
    }

    fn key(&self, kind: &str) -> SectionKey {
        SectionKey::new(&self.name, kind)
    }

    fn send(&self, epoch: Epoch, kind: &str, key_group: Option<u32>, bytes: Vec<u8>) {
        let (worker, key) = (self.origin.worker(), self.key(kind));
        self.checkpoints.tell(Message::Section(Section { epoch, worker, key, key_group, bytes }));
    }
}

fn ended_item(ended: &[bool]) -> Result<Vec<u8>> {
    let mut item = StateWriter::default();
    item.put(ended)?;
    Ok(item.into_bytes())
}

/// The state of one operator in the checkpoint that the run goes on from.
pub struct Saved<'a> {
    checkpoint: &'a Checkpoint,
    participant: &'a Participant,
    had_ended: Vec<bool>,
}

impl Saved<'_> {
    /// Whether input `port` had ended.
    pub fn had_ended(&self, port: usize) -> bool {
        self.had_ended.get(port).copied().unwrap_or(false)
    }

    /// This worker's share of the [items](Written::items): with as many workers as before, those that it has written;
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

    /// What all workers had [alike](Written::copied), from one of them.
    ///
    /// # Errors
    /// The checkpoint can not be read.
    pub fn copied(&self) -> Result<StateReader> {
        self.copy(COPIED)
    }

    /// What all workers had [pooled](Written::pooled), in order of their index.
    ///
    /// # Errors
    /// The checkpoint can not be read.
    pub fn pooled(&self) -> Result<StateReader> {
        self.read_items(POOLED, |_writer, _writers| true)
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

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Part").field(&self.0.as_ref().map(|participant| &participant.name)).finish()
    }
}

impl std::fmt::Debug for Saved<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Saved").field(&self.participant.name).finish()
    }
}
