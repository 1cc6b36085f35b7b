//! Runs a job that fails on every shape of cluster and checks what each process gets.

use std::process::Command;

use waterwheel::engine::hash::key_owner;
use waterwheel::engine::started_as;
use waterwheel::prelude::*;

use crate::cluster::test_path;
use crate::failures::process::{LIMIT, Running, free_addresses, within_limit};

/// Where a job fails: on the records of one worker.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trap {
    pub(super) worker: usize,
}

/// A record: the worker it was made for, and a number.
pub(super) type Numbered = (u64, u64);

/// Records per worker: several batches.
const N_RECORDS: u64 = 5_000;

/// A job with one mistake in it.
pub(super) type Job = for<'s> fn(&Env<'s>, Trap) -> Result<()>;

/// What the error of a job has to say.
#[derive(Clone, Copy)]
pub(super) struct Expected {
    pub(super) operator: &'static str,
    pub(super) message: &'static str,
}

impl Trap {
    /// Whether this record is the one to fail on: in the middle of the second batch.
    pub(super) fn is_at(self, record: &Numbered) -> bool {
        *record == (self.worker as u64, 1500)
    }

    pub(super) fn panic_at(self, record: &Numbered) {
        if self.is_at(record) {
            panic!("boom {}", record.1);
        }
    }

    pub(super) fn fail_at(self, record: &Numbered) -> Result<()> {
        if self.is_at(record) { Err(boom()) } else { Ok(()) }
    }
}

/// The error of a user function.
pub(super) fn boom() -> Error {
    Error::data("boom").caused_by(std::io::Error::other("powder"))
}

/// Records for every worker, each on its worker.
pub(super) fn data<'s>(env: &Env<'s>) -> DataStream<'s, Numbered> {
    env.from_splits(env.workers(), |split| (0..N_RECORDS).map(move |i| (split as u64, i)))
}

/// A key that `worker` owns.
pub(super) fn key_of(worker: u64, workers: usize) -> u64 {
    (0..).find(|key| key_owner(key, workers) == worker as usize).unwrap()
}

/// Tests of jobs, each with the operator and the message that its error must have.
macro_rules! jobs_that_fail {
    ($($name:ident: $operator:literal, $message:literal, $job:expr;)*) => {
        /// The jobs of this file by name, for processes that are started to run one of them.
        pub(super) const JOBS: &[(&str, $crate::failures::fixture::Job)] = &[$((stringify!($name), $job)),*];

        $(
            #[test]
            fn $name() {
                let expected =
                    $crate::failures::fixture::Expected { operator: $operator, message: $message };
                $crate::failures::fixture::fails_everywhere(stringify!($name), JOBS, expected);
            }
        )*
    };
}
pub(super) use jobs_that_fail;

/// Runs the job called `name` at 1, 2 and 4 workers and at 2 processes, failing on the first and on the
/// last worker, and checks that everybody gets the error. Reports all shapes that went wrong.
pub(super) fn fails_everywhere(name: &'static str, jobs: &'static [(&str, Job)], expected: Expected) {
    let (_, job) = *jobs.iter().find(|(found, _)| *found == name).unwrap();
    let mut wrong = Vec::new();
    for (workers, worker) in [(1, 0), (2, 0), (2, 1), (4, 0), (4, 3)] {
        let shape = format!("{name} at {workers} workers, mistake on worker {worker}");
        let trap = Trap { worker };
        let done = within_limit(&shape, move || run(RuntimeConfig::threads(workers), job, trap));
        wrong.extend(complaint(&shape, &done, expected, worker));
    }
    for (worker, explicit) in [(0, true), (1, false)] {
        for (process, done) in in_two_processes(name, worker, explicit).into_iter().enumerate() {
            let shape = format!("{name} on 2 processes, mistake on worker {worker}, process {process}");
            wrong.extend(complaint(&shape, &done, expected, worker));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn run(config: RuntimeConfig, job: Job, trap: Trap) -> Result<(), String> {
    execute(config, move |env| job(env, trap)).map(drop).map_err(|error| error.full_message())
}

/// What is wrong with the outcome of a run.
fn complaint(shape: &str, done: &Result<(), String>, expected: Expected, worker: usize) -> Option<String> {
    let Expected { operator, message } = expected;
    let Err(error) = done else { return Some(format!("{shape}: no error")) };
    let begins = error.starts_with(&format!("operator \"{operator}\" ("));
    let site = error.contains(&format!(", worker {worker}): "));
    let right = begins && site && error.contains(message);
    (!right)
        .then(|| format!("{shape}: expected {operator:?} on worker {worker} and {message:?}, found {error}"))
}

/// What marks the outcome in the output of a process.
const OUTCOME: &str = "outcome of process ";

/// Runs a job in two processes, which are this test binary, and returns what each of them got. They are
/// started one by one with their addresses, or the second one by the first.
fn in_two_processes(name: &str, worker: usize, explicit: bool) -> Vec<Result<(), String>> {
    let (_crate, path) = test_path!(process_that_was_started_to_run_a_job_runs_it).split_once("::").unwrap();
    let command = |extra: &[String]| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([path, "--exact", "--nocapture", "--test-threads=1"]);
        command.args([format!("job={name}"), format!("worker={worker}")]).args(extra);
        command
    };
    let running: Vec<_> = if explicit {
        let addresses = free_addresses(2).join(",");
        let arguments = |process| [format!("process={process}"), format!("addresses={addresses}")];
        (0..2).map(|process| Running::start(&mut command(&arguments(process)))).collect()
    } else {
        vec![Running::start(&mut command(&[]))]
    };
    let mut said = String::new();
    for process in running {
        let finished = process.finish();
        assert_ne!(finished.code(), Some(0), "{name}: {finished:?}");
        said += &finished.err;
    }
    let outcome = |process| {
        let start = format!("{OUTCOME}{process}: ");
        match said.lines().find_map(|line| line.strip_prefix(&start)) {
            Some("success") => Ok(()),
            Some(error) => Err(error.to_string()),
            None => panic!("{name}: no outcome of process {process}:\n{said}"),
        }
    };
    vec![outcome(0), outcome(1)]
}

/// The value of `key=value` among the arguments of this process.
fn argument(key: &str) -> Option<String> {
    std::env::args().find_map(|argument| argument.strip_prefix(&format!("{key}="))?.to_string().into())
}

/// No test by itself: where [`in_two_processes`] enters. Fails when the job does, so that the process does.
#[test]
fn process_that_was_started_to_run_a_job_runs_it() {
    let Some(name) = argument("job") else { return };
    let modules = [super::operators::JOBS, super::sources::JOBS, super::parameter_server::JOBS];
    let (_, job) = *modules.into_iter().flatten().find(|(found, _)| *found == name).unwrap();
    let trap = Trap { worker: argument("worker").unwrap().parse().unwrap() };
    let process = argument("process").map(|process| process.parse().unwrap());
    let addresses = argument("addresses").map(|all| all.split(',').map(String::from).collect());
    let config = RuntimeConfig::threads(1).processes(2).process(process).connect_timeout(LIMIT);
    let config = config.addresses(addresses.unwrap_or_default());
    let done = within_limit(&name, move || run(config, job, trap));
    let me = process.or_else(started_as).unwrap_or(0);
    // One write, so that two processes do not mix their lines.
    let text = done.as_ref().map_or_else(String::as_str, |()| "success").replace('\n', " ");
    std::io::Write::write_all(&mut std::io::stderr(), format!("\n{OUTCOME}{me}: {text}\n").as_bytes())
        .unwrap();
    done.unwrap();
}
