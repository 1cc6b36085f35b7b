//! Runs a job that fails on every shape of cluster and checks what each process gets.

use std::io::Write;
use std::process::Command;

use waterwheel::engine::hash::key_owner;
use waterwheel::engine::started_as;
use waterwheel::prelude::*;

use crate::cluster::test_path;
use crate::failures::process::{Running, free_addresses, within_limit};

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
    /// Path of the operator, or its last part.
    pub(super) operator: &'static str,
    pub(super) message: &'static str,
    /// Name of the job, and the file it is in.
    pub(super) job: &'static str,
    pub(super) file: &'static str,
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

/// The records by their worker, so that each is handled where it was made.
pub(super) fn by_worker<'s>(env: &Env<'s>) -> KeyedStream<'s, u64, Numbered> {
    let workers = env.workers();
    data(env).key_by(move |record| key_of(record.0, workers))
}

/// A key that `worker` owns.
pub(super) fn key_of(worker: u64, workers: usize) -> u64 {
    (0..).find(|key| key_owner(key, workers) == worker as usize).unwrap()
}

/// Tests of jobs, each with the operator and the message that its error must have. Those behind
/// `@between_processes` can not go wrong inside one.
macro_rules! jobs_that_fail {
    ($($name:ident: $operator:literal, $message:literal, $job:expr;)* $(@between_processes
        $($far:ident: $far_operator:literal, $far_message:literal, $far_job:expr;)*)?) => {
        /// The jobs of this file by name, for processes that are started to run one of them.
        pub(super) const JOBS: &[(&str, $crate::failures::fixture::Job)] =
            &[$((stringify!($name), $job),)* $($((stringify!($far), $far_job),)*)?];

        $(
            #[test]
            fn $name() {
                use $crate::failures::fixture::{Expected, check, outcomes_in_one_process, outcomes_in_two};
                let expected = Expected {
                    operator: $operator,
                    message: $message,
                    job: stringify!($name),
                    file: file!(),
                };
                let mut outcomes = outcomes_in_one_process(stringify!($name));
                outcomes.extend(outcomes_in_two(stringify!($name)));
                check(&outcomes, expected);
            }
        )*
        $($(
            #[test]
            fn $far() {
                use $crate::failures::fixture::{Expected, check, outcomes_in_two};
                let expected = Expected {
                    operator: $far_operator,
                    message: $far_message,
                    job: stringify!($far),
                    file: file!(),
                };
                check(&outcomes_in_two(stringify!($far)), expected);
            }
        )*)?
    };
}
pub(super) use jobs_that_fail;

/// What a process got from a run.
pub(super) struct Outcome {
    shape: String,
    /// The worker that made the mistake.
    worker: usize,
    /// The error, or "success".
    text: String,
}

