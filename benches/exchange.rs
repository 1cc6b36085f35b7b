//! What counting records in flight costs: numbers through four exchanges in a row, with the default limit and
//! without one, beside raw timely.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods)]

mod common;

use common::{Bench, Figure, medians, ns_per};
use waterwheel::prelude::*;

const EXCHANGES: usize = 4;

fn mixed(record: u64) -> u64 {
    record.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 7
}

/// Nanoseconds per record and exchange; `limit` 0 counts nothing.
fn ours(n: usize, workers: usize, limit: Option<usize>) -> f64 {
    let config = RuntimeConfig::threads(workers);
    let config = match limit {
        Some(limit) => config.max_in_flight_records(limit),
        None => config,
    };
    ns_per(n * EXCHANGES, || {
        execute(config, move |env| {
            let part = n / env.workers();
            let mut stream =
                env.from_splits(env.workers(), move |i| (i * part) as u64..((i + 1) * part) as u64);
            for _ in 0..EXCHANGES {
                stream = stream.partition_custom(|record, workers| mixed(*record) as usize % workers);
            }
            stream.map(std::hint::black_box).sink(|_record| Ok(()));
            Ok(())
        })
        .unwrap()
    })
}

/// With `event_time` the graph is built around the scope in which streams with event time live, as every job of
/// ours is; nothing is in it.
fn raw_timely(n: usize, workers: usize, event_time: bool) -> f64 {
    use timely::dataflow::operators::{Exchange, Inspect, ToStream};
    use timely::order::Product;

    ns_per(n * EXCHANGES, || {
        timely::execute(timely::Config::process(workers), move |worker| {
            let (me, part) = (worker.index(), n / worker.peers());
            worker.dataflow::<u64, _, _>(|scope| {
                if event_time {
                    scope.scoped::<Product<u64, i64>, _, _>("event time", |_events| ());
                }
                let numbers = (me * part) as u64..((me + 1) * part) as u64;
                let mut stream = numbers.to_stream(scope).container::<Vec<_>>();
                for _ in 0..EXCHANGES {
                    stream = stream.exchange(|record: &u64| mixed(*record));
                }
                stream.inspect(|record| {
                    std::hint::black_box(record);
                });
            });
        })
        .unwrap()
        .join()
    })
}

fn main() {
    let bench = Bench::from_args("exchange");
    let (n, runs) = if bench.quick { (4_000_000, 5) } else { (20_000_000, 9) };
    for workers in [1, 2] {
        let [limited, unlimited, raw, scoped] = medians(
            runs,
            [
                &mut || ours(n, workers, None),
                &mut || ours(n, workers, Some(0)),
                &mut || raw_timely(n, workers, false),
                &mut || raw_timely(n, workers, true),
            ],
        );
        for (case, ours, floor, floor_name) in [
            ("default limit", limited, unlimited, "no limit"),
            ("default limit", limited, raw, "raw timely"),
            ("no limit", unlimited, raw, "raw timely"),
            ("raw, unused event time", scoped, raw, "raw timely"),
        ] {
            let unit = "ns/record";
            bench.report(&Figure { case, workers, processes: 1, ours, floor, floor_name, unit });
        }
    }
}
