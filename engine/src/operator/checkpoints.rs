//! An operator's part in checkpoints, or that it needs none.

use timely::progress::operate::FrontierInterest;

use crate::checkpoint::{CheckpointHold, Part, Snapshot};
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
            // A bounded iteration is in one checkpoint epoch: its operators have ended when their state would be marked.
            if !self.is_in_bounded_iteration() {
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

    /// The part of an operator that is told of rounds, and keeps nothing when its iteration is over. A bounded iteration is
    /// in one checkpoint epoch, and where its [end](Part::had_ended) was answered in an earlier run, nothing is due. The
    /// rounds of an unbounded one go on over checkpoints, so there the operator is refused.
    pub fn rounds_part(&mut self) -> Part {
        self.part_unless(|| {
            Err(Error::config(
                "an operator that is told of rounds can take part in checkpoints in a bounded iteration alone: the rounds \
                 of an unbounded one go on over checkpoints",
            ))
        })
    }

    fn is_in_bounded_iteration(&self) -> bool {
        self.place.head().is_some_and(|head| head.in_order())
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
