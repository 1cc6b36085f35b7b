//! Runs one check on every cluster shape: 1, 2 and 4 worker threads, and 2 processes.

use waterwheel::engine::started_as;
use waterwheel::prelude::RuntimeConfig;

/// Path of a test of this binary, as the test runner knows it.
macro_rules! test_path {
    ($name:ident) => {
        concat!(module_path!(), "::", stringify!($name))
    };
}
pub(crate) use test_path;

/// Runs `job` at 1, 2 and 4 workers and at 2 processes of one worker each, and hands what it returns to
/// `check`. The second process is this binary running the same test; only the first one checks.
///
/// `path` is [`test_path`] of the calling test.
pub(crate) fn everywhere<R>(path: &str, job: impl Fn(RuntimeConfig) -> R, check: impl Fn(R, &str)) {
    let (_crate, path) = path.split_once("::").unwrap();
    let two_processes = RuntimeConfig::threads(1).processes(2).child_args([
        path,
        "--exact",
        "--nocapture",
        "--test-threads=1",
    ]);
    if started_as().is_some() {
        job(two_processes);
        return;
    }
    for workers in [1, 2, 4] {
        check(job(RuntimeConfig::threads(workers)), &format!("{workers} workers"));
    }
    check(job(two_processes), "2 processes");
}
