//! Streams: word count, counts of keys, counts in windows and a chain of maps, each beside the same program on raw timely and
//! beside a loop of one thread; and ours while it is watched (metrics of all operators) beside ours while it is not. The clock
//! runs from the first step to the moment when all is known to be done everywhere, without the start of processes.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods
)]

mod by_hand;
#[path = "../common/mod.rs"]
mod common;
mod ours;
mod raw;
#[path = "../common/raw.rs"]
mod timely_workers;
mod work;

use common::{Bench, Figure, medians, middle_pair};
use work::{Case, Run, Shape, Work};

const SHAPES: [Shape; 3] = [
    Shape { workers: 1, processes: 1 },
    Shape { workers: 2, processes: 1 },
    Shape { workers: 1, processes: 2 },
];

fn main() {
    if let Some((side, work)) = work::child() {
        return side.run_child(&work);
    }
    let bench = Bench::with_filter("streams");
    let (millions, rounds) = if bench.quick { (1, 3) } else { (10, 7) };
    for case in Case::ALL {
        let n = millions * case.thousands() * 1000;
        let work = Work::new(case, n);
        if bench.runs(case.name()) {
            compare(&bench, &work, rounds);
        }
        if bench.runs(&format!("{}, watched", case.name())) {
            compare_watched(&bench, &work, 3 * rounds);
        }
    }
}

/// Runs the three programs in turn at every shape and prints ours beside the others.
fn compare(bench: &Bench, work: &Work, rounds: usize) {
    let expected = by_hand::run(work).digest;
    let check = |run: Run| {
        assert_eq!(run.digest, expected, "{}", work.case.name());
        run.ns_per_record
    };
    let [s1, s2, s3] = SHAPES;
    let [alone, raw1, ours1, raw2, ours2, raw3, ours3] = medians(
        rounds,
        [
            &mut || check(by_hand::run(work)),
            &mut || check(raw::run(work, s1)),
            &mut || check(ours::run(work, s1)),
            &mut || check(raw::run(work, s2)),
            &mut || check(ours::run(work, s2)),
            &mut || check(raw::run(work, s3)),
            &mut || check(ours::run(work, s3)),
        ],
    );
    for (shape, ours, raw) in [(s1, ours1, raw1), (s2, ours2, raw2), (s3, ours3, raw3)] {
        let Shape { workers, processes } = shape;
        for (floor_name, floor) in [("raw timely", raw), (work.case.loop_name(), alone)] {
            let (case, unit) = (work.case.name(), "ns/record");
            bench.report(&Figure { case, workers, processes, ours, floor, floor_name, unit });
        }
    }
}

/// Runs ours while it is watched and while it is not, in turn, and prints the pair with the middle ratio: what is looked for
/// is smaller than what one run differs from another.
fn compare_watched(bench: &Bench, work: &Work, rounds: usize) {
    let case = format!("{}, watched", work.case.name());
    for shape in [SHAPES[0], SHAPES[1]] {
        let watched = &mut || ours::run_watched(work, shape).ns_per_record;
        let (ours, floor) = middle_pair(rounds, watched, &mut || ours::run(work, shape).ns_per_record);
        let Shape { workers, processes } = shape;
        let (floor_name, unit) = ("unwatched", "ns/record");
        bench.report(&Figure { case: &case, workers, processes, ours, floor, floor_name, unit });
    }
}
