//! T-AD-04: many keys, with rows that come to workers and leave them meanwhile.

use std::collections::{BTreeMap, VecDeque};

use waterwheel::engine::started_as;
use waterwheel::prelude::*;
use waterwheel::ps::{self, ParameterServerClient, PsConfig, PsState, SimpleServer, WorkerLogic};

use crate::cluster::{everywhere, test_path};
use crate::conformance::flink_ps::support::{run, sorted};

const KEYS: u64 = 1_000;
const WIDTH: usize = 10;
/// Runs of a phase, of all workers.
const RUNS: u64 = 6_000;

/// First value of an element.
fn initial(key: u64, i: usize) -> i64 {
    (generate::unit(key, i as u64) * 1e7) as i64 - 5_000_000
}

/// The keys of a run: up to 20, the smaller ones more often.
fn keys_of(run: u64) -> impl Iterator<Item = u64> {
    let n = 1 + (generate::unit(run, 20) * 20.0) as u64;
    (0..n).map(move |i| (generate::unit(run, 30 + i).powi(4) * KEYS as f64) as u64)
}

/// Reads in the first clock, pushes in the second, takes back in the third, and reads in the fourth.
#[derive(Default)]
struct ManyKeys {
    pushed: BTreeMap<u64, i64>,
    /// What was pushed to the key of each unanswered pull before it.
    expected: BTreeMap<u64, VecDeque<i64>>,
    answers: u64,
}

/// A run, or the end of a phase.
type Step = Option<u64>;

impl ManyKeys {
    fn push(&mut self, key: u64, by: i64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        *self.pushed.entry(key).or_default() += by;
        ps.push(key, [by; WIDTH])
    }

    fn pull(&mut self, key: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        let pushed = self.pushed.get(&key).copied().unwrap_or_default();
        self.expected.entry(key).or_default().push_back(pushed);
        ps.pull(key)
    }
}

impl WorkerLogic for ManyKeys {
    type In = Step;
    type Key = u64;
    type Pull = i64;
    type Push = i64;
    type Out = u64;

    fn intent(&self, step: &Step, keys: &mut Vec<u64>) -> Result<()> {
        keys.extend(step.iter().flat_map(|run| keys_of(*run)));
        Ok(())
    }

    fn on_recv(&mut self, step: Step, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        let Some(run) = step else {
            ps.advance_clock();
            return Ok(());
        };
        for key in keys_of(run) {
            if ps.clock() == 1 {
                self.push(key, 1 + (run % 5) as i64, ps)?;
            }
            self.pull(key, ps)?;
        }
        Ok(())
    }

    fn on_pull_recv(&mut self, key: &u64, row: &[i64], ps: &mut ParameterServerClient<Self>) -> Result<()> {
        self.answers += 1;
        let pushed = self.expected.get_mut(key).and_then(VecDeque::pop_front).unwrap();
        for (i, value) in row.iter().enumerate() {
            let more = value - initial(*key, i);
            assert_eq!(more, row[0] - initial(*key, 0), "a push is seen whole or not at all");
            match ps.clock() {
                0 | 3 => assert_eq!(more, 0, "key {key} at clock {}", ps.clock()),
                1 => assert!(more >= pushed, "key {key}: {more} after own pushes of {pushed}"),
                _ => {}
            }
        }
        Ok(())
    }

    fn on_clock(&mut self, clock: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        if clock == 2 {
            for (key, pushed) in std::mem::take(&mut self.pushed) {
                self.push(key, -pushed, ps)?;
            }
        }
        Ok(())
    }

    fn close(&mut self, out: &mut Collector<u64>) -> Result<()> {
        out.emit(self.answers);
        Ok(())
    }
}

