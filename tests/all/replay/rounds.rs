//! What comes in each round.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use waterwheel::prelude::*;

use crate::cluster::{everywhere, test_path};

/// A record of every kind that is encoded in a way of its own.
type Row = (String, Vec<Vec<u32>>, Option<i64>, u8);

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (
        ".{0,8}",
        prop::collection::vec(prop::collection::vec(any::<u32>(), 0..4), 0..4),
        any::<Option<i64>>(),
        any::<u8>(),
    );
    prop::collection::vec(row, 0..400)
}

/// Passes records on with the worker and their epoch.
struct InEpoch;

impl IterationListener for InEpoch {
    type Out = (usize, Round, Row);
}

impl EpochProcessFunction<Row> for InEpoch {
    fn process(
        &mut self,
        row: Row,
        context: &mut EpochContext,
        out: &mut Collector<(usize, Round, Row)>,
    ) -> Result<()> {
        out.emit((context.worker_index(), context.epoch(), row));
        Ok(())
    }
}

const ROUNDS: u64 = 4;
/// Memory of the caches of a process: none, too little, more than enough.
const BUDGETS: [u64; 3] = [0, 5_000, u64::MAX];

/// What each worker sees of the rows in each round.
type Seen = BTreeMap<usize, BTreeMap<Round, Vec<Row>>>;

/// Replays the rows.
fn replayed(config: RuntimeConfig, budget: u64, rows: &[Row]) -> Seen {
    let (rows, directory) = (rows.to_vec(), tempfile::tempdir().unwrap());
    let config = config.cache_memory_bytes(budget).cache_dir(directory.path());
    let seen = execute(config, move |env| {
        let (x, rows) = (env.from_iter([0u64]), env.from_iter(rows.clone()).rebalance());
        let config = IterationConfig::new().max_rounds(ROUNDS);
        let (seen,) = Iterations::iterate_bounded((x,), (rows.replay(),), config, |_it, (x,), (rows,)| {
            IterationBodyResult::new((x,), (rows.process_epochs(InEpoch),))
        });
        Ok(seen.collect())
    });
    let mut workers = Seen::new();
    for (worker, round, row) in seen.unwrap().concat() {
        workers.entry(worker).or_default().entry(round).or_default().push(row);
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    workers
}

/// Every worker sees what it saw in round 0, in that order; all together see all rows.
fn check(seen: &Seen, rows: &[Row], what: &str) {
    for rounds in seen.values() {
        assert_eq!(rounds.len() as u64, ROUNDS, "{what}");
        assert!(rounds.values().all(|round| *round == rounds[&0]), "{what}");
    }
    let mut found: Vec<_> = seen.values().flat_map(|rounds| &rounds[&0]).collect();
    let mut expected: Vec<_> = rows.iter().collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected, "{what}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn rounds_are_the_same_whatever_the_memory(rows in rows(), workers in prop::sample::select(vec![1usize, 2, 4])) {
        for budget in BUDGETS {
            let seen = replayed(RuntimeConfig::threads(workers), budget, &rows);
            check(&seen, &rows, &format!("{budget} bytes, {workers} workers"));
        }
    }
}

#[test]
fn rounds_are_the_same_everywhere_with_some_memory() {
    let rows = rows().new_tree(&mut TestRunner::deterministic()).unwrap().current();
    everywhere(
        test_path!(rounds_are_the_same_everywhere_with_some_memory),
        |config| replayed(config, 5_000, &rows),
        |seen, shape| check(&seen, &rows, shape),
    );
}

#[test]
fn rounds_are_the_same_everywhere_without_memory() {
    let rows = rows().new_tree(&mut TestRunner::deterministic()).unwrap().current();
    everywhere(
        test_path!(rounds_are_the_same_everywhere_without_memory),
        |config| replayed(config, 0, &rows),
        |seen, shape| check(&seen, &rows, shape),
    );
}

/// Emits 0 at the end of each round that it came in.
struct ZeroAtEnd(bool);

