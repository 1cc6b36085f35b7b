//! T-NEW-14: memory is bounded by the credit, not by the number of pulls.
//!
//! Peak memory belongs to a process, so each measurement is this test run again in a process of its own.

use std::process::Command;

use waterwheel::engine::machine;
use waterwheel::prelude::*;

use super::support::run;
use crate::cluster::test_path;

/// Set in the process that measures, to its number of workers.
const MEASURES: &str = "WW_MEMORY_CHILD";
const PULLS: u64 = 10_000_000;
const KEYS: u64 = 1_000;
const MAX_GROWTH_BYTES: u64 = 100_000_000;

/// Pulls `per_record` keys for every record, from the record's number on.
struct Puller {
    per_record: u64,
    answered: u64,
}

impl WorkerLogic for Puller {
    type In = u64;
    type Key = u64;
    type Pull = f32;
    type Push = f32;
    type Out = u64;

    fn on_recv(&mut self, first: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        (first..first + self.per_record).try_for_each(|pull| ps.pull(pull % KEYS))
    }

    fn on_pull_recv(&mut self, _: &u64, _: &[f32], _: &mut ParameterServerClient<Self>) -> Result<()> {
        self.answered += 1;
        Ok(())
    }

    fn close(&mut self, out: &mut Collector<u64>) -> Result<()> {
        out.emit(self.answered);
        Ok(())
    }
}

/// Runs so many pulls, `per_record` for each record, and returns how many were answered.
fn answered(workers: usize, pulls: u64, per_record: u64) -> u64 {
    let workers = run(RuntimeConfig::threads(workers), move |env| {
        let splits = env.workers();
        let records =
            env.from_splits(splits, move |split| (split as u64..pulls / per_record).step_by(splits));
        let add = |row: &mut [f32], delta: &[f32]| row[0] += delta[0];
        let server = SimpleServer::new(|_: &u64, row: &mut Vec<f32>| row.push(0.0), add);
        let config = PsConfig::new().credit(4_096).placement(Placement::Range(KEYS));
        Ok(ps::transform(records, Puller { per_record, answered: 0 }, server, &config)?.output.collect())
    });
    workers.concat().iter().sum()
}

/// In the process that measures: by how much peak memory exceeds what there was before the run.
fn measure(workers: usize, per_record: u64) {
    // The pages of the program itself are no memory of the pulls: they are there before.
    assert_eq!(answered(workers, KEYS, 1), KEYS);
    let before = machine::rss_bytes();
    assert_eq!(answered(workers, PULLS, per_record), PULLS);
    let (Some(before), Some(peak)) = (before, machine::peak_rss_bytes()) else {
        return eprintln!("this system does not tell the memory of a process");
    };
    let growth = peak - before;
    eprintln!("{workers} workers, {per_record} pulls a record: memory grew by {:.1} MB", growth as f64 / 1e6);
    assert!(growth < MAX_GROWTH_BYTES, "{growth} bytes");
}

/// Measures at 1, 2 and 4 workers. `path` is [`test_path`] of the calling test.
fn assert_bounded(path: &str, per_record: u64) {
    if let Ok(workers) = std::env::var(MEASURES) {
        return measure(workers.parse().unwrap(), per_record);
    }
    let (_crate, path) = path.split_once("::").unwrap();
    for workers in ["1", "2", "4"] {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args([path, "--exact", "--nocapture", "--test-threads=1"]).env(MEASURES, workers);
        let output = child.output().unwrap();
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{workers} workers");
    }
}

#[test]
fn t_new_14_ten_million_pulls_of_as_many_records_need_little_memory() {
    assert_bounded(test_path!(t_new_14_ten_million_pulls_of_as_many_records_need_little_memory), 1);
}

#[test]
fn t_new_14_ten_million_pulls_of_one_record_need_little_memory() {
    assert_bounded(test_path!(t_new_14_ten_million_pulls_of_one_record_need_little_memory), PULLS);
}
