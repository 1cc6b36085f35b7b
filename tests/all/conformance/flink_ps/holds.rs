//! A worker that can not go on before others do must not hold the sources that these need.
//!
//! In every case the records of the last worker come first, from one source, and it can handle few of them before the
//! other workers get theirs.

use std::collections::BTreeMap;

use waterwheel::prelude::*;
use waterwheel::ps::{
    self, Consistency, ParameterServer, ParameterServerClient, PsConfig, PushOrder, SendPolicy,
    ServerContext, ServerLogic, SimpleServer, WorkerLogic,
};

use super::support::{add, run, sorted, zero};
use crate::cluster::{everywhere, test_path};

/// Records of each worker.
const N: u64 = 2_000;

/// Answers the pulls of a key when every worker has pulled it, with the number of them. Pulls of even keys get a row
/// more before, those of every seventh are dismissed at once.
#[derive(Default)]
struct Meeting {
    workers: usize,
    came: BTreeMap<u64, Vec<usize>>,
}

impl ServerLogic for Meeting {
    type Key = u64;
    type Pull = i64;
    type Push = i64;
    type Out = ();

    fn open(&mut self, context: &ServerContext<u64>) -> Result<()> {
        self.workers = context.workers;
        Ok(())
    }

    fn on_pull(
        &mut self,
        key: &u64,
        worker: usize,
        answer: &mut Vec<i64>,
        ps: &mut ParameterServer<u64, i64, ()>,
    ) -> Result<()> {
        if key.is_multiple_of(7) {
            return ps.dismiss_pull(worker, key);
        }
        if key.is_multiple_of(2) {
            ps.add_row(worker, key, &[-1])?;
        }
        let came = self.came.entry(*key).or_default();
        came.push(worker);
        if came.len() < self.workers {
            return Ok(());
        }
        answer.push(came.len() as i64);
        let before = &came[..came.len() - 1];
        before.iter().try_for_each(|of| ps.answer_pull(*of, key, &[self.workers as i64]))
    }

    fn on_push(&mut self, _: &u64, _: &[i64], _: &mut ParameterServer<u64, i64, ()>) -> Result<()> {
        Ok(())
    }

    fn on_load(&mut self, _: &u64, _: &[i64]) -> Result<()> {
        Ok(())
    }
}

/// Pulls each record, and outputs what it is answered.
#[derive(Default)]
struct Meets {
    /// Whether its clock advances with every record.
    by_clock: bool,
}

impl WorkerLogic for Meets {
    type In = u64;
    type Key = u64;
    type Pull = i64;
    type Push = i64;
    type Out = (u64, i64);

    fn on_recv(&mut self, key: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        if self.by_clock {
            ps.advance_clock();
        }
        ps.pull(key)
    }

    fn on_pull_recv(&mut self, key: &u64, value: &[i64], ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.output((*key, value[0]));
        Ok(())
    }
}

/// The records of all workers, those of the last one first.
fn last_worker_first<'s>(env: &Env<'s>) -> DataStream<'s, u64> {
    let workers = env.workers() as u64;
    let records = env.from_iter((0..workers * N).map(move |i| (workers - 1 - i / N, 1 + i % N)));
    records.partition_custom(|(to, _), _| *to as usize).map(|(_, i)| i)
}

fn workers_of(shape: &str) -> i64 {
    if shape == "2 processes" { 2 } else { shape[..1].parse().unwrap() }
}

fn assert_all_meet(path: &str, by_clock: bool, settings: impl Fn() -> PsConfig<u64>) {
    everywhere(
        path,
        |config| {
            let settings = settings();
            run(config.max_in_flight_records(500), move |env| {
                let (data, worker) = (last_worker_first(env), Meets { by_clock });
                Ok(ps::transform(data, worker, Meeting::default(), &settings)?.output.collect())
            })
        },
        |rows, shape| {
            let workers = workers_of(shape);
            let met = (1..=N).filter(|key| key % 7 != 0);
            let of_key = |key: u64| {
                if key.is_multiple_of(2) { vec![(key, -1), (key, workers)] } else { vec![(key, workers)] }
            };
            let all = met.flat_map(|key| std::iter::repeat_n(of_key(key), workers as usize).flatten());
            assert!(sorted(rows).into_iter().eq(sorted([all.collect()])), "{shape}");
        },
    );
}

