//! Nexmark: queries 0 to 8 over generated events, beside the generator alone. Each time holds the making of the
//! events; the rows are counted on worker 0, and are as many at every shape.

#![allow(
    missing_docs,
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods
)]

#[path = "../../tests/all/nexmark/auctions.rs"]
mod auctions;
#[path = "../common/mod.rs"]
mod common;
#[path = "../../tests/all/nexmark/naive.rs"]
mod naive;
#[path = "../../tests/all/nexmark/queries.rs"]
mod queries;
#[path = "../../tests/all/nexmark/windows.rs"]
mod windows;

use std::time::Duration;

use common::{Bench, Figure, medians, ns_per};
use waterwheel::ml::generate::nexmark::{Event, Nexmark, NexmarkParams};
use waterwheel::prelude::*;

/// A thousand seconds of the site in ten million events.
fn params() -> NexmarkParams {
    NexmarkParams::new().rate(10_000).out_of_order(64)
}

fn timed(events: DataStream<'_, Event>) -> EventStream<'_, Event> {
    let delay = Duration::from_millis(params().build().unwrap().max_delay_ms());
    let time = |event: &Event| event.time_ms() as i64;
    events.assign_timestamps_and_watermarks(WatermarkStrategy::bounded_out_of_orderness(delay, time))
}

/// The number of rows of query `q`, on each worker.
fn rows<'s>(q: usize, events: DataStream<'s, Event>) -> Result<DataStream<'s, u64>> {
    fn counted<R: 'static>(rows: DataStream<'_, R>) -> DataStream<'_, u64> {
        rows.process_function(Rows(0))
    }
    Ok(match q {
        0 => counted(queries::pass_through(events)?),
        1 => counted(queries::currency(events)?),
        2 => counted(queries::selection(events)?),
        3 => counted(queries::local_items(events)?),
        4 => counted(auctions::category_averages(events)?),
        5 => counted(windows::hot_items(events)?),
        6 => counted(auctions::seller_averages(events)?),
        7 => counted(windows::highest_bids(events)?),
        _ => counted(windows::new_sellers(events)?),
    })
}

/// Counts the records of one worker, and tells at the end.
struct Rows(u64);

impl<R> ProcessFunction<R> for Rows {
    type Out = u64;

    fn process(&mut self, _row: R, _out: &mut Collector<u64>) -> Result<()> {
        self.0 += 1;
        Ok(())
    }

    fn end_of_input(&mut self, out: &mut Collector<u64>) -> Result<()> {
        out.emit(self.0);
        Ok(())
    }
}

/// Every so many-th thousand of the events: all splits are at about the same time.
fn stretches(site: &Nexmark, split: usize, splits: usize) -> impl Iterator<Item = Event> + use<> {
    let (site, count) = (site.clone(), site.count());
    let starts = (0..count).step_by(1_000).skip(split).step_by(splits);
    starts.flat_map(move |start| site.range(start..count.min(start + 1_000)))
}

/// Runs query `q` on `count` events; the number of its rows.
fn run(q: usize, count: u64, workers: usize, processes: usize) -> u64 {
    let args = ["--child".to_string(), q.to_string(), count.to_string()];
    let config = RuntimeConfig::threads(workers).processes(processes).child_args(args);
    let found = execute(config, move |env| {
        let (site, splits) = (params().count(count).build()?, env.workers());
        let events = env.from_splits(splits, move |split| stretches(&site, split, splits));
        Ok(rows(q, events)?.collect())
    });
    found.unwrap().concat().into_iter().sum()
}

fn main() {
    let args: Vec<String> = std::env::args().skip_while(|arg| arg != "--child").skip(1).collect();
    if let [q, count] = args.as_slice() {
        run(q.parse().unwrap(), count.parse().unwrap(), 1, 2);
        return;
    }
    let bench = Bench::from_args("nexmark");
    let (count, rounds) = if bench.quick { (100_000, 1) } else { (1_000_000, 5) };
    let site: Nexmark = params().count(count).build().unwrap();
    let made = || ns_per(count as usize, || site.iter().map(std::hint::black_box).count());
    for q in 0..9 {
        compare(&bench, q, count, rounds, &made);
    }
}

/// Times query `q` at every shape, in turn with the generator.
fn compare(bench: &Bench, q: usize, count: u64, rounds: usize, made: &dyn Fn() -> f64) {
    let expected = run(q, count, 1, 1);
    let timed = |workers, processes| {
        ns_per(count as usize, || assert_eq!(run(q, count, workers, processes), expected, "q{q}"))
    };
    let [floor, one, two, apart] =
        medians(rounds, [&mut || made(), &mut || timed(1, 1), &mut || timed(2, 1), &mut || timed(1, 2)]);
    for (workers, processes, ours) in [(1, 1, one), (2, 1, two), (1, 2, apart)] {
        let (case, floor_name, unit) = (format!("q{q}"), "generator alone", "ns/event");
        bench.report(&Figure { case: &case, workers, processes, ours, floor, floor_name, unit });
    }
}
