//! Jobs with a state of a million keys, with and without checkpoints in turns.

use std::time::{Duration, Instant};

use waterwheel::prelude::*;
use waterwheel::ps::transform;

use crate::common::{Bench, Figure, medians};
use crate::load::{every_second, key_of, load, open};

const KEYS: u64 = 1_000_000;

pub fn all(bench: &Bench) {
    let records = if bench.quick { 60_000_000 } else { 400_000_000 };
    for workers in [1, 2] {
        measure(bench, ("count, 1 s interval", count), workers, records);
        measure(bench, ("windows, 1 s interval", windows), workers, records / 4);
        measure(bench, ("parameter server, 1 s", pull_and_push), workers, records / 4);
    }
}

fn count(config: RuntimeConfig, records: u64) -> Result<()> {
    let job = move |env: &Env<'_>| {
        let counts = load(env, records).key_by(|x| key_of(*x, KEYS)).at_end().count();
        counts.uid("counts").sink(|_| Ok(())).uid("sink");
        Ok(())
    };
    execute(config, job).map(drop)
}

/// Counts in windows that take a quarter of all records each.
fn windows(config: RuntimeConfig, records: u64) -> Result<()> {
    let job = move |env: &Env<'_>| {
        let in_order = WatermarkStrategy::monotonous(|x: &u64| (*x / 1000) as i64);
        let numbers =
            env.source_with_watermarks("load", env.workers(), open(env, records), in_order).uid("load");
        let size = Duration::from_millis(records / 4000);
        let windows = numbers.key_by(|x| key_of(*x, KEYS)).window(Windows::tumbling(size)?);
        windows.count().results.uid("counts").into_stream().sink(|_| Ok(()));
        Ok(())
    };
    execute(config, job).map(drop)
}

/// Pulls a row of eight, and adds to it.
struct PullThenPush;

impl WorkerLogic for PullThenPush {
    type In = u64;
    type Key = u64;
    type Pull = f32;
    type Push = f32;
    type Out = ();

    fn on_recv(&mut self, x: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.pull(key_of(x, KEYS))
    }

    fn on_pull_recv(&mut self, key: &u64, _row: &[f32], ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.push(*key, [1.0; 8])
    }
}

fn pull_and_push(config: RuntimeConfig, records: u64) -> Result<()> {
    let job = move |env: &Env<'_>| {
        let server = SimpleServer::new(
            |_key: &u64, row: &mut Vec<f32>| row.extend([0.0; 8]),
            |row: &mut [f32], delta: &[f32]| row.iter_mut().zip(delta).for_each(|(a, b)| *a += b),
        );
        let ps = PsConfig::new().width(8);
        let trained = transform(load(env, records), PullThenPush, server.emit(Emit::Never), &ps)?;
        trained.model.sink(|_| Ok(()));
        Ok(())
    };
    execute(config, job).map(drop)
}

type Run = fn(RuntimeConfig, u64) -> Result<()>;

fn measure(bench: &Bench, (case, run): (&str, Run), workers: usize, records: u64) {
    if !bench.runs(case) {
        return;
    }
    let (mut made, mut longest_pause) = (0, Duration::ZERO);
    let time = |config: RuntimeConfig| {
        let start = Instant::now();
        run(config, records).unwrap();
        start.elapsed().as_secs_f64() * 1e9 / records as f64
    };
    let mut with = || {
        let (dir, state) = (tempfile::tempdir().unwrap(), CheckpointState::new());
        let time = time(RuntimeConfig::threads(workers).checkpoints(every_second(dir.path(), &state)));
        made += state.counts().completed;
        longest_pause = longest_pause.max(state.counts().longest_pause);
        time
    };
    let [ours, floor] = medians(3, [&mut with, &mut || time(RuntimeConfig::threads(workers))]);
    let (processes, floor_name, unit) = (1, "none", "ns/record");
    bench.report(&Figure { case, workers, processes, ours, floor, floor_name, unit });
    if !bench.json {
        println!(
            "    throughput {:.3} of that without; {made} checkpoints in 3 runs, sources held for {:.2} ms at most",
            floor / ours,
            longest_pause.as_secs_f64() * 1e3
        );
    }
}
