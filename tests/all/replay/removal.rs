//! Nothing stays on disk, however a run ends.

use std::path::Path;
use std::sync::Arc;

use waterwheel::prelude::*;

use super::fixture::{N, cached_files, names, replay_numbers};
use crate::cluster::{everywhere, test_path};

/// Replays numbers without memory in a directory of its own, with `at_last` for the last record of the second round;
/// by then there are files. Checks that nothing is left, and gives back how the run ended.
fn run(config: RuntimeConfig, at_last: impl Fn() -> Result<()> + Send + Sync + 'static) -> Result<()> {
    let directory = tempfile::tempdir().unwrap();
    let (path, at_last) = (directory.path().to_owned(), Arc::new(at_last));
    let config = config.cache_memory_bytes(0).cache_dir(&path);
    let ended = replay_numbers(config, 5, move |epoch, number| match (epoch, number) {
        (1, LAST) if cached_files(&path).is_empty() => Err(Error::internal("there are no files")),
        (1, LAST) => at_last(),
        _ => Ok(()),
    });
    assert_eq!(names(directory.path()), [""; 0], "{ended:?}");
    ended
}

const LAST: u64 = N - 1;

#[test]
fn files_are_removed_when_a_run_has_succeeded() {
    let job = |config| run(config, || Ok(()));
    everywhere(test_path!(files_are_removed_when_a_run_has_succeeded), job, |ended, shape| {
        ended.unwrap_or_else(|error| panic!("{shape}: {error}"));
    });
}

#[test]
fn files_are_removed_when_an_operator_fails() {
    let job = |config| run(config, || Err(Error::data("boom")));
    everywhere(test_path!(files_are_removed_when_an_operator_fails), job, |ended, shape| {
        assert_eq!(ended.unwrap_err().message(), "boom", "{shape}");
    });
}

#[test]
fn files_are_removed_when_an_operator_panics() {
    let job = |config| run(config, || panic!("boom"));
    everywhere(test_path!(files_are_removed_when_an_operator_panics), job, |ended, shape| {
        let error = ended.unwrap_err();
        assert!(error.message().starts_with("panicked: boom"), "{shape}: {error}");
    });
}

#[test]
fn files_are_removed_when_a_run_is_stopped() {
    let job = |config: RuntimeConfig| {
        let stop = StopHandle::new();
        let config = config.stop_handle(stop.clone());
        run(config, move || {
            stop.stop();
            Ok(())
        })
    };
    everywhere(test_path!(files_are_removed_when_a_run_is_stopped), job, |ended, shape| {
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::Interrupted, "{shape}");
    });
}

/// The caches of each round of the outer loop go with it.
#[test]
fn files_of_a_run_of_an_inner_loop_are_removed_when_it_ends() {
    let directory = tempfile::tempdir().unwrap();
    let (path, config) = (directory.path().to_owned(), RuntimeConfig::threads(1).cache_memory_bytes(0));
    let counts = execute(config.cache_dir(directory.path()), move |env| {
        let path = path.clone();
        let config = IterationConfig::new().max_rounds(20);
        let (counts,) = Iterations::iterate_bounded((env.from_iter([0u64]),), (), config, |_it, (x,), ()| {
            let (config, data) = (IterationConfig::new().max_rounds(3), x.clone().flat_map(|_| 0..10_000u64));
            let (last,) =
                Iterations::iterate_bounded((x,), (data.replay(),), config, |_it, (y,), (data,)| {
                    let end = data.process_epochs(ForwardInputsOfLastRound::new());
                    IterationBodyResult::new((y,), (end,))
                });
            // The next round begins when the inner loop has ended.
            let next = last.filter(|number| *number == 9_999);
            let counts = next.clone().map(move |_| cached_files(&path).len());
            IterationBodyResult::new((next,), (counts,))
        });
        Ok(counts.collect())
    });
    let counts = counts.unwrap().concat();
    assert_eq!(counts.len(), 20);
    assert!(counts.iter().all(|n_files| *n_files <= 2), "{counts:?}");
}

#[test]
fn jobs_side_by_side_in_one_directory_keep_their_own_files() {
    let directory = tempfile::tempdir().unwrap();
    let run = |path: &Path| {
        let config = RuntimeConfig::threads(1).cache_memory_bytes(0).cache_dir(path);
        for _ in 0..5 {
            replay_numbers(config.clone(), 3, |_, _| Ok(())).unwrap();
        }
    };
    std::thread::scope(|scope| (0..3).for_each(|_| drop(scope.spawn(|| run(directory.path())))));
    assert_eq!(names(directory.path()), [""; 0]);
}
