//! T-NEW-06 and T-NEW-17: the loop ends exactly when everything is done, never before and always then.

use std::time::Duration;

use waterwheel::engine::machine;
use waterwheel::prelude::*;

use super::paced::Paced;
use super::parallelism::{Trained, assert_trained, trained};
use super::support::{add, everywhere_at_once, run, sorted, zero};
use crate::cluster::{everywhere, test_path};

const RECORDS: i64 = 20_000;
const SPLITS: i64 = 4;

/// The records `0..RECORDS` in splits, each with a pause in its middle.
fn records<'s>(env: &Env<'s>, pause: Duration) -> DataStream<'s, i64> {
    const HALF: i64 = RECORDS / SPLITS / 2;
    env.source("records with a pause", SPLITS as usize, move |split| {
        let before = move |i| if i == HALF { pause } else { Duration::ZERO };
        let record = move |i| (before(i), SPLITS * i + split as i64);
        Ok(Paced::new((0..RECORDS / SPLITS).map(record)))
    })
}

fn trained_with_pause(config: RuntimeConfig, pause: Duration) -> Trained {
    trained(config, move |env| records(env, pause), |config, _workers| config.credit(256))
}

#[test]
fn t_new_06_every_pull_is_answered_and_every_push_applied_when_the_loop_ends() {
    everywhere(
        test_path!(t_new_06_every_pull_is_answered_and_every_push_applied_when_the_loop_ends),
        |config| trained_with_pause(config, Duration::ZERO),
        |trained, shape| assert_trained(&trained, RECORDS, shape),
    );
}

#[test]
fn t_new_06_pause_of_10_seconds_in_the_source_is_not_the_end() {
    const PAUSE: Duration = Duration::from_secs(10);
    let start = machine::now();
    everywhere_at_once(
        test_path!(t_new_06_pause_of_10_seconds_in_the_source_is_not_the_end),
        |config| trained_with_pause(config, PAUSE),
        |trained, shape| {
            assert!(start.elapsed() >= PAUSE, "{shape}");
            assert_trained(&trained, RECORDS, shape);
        },
    );
}

#[test]
fn t_new_17_loop_without_input_ends() {
    everywhere(
        test_path!(t_new_17_loop_without_input_ends),
        |config| trained(config, |env| env.from_iter([]), |config, _workers| config),
        |trained, shape| assert_trained(&trained, 0, shape),
    );
}

#[test]
fn t_new_17_loop_with_one_record_ends() {
    everywhere(
        test_path!(t_new_17_loop_with_one_record_ends),
        |config| trained(config, |env| env.from_iter([0]), |config, _workers| config),
        |trained, shape| assert_trained(&trained, 1, shape),
    );
}

/// Never pulls: passes records on to the output, and may push them.
struct NeverPulls {
    pushes: bool,
}

impl WorkerLogic for NeverPulls {
    type In = i64;
    type Key = i64;
    type Pull = i64;
    type Push = i64;
    type Out = i64;

    fn on_recv(&mut self, record: i64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.output(record);
        if self.pushes { ps.push(record % 10, [1]) } else { Ok(()) }
    }

    fn on_pull_recv(&mut self, key: &i64, _: &[i64], _: &mut ParameterServerClient<Self>) -> Result<()> {
        panic!("answer to a pull of {key} that was never issued")
    }
}

/// Number of records that came out, and the model, of a worker that never pulls.
fn without_pulls(config: RuntimeConfig, pushes: bool) -> (usize, Vec<(i64, Vec<i64>)>) {
    let results = run(config, move |env| {
        let data = env.from_splits(4, |_split| 0..1_000);
        let config = PsConfig::new().credit(16);
        let out = ps::transform(data, NeverPulls { pushes }, SimpleServer::new(zero, add), &config)?;
        Ok((out.output.collect(), out.model.collect()))
    });
    let (out, model): (Vec<_>, Vec<_>) = results.into_iter().unzip();
    (out.concat().len(), sorted(model))
}

#[test]
fn t_new_17_loop_whose_workers_never_pull_nor_push_ends() {
    everywhere(
        test_path!(t_new_17_loop_whose_workers_never_pull_nor_push_ends),
        |config| without_pulls(config, false),
        |results, shape| assert_eq!(results, (4_000, vec![]), "{shape}"),
    );
}

#[test]
fn t_new_17_loop_whose_workers_only_push_ends_when_all_is_applied() {
    everywhere(
        test_path!(t_new_17_loop_whose_workers_only_push_ends_when_all_is_applied),
        |config| without_pulls(config, true),
        |results, shape| {
            let model = (0..10).map(|key| (key, vec![400])).collect();
            assert_eq!(results, (4_000, model), "{shape}");
        },
    );
}
