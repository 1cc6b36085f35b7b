//! T-NEW-16 and snapshots: bulk-synchronous training is the same, bit for bit, whoever does it.

use std::collections::BTreeMap;

use waterwheel::prelude::*;

use super::java::Random;
use super::support::{add, run, sorted, zero};
use crate::cluster::{everywhere, test_path};

const CLOCKS: u64 = 12;
const KEYS: u64 = 40;
const WIDTH: usize = 3;

/// An example that belongs to a clock: the keys of its features, and a target.
type Example = (u64, Vec<u64>, f32);

fn examples(split: usize) -> impl Iterator<Item = Example> {
    let mut random = Random::new(split as u64);
    std::iter::repeat_with(move || {
        let clock = random.next_int(CLOCKS);
        let n = random.next_int(6);
        let keys = (0..n).map(|_| random.next_int(KEYS) * random.next_int(KEYS) / KEYS).collect();
        (clock, keys, random.next_double() as f32)
    })
    .take(300)
}

/// Learns the examples of a clock from the rows at its beginning: all at the end of the input.
#[derive(Default)]
struct Learn {
    /// Targets by clock, in order of arrival.
    examples: BTreeMap<u64, Vec<Example>>,
    /// Examples of the present clock without their rows.
    missing: Vec<Example>,
}

impl Learn {
    fn begin(&mut self, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        self.missing = self.examples.remove(&ps.clock()).unwrap_or_default();
        self.missing.iter().try_for_each(|(_, keys, _)| ps.pull_snapshot(keys.clone()))?;
        self.end_if_done(ps);
        Ok(())
    }

    fn end_if_done(&mut self, ps: &mut ParameterServerClient<Self>) {
        if self.missing.is_empty() {
            ps.advance_clock();
        }
    }
}

impl WorkerLogic for Learn {
    type In = Example;
    type Key = u64;
    type Pull = f32;
    type Push = f32;
    type Out = ();

    fn on_recv(&mut self, example: Example, _: &mut ParameterServerClient<Self>) -> Result<()> {
        self.examples.entry(example.0).or_default().push(example);
        Ok(())
    }

    fn on_end_of_input(&mut self, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        self.begin(ps)
    }

    fn on_pull_recv(&mut self, _: &u64, _: &[f32], _: &mut ParameterServerClient<Self>) -> Result<()> {
        Ok(())
    }

    fn on_pull_many_recv(
        &mut self,
        keys: &[u64],
        rows: &[f32],
        ps: &mut ParameterServerClient<Self>,
    ) -> Result<()> {
        assert_eq!(rows.len(), keys.len() * WIDTH);
        // Answers to examples with the same keys have the same rows.
        let at = self.missing.iter().position(|(_, of, _)| of == keys).unwrap();
        let (_, _, target) = self.missing.remove(at);
        let error = target - rows.iter().sum::<f32>();
        for (key, row) in keys.iter().zip(rows.chunks(WIDTH)) {
            ps.push(*key, row.iter().map(|value| 0.1 * error * (0.3 + value.cos())))?;
        }
        self.end_if_done(ps);
        Ok(())
    }

    fn on_clock(&mut self, clock: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        if clock < CLOCKS { self.begin(ps) } else { Ok(()) }
    }
}

fn trained(config: RuntimeConfig, ps_config: PsConfig<u64>) -> Vec<(u64, Vec<u32>)> {
    let models = run(config, move |env| {
        let data = env.from_splits(4, examples).shuffle(7);
        let init = |key: &u64, row: &mut Vec<f32>| {
            row.extend((0..WIDTH as u64).map(|i| generate::unit(*key, i) as f32));
        };
        let add = |row: &mut [f32], delta: &[f32]| row.iter_mut().zip(delta).for_each(|(v, d)| *v += d);
        let server = SimpleServer::new(init, add);
        Ok(ps::transform(data, Learn::default(), server, &ps_config)?.model.collect())
    });
    let bits = |(key, row): (u64, Vec<f32>)| (key, row.into_iter().map(f32::to_bits).collect());
    sorted(models.into_iter().map(|model| model.into_iter().map(bits).collect()))
}

/// Runs a job with these settings everywhere: all models must be the same bits, and something must be learned.
fn assert_same_everywhere(path: &str, settings: impl Fn() -> PsConfig<u64>) {
    let first = std::cell::OnceCell::new();
    everywhere(
        path,
        |config| trained(config, settings()),
        |model, shape| {
            assert!(model.len() > 20, "{shape}: {} parameters", model.len());
            assert!(model.iter().any(|(key, row)| row[0] != (generate::unit(*key, 0) as f32).to_bits()));
            assert_eq!(&model, first.get_or_init(|| model.clone()), "{shape}");
        },
    );
}

