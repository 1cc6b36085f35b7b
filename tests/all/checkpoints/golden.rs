//! A job goes on from checkpoints that an earlier version has written: whole ones, and what was added to them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use waterwheel::engine::checkpoint::CheckpointStore;
use waterwheel::prelude::*;
use waterwheel::ps::{Sum, transform};

use super::fixture::BURNT;
use super::numbers::Numbers;

const KEYS: u64 = 2_000;
/// How many of the keys go on being counted.
const FEW: u64 = 20;
/// Numbers that were read one by one before the checkpoints of version 1 were left.
const LEFT_AFTER: u64 = 5;
const END: u64 = KEYS + 500;

/// Each key once, and then a few of them again and again.
fn key_of(x: u64) -> u64 {
    if x < KEYS { x } else { x % FEW }
}

/// Windows of the event time that is the number itself.
const WINDOW_MS: u64 = 700;

/// Adds each number to the row of its key.
struct AddNumber;

impl WorkerLogic for AddNumber {
    type In = u64;
    type Key = u64;
    type Pull = u64;
    type Push = u64;
    type Out = ();

    fn on_recv(&mut self, x: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.push(key_of(x), [x])
    }

    fn on_pull_recv(&mut self, _: &u64, _: &[u64], _: &mut ParameterServerClient<Self>) -> Result<()> {
        Ok(())
    }
}

/// What was computed, key or window, and number.
type Row = (String, u64, u64);

/// Counts by key, sums on a parameter server, counts in windows.
fn job(dir: &Path, workers: usize, left: Option<u64>) -> Result<Vec<Row>> {
    let state = CheckpointState::new();
    let checkpoints = CheckpointConfig::new(dir.display().to_string()).interval(Duration::from_millis(5));
    let checkpoints = checkpoints.retain(2).state(state.clone());
    let config = RuntimeConfig::threads(workers).job_name("job").checkpoints(checkpoints);
    let rows = execute(config, move |env| {
        let state = state.clone();
        let open = move |_| Ok(Numbers::new((KEYS, END), state.clone(), left));
        let numbers = env.source("numbers", 1, open).uid("numbers");
        let counts = numbers.clone().key_by(|x| key_of(*x)).at_end().count().uid("counts");
        let counts = counts.map(|(key, n)| ("count".to_string(), key, n));

        let server =
            SimpleServer::with_update(|_: &u64, row: &mut Vec<u64>| row.push(0), Sum).emit(Emit::AtClose);
        let sums = transform(numbers.clone(), AddNumber, server, &PsConfig::new().width(1))?.model;
        let sums = sums.map(|(key, row)| ("sum".to_string(), key, row[0]));

        let time = WatermarkStrategy::monotonous(|x: &u64| *x as i64);
        let windows = Windows::tumbling(Duration::from_millis(WINDOW_MS))?;
        let timed = numbers.assign_timestamps_and_watermarks(time).uid("times");
        let counted = timed.key_by(|_| ()).window(windows).count().results.uid("windows");
        let counted = counted.map(|n| ("window".to_string(), n.window.start as u64, n.value)).into_stream();
        Ok(counts.union(sums).union(counted).collect().uid("results"))
    })?;
    let mut rows = rows.concat();
    rows.sort();
    Ok(rows)
}

/// The same by hand.
fn expected() -> Vec<Row> {
    let mut rows = std::collections::BTreeMap::<(String, u64), u64>::new();
    for x in 0..END {
        *rows.entry(("count".into(), key_of(x))).or_default() += 1;
        *rows.entry(("sum".into(), key_of(x))).or_default() += x;
        *rows.entry(("window".into(), x - x % WINDOW_MS)).or_default() += 1;
    }
    rows.into_iter().map(|((what, key), n)| (what, key, n)).collect()
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/all/checkpoints/golden-v1")
}

/// Copies the files of a directory and of those in it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in from.read_dir().unwrap().map(Result::unwrap) {
        let (path, to) = (file.path(), to.join(file.file_name()));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            std::fs::copy(path, to).unwrap();
        }
    }
}

/// Leaves checkpoints in `dir`, of which the newest refers to earlier ones.
fn write(dir: &Path) {
    let failed = job(dir, 2, Some(LEFT_AFTER)).unwrap_err();
    assert!(failed.full_message().contains(BURNT), "{failed}");
}

/// The newest checkpoint, and how many others it refers to.
fn newest(dir: &Path) -> (u64, usize) {
    let store = CheckpointStore::open(&dir.display().to_string(), "job").unwrap();
    let newest = store.epochs().unwrap().into_iter().max().unwrap();
    (newest, store.verify(newest).unwrap().refers_to().len())
}

/// To write new ones, set `WATERWHEEL_WRITE_GOLDEN` to a directory, and give the format a new version.
#[test]
fn job_goes_on_from_a_golden_chain_of_version_1_on_any_number_of_workers() {
    if let Some(dir) = std::env::var_os("WATERWHEEL_WRITE_GOLDEN") {
        write(Path::new(&dir));
    }
    let expected = expected();
    for workers in [1, 2, 4] {
        let dir = tempfile::tempdir().unwrap();
        copy(&golden(), dir.path());
        let (before, refers_to) = newest(dir.path());
        assert!(refers_to > 0, "the golden checkpoint {before} is whole");
        assert!(job(dir.path(), workers, None).unwrap() == expected, "{workers} workers");
        assert!(newest(dir.path()).0 > before, "{workers} workers have made no checkpoint");
    }
}

#[test]
fn chain_that_is_written_today_is_gone_on_from_as_the_golden_one() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path());
    assert!(newest(dir.path()).1 > 0);
    assert!(job(dir.path(), 3, None).unwrap() == expected());
}
