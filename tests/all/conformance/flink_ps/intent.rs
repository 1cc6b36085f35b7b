//! Announced pulls: the same results as without, and fewer round trips that anybody waits for.

use std::collections::BTreeMap;

use waterwheel::engine::started_as;
use waterwheel::prelude::*;
use waterwheel::ps::{
    self, Consistency, ParameterServerClient, PsConfig, PsState, SimpleServer, WorkerContext, WorkerLogic,
};

use super::support::{run, sorted};
use crate::cluster::{everywhere, test_path};

const KEYS: u64 = 400;
const CLOCKS: u64 = 4;
/// Examples of a clock, of all workers.
const EXAMPLES: u64 = 600;

/// An example of a worker, or the end of its clock.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
enum Step {
    Example(u64),
    EndOfClock,
}

/// Moves the row of each example's key by a number that depends on what it has seen.
#[derive(Default)]
struct Learn {
    workers: usize,
    examples: BTreeMap<u64, Vec<u64>>,
}

impl WorkerLogic for Learn {
    type In = Step;
    type Key = u64;
    type Pull = f32;
    type Push = f32;
    type Out = ();

    fn open(&mut self, context: &WorkerContext) -> Result<()> {
        self.workers = context.parallelism;
        Ok(())
    }

    fn intent(&self, step: &Step, keys: &mut Vec<u64>) -> Result<()> {
        match step {
            Step::Example(example) => keys.push(key_of(*example)),
            Step::EndOfClock => {}
        }
        Ok(())
    }

    fn on_recv(&mut self, step: Step, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        match step {
            Step::Example(example) => {
                self.examples.entry(key_of(example)).or_default().push(example);
                ps.pull(key_of(example))
            }
            Step::EndOfClock => {
                ps.advance_clock();
                Ok(())
            }
        }
    }

    fn on_pull_recv(&mut self, key: &u64, row: &[f32], ps: &mut ParameterServerClient<Self>) -> Result<()> {
        let examples = self.examples.get_mut(key).unwrap();
        let example = examples.remove(0);
        ps.push(*key, [0.3 * row[0] + generate::unit(example, 1) as f32 - 0.4])
    }
}

fn key_of(example: u64) -> u64 {
    (generate::unit(example, 0) * KEYS as f64) as u64
}

/// The steps of all workers: in each clock, examples in turn.
fn steps(workers: u64) -> impl Iterator<Item = (u64, Step)> {
    (0..CLOCKS).flat_map(move |clock| {
        let examples = (0..EXAMPLES).map(move |i| (i % workers, Step::Example(clock * EXAMPLES + i)));
        examples.chain((0..workers).map(|worker| (worker, Step::EndOfClock)))
    })
}

/// The model, bit by bit, and what the workers of this process have asked.
type Trained = (Vec<(u64, u32)>, PsState);

fn trained(env_config: RuntimeConfig, config: PsConfig<u64>) -> Trained {
    let state = PsState::new();
    let config = config.state(&state);
    let models = run(env_config, move |env| {
        let data = env.from_iter(steps(env.workers() as u64));
        let data = data.partition_custom(|(to, _), _| *to as usize).map(|(_, step)| step);
        let init = |key: &u64, row: &mut Vec<f32>| row.push(generate::unit(*key, 2) as f32);
        let server = SimpleServer::new(init, |row: &mut [f32], delta: &[f32]| row[0] += delta[0]);
        Ok(ps::transform(data, Learn::default(), server, &config)?.model.collect())
    });
    let bits = |(key, row): (u64, Vec<f32>)| (key, row[0].to_bits());
    (sorted(models.into_iter().map(|model| model.into_iter().map(bits).collect())), state)
}

fn assert_model(path: &str, settings: impl Fn() -> PsConfig<u64>, check: impl Fn(&PsState, &str)) {
    let first = std::cell::OnceCell::new();
    everywhere(
        path,
        |config| trained(config, settings()),
        |(model, state), shape| {
            assert!(model.len() > 300, "{shape}: {} keys", model.len());
            assert_eq!(&model, first.get_or_init(|| model.clone()), "{shape}");
            check(&state, shape);
        },
    );
    if started_as().is_none() {
        // The same settings without announcements, where there are round trips.
        let (plain, state) = trained(RuntimeConfig::threads(2), settings().intents(0));
        assert_eq!(Some(&plain), first.get(), "without announcements");
        let traffic = state.worker_traffic();
        assert!(
            traffic.iter().all(|worker| worker.pulls_kept + worker.pulls_joined + worker.pulls_ahead == 0)
        );
    }
}

