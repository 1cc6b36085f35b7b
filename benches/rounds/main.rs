//! Rounds of a loop: how long one takes with a body that does next to nothing, with a callback at the end of each
//! round, and with vectors that are added up and sent to all; beside the same loops on raw timely.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods
)]

#[path = "../common/mod.rs"]
mod common;
mod ours;
mod raw;
#[path = "../common/raw.rs"]
mod timely_workers;
mod work;

use common::{Bench, Figure};
use work::{Case, Run, Shape, Side, Work};

const SHAPES: [Shape; 3] = [
    Shape { workers: 1, processes: 1 },
    Shape { workers: 2, processes: 1 },
    Shape { workers: 1, processes: 2 },
];

fn main() {
    match work::child() {
        Some((Side::Ours, work)) => drop(ours::run(&work, SHAPES[2])),
        Some((Side::Raw(address), work)) => raw::run_second(&work, &address),
        None => {
            let bench = Bench::from_args("rounds");
            let (rounds, repeats) = if bench.quick { (2_000, 3) } else { (10_000, 7) };
            for case in Case::ALL {
                let rounds = if case == Case::Reduce(100_000) { rounds / 10 } else { rounds };
                SHAPES.iter().for_each(|shape| compare(&bench, Work { case, rounds }, *shape, repeats));
            }
        }
    }
}

/// Runs both in turn and prints the medians of their p50 and p99.
fn compare(bench: &Bench, work: Work, shape: Shape, repeats: usize) {
    let runs: Vec<(Run, Run)> =
        (0..repeats).map(|_| (raw::run(&work, shape), ours::run(&work, shape))).collect();
    let figures: [(&str, fn(&Run) -> f64); 2] = [("p50", |run| run.p50), ("p99", |run| run.p99)];
    for (name, figure) in figures {
        let median = |side: fn(&(Run, Run)) -> &Run| {
            let mut figures: Vec<_> = runs.iter().map(|run| figure(side(run))).collect();
            figures.sort_by(f64::total_cmp);
            figures[figures.len() / 2]
        };
        let (floor, ours) = (median(|run| &run.0), median(|run| &run.1));
        let (case, unit) = (format!("{} {name}", work.case.name()), "us/round");
        let Shape { workers, processes } = shape;
        let figure = Figure { case: &case, workers, processes, ours, floor, floor_name: "raw timely", unit };
        bench.report(&figure);
    }
}
