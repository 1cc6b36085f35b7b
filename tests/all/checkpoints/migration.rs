//! State that an earlier version of a program has left is taken over, as the new one keeps it.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use waterwheel::prelude::*;

use super::fixture::{STOPPED, config, fail_after_a_checkpoint};

const KEYS: u64 = 7;

/// What the first version keeps of a key.
#[derive(Clone, Default, Serialize, Deserialize)]
struct First {
    n: u64,
}

/// What later versions keep: one that has grown, and one that is something else.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Grown {
    n: u64,
    #[serde(default)]
    names: Vec<String>,
}

type Other = (String, u64);

fn checkpoints(dir: &Path) -> CheckpointConfig {
    CheckpointConfig::new(dir.display().to_string())
}

/// Counts numbers by key for ever; `check` sees each number with the new state of its key.
fn count<S: State + Clone + Send + Serialize>(
    config: RuntimeConfig,
    add: impl Fn(&mut S) + Clone + Send + Sync + 'static,
    check: impl FnMut((u64, S)) -> Result<()> + Clone + Send + Sync + 'static,
) -> Error
where
    (u64, S): Record,
{
    let run = execute(config, move |env| {
        let add = add.clone();
        let numbers = env.from_iter(0u64..).uid("numbers").key_by(|x| x % KEYS);
        let states = numbers.process(move |_key, state: &mut S, x, out| {
            add(state);
            out.emit((x, state.clone()));
        });
        states.uid("counts").sink(check.clone());
        Ok(())
    });
    run.unwrap_err()
}

/// Runs the first version until there is a checkpoint of it.
fn first_version(dir: &Path) {
    let watched = dir.to_path_buf();
    let run = execute(config(dir, 2), move |env| {
        let numbers = env.from_iter(0u64..).uid("numbers").key_by(|x| x % KEYS);
        let counts = numbers.process(|_key, state: &mut First, _x, out| {
            state.n += 1;
            out.emit(state.n);
        });
        counts.uid("counts").sink(fail_after_a_checkpoint(&watched));
        Ok(())
    });
    assert_eq!(run.unwrap_err().message(), STOPPED);
}

/// Whether a count is that of all numbers up to `x`, for a while.
fn is_exact(x: u64, n: u64, seen: &mut u64) -> Result<()> {
    *seen += 1;
    match (n == x / KEYS + 1, *seen) {
        (false, _) => Err(Error::operator(format!("{x} has count {n}"))),
        (true, 10_000..) => Err(Error::operator(STOPPED)),
        _ => Ok(()),
    }
}

#[test]
fn fields_that_were_added_with_a_default_need_no_migration() {
    let dir = tempfile::tempdir().unwrap();
    first_version(dir.path());
    let mut seen = 0;
    let error = count(
        config(dir.path(), 1),
        |state: &mut Grown| state.n += 1,
        move |(x, state)| match state.names.len() {
            0 => is_exact(x, state.n, &mut seen),
            n => Err(Error::operator(format!("there are {n} names"))),
        },
    );
    assert_eq!(error.message(), STOPPED);
}

#[test]
fn migrations_follow_each_other_and_are_done_once() {
    let dir = tempfile::tempdir().unwrap();
    first_version(dir.path());
    // Twice: the second time, the checkpoint has the new state already.
    for workers in [1, 2] {
        let checkpoints = checkpoints(dir.path())
            .interval(Duration::from_millis(1))
            .state_version(2)
            .migrate_states("counts", 2, |key: &u64, n: u64| Ok((format!("key {key}"), n)))
            .migrate_states("counts", 1, |_key: &u64, first: First| Ok(first.n));
        let config = RuntimeConfig::threads(workers).job_name("job").checkpoints(checkpoints);
        let mut seen = 0;
        let run = count(
            config,
            |state: &mut Other| state.1 += 1,
            move |(x, (name, n))| match name == format!("key {}", x % KEYS) {
                true => is_exact(x, n, &mut seen),
                false => Err(Error::operator(format!("{x} has the name {name}"))),
            },
        );
        assert_eq!(run.message(), STOPPED);
    }
}

#[test]
fn migration_to_a_version_that_the_program_does_not_have_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints =
        checkpoints(dir.path()).migrate_states("counts", 1, |_key: &u64, first: First| Ok(first.n));
    let config = RuntimeConfig::threads(1).job_name("job").checkpoints(checkpoints);
    let error = count(config, |state: &mut First| state.n += 1, |_| Ok(()));
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(
        error.message().starts_with("state version of the program: found 0, expected 1 or more"),
        "{error}"
    );
}

/// Sums in windows of a second, for ever; what `check` makes sees each sum with the start of its window and its key.
fn sum_windows<N, C>(
    config: RuntimeConfig,
    number: fn(&u64) -> N,
    check: impl Fn() -> C + Send + Sync + 'static,
) -> Error
where
    C: FnMut((i64, u64, N)) -> Result<()> + 'static,
    N: Default + Clone + std::ops::AddAssign + Serialize + serde::de::DeserializeOwned + Send + 'static,
    (i64, u64, N): Record,
{
    let run = execute(config, move |env| {
        let in_order = WatermarkStrategy::monotonous(|x: &u64| *x as i64);
        let numbers = env.from_iter(0u64..).uid("numbers").assign_timestamps_and_watermarks(in_order);
        let windows = numbers.key_by(|x| x % KEYS).window(Windows::tumbling(Duration::from_secs(1))?);
        let sums = windows.sum(number).results.uid("sums").into_stream();
        sums.map(|sum| (sum.window.start, sum.key, sum.value)).sink(check());
        Ok(())
    });
    run.unwrap_err()
}

fn sum_of(start: i64, key: u64) -> u64 {
    let start = start as u64;
    (start..start + 1000).filter(|x| x % KEYS == key).sum()
}

/// Half of the window that is open is summed as whole numbers, the other half as floating ones.
#[test]
fn accumulators_of_open_windows_are_migrated() {
    let dir = tempfile::tempdir().unwrap();
    let watched = dir.path().to_path_buf();
    let error = sum_windows(
        config(dir.path(), 1),
        |x| *x,
        move || {
            let (mut seen, mut fail) = (0, fail_after_a_checkpoint(&watched));
            move |_sum| {
                seen += 1000;
                fail(seen)
            }
        },
    );
    assert_eq!(error.message(), STOPPED);

    let migrated = checkpoints(dir.path()).state_version(1).migrate_windows(
        "sums",
        1,
        |_key: &u64, _window, sum: u64| Ok(sum as f64),
    );
    let config = RuntimeConfig::threads(1).job_name("job").checkpoints(migrated);
    let error = sum_windows(
        config,
        |x| *x as f64,
        || {
            let mut seen = 0;
            move |(start, key, sum)| {
                seen += 1;
                match (sum == sum_of(start, key) as f64, seen) {
                    (false, _) => Err(Error::operator(format!("window {start} of {key} has sum {sum}"))),
                    (true, 1_000..) => Err(Error::operator(STOPPED)),
                    _ => Ok(()),
                }
            }
        },
    );
    assert_eq!(error.message(), STOPPED);
}
