//! Flink Parameter Server: its own tests, rebuilt, with the results it should have had.

use std::collections::BTreeMap;

use waterwheel::prelude::*;

use crate::cluster::{everywhere, test_path};

/// Pulls the key of each record and pushes the record's row when the answer comes.
struct PullThenPush {
    waiting: BTreeMap<u32, Vec<Vec<f64>>>,
}

impl WorkerLogic for PullThenPush {
    type In = (u32, Vec<f64>);
    type Key = u32;
    type Pull = f64;
    type Push = f64;
    type Out = ();

    fn on_recv(&mut self, (key, row): Self::In, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        self.waiting.entry(key).or_default().push(row);
        ps.pull(key)
    }

    fn on_pull_recv(&mut self, key: &u32, _row: &[f64], ps: &mut ParameterServerClient<Self>) -> Result<()> {
        let row = self.waiting.get_mut(key).and_then(Vec::pop).unwrap();
        ps.push(*key, row)
    }
}

fn vectors() -> Vec<(u32, Vec<f64>)> {
    vec![
        (1, vec![1.5, 5.3, 1.3, 5.6, 7.9]),
        (2, vec![0.1; 5]),
        (2, vec![10.1, 10.2, 10.3, 10.4, 10.5]),
        (3, vec![20.5, 26.3, 28.1, 29.2, 29.7]),
        (5, vec![100.0, 101.0, 102.0, 103.0, 104.0]),
        (4, vec![4.5, 9.6, 2.3, 9.9, 0.5]),
        (5, vec![4.8, 15.0, 16.0, 23.0, 42.0]),
        (1, vec![1000.0; 5]),
    ]
}

fn sums() -> Vec<(u32, Vec<f64>)> {
    vec![
        (1, vec![1001.5, 1005.3, 1001.3, 1005.6, 1007.9]),
        (2, vec![10.2, 10.3, 10.4, 10.5, 10.6]),
        (3, vec![20.5, 26.3, 28.1, 29.2, 29.7]),
        (4, vec![4.5, 9.6, 2.3, 9.9, 0.5]),
        (5, vec![104.8, 116.0, 118.0, 126.0, 146.0]),
    ]
}

fn simple_stack(config: RuntimeConfig, ps_config: &PsConfig<u32>) -> Vec<(u32, Vec<f64>)> {
    let ps_config = ps_config.clone().width(5);
    let models = execute(config, move |env| {
        let data = env.from_iter(vectors()).partition_custom(|(key, _), workers| *key as usize % 4 % workers);
        let init = |_: &u32, row: &mut Vec<f64>| row.extend([0.0; 5]);
        let add = |row: &mut [f64], delta: &[f64]| row.iter_mut().zip(delta).for_each(|(v, d)| *v += d);
        let server = SimpleServer::new(init, add);
        let worker = PullThenPush { waiting: BTreeMap::new() };
        Ok(ps::transform(data, worker, server, &ps_config)?.model.collect())
    });
    let mut model = models.unwrap().concat();
    model.sort_by_key(|(key, _)| *key);
    model
}

fn assert_sums(model: &[(u32, Vec<f64>)], shape: &str) {
    assert_eq!(model.len(), 5, "{shape}");
    for ((key, row), (expected_key, expected)) in model.iter().zip(sums()) {
        assert_eq!(*key, expected_key, "{shape}");
        assert!(row.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{shape}: key {key}: {row:?}");
    }
}

#[test]
fn t_fps_03_simple_stack_sums_every_vector() {
    everywhere(
        test_path!(t_fps_03_simple_stack_sums_every_vector),
        |config| simple_stack(config, &PsConfig::new()),
        |model, shape| assert_sums(&model, shape),
    );
}
