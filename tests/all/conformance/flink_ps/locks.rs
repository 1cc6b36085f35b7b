//! T-FPS-16, T-FPS-17 and T-NEW-18: one worker at a time per key, and servers that answer later.

use std::collections::{BTreeMap, VecDeque};

use waterwheel::prelude::*;
use waterwheel::ps::ParameterServer;

use super::java::Random;
use super::support::{add, run, sorted, try_run, zero};
use crate::cluster::{everywhere, test_path};

/// Reads a counter and writes what it read plus one: right only if nobody writes between.
struct ReadModifyWrite;

impl WorkerLogic for ReadModifyWrite {
    type In = u64;
    type Key = u64;
    type Pull = i64;
    type Push = i64;
    type Out = i64;

    fn on_recv(&mut self, key: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.pull(key)
    }

    fn on_pull_recv(&mut self, key: &u64, value: &[i64], ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.output(value[0]);
        ps.push(*key, [value[0] + 1])
    }
}

fn replace(row: &mut [i64], new: &[i64]) {
    row.copy_from_slice(new);
}

const N: u64 = 4_000;
const KEYS: u64 = 3;

/// Half of the keys are 0, so that workers meet.
fn keys(split: usize) -> impl Iterator<Item = u64> {
    let mut random = Random::new(split as u64);
    (0..N / 4).map(move |_| random.next_int(2 * KEYS).saturating_sub(KEYS))
}

fn counted(config: RuntimeConfig, ps_config: PsConfig<u64>) -> (Vec<i64>, Vec<(u64, Vec<i64>)>) {
    let results = run(config, move |env| {
        let server = SimpleServer::new(zero, replace);
        let out = ps::transform(env.from_splits(4, keys), ReadModifyWrite, server, &ps_config)?;
        Ok((out.output.collect(), out.model.collect()))
    });
    let (read, model): (Vec<_>, Vec<_>) = results.into_iter().unzip();
    (sorted(read), sorted(model))
}

/// How often each key comes.
fn expected() -> BTreeMap<u64, i64> {
    let mut counts = BTreeMap::new();
    (0..4).flat_map(keys).for_each(|key| *counts.entry(key).or_default() += 1);
    counts
}

fn assert_serial((read, model): (Vec<i64>, Vec<(u64, Vec<i64>)>), shape: &str) {
    let model: BTreeMap<u64, i64> = model.into_iter().map(|(key, row)| (key, row[0])).collect();
    assert_eq!(model, expected(), "{shape}");
    // Every value of every counter was read once.
    let once = sorted([expected().into_values().flat_map(|n| 0..n).collect()]);
    assert_eq!(read, once, "{shape}");
}

#[test]
fn t_fps_16_read_modify_write_is_serial_with_locks() {
    everywhere(
        test_path!(t_fps_16_read_modify_write_is_serial_with_locks),
        |config| counted(config, PsConfig::new().consistency(Consistency::Serialisable)),
        assert_serial,
    );
}

/// Reads and writes a counter three times per record, so that pulls wait for credit and pushes come after them.
struct ThreeTimes;

impl WorkerLogic for ThreeTimes {
    type In = u64;
    type Key = u64;
    type Pull = i64;
    type Push = i64;
    type Out = i64;

    fn on_recv(&mut self, key: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        (0..3).try_for_each(|i| ps.pull((key + i) % KEYS))
    }

    fn on_pull_recv(&mut self, key: &u64, value: &[i64], ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.output(value[0]);
        ps.push(*key, [value[0] + 1])
    }
}

#[test]
fn t_fps_16_lock_is_given_back_although_pulls_wait_for_credit_before_the_push() {
    everywhere(
        test_path!(t_fps_16_lock_is_given_back_although_pulls_wait_for_credit_before_the_push),
        |config| {
            let models = run(config, |env| {
                let settings = PsConfig::new().consistency(Consistency::Serialisable).credit(1);
                let server = SimpleServer::new(zero, replace);
                Ok(ps::transform(env.from_splits(4, keys), ThreeTimes, server, &settings)?.model.collect())
            });
            sorted(models)
        },
        |model, shape| {
            let each = (0..KEYS).map(|key| (key, vec![N as i64]));
            assert!(model.iter().cloned().eq(each), "{shape}: {model:?}");
        },
    );
}

#[test]
fn t_fps_16_locks_with_batches_that_wait_for_their_count_are_refused() {
    let settings = || PsConfig::new().consistency(Consistency::Serialisable);
    for settings in
        [settings().worker_send(SendPolicy::Count(2)), settings().server_send(SendPolicy::Count(2))]
    {
        let refused = try_run(RuntimeConfig::threads(1), move |env| {
            let server = SimpleServer::new(zero, replace);
            Ok(ps::transform(env.from_splits(4, keys), ReadModifyWrite, server, &settings)?.model.collect())
        });
        assert!(refused.unwrap_err().message().contains("send policy with a count"));
    }
}