/// Checks that every outcome is the error that is expected. Reports all that are not.
pub(super) fn check(outcomes: &[Outcome], expected: Expected) {
    let Expected { operator, message, .. } = expected;
    let is_right = |outcome: &Outcome| {
        let parts = outcome.text.strip_prefix("operator \"").and_then(|text| text.split_once("\" ("));
        let site = parts.and_then(|(path, text)| Some((path, text.split_once(", worker ")?)));
        site.is_some_and(|(path, (location, text))| {
            (path == operator || path.ends_with(&format!("/{operator}")))
                && is_in_job(location, expected)
                && text.starts_with(&format!("{}): ", outcome.worker))
                && text.contains(message)
        })
    };
    let wrong = outcomes.iter().filter(|outcome| !is_right(outcome));
    let complaints: Vec<_> = wrong
        .map(|Outcome { shape, worker, text }| {
            let text: String = text.chars().take(300).collect();
            format!("{shape}: expected {message:?} from {operator:?} on worker {worker}, found: {text}")
        })
        .collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// Whether `file:line:column` is a call in the source of the job, or in what the file has for all of its jobs.
fn is_in_job(location: &str, expected: Expected) -> bool {
    let mut numbers = location.rsplitn(3, ':');
    let (column, line, file) = (numbers.next(), numbers.next(), numbers.next());
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<usize>().ok()).unwrap_or(0);
    if file != Some(expected.file) {
        return false;
    }
    let source =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/").to_string() + expected.file);
    let source = source.unwrap();
    let lines: Vec<&str> = source.lines().collect();
    let (line, column) = (number(line), number(column));
    let call = lines.get(line.wrapping_sub(1)).and_then(|text| text.get(column.wrapping_sub(1)..));
    let name = call.unwrap_or_default().trim_start_matches(|c: char| c.is_alphanumeric() || "_:".contains(c));
    let is_call = name.starts_with(['(', '<']) && Some(name.len()) < call.map(str::len);
    // Jobs begin with their name and end before the next one's, or before the end of all of them.
    let begins = |text: &str, name: &str| text.trim_start().starts_with(&format!("{name}:"));
    let is_job = |text: &str| text.starts_with("    ") && all_jobs().any(|(name, _)| begins(text, name));
    let first = lines.iter().position(|text| begins(text, expected.job)).unwrap();
    let behind =
        lines.iter().skip(first + 1).position(|text| is_job(text) || *text == "}").unwrap() + first + 1;
    let end = lines.iter().skip(first).position(|text| *text == "}").unwrap() + first;
    is_call && (line > end || (first + 1..=behind).contains(&line))
}

/// Numbers of workers of one process, with the worker that makes the mistake.
const SHAPES: [(usize, usize); 5] = [(1, 0), (2, 0), (2, 1), (4, 0), (4, 3)];

fn shape_name((workers, worker): (usize, usize)) -> String {
    format!("{workers} workers, mistake on worker {worker}")
}

/// Runs a job at 1, 2 and 4 workers of one process, with the mistake on the first and on the last.
pub(super) fn outcomes_in_one_process(job: &str) -> Vec<Outcome> {
    let finished = Running::start(&mut command(job, &[])).finish();
    let outcome = |shape: (usize, usize)| Outcome {
        worker: shape.1,
        text: outcome_among(&finished.err, &shape_name(shape))
            .unwrap_or_else(|| format!("process ended with {}", finished.status)),
        shape: shape_name(shape),
    };
    SHAPES.map(outcome).into()
}

/// Runs a job in two processes: started one by one with the mistake on the first, and the second started by
/// the first with the mistake on the second.
pub(super) fn outcomes_in_two(job: &str) -> Vec<Outcome> {
    let mut outcomes = outcomes_in_processes(job, 2, 0, true);
    outcomes.extend(outcomes_in_processes(job, 2, 1, false));
    outcomes
}

/// Runs a job in processes of one worker each. They are started one by one with their addresses
/// (`explicit`), or by the first one.
pub(super) fn outcomes_in_processes(job: &str, n: usize, worker: usize, explicit: bool) -> Vec<Outcome> {
    let shared = [format!("worker={worker}"), format!("processes={n}")];
    let running: Vec<_> = if explicit {
        let addresses = format!("addresses={}", free_addresses(n as u16).join(","));
        let own = |process| format!("process={process}");
        let args = |process| [&shared[..], &[addresses.clone(), own(process)]].concat();
        (0..n).map(|process| Running::start(&mut command(job, &args(process)))).collect()
    } else {
        vec![Running::start(&mut command(job, &shared))]
    };
    let finished: Vec<_> = running.into_iter().map(Running::finish).collect();
    let said: String = finished.iter().map(|finished| finished.err.as_str()).collect();
    let codes: Vec<_> = finished.iter().map(|finished| finished.status.to_string()).collect();
    let outcome = |process| {
        let shape = format!("{n} processes, mistake on worker {worker}, process {process}");
        let text = outcome_among(&said, &format!("process {process}"));
        Outcome { shape, worker, text: text.unwrap_or_else(|| format!("processes ended with {codes:?}")) }
    };
    let mut outcomes: Vec<_> = (0..n).map(outcome).collect();
    for (process, finished) in finished.iter().enumerate().filter(|(_, finished)| finished.status.success()) {
        let shape = format!("{n} processes, exit code of process {process}");
        outcomes.push(Outcome { shape, worker, text: finished.status.to_string() });
    }
    outcomes
}

