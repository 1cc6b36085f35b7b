//! Optimizers at the servers, against the same steps taken by hand.

use waterwheel::prelude::*;
use waterwheel::ps::Update;
use waterwheel::ps::optimizer::{AdaGrad, Adam, FtrlProximal, LearningRate, Momentum, Sgd};

use crate::cluster::{everywhere, test_path};
use crate::conformance::flink_ps::support::run;

const WIDTH: usize = 3;
const STEPS: u32 = 20;

/// The gradient of a quadratic with its minimum at the key.
fn gradient(key: u32, row: &[f64]) -> Vec<f64> {
    row.iter().enumerate().map(|(i, w)| (w - f64::from(key)) * (1.0 + i as f64)).collect()
}

/// Descends from zero to the minimum of each key, one pull and push after the other.
struct Descend;

impl WorkerLogic for Descend {
    type In = u32;
    type Key = u32;
    type Pull = f64;
    type Push = f64;
    type Out = ();

    fn on_recv(&mut self, key: u32, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.pull(key)
    }

    fn on_pull_recv(&mut self, key: &u32, row: &[f64], ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.push(*key, gradient(*key, row))
    }
}

/// The rows after [`STEPS`] rounds of all keys, each round after the one before.
fn trained<U: Update<f64, f64>>(config: RuntimeConfig, update: fn() -> U) -> Vec<(u32, Vec<f64>)> {
    let models = run(config, move |env| {
        // A key is trained on one worker, so that its steps come one after the other.
        let keys = (0..STEPS).flat_map(|_| 0..8u32);
        let data = env.from_iter(keys).partition_custom(|key, workers| *key as usize % workers);
        let init = |_: &u32, row: &mut Vec<f64>| row.extend([0.0; WIDTH]);
        let server = SimpleServer::with_update(init, update());
        let config = PsConfig::new().width(WIDTH).credit(1);
        Ok(ps::transform(data, Descend, server, &config)?.model.collect())
    });
    let mut rows = models.concat();
    rows.sort_by_key(|row| row.0);
    rows
}

/// The same steps on one row, without a server.
fn by_hand<U: Update<f64, f64>>(update: &U, key: u32) -> Vec<f64> {
    let (mut row, mut slots) = (vec![0.0; WIDTH], Vec::new());
    update.init_slots(WIDTH, &mut slots);
    for _ in 0..STEPS {
        let gradient = gradient(key, &row);
        update.apply(&mut row, &mut slots, &gradient).unwrap();
    }
    row
}

fn assert_trains<U: Update<f64, f64>>(path: &str, update: fn() -> U) {
    let expected: Vec<_> = (0..8).map(|key| (key, by_hand(&update(), key))).collect();
    everywhere(path, |config| trained(config, update), |rows, shape| assert_eq!(rows, expected, "{shape}"));
}

#[test]
fn sgd_at_the_servers_takes_the_steps_that_it_takes_by_hand() {
    let path = test_path!(sgd_at_the_servers_takes_the_steps_that_it_takes_by_hand);
    assert_trains(path, || Sgd::new(LearningRate::InverseSqrt(0.2)).unwrap());
}

#[test]
fn momentum_at_the_servers_takes_the_steps_that_it_takes_by_hand() {
    let path = test_path!(momentum_at_the_servers_takes_the_steps_that_it_takes_by_hand);
    assert_trains(path, || Momentum::new(0.05, 0.5).unwrap().nesterov());
}

#[test]
fn adagrad_at_the_servers_takes_the_steps_that_it_takes_by_hand() {
    let path = test_path!(adagrad_at_the_servers_takes_the_steps_that_it_takes_by_hand);
    assert_trains(path, || AdaGrad::new(0.5).unwrap());
}

#[test]
fn adam_at_the_servers_takes_the_steps_that_it_takes_by_hand() {
    assert_trains(test_path!(adam_at_the_servers_takes_the_steps_that_it_takes_by_hand), || {
        Adam::new(0.1).unwrap()
    });
}

#[test]
fn ftrl_at_the_servers_takes_the_steps_that_it_takes_by_hand() {
    let path = test_path!(ftrl_at_the_servers_takes_the_steps_that_it_takes_by_hand);
    assert_trains(path, || FtrlProximal::new(0.5).unwrap().regularization(0.1, 0.1).unwrap());
}
