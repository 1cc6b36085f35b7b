//! Functions on plain streams beside a loop over the same random records.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use waterwheel::prelude::*;

use super::fixture::{Pair, pairs, sorted};
use crate::cluster::{everywhere, test_path};

const SEEDS: std::ops::Range<u64> = 40..46;

/// Records of one seed: from none to a few thousand, with few keys or many.
fn records(seed: u64) -> Vec<Pair> {
    pairs(seed, [0, 1, 700, 5000, 2048, 3][seed as usize % 6], 1 + seed % 30)
}

fn stream<'s>(env: &Env<'s>, seed: u64) -> DataStream<'s, Pair> {
    let splits = 1 + seed as usize % 3;
    env.from_splits(splits, move |split| records(seed).into_iter().skip(split).step_by(splits)).rebalance()
}

/// Runs `operator` on the streams of all seeds, in one job, and compares what comes out with `reference` of the records.
fn check<X: Record + Ord + std::fmt::Debug>(
    path: &str,
    operator: impl for<'s> Fn(DataStream<'s, Pair>) -> DataStream<'s, X> + Clone + Send + Sync + 'static,
    reference: impl Fn(Vec<Pair>) -> Vec<X>,
) {
    let job = |config| {
        let operator = operator.clone();
        let found = execute(config, move |env| {
            Ok(SEEDS.map(|seed| operator(stream(env, seed)).collect()).collect::<Vec<_>>())
        });
        found.unwrap().into_iter().next().unwrap()
    };
    everywhere(path, job, |found, shape| {
        for (found, seed) in found.into_iter().zip(SEEDS) {
            assert_eq!(sorted(found), sorted(reference(records(seed))), "{shape}, seed {seed}");
        }
    });
}

/// So many results as the key says.
fn repeated(pair: Pair) -> impl Iterator<Item = (u64, i64)> {
    (0..pair.0 % 4).map(move |i| (i, pair.1))
}

#[test]
fn process_emits_any_number_of_results() {
    check(
        test_path!(process_emits_any_number_of_results),
        |stream| stream.process(|pair, out| repeated(pair).for_each(|result| out.emit(result))),
        |records| records.into_iter().flat_map(repeated).collect(),
    );
}

/// Emits a record and the one before it on its worker when the next one comes; the last one at the end.
struct Late(Option<Pair>);

impl ProcessFunction<Pair> for Late {
    type Out = Pair;

    fn process(&mut self, pair: Pair, out: &mut Collector<Pair>) -> Result<()> {
        out.batch().extend(self.0.replace(pair));
        Ok(())
    }

    fn end_of_input(&mut self, out: &mut Collector<Pair>) -> Result<()> {
        out.batch().extend(self.0.take());
        Ok(())
    }
}

#[test]
fn process_function_emits_what_it_has_kept_at_the_end() {
    check(
        test_path!(process_function_emits_what_it_has_kept_at_the_end),
        |stream| stream.process_function(Late(None)),
        |records| records,
    );
}

#[test]
fn key_by_ref_counts_as_a_map_does() {
    check(
        test_path!(key_by_ref_counts_as_a_map_does),
        |stream| {
            let named = stream.map(|(key, value)| (format!("key {key}"), value));
            named.key_by_ref(|(name, _)| name).process(|name, sum: &mut (u64, i64), (_, value), out| {
                *sum = (sum.0 + 1, sum.1.max(value));
                out.emit((name.clone(), sum.0));
            })
        },
        |records| {
            let mut counts = BTreeMap::<u64, u64>::new();
            let mut count = |key| {
                let n = counts.entry(key).or_default();
                *n += 1;
                *n
            };
            records.into_iter().map(|(key, _)| (format!("key {key}"), count(key))).collect()
        },
    );
}

#[test]
fn try_map_replaces_each_record() {
    check(
        test_path!(try_map_replaces_each_record),
        |stream| {
            stream
                .try_map(|(key, value)| Ok((value.checked_abs().ok_or_else(|| Error::data("too low"))?, key)))
        },
        |records| records.into_iter().map(|(key, value)| (value.abs(), key)).collect(),
    );
}

#[test]
fn inspect_sees_each_record_and_passes_it_on() {
    let path = test_path!(inspect_sees_each_record_and_passes_it_on);
    let job = |config| {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let look = Arc::clone(&seen);
        let found = execute(config, move |env| {
            let look = Arc::clone(&look);
            Ok(stream(env, 45).inspect(move |pair| look.lock().unwrap().push(*pair)).collect())
        });
        (found.unwrap().concat(), seen.lock().unwrap().clone())
    };
    everywhere(path, job, |(found, seen), shape| {
        let expected = sorted(records(45));
        assert_eq!(sorted(found), expected, "{shape}");
        // A process sees what is on its own workers.
        let share = if shape == "2 processes" { expected.len() / 2 } else { expected.len() };
        assert!(seen.len().abs_diff(share) <= 2, "{shape}: {}", seen.len());
        assert!(seen.iter().all(|pair| expected.binary_search(pair).is_ok()), "{shape}");
    });
}

