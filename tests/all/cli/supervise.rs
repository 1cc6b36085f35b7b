//! `run --supervise`: processes that are started again.

use super::fixture::Dir;
use crate::failures::process::{Finished, Running, wait_until};

/// Runs a script as the program of two processes, each of which first notes its attempt in `log`.
fn supervise(dir: &Dir, restarts: u32, script: &str) -> Running {
    let script = format!("echo $WATERWHEEL_ATTEMPT >> log; {script}");
    let mut command = dir.command("run -n 2");
    command.args(["--supervise", &restarts.to_string(), "--", "sh", "-c", &script]);
    Running::start(&mut command)
}

fn attempts(dir: &Dir) -> Vec<String> {
    let log = std::fs::read_to_string(dir.path("log")).unwrap_or_default();
    let mut attempts: Vec<String> = log.lines().map(String::from).collect();
    attempts.sort();
    attempts
}

#[test]
fn processes_are_started_again_until_they_end_well() {
    let dir = Dir::new();
    let finished = supervise(&dir, 5, "test \"$WATERWHEEL_ATTEMPT\" = 3 || kill -9 $$").finish();
    assert_eq!(finished.code(), Some(0), "{finished:?}");
    assert!(finished.err.contains("all start again in 1s, 5 times left"), "{finished:?}");
    assert_eq!(attempts(&dir), ["", "", "2", "2", "3", "3"]);
}

#[test]
fn processes_are_given_up_after_as_many_restarts_as_were_allowed() {
    let dir = Dir::new();
    let finished = supervise(&dir, 1, "exit 7").finish();
    assert_eq!(finished.code(), Some(7), "{finished:?}");
    assert_eq!(attempts(&dir), ["", "", "2", "2"]);
}

/// Usage that is wrong stays wrong, and whoever interrupts a job wants it to end.
#[test]
fn processes_that_were_wrong_or_interrupted_are_not_started_again() {
    let dir = Dir::new();
    let finished: Finished = supervise(&dir, 5, "exit 2").finish();
    assert_eq!((finished.code(), attempts(&dir).len()), (Some(2), 2), "{finished:?}");

    let dir = Dir::new();
    let running = supervise(&dir, 5, "exec sleep 60");
    wait_until("both processes", || (attempts(&dir).len() == 2).then_some(()));
    running.signal("INT");
    let finished = running.finish();
    assert_ne!(finished.code(), Some(0), "{finished:?}");
    assert_eq!(attempts(&dir).len(), 2);
}
