//! Aggregates by key.

use std::collections::BTreeMap;

use waterwheel::prelude::*;

use super::fixture::{Pair, pairs, sorted};
use crate::cluster::{everywhere, test_path};

/// The sum and the number of values: what [`AggregateFunction`] keeps is not what it returns.
struct SumAndCount;

impl AggregateFunction for SumAndCount {
    type In = Pair;
    type Acc = (i64, u32);
    type Out = i64;

    fn create_accumulator(&self) -> (i64, u32) {
        (0, 0)
    }

    fn add(&self, acc: &mut (i64, u32), (_, value): Pair) {
        *acc = (acc.0 + value, acc.1 + 1);
    }

    fn result(&self, acc: &(i64, u32)) -> i64 {
        1000 * acc.0 + i64::from(acc.1)
    }

    fn merge(&self, a: (i64, u32), b: (i64, u32)) -> (i64, u32) {
        (a.0 + b.0, a.1 + b.1)
    }
}

/// One result: the aggregate it is of, the key, and what came out.
type Aggregated = (u8, u64, i64);

/// Not commutative, so that the order of records shows.
fn combined(a: i64, b: i64) -> i64 {
    a.wrapping_mul(31).wrapping_add(b)
}

/// Every aggregate of a keyed stream, side by side.
macro_rules! all_aggregates {
    ($keyed:expr) => {{
        let same_key = |(key, a): Pair, (_, b): Pair| (key, combined(a, b));
        [
            $keyed.reduce(same_key).map(|(key, x)| (0u8, key, x)),
            $keyed.fold(7, |acc, (_, value)| combined(acc, value)).map(|(key, x)| (1, key, x)),
            $keyed.aggregate(SumAndCount).map(|(key, x)| (2, key, x)),
            $keyed.sum(|pair| pair.1).map(|(key, x)| (3, key, x)),
            $keyed.min(|pair| pair.1).map(|(key, x)| (4, key, x)),
            $keyed.max(|pair| pair.1).map(|(key, x)| (5, key, x)),
            $keyed.min_by(|pair| pair.1 / 10).map(|(key, x)| (6, key, x)),
            $keyed.max_by(|pair| pair.1 / 10).map(|(key, x)| (7, key, x)),
            $keyed.count().map(|(key, n)| (8, key, n as i64)),
        ]
        .into_iter()
        .reduce(DataStream::union)
        .unwrap()
    }};
}

/// All aggregates of the values of one key, after each of them.
fn naive(key: u64, values: &[i64]) -> Vec<Aggregated> {
    let prefixes = (1..=values.len()).map(|n| &values[..n]);
    let results = prefixes.flat_map(|seen| {
        let sum: i64 = seen.iter().sum();
        let first_of = |best: i64| *seen.iter().find(|x| **x / 10 == best).unwrap();
        [
            seen.iter().copied().reduce(combined).unwrap(),
            seen.iter().copied().fold(7, combined),
            1000 * sum + seen.len() as i64,
            sum,
            *seen.iter().min().unwrap(),
            *seen.iter().max().unwrap(),
            first_of(seen.iter().map(|x| x / 10).min().unwrap()),
            first_of(seen.iter().map(|x| x / 10).max().unwrap()),
            seen.len() as i64,
        ]
        .into_iter()
        .enumerate()
        .map(move |(which, x)| (which as u8, key, x))
    });
    results.collect()
}

fn by_key(seed: u64) -> BTreeMap<u64, Vec<i64>> {
    let mut all: BTreeMap<u64, Vec<i64>> = BTreeMap::new();
    for (key, value) in pairs(seed, 500, 12) {
        all.entry(key).or_default().push(value);
    }
    all
}

/// The results of each aggregate and key, in the order they came.
fn in_lanes(results: Vec<Aggregated>) -> BTreeMap<(u8, u64), Vec<i64>> {
    let mut lanes: BTreeMap<_, Vec<i64>> = BTreeMap::new();
    for (which, key, x) in results {
        lanes.entry((which, key)).or_default().push(x);
    }
    lanes
}

#[test]
fn running_aggregates_are_those_of_every_prefix_of_a_key() {
    let job = |config| {
        execute(config, |env| {
            let keyed = env.from_iter(pairs(1, 500, 12));
            Ok(all_aggregates!(keyed.clone().key_by(|pair| pair.0)).collect())
        })
        .unwrap()
        .concat()
    };
    everywhere(test_path!(running_aggregates_are_those_of_every_prefix_of_a_key), job, |results, shape| {
        let expected: Vec<_> = by_key(1).iter().flat_map(|(key, values)| naive(*key, values)).collect();
        assert_eq!(in_lanes(results), in_lanes(expected), "{shape}");
    });
}

#[test]
fn aggregates_at_the_end_are_those_of_all_records_of_a_key() {
    let job = |config| {
        execute(config, |env| {
            let keyed = env.from_iter(pairs(2, 500, 12));
            Ok(all_aggregates!(keyed.clone().key_by(|pair| pair.0).at_end()).collect())
        })
        .unwrap()
        .concat()
    };
    everywhere(test_path!(aggregates_at_the_end_are_those_of_all_records_of_a_key), job, |results, shape| {
        let last = |(key, values): (&u64, &Vec<i64>)| naive(*key, values).into_iter().rev().take(9).collect();
        let expected: Vec<Vec<Aggregated>> = by_key(2).iter().map(last).collect();
        assert_eq!(sorted(results), sorted(expected.concat()), "{shape}");
    });
}

#[test]
fn minimum_and_maximum_pass_over_nan() {
    let values = [f64::NAN, 2.0, f64::NAN, 1.0, 3.0];
    let found = execute(RuntimeConfig::threads(1), move |env| {
        let keyed = env.from_iter(values);
        let (least, greatest) = (keyed.clone().key_by(|_| 0u8), keyed.key_by(|_| 0u8));
        Ok((least.min(|x| *x).collect(), greatest.at_end().max_by(|x| *x).collect()))
    })
    .unwrap();
    let least: Vec<f64> = found[0].0.iter().map(|(_, x)| *x).collect();
    assert!(least[0].is_nan());
    assert_eq!(least[1..], [2.0, 2.0, 1.0, 1.0]);
    assert_eq!(found[0].1, [3.0]);
}
