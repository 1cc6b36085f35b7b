//! T-NEW-15: keys whose hash is negative elsewhere, dense keys, the largest key, and a model of one key.

use std::collections::BTreeMap;
use std::fmt::Debug;

use waterwheel::prelude::*;

use super::support::PushAll;
use crate::cluster::{everywhere, test_path};
use crate::conformance::flink_ps::support::{run, sorted, try_run};

/// Pushes 1, 2, .. to the keys, twice over, on all workers; the sums must be exact.
fn assert_sums<K: Key + Sync + Debug>(path: &str, keys: Vec<K>, placement: fn() -> Placement<K>) {
    let expected: BTreeMap<K, i64> = keys.iter().cloned().zip((1..).map(|n| 2 * n)).collect();
    let sums = |config| {
        let keys = keys.clone();
        let models = run(config, move |env| {
            let keys = keys.clone();
            let data = env.from_splits(2, move |_| keys.clone().into_iter().zip(1..));
            let server = SimpleServer::with_update(|_: &K, row: &mut Vec<i64>| row.push(0), ps::Sum);
            let config = PsConfig::new().placement(placement());
            Ok(ps::transform(data, PushAll::new(), server, &config)?.model.collect())
        });
        sorted(models)
    };
    everywhere(path, sums, |sums, shape| {
        let expected: Vec<_> = expected.clone().into_iter().map(|(key, sum)| (key, vec![sum])).collect();
        assert_eq!(sums, expected, "{shape}");
    });
}

#[test]
fn t_new_15_negative_keys_and_extreme_ones_are_exact() {
    let keys = vec![i32::MIN, i32::MIN + 1, -1, 0, 1, i32::MAX];
    let path = test_path!(t_new_15_negative_keys_and_extreme_ones_are_exact);
    assert_sums(path, keys, || Placement::Hash);
}

#[test]
fn t_new_15_largest_keys_are_exact() {
    let keys = vec![u64::MAX, u64::MAX - 1, 1 << 63, 0];
    assert_sums(test_path!(t_new_15_largest_keys_are_exact), keys, || Placement::Hash);
}

#[test]
fn t_new_15_ranges_and_turns_of_almost_all_keys_are_exact() {
    let keys = || vec![u64::MAX - 1, u64::MAX / 2, 1, 0];
    let path = test_path!(t_new_15_ranges_and_turns_of_almost_all_keys_are_exact);
    assert_sums(path, keys(), || Placement::Range(u64::MAX));
}

#[test]
fn t_new_15_dense_keys_are_exact_in_turn() {
    assert_sums(test_path!(t_new_15_dense_keys_are_exact_in_turn), (0..8u8).collect(), || {
        Placement::Cyclic(8)
    });
}

#[test]
fn t_new_15_model_of_one_key_is_exact() {
    assert_sums(test_path!(t_new_15_model_of_one_key_is_exact), vec![0u64], || Placement::Range(1));
}

/// Rows of each server, with so many keys on four servers.
fn rows_by_server(keys: u64, placement: fn(u64) -> Placement<u64>) -> Vec<u64> {
    let state = ps::PsState::new();
    let watched = state.clone();
    run(RuntimeConfig::threads(4), move |env| {
        let data = env.from_iter((0..keys).map(|key| (key, 1i64)));
        let server = SimpleServer::with_update(|_: &u64, row: &mut Vec<i64>| row.push(0), ps::Sum);
        let server = server.state(&watched).emit(Emit::Never);
        let config = PsConfig::new().placement(placement(keys));
        ps::transform(data, PushAll::new(), server, &config)?;
        Ok(())
    });
    state.servers().iter().map(|server| server.rows).collect()
}

#[test]
fn t_new_15_dense_keys_are_spread_evenly() {
    assert_eq!(rows_by_server(8, Placement::Cyclic), [2, 2, 2, 2]);
    assert_eq!(rows_by_server(10, Placement::Range), [2, 2, 3, 3]);
    let hashed = rows_by_server(100_000, |_| Placement::Hash);
    assert!(hashed.iter().all(|rows| (24_000..26_000).contains(rows)), "{hashed:?}");
}

#[test]
fn t_gl_13_key_out_of_range_ends_the_run_with_its_name() {
    for workers in [1, 2, 4] {
        for placement in [Placement::Cyclic(105), Placement::Range(105)] {
            let done = try_run(RuntimeConfig::threads(workers), move |env| {
                let server = SimpleServer::with_update(|_: &i64, row: &mut Vec<i64>| row.push(0), ps::Sum);
                let config = PsConfig::new().placement(placement.clone());
                ps::transform(env.from_iter([(104, 1), (-2, 1)]), PushAll::new(), server, &config)?;
                Ok(())
            });
            let error = done.unwrap_err();
            assert_eq!(error.message(), "key -2 is outside the range 0..105 of the placement");
            assert_eq!(error.site().unwrap().operator, "parameter server/ps worker");
        }
    }
}
