//! What every benchmark program needs: flags, repetition, figures beside their floor.

#![allow(dead_code, unreachable_pub, reason = "each program includes this module and uses a part of it")]

use std::time::{Duration, Instant};

/// Flags of a benchmark program: `[--quick] [--json]`.
pub struct Bench {
    name: &'static str,
    pub quick: bool,
    json: bool,
}

impl Bench {
    /// Reads the flags; cargo's own `--bench` is skipped, anything else is refused.
    pub fn from_args(name: &'static str) -> Self {
        let mut bench = Bench { name, quick: false, json: false };
        for arg in std::env::args().skip(1) {
            match arg.as_str() {
                "--quick" => bench.quick = true,
                "--json" => bench.json = true,
                "--bench" => {}
                other => {
                    eprintln!(
                        "{name}: unknown argument {other}; usage: cargo bench --bench {name} -- [--quick] [--json]"
                    );
                    std::process::exit(2);
                }
            }
        }
        bench
    }

    /// Prints a figure: our time and the floor's for the same work, each in `unit`.
    pub fn report(&self, figure: &Figure<'_>) {
        let Figure { case, workers, processes, ours, floor, floor_name, unit } = figure;
        let ratio = ours / floor;
        if self.json {
            println!(
                "{{\"bench\":\"{}\",\"case\":\"{case}\",\"workers\":{workers},\"processes\":{processes},\
                 \"ours\":{ours:.3},\"floor\":{floor:.3},\"floor_name\":\"{floor_name}\",\
                 \"ratio\":{ratio:.3},\"unit\":\"{unit}\"}}",
                self.name
            );
        } else {
            println!(
                "{case:<28} workers {workers} processes {processes}   ours {ours:>9.2} {unit:<10} \
                 {floor_name}: {floor:>9.2}   ratio {ratio:.2}"
            );
        }
    }
}

/// One measured figure beside its floor.
pub struct Figure<'a> {
    pub case: &'a str,
    pub workers: usize,
    pub processes: usize,
    pub ours: f64,
    pub floor: f64,
    pub floor_name: &'a str,
    pub unit: &'a str,
}

/// The median of `runs` calls of `f`, in nanoseconds per operation of `n`.
pub fn median_ns(runs: usize, n: u64, mut f: impl FnMut() -> Duration) -> f64 {
    let mut times: Vec<Duration> = (0..runs).map(|_| f()).collect();
    times.sort();
    times[times.len() / 2].as_nanos() as f64 / n as f64
}

/// How long `f` takes.
pub fn timed<R>(f: impl FnOnce() -> R) -> (Duration, R) {
    let start = Instant::now();
    let result = f();
    (start.elapsed(), result)
}
