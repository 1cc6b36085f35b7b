//! What the keeper of process 0 does for all: it finds out where the run begins, decides, commits, and tidies up.

use std::time::Duration;

use crate::checkpoint::config::OnMissingCheckpoint;
use crate::checkpoint::coordinator::{Command, Event};
use crate::checkpoint::keeper::Keeper;
use crate::checkpoint::shared::Start;
use crate::checkpoint::store::{Checkpoint, CheckpointMeta, GarbageScope, Newest, PartInfo};
use crate::checkpoint::word::Word;
use crate::clock::Epoch;
use crate::error::{Error, ErrorKind, Result};
use crate::machine;

/// How often it is looked for requests for savepoints.
const REQUESTS: Duration = Duration::from_millis(500);

impl Keeper {
    /// Finds out what the run goes on from, and tells all.
    pub(super) fn begin(&mut self) -> Result<()> {
        let attempt = self.store.claim_attempt(self.names.attempt)?;
        let newest = self.newest()?;
        let first_epoch = self.store.next_epoch()?;
        let checkpoint = newest.as_ref().map(Checkpoint::epoch);
        match checkpoint {
            Some(epoch) => tracing::info!("job {} goes on from checkpoint epoch {epoch}", self.names.job),
            None => tracing::info!("job {} begins, without a checkpoint", self.names.job),
        }
        self.tell_all(Word::Begin { checkpoint, first_epoch, attempt })?;
        self.put_off();
        Ok(())
    }

    fn newest(&self) -> Result<Option<Checkpoint>> {
        // A later attempt goes on from what this one has done.
        if let Some(from) = self.checkpoints.config().from.as_ref().filter(|_| self.names.attempt <= 1) {
            return self.store.verified(from).map(Some);
        }
        match (self.store.newest()?, self.checkpoints.config().on_missing) {
            (Newest::Found { checkpoint, .. }, _) => Ok(Some(checkpoint)),
            (Newest::Never, _) => Ok(None),
            (Newest::Lost(error), OnMissingCheckpoint::Fresh) => {
                tracing::warn!("the job begins anew: {}", error.full_message());
                Ok(None)
            }
            (Newest::Lost(error), OnMissingCheckpoint::Fail) => Err(Error::new(
                error.kind(),
                "the job can not go on from where it was; to begin anew all the same: --on-missing-checkpoint fresh",
            )
            .caused_by(error)),
        }
    }

    /// Lets the time to the next checkpoint begin now.
    pub(super) fn put_off(&mut self) {
        self.due = machine::now() + self.checkpoints.config().interval;
    }

    /// Begins a checkpoint, if none is under way and nothing holds it up.
    pub(super) fn begin_if_idle(&mut self) -> Result<()> {
        let is_idle = self.coordinator.as_ref().is_some_and(|one| !one.is_busy());
        if is_idle && self.progress.is_built() && !self.checkpoints.is_held() {
            self.coordinate(Event::Due)?;
        }
        Ok(())
    }

    /// Begins a checkpoint if a savepoint is asked for.
    pub(super) fn look_for_requests(&mut self) -> Result<()> {
        self.looks_for_requests = machine::now() + REQUESTS;
        match self.store.savepoint_requests() {
            Ok(requests) => self.savepoint = requests.into_iter().next(),
            Err(error) => tracing::debug!("requests for savepoints: {}", error.full_message()),
        }
        match self.savepoint {
            Some(_) if !self.checkpoints.is_held() => self.coordinate(Event::Due),
            _ => Ok(()),
        }
    }

    pub(super) fn coordinate(&mut self, event: Event<PartInfo>) -> Result<()> {
        let Some(coordinator) = &mut self.coordinator else {
            return Err(Error::internal("a process that does not coordinate checkpoints was told to"));
        };
        let mut commands = Vec::new();
        coordinator.note(event, &mut commands);
        commands.into_iter().try_for_each(|command| self.obey(command))
    }

    fn obey(&mut self, command: Command<PartInfo>) -> Result<()> {
        match command {
            Command::Close(epoch) => self.tell_all(Word::Close(epoch)),
            Command::Open(epoch) => self.tell_all(Word::Open(epoch)),
            Command::Commit { epoch, parts } => {
                let outcome = self.commit(epoch, &parts)?;
                if outcome.is_ok() {
                    self.note_answered();
                }
                self.coordinate(Event::Committed(outcome))
            }
            Command::Announce { epoch, is_last } => {
                self.put_off();
                self.tell_all(Word::Committed { epoch, is_last })?;
                self.remove_garbage();
                Ok(())
            }
            Command::GiveUp { epoch, is_last, reason } => {
                self.put_off();
                self.tell_all(Word::GivenUp { epoch, is_last, reason })
            }
        }
    }

    /// Writes the manifest. The inner error is a checkpoint that failed.
    ///
    /// # Errors
    /// Another attempt at the job has taken over.
    fn commit(&self, epoch: Epoch, parts: &[PartInfo]) -> Result<Result<(), String>> {
        let Some(Start { first_epoch, attempt, .. }) = self.checkpoints.start() else {
            return Err(Error::internal("a checkpoint before the job has begun"));
        };
        let program = self.names.program_version.clone();
        let savepoint = self.savepoint.clone();
        let (state_version, fingerprint) =
            (self.checkpoints.config().state_version, self.checkpoints.fingerprint());
        let meta = CheckpointMeta { attempt: *attempt, program, fingerprint, savepoint, state_version };
        match self.store.commit(first_epoch + epoch, parts, meta) {
            Ok(()) => Ok(Ok(())),
            Err(error) if error.kind() == ErrorKind::Fenced => Err(error),
            Err(error) => Ok(Err(error.full_message())),
        }
    }

    /// The savepoint that was asked for is there. One that failed is asked for still.
    fn note_answered(&mut self) {
        let Some(name) = self.savepoint.take() else { return };
        tracing::info!("savepoint {name} of job {} is durable", self.names.job);
        if let Err(error) = self.store.withdraw_savepoint_request(&name) {
            tracing::warn!("the request for savepoint {name} stays: {}", error.full_message());
        }
    }

    /// Removes checkpoints that newer ones have replaced, and what crashed attempts have left. What can not be removed now
    /// is tried again the next time.
    fn remove_garbage(&self) {
        let Some(start) = self.checkpoints.start() else { return };
        let (keep, scope) = (self.checkpoints.config().retain, GarbageScope::Attempt(start.attempt));
        let removed = self.store.garbage(Some(keep), scope).and_then(|garbage| self.store.remove(&garbage));
        if let Err(error) = removed {
            tracing::warn!("old checkpoints stay: {}", error.full_message());
        }
    }

    pub(super) fn open_checkpoint(&self, epoch: Epoch) -> Result<Checkpoint> {
        let (process, location) = (self.membership.process, self.checkpoints.config().place());
        self.store.checkpoint(epoch).map_err(|error| {
            Error::new(
                error.kind(),
                format!("process {process} can not read checkpoint epoch {epoch} in {location}, which process 0 can"),
            )
            .caused_by(error)
        })
    }
}
