//! T-FPS-11 from outside: what waits for its batch to fill leaves at the end of the input.

use std::time::Duration;

use waterwheel::prelude::*;

use super::paced::Paced;
use super::support::{AddOne, add, sorted, try_run_within, zero};
use crate::cluster::{everywhere, test_path};

/// Trains on the keys 0 to 9, from an input that ends a moment after the last key has come.
fn trained_below_the_count(config: RuntimeConfig, ps_config: PsConfig<u64>) -> Vec<(u64, Vec<i64>)> {
    let models = try_run_within(Duration::from_secs(10), config, move |env| {
        let items = || {
            let keys = (0..10).map(|key| (Duration::ZERO, Some(key)));
            keys.chain([(Duration::from_millis(200), None)])
        };
        let data = env.source("paced", 1, move |_split| Ok(Paced::new(items())));
        let data = data.flat_map(|key| key);
        Ok(ps::transform(data, AddOne::new(), SimpleServer::new(zero, add), &ps_config)?.model.collect())
    });
    sorted(models.unwrap())
}

fn assert_one_push_each(model: Vec<(u64, Vec<i64>)>, shape: &str) {
    assert_eq!(model, (0..10).map(|key| (key, vec![1])).collect::<Vec<_>>(), "{shape}");
}

#[test]
fn t_fps_11_operations_below_the_count_of_the_worker_leave_at_the_end_of_the_input() {
    everywhere(
        test_path!(t_fps_11_operations_below_the_count_of_the_worker_leave_at_the_end_of_the_input),
        |config| trained_below_the_count(config, PsConfig::new().worker_send(SendPolicy::Count(100))),
        assert_one_push_each,
    );
}

#[test]
fn t_fps_11_answers_below_the_count_of_the_server_leave_at_the_end_of_the_input() {
    everywhere(
        test_path!(t_fps_11_answers_below_the_count_of_the_server_leave_at_the_end_of_the_input),
        |config| trained_below_the_count(config, PsConfig::new().server_send(SendPolicy::Count(100))),
        assert_one_push_each,
    );
}

#[test]
fn t_fps_11_count_that_is_all_of_the_credit_is_refused() {
    let config = PsConfig::new().servers(1).credit(1_601).server_send(SendPolicy::Count(1_601));
    let done = try_run_within(Duration::from_secs(10), RuntimeConfig::threads(1), move |env| {
        let keys = env.from_iter(0..10);
        Ok(ps::transform(keys, AddOne::new(), SimpleServer::new(zero, add), &config)?.model.collect())
    });
    assert!(done.unwrap_err().message().contains("expected 3202 or more"));
}

#[test]
fn t_fps_11_policy_that_lets_nothing_go_is_refused_or_does_no_harm() {
    let never = || SendPolicy::Any(Vec::new());
    for ps_config in [PsConfig::new().worker_send(never()), PsConfig::new().server_send(never())] {
        let ps_config = ps_config.credit(2);
        let done = try_run_within(Duration::from_secs(10), RuntimeConfig::threads(2), move |env| {
            let keys = env.from_iter(0..100).rebalance();
            Ok(ps::transform(keys, AddOne::new(), SimpleServer::new(zero, add), &ps_config)?.model.collect())
        });
        let refused = done.as_ref().is_err_and(|error| error.kind() == ErrorKind::Config);
        assert!(refused || done.is_ok(), "{done:?}");
    }
}
