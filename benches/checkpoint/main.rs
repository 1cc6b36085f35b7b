//! What checkpoints cost: jobs with one every second beside the same jobs with none; the longest time for which one of a large
//! state stops the flow; how fast it is written; and the time from a kill to the first new result.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods
)]

#[path = "../common/mod.rs"]
mod common;
mod kill;
mod large;
mod load;
mod throughput;

use common::Bench;

fn main() {
    if let Some(job) = kill::Job::of_this_process() {
        return job.run();
    }
    let bench = Bench::with_filter("checkpoint");
    throughput::all(&bench);
    for megabytes in if bench.quick { &[100][..] } else { &[100, 1000] } {
        if bench.runs(&format!("pause, {megabytes} MB")) {
            large::pause(&bench, *megabytes);
        }
        if bench.runs(&format!("kill, {megabytes} MB")) {
            kill::to_first_result(&bench, *megabytes);
        }
    }
}
