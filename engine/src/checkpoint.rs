//! Checkpoints: what a job needs to go on after its processes were killed.

mod store;

pub use store::{
    CHUNK, Checkpoint, CheckpointMeta, CheckpointStore, Listing, Newest, ObjectInfo, PartInfo, PartRef,
    PartWriter, Section, SectionKey, SectionTable, Sections, Storage, StorageError, Trouble, Upload,
};
