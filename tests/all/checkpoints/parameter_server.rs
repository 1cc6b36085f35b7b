//! Jobs of the parameter server, over failures and on other numbers of workers: integer sums are exact.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use waterwheel::prelude::*;
use waterwheel::ps::models::{BigVector, ModelClient, ModelLogic, Models};
use waterwheel::ps::{Eviction, LogicReader, LogicWriter, PushOrder, transform};

use super::fixture::{BURNT, Fuse, check, config, numbers, recover};

const KEYS: u64 = 1_000;

/// Pulls the parameter of each number, then adds the number to it.
struct PullThenPush;

impl WorkerLogic for PullThenPush {
    type In = u64;
    type Key = u64;
    type Pull = u64;
    type Push = u64;
    type Out = u64;

    fn on_recv(&mut self, x: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.output(x);
        ps.pull(x % KEYS)
    }

    fn on_pull_recv(&mut self, key: &u64, row: &[u64], ps: &mut ParameterServerClient<Self>) -> Result<()> {
        assert_eq!(row.len(), 2);
        ps.push(*key, [*key, 1])
    }
}

type Add = fn(&mut [u64], &[u64]);

fn adding_server() -> SimpleServer<u64, u64, u64, fn(&u64, &mut Vec<u64>), Add> {
    let add: Add = |row, delta| row.iter_mut().zip(delta).for_each(|(a, b)| *a += b);
    SimpleServer::new(|_key, row| row.extend([0, 0]), add)
}

type Row = (u64, Vec<u64>);

fn sums(config: RuntimeConfig, fuse: Fuse, ps: PsConfig<u64>, emit: Emit) -> Result<(Vec<u64>, Vec<Row>)> {
    let results = execute(config, move |env| {
        let config = ps.clone().width(2).credit(200);
        let server = adding_server().emit(emit);
        let trained = transform(numbers(env, fuse.clone()), PullThenPush, server, &config)?;
        Ok((trained.output.collect(), trained.model.collect()))
    })?;
    let (outputs, models): (Vec<_>, Vec<_>) = results.into_iter().unzip();
    Ok((outputs.concat(), models.concat()))
}

/// Sums and counts by key; and how many results there were, and their sum.
fn check_sums(ps: impl Fn() -> PsConfig<u64>) {
    check(|config, fuse| {
        let (outputs, mut model) = sums(config, fuse, ps(), Emit::AtClose)?;
        model.push((KEYS, vec![outputs.iter().sum(), outputs.len() as u64]));
        Ok(model)
    });
}

#[test]
fn sums_of_an_asynchronous_job_are_exact() {
    check_sums(PsConfig::new);
}

#[test]
fn rows_go_where_the_placement_of_the_later_run_has_them() {
    check_sums(|| PsConfig::new().placement(Placement::Range(KEYS)));
    check_sums(|| PsConfig::new().placement(Placement::Cyclic(KEYS)));
    check_sums(|| PsConfig::new().placement(Placement::custom(|key, servers| *key as usize % servers)));
}

/// T-NEW-10.
#[test]
fn job_that_goes_from_two_to_three_to_five_workers_ends_as_an_undisturbed_one() {
    let expected = sums(RuntimeConfig::threads(2), Fuse::none(), PsConfig::new(), Emit::AtClose).unwrap();
    let sorted = |(mut outputs, mut model): (Vec<u64>, Vec<Row>)| {
        outputs.sort_unstable();
        model.sort_unstable();
        (outputs, model)
    };
    let dir = tempfile::tempdir().unwrap();
    for workers in [2, 3] {
        let error = sums(config(dir.path(), workers), Fuse::new(25_000), PsConfig::new(), Emit::AtClose);
        assert_eq!(error.unwrap_err().message(), BURNT, "with {workers} workers");
    }
    let found = sums(config(dir.path(), 5), Fuse::none(), PsConfig::new(), Emit::AtClose).unwrap();
    assert!(sorted(found) == sorted(expected), "other sums");
}

