//! Graphs that hang, are refused or depend on timing in Flink ML (`docs/iterations-conformance.md`), with our numbers.

use waterwheel::prelude::*;

use crate::cluster::{everywhere, test_path};

/// Rounds and records of the output of a loop, sorted.
fn check(path: &str, job: impl Fn(RuntimeConfig) -> Vec<(Round, u64)>, expected: &[(Round, u64)]) {
    everywhere(path, job, |mut found, shape| {
        found.sort_unstable();
        assert_eq!(found, expected, "{shape}");
    });
}

/// Says each record with the round in which it came.
struct WithRound;

impl IterationListener for WithRound {
    type Out = (Round, u64);
}

impl EpochProcessFunction<u64> for WithRound {
    fn process(&mut self, x: u64, context: &mut EpochContext, out: &mut Collector<Self::Out>) -> Result<()> {
        out.emit((context.epoch(), x));
        Ok(())
    }
}

/// The criteria of two streams, of which one says something up to round 2 and the other up to round 4.
#[test]
fn criteria_that_are_a_union_end_the_loop_when_no_side_says_anything() {
    let job = |config| {
        let found = execute(config, |env| {
            let x = env.from_iter([0u64]);
            let (rounds,) = Iterations::iterate_bounded((x,), (), IterationConfig::new(), |_it, (x,), ()| {
                let next = x.clone().map(|x| x + 1);
                let low = x.clone().filter(|x| *x <= 2);
                let high = x.clone().filter(|x| (2..=4).contains(x));
                let result = IterationBodyResult::new((next,), (x.process_epochs(WithRound),));
                result.termination_criteria(low.union(high))
            });
            Ok(rounds.collect())
        });
        found.unwrap().concat()
    };
    let path = test_path!(criteria_that_are_a_union_end_the_loop_when_no_side_says_anything);
    check(path, job, &[(0, 0), (1, 1), (2, 2), (3, 3), (4, 4), (5, 5)]);
}

/// Their rule lets it go on until the criteria are empty too; ours is what their documentation says, one or the other.
#[test]
fn loop_without_feedback_ends_although_its_criteria_say_something() {
    let job = |config| {
        let found = execute(config, |env| {
            let (x, data) = (env.from_iter([0u64]), env.from_iter([7u64]).replay());
            let (rounds,) =
                Iterations::iterate_bounded((x,), (data,), IterationConfig::new(), |_it, (x,), (data,)| {
                    let next = x.clone().filter(|x| *x < 2).map(|x| x + 1);
                    let result = IterationBodyResult::new((next,), (x.process_epochs(WithRound),));
                    result.termination_criteria(data)
                });
            Ok(rounds.collect())
        });
        found.unwrap().concat()
    };
    let path = test_path!(loop_without_feedback_ends_although_its_criteria_say_something);
    check(path, job, &[(0, 0), (1, 1), (2, 2)]);
}

/// A function that is begun anew in each round, on data alone: one in each round, with the data that are replayed there.
#[test]
fn function_per_round_on_data_alone_has_the_data_of_each_round() {
    let job = |config| {
        let found = execute(config, |env| {
            let (x, data) = (env.from_iter([0u64]), env.from_iter(1..=10u64).rebalance().replay());
            let config =
                IterationConfig::new().operator_life_cycle(OperatorLifeCycle::PerRound).max_rounds(3);
            let (sums,) = Iterations::iterate_bounded((x,), (data,), config, |_it, (x,), (data,)| {
                let sums = data.map_partition(|numbers: Vec<u64>| [numbers.iter().sum::<u64>()]);
                let sums = sums.set_parallelism(1).map_partition(|sums: Vec<u64>| [sums.iter().sum::<u64>()]);
                IterationBodyResult::new((x.map(|x| x + 1),), (sums.map(|sum| (0, sum)),))
            });
            // Workers that are not the one of the sum have nothing to add up.
            Ok(sums.filter(|(_, sum)| *sum > 0).collect())
        });
        found.unwrap().concat()
    };
    let path = test_path!(function_per_round_on_data_alone_has_the_data_of_each_round);
    check(path, job, &[(0, 55), (0, 55), (0, 55)]);
}

/// Theirs sees 6, 6, 5 and 7 laps in four runs of `TerminateOnMaxIter(5)` over a body that passes records on: those that
/// run ahead of the decision are counted too. Ours wait for it at the feedback edge.
#[test]
fn body_that_passes_records_on_has_as_many_laps_as_rounds() {
    let job = |config| {
        let found = execute(config, |env| {
            let (x,) = Iterations::iterate_bounded(
                (env.from_iter([0u64]),),
                (),
                IterationConfig::new(),
                |_it, (x,), ()| {
                    let criteria = x.clone().process_epochs(TerminateOnMaxIter::new(5));
                    let laps = x.clone().process_epochs(WithRound);
                    IterationBodyResult::new((x,), (laps,)).termination_criteria(criteria)
                },
            );
            Ok(x.collect())
        });
        found.unwrap().concat()
    };
    let path = test_path!(body_that_passes_records_on_has_as_many_laps_as_rounds);
    check(path, job, &[(0, 0), (1, 0), (2, 0), (3, 0), (4, 0)]);
}
