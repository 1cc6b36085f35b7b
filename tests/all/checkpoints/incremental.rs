//! Checkpoints that hold only what has changed since the one before, and refer to that for the rest.

use std::path::Path;
use std::time::Duration;

use waterwheel::engine::checkpoint::{Checkpoint, CheckpointStore};
use waterwheel::prelude::*;

use super::fixture::BURNT;

const KEYS: u64 = 40_000;
/// How many of the keys go on being counted.
const FEW: u64 = 40;

/// Each key once, and then a few of them again and again.
fn key_of(x: u64) -> u64 {
    if x < KEYS { x } else { x % FEW }
}

/// Numbers, of which one comes with each checkpoint, until it fails behind so many.
struct Numbers {
    next: u64,
    end: u64,
    state: CheckpointState,
    /// Checkpoints that had been made when the last number came.
    completed: Option<u64>,
    /// Numbers that are still to come one by one.
    left: Option<u64>,
}

impl Source for Numbers {
    type Item = u64;

    fn read(&mut self, _limit: usize, out: &mut Vec<u64>) -> Result<SourceStatus> {
        if self.next < KEYS {
            out.extend(self.next..KEYS);
            self.next = KEYS;
            return Ok(SourceStatus::Ready);
        }
        if self.next >= self.end {
            return Ok(SourceStatus::Done);
        }
        if let Some(left) = &mut self.left {
            let completed = Some(self.state.counts().completed);
            if std::mem::replace(&mut self.completed, completed) == completed {
                return Ok(SourceStatus::Idle(Duration::from_millis(1)));
            }
            *left = left.checked_sub(1).ok_or_else(|| Error::operator(BURNT))?;
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

/// Counts by key up to the number `end`; or fails some checkpoints after each key was counted.
fn count(dir: &Path, workers: usize, end: u64, fails_after: Option<u64>) -> Result<Vec<(u64, u64)>> {
    let state = CheckpointState::new();
    let checkpoints = CheckpointConfig::new(dir.display().to_string()).interval(Duration::from_millis(5));
    let checkpoints = checkpoints.retain(1_000).state(state.clone());
    let config = RuntimeConfig::threads(workers).job_name("job").checkpoints(checkpoints);
    let counts = execute(config, move |env| {
        let state = state.clone();
        let open =
            move |_| Ok(Numbers { next: 0, end, state: state.clone(), completed: None, left: fails_after });
        let keyed = env.source("numbers", 1, open).uid("numbers").key_by(|x| key_of(*x));
        Ok(keyed.at_end().count().uid("counts").collect().uid("results"))
    })?;
    let mut counts = counts.concat();
    counts.sort_unstable();
    Ok(counts)
}

/// Bytes of the parts of each checkpoint, and how many earlier parts it refers to.
fn sizes(dir: &Path) -> Vec<(u64, usize)> {
    let store = CheckpointStore::open(&dir.display().to_string(), "job").unwrap();
    let checkpoints = store.epochs().unwrap().into_iter().map(|epoch| store.verify(epoch).unwrap());
    let size = |checkpoint: Checkpoint| {
        (checkpoint.parts().iter().map(|part| part.length).sum(), checkpoint.refers_to().len())
    };
    checkpoints.map(size).collect()
}

#[test]
fn checkpoints_hold_what_has_changed_and_now_and_then_all() {
    let dir = tempfile::tempdir().unwrap();
    for (workers, fails_after) in [(2, 30), (3, 4), (1, 4)] {
        assert_eq!(count(dir.path(), workers, u64::MAX, Some(fails_after)).unwrap_err().message(), BURNT);
    }
    let sizes = sizes(dir.path());
    let largest = sizes.iter().map(|(bytes, _)| *bytes).max().unwrap();
    let is_small = |(bytes, refers_to): &(u64, usize)| *bytes < largest / 8 && *refers_to > 0;
    let (small, large) = (sizes.iter().filter(|size| is_small(size)).count(), sizes.len());
    let large = large - small;
    assert!(small > 20, "{small} small ones and {large} others: {sizes:?}");
    // The first one of each run, and one in eleven.
    assert!((4..20).contains(&large), "{small} small ones and {large} others: {sizes:?}");

    // On from a chain of them, with another number of workers.
    let end = KEYS + 1_000;
    let expected: Vec<_> = {
        let n_of = |key: u64| (0..end).filter(|x| key_of(*x) == key).count() as u64;
        let few: Vec<u64> = (0..FEW).map(n_of).collect();
        (0..KEYS).map(|key| (key, few.get(key as usize).copied().unwrap_or(1))).collect()
    };
    assert!(count(dir.path(), 2, end, None).unwrap() == expected);
}
