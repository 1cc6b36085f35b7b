//! T-FPS-01 and T-NEW-07: no more unanswered pulls than the credit, however many are issued.

use waterwheel::prelude::*;

use super::support::{add, run, sorted};
use crate::cluster::{everywhere, test_path};

/// Pulls once per record; at the end says how many answers came and how many were missing at most.
#[derive(Default)]
struct OnePullPerRecord {
    answered: u64,
    unanswered: u64,
    most_unanswered: u64,
}

impl WorkerLogic for OnePullPerRecord {
    type In = u64;
    type Key = u64;
    type Pull = i64;
    type Push = i64;
    type Out = (u64, u64);

    fn on_recv(&mut self, key: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        self.unanswered += 1;
        self.most_unanswered = self.most_unanswered.max(self.unanswered);
        ps.pull(key)
    }

    fn on_pull_recv(&mut self, _: &u64, _: &[i64], _: &mut ParameterServerClient<Self>) -> Result<()> {
        self.answered += 1;
        self.unanswered -= 1;
        Ok(())
    }

    fn close(&mut self, out: &mut Collector<(u64, u64)>) -> Result<()> {
        out.emit((self.answered, self.most_unanswered));
        Ok(())
    }
}

#[test]
fn t_fps_01_worker_with_credit_10_has_never_more_than_10_unanswered_pulls() {
    everywhere(
        test_path!(t_fps_01_worker_with_credit_10_has_never_more_than_10_unanswered_pulls),
        |config| {
            run(config, |env| {
                let data = env.from_splits(4, |split| (0..250).map(move |i| (250 * split + i) as u64));
                let server = SimpleServer::new(key_as_value, add);
                let config = PsConfig::new().credit(10);
                Ok(ps::transform(data, OnePullPerRecord::default(), server, &config)?.output.collect())
            })
        },
        |workers, shape| {
            let workers = workers.concat();
            assert_eq!(workers.iter().map(|(answered, _)| answered).sum::<u64>(), 1_000, "{shape}");
            assert!(workers.iter().all(|(_, most)| *most == 10), "{shape}: {workers:?}");
        },
    );
}

fn key_as_value(key: &u64, row: &mut Vec<i64>) {
    row.push(*key as i64);
}

/// Pulls the keys `0..n` while it handles the record `n`, and may push on every answer.
#[derive(Default)]
struct Flood {
    pushes: bool,
    answered: u64,
    sum: i64,
}

impl WorkerLogic for Flood {
    type In = u64;
    type Key = u64;
    type Pull = i64;
    type Push = i64;
    type Out = (u64, i64);

    fn on_recv(&mut self, n: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        (0..n).try_for_each(|key| ps.pull(key))
    }

    fn on_pull_recv(&mut self, key: &u64, value: &[i64], ps: &mut ParameterServerClient<Self>) -> Result<()> {
        self.answered += 1;
        self.sum += value[0];
        if self.pushes { ps.push(*key, [1]) } else { Ok(()) }
    }

    fn close(&mut self, out: &mut Collector<(u64, i64)>) -> Result<()> {
        out.emit((self.answered, self.sum));
        Ok(())
    }
}

#[test]
fn t_new_07_million_pulls_of_one_record_are_all_answered() {
    const N: u64 = 1_000_000;
    everywhere(
        test_path!(t_new_07_million_pulls_of_one_record_are_all_answered),
        |config| {
            run(config, |env| {
                let config = PsConfig::new().credit(4_096);
                let server = SimpleServer::new(key_as_value, add).emit(Emit::Never);
                Ok(ps::transform(env.from_iter([N]), Flood::default(), server, &config)?.output.collect())
            })
        },
        |workers, shape| {
            let (answered, sums): (Vec<_>, Vec<_>) = workers.concat().into_iter().unzip();
            assert_eq!(answered.iter().sum::<u64>(), N, "{shape}");
            assert_eq!(sums.iter().sum::<i64>(), (N * (N - 1) / 2) as i64, "{shape}");
        },
    );
}

#[test]
fn t_new_07_workers_that_all_flood_and_push_on_answers_lose_nothing() {
    const N: u64 = 50_000;
    everywhere(
        test_path!(t_new_07_workers_that_all_flood_and_push_on_answers_lose_nothing),
        |config| {
            run(config, |env| {
                let config = PsConfig::new().credit(64);
                let (flood, server) =
                    (Flood { pushes: true, ..Flood::default() }, SimpleServer::new(key_as_value, add));
                Ok(ps::transform(env.from_splits(4, |_split| [N]), flood, server, &config)?.model.collect())
            })
        },
        |model, shape| {
            let four_pushes = (0..N).map(|key| (key, vec![key as i64 + 4]));
            assert!(sorted(model).into_iter().eq(four_pushes), "{shape}");
        },
    );
}

#[test]
fn t_fps_01_sources_that_workers_of_two_processes_hold_again_and_again_are_let_go() {
    const N: usize = 100_000;
    everywhere(
        test_path!(t_fps_01_sources_that_workers_of_two_processes_hold_again_and_again_are_let_go),
        |config| {
            run(config, |env| {
                let data = env.from_splits(4, |split| (split..N).step_by(4).map(|key| key as u64 % 100));
                let server = SimpleServer::new(key_as_value, add);
                let config = PsConfig::new().credit(64);
                Ok(ps::transform(data, OnePullPerRecord::default(), server, &config)?.output.collect())
            })
        },
        |workers, shape| {
            let answered: u64 = workers.concat().iter().map(|(answered, _)| answered).sum();
            assert_eq!(answered, N as u64, "{shape}");
        },
    );
}
