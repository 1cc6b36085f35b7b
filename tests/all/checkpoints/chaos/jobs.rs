//! The jobs that are disturbed, each with what it writes when it is not.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use waterwheel::engine::machine;
use waterwheel::ml::Matrix;
use waterwheel::ml::clustering::KMeansModel;
use waterwheel::ml::generate::sm;
use waterwheel::ml::online::OnlineKMeans;
use waterwheel::prelude::*;
use waterwheel::ps::transform;

use super::plan::LASTS;
use super::train;
use crate::checkpoints::files::contents;

/// Records of a job, and how many of them all its splits together give before they pause.
const RECORDS: u64 = 40_000;
const CHUNK: u64 = 400;
const PAUSE: Duration = Duration::from_nanos(LASTS.as_nanos() as u64 * CHUNK / RECORDS);
const SPLITS: usize = 4;
const KEYS: u64 = 1_000;
/// The keys of windows, and their size in milliseconds; there is a record a millisecond.
const WINDOW_KEYS: u64 = 50;
const WINDOW: u64 = 1_000;

/// A job by its name.
pub(super) struct Job {
    pub(super) name: &'static str,
    pub(super) run: fn(RuntimeConfig, &Path) -> Result<()>,
    /// All lines that it writes, sorted.
    pub(super) expected: fn() -> Vec<String>,
}

const JOBS: [Job; 6] = [
    Job { name: "count", run: count, expected: || counted(0..RECORDS) },
    Job { name: "windows", run: windows, expected: expected_windows },
    Job { name: "loop", run: halve, expected: || counted((1..RECORDS).flat_map(laps)) },
    Job { name: "ps", run: add_up, expected: expected_sums },
    Job { name: "train", run: train::train, expected: train::expected },
    Job { name: "learner", run: learn, expected: expected_models },
];

pub(super) fn job_of(name: &str) -> Job {
    JOBS.into_iter().find(|job| job.name == name).unwrap()
}

/// Numbers with a pause now and then, so that the job lasts at least [`LASTS`].
struct Paced {
    next: u64,
    n_splits: usize,
    /// When it has given its last numbers: it may be asked for more before the pause is over.
    since: Option<Instant>,
}

impl Paced {
    fn new(next: usize, n_splits: usize) -> Self {
        Paced { next: next as u64, n_splits, since: None }
    }
}

impl Source for Paced {
    type Item = u64;

    fn read(&mut self, limit: usize, out: &mut Vec<u64>) -> Result<SourceStatus> {
        if let Some(left) = self.since.and_then(|since| PAUSE.checked_sub(since.elapsed())) {
            return Ok(SourceStatus::Idle(left));
        }
        self.since = Some(machine::now());
        let step = self.n_splits as u64;
        let end = RECORDS.min(self.next + step * (CHUNK / step).min(limit as u64));
        out.extend((self.next..end).step_by(self.n_splits));
        self.next += (end - self.next).div_ceil(step) * step;
        Ok(if end == RECORDS { SourceStatus::Done } else { SourceStatus::Idle(PAUSE) })
    }

    fn position(&self) -> Result<Option<SourcePosition>> {
        SourcePosition::new(&self.next).map(Some)
    }

    fn seek(&mut self, position: &SourcePosition) -> Result<()> {
        self.next = position.get()?;
        Ok(())
    }
}

fn open(split: usize) -> Result<Paced> {
    Ok(Paced::new(split, SPLITS))
}

/// Counts by key, each result to a file.
fn count(config: RuntimeConfig, files: &Path) -> Result<()> {
    let files = files.to_path_buf();
    execute(config, move |env| {
        let numbers = env.source("numbers", SPLITS, open).uid("numbers");
        let counts = numbers.key_by(|x| x % KEYS).count().uid("counts");
        counts.write_files(&files, ".txt", |(key, n), file| writeln!(file, "{key} {n}"));
        Ok(())
    })
    .map(drop)
}

/// Counts by key and window of event time, each window's result to a file.
fn windows(config: RuntimeConfig, files: &Path) -> Result<()> {
    let files = files.to_path_buf();
    execute(config, move |env| {
        let in_order = WatermarkStrategy::monotonous(|x| *x as i64);
        let numbers = env.source_with_watermarks("numbers", SPLITS, open, in_order).uid("numbers");
        let windows =
            numbers.key_by(|x| x % WINDOW_KEYS).window(Windows::tumbling(Duration::from_millis(WINDOW))?);
        let counts = windows.count().results.uid("counts").into_stream();
        counts.write_files(&files, ".txt", |count, file| {
            writeln!(file, "{} {} {}", count.window.start, count.key, count.value)
        });
        Ok(())
    })
    .map(drop)
}

