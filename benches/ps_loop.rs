//! Pull and push of rows of ten floats over a million keys, beside two floors: the same updates on one array
//! by one thread, and the same bytes through two exchanges of raw timely.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods)]

mod common;

use std::sync::Arc;

use common::{Bench, Figure, medians, ns_per};
use waterwheel::prelude::*;

const KEYS: u64 = 1_000_000;
const WIDTH: usize = 10;

fn step(value: f32) -> f32 {
    0.01 * (1.0 - value)
}

struct Touch;

impl WorkerLogic for Touch {
    type In = u32;
    type Key = u32;
    type Pull = f32;
    type Push = f32;
    type Out = ();

    #[inline]
    fn on_recv(&mut self, key: u32, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.pull(key)
    }

    #[inline]
    fn on_pull_recv(&mut self, key: &u32, row: &[f32], ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.push(*key, row.iter().map(|value| step(*value)))
    }
}

/// Pull and push of every key through the parameter server.
fn ours(keys: &Arc<Vec<u32>>, workers: usize, placement: &Placement<u32>) -> f64 {
    let (keys, placement) = (Arc::clone(keys), placement.clone());
    ns_per(keys.len(), || {
        execute(RuntimeConfig::threads(workers), move |env| {
            let (keys, splits) = (Arc::clone(&keys), env.workers());
            let data = env.from_splits(splits, move |split| {
                let (keys, part) = (Arc::clone(&keys), keys.len() / splits);
                (split * part..(split + 1) * part).map(move |i| keys[i])
            });
            let init = |_: &u32, row: &mut Vec<f32>| row.extend([0.0; WIDTH]);
            let add = |row: &mut [f32], delta: &[f32]| row.iter_mut().zip(delta).for_each(|(v, d)| *v += d);
            let server = SimpleServer::new(init, add).emit(Emit::Never);
            let config = PsConfig::new().width(WIDTH).placement(placement.clone());
            ps::transform(data, Touch, server, &config)?;
            Ok(())
        })
        .unwrap()
    })
}

/// The same updates on one array, by one thread.
fn direct(keys: &[u32]) -> f64 {
    ns_per(keys.len(), || {
        let mut table = vec![0.0f32; KEYS as usize * WIDTH];
        for key in keys {
            let at = *key as usize * WIDTH;
            for value in &mut table[at..at + WIDTH] {
                *value += step(*value);
            }
        }
        table[7]
    })
}

/// Key and row of every operation to the worker of the key and back, on raw timely.
fn raw_timely(keys: &Arc<Vec<u32>>, workers: usize) -> f64 {
    use timely::dataflow::operators::{Exchange, Probe, ToStream};

    let keys = Arc::clone(keys);
    ns_per(keys.len(), || {
        timely::execute(timely::Config::process(workers), move |worker| {
            let (keys, part) = (Arc::clone(&keys), keys.len() / worker.peers());
            let me = worker.index();
            let probe = worker.dataflow::<u64, _, _>(|scope| {
                let rows = (me * part..(me + 1) * part).map(move |i| (keys[i], me as u32, [0.5f32; WIDTH]));
                rows.to_stream(scope)
                    .container::<Vec<_>>()
                    .exchange(|row| u64::from(row.0))
                    .exchange(|row| u64::from(row.1))
                    .probe()
                    .0
            });
            while !probe.done() {
                worker.step_or_park(None);
            }
        })
        .unwrap()
        .join()
    })
}

fn uniform(n: u64) -> Vec<u32> {
    (0..n).map(|i| (generate::unit(1, i) * KEYS as f64) as u32).collect()
}

/// Zipf with exponent 1.1 by inverting its distribution function; ranks are scattered over the keys.
fn zipf(n: u64) -> Vec<u32> {
    let mut sums: Vec<f64> = (1..=KEYS).map(|rank| (rank as f64).powf(-1.1)).collect();
    for i in 1..sums.len() {
        sums[i] += sums[i - 1];
    }
    let total = sums[sums.len() - 1];
    let rank = |i| sums.partition_point(|sum| *sum < generate::unit(2, i) * total) as u64;
    (0..n).map(|i| ((rank(i) * 7_919) % KEYS) as u32).collect()
}

fn main() {
    let bench = Bench::from_args("ps_loop");
    let (n, runs) = if bench.quick { (1_000_000, 3) } else { (10_000_000, 5) };
    for (name, keys) in [("uniform", uniform(n)), ("zipf(1.1)", zipf(n))] {
        let keys = Arc::new(keys);
        let (range, hash) = (Placement::Range(KEYS), Placement::Hash);
        let [array, raw1, raw2, range1, range2, hash1, hash2] = medians(
            runs,
            [
                &mut || direct(&keys),
                &mut || raw_timely(&keys, 1),
                &mut || raw_timely(&keys, 2),
                &mut || ours(&keys, 1, &range),
                &mut || ours(&keys, 2, &range),
                &mut || ours(&keys, 1, &hash),
                &mut || ours(&keys, 2, &hash),
            ],
        );
        let all = [
            ("range", 1, range1, raw1),
            ("range", 2, range2, raw2),
            ("hash", 1, hash1, raw1),
            ("hash", 2, hash2, raw2),
        ];
        for (storage, workers, ours, raw) in all {
            for (floor_name, floor) in [("direct array", array), ("raw timely", raw)] {
                let case = &format!("{name} {storage}");
                let unit = "ns/pull+push";
                bench.report(&Figure { case, workers, processes: 1, ours, floor, floor_name, unit });
            }
        }
    }
}
