//! What every benchmark program needs: flags, repetition, figures beside their floor.

#![allow(dead_code, unreachable_pub, reason = "each program includes this module and uses a part of it")]

use std::time::Instant;

/// Flags of a benchmark program: `[--quick] [--json]`, and `[--only SUBSTRING]` of one that has many cases.
pub struct Bench {
    name: &'static str,
    pub quick: bool,
    pub json: bool,
    only: Option<String>,
}

impl Bench {
    /// Reads the flags; cargo's own `--bench` is skipped, anything else is refused.
    pub fn from_args(name: &'static str) -> Self {
        Self::read(name, false)
    }

    /// As [`from_args`](Self::from_args), of a program that asks which cases it [`runs`](Self::runs).
    pub fn with_filter(name: &'static str) -> Self {
        Self::read(name, true)
    }

    fn read(name: &'static str, filters: bool) -> Self {
        let mut bench = Bench { name, quick: false, json: false, only: None };
        let filter = if filters { " [--only SUBSTRING]" } else { "" };
        let usage = format!("usage: cargo bench --bench {name} -- [--quick] [--json]{filter}");
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--quick" => bench.quick = true,
                "--json" => bench.json = true,
                "--only" if filters => bench.only = args.next(),
                "--bench" => {}
                "--help" => {
                    println!("{usage}");
                    std::process::exit(0);
                }
                other => {
                    eprintln!("{name}: unknown argument {other}; {usage}");
                    std::process::exit(2);
                }
            }
        }
        bench
    }

    /// Whether the case with this name is to run.
    pub fn runs(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| name.contains(only))
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

/// The median over `runs` rounds of what each of `cases` measures. They take turns, so that whatever else the
/// machine does meets all of them.
pub fn medians<const N: usize>(runs: usize, mut cases: [&mut dyn FnMut() -> f64; N]) -> [f64; N] {
    let mut figures: [Vec<f64>; N] = std::array::from_fn(|_| Vec::new());
    for _ in 0..runs {
        for (case, figures) in cases.iter_mut().zip(&mut figures) {
            figures.push(case());
        }
    }
    figures.map(median)
}

/// The pair with the middle ratio over `runs` rounds of what `ours` and `floor` measure. They take turns, and turns at being
/// first.
pub fn middle_pair(runs: usize, ours: &mut dyn FnMut() -> f64, floor: &mut dyn FnMut() -> f64) -> (f64, f64) {
    let pair = |run: usize| {
        if run.is_multiple_of(2) {
            let ours = ours();
            (ours, floor())
        } else {
            let floor = floor();
            (ours(), floor)
        }
    };
    let mut pairs: Vec<(f64, f64)> = (0..runs).map(pair).collect();
    pairs.sort_by(|(a, b), (c, d)| (a / b).total_cmp(&(c / d)));
    pairs.get(pairs.len() / 2).copied().unwrap_or((f64::NAN, f64::NAN))
}

/// The middle one of some figures; no number if there are none.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// How long `f` takes, in nanoseconds per operation of `n`.
pub fn ns_per<R>(n: usize, f: impl FnOnce() -> R) -> f64 {
    let start = Instant::now();
    std::hint::black_box(f());
    start.elapsed().as_nanos() as f64 / n as f64
}
