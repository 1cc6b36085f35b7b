//! An operator's part in checkpoints, or that it needs none.

use timely::progress::operate::FrontierInterest;

use crate::checkpoint::{CheckpointHold, CheckpointWatch, Part, Snapshot};
use crate::clock::AnyClock;
use crate::error::{Error, Result};
use crate::operator::OperatorBuilder;

impl<T: AnyClock> OperatorBuilder<'_, T> {
    /// Says that this operator keeps nothing between batches, and has no effect that a checkpoint would have to wait
    /// for: it has no part in checkpoints.
    pub fn keep_nothing(&mut self) {
        self.says_what_it_keeps = true;
    }

    /// This operator's part in checkpoints, with `state` as what it keeps between batches; after its inputs were added.
    /// An operator without one, that has not said [`keep_nothing`](Self::keep_nothing) either, is refused where there
    /// are checkpoints.
    pub fn part(&mut self, state: &impl Snapshot) -> Part {
        self.part_unless(|| state.check())
    }

    /// As [`part`](Self::part), for a state that is not there yet; `check` is its [`Snapshot::check`].
    pub fn part_unless(&mut self, check: impl FnOnce() -> Result<()>) -> Part {
        let part = Part::new(&self.origin, self.activation(), self.inputs, self.place.workers());
        if part.is_taken() {
            self.says_what_it_keeps = true;
            // Where a bounded iteration is in one checkpoint epoch its operators have ended when they would be marked.
            if !self.is_in_whole_iteration() {
                self.refuse_unless(check());
            }
            for input in 0..self.inputs {
                self.builder.set_notify_for(input, FrontierInterest::Always);
            }
        }
        part
    }

    /// As [`part`](Self::part), for a source: it is woken when it has to leave its epoch, and when it may go on.
    pub(crate) fn source_part(&mut self, state: &impl Snapshot) -> Part {
        self.source_part_unless(|| state.check())
    }

    /// As [`part_unless`](Self::part_unless), for an operator that goes on by itself: it is woken when it has to leave its
    /// epoch, and when it may go on.
    pub fn source_part_unless(&mut self, check: impl FnOnce() -> Result<()>) -> Part {
        self.wake_when_epochs_open();
        self.part_unless(check)
    }

    /// As [`part_unless`](Self::part_unless), for an operator that is told of rounds. Those of an unbounded iteration go on
    /// over checkpoints: who can not follow, or is in a loop inside of it, is refused.
    pub fn rounds_part_unless(&mut self, follows: bool, check: impl FnOnce() -> Result<()>) -> Part {
        let can = self
            .place
            .head()
            .is_none_or(|head| head.in_order() || follows && head.crosses_epochs() && T::NESTED == 1);
        self.source_part_unless(|| match can {
            true => check(),
            false => Err(Error::config(
                "an operator that begins anew in each round, or is told of the rounds of a loop inside another one, can take \
                 part in checkpoints in a bounded iteration alone: rounds of an unbounded one go on over checkpoints",
            )),
        })
    }

    fn is_in_whole_iteration(&self) -> bool {
        self.place.head().is_some_and(|head| head.in_order() && !head.crosses_epochs())
    }

    /// What decides when a loop leaves its checkpoint epoch needs to know of checkpoints.
    pub fn checkpoint_watch(&self) -> CheckpointWatch {
        CheckpointWatch::new(self.place.run().checkpoints())
    }

    /// Lets no checkpoint of this job be begun until it is dropped.
    pub fn checkpoint_hold(&self) -> CheckpointHold {
        CheckpointHold::new(self.place.run().checkpoints())
    }

    /// Lets the operator be woken when sources have to leave their epoch, and when they may go on.
    pub(crate) fn wake_when_epochs_open(&self) {
        if let Some(checkpoints) = self.place.run().checkpoints() {
            checkpoints.register_source(self.sync_activator());
        }
    }

    pub(super) fn refuse_checkpoints_unless_it_says(&self) {
        if !self.says_what_it_keeps && self.place.run().checkpoints().is_some() {
            self.origin.refuse(Error::config(
                "this operator keeps a state that checkpoints can not hold yet: run the job without checkpoints",
            ));
        }
    }
}