impl IterationListener for ZeroAtEnd {
    type Out = u64;

    fn on_epoch_watermark_incremented(
        &mut self,
        _epoch: Round,
        _context: &mut EpochContext,
        out: &mut Collector<u64>,
    ) -> Result<()> {
        if std::mem::take(&mut self.0) {
            out.emit(0);
        }
        Ok(())
    }
}

impl EpochProcessFunction<u64> for ZeroAtEnd {
    fn process(&mut self, _zero: u64, _context: &mut EpochContext, _out: &mut Collector<u64>) -> Result<()> {
        self.0 = true;
        Ok(())
    }
}

/// More records for each run than are sent in one turn. A round of run 0 begins when the one before has got all of its
/// data; those of the later runs are all there from the start. So a round of run 0 comes when a later run has got a part
/// of its data.
#[test]
fn runs_of_an_inner_loop_that_overlap_get_all_of_their_own_data() {
    const RUNS: u64 = 3;
    const RECORDS: u64 = 100_000;
    const INNER: u64 = 5;
    let job = |config: RuntimeConfig| {
        let counts = execute(config.cache_memory_bytes(1 << 20), |env| {
            let runs = env.from_iter([0u64]);
            let config = IterationConfig::new().name("outer").max_rounds(RUNS);
            let (counts,) = Iterations::iterate_bounded((runs,), (), config, |_it, (run,), ()| {
                let data = run.clone().flat_map(|run| (0..RECORDS).map(move |i| (run, i)));
                let config = IterationConfig::new().name("inner").max_rounds(INNER);
                let inner = (run.clone(),);
                let (sums,) =
                    Iterations::iterate_bounded(inner, (data.replay(),), config, |_it, (x,), (data,)| {
                        let later = x.clone().filter(|run| *run > 0);
                        let end_of_data = data.clone().filter(|_| false).map(|(run, _)| run);
                        let zero = x.filter(|run| *run == 0).union(end_of_data);
                        let next = later.union(zero.process_epochs(ZeroAtEnd(false)));
                        IterationBodyResult::new((next,), (data.process_epochs(SumByRun(BTreeMap::new())),))
                    });
                IterationBodyResult::new((run.map(|run| run + 1),), (sums,))
            });
            Ok(counts.collect())
        });
        counts.unwrap().concat()
    };
    everywhere(
        test_path!(runs_of_an_inner_loop_that_overlap_get_all_of_their_own_data),
        job,
        |found, shape| {
            let mut sums = BTreeMap::<_, u64>::new();
            found.into_iter().for_each(|(run, round, sum)| *sums.entry((run, round)).or_default() += sum);
            let sum = RECORDS * (RECORDS - 1) / 2;
            let rounds = |run| (0..INNER).map(move |round| ((run, round), sum));
            assert_eq!(sums, (0..RUNS).flat_map(rounds).collect(), "{shape}");
        },
    );
}

/// Adds up the numbers of each run and round.
struct SumByRun(BTreeMap<(Round, u64), u64>);

impl IterationListener for SumByRun {
    type Out = (u64, Round, u64);

    fn on_epoch_watermark_incremented(
        &mut self,
        epoch: Round,
        _context: &mut EpochContext,
        out: &mut Collector<Self::Out>,
    ) -> Result<()> {
        // Of runs that are open side by side it is not told which one this is: of others it may be a part of the sum.
        let of_epoch: Vec<_> = self.0.extract_if(.., |(round, _), _| *round == epoch).collect();
        of_epoch.into_iter().for_each(|((round, run), sum)| out.emit((run, round, sum)));
        Ok(())
    }
}

impl EpochProcessFunction<(u64, u64)> for SumByRun {
    fn process(
        &mut self,
        (run, i): (u64, u64),
        context: &mut EpochContext,
        _out: &mut Collector<Self::Out>,
    ) -> Result<()> {
        *self.0.entry((context.epoch(), run)).or_default() += i;
        Ok(())
    }
}
