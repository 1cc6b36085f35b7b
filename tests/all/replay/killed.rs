//! Processes that are killed, and what they leave behind.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use waterwheel::prelude::*;

use super::fixture::{N, cached_files, names, replay_numbers};
use crate::cluster::test_path;
use crate::failures::process::{Running, wait_until};

/// This test binary, to replay data without memory: `endlessly` or `briefly`.
pub(super) fn command(how: &str, directory: &Path) -> Command {
    let (_crate, path) = test_path!(process_that_was_started_replays).split_once("::").unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([path, "--exact", "--nocapture", "--test-threads=1"]);
    command.arg(format!("replay={how}")).arg(format!("directory={}", directory.display()));
    command
}

fn argument(key: &str) -> Option<String> {
    std::env::args().find_map(|argument| argument.strip_prefix(&format!("{key}=")).map(String::from))
}

fn say(line: &str) {
    std::io::stdout().write_all(format!("\n{line}\n").as_bytes()).unwrap();
}

/// No test by itself: where the processes enter that are started to replay data. Fails when the job does.
#[test]
fn process_that_was_started_replays() {
    let Some(how) = argument("replay") else { return };
    let rounds = if how == "endlessly" { u64::MAX / 2 } else { 3 };
    let config = RuntimeConfig::threads(2).cache_memory_bytes(0).cache_dir(argument("directory").unwrap());
    let ended = replay_numbers(config, rounds, |epoch, number| {
        if number == N - 1 && (epoch == 2 || epoch % 100 == 0) {
            say(&format!("round {epoch}"));
        }
        Ok(())
    });
    if let Err(error) = ended {
        say(&format!("outcome: {}", error.full_message()));
        panic!("the run has failed");
    }
}

/// A job that runs for ever, and has its files.
fn start(directory: &Path) -> (Running, Vec<std::path::PathBuf>) {
    let before = cached_files(directory);
    let running = Running::start(&mut command("endlessly", directory));
    running.wait_for_output("round 2");
    let files = cached_files(directory).into_iter().filter(|file| !before.contains(file)).collect();
    (running, files)
}

#[test]
fn files_of_a_killed_process_are_removed_by_the_next_run_and_those_of_a_living_one_stay() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let (dead, files_of_dead) = start(path);
    let (alive, files_of_alive) = start(path);
    assert_eq!((files_of_dead.len(), files_of_alive.len()), (2, 2));
    dead.signal("KILL");
    assert_eq!(dead.finish().signal(), Some(9));
    assert!(files_of_dead.iter().all(|file| file.exists()));
    // A directory and its lock for each.
    assert_eq!(names(path).len(), 4);

    let config = || RuntimeConfig::threads(1).cache_dir(path);
    replay_numbers(config(), 2, |_, _| Ok(())).unwrap();
    assert!(files_of_dead.iter().all(|file| !file.exists()));
    assert!(files_of_alive.iter().all(|file| file.exists()));
    assert_eq!(names(path).len(), 2);

    // It still runs, from the same files.
    alive.wait_for_output("round 100");
    alive.signal("KILL");
    assert_eq!(alive.finish().signal(), Some(9));
    replay_numbers(config().cache_memory_bytes(0), 2, |_, _| Ok(())).unwrap();
    assert_eq!(names(path), [""; 0]);
}

/// At any moment of its life, that of making its directory included.
#[test]
fn process_that_is_killed_at_any_moment_leaves_nothing_that_is_not_found() {
    let directory = tempfile::tempdir().unwrap();
    for step in 0..30 {
        let running = Running::start(&mut command("endlessly", directory.path()));
        if step % 3 == 0 {
            wait_until("a lock", || Some(()).filter(|()| !names(directory.path()).is_empty()));
        } else if step % 3 == 1 {
            wait_until("files", || Some(()).filter(|()| !cached_files(directory.path()).is_empty()));
        }
        running.signal("KILL");
        running.finish();
        replay_numbers(RuntimeConfig::threads(1).cache_dir(directory.path()), 1, |_, _| Ok(())).unwrap();
        assert_eq!(names(directory.path()), [""; 0], "step {step}");
    }
}
