//! Checkpoints between the rounds of bounded iterations: a job that goes on from one goes on with its round, and ends with
//! what a run without failures gives.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use waterwheel::ml::generate::sm;
use waterwheel::prelude::*;

use super::fixture::{BURNT, Fuse};

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
