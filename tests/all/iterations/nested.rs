//! Iterations inside iterations.

use waterwheel::prelude::*;

use crate::cluster::{everywhere, test_path};

/// Emits the epochs it is told of, with a name.
struct Epochs(&'static str);

impl IterationListener for Epochs {
    type Out = (String, Round);

    fn on_epoch_watermark_incremented(
        &mut self,
        epoch: Round,
        _context: &mut EpochContext,
        out: &mut Collector<(String, Round)>,
    ) -> Result<()> {
        out.emit((self.0.into(), epoch));
        Ok(())
    }

    fn on_iteration_terminated(
        &mut self,
        _context: &mut EpochContext,
        out: &mut Collector<(String, Round)>,
    ) -> Result<()> {
        out.emit((self.0.into(), END_EPOCH));
        Ok(())
    }
}

impl EpochProcessFunction<u64> for Epochs {
    fn process(
        &mut self,
        _record: u64,
        _context: &mut EpochContext,
        _out: &mut Collector<(String, Round)>,
    ) -> Result<()> {
        Ok(())
    }
}

/// An outer loop of 3 rounds; in each, the inner loop counts up by 1 until the outer round is over at a
/// multiple of 4.
#[test]
fn inner_loop_runs_anew_in_each_round_of_the_outer_one() {
    let job = |config| {
        let found = execute(config, |env| {
            let xs = env.from_iter(0..10u64).rebalance();
            let outer_config = IterationConfig::new().name("outer").max_rounds(3);
            let (last, calls) = Iterations::iterate_bounded((xs,), (), outer_config, |_it, (x,), ()| {
                let outer_calls = x.clone().set_parallelism(1).process_epochs(Epochs("outer"));
                let config = IterationConfig::new().name("inner").max_rounds(4);
                let (done, inner_calls) = Iterations::iterate_bounded((x,), (), config, |_it, (y,), ()| {
                    let calls = y.clone().set_parallelism(1).process_epochs(Epochs("inner"));
                    let silent = y.clone().filter(|_| false).set_parallelism(1);
                    let calls = calls.union(silent.process_epochs(Epochs("silent")));
                    let next = y.map(|y| y + 1);
                    let done = next.clone().process_epochs(ForwardInputsOfLastRound::new());
                    IterationBodyResult::new((next,), (done, calls))
                });
                IterationBodyResult::new((done.clone(),), (done, outer_calls.union(inner_calls)))
            });
            Ok((last.collect(), calls.collect()))
        });
        found.unwrap().into_iter().next().unwrap()
    };
    everywhere(test_path!(inner_loop_runs_anew_in_each_round_of_the_outer_one), job, |found, shape| {
        let (mut last, calls) = found;
        last.sort();
        let mut expected: Vec<_> = (0..10).flat_map(|x| [x + 4, x + 8, x + 12]).collect();
        expected.sort();
        assert_eq!(last, expected, "{shape}");
        let of = |name: &str| -> Vec<Round> {
            calls.iter().filter(|call| call.0 == name).map(|call| call.1).collect()
        };
        assert_eq!(of("outer"), [0, 1, 2, END_EPOCH], "{shape}");
        for name in ["inner", "silent"] {
            assert_eq!(of(name), [0, 1, 2, 3, END_EPOCH].repeat(3), "{shape} {name}");
        }
    });
}

/// Criteria in both loops, the inner one with replayed data that come from the outer one.
#[test]
fn inner_criteria_and_replayed_data_are_those_of_the_outer_round() {
    let job = |config| {
        let found = execute(config, |env| {
            let (x, steps) = (env.from_iter([0u64]), env.from_iter([1u64, 10]).rebalance());
            let config = IterationConfig::new();
            let (sums,) =
                Iterations::iterate_bounded((x,), (steps.replay(),), config, |_it, (x,), (steps,)| {
                    let config = IterationConfig::new();
                    let (sum,) = Iterations::iterate_bounded(
                        (x,),
                        (steps.replay(),),
                        config,
                        |_it, (y,), (steps,)| {
                            let criteria = y.clone().process_epochs(TerminateOnMaxIter::new(3));
                            let sum = y.union(steps).set_parallelism(1).process_epochs(SumOfEpoch(0));
                            let last = sum.clone().process_epochs(ForwardInputsOfLastRound::new());
                            IterationBodyResult::new((sum,), (last,)).termination_criteria(criteria)
                        },
                    );
                    let criteria =
                        sum.clone().terminate_when(|_epoch, sums| sums.iter().any(|sum| *sum > 100));
                    IterationBodyResult::new((sum.clone(),), (sum,)).termination_criteria(criteria)
                });
            Ok(sums.collect())
        });
        found.unwrap().concat()
    };
    everywhere(
        test_path!(inner_criteria_and_replayed_data_are_those_of_the_outer_round),
        job,
        |found, shape| assert_eq!(found, [33, 66, 99, 132], "{shape}"),
    );
}

/// Emits the sum of the records of each epoch when it is complete.
struct SumOfEpoch(u64);

impl IterationListener for SumOfEpoch {
    type Out = u64;

    fn on_epoch_watermark_incremented(
        &mut self,
        _epoch: Round,
        _context: &mut EpochContext,
        out: &mut Collector<u64>,
    ) -> Result<()> {
        out.emit(std::mem::take(&mut self.0));
        Ok(())
    }
}

impl EpochProcessFunction<u64> for SumOfEpoch {
    fn process(&mut self, record: u64, _context: &mut EpochContext, _out: &mut Collector<u64>) -> Result<()> {
        self.0 += record;
        Ok(())
    }
}