/// What the first process says of a run that succeeds and of one that fails behind it, in one program.
pub(super) fn outcomes_of_two_runs(job: &str) -> (Option<String>, Option<String>) {
    let args = ["worker=0", "processes=2", "twice=yes"].map(String::from);
    let finished = Running::start(&mut command(job, &args)).finish();
    assert!(!finished.status.success(), "{finished:?}");
    (outcome_among(&finished.err, "process 0 at first"), outcome_among(&finished.err, "process 0"))
}

/// This test binary, to run a job.
fn command(job: &str, args: &[String]) -> Command {
    let (_crate, path) = test_path!(process_that_was_started_to_run_a_job_runs_it).split_once("::").unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([path, "--exact", "--nocapture", "--test-threads=1"]).arg(format!("job={job}")).args(args);
    command
}

/// What marks an outcome in the output of a process.
const OUTCOME: &str = "outcome of ";

fn print_outcome(shape: &str, done: &Result<(), String>) {
    let text = done.as_ref().map_or_else(String::as_str, |()| "success").replace('\n', " ");
    // One write, so that two processes do not mix their lines.
    let line = format!("\n{OUTCOME}{shape}: {text}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

fn outcome_among(said: &str, shape: &str) -> Option<String> {
    let start = format!("{OUTCOME}{shape}: ");
    said.lines().find_map(|line| line.strip_prefix(&start)).map(String::from)
}

/// The value of `key=value` among the arguments of this process.
fn argument(key: &str) -> Option<String> {
    std::env::args().find_map(|argument| argument.strip_prefix(&format!("{key}=")).map(String::from))
}

fn all_jobs() -> impl Iterator<Item = (&'static str, Job)> {
    let modules = [
        super::connected::JOBS,
        super::lifecycle::JOBS,
        super::loops::JOBS,
        super::operators::JOBS,
        super::sources::JOBS,
        super::parameter_server::JOBS,
    ];
    modules.into_iter().flatten().copied()
}

/// No test by itself: where the processes enter that are started to run a job. Fails when the job does, so
/// that the process does.
#[test]
fn process_that_was_started_to_run_a_job_runs_it() {
    let Some(name) = argument("job") else { return };
    let (_, job) = all_jobs().find(|(found, _)| *found == name).unwrap();
    let Some(processes) = argument("processes") else {
        for shape in SHAPES {
            let (config, trap) = (RuntimeConfig::threads(shape.0), Trap { worker: shape.1 });
            let done = within_limit(&shape_name(shape), move || run(config, job, trap));
            print_outcome(&shape_name(shape), &done);
        }
        return;
    };
    let trap = Trap { worker: argument("worker").unwrap().parse().unwrap() };
    let process = argument("process").map(|process| process.parse().unwrap());
    let addresses = argument("addresses").map(|all| all.split(',').map(String::from).collect());
    let config = RuntimeConfig::threads(1).processes(processes.parse().unwrap()).process(process);
    let config = config.addresses(addresses.unwrap_or_default());
    let me = process.or_else(started_as).unwrap_or(0);
    if argument("twice").is_some() {
        let config = config.clone();
        let first = within_limit(&name, move || run(config, job, Trap { worker: usize::MAX }));
        print_outcome(&format!("process {me} at first"), &first);
    }
    let done = within_limit(&name, move || run(config, job, trap));
    print_outcome(&format!("process {me}"), &done);
    done.unwrap();
}

fn run(config: RuntimeConfig, job: Job, trap: Trap) -> Result<(), String> {
    execute(config, move |env| job(env, trap)).map(drop).map_err(|error| error.full_message())
}
