//! `BoundedAllRoundCheckpointITCase` and `BoundedPerRoundCheckpointITCase` of Flink ML, with their numbers: a map fails once
//! behind so many records, and each round has the sum that it has without.

use std::collections::BTreeMap;

use waterwheel::prelude::*;

use super::fixture::{BURNT, Fuse, config};

/// 4 times the sum of 0 to 999.
const S: u64 = 1_998_000;

/// Adds up the records of each round, and passes them on: at once, or when the round is complete.
struct Reduce {
    sync: bool,
    cache: Vec<u64>,
    sums: BTreeMap<Round, u64>,
}

/// The sum of a round so far; none at the termination.
const SUMS: OutputTag<Option<(Round, u64)>> = OutputTag::new("sums");

impl IterationListener for Reduce {
    type Out = u64;

    fn on_epoch_watermark_incremented(
        &mut self,
        epoch: Round,
        context: &mut EpochContext,
        out: &mut Collector<u64>,
    ) -> Result<()> {
        if self.sync {
            context.output(&SUMS, Some((epoch, self.sums.get(&epoch).copied().unwrap_or(0))));
        }
        out.batch().append(&mut self.cache);
        Ok(())
    }

    fn on_iteration_terminated(
        &mut self,
        context: &mut EpochContext,
        _out: &mut Collector<u64>,
    ) -> Result<()> {
        context.output(&SUMS, None);
        Ok(())
    }
}

impl EpochProcessFunction<u64> for Reduce {
    fn process(&mut self, value: u64, context: &mut EpochContext, out: &mut Collector<u64>) -> Result<()> {
        let epoch = context.epoch();
        let sum = self.sums.entry(epoch).or_default();
        *sum += value;
        if !self.sync {
            context.output(&SUMS, Some((epoch, *sum)));
        }
        if epoch < 4 {
            if self.sync { self.cache.push(value) } else { out.emit(value) }
        }
        Ok(())
    }
}

/// Runs a job that fails behind `n` records, and then once more; the last sum of each round.
fn with_one_failure(
    n: i64,
    job: impl Fn(RuntimeConfig, Fuse) -> Result<Vec<Option<(Round, u64)>>>,
) -> BTreeMap<Option<Round>, u64> {
    let dir = tempfile::tempdir().unwrap();
    let fuse = Fuse::new(n);
    let error = job(config(dir.path(), 2), fuse.clone()).unwrap_err();
    assert_eq!(error.message(), BURNT);
    let sums = job(config(dir.path(), 2), fuse).unwrap();
    sums.into_iter().map(|sum| (sum.map(|(round, _)| round), sum.map_or(0, |(_, sum)| sum))).collect()
}

#[test]
fn all_round_iteration_has_its_sums_after_a_failure() {
    let job = |sync| {
        move |config, fuse: Fuse| {
            let sums = execute(config, move |env| {
                let (none, data) = (env.from_iter(Vec::new()), env.from_splits(4, |_| 0..1000u64));
                let fuse = fuse.clone();
                let settings = IterationConfig::new();
                let (sums,) =
                    Iterations::iterate_bounded((none,), (data,), settings, |_it, (x,), (data,)| {
                        let reduce = Reduce { sync, cache: Vec::new(), sums: BTreeMap::new() };
                        let all = x.union(data).set_parallelism(1);
                        let reduced = all.process_epochs_with_side_outputs(reduce);
                        let sums = reduced.side_output(&SUMS);
                        let passed = reduced.into_main().try_map(move |x| fuse.burn().map(|()| x));
                        IterationBodyResult::new((passed.rebalance(),), (sums,))
                    });
                Ok(sums.collect())
            })?;
            Ok(sums.concat())
        }
    };
    let expected = (0..=4).map(|round| (Some(round), S)).chain([(None, 0)]).collect();
    for n in [1000, 4000, 8000, 15900] {
        for sync in [true, false] {
            assert_eq!(with_one_failure(n, job(sync)), expected, "failure after {n}, sync {sync}");
        }
    }
}

/// Adds up the second stream of a round, which the first one numbers.
#[derive(Default)]
struct ReduceRound {
    round: u64,
    sum: u64,
}

impl CoProcessFunction<u64, u64> for ReduceRound {
    type Out = Option<(u64, u64)>;

    fn process1(&mut self, round: u64, _out: &mut Collector<Self::Out>) -> Result<()> {
        self.round = round;
        Ok(())
    }

    fn process2(&mut self, value: u64, _out: &mut Collector<Self::Out>) -> Result<()> {
        self.sum += value;
        Ok(())
    }

    fn end_of_input2(&mut self, out: &mut Collector<Self::Out>) -> Result<()> {
        out.emit(Some((self.round, self.sum)));
        Ok(())
    }

    fn for_next_round(&self) -> ForRound<Self> {
        ForRound::Fresh(Self::default())
    }
}

#[test]
fn per_round_iteration_has_its_sums_after_a_failure() {
    let job = |config, fuse: Fuse| {
        let sums = execute(config, move |env| {
            let (start, data) = (env.from_iter([0u64]), env.from_splits(4, |_| 0..1000u64));
            let fuse = fuse.clone();
            let settings = IterationConfig::new();
            let (sums,) =
                Iterations::iterate_bounded((start,), (data.replay(),), settings, |it, (x,), (data,)| {
                    let (sums,) = it.for_each_round((x.clone(), data), |(x, data)| {
                        let data = data.set_parallelism(1).try_map(move |x| fuse.burn().map(|()| x));
                        (x.set_parallelism(1).connect(data).process_function(ReduceRound::default()),)
                    });
                    let next = x.map(|round| round + 1).filter(|round| *round < 4);
                    let criteria = next.clone();
                    IterationBodyResult::new((next,), (sums,)).termination_criteria(criteria)
                });
            Ok(sums.collect())
        })?;
        Ok(sums.concat())
    };
    let expected = (0..4).map(|round| (Some(round), S)).collect();
    for n in [1000, 4000, 6123, 8000, 10875, 15900] {
        assert_eq!(with_one_failure(n, job), expected, "failure after {n}");
    }
}
