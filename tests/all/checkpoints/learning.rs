//! Learners and bounded iterations over failures: the results are those of a run without any, bit for bit.

use std::path::Path;
use std::time::Duration;

use waterwheel::ml::Examples;
use waterwheel::ml::generate::sm;
use waterwheel::ml::mf::{MfModel, MfParams, Rating};
use waterwheel::ml::online::{OnlineLogisticRegression, OnlineLogisticRegressionModel};
use waterwheel::ml::sparse::{PaUpdate, PassiveAggressive, SparseExample, SparseTraining, SparseVector};
use waterwheel::prelude::*;

use super::fixture::{BURNT, Fuse, RECORDS, config, numbers, recover};

/// As [`recover`], always on `workers`.
fn recover_on<R>(
    workers: usize,
    seed: u64,
    span: u64,
    job: impl Fn(RuntimeConfig, Fuse) -> Result<R>,
) -> (R, u64) {
    let dir = tempfile::tempdir().unwrap();
    for attempt in 0..1000 {
        let dir: &Path = dir.path();
        match job(config(dir, workers), Fuse::new((sm(seed, attempt) % span) as i64)) {
            Ok(result) => return (result, attempt),
            Err(error) if error.message() == BURNT => {}
            Err(error) => panic!("seed {seed}, attempt {attempt}: {}", error.full_message()),
        }
    }
    panic!("seed {seed}: the job does not end");
}

const BLOCKS: u64 = 3_000;

fn block(n: u64) -> Examples {
    let value = |i: u64| (sm(5, 8 * n + i) % 1000) as f64 / 1000.0 - 0.5;
    let features: Vec<f64> = (0..8).map(value).collect();
    let labels = features.chunks(2).map(|row| f64::from(u8::from(row[0] > row[1]))).collect();
    Examples::dense(2, features, labels).unwrap()
}

fn learn(config: RuntimeConfig, fuse: Fuse) -> Result<Vec<OnlineLogisticRegressionModel>> {
    let models = execute(config, move |env| {
        let fuse = fuse.clone();
        let blocks = env.from_iter(0..BLOCKS).try_map(move |n| fuse.burn().map(|()| block(n)));
        Ok(OnlineLogisticRegression::new(vec![0.0; 2]).fit(blocks)?.collect())
    })?;
    Ok(models.concat())
}

#[test]
fn online_learner_makes_the_same_models_over_failures() {
    let mut failures = 0;
    for workers in [1, 2, 4] {
        let expected = learn(RuntimeConfig::threads(workers), Fuse::none()).unwrap();
        assert_eq!(expected.len() as u64, BLOCKS * 4 / 32);
        for seed in 0..3 {
            let (found, n) = recover_on(workers, seed, BLOCKS, learn);
            assert!(found == expected, "{workers} workers, seed {seed}: other models after {n} failures");
            failures += n;
        }
    }
    assert!(failures > 0, "nothing has failed");
    // On other numbers of workers sums are added up in another order; no batch is lost or doubled.
    let (found, _) = recover(7, BLOCKS, learn);
    assert!(found.iter().map(OnlineLogisticRegressionModel::version).eq(1..=BLOCKS * 4 / 32));
}

const EXAMPLES: u64 = 6_000;

/// Learns examples of 6 of 40 features, and gives the weights.
fn learn_sparse(
    config: RuntimeConfig,
    fuse: Fuse,
    training: &SparseTraining,
) -> Result<Vec<(u32, Vec<f64>)>> {
    let training = training.clone();
    let weights = execute(config, move |env| {
        let (fuse, training) = (fuse.clone(), training.clone());
        let example = |id: u64| {
            let features = SparseVector::from_pairs((0..6).map(|i| ((sm(id, i) % 40) as u32, 1.0)));
            features.map(|features| SparseExample { id, features, label: Some(sm(id, 6).is_multiple_of(3)) })
        };
        let examples = env.from_iter(0..EXAMPLES).try_map(move |n| fuse.burn().and_then(|()| example(n)));
        let examples = examples.key_by(|example| example.id).into_stream();
        let learner = PassiveAggressive::new(PaUpdate::Pa1 { c: 0.01 })?;
        Ok(learner.fit(examples, &training)?.weights.collect())
    })?;
    let mut weights = weights.concat();
    weights.sort_by_key(|(feature, _)| *feature);
    Ok(weights)
}

