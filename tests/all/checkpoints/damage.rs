//! Each byte of a job's checkpoints is flipped in turn, and each file cut to each length: the job goes on from the checkpoint
//! before, with the result of an undisturbed run, or refuses and names what is damaged.

use std::sync::Arc;
use std::time::Duration;

use waterwheel::engine::checkpoint::{CheckpointStore, Storage};
use waterwheel::prelude::*;

use super::fixture::STOPPED;

/// Numbers, where a run stops: when so many checkpoints have been made at certain ones.
struct Numbers {
    next: u64,
    /// Counts the checkpoints of the run that stops.
    state: Option<CheckpointState>,
}

const END: u64 = 90;

impl Source for Numbers {
    type Item = u64;

    fn read(&mut self, _limit: usize, out: &mut Vec<u64>) -> Result<SourceStatus> {
        let completed = self.state.as_ref().map(|state| state.counts().completed);
        match (completed, self.next) {
            // There is a checkpoint of 30 numbers at most, and then one of more.
            (Some(0), 30) | (Some(..3), 60) => return Ok(SourceStatus::Idle(Duration::from_millis(1))),
            (Some(_), 60) => return Err(Error::operator(STOPPED)),
            (_, END) => return Ok(SourceStatus::Done),
            _ => {}
        }
        out.push(self.next);
        self.next += 1;
        Ok(SourceStatus::Ready)
    }

    fn position(&self) -> Result<Option<SourcePosition>> {
        SourcePosition::new(&self.next).map(Some)
    }

    fn seek(&mut self, position: &SourcePosition) -> Result<()> {
        self.next = position.get()?;
        Ok(())
    }
}

/// Sums by key, and the numbers themselves; stops half way where `state` counts the checkpoints.
fn sums(storage: Arc<dyn Storage>, state: Option<CheckpointState>) -> Result<(Vec<(u64, u64)>, Vec<u64>)> {
    let checkpoints = CheckpointConfig::on(storage).interval(Duration::from_millis(match state {
        Some(_) => 1,
        None => 3_600_000,
    }));
    let checkpoints = checkpoints.state(state.clone().unwrap_or_default());
    let results = execute(RuntimeConfig::threads(2).job_name("job").checkpoints(checkpoints), move |env| {
        let state = state.clone();
        let open = move |_split| Ok(Numbers { next: 0, state: state.clone() });
        let numbers = env.source("numbers", 1, open).uid("numbers");
        let sums = numbers.clone().key_by(|x| x % 5).at_end().fold(0, |sum, x| sum + x).uid("sums");
        Ok((sums.collect().uid("all sums"), numbers.collect().uid("all numbers")))
    })?;
    let (sums, numbers): (Vec<_>, Vec<_>) = results.into_iter().unzip();
    let (mut sums, mut numbers) = (sums.concat(), numbers.concat());
    sums.sort_unstable();
    numbers.sort_unstable();
    Ok((sums, numbers))
}

fn expected() -> (Vec<(u64, u64)>, Vec<u64>) {
    let sum = |key: u64| (0..END).filter(|x| x % 5 == key).sum();
    ((0..5).map(|key| (key, sum(key))).collect(), (0..END).collect())
}

type Object = (String, Vec<u8>);

fn memory() -> Arc<dyn Storage> {
    CheckpointStore::in_memory("job").unwrap().shared_storage()
}

fn objects(storage: &dyn Storage, directory: &str, found: &mut Vec<Object>) {
    let listing = storage.list(directory).unwrap();
    let below = |name: &str| format!("{directory}/{name}");
    listing.directories.iter().for_each(|name| objects(storage, &below(name), found));
    for object in listing.objects {
        let bytes = match object.length {
            0 => Vec::new(),
            length => storage.read(&below(&object.name), 0..length).unwrap(),
        };
        found.push((below(&object.name), bytes));
    }
}

/// What a run leaves that stops half way.
fn left_by_a_failed_run() -> Vec<Object> {
    let storage = memory();
    let error = sums(Arc::clone(&storage), Some(CheckpointState::new())).unwrap_err();
    assert_eq!(error.message(), STOPPED);
    let mut left = Vec::new();
    objects(&*storage, "job", &mut left);
    left
}

/// Those of the objects that belong to one of the two newest checkpoints: 0 is the newest.
fn of_checkpoint(objects: &[Object], nth: usize) -> Vec<usize> {
    let manifests =
        objects.iter().filter_map(|(name, _)| name.strip_prefix("job/manifests/")?.strip_suffix(".json"));
    let mut epochs: Vec<&str> = manifests.collect();
    epochs.sort_unstable();
    let epoch = format!("/{}", epochs[epochs.len() - 1 - nth]);
    (0..objects.len()).filter(|at| objects[*at].0.contains(&epoch)).collect()
}

/// Runs the job to its end on these objects.
fn recover(objects: &[Object]) -> Result<(Vec<(u64, u64)>, Vec<u64>)> {
    let storage = memory();
    objects.iter().for_each(|(name, bytes)| storage.create(name, bytes.clone()).unwrap());
    sums(storage, None)
}

/// Each byte of the bytes of an object flipped, and each length that it can be cut to.
fn damaged(good: &[u8]) -> impl Iterator<Item = (String, Vec<u8>)> {
    let flipped = (0..good.len()).map(|at| {
        let mut bad = good.to_vec();
        bad[at] ^= 1 << (at % 8);
        (format!("byte {at} flipped"), bad)
    });
    flipped.chain((0..good.len()).map(|len| (format!("cut to {len} bytes"), good[..len].to_vec())))
}

#[test]
fn job_goes_on_from_the_checkpoint_before_one_with_any_flipped_byte_or_cut_at_any_length() {
    let mut objects = left_by_a_failed_run();
    assert_eq!(recover(&objects).unwrap(), expected());
    let newest = of_checkpoint(&objects, 0);
    assert_eq!(newest.len(), 3, "a manifest and the parts of two workers: {objects:?}");
    for at in newest {
        let good = objects[at].1.clone();
        for (what, bad) in damaged(&good) {
            objects[at].1 = bad;
            assert_eq!(recover(&objects).unwrap(), expected(), "{}: {what}", objects[at].0);
        }
        objects[at].1 = good;
    }
}

#[test]
fn job_whose_checkpoints_are_all_damaged_refuses_and_names_them() {
    let mut objects = left_by_a_failed_run();
    let (newest, older) = (of_checkpoint(&objects, 0), of_checkpoint(&objects, 1));
    let stays: Vec<_> =
        (0..objects.len()).filter(|at| !objects[*at].0.contains(".json") || newest.contains(at)).collect();
    objects = stays.iter().map(|at| objects[*at].clone()).collect();
    assert!(!older.is_empty());
    for at in of_checkpoint(&objects, 0) {
        let good = objects[at].1.clone();
        for (what, bad) in damaged(&good).step_by(7) {
            objects[at].1 = bad;
            let error = recover(&objects).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Data, "{what}: {error}");
            let name = objects[at].0.rsplit('/').next().unwrap();
            assert!(error.full_message().contains(name), "{what}: {}", error.full_message());
        }
        objects[at].1 = good;
    }
}
