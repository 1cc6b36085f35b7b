//! Servers that forget: what is there, what came out, and what was lost.

use std::collections::BTreeMap;

use waterwheel::prelude::*;

use super::support::PushAll;
use crate::cluster::{everywhere, test_path};
use crate::conformance::flink_ps::support::{run, try_run};

const KEYS: u64 = 1_000;

/// Keys that come back now and then.
fn pushes() -> impl Iterator<Item = (u64, i64)> {
    (0..20_000u64).map(|n| (random::sm(7, n) % KEYS * (random::sm(8, n) % 2), 1))
}

/// All rows that the servers output: what was evicted, and what was there at the end.
fn outputs(config: RuntimeConfig, eviction: ps::Eviction) -> (Vec<(u64, Vec<i64>)>, Vec<ps::ServerState>) {
    let state = ps::PsState::new();
    let watched = state.clone();
    let outputs = run(config, move |env| {
        let server = SimpleServer::new(
            |_: &u64, row: &mut Vec<i64>| row.push(0),
            |row: &mut [i64], delta: &[i64]| row[0] += delta[0],
        );
        let server = server.evict(eviction).state(&watched);
        let data = env.from_iter(pushes()).rebalance();
        Ok(ps::transform(data, PushAll::new(), server, &PsConfig::new())?.model.collect())
    });
    (outputs.concat(), state.servers())
}

/// Sums by key of everything that came out.
fn summed(outputs: &[(u64, Vec<i64>)]) -> BTreeMap<u64, i64> {
    let mut sums = BTreeMap::new();
    outputs.iter().for_each(|(key, row)| *sums.entry(*key).or_default() += row[0]);
    sums
}

fn assert_nothing_is_lost(path: &str, eviction: ps::Eviction, most_rows: u64) {
    let mut expected = BTreeMap::<u64, i64>::new();
    pushes().for_each(|(key, n)| *expected.entry(key).or_default() += n);
    everywhere(
        path,
        |config| outputs(config, eviction.emit_evicted()),
        |(outputs, servers), shape| {
            assert_eq!(summed(&outputs), expected, "{shape}");
            let evicted: u64 = servers.iter().map(|server| server.evicted).sum();
            assert!(evicted > 1_000, "{shape}: {servers:?}");
            assert!(servers.iter().all(|server| server.rows <= most_rows && server.bytes > 0), "{servers:?}");
        },
    );
}

#[test]
fn rows_beyond_the_limit_are_output_and_no_push_is_lost() {
    assert_nothing_is_lost(
        test_path!(rows_beyond_the_limit_are_output_and_no_push_is_lost),
        ps::Eviction::new().max_rows(50),
        50,
    );
}

#[test]
fn rows_that_are_idle_are_output_and_no_push_is_lost() {
    assert_nothing_is_lost(
        test_path!(rows_that_are_idle_are_output_and_no_push_is_lost),
        ps::Eviction::new().idle_operations(100),
        101,
    );
}

#[test]
fn keys_below_the_minimum_frequency_have_no_rows() {
    let path = test_path!(keys_below_the_minimum_frequency_have_no_rows);
    let eviction = ps::Eviction::new().min_frequency(12);
    everywhere(
        path,
        |config| outputs(config, eviction).0,
        |outputs, shape| {
            let mut uses = BTreeMap::<u64, i64>::new();
            pushes().for_each(|(key, _)| *uses.entry(key).or_default() += 1);
            let expected: BTreeMap<_, _> =
                uses.into_iter().filter(|(_, n)| *n >= 12).map(|(key, n)| (key, n - 11)).collect();
            assert_eq!(summed(&outputs), expected, "{shape}");
        },
    );
}

#[test]
fn eviction_without_rows_is_refused() {
    let done = try_run(RuntimeConfig::threads(2), |env| {
        let server = SimpleServer::with_update(|_: &u64, row: &mut Vec<i64>| row.push(0), ps::Sum);
        let server = server.evict(ps::Eviction::new().max_rows(0));
        ps::transform(env.from_iter(pushes()), PushAll::new(), server, &PsConfig::new())?;
        Ok(())
    });
    let error = done.unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::Config, "eviction: max_rows is 0, expected 1 or more")
    );
    assert_eq!(error.site().unwrap().operator, "parameter server/ps server");
}
