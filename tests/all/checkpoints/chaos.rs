//! Processes that are disturbed at random times, and started again with another layout, until the job ends: with exactly
//! what a run that nobody disturbs writes.
//!
//! All that happens is drawn from a seed, which each failure names. `WATERWHEEL_CHAOS_RUNS` sets the number of runs of each
//! job, `WATERWHEEL_CHAOS_SEED` the first seed.

mod damage;
mod jobs;
mod plan;
mod relay;
mod train;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use waterwheel::engine::checkpoint::{CheckpointStore, Newest, SectionKey};
use waterwheel::engine::machine;
use waterwheel::ml::generate::sm;
use waterwheel::prelude::*;

use super::files::contents;
use crate::cluster::test_path;
use crate::failures::process::{Finished, Running, free_addresses, wait_until};
use jobs::{Job, job_of};
use plan::{Disk, Disturbance, MOST_DISTURBANCES, Plan, Tally};
use relay::Relay;

pub(super) fn argument(key: &str) -> Option<String> {
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

/// How long frames get lost before a connection breaks.
const GARBLED_FOR: Duration = Duration::from_millis(300);

/// Runs the job once as planned; whether it has ended well.
fn run_once(job: &Job, dir: &Path, plan: &Plan, tally: &mut Tally) -> Result<bool, String> {
    let addresses = free_addresses(plan.processes);
    let relays: Vec<Relay> = match plan.disturbance {
        Some(Disturbance::Cut) => addresses.iter().map(|address| Relay::to(address)).collect(),
        Some(Disturbance::Garble { after, seed }) => {
            addresses.iter().map(|address| Relay::garbling(address, after, seed)).collect()
        }
        _ => Vec::new(),
    };
    let n = usize::from(plan.processes);
    let running: Vec<Running> =
        (0..n).map(|index| start(job, dir, plan, &addresses, &relays, index)).collect();
    if let Some(disturbance) = plan.disturbance {
        if !matches!(disturbance, Disturbance::Garble { .. }) {
            wait(plan.after);
        }
        match disturbance {
            Disturbance::Kill => running[plan.victim].signal("KILL"),
            Disturbance::Pause(time) => {
                running[plan.victim].signal("STOP");
                wait(time);
                running[plan.victim].signal("CONT");
            }
            Disturbance::Cut => relays.iter().for_each(Relay::cut),
            Disturbance::Garble { .. } => {
                let garbled = || relays.iter().map(Relay::garbled).sum::<u64>();
                wait_until("frames that get lost, or the end", || {
                    (garbled() > 0 || running.iter().all(Running::has_ended)).then_some(())
                });
                // A connection that is so bad breaks in the end, which is sooner than signs of life tell of a lost last frame.
                wait(GARBLED_FOR);
                relays.iter().for_each(Relay::cut);
                tally.garbled += garbled();
            }
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
    let n_disturbed = 1 + sm(seed, 0) % MOST_DISTURBANCES;
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
fn chaos(name: &str, few: u64, draw: fn(u64) -> Plan) -> Tally {
    let job = job_of(name);
    let (first, expected) = (variable("WATERWHEEL_CHAOS_SEED", 100), (job.expected)());
    let mut tally = Tally::default();
    for seed in first..first + variable("WATERWHEEL_CHAOS_RUNS", few) {
        survive(&job, seed, draw, &expected, &mut tally);
    }
    println!("{name}: {tally}: nothing lost, nothing doubled");
    tally
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

/// T-NEW-09: a tenth of the frames of data between processes is lost, a tenth comes twice, a tenth out of turn.
#[test]
fn t_new_09_sums_are_exact_whatever_becomes_of_frames_between_processes() {
    let tally = chaos("ps", 4, Plan::garble);
    assert!(tally.garbled > 0, "{tally}");
}

#[test]
fn windowed_keyed_count_to_files_survives_whatever_happens() {
    chaos("windows", 8, Plan::any);
}

#[test]
fn bounded_training_to_files_survives_kills() {
    chaos("train", 3, Plan::kill);
}

/// The round that the newest checkpoint was made before; `None` where there is none of any round yet.
fn newest_round(checkpoints: &Path) -> Option<Round> {
    let store = CheckpointStore::open(&checkpoints.display().to_string(), "chaos").unwrap();
    let Ok(Newest::Found { checkpoint, .. }) = store.newest() else { return None };
    let mut told = checkpoint.read_ungrouped(&SectionKey::new("descent", "pooled"));
    let told = told.next()?.unwrap();
    let (next, _waiting): (Round, Vec<Round>) = StateReader::new(told.bytes).next_item().unwrap()?;
    Some(next)
}

/// Kills a process of the training behind a round that the seed names; where it goes on, on other workers perhaps.
fn kill_and_go_on(seed: u64, before: (u16, usize), after: (u16, usize)) {
    let (job, dir) = (job_of("train"), tempfile::tempdir().unwrap());
    let plan = |(processes, threads)| Plan { processes, threads, ..Plan::kill(seed).calm() };
    let begin = |plan: &Plan| {
        let addresses = free_addresses(plan.processes);
        let n = usize::from(plan.processes);
        Vec::from_iter((0..n).map(|index| start(&job, dir.path(), plan, &addresses, &[], index)))
    };
    let checkpoints = dir.path().join("checkpoints");
    let first = begin(&plan(before));
    let round = 10 + sm(seed, 0) % (train::ROUNDS / 3);
    wait_until("a checkpoint of the training", || newest_round(&checkpoints).filter(|at| *at >= round));
    first[sm(seed, 1) as usize % first.len()].signal("KILL");
    let finished: Vec<Finished> = first.into_iter().map(Running::finish).collect();
    assert!(
        finished.iter().any(|process| process.signal() == Some(9)),
        "seed {seed}: it had ended: {finished:#?}"
    );
    let newest = newest_round(&checkpoints).unwrap();

    let second: Vec<Finished> = begin(&plan(after)).into_iter().map(Running::finish).collect();
    assert!(second.iter().all(|process| process.code() == Some(0)), "seed {seed}: {second:#?}");
    let begins = format!("begins with round {newest}.");
    assert!(second[0].out.contains(&begins), "seed {seed}: expected \"{begins}\": {second:#?}");
    assert!(contents(&dir.path().join("files")) == (job.expected)(), "seed {seed}: other models");
}

#[test]
fn killed_training_begins_with_the_round_of_its_newest_checkpoint() {
    for (seed, layout) in [(1, (1, 1)), (2, (1, 2)), (3, (1, 4)), (4, (2, 1))] {
        kill_and_go_on(seed, layout, layout);
    }
}

#[test]
fn killed_training_goes_on_with_its_round_on_another_number_of_workers() {
    for (seed, before, after) in [(5, (1, 2), (1, 3)), (6, (2, 1), (1, 1)), (7, (1, 3), (2, 1))] {
        kill_and_go_on(seed, before, after);
    }
}
