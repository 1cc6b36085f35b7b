//! Every algorithm on the parameter server, killed in the middle at 1, 2 and 4 workers and 2 processes, goes on from a
//! checkpoint and ends with the right result.
//!
//! Where a run can be repeated, the result is that of one that nobody disturbs, bit for bit; elsewhere nothing is lost and
//! nothing doubled, and the quality is in a band.

mod jobs;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use waterwheel::engine::checkpoint::{CheckpointStore, Newest};
use waterwheel::prelude::*;

use super::chaos::argument;
use crate::cluster::test_path;
use crate::failures::process::{Finished, Running, free_addresses, wait_until};
use jobs::{Algorithm, algorithm};

/// Processes, and workers of each.
const LAYOUTS: [(u16, usize); 4] = [(1, 1), (1, 2), (1, 4), (2, 1)];
const NAME: &str = "algorithm";

fn config(dir: &Path, threads: usize) -> RuntimeConfig {
    let often = CheckpointConfig::new(dir.join("checkpoints").display().to_string());
    RuntimeConfig::threads(threads).job_name(NAME).checkpoints(often.interval(Duration::from_millis(10)))
}

/// No test by itself: where the processes enter that are started to be killed. The first one writes the result.
#[test]
#[expect(clippy::disallowed_methods, reason = "it is the main function of a process of its own")]
fn process_that_may_be_killed_trains() {
    let Some(name) = argument(NAME) else { return };
    let dir = PathBuf::from(argument("dir").unwrap());
    let addresses: Vec<String> = argument("addresses").unwrap().split(',').map(String::from).collect();
    let process: usize = argument("process").unwrap().parse().unwrap();
    let config = config(&dir, argument("threads").unwrap().parse().unwrap())
        .processes(addresses.len())
        .process(Some(process))
        .addresses(addresses);
    match (algorithm(&name).run)(config) {
        Ok(lines) if process == 0 => std::fs::write(dir.join("result"), lines.join("\n")).unwrap(),
        Ok(_) => {}
        Err(error) => {
            eprintln!("{}", error.full_message());
            std::process::exit(3);
        }
    }
}

fn start(name: &str, dir: &Path, (processes, threads): (u16, usize)) -> Vec<Running> {
    let (_crate, path) = test_path!(process_that_may_be_killed_trains).split_once("::").unwrap();
    let addresses = free_addresses(processes).join(",");
    let process = |index| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([path, "--exact", "--nocapture", "--test-threads=1"]);
        command.args([format!("{NAME}={name}"), format!("dir={}", dir.display())]);
        command.args([format!("threads={threads}"), format!("process={index}")]);
        Running::start(command.arg(format!("addresses={addresses}")))
    };
    (0..processes).map(process).collect()
}

/// How far a worker of the parameter server is.
struct Stage {
    clock: u64,
    input_ended: bool,
}

/// The epoch of the newest checkpoint, and how far its workers are.
fn newest(dir: &Path) -> Option<(u64, Stage)> {
    let location = dir.join("checkpoints").display().to_string();
    let store = CheckpointStore::open(&location, NAME).ok()?;
    let Ok(Newest::Found { checkpoint, .. }) = store.newest() else { return None };
    let keys = checkpoint.keys().into_iter();
    let mut worker = keys.filter(|key| key.operator.contains("ps worker") && key.kind == "pooled");
    let section = worker.next_back().and_then(|key| checkpoint.read_ungrouped(&key).next())?.ok()?;
    let (_workers, (clock, _awaits, input_ended, _closed)) =
        StateReader::new(section.bytes).next_item::<(u64, (u64, bool, bool, bool))>().ok()??;
    Some((checkpoint.epoch(), Stage { clock, input_ended }))
}

/// How often it is tried to kill a training before it ends.
const TRIES: usize = 8;

