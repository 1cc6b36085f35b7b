//! Jobs that fail now and then until they end.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use waterwheel::ml::generate::sm;
use waterwheel::prelude::*;

/// Fails the run in which it has been asked so often, over all workers of this process.
#[derive(Clone)]
pub(super) struct Fuse(Arc<AtomicI64>);

impl Fuse {
    /// Lets `n` pass.
    pub(super) fn new(n: i64) -> Self {
        Fuse(Arc::new(AtomicI64::new(n)))
    }

    /// Never fails.
    pub(super) fn none() -> Self {
        Fuse::new(-1)
    }

    pub(super) fn burn(&self) -> Result<()> {
        match self.0.fetch_sub(1, Ordering::Relaxed) {
            0 => Err(Error::operator(BURNT)),
            _ => Ok(()),
        }
    }
}

pub(super) const BURNT: &str = "the fuse has burnt";

/// Fails as soon as there is a checkpoint in `dir` of a state with at least a thousand numbers.
pub(super) fn fail_after_a_checkpoint(dir: &Path) -> impl FnMut(u64) -> Result<()> + use<> {
    let manifests = dir.join("job").join("manifests");
    let newest = move || {
        let names = manifests.read_dir().into_iter().flatten().map(|file| file.unwrap().file_name());
        names.filter_map(|name| name.to_str()?.strip_suffix(".json")?.parse::<u64>().ok()).max()
    };
    let mut awaited = None;
    move |n| {
        if n == 0 || n % 1000 > 0 {
            return Ok(());
        }
        // The one behind the newest may have been made before, but not the second one.
        let awaited = *awaited.get_or_insert_with(|| newest().map_or(1, |newest| newest + 2));
        if newest() >= Some(awaited) { Err(Error::operator(STOPPED)) } else { Ok(()) }
    }
}

pub(super) const STOPPED: &str = "there is a checkpoint";

/// Settings of a job with checkpoints in `dir`, as many as there is time for.
pub(super) fn config(dir: &Path, workers: usize) -> RuntimeConfig {
    let often = CheckpointConfig::new(dir.display().to_string()).interval(Duration::from_millis(1));
    RuntimeConfig::threads(workers).job_name("job").checkpoints(often)
}

/// Runs a job with checkpoints again and again, with a fuse that burns after `span` at most and each time on another
/// number of workers, until it ends. Gives its result, and how often it has failed.
pub(super) fn recover<R>(seed: u64, span: u64, job: impl Fn(RuntimeConfig, Fuse) -> Result<R>) -> (R, u64) {
    let dir = tempfile::tempdir().unwrap();
    for attempt in 0..1000 {
        let workers = [1, 2, 4, 3][(sm(seed, 2 * attempt) % 4) as usize];
        match job(config(dir.path(), workers), Fuse::new((sm(seed, 2 * attempt + 1) % span) as i64)) {
            Ok(result) => return (result, attempt),
            Err(error) if error.message() == BURNT => {}
            Err(error) => {
                panic!("seed {seed}, attempt {attempt}, {workers} workers: {}", error.full_message())
            }
        }
    }
    panic!("seed {seed}: the job does not end");
}

/// Records that pass the operator with the fuse, and how many of them pass at most before it burns.
pub(super) const RECORDS: u64 = 60_000;

/// Whether the results of `job`, in any order, are those of a run without failures, for several seeds.
pub(super) fn check<R: Ord + std::fmt::Debug>(job: impl Fn(RuntimeConfig, Fuse) -> Result<Vec<R>>) {
    let mut expected = job(RuntimeConfig::threads(1), Fuse::none()).unwrap();
    expected.sort();
    let mut all_failures = 0;
    for seed in 0..5 {
        let (mut found, failures) = recover(seed, RECORDS, &job);
        found.sort();
        assert!(found == expected, "seed {seed}: other results after {failures} failures");
        all_failures += failures;
    }
    assert!(all_failures > 0, "nothing has failed");
}

/// The numbers up to [`RECORDS`], of five splits, with a fuse in their way.
pub(super) fn numbers<'s>(env: &Env<'s>, fuse: Fuse) -> DataStream<'s, u64> {
    let all = env.from_splits(5, |split| (0..RECORDS).skip(split).step_by(5));
    all.rebalance().try_map(move |x| fuse.burn().map(|()| x))
}
