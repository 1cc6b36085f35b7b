//! Checkpoints: what a job needs to go on after its processes were killed.

mod store;

pub use store::{
    CHUNK, Checkpoint, CheckpointMeta, CheckpointStore, FaultyStorage, Garbage, GarbageScope, Listing,
    Newest, ObjectInfo, PartInfo, PartRef, PartWriter, Section, SectionKey, SectionSummary, SectionTable,
    Sections, Storage, StorageError, StorageFault, Trouble, Upload,
};