/// Runs and ends of phases for each worker.
fn steps(workers: u64) -> impl Iterator<Item = (u64, Step)> {
    (0..4).flat_map(move |phase| {
        let runs = if phase == 2 { 0 } else { RUNS };
        let runs = (0..runs).map(move |i| (i % workers, Some(phase * RUNS + i)));
        let end = (phase < 3).then_some(0..workers).into_iter().flatten();
        runs.chain(end.map(|worker| (worker, None)))
    })
}

fn assert_exact(path: &str, settings: impl Fn() -> PsConfig<u64>, check: impl Fn(u64, &PsState, &str)) {
    let pulls: u64 =
        [0, 1, 3].iter().flat_map(|p| p * RUNS..(p + 1) * RUNS).map(|r| keys_of(r).count() as u64).sum();
    everywhere(
        path,
        |config| {
            let state = PsState::new();
            let settings = settings().width(WIDTH).credit(64).state(&state);
            let results = run(config, move |env| {
                let init = |key: &u64, row: &mut Vec<i64>| row.extend((0..WIDTH).map(|i| initial(*key, i)));
                let data = env.from_iter(steps(env.workers() as u64));
                let data = data.partition_custom(|(to, _), _| *to as usize).map(|(_, step)| step);
                let server = SimpleServer::with_update(init, ps::Sum);
                let out = ps::transform(data, ManyKeys::default(), server, &settings)?;
                Ok((out.output.collect(), out.model.collect()))
            });
            let (answers, model): (Vec<_>, Vec<_>) = results.into_iter().unzip();
            (answers.concat().iter().sum::<u64>(), sorted(model), state)
        },
        |(answers, model, state), shape| {
            assert_eq!(answers, pulls, "{shape}: every pull is answered once");
            for (key, row) in model {
                assert!(row.iter().enumerate().all(|(i, value)| *value == initial(key, i)), "{shape}: {key}");
            }
            if started_as().is_none() {
                let workers = state.worker_traffic();
                let kept = workers.iter().map(|worker| worker.pulls_kept + worker.pulls_joined).sum();
                check(kept, &state, shape);
            }
        },
    );
}

fn assert_kept(kept: u64, shape: &str) {
    assert_eq!(kept > 1_000, shape != "1 workers", "{shape}: {kept} pulls found their row");
}

#[test]
fn t_ad_04_many_keys_are_exact_with_intents_and_replicas() {
    assert_exact(
        test_path!(t_ad_04_many_keys_are_exact_with_intents_and_replicas),
        || PsConfig::new().intents(64).replicas(32).replica_age(500),
        |kept, _, shape| assert_kept(kept, shape),
    );
}

#[test]
fn t_ad_04_many_keys_are_exact_with_replicas_only() {
    assert_exact(
        test_path!(t_ad_04_many_keys_are_exact_with_replicas_only),
        || PsConfig::new().replicas(32).replica_age(500),
        |kept, state, shape| {
            assert_kept(kept, shape);
            let hot = state.server_traffic().into_iter().flat_map(|server| server.hot_keys);
            let hottest = hot.max_by_key(|(_, n)| *n).unwrap().0;
            assert!(hottest.parse::<u64>().unwrap() < 5, "{shape}: key {hottest} is the hottest");
        },
    );
}

#[test]
fn t_ad_04_many_keys_are_exact_with_intents_only() {
    assert_exact(
        test_path!(t_ad_04_many_keys_are_exact_with_intents_only),
        || PsConfig::new().intents(64),
        |kept, _, shape| assert_kept(kept, shape),
    );
}

#[test]
fn t_ad_04_many_keys_are_exact_where_all_rows_stay_at_their_servers() {
    assert_exact(
        test_path!(t_ad_04_many_keys_are_exact_where_all_rows_stay_at_their_servers),
        PsConfig::new,
        |kept, state, shape| {
            assert_eq!(kept, 0, "{shape}");
            let servers = state.server_traffic();
            assert!(servers.iter().all(|server| server.pulls > 10_000 && server.left_open == 0), "{shape}");
        },
    );
}
