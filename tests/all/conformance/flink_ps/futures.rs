//! Worker logic as futures, which Flink Parameter Server began (`WorkerLogicWithFuture`) and never finished.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use waterwheel::prelude::*;
use waterwheel::ps::{AsyncWorker, AsyncWorkerLogic, PsHandle};

use super::java::Random;
use super::support::{add, run, sorted, try_run, zero};
use crate::cluster::{everywhere, test_path};

const KEYS: u64 = 9;

/// A random walk: each step pulls a key, adds 1 to it, and goes on from what it has read.
#[derive(Default)]
struct Walk {
    under_way: Cell<i64>,
    most_under_way: Cell<i64>,
}

impl AsyncWorkerLogic for Walk {
    type In = u64;
    type Key = u64;
    type Pull = i64;
    type Push = i64;
    type Out = (u64, i64);

    async fn on_recv(self: Rc<Self>, seed: u64, ps: PsHandle<Self>) -> Result<()> {
        self.under_way.update(|n| n + 1);
        self.most_under_way.update(|n| n.max(self.under_way.get()));
        let mut random = Random::new(seed);
        let mut key = random.next_int(KEYS);
        for _ in 0..10 {
            let before = ps.pull(key).await[0];
            let (after, others) = (ps.push_pull(key, [1]), ps.pull_many([0, key]));
            let after = after.await[0];
            assert!(after > before, "its own push is seen");
            let others = others.await;
            assert_eq!(others.len(), 2);
            assert!(others[1] >= after, "rows come in the order of the keys");
            key = (key + random.next_int(KEYS)) % KEYS;
        }
        ps.output((seed, 10));
        self.under_way.update(|n| n - 1);
        Ok(())
    }

    async fn on_end_of_input(self: Rc<Self>, ps: PsHandle<Self>) -> Result<()> {
        ps.push(1_000, [1]);
        ps.pull_many(Vec::new()).await;
        Ok(())
    }

    fn close(&self, out: &mut Collector<Self::Out>) -> Result<()> {
        assert_eq!(self.under_way.get(), 0);
        out.emit((u64::MAX, self.most_under_way.get()));
        Ok(())
    }
}

#[test]
fn futures_of_records_await_their_answers_within_the_credit() {
    everywhere(
        test_path!(futures_of_records_await_their_answers_within_the_credit),
        |config| {
            let results = run(config, |env| {
                let data = env.from_splits(4, |split| (0..250).map(move |i| 250 * split as u64 + i));
                let config = PsConfig::new().credit(32);
                let worker = AsyncWorker::new(Walk::default());
                let out = ps::transform(data, worker, SimpleServer::new(zero, add), &config)?;
                Ok((out.output.collect(), out.model.collect()))
            });
            let (outputs, model): (Vec<_>, Vec<_>) = results.into_iter().unzip();
            (sorted(outputs), sorted(model))
        },
        |(outputs, model), shape| {
            assert!(outputs[..1_000].iter().copied().eq((0..1_000).map(|seed| (seed, 10))), "{shape}");
            let most = outputs[1_000..].iter().map(|(_, most)| *most).max().unwrap();
            assert!((2..=32).contains(&most), "{shape}: {most} records under way with a credit of 32");
            let steps: i64 = model.iter().filter(|(key, _)| *key < KEYS).map(|(_, row)| row[0]).sum();
            assert_eq!(steps, 10_000, "{shape}");
            let ends = model.last().map(|(key, row)| (*key, row[0]));
            assert_eq!(ends, Some((1_000, outputs.len() as i64 - 1_000)), "{shape}: one per worker");
        },
    );
}

/// Bulk-synchronous steps in one loop, as they are written down.
struct Synchronous;

impl AsyncWorkerLogic for Synchronous {
    type In = ();
    type Key = u64;
    type Pull = i64;
    type Push = i64;
    type Out = (u64, Vec<i64>);

    async fn on_recv(self: Rc<Self>, _: (), _: PsHandle<Self>) -> Result<()> {
        Ok(())
    }

