//! The time from the kill of a process to the first new result of the one that is started in its place.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use waterwheel::prelude::*;

use crate::common::{Bench, Figure};
use crate::load::{count_large, every_second, keys_of};

/// What a process does that is started to be killed.
pub struct Job {
    dir: PathBuf,
    keys: u64,
}

/// Says, in the environment, that this process is one of those: the directory, and the number of keys.
const VARIABLE: &str = "WATERWHEEL_BENCH_KILL";

impl Job {
    pub fn of_this_process() -> Option<Self> {
        let job = std::env::var(VARIABLE).ok()?;
        let (keys, dir) = job.split_once(' ').unwrap();
        Some(Job { dir: dir.into(), keys: keys.parse().unwrap() })
    }

    /// Says on its output when the first result comes, and each checkpoint after each key was there.
    pub fn run(self) {
        let (state, keys) = (CheckpointState::new(), self.keys);
        let config = RuntimeConfig::threads(1).checkpoints(every_second(&self.dir, &state));
        let (mut n, mut told) = (0u64, 0);
        let see = move |_count| {
            n += 1;
            if n == 1 {
                say("result");
            }
            if n > keys && n.is_multiple_of(4096) {
                let completed = state.counts().completed;
                if completed > told {
                    told = completed;
                    say("checkpoint");
                }
            }
            Ok(())
        };
        count_large(config, (u64::MAX, keys), see).unwrap();
    }
}

fn say(what: &str) {
    println!("{what}");
    std::io::stdout().flush().unwrap();
}

fn start(dir: &std::path::Path, keys: u64) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(VARIABLE, format!("{keys} {}", dir.display())).stdout(Stdio::piped());
    command.spawn().unwrap()
}

/// Reads what the process says until it has said `what` so often.
fn await_word(said: &mut impl BufRead, what: &str, times: usize) {
    let words = said.lines().map(Result::unwrap).filter(|word| word == what);
    assert_eq!(words.take(times).count(), times, "the process has ended");
}

fn output(child: &mut Child) -> BufReader<std::process::ChildStdout> {
    BufReader::new(child.stdout.take().unwrap())
}

pub fn to_first_result(bench: &Bench, megabytes: u64) {
    let (dir, keys) = (tempfile::tempdir().unwrap(), keys_of(megabytes));
    let first_of = |dir: &std::path::Path| {
        let start_at = Instant::now();
        let mut child = start(dir, keys);
        let mut said = output(&mut child);
        await_word(&mut said, "result", 1);
        (start_at.elapsed(), child, said)
    };
    let (of_new_job, mut child, mut said) = first_of(dir.path());
    let mut times = Vec::new();
    for _ in 0..3 {
        // Two of them hold every key: that which was under way, and one more.
        await_word(&mut said, "checkpoint", 2);
        let killed = Instant::now();
        child.kill().unwrap();
        child.wait().unwrap();
        let (_time, next, next_said) = first_of(dir.path());
        times.push(killed.elapsed().as_secs_f64());
        (child, said) = (next, next_said);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let ours = crate::common::median(times);
    let (case, floor) = (&format!("kill, {megabytes} MB"), Duration::as_secs_f64(&of_new_job));
    let (workers, processes, floor_name, unit) = (1, 1, "new job", "s");
    bench.report(&Figure { case, workers, processes, ours, floor, floor_name, unit });
}
