//! Processes of a job that this test binary runs, each with settings of its own.

use std::io::Write;
use std::process::Command;
use std::time::Duration;

use waterwheel::engine::{machine, started_as};
use waterwheel::prelude::*;

use crate::cluster::test_path;
use crate::failures::process::{Finished, Running};

/// A job that a process of these tests runs; the result is what it prints.
type Job = fn(RuntimeConfig) -> Result<String>;

const JOBS: [(&str, Job); 6] = [
    ("sum", sum),
    ("twice", twice),
    ("slow", slow),
    ("paced", paced),
    ("odd", super::graph::odd),
    ("visited", super::stranger::visited),
];

/// The sum of numbers, on every worker.
pub(super) fn sum(config: RuntimeConfig) -> Result<String> {
    let numbers = execute(config, |env| {
        let numbers = env.from_splits(2, |split| split as u64 * 1000..(split as u64 + 1) * 1000);
        Ok(numbers.broadcast().collect_local())
    })?;
    Ok(format!("sum {}", numbers.concat().into_iter().sum::<u64>()))
}

/// What [`sum`] prints.
pub(super) const SUM: &str = "sum 1999000";

/// Two runs in one program.
fn twice(config: RuntimeConfig) -> Result<String> {
    Ok(format!("{} and {}", sum(config.clone())?, sum(config)?))
}

/// An operator of worker 1 stands still for longer than a process may be silent.
fn slow(config: RuntimeConfig) -> Result<String> {
    let counts = execute(config, |env| {
        let worker = env.worker_index();
        let stand = move |x: u64| {
            let since = machine::now();
            while worker == 1 && x == 1 && since.elapsed() < Duration::from_secs(3) {
                std::hint::spin_loop();
            }
            x
        };
        Ok(env.from_splits(2, |_| 0..10u64).map(stand).broadcast().collect_local())
    })?;
    Ok(format!("count {}", counts.concat().len()))
}

/// Takes four seconds, a record now and then.
fn paced(config: RuntimeConfig) -> Result<String> {
    let counts = execute(config, |env| {
        let records = env.source("paced", 2, |_split| Ok(Paced(400)));
        Ok(records.broadcast().collect_local())
    })?;
    Ok(format!("count {}", counts.concat().len()))
}

/// Counts down, and says so at the first record.
struct Paced(u64);

impl Source for Paced {
    type Item = u64;

    fn read(&mut self, _limit: usize, out: &mut Vec<u64>) -> Result<SourceStatus> {
        if self.0 == 0 {
            return Ok(SourceStatus::Done);
        }
        if self.0 == 400 {
            say("the job has begun");
        }
        self.0 -= 1;
        out.push(self.0);
        Ok(SourceStatus::Idle(Duration::from_millis(10)))
    }
}

/// This test binary, to run a job with settings; those of the environment of the tests do not count.
pub(super) fn command(job: &str, settings: &[(&str, &str)]) -> Command {
    let (_crate, path) = test_path!(process_that_was_started_runs_its_job).split_once("::").unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([path, "--exact", "--nocapture", "--test-threads=1"]).arg(format!("run={job}"));
    command.args(settings.iter().map(|(key, value)| format!("{key}={value}")));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("WATERWHEEL_")) {
        command.env_remove(name);
    }
    command
}

/// Starts process `index` of those at `addresses`.
pub(super) fn start(job: &str, index: usize, addresses: &[String], settings: &[(&str, &str)]) -> Running {
    let (index, addresses) = (index.to_string(), addresses.join(","));
    let mut all = vec![("process", index.as_str()), ("addresses", addresses.as_str())];
    all.extend_from_slice(settings);
    Running::start(&mut command(job, &all))
}

/// What a process printed as its result: the result of its job, or its error.
#[track_caller]
pub(super) fn outcome(finished: &Finished) -> String {
    let line = finished.out.lines().find_map(|line| line.strip_prefix(OUTCOME));
    line.unwrap_or_else(|| panic!("no outcome: {finished:?}")).to_string()
}

const OUTCOME: &str = "outcome: ";

fn say(line: &str) {
    // One write, so that two processes do not mix their lines.
    std::io::stdout().write_all(format!("\n{line}\n").as_bytes()).unwrap();
}

/// The value of `key=value` among the arguments of this process.
fn argument(key: &str) -> Option<String> {
    std::env::args().find_map(|argument| argument.strip_prefix(&format!("{key}=")).map(String::from))
}

/// The settings that [`command`] was given.
fn config() -> RuntimeConfig {
    let Some(process) = argument("process") else {
        return RuntimeConfig::from_args(std::iter::empty()).unwrap().0;
    };
    let addresses: Vec<String> = argument("addresses").unwrap().split(',').map(String::from).collect();
    let mut config = RuntimeConfig::threads(1).processes(addresses.len()).addresses(addresses);
    config = config.process(Some(process.parse().unwrap())).connect_timeout(Duration::from_secs(20));
    let seconds = |key| argument(key).map(|text| Duration::from_secs_f64(text.parse().unwrap()));
    if let Some(timeout) = seconds("connect-timeout") {
        config = config.connect_timeout(timeout);
    }
    if let Some(timeout) = seconds("heartbeat") {
        config = config.heartbeat_timeout(timeout);
    }
    if let Some(secret) = argument("secret") {
        config = config.secret(secret);
    }
    if let Some(name) = argument("name") {
        config = config.job_name(name);
    }
    if let Some(version) = argument("version") {
        config = config.program_version(version);
    }
    if let Some(attempt) = argument("attempt") {
        config = config.attempt(attempt.parse().unwrap());
    }
    config
}

/// No test by itself: where the processes enter that are started to run a job. Fails when the job does, so
/// that the process does.
#[test]
fn process_that_was_started_runs_its_job() {
    let Some(name) = argument("run") else { return };
    let log = tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stderr);
    log.with_max_level(tracing::Level::WARN).init();
    let (_, job) = JOBS.into_iter().find(|(found, _)| *found == name).unwrap();
    let done = job(config()).map_err(|error| error.full_message());
    let me = argument("process").or_else(|| started_as().map(|index| index.to_string()));
    let text = done.as_ref().map_or_else(|error| format!("error: {error}"), Clone::clone);
    say(&format!("{OUTCOME}{text}"));
    assert!(done.is_ok(), "process {me:?}: {text}");
}
