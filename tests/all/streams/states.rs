//! Keyed states: Flink's state types, and the time to live.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use waterwheel::engine::machine;
use waterwheel::prelude::*;

use super::fixture::{pairs, sorted};
use crate::cluster::{everywhere, test_path};

#[derive(Default, Serialize, Deserialize)]
struct Everything {
    last: ValueState<i64>,
    recent: ListState<i64>,
    counts: MapState<i64, u64>,
    greatest: ReducingState<i64>,
}

/// What is in the states of a key after one of its records.
type Contents = (u64, Option<i64>, Vec<i64>, Vec<(i64, u64)>, Option<i64>);

/// A value of 50 or more forgets everything; one below -50 forgets its own count.
fn apply(key: u64, value: i64, state: &mut Everything) -> Contents {
    if value >= 50 {
        state.last.clear();
        state.recent.clear();
        state.counts.clear();
        state.greatest.clear();
    } else if value < -50 {
        state.counts.remove(&(value % 5));
        let before = state.recent.take();
        state.recent.update(before.into_iter().skip(1));
    } else {
        state.last.update(value);
        state.recent.add_all([value, -value]);
        *state.counts.get_or_default(value % 5) += 1;
        state.greatest.add(value, i64::max);
    }
    let counts = state.counts.entries().map(|(key, n)| (*key, *n)).collect();
    let (last, greatest) = (state.last.value().copied(), state.greatest.get().copied());
    (key, last, state.recent.get().to_vec(), counts, greatest)
}

/// The last value, the recent ones, counts by residue, and all values.
type Plain = (Option<i64>, Vec<i64>, BTreeMap<i64, u64>, Vec<i64>);

/// The same without state types.
fn naive(records: &[(u64, i64)]) -> Vec<Contents> {
    let mut keys: BTreeMap<u64, Plain> = BTreeMap::new();
    let step = |(key, value): &(u64, i64)| {
        let (last, recent, counts, seen) = keys.entry(*key).or_default();
        match *value {
            50.. => (*last, *recent, *counts, *seen) = Default::default(),
            ..-50 => {
                counts.retain(|residue, _| *residue != value % 5);
                recent.drain(..recent.len().min(1));
            }
            value => {
                *last = Some(value);
                recent.extend([value, -value]);
                *counts.entry(value % 5).or_default() += 1;
                seen.push(value);
            }
        }
        let counts = counts.iter().map(|(key, n)| (*key, *n)).collect();
        (*key, *last, recent.clone(), counts, seen.iter().max().copied())
    };
    records.iter().map(step).collect()
}

#[test]
fn state_types_hold_what_was_put_into_them_per_key() {
    let job = |config| {
        execute(config, |env| {
            let keyed = env.from_iter(pairs(18, 2000, 40)).key_by(|pair| pair.0);
            let contents = keyed.process(|key, state: &mut Everything, (_, value), out| {
                out.emit(apply(*key, value, state));
            });
            Ok(contents.collect())
        })
        .unwrap()
        .concat()
    };
    everywhere(test_path!(state_types_hold_what_was_put_into_them_per_key), job, |mut found, shape| {
        let mut expected = naive(&pairs(18, 2000, 40));
        // By key; the order within a key stays, and is that of arrival.
        found.sort_by_key(|contents| contents.0);
        expected.sort_by_key(|contents| contents.0);
        assert_eq!(found, expected, "{shape}");
    });
}

/// Key and second of each record: every record up to two seconds after the one before.
fn timed(seed: u64) -> Vec<(u64, u64)> {
    let mut second = 0;
    let steps = pairs(seed, 3000, 60).into_iter();
    steps
        .map(|(key, value)| {
            second += value.unsigned_abs() % 3;
            (key, second)
        })
        .collect()
}

/// Counts records, and tells the count and whether the key was alive at the end.
struct Living;

impl KeyedProcessFunction<u64, (u64, u64)> for Living {
    type State = u64;
    type Out = (u64, u64, bool);

    fn process(
        &mut self,
        key: &u64,
        n: &mut u64,
        _: (u64, u64),
        _: &mut KeyedContext,
        out: &mut Collector<Self::Out>,
    ) -> Result<()> {
        *n += 1;
        out.emit((*key, *n, false));
        Ok(())
    }

    fn end_of_input(&mut self, key: &u64, n: &mut u64, out: &mut Collector<Self::Out>) -> Result<()> {
        out.emit((*key, *n, true));
        Ok(())
    }
}

const TTL_SECS: u64 = 40;

#[test]
fn state_of_a_key_without_records_for_the_time_to_live_is_made_anew() {
    let job = |config| {
        execute(config, |env| {
            let start = machine::now();
            let now = Rc::new(Cell::new(start));
            let read = Rc::clone(&now);
            let ttl = StateTtl::new(Duration::from_secs(TTL_SECS)).clock(move || read.get());
            // The clock is that of the records: the key function sees each right before its state is looked up.
            let keyed = env.from_iter(timed(19)).key_by(move |(key, second)| {
                now.set(start + Duration::from_secs(*second));
                *key
            });
            let aged = keyed.state_ttl(ttl).process_function(Living);
            Ok(aged.collect())
        })
        .unwrap()
        .concat()
    };
    everywhere(
        test_path!(state_of_a_key_without_records_for_the_time_to_live_is_made_anew),
        job,
        |found, shape| {
            let mut model: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
            let expected = timed(19).into_iter().map(|(key, second)| {
                let (last, n) = model.get(&key).copied().unwrap_or_default();
                let n = if n > 0 && second - last < TTL_SECS { n + 1 } else { 1 };
                model.insert(key, (second, n));
                (key, n, false)
            });
            let expected: Vec<_> = expected.collect();
            assert!(expected.iter().filter(|(_, n, _)| *n == 1).count() > 200);
            let running = found.iter().filter(|(.., at_end)| !at_end).copied().collect();
            assert_eq!(sorted(running), sorted(expected), "{shape}");
            // Every worker ends at the time of its own last record, so only the newest are sure.
            let ended: BTreeMap<u64, u64> =
                found.iter().filter(|(.., at_end)| *at_end).map(|(key, n, _)| (*key, *n)).collect();
            let newest = timed(19).last().copied().unwrap();
            for (key, (second, n)) in &model {
                if newest.1 - second < TTL_SECS {
                    assert_eq!(ended.get(key), Some(n), "key {key}; {shape}");
                }
            }
            assert!(ended.iter().all(|(key, n)| model[key].1 == *n), "{shape}");
        },
    );
}
