//! Directories and files that can not be used.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use waterwheel::prelude::*;

use super::fixture::{N, cached_files, names, replay_numbers};
use super::killed::command;
use crate::cluster::{everywhere, test_path};
use crate::failures::process::Running;

#[track_caller]
fn assert_from_replay(error: &Error, shape: &str) {
    let site = error.site().unwrap_or_else(|| panic!("{shape}: {error}"));
    assert_eq!(site.operator, "iterate_bounded/replay", "{shape}: {error}");
    assert!(site.location.starts_with("tests/all/replay/fixture.rs:"), "{shape}: {error}");
}

#[test]
fn cache_directory_that_can_not_be_written_is_named_with_the_operator() {
    let job = |config: RuntimeConfig| {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, "").unwrap();
        let config = config.cache_memory_bytes(0).cache_dir(file.join("cache"));
        (replay_numbers(config, 3, |_, _| Ok(())).unwrap_err(), file)
    };
    let path = test_path!(cache_directory_that_can_not_be_written_is_named_with_the_operator);
    everywhere(path, job, |(error, file), shape| {
        assert_from_replay(&error, shape);
        assert_eq!(error.kind(), ErrorKind::Config, "{shape}: {error}");
        // Of two processes the first one to fail ends the run, with a directory of its own.
        let file = if shape.contains("processes") { "/file/cache".into() } else { file.to_string_lossy() };
        assert!(error.message().contains(&*file), "{shape}: {error}");
    });
}

/// With memory for all there is no need of a directory.
#[test]
fn cache_directory_that_is_not_needed_may_be_unusable() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let config = RuntimeConfig::threads(2).cache_dir(file.path());
    replay_numbers(config, 3, |_, _| Ok(())).unwrap();
}

/// In the middle of a round the files are damaged; the next round sees it.
#[test]
fn cached_file_that_is_damaged_is_named_with_the_operator() {
    for workers in [1, 2, 4] {
        let directory = tempfile::tempdir().unwrap();
        let (path, once) = (directory.path().to_owned(), Arc::new(AtomicBool::new(true)));
        let config = RuntimeConfig::threads(workers).cache_memory_bytes(0).cache_dir(&path);
        let ended = replay_numbers(config, 5, move |epoch, number| {
            if epoch == 1 && number == N - 1 && once.swap(false, Ordering::Relaxed) {
                let files = cached_files(&path).into_iter().map(|file| (std::fs::read(&file).unwrap(), file));
                // Those that are complete: other workers may still be writing.
                for (mut bytes, file) in files.filter(|(bytes, _)| bytes.len() as u64 > 8 * N) {
                    let middle = bytes.len() / 2;
                    bytes[middle] ^= 1;
                    std::fs::write(&file, bytes).unwrap();
                }
            }
            Ok(())
        });
        let error = ended.unwrap_err();
        assert_from_replay(&error, &format!("{workers} workers"));
        assert_eq!(error.kind(), ErrorKind::Data);
        assert!(error.message().contains(".segment is damaged: block at byte"), "{error}");
        assert_eq!(names(directory.path()), [""; 0]);
    }
}

/// Files of more than 32 KiB can not be written: what a full disk does, without one.
#[test]
fn disk_that_is_full_ends_the_run_with_an_error_that_names_the_operator() {
    let directory = tempfile::tempdir().unwrap();
    let job = command("briefly", directory.path());
    let mut limited = Command::new("bash");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 32; exec \"$0\" \"$@\""]);
    limited.arg(job.get_program()).args(job.get_args());
    let finished = Running::start(&mut limited).finish();
    assert_eq!(finished.code(), Some(101), "{finished:?}");
    let error = finished.out.lines().find_map(|line| line.strip_prefix("outcome: ")).unwrap();
    assert!(
        error.starts_with("operator \"iterate_bounded/replay\" (tests/all/replay/fixture.rs:"),
        "{error}"
    );
    assert!(error.contains("can not write more than ") && error.contains("--cache-dir"), "{error}");
    assert!(
        error.contains(&*directory.path().to_string_lossy()) && error.contains("File too large"),
        "{error}"
    );
    assert_eq!(names(directory.path()), [""; 0]);
}