#[test]
fn announced_pulls_of_a_bulk_synchronous_job_give_the_same_bits_and_wait_for_fewer_round_trips() {
    assert_model(
        test_path!(
            announced_pulls_of_a_bulk_synchronous_job_give_the_same_bits_and_wait_for_fewer_round_trips
        ),
        || PsConfig::new().credit(2).consistency(Consistency::BULK_SYNCHRONOUS).intents(64),
        |state, shape| {
            let workers = state.worker_traffic();
            assert!(!workers.is_empty(), "{shape}");
            for worker in workers {
                let remote = worker.pulls_sent + worker.pulls_kept + worker.pulls_joined;
                assert_eq!(remote == 0, shape == "1 workers", "{shape}: {worker:?}");
                assert!(worker.pulls_ahead <= 3 * remote, "{shape}: {worker:?}");
                assert_eq!(worker.max_staleness, 0, "{shape}: {worker:?}");
                assert_eq!(worker.credit_used, 0, "{shape}: {worker:?}");
                // Without announcements all of them are sent when they are needed.
                assert!(worker.pulls_sent <= remote / 4, "{shape}: {worker:?}");
            }
        },
    );
}

#[test]
fn announced_pulls_of_whole_clocks_with_bounded_staleness_see_what_snapshots_of_it_may() {
    // Who sees which version differs from run to run; the sums of what is pushed do not, as nobody looks at it.
    everywhere(
        test_path!(announced_pulls_of_whole_clocks_with_bounded_staleness_see_what_snapshots_of_it_may),
        |config| {
            let settings =
                PsConfig::new().credit(2).consistency(Consistency::Bounded(1)).intents(32).replicas(8);
            ticking(config, settings)
        },
        |seen, shape| {
            let workers = if shape == "2 processes" { 2 } else { shape[..1].parse().unwrap() };
            assert_eq!(seen.len() as u64, workers * CLOCKS * KEYS_OF_A_CLOCK, "{shape}");
            for (clock, value) in seen {
                let least = workers * clock.saturating_sub(1);
                assert!(
                    (least..=workers * (clock + 2)).contains(&value),
                    "{shape}: {value} at clock {clock}"
                );
            }
        },
    );
}

/// Keys that each worker counts in each clock.
const KEYS_OF_A_CLOCK: u64 = 50;

/// T-NEW-11 with announcements: in each clock pulls every counter, then adds 1 to it.
struct Ticking;

impl WorkerLogic for Ticking {
    type In = Step;
    type Key = u64;
    type Pull = u64;
    type Push = u64;
    type Out = (u64, u64);

    fn intent(&self, step: &Step, keys: &mut Vec<u64>) -> Result<()> {
        if let Step::Example(key) = step {
            keys.push(*key);
        }
        Ok(())
    }

    fn on_recv(&mut self, step: Step, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        match step {
            Step::Example(key) => ps.pull(key),
            Step::EndOfClock => {
                ps.advance_clock();
                Ok(())
            }
        }
    }

    fn on_pull_recv(&mut self, key: &u64, row: &[u64], ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.output((ps.clock(), row[0]));
        ps.push(*key, [1])
    }
}

/// The clock and value of every answer.
fn ticking(env_config: RuntimeConfig, config: PsConfig<u64>) -> Vec<(u64, u64)> {
    let seen = run(env_config, move |env| {
        let workers = env.workers() as u64;
        let keys = (0..KEYS_OF_A_CLOCK).map(Step::Example).chain([Step::EndOfClock]);
        let steps = keys.flat_map(move |step| (0..workers).map(move |to| (to, step)));
        let steps: Vec<_> = steps.collect();
        let data = env.from_iter((0..CLOCKS).flat_map(move |_| steps.clone()));
        let data = data.partition_custom(|(to, _), _| *to as usize).map(|(_, step)| step);
        let server = SimpleServer::with_update(|_: &u64, row: &mut Vec<u64>| row.push(0), ps::Sum);
        Ok(ps::transform(data, Ticking, server, &config)?.output.collect())
    });
    seen.concat()
}
