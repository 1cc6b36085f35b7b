//! Workers that build different graphs: nothing runs, and the error says what differs.

use waterwheel::engine::started_as;
use waterwheel::prelude::*;

use super::fixture::{outcome, start};
use crate::cluster::{everywhere, test_path};
use crate::failures::process::{Running, free_addresses, within_limit};

/// The last process has an operator that the others have not.
pub(super) fn odd(config: RuntimeConfig) -> Result<String> {
    execute(config, |env| {
        let numbers = env.from_splits(2, |_| 0..10u64);
        let is_last = env.worker_index() + 1 == env.workers();
        let numbers = if is_last { numbers.map(|x| x + 1) } else { numbers.filter(|x| *x > 0) };
        Ok(numbers.broadcast().collect_local())
    })
    .map(|_| "a result".into())
}

#[test]
fn process_that_builds_another_graph_ends_the_run_with_the_operator_that_differs() {
    for n in [2, 3] {
        let addresses = free_addresses(n);
        let start = |index| start("odd", index, &addresses, &[]);
        let running: Vec<_> = (0..usize::from(n)).map(start).collect();
        let last = usize::from(n) - 1;
        for finished in running.into_iter().map(Running::finish) {
            let said = outcome(&finished);
            let who = format!("error: process {last} ({}) has built another graph", addresses[last]);
            assert!(said.starts_with(&who), "{n} processes: {said}");
            let what = ["operator 1 is \"map\" (", "graph.rs:", "expected \"filter\" ("];
            assert!(what.iter().all(|part| said.contains(part)), "{n} processes: {said}");
        }
    }
}

#[test]
fn worker_of_one_process_that_builds_another_graph_ends_the_run() {
    for workers in [2, 4] {
        let done = within_limit("a run of different graphs", move || odd(RuntimeConfig::threads(workers)));
        let error = done.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        let expected = format!("worker {} has built another graph than worker 0: ", workers - 1);
        assert!(error.message().starts_with(&expected), "{error}");
    }
}

/// A name may depend on the worker; it is for errors only.
#[test]
fn graph_with_other_names_for_the_same_operators_is_the_same() {
    let job = |config: RuntimeConfig| {
        execute(config, |env| {
            let name = format!("double on {}", env.worker_index());
            Ok(env.from_splits(4, |_| 0..10u64).map(|x| 2 * x).name(&name).collect())
        })
    };
    let path = test_path!(graph_with_other_names_for_the_same_operators_is_the_same);
    everywhere(path, job, |done, shape| {
        assert!(started_as().is_some() || done.unwrap().concat().len() == 40, "{shape}");
    });
}