/// Pushes without a pull.
struct BlindPush;

impl WorkerLogic for BlindPush {
    type In = u64;
    type Key = u64;
    type Pull = i64;
    type Push = i64;
    type Out = i64;

    fn on_recv(&mut self, key: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        if key == 7 { ps.pull_many([1, 2]) } else { ps.push(key, [1]) }
    }

    fn on_pull_recv(&mut self, _: &u64, _: &[i64], _: &mut ParameterServerClient<Self>) -> Result<()> {
        Ok(())
    }
}

#[test]
fn t_fps_16_push_without_the_lock_and_pull_of_many_keys_are_errors() {
    for (key, site, message) in [(1, "ps server", "without its lock"), (7, "ps worker", "pull one key after")]
    {
        let failed = try_run(RuntimeConfig::threads(2), move |env| {
            let config = PsConfig::new().consistency(Consistency::Serialisable);
            let server = SimpleServer::new(zero, add);
            Ok(ps::transform(env.from_iter([key]), BlindPush, server, &config)?.model.collect())
        });
        let error = failed.unwrap_err();
        assert!(error.to_string().contains(site) && error.message().contains(message), "{error}");
    }
}

/// Pulls each key twice and pushes on every answer; the last worker pulls it once and never pushes.
#[derive(Default)]
struct PullsTwice {
    never_pushes: bool,
    answers: BTreeMap<u64, u64>,
}

impl WorkerLogic for PullsTwice {
    type In = u64;
    type Key = u64;
    type Pull = i64;
    type Push = i64;
    type Out = (u64, u64);

    fn open(&mut self, context: &ps::WorkerContext) -> Result<()> {
        self.never_pushes = context.parallelism > 1 && context.index + 1 == context.parallelism;
        Ok(())
    }

    fn on_recv(&mut self, key: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        let pulls = if self.never_pushes { 1 } else { 2 };
        (0..pulls).try_for_each(|_| ps.pull(key))
    }

    fn on_pull_recv(&mut self, key: &u64, value: &[i64], ps: &mut ParameterServerClient<Self>) -> Result<()> {
        *self.answers.entry(*key).or_default() += 1;
        if self.never_pushes { Ok(()) } else { ps.push(*key, [value[0] + 1]) }
    }

    fn close(&mut self, out: &mut Collector<(u64, u64)>) -> Result<()> {
        self.answers.iter().for_each(|(key, n)| out.emit((*key, *n)));
        Ok(())
    }
}

#[test]
fn t_new_18_every_pull_is_answered_and_locks_of_a_worker_that_ends_are_given_back() {
    everywhere(
        test_path!(t_new_18_every_pull_is_answered_and_locks_of_a_worker_that_ends_are_given_back),
        |config| {
            let results = run(config, |env| {
                let workers = env.workers();
                let data = env.from_iter((0..10).flat_map(move |key| (0..workers).map(move |to| (to, key))));
                let data = data.partition_custom(|(to, _), _| *to).map(|(_, key)| key);
                let config = PsConfig::new().consistency(Consistency::Serialisable);
                let server = SimpleServer::new(zero, replace);
                let out = ps::transform(data, PullsTwice::default(), server, &config)?;
                Ok((out.output.collect(), out.model.collect()))
            });
            let (answers, model): (Vec<_>, Vec<_>) = results.into_iter().unzip();
            (answers.concat(), sorted(model))
        },
        |(answers, model), shape| {
            let workers = if shape == "2 processes" { 2 } else { shape[..1].parse().unwrap() };
            let pushers = if workers == 1 { 1 } else { workers - 1 };
            for key in 0..10 {
                let n: u64 = answers.iter().filter(|(of, _)| *of == key).map(|(_, n)| n).sum();
                assert_eq!(n, 2 * pushers + u64::from(workers > 1), "{shape}: answers to pulls of {key}");
            }
            let all = (0..10).map(|key| (key, vec![2 * pushers as i64]));
            assert!(model.into_iter().eq(all), "{shape}");
        },
    );
}

/// `LockPSLogicB` as a user may write it: when it is a worker's turn, all its waiting pulls of the key are
/// answered, and the lock is free again after as many pushes.
#[derive(Default)]
struct LockB {
    keys: BTreeMap<u64, LockedKey>,
}

#[derive(Default)]
struct LockedKey {
    value: i64,
    /// Pushes to come before the next one has its turn.
    owed: usize,
    waiting: VecDeque<(usize, usize)>,
}

impl ServerLogic for LockB {
    type Key = u64;
    type Pull = i64;
    type Push = i64;
    type Out = (u64, Vec<i64>);

