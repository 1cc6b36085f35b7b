//! Processes that are killed at random times, and started again with another layout, until the job ends.
//!
//! `WATERWHEEL_CHAOS_RUNS` sets the number of runs; each failure names its seed.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use waterwheel::engine::machine;
use waterwheel::ml::generate::sm;
use waterwheel::prelude::*;

use super::files::contents;
use crate::cluster::test_path;
use crate::failures::process::{Finished, Running, free_addresses};

/// Records of a job, and how many a split gives before it pauses.
const RECORDS: u64 = 40_000;
const CHUNK: u64 = 100;
const SPLITS: usize = 4;
const KEYS: u64 = 1_000;

/// Numbers with a pause now and then, so that there is time to be killed in.
struct Paced {
    next: u64,
    end: u64,
}

impl Source for Paced {
    type Item = u64;

    fn read(&mut self, limit: usize, out: &mut Vec<u64>) -> Result<SourceStatus> {
        let end = self.end.min(self.next + CHUNK.min(limit as u64));
        out.extend(self.next..end);
        self.next = end;
        Ok(if end == self.end { SourceStatus::Done } else { SourceStatus::Idle(Duration::from_millis(5)) })
    }

    fn position(&self) -> Result<Option<SourcePosition>> {
        SourcePosition::new(&self.next).map(Some)
    }

    fn seek(&mut self, position: &SourcePosition) -> Result<()> {
        self.next = position.get()?;
        Ok(())
    }
}

fn numbers<'s>(env: &Env<'s>) -> DataStream<'s, u64> {
    let share = RECORDS / SPLITS as u64;
    env.source("numbers", SPLITS, move |split| {
        let start = split as u64 * share;
        Ok(Paced { next: start, end: start + share })
    })
    .uid("numbers")
}

/// Counts by key, each result to a file.
fn count_to_files(config: RuntimeConfig, dir: &Path) -> Result<()> {
    let files = dir.join("files");
    execute(config, move |env| {
        let counts = numbers(env).key_by(|x| x % KEYS).count().uid("counts");
        counts.write_files(&files, ".txt", |(key, n), file| writeln!(file, "{key} {n}"));
        Ok(())
    })
    .map(drop)
}

/// Halves numbers in a loop until they are odd, and counts what it passes, each result to a file.
fn loop_to_files(config: RuntimeConfig, dir: &Path) -> Result<()> {
    let files = dir.join("files");
    execute(config, move |env| {
        let start = numbers(env).filter(|x| *x > 0);
        let (counted,) = Iterations::iterate_unbounded((start,), (), |_it, (x,), ()| {
            let counted = x.key_by(|x| x % KEYS).process(|key, n: &mut u64, x, out| {
                *n += 1;
                out.emit((x, *key, *n));
            });
            let counted = counted.uid("laps");
            let even = counted.clone().map(|(x, ..)| x).filter(|x| x % 2 == 0).map(|x| x / 2);
            IterationBodyResult::new((even,), (counted.map(|(_x, key, n)| (key, n)),))
        });
        counted.write_files(&files, ".txt", |(key, n), file| writeln!(file, "{key} {n}"));
        Ok(())
    })
    .map(drop)
}

type Job = fn(RuntimeConfig, &Path) -> Result<()>;

const JOBS: [(&str, Job); 2] = [("count", count_to_files), ("loop", loop_to_files)];

/// Starts process `index` of those at `addresses`.
fn start(job: &str, dir: &Path, addresses: &[String], index: usize, threads: usize) -> Running {
    let (_crate, path) = test_path!(process_that_may_be_killed_runs_its_job).split_once("::").unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([path, "--exact", "--nocapture", "--test-threads=1"]);
    command.args([format!("chaos={job}"), format!("dir={}", dir.display()), format!("threads={threads}")]);
    command.args([format!("process={index}"), format!("addresses={}", addresses.join(","))]);
    Running::start(&mut command)
}

fn argument(key: &str) -> Option<String> {
    std::env::args().find_map(|argument| argument.strip_prefix(&format!("{key}=")).map(String::from))
}

