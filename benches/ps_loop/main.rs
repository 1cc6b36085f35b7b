//! The parameter server: nanoseconds per key for pulls, pushes and both in one, by keys of a request, floats of a row,
//! spread of the keys and consistency, beside one array and beside the bytes alone on raw timely; and how long one key
//! takes there and back. At the end, the rates that are its goals.

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
mod goals;
mod ours;
mod round_trip;
#[path = "../common/raw.rs"]
mod timely_workers;
mod work;

use common::{Bench, Figure, median};
use goals::Goals;
use work::{Model, Op, Shape, Spread, Work};

const SHAPES: [Shape; 3] = [
    Shape { workers: 1, processes: 1 },
    Shape { workers: 2, processes: 1 },
    Shape { workers: 1, processes: 2 },
];

const OPS: [Op; 3] = [Op::Pull, Op::Push, Op::PushPull];

/// How often each case is measured after a pass over all rows that is not; the median counts.
fn repetitions(quick: bool) -> usize {
    if quick { 1 } else { 3 }
}

fn main() {
    let args: Vec<String> = std::env::args().skip_while(|arg| arg != "--child").skip(1).collect();
    if let [side, rest @ ..] = args.as_slice() {
        return child(side, rest);
    }
    let bench = Bench::with_filter("ps_loop");
    if !bench.json {
        println!(
            "median of {} after a pass over all rows; --only picks names like \"pull 100x10 zipf SSP(4), 2 workers\"",
            repetitions(bench.quick)
        );
    }
    let mut goals = Goals::default();
    for (spread, op, width) in floored(bench.quick) {
        measure(&bench, &mut goals, spread, op, width);
    }
    round_trips(&bench, &mut goals);
    if !bench.json {
        goals.print();
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

/// What the floor of raw timely depends on besides the shape.
fn floored(quick: bool) -> Vec<(Spread, Op, usize)> {
    let spreads = if quick { &[Spread::Uniform][..] } else { &[Spread::Uniform, Spread::Zipf] };
    let widths = if quick { &[1, 10][..] } else { &[1, 10, 100] };
    let of_spread =
        |spread| OPS.into_iter().flat_map(move |op| widths.iter().map(move |width| (spread, op, *width)));
    spreads.iter().copied().flat_map(of_spread).collect()
}

/// All sizes of a request and all consistencies.
fn cases(spread: Spread, op: Op, width: usize, quick: bool) -> Vec<Work> {
    let n = match width {
        1 => 2_000_000,
        10 => 1_000_000,
        _ => 200_000,
    };
    let (n, repetitions) = (if quick { n / 4 } else { n }, repetitions(quick));
    let models = [Model::Asynchronous, Model::Bounded(4), Model::Bounded(0)];
    let models = if quick { &models[..1] } else { &models[..] };
    let batches = if quick { &[1, 100][..] } else { &[1, 100, 10_000] };
    let of_model = |model: &Model| {
        let model = *model;
        batches.iter().map(move |batch| Work { op, batch: *batch, width, spread, model, n, repetitions })
    };
    models.iter().flat_map(of_model).collect()
}

/// Measures all cases of a floor that are asked for.
fn measure(bench: &Bench, goals: &mut Goals, spread: Spread, op: Op, width: usize) {
    let cases = cases(spread, op, width, bench.quick);
    let mut arrays: Vec<(usize, f64)> = Vec::new();
    for shape in SHAPES {
        let wanted: Vec<_> = cases.iter().filter(|work| bench.runs(&work.name_on(shape))).collect();
        let Some(first) = wanted.first() else { continue };
        let raw = median((0..first.repetitions).map(|_| floors::raw_timely(first, shape)).collect());
        for work in wanted {
            let ours = ours::run(work, shape);
            // The array knows nothing of shapes and models.
            let array = match arrays.iter().find(|(batch, _)| *batch == work.batch) {
                Some((_, array)) => *array,
                None => floors::array(work),
            };
            arrays.push((work.batch, array));
            goals.note(work, shape, ours);
            for (floor_name, floor) in [("direct array", array), ("raw timely", raw)] {
                let (case, Shape { workers, processes }) = (&work.name(), shape);
                bench.report(&Figure { case, workers, processes, ours, floor, floor_name, unit: "ns/key" });
            }
        }
    }
}

fn round_trips(bench: &Bench, goals: &mut Goals) {
    let rounds = if bench.quick { 2_000 } else { 20_000 };
    for shape in SHAPES {
        let name = "round trip of one key";
        if !bench.runs(&format!("{name}, {shape}")) {
            continue;
        }
        let (p50, p99) = round_trip::run(rounds, shape);
        goals.note_round_trip(shape, p50, p99);
        let Shape { workers, processes } = shape;
        for (percentile, ours) in [("p50", p50), ("p99", p99)] {
            let (case, unit, floor_name) = (&format!("{name}, {percentile}"), "us", "ps-lite, known");
            bench.report(&Figure { case, workers, processes, ours, floor: 136.0, floor_name, unit });
        }
    }
}
