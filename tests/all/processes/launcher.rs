//! `waterwheel run`: any program, some processes.

use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use waterwheel::engine::machine;

use super::fixture::{self, SUM};
use crate::failures::process::{Finished, Running, free_addresses, report_time};

const W: &str = env!("CARGO_BIN_EXE_waterwheel");
/// A run that would take days.
const ENDLESS: &str = "train mf --input ratings.csv --epochs 100000000 --json --output model";

fn command(program: &str, dir: &TempDir) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("WATERWHEEL_")) {
        command.env_remove(name);
    }
    command.current_dir(dir.path()).env("W", W);
    command
}

/// Starts `waterwheel run` with flags and a program.
fn launch(dir: &TempDir, flags: &str, program: &[&str]) -> Running {
    let mut run = command(W, dir);
    Running::start(run.arg("run").args(flags.split_whitespace()).arg("--").args(program))
}

/// A directory with ratings.
fn ratings() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let generate = "generate ratings --users 100 --items 50 --count 20000 -o ratings.csv";
    let made = command(W, &dir).args(generate.split(' ')).status().unwrap();
    assert!(made.success());
    dir
}

/// The command line of a job of these tests, as a program to run.
fn job(name: &str) -> Vec<String> {
    let command = fixture::command(name, &[]);
    let args = command.get_args().map(|arg| arg.to_str().unwrap().to_string());
    [command.get_program().to_str().unwrap().to_string()].into_iter().chain(args).collect()
}

fn run_job(flags: &str, name: &str) -> Finished {
    let (dir, job) = (tempfile::tempdir().unwrap(), job(name));
    let program: Vec<&str> = job.iter().map(String::as_str).collect();
    std::fs::write(dir.path().join("secret"), "a secret of the tests\n").unwrap();
    std::fs::write(dir.path().join("hosts"), free_addresses(2).join("\n")).unwrap();
    launch(&dir, flags, &program).finish()
}

fn outcomes(finished: &Finished) -> Vec<&str> {
    finished.out.lines().filter_map(|line| line.strip_prefix("outcome: ")).collect()
}

#[test]
fn program_runs_in_as_many_processes_as_asked_for() {
    for n in [1, 2, 3] {
        let finished = run_job(&format!("-n {n}"), "sum");
        assert_eq!(finished.code(), Some(0), "{finished:?}");
        assert_eq!(outcomes(&finished), vec![SUM; n]);
    }
}

#[test]
fn program_of_two_jobs_runs_both() {
    let finished = run_job("-n 2 --secret-file secret --attempt 5", "twice");
    assert_eq!(outcomes(&finished), [format!("{SUM} and {SUM}"), format!("{SUM} and {SUM}")]);
}

#[test]
fn program_runs_on_the_addresses_of_a_hostfile() {
    let finished = run_job("--hostfile hosts --secret-file secret", "sum");
    assert_eq!(outcomes(&finished), [SUM, SUM], "{finished:?}");
}

#[test]
fn first_code_of_a_process_that_fails_is_the_code_of_the_run() {
    let dir = ratings();
    let others = format!("[ $WATERWHEEL_CHILD_INDEX = 1 ] && exit 7; exec $W {ENDLESS}");
    let since = machine::now();
    let finished = launch(&dir, "-n 3", &["sh", "-c", &others]).finish();
    assert!(report_time("exit code 7 of one of three processes until all had ended", since).as_secs() < 8);
    assert_eq!(finished.code(), Some(7), "{finished:?}");
    let killed = launch(&dir, "-n 1", &["sh", "-c", "kill -s KILL $$"]).finish();
    assert_eq!(killed.code(), Some(137), "{killed:?}");
}

#[test]
fn interrupt_of_the_launcher_ends_all_processes() {
    let dir = ratings();
    for signal in ["INT", "TERM"] {
        let running = launch(&dir, "-n 2", &[&[W], &ENDLESS.split(' ').collect::<Vec<_>>()[..]].concat());
        running.wait_for_output("\"epoch\":2");
        let since = machine::now();
        running.signal(signal);
        // The pipe is closed only when every process has ended.
        let finished = running.finish();
        assert!(report_time("a signal to the launcher until all had ended", since) < Duration::from_secs(8));
        assert_eq!(finished.code(), Some(130), "{finished:?}");
    }
}

#[test]
fn program_that_is_missing_and_settings_that_do_not_fit_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("secret"), "short").unwrap();
    std::fs::write(dir.path().join("far"), "127.0.0.1:2101\n192.0.2.1:2101\n").unwrap();
    let cases = [
        ("-n 2", "no such program", "can not start \"no such program\""),
        ("-n 0", "true", "processes: found 0"),
        ("-n 2 --secret-file secret", "true", "found 5 bytes, expected at least 16"),
        ("--hostfile far -p 0", "true", "192.0.2.1:2101"),
        ("-n 3 --hostfile far --allow-insecure", "true", "3 processes need 3 addresses, found 2"),
        ("-n 2 -p 1", "true", "--hostfile"),
    ];
    for (flags, program, message) in cases {
        let finished = launch(&dir, flags, &[program]).finish();
        assert_eq!(finished.code(), Some(2), "{flags}: {finished:?}");
        assert!(finished.err.contains(message), "{flags}: {finished:?}");
    }
}

#[test]
fn program_that_is_set_to_another_number_of_processes_is_told_so() {
    let dir = ratings();
    let program = [W, "train", "mf", "--input", "ratings.csv", "--epochs", "1", "-n", "3"];
    let finished = launch(&dir, "-n 2", &program).finish();
    assert_eq!(finished.code(), Some(2), "{finished:?}");
    assert!(finished.err.contains("the program is set to 3 processes, and 2 were started"), "{finished:?}");
}
