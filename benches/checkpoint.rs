//! What checkpoints cost: a keyed count and a job of the parameter server with one every second beside the same with none; the longest time for which a
//! large state stops the flow; how fast it is written; and how long a job takes from its restart to its first result.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods)]

#[path = "common/mod.rs"]
mod common;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use common::{Bench, Figure, medians};
use waterwheel::prelude::*;
use waterwheel::ps::transform;

/// Bytes of an entry's state beside its count, in memory and in a checkpoint.
const PAYLOAD: usize = 88;

fn main() {
    let bench = Bench::from_args("checkpoint");
    let records = if bench.quick { 20_000_000 } else { 120_000_000 };
    for workers in [1, 2] {
        throughput(&bench, ("count, 1 s interval", count), workers, records);
        throughput(&bench, ("parameter server, 1 s interval", pull_and_push), workers, records / 4);
    }
    let sizes: &[u64] = if bench.quick { &[100] } else { &[100, 1000] };
    for megabytes in sizes {
        large_state(&bench, *megabytes);
    }
}

/// Numbers, first each key once, then keys in an order that looks like none.
struct Load {
    next: u64,
    step: u64,
    end: u64,
    keys: u64,
}

/// What a run has seen.
#[derive(Default)]
struct Watch {
    /// When the last result came, and the longest time between two of them, in nanoseconds since the start.
    last_result: AtomicU64,
    longest_gap: AtomicU64,
    /// When the first result came.
    first_result: AtomicU64,
}

impl Source for Load {
    type Item = u64;

    fn read(&mut self, limit: usize, out: &mut Vec<u64>) -> Result<SourceStatus> {
        let end = self.end.min(self.next + self.step * limit as u64);
        while self.next < end {
            let i = self.next;
            let mixed = (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20) % self.keys;
            out.push(if i < self.keys { i } else { mixed });
            self.next += self.step;
        }
        Ok(if self.next >= self.end { SourceStatus::Done } else { SourceStatus::Ready })
    }

    fn position(&self) -> Result<Option<SourcePosition>> {
        SourcePosition::new(&self.next).map(Some)
    }

    fn seek(&mut self, position: &SourcePosition) -> Result<()> {
        self.next = position.get()?;
        Ok(())
    }
}

fn load<'s>(env: &Env<'s>, end: u64, keys: u64) -> DataStream<'s, u64> {
    let step = env.workers() as u64;
    let open = move |split| Ok(Load { next: split as u64, step, end, keys });
    env.source("load", env.workers(), open).uid("load")
}

fn every_second(dir: &Path, state: &CheckpointState) -> CheckpointConfig {
    let checkpoints = CheckpointConfig::new(dir.display().to_string()).interval(Duration::from_secs(1));
    checkpoints.state(state.clone())
}

/// A count of a million keys.
fn count(config: RuntimeConfig, records: u64) {
    execute(config, move |env| {
        let counts = load(env, records, 1_000_000).key_by(|x| *x).at_end().count();
        counts.uid("counts").sink(|_| Ok(())).uid("sink");
        Ok(())
    })
    .unwrap();
}

/// Pulls a row of eight of a million keys, and adds to it.
struct PullThenPush;

impl WorkerLogic for PullThenPush {
    type In = u64;
    type Key = u64;
    type Pull = f32;
    type Push = f32;
    type Out = ();

    fn on_recv(&mut self, x: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.pull(x)
    }

    fn on_pull_recv(&mut self, key: &u64, _row: &[f32], ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.push(*key, [1.0; 8])
    }
}

fn pull_and_push(config: RuntimeConfig, records: u64) {
    execute(config, move |env| {
        let server = SimpleServer::new(
            |_key: &u64, row: &mut Vec<f32>| row.extend([0.0; 8]),
            |row: &mut [f32], delta: &[f32]| row.iter_mut().zip(delta).for_each(|(a, b)| *a += b),
        );
        let ps = PsConfig::new().width(8);
        let trained = transform(load(env, records, 1_000_000), PullThenPush, server.emit(Emit::Never), &ps)?;
        trained.model.sink(|_| Ok(()));
        Ok(())
    })
    .unwrap();
}

