//! The parameter server: nanoseconds per key for pulls, pushes and both in one, by keys of a request, floats of a row,
//! spread of the keys and consistency, beside one array and beside the bytes alone on raw timely; and how long one key
//! takes there and back.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods
)]

#[path = "../common/mod.rs"]
mod common;
mod floors;
mod ours;
mod round_trip;
#[path = "../common/raw.rs"]
mod timely_workers;
mod work;

use common::{Bench, Figure, medians};
use work::{Model, Op, Shape, Spread, Work};

const SHAPES: [Shape; 3] = [
    Shape { workers: 1, processes: 1 },
    Shape { workers: 2, processes: 1 },
    Shape { workers: 1, processes: 2 },
];

const OPS: [Op; 3] = [Op::Pull, Op::Push, Op::PushPull];

fn main() {
    let args: Vec<String> = std::env::args().skip_while(|arg| arg != "--child").skip(1).collect();
    if let [side, rest @ ..] = args.as_slice() {
        return child(side, rest);
    }
    let bench = Bench::from_args("ps_loop");
    let (keys, runs) = if bench.quick { (500_000, 1) } else { (4_000_000, 5) };
    for work in cases(keys) {
        compare(&bench, &work, runs);
    }
    for shape in SHAPES {
        let rounds = if bench.quick { 2_000 } else { 20_000 };
        let [ours] = medians(runs, [&mut || round_trip::run(rounds, shape)]);
        let Shape { workers, processes } = shape;
        let (case, unit, floor_name) = ("round trip of one key", "us", "ps-lite, known");
        bench.report(&Figure { case, workers, processes, ours, floor: 136.0, floor_name, unit });
    }
}

/// The part of a second process.
fn child(side: &str, rest: &[String]) {
    match side {
        "ours" => drop(ours::run(&Work::from_args(rest), SHAPES[2])),
        "round trip" => drop(round_trip::run(rest[0].parse().unwrap(), SHAPES[2])),
        address => floors::run_second(&Work::from_args(rest), address),
    }
}

fn cases(n: usize) -> Vec<Work> {
    let (spread, model) = (Spread::Uniform, Model::Asynchronous);
    let mut cases = Vec::new();
    for op in OPS {
        for width in [1, 10, 100] {
            for batch in [1, 100, 10_000] {
                // Rows of a hundred floats are a tenth as many.
                let n = if width == 100 { n / 10 } else { n };
                cases.push(Work { op, batch, width, spread, model, n });
            }
        }
    }
    for (spread, model) in [
        (Spread::Zipf, Model::Asynchronous),
        (Spread::Uniform, Model::Bounded(4)),
        (Spread::Uniform, Model::Bounded(0)),
        (Spread::Zipf, Model::Bounded(0)),
    ] {
        cases.extend(OPS.map(|op| Work { op, batch: 100, width: 10, spread, model, n }));
    }
    cases
}

fn compare(bench: &Bench, work: &Work, runs: usize) {
    let [s1, s2, s3] = SHAPES;
    let [array, raw1, ours1, raw2, ours2, raw3, ours3] = medians(
        runs,
        [
            &mut || floors::array(work),
            &mut || floors::raw_timely(work, s1),
            &mut || ours::run(work, s1),
            &mut || floors::raw_timely(work, s2),
            &mut || ours::run(work, s2),
            &mut || floors::raw_timely(work, s3),
            &mut || ours::run(work, s3),
        ],
    );
    for (shape, ours, raw) in [(s1, ours1, raw1), (s2, ours2, raw2), (s3, ours3, raw3)] {
        for (floor_name, floor) in [("direct array", array), ("raw timely", raw)] {
            let (case, Shape { workers, processes }) = (&work.name(), shape);
            bench.report(&Figure { case, workers, processes, ours, floor, floor_name, unit: "ns/key" });
        }
    }
}