fn expected_windows() -> Vec<String> {
    let mut n_of = BTreeMap::new();
    for x in 0..RECORDS {
        *n_of.entry((x / WINDOW * WINDOW, x % WINDOW_KEYS)).or_insert(0u64) += 1;
    }
    let mut lines: Vec<String> =
        n_of.into_iter().map(|((start, key), n)| format!("{start} {key} {n}")).collect();
    lines.sort();
    lines
}

/// Halves numbers in a loop until they are odd, and counts what it passes, each result to a file.
fn halve(config: RuntimeConfig, files: &Path) -> Result<()> {
    let files = files.to_path_buf();
    execute(config, move |env| {
        let start = env.source("numbers", SPLITS, open).uid("numbers").filter(|x| *x > 0);
        let (counted,) = Iterations::iterate_unbounded((start,), (), |_it, (x,), ()| {
            let counted = x.key_by(|x| x % KEYS).process(|key, n: &mut u64, x, out| {
                *n += 1;
                out.emit((x, *key, *n));
            });
            let counted = counted.uid("laps");
            let even = counted.clone().map(|(x, ..)| x).filter(|x| x % 2 == 0).map(|x| x / 2);
            IterationBodyResult::new((even,), (counted.map(|(_x, key, n)| (key, n)),))
        });
        counted.write_files(&files, ".txt", |(key, n), file| writeln!(file, "{key} {n}"));
        Ok(())
    })
    .map(drop)
}

/// Adds up numbers by key at a parameter server, each new sum to a file.
fn add_up(config: RuntimeConfig, files: &Path) -> Result<()> {
    let files = files.to_path_buf();
    execute(config, move |env| {
        let numbers = env.source("numbers", SPLITS, open).uid("numbers");
        let server = SimpleServer::new(
            |_key: &u64, row: &mut Vec<u64>| row.extend([0, 0]),
            |row: &mut [u64], delta: &[u64]| row.iter_mut().zip(delta).for_each(|(a, b)| *a += b),
        );
        let ps = PsConfig::new().width(2).credit(64);
        let trained = transform(numbers, AddOne, server.emit(Emit::EveryPush), &ps)?;
        trained
            .model
            .write_files(&files, ".txt", |(key, row), file| writeln!(file, "{key} {} {}", row[0], row[1]));
        Ok(())
    })
    .map(drop)
}

/// Pulls the sum of a number's key, and adds the key and one to it.
struct AddOne;

impl WorkerLogic for AddOne {
    type In = u64;
    type Key = u64;
    type Pull = u64;
    type Push = u64;
    type Out = ();

    fn on_recv(&mut self, x: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.pull(x % KEYS)
    }

    fn on_pull_recv(&mut self, key: &u64, _row: &[u64], ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.push(*key, [*key, 1])
    }
}

fn expected_sums() -> Vec<String> {
    let of_key = |key| (1..=RECORDS / KEYS).map(move |n| format!("{key} {} {n}", key * n));
    let mut lines: Vec<String> = (0..KEYS).flat_map(of_key).collect();
    lines.sort();
    lines
}

/// Whole numbers, whose sums do not depend on the order: so a model does not on the layout.
fn point(x: u64) -> Result<Matrix> {
    let coordinate = |i| (sm(7, 2 * x + i) % 1000) as f64;
    Matrix::new(2, vec![coordinate(0), coordinate(1)])
}

/// Learns clusters online, each model to a file.
fn learn(config: RuntimeConfig, files: &Path) -> Result<()> {
    let files = files.to_path_buf();
    execute(config, move |env| {
        let in_order = |_split| Ok(Paced::new(0, 1));
        let points = env.source("numbers", 1, in_order).uid("numbers").try_map(point);
        let start = Matrix::new(2, vec![0.0, 0.0, 0.0, 1000.0, 1000.0, 0.0])?;
        let learner = OnlineKMeans::new(KMeansModel::new(start, vec![1.0; 3])?);
        let models = learner.global_batch_size(100).decay_factor(0.5).fit(points)?;
        models.write_files(&files, ".txt", |model, file| {
            writeln!(file, "{:?} {:?}", model.weights(), model.centroids().values())
        });
        Ok(())
    })
    .map(drop)
}

/// What a run gives that nobody disturbs.
fn expected_models() -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    learn(RuntimeConfig::threads(1), dir.path()).unwrap();
    let models = contents(dir.path());
    assert_eq!(models.len() as u64, RECORDS / 100);
    models
}

/// What a number becomes on its way through the loop.
fn laps(x: u64) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(x), |x| (x % 2 == 0).then_some(x / 2))
}

/// How often each key is counted up to each number: once, as many times as the job counts it.
fn counted(numbers: impl Iterator<Item = u64>) -> Vec<String> {
    let mut n_of = BTreeMap::new();
    let mut lines = Vec::new();
    for key in numbers.map(|x| x % KEYS) {
        let n = n_of.entry(key).or_insert(0u64);
        *n += 1;
        lines.push(format!("{key} {n}"));
    }
    lines.sort();
    lines
}
