//! Checkpoints between the rounds of bounded iterations: a job that goes on from one goes on with its round, and ends with
//! what a run without failures gives.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use waterwheel::engine::checkpoint::{Checkpoint, CheckpointStore, Newest};
use waterwheel::ml::clustering::KMeans;
use waterwheel::ml::generate::sm;
use waterwheel::ml::linear::LogisticRegression;
use waterwheel::ml::{Examples, Matrix};
use waterwheel::prelude::*;

use super::fixture::{BURNT, Fuse};
use crate::failures::process::wait_until;

/// The rounds that were begun, each time.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<Round>>>);

impl Seen {
    fn take(&self) -> Vec<Round> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

const ROUNDS: u64 = 200;

/// Adds all data of a round to the variable, and keeps how often it has been told of a round.
struct Add {
    sum: u64,
    n_rounds: u64,
    seen: Seen,
    fuse: Fuse,
}

impl IterationListener for Add {
    type Out = (u64, u64);

    fn on_epoch_watermark_incremented(
        &mut self,
        epoch: Round,
        context: &mut EpochContext,
        out: &mut Collector<(u64, u64)>,
    ) -> Result<()> {
        self.fuse.burn()?;
        if context.worker_index() == 0 {
            self.seen.0.lock().unwrap().push(epoch);
        }
        assert_eq!(self.n_rounds, epoch, "told of each round once");
        self.n_rounds += 1;
        if self.sum > 0 {
            out.emit((self.n_rounds, std::mem::take(&mut self.sum) % 1_000_003));
        }
        Ok(())
    }

    fn on_iteration_terminated(
        &mut self,
        _: &mut EpochContext,
        out: &mut Collector<(u64, u64)>,
    ) -> Result<()> {
        out.emit((self.n_rounds, 0));
        Ok(())
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<()> {
        state.put(&self.n_rounds)
    }

    fn restore(&mut self, state: &mut StateReader) -> Result<()> {
        while let Some(n_rounds) = state.next_item()? {
            self.n_rounds = n_rounds;
        }
        Ok(())
    }
}

impl EpochCoProcessFunction<u64, u64> for Add {
    fn process1(&mut self, x: u64, _: &mut EpochContext, _: &mut Collector<(u64, u64)>) -> Result<()> {
        self.sum += x;
        Ok(())
    }