#[test]
fn worker_whose_pulls_wait_for_others_does_not_hold_their_sources() {
    assert_all_meet(
        test_path!(worker_whose_pulls_wait_for_others_does_not_hold_their_sources),
        false,
        || PsConfig::new().credit(16),
    );
}

#[test]
fn worker_whose_pulls_wait_for_others_does_not_hold_their_sources_with_bounded_staleness() {
    assert_all_meet(
        test_path!(worker_whose_pulls_wait_for_others_does_not_hold_their_sources_with_bounded_staleness),
        false,
        || PsConfig::new().credit(16).consistency(Consistency::Bounded(1)),
    );
}

#[test]
fn worker_whose_batches_wait_for_their_count_while_pulls_wait_for_others_goes_on() {
    assert_all_meet(
        test_path!(worker_whose_batches_wait_for_their_count_while_pulls_wait_for_others_goes_on),
        false,
        || PsConfig::new().credit(50).worker_send(SendPolicy::Count(3)),
    );
}

#[test]
fn worker_whose_answers_wait_for_their_count_while_pulls_wait_for_others_goes_on() {
    assert_all_meet(
        test_path!(worker_whose_answers_wait_for_their_count_while_pulls_wait_for_others_goes_on),
        false,
        || PsConfig::new().credit(50).server_send(SendPolicy::Count(5)),
    );
}

#[test]
fn worker_that_wants_its_clock_while_pulls_wait_for_others_does_not_hold_their_sources() {
    assert_all_meet(
        test_path!(worker_that_wants_its_clock_while_pulls_wait_for_others_does_not_hold_their_sources),
        true,
        PsConfig::new,
    );
}

#[test]
fn worker_that_wants_its_clock_while_pulls_wait_for_others_does_not_hold_their_sources_with_bounded_staleness()
 {
    assert_all_meet(
        test_path!(
            worker_that_wants_its_clock_while_pulls_wait_for_others_does_not_hold_their_sources_with_bounded_staleness
        ),
        true,
        || PsConfig::new().consistency(Consistency::Bounded(3)),
    );
}

/// Advances its clock with every record; reads a snapshot of the counter in each and adds 1.
struct Snapshots;

impl WorkerLogic for Snapshots {
    type In = u64;
    type Key = u64;
    type Pull = i64;
    type Push = i64;
    type Out = (u64, i64);

    fn on_recv(&mut self, _: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.push(0, [1])?;
        ps.pull_snapshot([0])?;
        ps.advance_clock();
        Ok(())
    }

    fn on_pull_recv(&mut self, _: &u64, value: &[i64], ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.output((ps.clock(), value[0]));
        Ok(())
    }
}

#[test]
fn worker_whose_snapshot_waits_for_clocks_within_the_staleness_does_not_hold_the_sources_of_others() {
    everywhere(
        test_path!(
            worker_whose_snapshot_waits_for_clocks_within_the_staleness_does_not_hold_the_sources_of_others
        ),
        |config| {
            run(config.max_in_flight_records(500), |env| {
                let settings = PsConfig::new().consistency(Consistency::Bounded(1_000_000));
                let settings = settings.whole_clocks(PushOrder::ByValue);
                let server = SimpleServer::new(zero, add);
                let data = last_worker_first(env);
                Ok(ps::transform(data, Snapshots, server, &settings)?.output.collect())
            })
        },
        |seen, shape| {
            let workers = workers_of(shape);
            let all = (0..N).flat_map(|t| std::iter::repeat_n((t, workers * t as i64), workers as usize));
            assert!(sorted(seen).into_iter().eq(all), "{shape}");
        },
    );
}
