//! An operator's part in checkpoints; how to take part is told in [`checkpoint`](crate::checkpoint).

mod saved;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::checkpoint::keeper::{Message, Section};
use crate::checkpoint::shared::Checkpoints;
use crate::checkpoint::snapshot::{Snapshot, Written};
use crate::checkpoint::state::{SECTION_BYTES, StateWriter};
use crate::checkpoint::store::SectionKey;
use crate::clock::{AnyClock, Epoch};
use crate::error::{Error, Result};
use crate::machine;
use crate::operator::{Activation, Frontiers};
use crate::origin::Origin;
pub use saved::Saved;

/// Which state of an operator a section is, beside the kinds of its entries.
pub(super) const ITEMS: &str = "items";
const COPIED: &str = "copied";
const POOLED: &str = "pooled";
const FIXED: &str = "fixed";
/// Which of its inputs had ended.
const ENDED: &str = "ended";
/// How many records it has counted, of each kind of records that it counts.
const COUNTED: &str = "counted";

/// How long an operator writes, in one activation, of what it has marked.
const SWEEP_TIME: Duration = Duration::from_millis(2);

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
    /// The epoch in whose checkpoint the fixed state is written out, once it is.
    fixed_in: Option<Epoch>,
    has_ended: bool,
    written: Written,
    added: Added,
}

/// How much an operator has added to a checkpoint in which it has written all that it keeps.
#[derive(Debug, Default)]
struct Added {
    checkpoints: u32,
    bytes: usize,
    /// Bytes of the first one.
    bytes_of_all: usize,
}

/// Checkpoints in a row that may add to the one before.
const MAX_ADDED: u32 = 10;

impl Added {
    /// Whether one more may: a later run reads all of them.
    fn may_be_more(&self) -> bool {
        self.checkpoints < MAX_ADDED && self.bytes <= self.bytes_of_all / 2
    }

