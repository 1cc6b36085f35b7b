//! T-FPS-02 to T-FPS-04: workers that queue records until an answer comes and push them then.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use waterwheel::prelude::*;

use super::support::run;
use crate::cluster::{everywhere, test_path};

/// Pulls the parity of each number and pushes all numbers that wait for it when the answer comes.
#[derive(Default)]
struct Queues {
    waiting: BTreeMap<i32, Vec<i32>>,
}

impl WorkerLogic for Queues {
    type In = i32;
    type Key = i32;
    type Pull = Vec<i32>;
    type Push = Vec<i32>;
    type Out = ();

    fn on_recv(&mut self, number: i32, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        self.waiting.entry(number % 2).or_default().push(number);
        ps.pull(number % 2)
    }

    fn on_pull_recv(
        &mut self,
        key: &i32,
        _: &[Vec<i32>],
        ps: &mut ParameterServerClient<Self>,
    ) -> Result<()> {
        let queue = self.waiting.remove(key).unwrap_or_default();
        ps.push(*key, [queue])
    }
}

#[test]
fn t_fps_02_queues_as_parameters_end_as_all_numbers_of_their_parity() {
    everywhere(
        test_path!(t_fps_02_queues_as_parameters_end_as_all_numbers_of_their_parity),
        |config| {
            run(config, |env| {
                let numbers = env.from_iter([0, 1, 2, 3, 4, 5, 6, 7, 9]).rebalance();
                let empty = |_: &i32, row: &mut Vec<Vec<i32>>| row.push(Vec::new());
                let append = |row: &mut [Vec<i32>], queue: &[Vec<i32>]| row[0].extend(&queue[0]);
                let server = SimpleServer::new(empty, append).emit(Emit::EveryPush);
                Ok(ps::transform(numbers, Queues::default(), server, &PsConfig::new())?.model.collect())
            })
        },
        |outputs, shape| {
            // Outputs of one key come in order from its server: the last one stays.
            let last: BTreeMap<i32, Vec<Vec<i32>>> = outputs.concat().into_iter().collect();
            let last = last.into_iter().map(|(key, mut row)| {
                row[0].sort();
                (key, row[0].clone())
            });
            assert!(last.eq([(0, vec![0, 2, 4, 6]), (1, vec![1, 3, 5, 7, 9])]), "{shape}");
        },
    );
}

/// Pulls the key of each record and pushes the record's row when the answer comes.
#[derive(Default)]
struct PullThenPush {
    waiting: BTreeMap<u32, VecDeque<Vec<f64>>>,
}

impl WorkerLogic for PullThenPush {
    type In = (u32, Vec<f64>);
    type Key = u32;
    type Pull = f64;
    type Push = f64;
    type Out = ();

    fn on_recv(&mut self, (key, row): Self::In, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        self.waiting.entry(key).or_default().push_back(row);
        ps.pull(key)
    }

    fn on_pull_recv(&mut self, key: &u32, _row: &[f64], ps: &mut ParameterServerClient<Self>) -> Result<()> {
        let row = self.waiting.get_mut(key).and_then(VecDeque::pop_front).unwrap();
        ps.push(*key, row)
    }
}

fn vectors() -> [(u32, Vec<f64>); 8] {
    [
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

fn sums() -> [(u32, [f64; 5]); 5] {
    [
        (1, [1001.5, 1005.3, 1001.3, 1005.6, 1007.9]),
        (2, [10.2, 10.3, 10.4, 10.5, 10.6]),
        (3, [20.5, 26.3, 28.1, 29.2, 29.7]),
        (4, [4.5, 9.6, 2.3, 9.9, 0.5]),
        (5, [104.8, 116.0, 118.0, 126.0, 146.0]),
    ]
}

/// The sums of the vectors by key, on a parameter server with these settings.
fn summed(config: RuntimeConfig, ps_config: PsConfig<u32>) -> BTreeMap<u32, Vec<f64>> {
    let models = run(config, move |env| {
        let data = env.from_iter(vectors()).partition_custom(|(key, _), workers| *key as usize % 4 % workers);
        let zeros = |_: &u32, row: &mut Vec<f64>| row.extend([0.0; 5]);
        let add = |row: &mut [f64], delta: &[f64]| row.iter_mut().zip(delta).for_each(|(v, d)| *v += d);
        let server = SimpleServer::new(zeros, add);
        Ok(ps::transform(data, PullThenPush::default(), server, &ps_config)?.model.collect())
    });
    models.concat().into_iter().collect()
}

fn assert_sums(model: &BTreeMap<u32, Vec<f64>>, shape: &str) {
    assert_eq!(model.len(), 5, "{shape}");
    for (key, expected) in sums() {
        let row = &model[&key];
        assert!(row.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{shape}: key {key}: {row:?}");
    }
}

#[test]
fn t_fps_03_simple_stack_sums_every_vector() {
    everywhere(
        test_path!(t_fps_03_simple_stack_sums_every_vector),
        |config| summed(config, PsConfig::new().width(5)),
        |model, shape| assert_sums(&model, shape),
    );
}

#[test]
fn t_fps_04_stack_with_combined_send_policies_loses_no_tail() {
    let parts = || vec![SendPolicy::Count(4), SendPolicy::Interval(Duration::from_secs(1))];
    let ps_config = PsConfig::new().width(5);
    let ps_config = ps_config.worker_send(SendPolicy::All(parts())).server_send(SendPolicy::Any(parts()));
    everywhere(
        test_path!(t_fps_04_stack_with_combined_send_policies_loses_no_tail),
        |config| summed(config, ps_config.clone()),
        |model, shape| assert_sums(&model, shape),
    );
}