    async fn on_end_of_input(self: Rc<Self>, ps: PsHandle<Self>) -> Result<()> {
        for clock in 0..20 {
            let rows = ps.pull_snapshot([0, 1, 2]).await;
            ps.output((clock, rows.to_vec()));
            (0..3).for_each(|key| ps.push(key, [1]));
            assert_eq!(ps.advance_clock().await, clock + 1);
        }
        Ok(())
    }
}

#[test]
fn future_goes_from_clock_to_clock() {
    everywhere(
        test_path!(future_goes_from_clock_to_clock),
        |config| {
            run(config, |env| {
                let config = PsConfig::new().consistency(Consistency::BULK_SYNCHRONOUS);
                let (worker, server) = (AsyncWorker::new(Synchronous), SimpleServer::new(zero, add));
                Ok(ps::transform(env.from_iter([]), worker, server, &config)?.output.collect())
            })
        },
        |rows, shape| {
            let rows = sorted(rows);
            let workers = rows.len() as u64 / 20;
            for (clock, row) in rows {
                assert_eq!(row, vec![(workers * clock) as i64; 3], "{shape}: clock {clock}");
            }
        },
    );
}

/// Hands a number from one record's future to that of the next, or waits for one that never comes.
#[derive(Default)]
struct Relay {
    handed: RefCell<Option<u64>>,
    waker: RefCell<Option<std::task::Waker>>,
}

impl AsyncWorkerLogic for Relay {
    type In = u64;
    type Key = u64;
    type Pull = i64;
    type Push = i64;
    type Out = u64;

    async fn on_recv(self: Rc<Self>, number: u64, ps: PsHandle<Self>) -> Result<()> {
        if number == 0 {
            let handed = std::future::poll_fn(|context| {
                *self.waker.borrow_mut() = Some(context.waker().clone());
                self.handed.take().map_or(std::task::Poll::Pending, std::task::Poll::Ready)
            });
            ps.output(handed.await);
            return Ok(());
        }
        ps.pull(0).await;
        *self.handed.borrow_mut() = Some(number);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        Ok(())
    }
}

fn relayed(numbers: &'static [u64]) -> Result<Vec<Vec<u64>>> {
    try_run(RuntimeConfig::threads(1), move |env| {
        let (worker, server) = (AsyncWorker::new(Relay::default()), SimpleServer::new(zero, add));
        let numbers = env.from_iter(numbers.iter().copied());
        Ok(ps::transform(numbers, worker, server, &PsConfig::new())?.output.collect())
    })
}

#[test]
fn future_is_woken_by_another_of_its_worker() {
    assert_eq!(relayed(&[0, 7]).unwrap(), [[7]]);
}

#[test]
fn future_that_nothing_can_wake_ends_the_run_with_an_error() {
    let error = relayed(&[0]).unwrap_err();
    assert!(error.message().contains("1 futures of the worker logic have not ended"), "{error}");
}

#[test]
fn future_that_pushes_a_wrong_width_or_fails_ends_the_run() {
    struct Wrong;
    impl AsyncWorkerLogic for Wrong {
        type In = u64;
        type Key = u64;
        type Pull = i64;
        type Push = i64;
        type Out = ();
        async fn on_recv(self: Rc<Self>, key: u64, ps: PsHandle<Self>) -> Result<()> {
            ps.pull(key).await;
            if key == 1 {
                ps.push(key, [1, 2]);
                return Ok(());
            }
            Err(Error::data("boom"))
        }
    }
    for (key, message) in [(1, "has 2 elements, expected 1"), (2, "boom")] {
        let failed = try_run(RuntimeConfig::threads(2), move |env| {
            let (worker, server) = (AsyncWorker::new(Wrong), SimpleServer::new(zero, add));
            Ok(ps::transform(env.from_iter([key]), worker, server, &PsConfig::new())?.model.collect())
        });
        let error = failed.unwrap_err();
        assert!(error.to_string().contains("ps worker") && error.message().contains(message), "{error}");
    }
}