    fn note_bytes(&mut self, bytes: usize) {
        if self.checkpoints == 0 {
            self.bytes_of_all += bytes;
        } else {
            self.bytes += bytes;
        }
    }
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
            fixed_in: None,
            has_ended: false,
            written: Written::default(),
            added: Added::default(),
        })))
    }

    /// Whether the run makes checkpoints.
    pub fn is_taken(&self) -> bool {
        self.0.is_some()
    }

    /// What checkpoints know the operator by, once it has [begun](Self::begin).
    pub(crate) fn name(&self) -> Option<&str> {
        self.0.as_ref().map(|participant| participant.name.as_str())
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

    /// Writes all that is left of what was marked, because it is about to go.
    pub(crate) fn write_all(&mut self, state: &mut impl Snapshot) -> Result<()> {
        self.0.as_mut().map_or(Ok(()), |participant| participant.sweep_all(state))
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
        self.follow(frontiers, &mut ())
    }

    /// For an operator that answers the end of its inputs before: all its part.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    #[inline]
    pub fn follow<T: AnyClock>(
        &mut self,
        frontiers: &Frontiers<'_, T>,
        state: &mut impl Snapshot,
    ) -> Result<()> {
        if self.is_taken() {
            self.begin(state)?;
            self.step(frontiers, state)?;
            if frontiers.epoch().is_none() {
                self.end(state)?;
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
            let saved = Saved::new(checkpoint, self)?;
            state.restore(&saved)?;
            saved.restore_counts()?;
            self.had_ended = saved.had_ended;
            (0..self.n_inputs).for_each(|port| self.answered[port] = self.had_ended(port));
        }
        checkpoints.note_restored(&self.name)
    }

    fn derived_name(&self) -> String {
        let name = format!("{}#{}", self.name, self.nth);
        if self.origin.worker() == 0 {
            let place = self.origin.site().location;
            // A target of its own: who runs a program that is not theirs can do nothing about it.
            tracing::warn!(
                target: "waterwheel_engine::uid",
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
        match self.sweeping {
            None => Ok(()),
            // Sources wait until all operators have marked theirs: what is not needed for that comes later.
            Some(_) if !self.checkpoints.is_open(self.epoch) => {
                self.activation.wake_after(Duration::from_millis(1));
                Ok(())
            }
            Some(_) => self.sweep(state),
        }
    }

    /// Marks the state at the end of the epoch before `next`.
    fn mark(&mut self, next: Epoch, state: &mut impl Snapshot) -> Result<()> {
        let epoch = std::mem::replace(&mut self.epoch, next);
        if next != epoch + 1 || self.sweeping.is_some() {
            return Err(Error::internal(format!(
                "epoch {next} has begun before the checkpoint of {epoch} was made"
            )));
        }
        self.mark_state(epoch, state)?;
        if self.answered.contains(&true) {
            self.send(epoch, ENDED, None, item_of(&self.answered)?);
        }
        if let Some(counted) = self.counted()? {
            self.send(epoch, COUNTED, None, counted);
        }
        self.send_commits(epoch);
        self.sweeping = Some(epoch);
        self.checkpoints.tell(Message::Marked { participant: self.index, epoch });
        Ok(())
    }

    fn mark_state(&mut self, epoch: Epoch, state: &mut impl Snapshot) -> Result<()> {
        // What a checkpoint that has failed should have held is in none.
        let is_durable =
            epoch.checked_sub(1).is_some_and(|before| self.checkpoints.committed() == Some(before));
        self.written.may_add = is_durable && self.added.may_be_more();
        self.written.has_fixed = self.fixed_in.is_some() && self.checkpoints.committed() >= self.fixed_in;
        state.mark(&mut self.written)?;
        let added_to = std::mem::take(&mut self.written.added_to);
        match added_to.is_empty() {
            true => self.added = Added::default(),
            false => self.added.checkpoints += 1,
        }
        for kind in added_to {
            let (worker, key) = (self.origin.worker(), self.key(kind));
            self.checkpoints.tell(Message::TakeOver { epoch, worker, key });
        }
        Ok(())
    }

    /// Writes for a while, unless much waits to be written already.
    fn sweep(&mut self, state: &mut impl Snapshot) -> Result<()> {
        let since = machine::now();
        while !self.checkpoints.is_congested() {
            if !self.sweep_some(state)? {
                return Ok(());
            }
            if since.elapsed() >= SWEEP_TIME {
                self.activation.wake();
                return Ok(());
            }
        }
        self.activation.wake_after(Duration::from_millis(1));
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
                self.added.note_bytes(bytes.len());
                self.send(epoch, kind, Some(group), bytes);
            }
        }
        self.written.entries = written;
        self.send_fixed(epoch, more);
        if !more {
            for (kind, items) in self.take_items() {
                self.send(epoch, kind, None, items);
            }
            self.sweeping = None;
            self.checkpoints.tell(Message::Swept { participant: self.index, epoch });
        }
        Ok(more)
    }

    /// Hands over fixed state that has been written, or says that it is the same as in the checkpoint before.
    fn send_fixed(&mut self, epoch: Epoch, more: bool) {
        if self.written.has_fixed && !more {
            let (worker, key) = (self.origin.worker(), self.key(FIXED));
            self.checkpoints.tell(Message::TakeOver { epoch, worker, key });
        }
        if self.written.fixed.len_bytes() >= if more { SECTION_BYTES } else { 1 } {
            let bytes = std::mem::take(&mut self.written.fixed).into_bytes();
            self.send(epoch, FIXED, None, bytes);
            self.fixed_in = Some(epoch);
        }
    }

    fn end(&mut self, state: &mut impl Snapshot) -> Result<()> {
        self.sweep_all(state)?;
        self.has_ended = true;
        state.end(&mut self.written)?;
        let mut sections = vec![(self.key(ENDED), item_of(&vec![true; self.n_inputs])?)];
        sections.extend(self.counted()?.map(|counted| (self.key(COUNTED), counted)));
        sections.extend(self.take_items().map(|(kind, items)| (SectionKey::new(&self.name, kind), items)));
        self.send_commits(self.epoch);
        let (participant, worker, since) = (self.index, self.origin.worker(), self.epoch);
        self.checkpoints.tell(Message::Ended { participant, worker, since, sections });
        Ok(())
    }

    /// What it has counted, if anything.
    fn counted(&self) -> Result<Option<Vec<u8>>> {
        let counted: Vec<u64> = self.origin.tallies().iter().map(|tally| tally.records()).collect();
        let is_any = counted.iter().any(|records| *records > 0);
        is_any.then(|| item_of(&counted)).transpose()
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

fn item_of(value: &(impl Serialize + ?Sized)) -> Result<Vec<u8>> {
    let mut item = StateWriter::default();
    item.put(value)?;
    Ok(item.into_bytes())
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Part").field(&self.0.as_ref().map(|participant| &participant.name)).finish()
    }
}