#[test]
fn learner_on_sparse_rows_finds_the_same_weights_over_failures() {
    let mut failures = 0;
    let synchronous = SparseTraining::new().consistency(Consistency::BULK_SYNCHRONOUS);
    let passes = SparseTraining::new().credit(1).passes(3);
    for training in [&synchronous, &passes] {
        let expected = learn_sparse(RuntimeConfig::threads(1), Fuse::none(), training).unwrap();
        assert_eq!(expected.len(), 40);
        for seed in 0..3 {
            let job = |config, fuse| learn_sparse(config, fuse, training);
            let (found, n) = recover_on(1, seed, EXAMPLES, job);
            assert!(found == expected, "seed {seed}: other weights after {n} failures");
            failures += n;
        }
    }
    assert!(failures > 0, "nothing has failed");
    // Several workers learn of each other where epochs end, and examples in another order; none that is kept is lost.
    let (found, _) =
        recover(7, EXAMPLES, |config, fuse| learn_sparse(config, fuse, &passes.clone().credit(64)));
    assert_eq!(found.len(), 40);
}

#[derive(Default)]
struct AddAll {
    value: u64,
}

impl IterationListener for AddAll {
    type Out = u64;

    fn on_epoch_watermark_incremented(
        &mut self,
        _epoch: Round,
        context: &mut EpochContext,
        out: &mut Collector<u64>,
    ) -> Result<()> {
        if context.worker_index() == 0 {
            out.emit(std::mem::take(&mut self.value));
        }
        Ok(())
    }

    /// Nothing is kept from one epoch to the next.
    fn snapshot(&self, _state: &mut StateWriter) -> Result<()> {
        Ok(())
    }
}

impl EpochCoProcessFunction<u64, u64> for AddAll {
    fn process1(&mut self, x: u64, _: &mut EpochContext, _: &mut Collector<u64>) -> Result<()> {
        self.value += x;
        Ok(())
    }

    fn process2(&mut self, x: u64, _: &mut EpochContext, _: &mut Collector<u64>) -> Result<()> {
        self.value += x;
        Ok(())
    }
}

/// A number now and then, so that the job goes on behind the loop for a while.
struct Paced {
    next: u64,
}

const PACED: u64 = 120;

impl Source for Paced {
    type Item = u64;

    fn read(&mut self, _limit: usize, out: &mut Vec<u64>) -> Result<SourceStatus> {
        out.push(self.next);
        self.next += 1;
        Ok(if self.next == PACED { SourceStatus::Done } else { SourceStatus::Idle(Duration::from_millis(5)) })
    }

    fn position(&self) -> Result<Option<SourcePosition>> {
        SourcePosition::new(&self.next).map(Some)
    }

    fn seek(&mut self, position: &SourcePosition) -> Result<()> {
        self.next = position.get()?;
        Ok(())
    }
}

/// The sum of data that is replayed, added to a variable in each round, until it is large enough; then all rounds are
/// counted by a stream behind the loop. Beside it goes a stream that has to do with neither.
fn iterate(config: RuntimeConfig, fuse: Fuse) -> Result<Vec<(u64, u64)>> {
    let results = execute(config, move |env| {
        let (behind, beside) = (fuse.clone(), fuse.clone());
        let paced = env.source("paced", 1, |_split| Ok(Paced { next: 0 }));
        let paced = paced.try_map(move |x| (0..RECORDS / PACED).try_for_each(|_| beside.burn()).map(|()| x));
        let (start, data) = (env.from_iter([1u64]), numbers(env, fuse.clone()));
        let (rounds,) = Iterations::iterate_bounded(
            (start,),
            (data.replay(),),
            IterationConfig::new().max_rounds(6),
            |_it, (x,), (data,)| {
                let data = data.set_parallelism(1);
                let next = x.set_parallelism(1).connect(data).process_epochs(AddAll::default());
                let last = next.clone().process_epochs(ForwardInputsOfLastRound::new());
                let go = next.clone().terminate_when(|_, sums| sums.iter().all(|sum| *sum > 1 << 33));
                let all = next.clone().union(last);
                IterationBodyResult::new((next,), (all,)).termination_criteria(go)
            },
        );
        let many = rounds.flat_map(|x| (0..1000u64).map(move |n| (n % 7, x)));
        let counts = many.try_map(move |x| behind.burn().map(|()| x)).key_by(|(key, _)| *key);
        let counts = counts.process(|key, n: &mut u64, (_, x), out| {
            *n += x % 1009;
            out.emit((*key, *n));
        });
        Ok(counts.union(paced.map(|x| (u64::MAX, x))).collect())
    })?;
    let mut results = results.concat();
    results.sort_unstable();
    Ok(results)
}

