//! The store from outside: what was put comes back, whatever happens to files, disks and attempts.

mod commit;
mod damage;
mod faults;
mod format;
mod incremental;
mod model;
mod retention;

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::*;

/// A store in a directory that cleans up after itself.
struct Fixture {
    directory: TempDir,
    store: CheckpointStore,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path());
        Fixture { directory, store }
    }

    /// All files, with their paths below the directory.
    fn files(&self) -> Vec<PathBuf> {
        files_below(self.directory.path())
    }
}

fn open(directory: &Path) -> CheckpointStore {
    CheckpointStore::open(directory.to_str().unwrap(), "job").unwrap()
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

fn state() -> SectionKey {
    SectionKey::new("count", "state")
}

fn position() -> SectionKey {
    SectionKey::new("lines", "position")
}

fn meta(attempt: u64) -> CheckpointMeta {
    CheckpointMeta {
        attempt,
        program: "1.2.0".into(),
        fingerprint: 0xfeed_0000_0000_0001,
        ..Default::default()
    }
}

/// What a worker has in a group at an epoch, in [`write_two`].
fn content(epoch: u64, worker: u32, group: u32) -> Vec<u8> {
    format!("epoch {epoch} worker {worker} group {group} ").repeat(3).into_bytes()
}

/// The parts of two workers: two groups each, and a position.
fn write_two(store: &CheckpointStore, attempt: u64, epoch: u64) -> Result<Vec<PartInfo>> {
    let part = |worker: u32| {
        let mut part = store.writer(attempt, epoch, worker);
        for group in [0, 63].map(|group| group + 64 * worker) {
            part.put(&state(), Some(group), &content(epoch, worker, group))?;
        }
        part.put(&position(), None, &(1000 * epoch + u64::from(worker)).to_le_bytes())?;
        Ok(part.finish()?.0)
    };
    (0..2).map(part).collect()
}

/// Writes and commits a checkpoint of two workers.
fn commit_two(store: &CheckpointStore, attempt: u64, epoch: u64) -> Result<()> {
    store.commit(epoch, &write_two(store, attempt, epoch)?, meta(attempt))
}

/// Checks that a checkpoint holds what [`commit_two`] has put in.
#[track_caller]
fn assert_two(checkpoint: &Checkpoint, epoch: u64) {
    assert_eq!(checkpoint.epoch(), epoch);
    let sections: Vec<_> = checkpoint.read(&state(), 0..128).map(Result::unwrap).collect();
    let expected = [(0, 0), (0, 63), (1, 64), (1, 127)].map(|(worker, group)| Section {
        worker,
        key_group: Some(group),
        bytes: content(epoch, worker, group),
    });
    assert_eq!(sections, expected);
    let positions: Vec<_> =
        checkpoint.read_ungrouped(&position()).map(|section| section.unwrap().bytes).collect();
    assert_eq!(positions, [1000 * epoch, 1000 * epoch + 1].map(|at| at.to_le_bytes().to_vec()));
}

/// The checkpoint that a restart would take, and the epochs that are damaged in front of it.
#[track_caller]
fn found(store: &CheckpointStore) -> (Checkpoint, Vec<Error>) {
    match store.newest().unwrap() {
        Newest::Found { checkpoint, passed_over } => (checkpoint, passed_over),
        other => panic!("{other:?}"),
    }
}
