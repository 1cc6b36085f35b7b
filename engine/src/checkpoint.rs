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

mod config;
mod coordinator;
mod keeper;
mod participant;
mod shared;
mod state;
mod store;
mod word;

pub use config::{CheckpointConfig, OnMissingCheckpoint};
pub(crate) use keeper::{Inbox, JobNames, KeeperThread, Membership, Message};
pub use participant::{Part, Saved, Snapshot, Written};
pub(crate) use shared::Checkpoints;
pub use state::{Entries, State, StateReader, StateWriter};
pub use store::{
    CHUNK, Checkpoint, CheckpointMeta, CheckpointStore, FaultyStorage, Garbage, GarbageScope, Listing,
    Newest, ObjectInfo, PartInfo, PartRef, PartWriter, Section, SectionKey, SectionSummary, SectionTable,
    Sections, Storage, StorageError, StorageFault, Trouble, Upload,
};
pub(crate) use word::Word;