#[test]
fn sums_are_exact_where_one_worker_has_the_server() {
    check_sums(|| PsConfig::new().servers(1));
}

#[test]
fn sums_are_exact_with_locks_and_with_bounded_staleness() {
    check_sums(|| PsConfig::new().consistency(Consistency::Serialisable));
    check_sums(|| PsConfig::new().consistency(Consistency::Bounded(2)).whole_clocks(PushOrder::default()));
}

/// Each value that a parameter ever had is output once.
#[test]
fn output_of_every_push_is_neither_lost_nor_doubled() {
    check(|config, fuse| {
        let (_, model) = sums(config, fuse, PsConfig::new(), Emit::EveryPush)?;
        Ok(model)
    });
}

#[test]
fn rows_of_an_evicting_server_and_its_counts_live_on() {
    check(|config, fuse| {
        let results = execute(config, move |env| {
            let server = adding_server().evict(Eviction::new().min_frequency(3).idle_operations(1 << 40));
            let config = PsConfig::new().width(2).credit(200);
            let trained = transform(numbers(env, fuse.clone()), PullThenPush, server, &config)?;
            Ok(trained.model.collect())
        })?;
        // Which of the first uses of a key were pulls depends on the order.
        Ok(results.concat().into_iter().map(|(key, _row)| key).collect())
    });
}

/// Counts in a vector and remembers how many records it had.
struct CountInVector {
    counts: BigVector<u64>,
    n: u64,
}

impl ModelLogic for CountInVector {
    type In = u64;
    type Out = u64;

    fn on_recv(&mut self, x: u64, ps: &mut ModelClient<'_, Self>) -> Result<()> {
        self.n += 1;
        self.counts.push(ps, &[x % KEYS], &[1])
    }

    fn on_end_of_input(&mut self, ps: &mut ModelClient<'_, Self>) -> Result<()> {
        ps.output(self.n);
        Ok(())
    }

    fn snapshot(&self, to: &mut LogicWriter<'_>) -> Result<()> {
        to.put(&self.n)
    }

    fn restore(&mut self, from: &mut LogicReader<'_>) -> Result<()> {
        while let Some(n) = from.next_item::<u64>()? {
            self.n += n;
        }
        Ok(())
    }
}

#[test]
fn vectors_live_on_and_go_to_other_workers_as_they_were_laid_out() {
    check(|config, fuse| {
        let results = execute(config, move |env| {
            let mut models = Models::new(1);
            let logic = CountInVector { counts: models.vector(KEYS)?, n: 0 };
            let trained = models.transform(numbers(env, fuse.clone()), logic, &PsConfig::new())?;
            Ok((trained.output.collect(), trained.model.map(|row| format!("{row:?}")).collect()))
        })?;
        let (counts, rows): (Vec<_>, Vec<_>) = results.into_iter().unzip();
        let mut rows = rows.concat();
        rows.push(counts.concat().iter().sum::<u64>().to_string());
        Ok(rows)
    });
}

/// Rounds of training behind the end of the input, each with a barrier.
struct Rounds {
    seen: Arc<AtomicUsize>,
    fuse: Fuse,
    numbers: Vec<u64>,
    n: u64,
}

const ROUNDS: u64 = 400;

impl WorkerLogic for Rounds {
    type In = u64;
    type Key = u64;
    type Pull = u64;
    type Push = u64;
    type Out = (u64, u64);

    fn on_recv(&mut self, x: u64, _ps: &mut ParameterServerClient<Self>) -> Result<()> {
        self.numbers.push(x);
        Ok(())
    }

    fn on_end_of_input(&mut self, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        self.on_clock(0, ps)
    }

    fn on_pull_recv(&mut self, key: &u64, row: &[u64], ps: &mut ParameterServerClient<Self>) -> Result<()> {
        ps.output((*key, row[0]));
        Ok(())
    }

