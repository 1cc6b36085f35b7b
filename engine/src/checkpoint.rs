//! Checkpoints: what a job needs to go on after its processes were killed.
//!
//! Records of a job carry a checkpoint epoch. On the interval the keeper of process 0 closes the epoch: every source
//! notes where it is and moves on to the next epoch, in which it reads nothing yet. When an operator's frontier is
//! behind the old epoch, nothing of it exists any more upstream, loops included, so its state is that of exactly all
//! input up to there: it marks it, which takes no longer than a few pointers. When all operators of all processes have,
//! sources go on. What was marked is then encoded in slices between batches, an entry that is about to change first, and
//! handed to the keeper of the process, which writes it. The manifest comes last, when all parts are durable; then sinks
//! commit. So nothing that is in flight has to be stored, and no operator sees a record of the next epoch before it has
//! marked its state.
//!
//! # Taking part
//! Every operator that is built in a run with checkpoints must say what it keeps between batches, or the job is refused
//! with the operator's name:
//!
//! - [`OperatorBuilder::keep_nothing`](crate::operator::OperatorBuilder::keep_nothing): nothing, and it has no effect
//!   outside that a checkpoint would have to wait for.
//! - [`OperatorBuilder::part`](crate::operator::OperatorBuilder::part), after all inputs were added: a [`Part`], for a
//!   state that is a [`Snapshot`]. Without checkpoints a part does nothing, at the cost of one branch per activation.
//!
//! In each activation the operator calls, in this order:
//!
//! 1. [`Part::begin`]: in the first one it restores the state. Nothing may be read or sent before.
//! 2. reads its inputs, and sends what comes of that.
//! 3. [`Part::step`] with its frontiers. When the frontier has left an epoch this calls [`Snapshot::mark`]: the state must
//!    then be that of all input of the epoch, and all that was sent because of it must have been sent *in* the epoch. So a
//!    promise moves on to the next epoch after the step and never before, and what has effect at the frontier itself
//!    (windows, rounds) is either sent with the old promise before the step, or with the new one after it.
//! 4. answers the ends of inputs. An operator with several of them calls [`Part::note_end`] for each as it answers it; an
//!    end for which [`Part::had_ended`] is true was answered in an earlier run, and must not be answered again.
//! 5. when all ends are answered, [`Part::end`]: the operator has no further state, but what [`Snapshot::end`] writes.
//!
//! An operator that goes on by itself when its input has ended leaves its epoch as a source does: it is made with
//! [`OperatorBuilder::source_part_unless`](crate::operator::OperatorBuilder::source_part_unless), asks
//! [`Part::next_epoch`] and begins nothing new before [`Part::is_open`]. What can not be cut in two takes a
//! [`CheckpointHold`]: no checkpoint is begun before it is dropped.
//!
//! A loop that drains needs nothing else: when an operator's frontier leaves the epoch, nothing of it goes round any more.
//! What an operator keeps for a round only is gone then. A bounded iteration drains too: it leaves the epoch with one of its
//! rounds, and its feedback edges keep what is to go round in the next ([`CheckpointWatch`]).
//!
//! [`Snapshot::mark`] must not take long: it puts aside what is large and writes it in [`Snapshot::sweep`], which is called
//! once per activation until it says that there is no more; what changes meanwhile is written first, as it was. What is
//! small is written at once. [`Written`] has places for state by key group, of one worker, of all alike, for all to know,
//! and for what does not change any more; [`Saved`] gives it back in a later run, on any number of workers.
//!
//! An operator is found again by its uid; else by its name and its number among those of that name. Functions of users
//! have `snapshot` and `restore`; those that say [`ForRound::Same`](crate::ForRound::Same) need neither.

mod config;
mod coordinator;
mod keeper;
mod migration;
mod participant;
mod progress;
mod shared;
mod snapshot;
mod state;
mod store;
mod touched;
mod word;

pub use config::{CheckpointConfig, OnMissingCheckpoint};
pub(crate) use keeper::{Inbox, JobNames, KeeperThread, Membership, Message};
pub use participant::{Part, Saved};
pub use progress::{CheckpointCounts, CheckpointState};
pub(crate) use shared::Checkpoints;
pub use shared::{CheckpointHold, CheckpointWatch};
pub use snapshot::{Snapshot, Written};
pub use state::{Entries, State, StateReader, StateWriter};
pub use store::{
    CHUNK, Checkpoint, CheckpointMeta, CheckpointStore, FaultyStorage, Garbage, GarbageScope, Listing,
    Newest, ObjectInfo, PartInfo, PartRef, PartWriter, Section, SectionKey, SectionSummary, SectionTable,
    Sections, Storage, StorageError, StorageFault, Trouble, Upload,
};
pub use touched::Touched;
pub(crate) use word::Word;