/// A job with a state of a million keys, with and without checkpoints in turns.
fn throughput(bench: &Bench, (case, job): (&str, fn(RuntimeConfig, u64)), workers: usize, records: u64) {
    let mut made = 0;
    let run = |config: RuntimeConfig| {
        let start = Instant::now();
        job(config, records);
        start.elapsed().as_secs_f64() * 1e9 / records as f64
    };
    let [with, without] = medians(
        3,
        [
            &mut || {
                let (dir, state) = (tempfile::tempdir().unwrap(), CheckpointState::new());
                let time = run(RuntimeConfig::threads(workers).checkpoints(every_second(dir.path(), &state)));
                made += state.counts().completed;
                time
            },
            &mut || run(RuntimeConfig::threads(workers)),
        ],
    );
    let (floor_name, unit) = ("none", "ns/record");
    bench.report(&Figure { case, workers, processes: 1, ours: with, floor: without, floor_name, unit });
    if !bench.json {
        println!("    {made} checkpoints in 3 runs");
    }
}

/// A state of so many megabytes: pauses, speed and restart.
fn large_state(bench: &Bench, megabytes: u64) {
    let keys = megabytes * 1_000_000 / (PAYLOAD as u64 + 12);
    let dir = tempfile::tempdir().unwrap();
    let (state, watch) = (CheckpointState::new(), Arc::new(Watch::default()));
    let start = Instant::now();
    let done = run_large(every_second(dir.path(), &state), keys, &watch, start, Some(state.clone()));
    assert!(done.is_err(), "it ends when there are checkpoints enough");
    let counts = state.counts();
    let gap = Duration::from_nanos(watch.longest_gap.load(Relaxed));

    // The same with no checkpoint: what else stops the source.
    let calm = Arc::new(Watch::default());
    let never = CheckpointConfig::new(dir.path().join("none").display().to_string())
        .interval(Duration::from_secs(86_400));
    let begun = Instant::now();
    let seconds = start.elapsed().as_secs();
    let _ = run_large(never, keys, &calm, begun, None);
    let calm_gap = Duration::from_nanos(calm.longest_gap.load(Relaxed));

    let restarted = Arc::new(Watch::default());
    let start = Instant::now();
    let again = CheckpointState::new();
    let _ = run_large(every_second(dir.path(), &again), keys, &restarted, start, Some(again.clone()));
    let first = Duration::from_nanos(restarted.first_result.load(Relaxed));

    let case = format!("longest gap, {megabytes} MB");
    let (workers, processes, floor_name, unit) = (1, 1, "no checkpoint", "ms");
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    let (ours, floor) = (millis(gap), millis(calm_gap));
    bench.report(&Figure { case: &case, workers, processes, ours, floor, floor_name, unit });
    if !bench.json {
        let speed =
            counts.bytes as f64 / counts.completed.max(1) as f64 / counts.duration.as_secs_f64() / 1e6;
        println!(
            "    {} checkpoints in {seconds} s, sources held for {:.2} ms at most; the last took {:.2} s ({speed:.0} MB/s); \
             restart to first result {:.2} s",
            counts.completed,
            millis(counts.longest_pause),
            counts.duration.as_secs_f64(),
            first.as_secs_f64(),
        );
    }
}

/// Runs until there are a few checkpoints of the full state, or, without `state`, for as many records as that takes at
/// least.
fn run_large(
    checkpoints: CheckpointConfig,
    keys: u64,
    watch: &Arc<Watch>,
    start: Instant,
    state: Option<CheckpointState>,
) -> Result<()> {
    let watch = Arc::clone(watch);
    execute(RuntimeConfig::threads(1).checkpoints(checkpoints), move |env| {
        let end = if state.is_some() { u64::MAX } else { 4 * keys };
        let (seen, state) = (Arc::clone(&watch), state.clone());
        let counts =
            load(env, end, keys).key_by(|x| *x).process(|key, state: &mut (u64, Vec<u8>), _x, out| {
                if state.1.is_empty() {
                    state.1 = vec![*key as u8; PAYLOAD];
                }
                state.0 += 1;
                out.emit(state.0);
            });
        let (mut n, mut wanted) = (0u64, None);
        counts.uid("counts").sink(move |_| {
            let now = start.elapsed().as_nanos() as u64;
            if n == 0 {
                seen.first_result.store(now, Relaxed);
            }
            n += 1;
            // While the state grows, tables grow too, which stops the flow whether or not there are checkpoints.
            if n > 2 * keys {
                let gap = now - seen.last_result.load(Relaxed);
                seen.longest_gap.fetch_max(gap, Relaxed);
            }
            seen.last_result.store(now, Relaxed);
            if n > 2 * keys
                && n % 4096 == 0
                && let Some(state) = &state
            {
                let completed = state.counts().completed;
                let wanted = *wanted.get_or_insert(completed + 4);
                if completed >= wanted {
                    return Err(Error::operator("enough"));
                }
            }
            Ok(())
        });
        Ok(())
    })
    .map(drop)
}