#[test]
fn bounded_iteration_gives_the_same_results_over_failures() {
    let expected = iterate(RuntimeConfig::threads(2), Fuse::none()).unwrap();
    let mut failures = 0;
    for seed in 0..4 {
        let (found, n) = recover(seed, 5 * RECORDS / 2, iterate);
        assert!(found == expected, "seed {seed}: other results after {n} failures");
        failures += n;
    }
    assert!(failures > 0, "nothing has failed");
}

const RATINGS: u64 = 2_000;

fn rating(position: u64) -> Rating {
    let (user, item) = (sm(1, position) % 60, sm(2, position) % 40);
    Rating { user, item, rating: (1 + sm(3, user * 40 + item) % 5) as f32, position }
}

/// Trains, and fails behind so many passes.
fn fit(config: RuntimeConfig, passes: Fuse) -> Result<(MfModel, Vec<(Option<u32>, f64)>)> {
    let results = execute(config, move |env| {
        let passes = passes.clone();
        let mf = MfParams::new().rank(4).epochs(30).blocks(4).biases(true).build()?;
        let mut fit = mf.fit(env.from_splits(3, |split| (0..RATINGS).skip(split).step_by(3)).map(rating))?;
        fit.reports = fit.reports.try_map(move |report| passes.burn().map(|()| report));
        Ok(fit.collect())
    })?;
    let (model, reports) = results.into_iter().flatten().next().unwrap();
    Ok((model, reports.iter().map(|report| (report.epoch, report.rmse)).collect()))
}

/// Each attempt gets through a few passes of thirty, so none begins anew.
#[test]
fn offline_factorization_goes_on_where_it_was_with_the_same_model() {
    let expected = fit(RuntimeConfig::threads(2), Fuse::none()).unwrap();
    assert_eq!(expected.1.len(), 31);
    let mut failures = 0;
    for seed in 0..4 {
        let (found, n) = recover(seed, 20, fit);
        assert!(found == expected, "seed {seed}: another model after {n} failures");
        failures += n;
    }
    assert!(failures >= 4, "each attempt but the last fails");
}

/// The ratings that were predicted; and how often each user and each item has got a new row.
fn fit_online(config: RuntimeConfig, fuse: Fuse) -> Result<Vec<String>> {
    let results = execute(config, move |env| {
        let fuse = fuse.clone();
        let mf = MfParams::new().rank(4).build()?;
        let ratings = env.from_iter(0..RATINGS).try_map(move |n| fuse.burn().map(|()| rating(n)));
        let fit = mf.fit_online(ratings, 3.0)?;
        let predicted = fit.predictions.map(|prediction| format!("{:?}", prediction.rating));
        Ok((predicted.collect(), fit.users.map(|(user, _row)| format!("user {user}")).collect()))
    })?;
    let mut lines: Vec<String> = results.into_iter().flat_map(|(a, b)| a.into_iter().chain(b)).collect();
    lines.sort_unstable();
    Ok(lines)
}

/// What is predicted depends on when answers come, but not what is learned from.
#[test]
fn online_factorization_learns_each_rating_once_over_failures() {
    let expected = fit_online(RuntimeConfig::threads(1), Fuse::none()).unwrap();
    assert_eq!(expected.len() as u64, 2 * RATINGS);
    let mut failures = 0;
    for seed in 0..4 {
        let (found, n) = recover(seed, RATINGS, fit_online);
        assert!(found == expected, "seed {seed}: other ratings after {n} failures");
        failures += n;
    }
    assert!(failures > 0, "nothing has failed");
}