/// Trains, kills a process behind a checkpoint, and trains again: the result. On a busy machine a training may end before
/// the kill comes; then it is done once more.
fn killed(algorithm: &Algorithm, layout: (u16, usize)) -> Vec<String> {
    let name = algorithm.name;
    let once = || {
        let dir = tempfile::tempdir().unwrap();
        kill_behind_a_checkpoint(algorithm, layout, dir.path()).then_some(dir)
    };
    let dir = (0..TRIES).find_map(|_| once());
    let dir = dir.unwrap_or_else(|| panic!("{name}, {layout:?}: it has ended before each of {TRIES} kills"));
    let second: Vec<Finished> = start(name, dir.path(), layout).into_iter().map(Running::finish).collect();
    assert!(second.iter().all(|process| process.code() == Some(0)), "{name}, {layout:?}: {second:#?}");
    let result = std::fs::read_to_string(dir.path().join("result")).unwrap();
    result.lines().map(String::from).collect()
}

/// Trains, and kills a process behind a checkpoint. Returns whether the training had not ended.
fn kill_behind_a_checkpoint(algorithm: &Algorithm, layout: (u16, usize), dir: &Path) -> bool {
    let name = algorithm.name;
    let first = start(name, dir, layout);
    let far_enough = |(epoch, stage): &(u64, Stage)| match algorithm.trains_behind_its_input {
        true => stage.input_ended && stage.clock >= 3,
        false => *epoch >= 3,
    };
    let at = wait_until("a checkpoint, or the end", || {
        let far_enough = newest(dir).filter(far_enough);
        (far_enough.is_some() || first.iter().all(Running::has_ended)).then_some(far_enough)
    });
    first[first.len() - 1].signal("KILL");
    let first: Vec<Finished> = first.into_iter().map(Running::finish).collect();
    let was_killed = first.iter().any(|process| process.signal() == Some(9));
    let failed = first.iter().find(|process| process.code().is_some_and(|code| code != 0));
    assert!(was_killed || failed.is_none(), "{name}, {layout:?}: {first:#?}");
    let Some((epoch, stage)) = at.filter(|_| was_killed && !dir.join("result").exists()) else {
        return false;
    };
    println!("{name}, {layout:?}: killed behind epoch {epoch}, clock {}", stage.clock);
    true
}

/// Kills and compares, in every layout.
fn survives(name: &str) {
    let algorithm = algorithm(name);
    for layout in LAYOUTS {
        let workers = usize::from(layout.0) * layout.1;
        let found = killed(&algorithm, layout);
        if workers <= algorithm.repeatable_up_to {
            let undisturbed = (algorithm.run)(RuntimeConfig::threads(workers)).unwrap();
            assert!(found == undisturbed, "{name}, {layout:?}: another result");
        }
        (algorithm.check)(&found, &format!("{name}, {layout:?}"));
    }
}

#[test]
fn passive_aggressive_of_two_classes_survives_a_kill() {
    survives("pa");
}

#[test]
fn passive_aggressive_of_many_classes_survives_a_kill() {
    survives("pa-multiclass");
}

#[test]
fn logistic_regression_with_sgd_survives_a_kill() {
    survives("logistic-sgd");
}

#[test]
fn logistic_regression_with_adagrad_survives_a_kill() {
    survives("logistic-adagrad");
}

#[test]
fn logistic_regression_with_ftrl_survives_a_kill() {
    survives("logistic-ftrl");
}

#[test]
fn factorization_machine_survives_a_kill() {
    survives("fm");
}

#[test]
fn offline_factorization_survives_a_kill() {
    survives("mf");
}

#[test]
fn online_factorization_survives_a_kill() {
    survives("mf-online");
}

#[test]
fn recommender_and_what_is_popular_survive_a_kill() {
    survives("recommender");
}

#[test]
fn sketches_of_words_survive_a_kill() {
    survives("sketches");
}

#[test]
fn topics_survive_a_kill_between_sweeps() {
    survives("lda");
}

#[test]
fn bulk_synchronous_topics_survive_a_kill() {
    survives("lda-bsp");
}

#[test]
fn word_vectors_survive_a_kill_between_epochs() {
    survives("word2vec");
}
