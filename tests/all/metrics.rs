//! What a job tells of its operators while it is watched.

use waterwheel::engine::{JobMetrics, OperatorMetrics, machine};
use waterwheel::prelude::*;

use crate::cluster::{everywhere, test_path};

const RECORDS: u64 = 10_000;
const KEYS: u64 = 100;

/// Counts by key, watched.
fn counted(config: RuntimeConfig) -> JobMetrics {
    let metrics = JobMetrics::new();
    let config = config.job_metrics(metrics.clone());
    execute(config, |env| {
        let numbers = env.from_splits(4, |split| {
            let range = generate::split_range(RECORDS, split, 4);
            range.map(|i| (i % KEYS, i))
        });
        let counts = numbers.key_by(|(key, _)| *key).process(|_key, n: &mut u64, _record, out| {
            *n += 1;
            out.emit(*n as u32);
        });
        counts.name("counts").sink(|_| Ok(()));
        Ok(())
    })
    .unwrap();
    metrics
}

fn operator(metrics: &JobMetrics, name: &str) -> OperatorMetrics {
    let operators = metrics.operators();
    operators.into_iter().find(|operator| operator.name == name).unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn bytes_and_state_of_an_operator_are_those_of_its_records_and_keys() {
    everywhere(
        test_path!(bytes_and_state_of_an_operator_are_those_of_its_records_and_keys),
        counted,
        |metrics, shape| {
            let counts = operator(&metrics, "counts").total();
            if shape == "2 processes" {
                assert!(
                    counts.records_in > 0 && counts.keys.is_some_and(|keys| keys > 0 && keys < KEYS),
                    "{counts:?}"
                );
            } else {
                assert_eq!((counts.records_in, counts.keys), (RECORDS, Some(KEYS)), "{shape}");
            }
            assert_eq!(counts.bytes_in, 16 * counts.records_in, "{shape}");
            assert_eq!(counts.bytes_out, 4 * counts.records_out, "{shape}");
            assert_eq!(counts.state_bytes, counts.keys.map(|keys| 16 * keys), "{shape}");
            let source = operator(&metrics, "from_splits").total();
            assert_eq!((source.keys, source.state_bytes), (None, None), "{shape}");
        },
    );
}

#[test]
fn bytes_between_processes_are_counted_both_ways() {
    everywhere(test_path!(bytes_between_processes_are_counted_both_ways), counted, |metrics, shape| {
        let peers = metrics.peers();
        if shape != "2 processes" {
            assert_eq!(peers, [], "{shape}");
            return;
        }
        let moved = operator(&metrics, "counts").total().bytes_in;
        assert_eq!(peers.iter().map(|peer| peer.process).collect::<Vec<_>>(), [1]);
        // About half of what was read here came from the other process, and as much went there.
        let much = moved / 4;
        assert!(peers[0].bytes_sent > much && peers[0].bytes_received > much, "{peers:?}, {moved}");
    });
}

/// A share of the clock is an operator's alone: they run one after the other.
#[test]
fn operators_of_a_worker_are_busy_for_no_longer_than_it_runs() {
    let start = machine::now();
    let metrics = counted(RuntimeConfig::threads(1));
    let all = start.elapsed();
    let busy: std::time::Duration = metrics.operators().iter().map(|operator| operator.total().busy).sum();
    assert!(busy > std::time::Duration::ZERO && busy <= all, "{busy:?} of {all:?}");
}