    fn on_pull(
        &mut self,
        key: &u64,
        worker: usize,
        answer: &mut Vec<i64>,
        _: &mut ParameterServer<u64, i64, Self::Out>,
    ) -> Result<()> {
        let locked = self.keys.entry(*key).or_default();
        if locked.owed == 0 {
            locked.owed = 1;
            answer.push(locked.value);
            return Ok(());
        }
        match locked.waiting.iter_mut().find(|(of, _)| *of == worker) {
            Some((_, pulls)) => *pulls += 1,
            None => locked.waiting.push_back((worker, 1)),
        }
        Ok(())
    }

    fn on_push(
        &mut self,
        key: &u64,
        delta: &[i64],
        ps: &mut ParameterServer<u64, i64, Self::Out>,
    ) -> Result<()> {
        let locked = self.keys.get_mut(key).ok_or_else(|| Error::operator("push before pull"))?;
        locked.value = locked.value.max(delta[0]);
        locked.owed -= 1;
        if let Some((next, pulls)) = locked.waiting.pop_front_if(|_| locked.owed == 0) {
            locked.owed = pulls;
            (0..pulls).try_for_each(|_| ps.answer_pull(next, key, &[locked.value]))?;
        }
        Ok(())
    }

    fn on_load(&mut self, _: &u64, _: &[i64]) -> Result<()> {
        Ok(())
    }

    fn close(&mut self, out: &mut Collector<Self::Out>) -> Result<()> {
        self.keys.iter().for_each(|(key, locked)| out.emit((*key, vec![locked.value])));
        Ok(())
    }
}

#[test]
fn t_fps_17_server_logic_of_the_user_answers_every_waiting_request_of_a_worker() {
    everywhere(
        test_path!(t_fps_17_server_logic_of_the_user_answers_every_waiting_request_of_a_worker),
        |config| {
            let results = run(config, |env| {
                let data = env.from_splits(4, keys);
                let out = ps::transform(data, ReadModifyWrite, LockB::default(), &PsConfig::new())?;
                Ok((out.output.collect(), out.model.collect()))
            });
            let (read, model): (Vec<_>, Vec<_>) = results.into_iter().unzip();
            (sorted(read), sorted(model))
        },
        |(read, model), shape| {
            assert_eq!(read.len() as u64, N, "{shape}: every pull is answered once");
            let counts = expected();
            for (key, row) in model {
                // A turn of several pulls reads one value for all of them.
                assert!((1..=counts[&key]).contains(&row[0]), "{shape}: {key} is {row:?}");
            }
        },
    );
}

/// Answers pulls when two workers have asked, with a row more before; pulls of 99 are dismissed.
#[derive(Default)]
struct InPairs {
    first: Option<usize>,
}

impl ServerLogic for InPairs {
    type Key = u64;
    type Pull = i64;
    type Push = i64;
    type Out = ();

    fn on_pull(
        &mut self,
        key: &u64,
        worker: usize,
        answer: &mut Vec<i64>,
        ps: &mut ParameterServer<u64, i64, ()>,
    ) -> Result<()> {
        if *key == 99 {
            return ps.dismiss_pull(worker, key);
        }
        match self.first.take() {
            None => {
                self.first = Some(worker);
                ps.add_row(worker, key, &[-1])
            }
            Some(first) => {
                answer.push(2);
                ps.answer_pull(first, key, &[1])
            }
        }
    }

    fn on_push(&mut self, _: &u64, _: &[i64], _: &mut ParameterServer<u64, i64, ()>) -> Result<()> {
        Ok(())
    }

    fn on_load(&mut self, _: &u64, _: &[i64]) -> Result<()> {
        Ok(())
    }
}

/// Outputs what it is answered.
struct Echo;

impl WorkerLogic for Echo {
    type In = u64;
    type Key = u64;
    type Pull = i64;
    type Push = i64;
    type Out = (u64, i64);

    fn on_recv(&mut self, key: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.pull(key)
    }

    fn on_pull_recv(&mut self, key: &u64, value: &[i64], ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.output((*key, value[0]));
        Ok(())
    }
}

#[test]
fn server_logic_answers_pulls_later_more_than_once_and_not_at_all() {
    everywhere(
        test_path!(server_logic_answers_pulls_later_more_than_once_and_not_at_all),
        |config| {
            run(config, |env| {
                let data = env.from_iter((0..2_000).map(|i| if i % 5 == 4 { 99 } else { 1 })).rebalance();
                let config = PsConfig::new().credit(8);
                Ok(ps::transform(data, Echo, InPairs::default(), &config)?.output.collect())
            })
        },
        |rows, shape| {
            let expected = [-1, 1, 2].into_iter().flat_map(|value| vec![(1, value); 800]);
            assert!(sorted(rows).into_iter().eq(expected), "{shape}");
        },
    );
}