/// No test by itself: where the processes enter that are started to be killed.
#[test]
fn process_that_may_be_killed_runs_its_job() {
    let Some(name) = argument("chaos") else { return };
    let dir = std::path::PathBuf::from(argument("dir").unwrap());
    let addresses: Vec<String> = argument("addresses").unwrap().split(',').map(String::from).collect();
    let often = CheckpointConfig::new(dir.join("checkpoints").display().to_string());
    let config = RuntimeConfig::threads(argument("threads").unwrap().parse().unwrap())
        .processes(addresses.len())
        .process(Some(argument("process").unwrap().parse().unwrap()))
        .addresses(addresses)
        .job_name("chaos")
        .checkpoints(often.interval(Duration::from_millis(20)));
    let (_, job) = JOBS.into_iter().find(|(found, _)| *found == name).unwrap();
    job(config, &dir).unwrap();
}

/// Runs the job once, and kills one of its processes if `kill` says after which time; whether it has ended well.
fn run_once(job: &str, dir: &Path, seed: u64, kill: Option<Duration>) -> Result<bool, String> {
    let (processes, threads) = [(1, 1), (1, 2), (2, 1), (1, 4), (2, 2)][(seed % 5) as usize];
    let addresses = free_addresses(processes);
    let running: Vec<Running> =
        (0..usize::from(processes)).map(|index| start(job, dir, &addresses, index, threads)).collect();
    if let Some(after) = kill {
        let since = machine::now();
        while since.elapsed() < after {
            std::thread::park_timeout(after - since.elapsed().min(after));
        }
        running[(sm(seed, 1) % u64::from(processes)) as usize].signal("KILL");
    }
    let finished: Vec<Finished> = running.into_iter().map(Running::finish).collect();
    let well = finished.iter().all(|process| process.code() == Some(0));
    match well || kill.is_some() {
        true => Ok(well),
        false => Err(format!("{processes} processes of {threads}: {finished:#?}")),
    }
}

/// One run with up to three kills; the number of those that came before the end.
fn survive(job: &str, seed: u64, expected: &[String]) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let n_kills = 1 + sm(seed, 0) % 3;
    for attempt in 0..=n_kills {
        let kill = (attempt < n_kills).then(|| Duration::from_millis(sm(seed, 10 + attempt) % 700));
        match run_once(job, dir.path(), sm(seed, 20 + attempt), kill) {
            Ok(false) => {}
            Ok(true) => {
                let found = contents(&dir.path().join("files"));
                assert!(found == expected, "{job}, seed {seed}: other records after {attempt} kills");
                return attempt;
            }
            Err(why) => panic!("{job}, seed {seed}, after {attempt} kills: {why}"),
        }
    }
    panic!("{job}, seed {seed}: it has not ended, though nobody killed it");
}

/// How often each key is counted up to each number: once, as many times as the job counts it.
fn counted(times: impl Iterator<Item = u64>) -> Vec<String> {
    let mut n_of = BTreeMap::new();
    let mut lines = Vec::new();
    for key in times.map(|x| x % KEYS) {
        let n = n_of.entry(key).or_insert(0u64);
        *n += 1;
        lines.push(format!("{key} {n}"));
    }
    lines.sort();
    lines
}

fn runs() -> u64 {
    std::env::var("WATERWHEEL_CHAOS_RUNS").map_or(4, |n| n.parse().unwrap())
}

fn chaos(job: &str, first_seed: u64, expected: &[String]) {
    let kills: u64 = (first_seed..first_seed + runs()).map(|seed| survive(job, seed, expected)).sum();
    println!("{job}: {} runs, {kills} kills, nothing lost, nothing doubled", runs());
}

#[test]
fn keyed_count_to_files_survives_kills() {
    chaos("count", 100, &counted(0..RECORDS));
}

#[test]
fn asynchronous_loop_to_files_survives_kills() {
    let laps = (1..RECORDS).flat_map(|x| std::iter::successors(Some(x), |x| (x % 2 == 0).then_some(x / 2)));
    chaos("loop", 200, &counted(laps));
}