fn wide() -> PsConfig<u64> {
    PsConfig::new().width(WIDTH)
}

#[test]
fn t_new_16_bulk_synchronous_model_is_bit_identical_everywhere() {
    assert_same_everywhere(test_path!(t_new_16_bulk_synchronous_model_is_bit_identical_everywhere), || {
        wide().consistency(Consistency::BULK_SYNCHRONOUS)
    });
}

#[test]
fn t_new_16_snapshots_of_an_asynchronous_job_are_bit_identical_everywhere() {
    // Plain pulls would not wait; snapshots show exactly the clocks before their own.
    assert_same_everywhere(
        test_path!(t_new_16_snapshots_of_an_asynchronous_job_are_bit_identical_everywhere),
        || wide().whole_clocks(ps::PushOrder::ByValue),
    );
}

#[test]
fn t_new_16_model_is_bit_identical_with_little_credit_and_bounded_staleness() {
    assert_same_everywhere(
        test_path!(t_new_16_model_is_bit_identical_with_little_credit_and_bounded_staleness),
        || {
            let config = wide().credit(24).block_len(3).whole_clocks(ps::PushOrder::ByValue);
            config.consistency(Consistency::Bounded(3)).placement(Placement::Range(KEYS))
        },
    );
}

#[test]
fn snapshot_pull_where_pushes_take_effect_at_once_is_an_error() {
    let failed = super::support::try_run(RuntimeConfig::threads(2), |env| {
        let server = SimpleServer::new(|_: &u64, row: &mut Vec<f32>| row.extend([0.0; 3]), |_, _: &[f32]| ());
        let data = env.from_splits(4, examples);
        Ok(ps::transform(data, Learn::default(), server, &wide())?.model.collect())
    });
    let error = failed.unwrap_err();
    assert!(error.to_string().contains("ps worker"), "{error}");
    assert!(error.message().contains("set whole_clocks or a staleness of 0"), "{error}");
}

/// Advances its clock with every record, and adds 1 when the answer comes.
#[derive(Default)]
struct Streamed {
    clock_moves: bool,
}

impl WorkerLogic for Streamed {
    type In = usize;
    type Key = u64;
    type Pull = i64;
    type Push = i64;
    type Out = ();

    fn on_recv(&mut self, _: usize, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        assert!(!self.clock_moves, "a record came between advance_clock and on_clock");
        self.clock_moves = true;
        ps.pull(0)?;
        ps.advance_clock();
        Ok(())
    }

    fn on_pull_recv(&mut self, key: &u64, _: &[i64], ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.push(*key, [1])
    }

    fn on_clock(&mut self, _: u64, _: &mut ParameterServerClient<Self>) -> Result<()> {
        self.clock_moves = false;
        Ok(())
    }
}

/// The records of the last worker come first, and it can not handle them before the others get theirs: the source
/// that it has a backlog of must not be held.
fn assert_sources_run(path: &str, settings: impl Fn() -> PsConfig<u64>) {
    const N: usize = 2_000;
    everywhere(
        path,
        |config| {
            let settings = settings().credit(16);
            run(config.max_in_flight_records(500), move |env| {
                let workers = env.workers();
                let data = env.from_iter((0..workers * N).map(move |i| workers - 1 - i / N));
                let data = data.partition_custom(|to, _| *to);
                let server = SimpleServer::new(zero, add);
                Ok(ps::transform(data, Streamed::default(), server, &settings)?.model.collect())
            })
        },
        |model, shape| {
            let workers = if shape == "2 processes" { 2 } else { shape[..1].parse().unwrap() };
            assert_eq!(model.concat(), [(0, vec![workers * N as i64])], "{shape}");
        },
    );
}

#[test]
fn worker_that_waits_for_the_clock_of_others_does_not_hold_the_sources_they_need() {
    assert_sources_run(
        test_path!(worker_that_waits_for_the_clock_of_others_does_not_hold_the_sources_they_need),
        || PsConfig::new().consistency(Consistency::BULK_SYNCHRONOUS),
    );
}

#[test]
fn worker_that_waits_at_the_barrier_does_not_hold_the_sources_others_need() {
    assert_sources_run(
        test_path!(worker_that_waits_at_the_barrier_does_not_hold_the_sources_others_need),
        PsConfig::new,
    );
}
