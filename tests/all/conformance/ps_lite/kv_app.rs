//! T-PL-01 and 02: pushes and pulls of ten thousand keys, spread over all 64 bits.

use waterwheel::prelude::*;

use crate::cluster::{everywhere, test_path};
use crate::conformance::flink_ps::support::run;

const KEYS: u64 = 10_000;
const ROUNDS: usize = 50;

/// The keys of a rank, and the value that it pushes to each.
fn pairs(rank: usize) -> impl Iterator<Item = (u64, f32)> {
    let value = move |i| (random::sm(rank as u64, i) % 1_000) as f32;
    (0..KEYS).map(move |i| (u64::MAX / KEYS * i + rank as u64, value(i)))
}

/// What a rank does with all its keys, one thing after the other.
#[derive(Clone, Copy, serde::Serialize, serde::Deserialize)]
enum Step {
    Push,
    Pull,
    PushPull,
}

/// Does what it is told, and outputs every answer.
struct Rank;

impl WorkerLogic for Rank {
    type In = (usize, Step);
    type Key = u64;
    type Pull = f32;
    type Push = f32;
    type Out = (u64, f32);

    fn on_recv(&mut self, (rank, step): (usize, Step), ps: &mut ParameterServerClient<Self>) -> Result<()> {
        pairs(rank).try_for_each(|(key, value)| match step {
            Step::Push => ps.push(key, [value]),
            Step::Pull => ps.pull(key),
            Step::PushPull => ps.push_pull(key, [value]),
        })
    }

    fn on_pull_recv(&mut self, key: &u64, row: &[f32], ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.output((*key, row[0]));
        Ok(())
    }
}

/// All answers to all ranks: 50 pushes, a pull, and 50 pushes that are answered, with ten of them on their way.
fn answers(config: RuntimeConfig, ranks: usize, placement: Placement<u64>) -> Vec<(u64, f32)> {
    let answers = run(config, move |env| {
        let steps = [vec![Step::Push; ROUNDS], vec![Step::Pull], vec![Step::PushPull; ROUNDS]].concat();
        let data =
            env.from_splits(ranks, move |rank| steps.clone().into_iter().map(move |step| (rank, step)));
        let server = SimpleServer::with_update(|_: &u64, row: &mut Vec<f32>| row.push(0.0), ps::Sum);
        let config = PsConfig::new().credit(10 * KEYS as usize).placement(placement.clone());
        Ok(ps::transform(data, Rank, server.emit(Emit::Never), &config)?.output.collect())
    });
    answers.concat()
}

/// The first answer of each key is 50 times its value, and every further one has the value once more.
fn assert_exact(mut answers: Vec<(u64, f32)>, ranks: usize, shape: &str) {
    answers.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let mut expected: Vec<(u64, f32)> = (0..ranks).flat_map(pairs).collect();
    expected.sort_by_key(|pair| pair.0);
    assert_eq!(answers.len(), expected.len() * (ROUNDS + 1), "{shape}");
    for ((key, value), found) in expected.into_iter().zip(answers.chunks(ROUNDS + 1)) {
        let as_pushed =
            |(times, answer): (usize, &(u64, f32))| *answer == (key, value * (ROUNDS + times) as f32);
        assert!(found.iter().enumerate().all(as_pushed), "{shape}: key {key}, value {value}: {found:?}");
    }
}

#[test]
fn t_pl_01_fifty_pushes_and_fifty_answered_pushes_are_all_in_the_sums() {
    everywhere(
        test_path!(t_pl_01_fifty_pushes_and_fifty_answered_pushes_are_all_in_the_sums),
        |config| answers(config, 2, Placement::Hash),
        |answers, shape| assert_exact(answers, 2, shape),
    );
}

#[test]
fn t_pl_02_several_ranks_of_a_process_with_ranges_of_all_keys() {
    everywhere(
        test_path!(t_pl_02_several_ranks_of_a_process_with_ranges_of_all_keys),
        |config| answers(config, 4, Placement::Range(u64::MAX)),
        |answers, shape| assert_exact(answers, 4, shape),
    );
}
