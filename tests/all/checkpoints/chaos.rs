//! Processes that are disturbed at random times, and started again with another layout, until the job ends: with exactly
//! what a run that nobody disturbs writes.
//!
//! All that happens is drawn from a seed, which each failure names. `WATERWHEEL_CHAOS_RUNS` sets the number of runs of each
//! job, `WATERWHEEL_CHAOS_SEED` the first seed.

mod damage;
mod jobs;
mod plan;
mod relay;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use waterwheel::engine::machine;
use waterwheel::ml::generate::sm;
use waterwheel::prelude::*;

use super::files::contents;
use crate::cluster::test_path;
use crate::failures::process::{Finished, Running, free_addresses};
use jobs::{Job, job_of};
use plan::{Disk, Disturbance, Plan, Tally};
use relay::Relay;

fn argument(key: &str) -> Option<String> {
    std::env::args().find_map(|argument| argument.strip_prefix(&format!("{key}=")).map(String::from))
}

/// No test by itself: where the processes enter that are started to be disturbed.
#[test]
#[expect(clippy::disallowed_methods, reason = "it is the main function of a process of its own")]
fn process_that_may_be_disturbed_runs_its_job() {
    let Some(name) = argument("chaos") else { return };
    let dir = PathBuf::from(argument("dir").unwrap());
    let addresses: Vec<String> = argument("addresses").unwrap().split(',').map(String::from).collect();
    let disk = Disk::from_text(&argument("disk").unwrap());
    let checkpoints = disk.around(&dir.join("checkpoints"), "chaos");
    let config = RuntimeConfig::threads(argument("threads").unwrap().parse().unwrap())
        .processes(addresses.len())
        .process(Some(argument("process").unwrap().parse().unwrap()))
        .addresses(addresses)
        .job_name("chaos")
        .checkpoints(checkpoints.interval(Duration::from_millis(20)).retain(3));
    if let Err(error) = (job_of(&name).run)(config, &dir.join("files")) {
        eprintln!("{}", error.full_message());
        std::process::exit(3);
    }
}

/// Starts process `index`; those before it are reached by way of `relays`, if there are any.
fn start(
    job: &Job,
    dir: &Path,
    plan: &Plan,
    addresses: &[String],
    relays: &[Relay],
    index: usize,
) -> Running {
    let (_crate, path) = test_path!(process_that_may_be_disturbed_runs_its_job).split_once("::").unwrap();
    let others = relays.iter().enumerate().map(|(other, relay)| match other == index {
        true => addresses[index].clone(),
        false => relay.address().to_string(),
    });
    let seen = if relays.is_empty() { addresses.to_vec() } else { others.collect() };
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([path, "--exact", "--nocapture", "--test-threads=1"]);
    command.args([format!("chaos={}", job.name), format!("dir={}", dir.display())]);
    command.args([format!("threads={}", plan.threads), format!("process={index}")]);
    command.args([format!("addresses={}", seen.join(",")), format!("disk={}", plan.disk.text())]);
    Running::start(&mut command)
}

fn wait(time: Duration) {
    let since = machine::now();
    while since.elapsed() < time {
        std::thread::park_timeout(time.saturating_sub(since.elapsed()));
    }
}

/// Runs the job once as planned; whether it has ended well.
fn run_once(job: &Job, dir: &Path, plan: &Plan, tally: &mut Tally) -> Result<bool, String> {
    let addresses = free_addresses(plan.processes);
    let relays: Vec<Relay> = match plan.disturbance {
        Some(Disturbance::Cut) => addresses.iter().map(|address| Relay::to(address)).collect(),
        _ => Vec::new(),
    };
    let n = usize::from(plan.processes);
    let running: Vec<Running> =
        (0..n).map(|index| start(job, dir, plan, &addresses, &relays, index)).collect();
    if let Some(disturbance) = plan.disturbance {
        wait(plan.after);
        match disturbance {
            Disturbance::Kill => running[plan.victim].signal("KILL"),
            Disturbance::Pause(time) => {
                running[plan.victim].signal("STOP");
                wait(time);
                running[plan.victim].signal("CONT");
            }
            Disturbance::Cut => relays.iter().for_each(Relay::cut),
        }
    }
    let finished: Vec<Finished> = running.into_iter().map(Running::finish).collect();
    tally.note(plan, &finished);
    let panicked = finished.iter().any(|process| process.err.contains("panicked at"));
    let well = finished.iter().all(|process| process.code() == Some(0));
    match (well || plan.is_disturbed()) && !panicked {
        true => Ok(well),
        false => Err(format!("{plan:?}: {finished:#?}")),
    }
}

/// One run, disturbed up to three times.
fn survive(job: &Job, seed: u64, draw: fn(u64) -> Plan, expected: &[String], tally: &mut Tally) {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = dir.path().join("checkpoints").join("chaos");
    let n_disturbed = 1 + sm(seed, 0) % 3;
    for attempt in 0..=n_disturbed {
        let mut plan = draw(sm(seed, 10 + attempt));
        if damage::sound(&checkpoints).is_empty() {
            // A disk that tears the very first checkpoint leaves a job that refuses to go on, as it should: what is damaged
            // may have been committed.
            plan.disk = Disk::WHOLE;
        }
        let plan = if attempt < n_disturbed { plan } else { plan.calm() };
        match run_once(job, dir.path(), &plan, tally) {
            Ok(true) => {
                tally.runs += 1;
                let found = contents(&dir.path().join("files"));
                assert!(
                    found == expected,
                    "{}, seed {seed}: other records after {attempt} disturbances",
                    job.name
                );
                return;
            }
            Ok(false) => tally.note_damage(plan.damage.apply(&checkpoints)),
            Err(why) => panic!("{}, seed {seed}, after {attempt} disturbances: {why}", job.name),
        }
    }
    panic!("{}, seed {seed}: it has not ended, though nobody disturbed it", job.name);
}

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |n| n.parse().unwrap())
}

/// Runs a job by many seeds.
fn chaos(name: &str, few: u64, draw: fn(u64) -> Plan) {
    let job = job_of(name);
    let (first, expected) = (variable("WATERWHEEL_CHAOS_SEED", 100), (job.expected)());
    let mut tally = Tally::default();
    for seed in first..first + variable("WATERWHEEL_CHAOS_RUNS", few) {
        survive(&job, seed, draw, &expected, &mut tally);
    }
    println!("{name}: {tally}: nothing lost, nothing doubled");
}

#[test]
fn keyed_count_to_files_survives_kills() {
    chaos("count", 3, Plan::kill);
}

#[test]
fn windowed_keyed_count_to_files_survives_kills() {
    chaos("windows", 3, Plan::kill);
}

#[test]
fn asynchronous_loop_to_files_survives_kills() {
    chaos("loop", 3, Plan::kill);
}

#[test]
fn asynchronous_sums_at_the_parameter_server_survive_kills() {
    chaos("ps", 3, Plan::kill);
}

#[test]
fn online_learner_survives_kills_with_the_same_models() {
    chaos("learner", 3, Plan::kill);
}

#[test]
fn windowed_keyed_count_to_files_survives_whatever_happens() {
    chaos("windows", 8, Plan::any);
}
