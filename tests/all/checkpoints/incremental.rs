//! Checkpoints that hold only what has changed since the one before, and refer to that for the rest.

use std::path::Path;
use std::time::Duration;

use waterwheel::engine::checkpoint::{Checkpoint, CheckpointStore};
use waterwheel::prelude::*;
use waterwheel::ps::transform;

use super::fixture::BURNT;
use super::numbers::Numbers;

const KEYS: u64 = 40_000;
/// How many of the keys go on being counted.
const FEW: u64 = 40;

/// Each key once, and then a few of them again and again.
fn key_of(x: u64) -> u64 {
    if x < KEYS { x } else { x % FEW }
}

/// What counts the numbers by key.
#[derive(Clone, Copy)]
enum Counter {
    Keyed,
    /// A parameter server with this placement of keys.
    Server(fn() -> Placement<u64>),
}

impl Counter {
    fn count<'s>(self, numbers: DataStream<'s, u64>) -> Result<DataStream<'s, (u64, u64)>> {
        let placement = match self {
            Counter::Keyed => return Ok(numbers.key_by(|x| key_of(*x)).at_end().count().uid("counts")),
            Counter::Server(placement) => placement(),
        };
        let server = SimpleServer::new(
            |_key: &u64, row: &mut Vec<u64>| row.push(0),
            |row: &mut [u64], delta: &[u64]| row[0] += delta[0],
        );
        let ps = PsConfig::new().width(1).placement(placement);
        let trained = transform(numbers, AddOne, server.emit(Emit::AtClose), &ps)?;
        Ok(trained.model.map(|(key, row)| (key, row[0])))
    }
}

/// Adds one to the count of each number's key.
struct AddOne;

impl WorkerLogic for AddOne {
    type In = u64;
    type Key = u64;
    type Pull = u64;
    type Push = u64;
    type Out = ();

    fn on_recv(&mut self, x: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.push(key_of(x), [1])
    }

    fn on_pull_recv(&mut self, _: &u64, _: &[u64], _: &mut ParameterServerClient<Self>) -> Result<()> {
        Ok(())
    }
}

/// Counts by key up to the number `end`; or fails some checkpoints after each key was counted.
fn count(
    counter: Counter,
    dir: &Path,
    workers: usize,
    end: u64,
    fails_after: Option<u64>,
) -> Result<Vec<(u64, u64)>> {
    let state = CheckpointState::new();
    let checkpoints = CheckpointConfig::new(dir.display().to_string()).interval(Duration::from_millis(5));
    let checkpoints = checkpoints.retain(1_000).state(state.clone());
    let config = RuntimeConfig::threads(workers).job_name("job").checkpoints(checkpoints);
    let counts = execute(config, move |env| {
        let state = state.clone();
        let open = move |_| Ok(Numbers::new((KEYS, end), state.clone(), fails_after));
        let numbers = env.source("numbers", 1, open).uid("numbers");
        Ok(counter.count(numbers)?.collect().uid("results"))
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

fn checkpoints_hold_changes(counter: Counter) {
    let dir = tempfile::tempdir().unwrap();
    for (workers, fails_after) in [(2, 30), (3, 4), (1, 4)] {
        assert_eq!(
            count(counter, dir.path(), workers, u64::MAX, Some(fails_after)).unwrap_err().message(),
            BURNT
        );
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
    assert!(count(counter, dir.path(), 2, end, None).unwrap() == expected);
}

#[test]
fn checkpoints_hold_what_has_changed_and_now_and_then_all() {
    checkpoints_hold_changes(Counter::Keyed);
}

#[test]
fn checkpoints_hold_the_rows_that_have_changed_of_a_parameter_server_and_now_and_then_all() {
    checkpoints_hold_changes(Counter::Server(|| Placement::Hash));
    checkpoints_hold_changes(Counter::Server(|| Placement::Range(KEYS)));
}
