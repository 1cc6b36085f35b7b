//! Where records go.

use std::cell::Cell;
use std::rc::Rc;

use waterwheel::prelude::*;

use super::fixture::{pairs, sorted};
use crate::cluster::{everywhere, test_path};

/// Records of every worker: the worker and a number.
fn of_workers<'s>(env: &Env<'s>, n: u64) -> DataStream<'s, (usize, u64)> {
    env.from_splits(env.workers(), move |split| (0..n).map(move |i| (split, i)))
}

/// The worker each record is on, beside the record.
fn located<'s, D: Record>(stream: DataStream<'s, D>) -> DataStream<'s, (usize, D)> {
    let worker = stream.worker_index();
    stream.map(move |record| (worker, record))
}

fn counts(workers: usize, places: impl IntoIterator<Item = usize>) -> Vec<usize> {
    let mut counts = vec![0; workers];
    places.into_iter().for_each(|worker| counts[worker] += 1);
    counts
}

#[test]
fn map_partition_gets_all_records_of_each_worker_once() {
    let job = |config| {
        execute(config, |env| {
            let calls = Rc::new(Cell::new(0));
            let counted = Rc::clone(&calls);
            let records = env.from_iter(pairs(3, 1000, 50)).partition_custom(|pair, n| pair.0 as usize % n);
            let (worker, workers) = (env.worker_index(), env.workers());
            let reversed = records.map_partition(move |records| {
                counted.set(counted.get() + 1);
                assert_eq!(counted.get(), 1);
                records.into_iter().rev().map(move |pair| (worker, pair))
            });
            Ok(reversed.map(move |found| (workers, found)).collect())
        })
        .unwrap()
        .concat()
    };
    everywhere(test_path!(map_partition_gets_all_records_of_each_worker_once), job, |found, shape| {
        let workers = found[0].0;
        for worker in 0..workers {
            let here = found.iter().filter(|(_, (at, _))| *at == worker).map(|(_, (_, pair))| *pair);
            let mut expected = pairs(3, 1000, 50);
            expected.retain(|pair| pair.0 as usize % workers == worker);
            expected.reverse();
            assert_eq!(here.collect::<Vec<_>>(), expected, "{shape}");
        }
    });
}

#[test]
fn map_partition_runs_without_records_too() {
    let job = |config| {
        execute(config, |env| {
            let ones = env.from_iter(std::iter::empty::<u64>()).map_partition(|records| [records.len()]);
            let workers = env.workers();
            Ok(ones.map(move |n| (n, workers)).collect())
        })
        .unwrap()
        .concat()
    };
    everywhere(test_path!(map_partition_runs_without_records_too), job, |found, shape| {
        assert_eq!(found.len(), found[0].1, "{shape}");
        assert!(found.iter().all(|(n, _)| *n == 0), "{shape}");
    });
}

#[test]
fn global_moves_all_records_to_worker_0() {
    let job = |config| {
        execute(config, |env| Ok(located(of_workers(env, 100).global()).collect())).unwrap().concat()
    };
    everywhere(test_path!(global_moves_all_records_to_worker_0), job, |found, shape| {
        assert!(found.iter().all(|(at, _)| *at == 0), "{shape}");
        let workers = found.len() / 100;
        let expected = (0..workers).flat_map(|worker| (0..100).map(move |i| (0, (worker, i))));
        assert_eq!(sorted(found), expected.collect::<Vec<_>>(), "{shape}");
    });
}

#[test]
fn shuffle_spreads_evenly_and_depends_on_the_seed_alone() {
    let job = |config| {
        execute(config, |env| {
            let records = of_workers(env, 4000);
            let lane = |seed: u64, which: u8| {
                located(records.clone().shuffle(seed)).map(move |(at, record)| (which, record, at))
            };
            let workers = env.workers();
            let all = lane(1, 0).union(lane(1, 1)).union(lane(2, 2));
            Ok(all.map(move |placed| (workers, placed)).collect())
        })
        .unwrap()
        .concat()
    };
    everywhere(test_path!(shuffle_spreads_evenly_and_depends_on_the_seed_alone), job, |found, shape| {
        let workers = found[0].0;
        let lane = |which| {
            let placed = found.iter().filter(|(_, (lane, ..))| *lane == which);
            sorted(placed.map(|(_, (_, record, at))| (*record, *at)).collect())
        };
        let (first, again, other) = (lane(0), lane(1), lane(2));
        assert_eq!(first.len(), 4000 * workers, "{shape}");
        assert_eq!(first, again, "{shape}");
        assert!(workers == 1 || first != other, "{shape}");
        for sender in 0..workers {
            let of_sender = first.iter().filter(|((from, _), _)| *from == sender).map(|(_, at)| *at);
            let expected = 4000 / workers;
            for n in counts(workers, of_sender) {
                // Six standard deviations of a fair draw are below 190.
                assert!(n.abs_diff(expected) < 190, "{n} records, expected about {expected}; {shape}");
            }
        }
    });
}

