//! T-NEW-11: what pulls see of other workers' clocks, under bulk-synchronous and bounded staleness.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use waterwheel::prelude::*;

use super::java::Random;
use super::support::{add, run, sorted, zero};
use crate::cluster::{everywhere, test_path};

const KEYS: u64 = 5;
const CLOCKS: u64 = 30;

/// In each clock pulls every counter, then pushes 1 to it; outputs the clock and each value that it saw.
struct Ticking {
    random: Random,
    workers: i64,
    answers: u64,
}

impl Ticking {
    fn new() -> Self {
        Ticking { random: Random::new(0), workers: 0, answers: 0 }
    }

    fn begin(&mut self, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        // A delay that differs from worker to worker and from clock to clock.
        (0..self.random.next_int(20_000)).for_each(|_| std::hint::spin_loop());
        (0..self.random.next_int(3)).for_each(|_| std::thread::yield_now());
        (0..KEYS).try_for_each(|key| ps.pull(key))
    }
}

impl WorkerLogic for Ticking {
    type In = ();
    type Key = u64;
    type Pull = i64;
    type Push = i64;
    /// Clock, value and number of workers.
    type Out = (i64, i64, i64);

    fn open(&mut self, context: &ps::WorkerContext) -> Result<()> {
        (self.random, self.workers) = (Random::new(context.index as u64), context.parallelism as i64);
        Ok(())
    }

    fn on_recv(&mut self, _: (), _: &mut ParameterServerClient<Self>) -> Result<()> {
        Ok(())
    }

    fn on_end_of_input(&mut self, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        self.begin(ps)
    }

    fn on_pull_recv(&mut self, key: &u64, value: &[i64], ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.output((ps.clock() as i64, value[0], self.workers));
        ps.push(*key, [1])?;
        self.answers += 1;
        if self.answers.is_multiple_of(KEYS) {
            ps.advance_clock();
        }
        Ok(())
    }

    fn on_clock(&mut self, clock: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        if clock < CLOCKS { self.begin(ps) } else { Ok(()) }
    }
}

/// What the workers saw, and the model.
type Seen = (Vec<(i64, i64, i64)>, Vec<(u64, Vec<i64>)>);

fn seen(config: RuntimeConfig, ps_config: PsConfig<u64>) -> Seen {
    let results = run(config, move |env| {
        let server = SimpleServer::new(zero, add);
        let out = ps::transform(env.from_iter([]), Ticking::new(), server, &ps_config)?;
        Ok((out.output.collect(), out.model.collect()))
    });
    let (seen, model): (Vec<_>, Vec<_>) = results.into_iter().unzip();
    (seen.concat(), sorted(model))
}

/// Checks that every value lies in the range that `allowed(clock, workers)` gives, and that nothing is lost.
fn assert_seen(
    (seen, model): Seen,
    shape: &str,
    allowed: impl Fn(i64, i64) -> std::ops::RangeInclusive<i64>,
) {
    let workers = seen[0].2;
    assert_eq!(seen.len() as i64, workers * (CLOCKS * KEYS) as i64, "{shape}");
    for (clock, value, workers) in seen {
        let allowed = allowed(clock, workers);
        assert!(allowed.contains(&value), "{shape}: clock {clock} saw {value}, expected {allowed:?}");
    }
    let all = (0..KEYS).map(|key| (key, vec![workers * CLOCKS as i64]));
    assert!(model.into_iter().eq(all), "{shape}");
}

/// What a pull may see with staleness `s`: no clock before `t - s` is missing, and no worker can have pushed in a
/// clock behind `t + s`.
fn bounded(staleness: i64) -> impl Fn(i64, i64) -> std::ops::RangeInclusive<i64> {
    move |clock, workers| {
        let least = (workers * (clock - staleness)).max(clock);
        least..=clock + (workers - 1) * (clock + staleness + 1).min(CLOCKS as i64)
    }
}

fn exact(clock: i64, workers: i64) -> std::ops::RangeInclusive<i64> {
    workers * clock..=workers * clock
}

#[test]
fn t_new_11_bulk_synchronous_pull_sees_exactly_the_clocks_before_its_own() {
    everywhere(
        test_path!(t_new_11_bulk_synchronous_pull_sees_exactly_the_clocks_before_its_own),
        |config| seen(config, PsConfig::new().consistency(Consistency::BULK_SYNCHRONOUS)),
        |seen, shape| assert_seen(seen, shape, exact),
    );
}

#[test]
fn t_new_11_pull_with_staleness_1_misses_no_clock_before_the_last() {
    everywhere(
        test_path!(t_new_11_pull_with_staleness_1_misses_no_clock_before_the_last),
        |config| seen(config, PsConfig::new().consistency(Consistency::Bounded(1))),
        |seen, shape| assert_seen(seen, shape, bounded(1)),
    );
}

#[test]
fn t_new_11_pull_with_staleness_4_misses_no_clock_before_the_last_four() {
    everywhere(
        test_path!(t_new_11_pull_with_staleness_4_misses_no_clock_before_the_last_four),
        |config| seen(config, PsConfig::new().consistency(Consistency::Bounded(4))),
        |seen, shape| assert_seen(seen, shape, bounded(4)),
    );
}