#[test]
fn sink_gets_each_record_once() {
    let job = |config| {
        let written = Arc::new(Mutex::new(Vec::new()));
        let target = Arc::clone(&written);
        let done = execute(config, move |env| {
            for seed in SEEDS {
                let target = Arc::clone(&target);
                let write = move |pair| {
                    target.lock().unwrap().push((seed, pair));
                    Ok(())
                };
                stream(env, seed).global().sink(write).name(&format!("sink {seed}"));
            }
            Ok(())
        });
        done.unwrap();
        std::mem::take(&mut *written.lock().unwrap())
    };
    everywhere(test_path!(sink_gets_each_record_once), job, |written, shape| {
        let all = SEEDS.flat_map(|seed| records(seed).into_iter().map(move |pair| (seed, pair)));
        assert_eq!(sorted(written), sorted(all.collect()), "{shape}");
    });
}

/// Passes both streams on, and tells at the end of each how many records this worker has had of it: once.
#[derive(Default)]
struct Both {
    n: [i64; 2],
}

/// Keys of what is told at the end.
const ENDS: [u64; 2] = [1 << 40, 1 << 41];

impl CoProcessFunction<Pair, u64> for Both {
    type Out = Pair;

    fn process1(&mut self, pair: Pair, out: &mut Collector<Pair>) -> Result<()> {
        self.n[0] += 1;
        out.emit(pair);
        Ok(())
    }

    fn process2(&mut self, key: u64, out: &mut Collector<Pair>) -> Result<()> {
        self.n[1] += 1;
        out.emit((key, 1000));
        Ok(())
    }

    fn end_of_input1(&mut self, out: &mut Collector<Pair>) -> Result<()> {
        out.emit((ENDS[0], self.n[0]));
        Ok(())
    }

    fn end_of_input2(&mut self, out: &mut Collector<Pair>) -> Result<()> {
        out.emit((ENDS[1], self.n[1]));
        Ok(())
    }
}

#[test]
fn function_on_two_streams_sees_all_of_both_and_each_end_once_per_worker() {
    let path = test_path!(function_on_two_streams_sees_all_of_both_and_each_end_once_per_worker);
    let job = |config| {
        let found = execute(config, |env| {
            let both = |seed| stream(env, seed).connect(stream(env, seed + 1).map(|(key, _)| key));
            let found = SEEDS.map(|seed| both(seed).process_function(Both::default()).collect());
            Ok((found.collect::<Vec<_>>(), env.from_iter([env.workers()]).collect()))
        });
        found.unwrap().into_iter().next().unwrap()
    };
    everywhere(path, job, |(found, workers), shape| {
        for (found, seed) in found.into_iter().zip(SEEDS) {
            let (first, second) = (records(seed), records(seed + 1));
            let (ends, passed): (Vec<Pair>, Vec<Pair>) =
                found.into_iter().partition(|pair| pair.0 >= ENDS[0]);
            for (end, n) in ENDS.into_iter().zip([first.len(), second.len()]) {
                let told: Vec<i64> = ends.iter().filter(|told| told.0 == end).map(|told| told.1).collect();
                assert_eq!(
                    (told.len(), told.iter().sum::<i64>()),
                    (workers[0], n as i64),
                    "{shape}, seed {seed}"
                );
            }
            let all = first.into_iter().chain(second.into_iter().map(|(key, _)| (key, 1000)));
            assert_eq!(sorted(passed), sorted(all.collect()), "{shape}, seed {seed}");
        }
    });
}

#[test]
fn rebalance_gives_every_worker_the_same_share() {
    let job = |config| {
        let found = execute(config, |env| {
            let shares = |stream: DataStream<'_, Pair>| {
                stream.rebalance().map_partition(|records| [records.len()]).collect()
            };
            // All records come from one worker, or an unequal share of them from each.
            let one = env.from_iter(records(45));
            let each =
                env.from_splits(env.workers(), |split| records(45).into_iter().take(100 + 777 * split));
            Ok((shares(one), shares(each), env.from_iter([env.workers()]).collect()))
        });
        found.unwrap().into_iter().next().unwrap()
    };
    everywhere(
        test_path!(rebalance_gives_every_worker_the_same_share),
        job,
        |(one, each, workers), shape| {
            let workers = workers[0];
            let from_each: usize = (0..workers).map(|split| 100 + 777 * split).sum();
            // Each sender gives every worker the same, but for one record.
            for (shares, n, unevenness) in [(one, records(45).len(), 1), (each, from_each, workers)] {
                assert_eq!((shares.len(), shares.iter().sum()), (workers, n), "{shape}: {shares:?}");
                let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
                assert!(most - least <= unevenness, "{shape}: {shares:?}");
            }
        },
    );
}