/// Shapes with two threads in each of two processes are where it differs from a rebalance.
#[test]
fn rescale_stays_inside_the_process() {
    let path = "streams::partitioning::rescale_stays_inside_the_process";
    let args = [path, "--exact", "--nocapture", "--test-threads=1"];
    let config = RuntimeConfig::threads(2).processes(2).child_args(args);
    let found = execute(config, |env| Ok(located(of_workers(env, 100).rescale()).collect())).unwrap();
    if started_as().is_none() {
        let found = found.concat();
        assert_eq!(found.len(), 400);
        assert!(found.iter().all(|(at, (from, _))| at / 2 == from / 2));
        assert_eq!(counts(4, found.iter().map(|(at, _)| *at)), [100; 4]);
    }
}

#[test]
fn rescale_in_one_process_spreads_over_all_its_workers() {
    let job = |config| {
        execute(config, |env| {
            let workers = env.workers();
            let rescaled = located(env.from_iter(0..400u64).rescale());
            Ok(rescaled.map(move |record| (workers, record)).collect())
        })
        .unwrap()
        .concat()
    };
    everywhere(test_path!(rescale_in_one_process_spreads_over_all_its_workers), job, |found, shape| {
        let workers = if shape == "2 processes" { 1 } else { found[0].0 };
        let counts = counts(workers, found.iter().map(|(_, (at, _))| *at));
        assert_eq!(counts, vec![400 / workers; workers], "{shape}");
        let records = sorted(found.into_iter().map(|(_, (_, record))| record).collect());
        assert_eq!(records, (0..400).collect::<Vec<u64>>(), "{shape}");
    });
}

#[test]
fn parallelism_keeps_what_follows_on_the_first_workers() {
    let job = |config| {
        execute(config, |env| {
            let (n, workers) = (env.workers().div_ceil(2), env.workers());
            let few = of_workers(env, 400).set_parallelism(n).map(|record| record);
            assert_eq!(few.parallelism(), n);
            let keyed = few.clone().key_by(|(_, i)| *i).into_stream();
            assert_eq!(keyed.parallelism(), n);
            let lanes = [
                few.clone(),
                keyed,
                few.clone().rebalance(),
                few.clone().shuffle(5),
                few.clone().rescale(),
                few.clone().partition_custom(|(_, i), n| *i as usize % n),
                few.clone().filter(|(from, _)| *from == 0).broadcast(),
                few.clone().map_partition(|records| [(0, records.len() as u64)]),
                few.clone().set_parallelism(workers),
            ];
            let lanes = lanes.into_iter().enumerate();
            let marked =
                lanes.map(|(which, lane)| located(lane).map(move |(at, record)| (which, at, record)));
            let all = marked.reduce(DataStream::union).unwrap();
            assert_eq!(all.parallelism(), workers);
            Ok(all.map(move |placed| (workers, placed)).collect())
        })
        .unwrap()
        .concat()
    };
    everywhere(test_path!(parallelism_keeps_what_follows_on_the_first_workers), job, |found, shape| {
        let workers = found[0].0;
        let n = workers.div_ceil(2);
        let all: Vec<_> = (0..workers).flat_map(|w| (0..400).map(move |i| (w, i))).collect();
        for which in 0..9 {
            let lane: Vec<_> = found.iter().map(|(_, placed)| *placed).filter(|p| p.0 == which).collect();
            let places = counts(workers, lane.iter().map(|(_, at, _)| *at));
            let records = sorted(lane.iter().map(|(_, _, record)| *record).collect());
            let used = if which == 8 { workers } else { n };
            assert!(places[..used].iter().all(|n| *n > 0), "lane {which} on {places:?}; {shape}");
            assert!(places[used..].iter().all(|n| *n == 0), "lane {which} on {places:?}; {shape}");
            match which {
                6 => assert_eq!(places[..n], vec![400; n], "{shape}"),
                7 => {
                    assert_eq!(places[..n], vec![1; n], "{shape}");
                    assert_eq!(records.iter().map(|(_, n)| n).sum::<u64>(), all.len() as u64, "{shape}");
                }
                _ => assert_eq!(records, all, "lane {which}; {shape}"),
            }
        }
    });
}