    fn on_clock(&mut self, clock: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        assert_eq!(clock, self.n);
        self.n += 1;
        self.seen.fetch_add(1, Ordering::Relaxed);
        self.fuse.burn()?;
        // What all have added in the rounds before, whoever asks.
        for x in &self.numbers {
            ps.pull(*x)?;
        }
        if clock < ROUNDS {
            for x in &self.numbers {
                ps.push(*x, [clock])?;
            }
            ps.advance_clock();
        }
        Ok(())
    }

    fn snapshot(&self, to: &mut LogicWriter<'_>) -> Result<()> {
        to.put_alike(&self.n)?;
        self.numbers.iter().try_for_each(|x| to.put_keyed(x, &()))
    }

    fn restore(&mut self, from: &mut LogicReader<'_>) -> Result<()> {
        self.n = from.next_alike()?.unwrap_or(0);
        from.for_each_keyed(|x, ()| {
            self.numbers.push(x);
            Ok(())
        })
    }
}

/// A job that trains behind the end of its input is cut where a clock comes, and goes on there: each attempt sees a few
/// rounds only, and yet all are done, once.
#[test]
fn training_behind_the_end_of_the_input_goes_on_at_its_clock() {
    let seen = Arc::new(AtomicUsize::new(0));
    let job = |config, fuse: Fuse| {
        let seen = Arc::clone(&seen);
        let results = execute(config, move |env| {
            let numbers = env.from_iter(0..40u64).key_by(|x| *x).into_stream();
            let logic = Rounds { seen: Arc::clone(&seen), fuse: fuse.clone(), numbers: Vec::new(), n: 0 };
            let server = SimpleServer::new(
                |_key: &u64, row: &mut Vec<u64>| row.push(0),
                |row: &mut [u64], delta: &[u64]| row[0] += delta[0],
            );
            let trained = transform(numbers, logic, server, &PsConfig::new())?;
            Ok((trained.output.collect(), trained.model.collect()))
        })?;
        let (outputs, models): (Vec<_>, Vec<_>) = results.into_iter().unzip();
        let (mut outputs, mut model) = (outputs.concat(), models.concat());
        outputs.sort_unstable();
        model.sort_unstable();
        Ok((outputs, model))
    };
    let (outputs, model) = job(RuntimeConfig::threads(2), Fuse::none()).unwrap();
    assert_eq!(outputs.len() as u64, 40 * (ROUNDS + 1));
    assert!(model.iter().all(|(_, row)| row[0] == (0..ROUNDS).sum::<u64>()));
    let mut failures = 0;
    for seed in 0..4 {
        let (found, n) = recover(seed, 200, job);
        assert!(found == (outputs.clone(), model.clone()), "seed {seed}: other rounds after {n} failures");
        failures += n;
    }
    assert!(failures > 0, "nothing has failed");
    println!("{failures} failures, {} rounds begun", seen.load(Ordering::Relaxed));
}

#[test]
fn logic_that_does_not_say_what_it_keeps_is_refused() {
    struct Keeps(u64);
    impl WorkerLogic for Keeps {
        type In = u64;
        type Key = u64;
        type Pull = u64;
        type Push = u64;
        type Out = ();

        fn on_recv(&mut self, x: u64, _ps: &mut ParameterServerClient<Self>) -> Result<()> {
            self.0 += x;
            Ok(())
        }

        fn on_pull_recv(&mut self, _: &u64, _: &[u64], _: &mut ParameterServerClient<Self>) -> Result<()> {
            Ok(())
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let error = execute(config(dir.path(), 1), |env| {
        transform(env.from_iter([1u64]), Keeps(0), adding_server(), &PsConfig::new().width(2))?;
        Ok(())
    });
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!(error.site().map(|site| site.operator.as_str()), Some("parameter server/ps worker"));
    assert!(error.message().starts_with("this worker logic may keep a state"), "{error}");
}