/// Little credit, and batches that wait.
fn cramped() -> PsConfig<u64> {
    let config = PsConfig::new().credit(64).block_len(2);
    config.worker_send(SendPolicy::Count(3)).server_send(SendPolicy::Count(3))
}

#[test]
fn t_new_11_bulk_synchronous_is_exact_with_little_credit_and_batches_that_wait() {
    everywhere(
        test_path!(t_new_11_bulk_synchronous_is_exact_with_little_credit_and_batches_that_wait),
        |config| seen(config, cramped().consistency(Consistency::BULK_SYNCHRONOUS)),
        |seen, shape| assert_seen(seen, shape, exact),
    );
}

#[test]
fn t_new_11_staleness_2_holds_with_little_credit_and_batches_that_wait() {
    everywhere(
        test_path!(t_new_11_staleness_2_holds_with_little_credit_and_batches_that_wait),
        |config| seen(config, cramped().consistency(Consistency::Bounded(2))),
        |seen, shape| assert_seen(seen, shape, bounded(2)),
    );
}

#[test]
fn t_new_11_asynchronous_clock_is_a_barrier_also_for_batches_that_wait() {
    let settings = || {
        let config = PsConfig::new().worker_send(SendPolicy::Count(100));
        config.server_send(SendPolicy::Count(100))
    };
    everywhere(
        test_path!(t_new_11_asynchronous_clock_is_a_barrier_also_for_batches_that_wait),
        |config| seen(config, settings()),
        // Others may have pushed at the same clock already.
        |seen, shape| assert_seen(seen, shape, |clock, workers| workers * clock..=workers * (clock + 1) - 1),
    );
}

#[test]
fn t_new_11_whole_clocks_show_versions_whatever_the_staleness() {
    let settings = || {
        let config = PsConfig::new().consistency(Consistency::Bounded(2));
        config.whole_clocks(ps::PushOrder::ByWorker)
    };
    everywhere(
        test_path!(t_new_11_whole_clocks_show_versions_whatever_the_staleness),
        |config| seen(config, settings()),
        |seen, shape| {
            let whole = seen.0.iter().all(|(_, value, workers)| value % workers == 0);
            assert!(whole, "{shape}: a part of a clock was seen");
            assert_seen(seen, shape, |clock, workers| workers * (clock - 2).max(0)..=workers * clock);
        },
    );
}

/// Worker 1 does not leave clock 0 before worker 0 has seen its answer at clock `staleness`.
struct Lead {
    index: usize,
    staleness: u64,
    /// One more than the last clock at which worker 0 was answered.
    reached: Arc<AtomicU64>,
    /// Set when worker 1 goes on.
    let_go: Arc<AtomicU64>,
}

impl WorkerLogic for Lead {
    type In = ();
    type Key = u64;
    type Pull = i64;
    type Push = i64;
    type Out = (u64, bool);

    fn open(&mut self, context: &ps::WorkerContext) -> Result<()> {
        self.index = context.index;
        Ok(())
    }

    fn on_recv(&mut self, _: (), _: &mut ParameterServerClient<Self>) -> Result<()> {
        Ok(())
    }

    fn on_end_of_input(&mut self, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        if self.index == 1 {
            while self.reached.load(Ordering::SeqCst) <= self.staleness {
                std::thread::yield_now();
            }
            self.let_go.store(1, Ordering::SeqCst);
        }
        ps.pull(0)
    }

    fn on_pull_recv(&mut self, _: &u64, _: &[i64], ps: &mut ParameterServerClient<Self>) -> Result<()> {
        if self.index == 0 {
            ps.output((ps.clock(), self.let_go.load(Ordering::SeqCst) == 1));
            self.reached.store(ps.clock() + 1, Ordering::SeqCst);
        }
        ps.push(0, [1])?;
        ps.advance_clock();
        Ok(())
    }

    fn on_clock(&mut self, clock: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        if clock <= self.staleness + 1 { ps.pull(0) } else { Ok(()) }
    }
}

#[test]
fn t_new_11_worker_runs_ahead_by_its_staleness_and_no_further() {
    for staleness in [0, 1, 3] {
        let (reached, let_go) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let seen = run(RuntimeConfig::threads(2), move |env| {
            let (reached, let_go) = (Arc::clone(&reached), Arc::clone(&let_go));
            let worker = Lead { index: 0, staleness, reached, let_go };
            let config = PsConfig::new().servers(1).consistency(Consistency::Bounded(staleness));
            let server = SimpleServer::new(zero, add);
            Ok(ps::transform(env.from_iter([]), worker, server, &config)?.output.collect())
        });
        // The answer at the last clock of the lead is what lets worker 1 go.
        let expected = (0..=staleness).map(|clock| (clock, false)).chain([(staleness + 1, true)]);
        assert!(sorted(seen).into_iter().eq(expected), "staleness {staleness}");
    }
}