    fn process2(&mut self, x: u64, _: &mut EpochContext, _: &mut Collector<(u64, u64)>) -> Result<()> {
        self.sum += x * x;
        Ok(())
    }
}

fn iterate(config: RuntimeConfig, seen: &Seen, fuse: &Fuse) -> Result<Vec<(u64, u64)>> {
    let (seen, fuse) = (seen.clone(), fuse.clone());
    let sums = execute(config, move |env| {
        let (start, data) = (env.from_iter(0..4u64), env.from_splits(4, |split| 0..10 * (split as u64 + 1)));
        let settings = IterationConfig::new().name("add");
        let add = Add { sum: 0, n_rounds: 0, seen: seen.clone(), fuse: fuse.clone() };
        let (sums,) =
            Iterations::iterate_bounded((start,), (data.replay(),), settings, |_it, (x,), (data,)| {
                let sums = x.partition_custom(|x, n| *x as usize % n).connect(data).process_epochs(add);
                let laps = sums.clone().key_by(|(_, sum)| sum % 5).process(|key, n: &mut u64, _, out| {
                    *n += 1;
                    out.emit((*key, *n));
                });
                let go = sums.clone().process_epochs(TerminateOnMaxIter::new(ROUNDS));
                let next = sums.clone().map(|(_, sum)| sum);
                IterationBodyResult::new((next,), (sums.union(laps),)).termination_criteria(go)
            });
        Ok(sums.collect())
    })?;
    let mut sums = sums.concat();
    sums.sort_unstable();
    Ok(sums)
}

fn config(dir: &Path, workers: usize) -> RuntimeConfig {
    let often = CheckpointConfig::new(dir.display().to_string()).interval(Duration::from_millis(1));
    RuntimeConfig::threads(workers).job_name("job").checkpoints(often.every_rounds(3))
}

#[test]
fn iteration_goes_on_with_its_round_and_ends_as_without_failures() {
    for workers in [1, 2, 4] {
        let expected = iterate(RuntimeConfig::threads(workers), &Seen::default(), &Fuse::none()).unwrap();
        let mut resumed: BTreeSet<Round> = BTreeSet::new();
        for seed in 0..3 {
            let (dir, seen) = (tempfile::tempdir().unwrap(), Seen::default());
            let mut failures = 0;
            let found = loop {
                let limit = 1 + sm(seed, failures) % (workers as u64 * ROUNDS / 2);
                let outcome = iterate(config(dir.path(), workers), &seen, &Fuse::new(limit as i64));
                let rounds = seen.take();
                assert!(rounds.is_sorted_by(|a, b| a + 1 == *b), "rounds in order: {rounds:?}");
                resumed.extend(rounds.first());
                match outcome {
                    Ok(found) => break found,
                    Err(error) if error.message() == BURNT => failures += 1,
                    Err(error) => panic!("seed {seed}, attempt {failures}: {}", error.full_message()),
                }
                assert!(failures < 1000, "seed {seed}: the job does not end");
            };
            assert!(
                found == expected,
                "{workers} workers, seed {seed}: other results after {failures} failures"
            );
        }
        assert!(resumed.len() > 3, "{workers} workers: went on with rounds {resumed:?}");
    }
}

fn numbers(n: u64, count: u64) -> Vec<f64> {
    (0..count).map(|i| (sm(5, n * count + i) % 1000) as f64 / 1000.0 - 0.5).collect()
}

/// Rows whose label says which of two features is greater.
fn rows(split: usize) -> Examples {
    let features = numbers(split as u64, 4 * 200);
    let labels = features.chunks(4).map(|row| f64::from(u8::from(row[0] > row[1]))).collect();
    Examples::dense(4, features, labels).unwrap()
}

const STEPS: u64 = 3_000;

fn regress(config: RuntimeConfig) -> Result<Vec<Vec<f64>>> {
    let models = execute(config, |env| {
        let rows = env.from_splits(4, |split| [rows(split)]);
        Ok(LogisticRegression::new().max_iter(STEPS).tol(0.0).fit(rows)?.collect())
    })?;
    Ok(models.into_iter().flatten().map(|model| model.linear.coefficients().to_vec()).collect())
}

fn cluster(config: RuntimeConfig) -> Result<Vec<Vec<f64>>> {
    let models = execute(config, |env| {
        let points = env.from_splits(4, |split| [Matrix::new(2, numbers(split as u64, 2 * 2_000)).unwrap()]);
        Ok(KMeans::new().k(60).max_iter(STEPS).fit(points)?.collect())
    })?;
    Ok(models.into_iter().flatten().map(|model| model.centroids().values().to_vec()).collect())
}

/// The newest checkpoint in `dir`, and the round before which it was made, as a learner's steps know it.
fn newest(dir: &Path) -> (Checkpoint, Round) {
    let store = CheckpointStore::open(&dir.display().to_string(), "job").unwrap();
    let Newest::Found { checkpoint, .. } = store.newest().unwrap() else { panic!("there is no checkpoint") };
    let keys = checkpoint.keys();
    let steps = keys.iter().find(|key| key.operator.ends_with("/process_epochs#0") && key.kind == "pooled");
    let told = checkpoint.read_ungrouped(steps.unwrap()).next();
    let (next, _waiting): (Round, Vec<Round>) =
        StateReader::new(told.unwrap().unwrap().bytes).next_item().unwrap().unwrap();
    (checkpoint, next)
}

/// A training of one model.
type Train = fn(RuntimeConfig) -> Result<Vec<Vec<f64>>>;

/// The model, and how many steps were made to it.
fn model_of(config: RuntimeConfig, train: Train) -> (Vec<f64>, u64) {
    let metrics = JobMetrics::new();
    let mut models = train(config.job_metrics(metrics.clone())).unwrap();
    assert_eq!(models.len(), 1);
    let operators = metrics.operators();
    let steps = operators.iter().find(|operator| operator.name.ends_with("/process_epochs")).unwrap();
    (models.remove(0), steps.total().records_out)
}

/// Interrupts a training when it has a few checkpoints, and starts it again on other workers: its model is that of `n_steps`
/// steps all together.
fn interrupt_and_go_on(workers: [usize; 2], train: Train, n_steps: u64) -> Vec<f64> {
    let dir = tempfile::tempdir().unwrap();
    let (stop, state) = (StopHandle::new(), CheckpointState::new());
    let often = CheckpointConfig::new(dir.path().display().to_string()).interval(Duration::from_millis(1));
    let job = |workers| RuntimeConfig::threads(workers).job_name("job");
    let interrupts = {
        let (stop, state) = (stop.clone(), state.clone());
        std::thread::Builder::new().spawn(move || {
            wait_until("checkpoints", || (state.counts().completed >= 3).then_some(()));
            stop.stop();
        })
    };
    let first = job(workers[0]).checkpoints(often.clone().state(state)).stop_handle(stop);
    assert_eq!(train(first).unwrap_err().kind(), ErrorKind::Interrupted);
    interrupts.unwrap().join().unwrap();

    let (checkpoint, round) = newest(dir.path());
    assert!(round > 1 && round < n_steps, "the newest checkpoint is of round {round}");
    assert!(!checkpoint.refers_to().is_empty(), "rows are written in each checkpoint");
    let (model, made) = model_of(job(workers[1]).checkpoints(often), train);
    assert_eq!(made, n_steps - round, "steps from round {round} on");
    model
}

fn check_training(train: Train) {
    for workers in [1, 2, 4] {
        let (expected, n_steps) = model_of(RuntimeConfig::threads(workers), train);
        let found = interrupt_and_go_on([workers; 2], train, n_steps);
        assert!(found == expected, "{workers} workers: another model");
    }
}

#[test]
fn interrupted_logistic_regression_goes_on_with_its_round_and_has_the_same_model() {
    check_training(regress);
    // Other workers add up other rows of a step.
    let model = interrupt_and_go_on([2, 3], regress, STEPS);
    assert!(model[0] > 1.0 && model[1] < -1.0, "{model:?}");
}

#[test]
fn interrupted_k_means_goes_on_with_its_round_and_has_the_same_model() {
    check_training(cluster);
}

/// Says nothing of what it keeps.
struct Keeps(u64);

impl IterationListener for Keeps {
    type Out = u64;
}

impl EpochProcessFunction<u64> for Keeps {
    fn process(&mut self, x: u64, _: &mut EpochContext, out: &mut Collector<u64>) -> Result<()> {
        self.0 += x;
        out.emit(self.0);
        Ok(())
    }
}

#[test]
fn function_that_does_not_say_what_it_keeps_over_rounds_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let run = |settings: IterationConfig| {
        let config = config(dir.path(), 2);
        let sums = execute(config, move |env| {
            let settings = settings.clone().max_rounds(3);
            let (sums,) =
                Iterations::iterate_bounded((env.from_iter([1u64]),), (), settings, |_it, (x,), ()| {
                    let sums = x.process_epochs(Keeps(0));
                    IterationBodyResult::new((sums.clone(),), (sums,))
                });
            Ok(sums.collect())
        })?;
        Ok(sums.concat())
    };
    let error: Error = run(IterationConfig::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!(error.site().map(|site| site.operator.as_str()), Some("iterate_bounded/process_epochs"));
    assert!(
        error.message().starts_with("this function may keep a state that checkpoints do not hold"),
        "{error}"
    );
    assert_eq!(run(IterationConfig::new().without_checkpoints()).unwrap(), [1, 2, 4]);
}
