//! Pushes that are combined before they are sent, and batches that leave at the end of a clock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use waterwheel::prelude::*;

use super::java::Random;
use super::support::{add, run, sorted, zero};
use crate::cluster::{everywhere, test_path};

/// Pushes and pulls as told: the sum of the worker's own pushes at each pull is what it must see at least.
#[derive(Default)]
struct Mixed {
    written: BTreeMap<u64, i64>,
}

impl WorkerLogic for Mixed {
    type In = (u64, i64);
    type Key = u64;
    type Pull = i64;
    type Push = i64;
    type Out = ();

    fn on_recv(&mut self, (key, value): (u64, i64), ps: &mut ParameterServerClient<Self>) -> Result<()> {
        match value {
            0 => ps.pull(key),
            5 => ps.push_pull(key, [value]),
            _ => ps.push(key, [value]),
        }
    }

    fn on_pull_recv(&mut self, key: &u64, value: &[i64], _: &mut ParameterServerClient<Self>) -> Result<()> {
        let last = self.written.insert(*key, value[0]).unwrap_or(0);
        assert!(value[0] >= last, "key {key} went from {last} to {}", value[0]);
        Ok(())
    }
}

/// Most steps push to few keys.
fn steps(split: usize) -> impl Iterator<Item = (u64, i64)> {
    let mut random = Random::new(split as u64);
    (0..5_000).map(move |_| (random.next_int(8), (random.next_int(20) as i64 - 10).clamp(0, 9)))
}

fn assert_sums(path: &str, settings: impl Fn() -> PsConfig<u64>) {
    everywhere(
        path,
        |config| {
            let (applied, settings) = (Arc::new(AtomicU64::new(0)), settings());
            let counter = Arc::clone(&applied);
            let models = run(config, move |env| {
                let counter = Arc::clone(&counter);
                let counting_add = move |row: &mut [i64], delta: &[i64]| {
                    counter.fetch_add(1, Ordering::SeqCst);
                    add(row, delta);
                };
                let server = SimpleServer::new(zero, counting_add).combine(add);
                let data = env.from_splits(4, steps);
                Ok(ps::transform(data, Mixed::default(), server, &settings)?.model.collect())
            });
            (sorted(models), applied.load(Ordering::SeqCst))
        },
        |(model, applied), shape| {
            let (mut sums, mut pushes) = (BTreeMap::new(), 0);
            (0..4).flat_map(steps).for_each(|(key, value)| {
                *sums.entry(key).or_insert(0) += value;
                pushes += u64::from(value != 0);
            });
            assert!(model.into_iter().eq(sums.into_iter().map(|(key, sum)| (key, vec![sum]))), "{shape}");
            // Those of the other process are not counted.
            assert!(applied < pushes, "{shape}: {applied} of {pushes} pushes were applied");
        },
    );
}

#[test]
fn combined_pushes_sum_to_the_same_and_fewer_are_applied() {
    assert_sums(test_path!(combined_pushes_sum_to_the_same_and_fewer_are_applied), PsConfig::new);
}

#[test]
fn combined_pushes_sum_to_the_same_in_batches_that_wait() {
    assert_sums(test_path!(combined_pushes_sum_to_the_same_in_batches_that_wait), || {
        PsConfig::new().worker_send(SendPolicy::Count(50))
    });
}

#[test]
fn combined_pushes_sum_to_the_same_with_little_credit() {
    assert_sums(test_path!(combined_pushes_sum_to_the_same_with_little_credit), || {
        PsConfig::new().credit(40).block_len(10)
    });
}

/// T-FPS-14 at the end of a clock: a batch below its count does not wait for more.
#[test]
fn t_fps_14_operations_below_the_count_leave_at_the_end_of_a_clock() {
    /// Pushes once in each clock.
    struct OnePush;
    impl WorkerLogic for OnePush {
        type In = ();
        type Key = u64;
        type Pull = i64;
        type Push = i64;
        type Out = ();
        fn on_recv(&mut self, _: (), _: &mut ParameterServerClient<Self>) -> Result<()> {
            Ok(())
        }
        fn on_pull_recv(&mut self, _: &u64, _: &[i64], _: &mut ParameterServerClient<Self>) -> Result<()> {
            Ok(())
        }
        fn on_end_of_input(&mut self, ps: &mut ParameterServerClient<Self>) -> Result<()> {
            self.on_clock(0, ps)
        }
        fn on_clock(&mut self, clock: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
            if clock < 5 {
                (0..7).try_for_each(|key| ps.push(key, [1]))?;
                ps.pull(100)?;
                ps.advance_clock();
            }
            Ok(())
        }
    }
    let count = || SendPolicy::Count(1_000);
    everywhere(
        test_path!(t_fps_14_operations_below_the_count_leave_at_the_end_of_a_clock),
        |config| {
            run(config, move |env| {
                let settings = PsConfig::new().worker_send(count()).server_send(count());
                let server = SimpleServer::new(zero, add);
                Ok(ps::transform(env.from_iter([]), OnePush, server, &settings)?.model.collect())
            })
        },
        |model, shape| {
            let model = sorted(model);
            let workers = model[0].1[0] / 5;
            assert!(model[..7].iter().all(|(_, row)| row[0] == 5 * workers && workers > 0), "{shape}");
        },
    );
}
