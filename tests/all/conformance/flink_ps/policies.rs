//! T-FPS-11 from outside: what waits for its batch to fill leaves at the end of the input.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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

/// Pulls the keys `0..n` while it handles the record `n`, and counts answers.
struct Flood {
    answered: Arc<AtomicU64>,
}

impl WorkerLogic for Flood {
    type In = u64;
    type Key = u64;
    type Pull = i64;
    type Push = i64;
    type Out = ();

    fn on_recv(&mut self, n: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        (0..n).try_for_each(|key| ps.pull(key))
    }

    fn on_pull_recv(&mut self, _: &u64, _: &[i64], _: &mut ParameterServerClient<Self>) -> Result<()> {
        self.answered.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

/// One record that floods, in an input that does not end before all but the last batch is answered.
struct UntilAnswered {
    record: Option<u64>,
    least: u64,
    answered: Arc<AtomicU64>,
}

impl Source for UntilAnswered {
    type Item = u64;

    fn read(&mut self, _limit: usize, out: &mut Vec<u64>) -> Result<SourceStatus> {
        out.extend(self.record.take());
        match self.answered.load(Ordering::SeqCst) {
            answered if answered < self.least => Ok(SourceStatus::Idle(Duration::from_millis(1))),
            _ => Ok(SourceStatus::Done),
        }
    }
}

#[test]
fn t_fps_11_flood_is_answered_while_the_input_lasts_with_the_least_credit_for_the_count() {
    const COUNT: usize = 1_601;
    const PULLS: u64 = 20_000;
    for workers in [1, 2, 4] {
        let answered = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&answered);
        let done = try_run_within(Duration::from_secs(10), RuntimeConfig::threads(workers), move |env| {
            let (answered, least) = (Arc::clone(&seen), PULLS - COUNT as u64);
            let open =
                move |_split| Ok(UntilAnswered { record: Some(PULLS), least, answered: answered.clone() });
            let data = env.source("until answered", 1, open).partition_custom(|_, workers| workers - 1);
            let config = PsConfig::new().servers(1).credit(2 * COUNT).server_send(SendPolicy::Count(COUNT));
            let worker = Flood { answered: Arc::clone(&seen) };
            Ok(ps::transform(data, worker, SimpleServer::new(zero, add), &config)?.model.collect())
        });
        let n = answered.load(Ordering::SeqCst);
        assert!(done.is_ok(), "{workers} workers: {n} of {PULLS} pulls were answered: {done:?}");
        assert_eq!(n, PULLS, "{workers} workers");
    }
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
fn t_fps_11_policy_that_lets_nothing_go_is_refused() {
    let never = || SendPolicy::Any(Vec::new());
    for ps_config in [PsConfig::new().worker_send(never()), PsConfig::new().server_send(never())] {
        let done = try_run_within(Duration::from_secs(10), RuntimeConfig::threads(2), move |env| {
            let keys = env.from_iter(0..100).rebalance();
            Ok(ps::transform(keys, AddOne::new(), SimpleServer::new(zero, add), &ps_config)?.model.collect())
        });
        assert_eq!(done.unwrap_err().kind(), ErrorKind::Config);
    }
}
