//! The rates that the parameter server is to reach.

use crate::work::{Model, Op, Shape, Spread, Work};

/// A rate for one kind of operation, by any size of request.
struct Goal {
    processes: usize,
    op: Op,
    width: usize,
    /// Millions of keys a second.
    needed: f64,
}

/// Ten times what ps-lite does over loopback on two cores of this kind, 8.2 M pushes and 6.2 M pulls a second of one
/// float; between two processes twice that, of ten floats (3.6 and 3.7 M) too.
const RATES: [Goal; 6] = [
    Goal { processes: 1, op: Op::Push, width: 1, needed: 82.0 },
    Goal { processes: 1, op: Op::Pull, width: 1, needed: 62.0 },
    Goal { processes: 2, op: Op::Push, width: 1, needed: 16.4 },
    Goal { processes: 2, op: Op::Pull, width: 1, needed: 12.4 },
    Goal { processes: 2, op: Op::Push, width: 10, needed: 7.2 },
    Goal { processes: 2, op: Op::Pull, width: 10, needed: 7.4 },
];

/// Microseconds of a round trip of one key in one process, at most.
const ROUND_TRIP_US: f64 = 30.0;

/// What was measured.
#[derive(Default)]
pub struct Goals {
    rates: Vec<(Work, Shape, f64)>,
    round_trips: Vec<(Shape, f64, f64)>,
}

impl Goals {
    /// Notes the nanoseconds per key of a case.
    pub fn note(&mut self, work: &Work, shape: Shape, ns: f64) {
        self.rates.push((*work, shape, 1e3 / ns));
    }

    /// Notes median and 99th percentile of round trips, in microseconds.
    pub fn note_round_trip(&mut self, shape: Shape, p50: f64, p99: f64) {
        self.round_trips.push((shape, p50, p99));
    }

    /// Prints for each goal that was measured whether it is reached, and by which cases.
    pub fn print(&self) {
        println!("\ngoals: millions of keys a second, uniform and asynchronous");
        for goal in &RATES {
            let Goal { op, width, needed, .. } = goal;
            for (work, shape, rate) in
                self.rates.iter().filter(|(work, shape, _)| goal.is_about(work, *shape))
            {
                let case = format!("{op} of {width}, requests of {}, {shape}", work.batch);
                print_one(&case, *rate, &format!("{needed} or more"), rate >= needed);
            }
        }
        for (shape, p50, p99) in self.round_trips.iter().filter(|(shape, ..)| shape.processes == 1) {
            let case = format!("round trip, us, p50 (p99 {p99:.1}), {shape}");
            print_one(&case, *p50, &format!("below {ROUND_TRIP_US}"), *p50 < ROUND_TRIP_US);
        }
    }
}

impl Goal {
    fn is_about(&self, work: &Work, shape: Shape) -> bool {
        let plain = work.spread == Spread::Uniform && work.model == Model::Asynchronous;
        plain && (shape.processes, work.op, work.width) == (self.processes, self.op, self.width)
    }
}

fn print_one(case: &str, found: f64, needed: &str, reached: bool) {
    let verdict = if reached { "reached" } else { "not reached" };
    println!("{case:<56} {found:>8.1}   goal {needed:<14} {verdict}");
}
