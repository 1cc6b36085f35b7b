//! `BoundedAllRoundStreamIterationITCase`.

use waterwheel::prelude::*;

use super::fixture::{EpochRecord, Event, OUTPUT, ReduceAllRound, S, rounds_of, sequence, way_back};
use crate::cluster::{everywhere, test_path};

/// What ends the loop of [`sync_iteration`].
#[derive(Clone, Copy)]
enum Criteria {
    None,
    OnVariable,
    OnData,
}

/// An empty variable and 4 times 0 to 999 as data, which go round as a whole.
fn sync_iteration(config: RuntimeConfig, max_round: u64, criteria: Criteria) -> Vec<Event> {
    let events = execute(config, move |env| {
        let (none, data) = (env.from_iter(Vec::<EpochRecord>::new()), sequence(env, 1000));
        let config = IterationConfig::new();
        let (events,) =
            Iterations::iterate_bounded((none,), (data.no_replay(),), config, |_it, (x,), (data,)| {
                let on_data = data.clone();
                let both = x.set_parallelism(1).connect(data.set_parallelism(1));
                let reduced = both.process_epochs_with_side_outputs(ReduceAllRound::new(true, max_round));
                let events = reduced.side_output(&OUTPUT);
                let reduced = reduced.into_main();
                let (on_variable, iter) = (reduced.clone(), TerminateOnMaxIter::new(4));
                let result = IterationBodyResult::new((way_back(reduced),), (events,));
                match criteria {
                    Criteria::None => result,
                    Criteria::OnVariable => result.termination_criteria(on_variable.process_epochs(iter)),
                    Criteria::OnData => result.termination_criteria(on_data.process_epochs(iter)),
                }
            });
        Ok(events.collect())
    });
    events.unwrap().concat()
}

#[test]
fn sync_iteration_ends_when_nothing_is_fed_back() {
    let job = |config| sync_iteration(config, 4, Criteria::None);
    everywhere(test_path!(sync_iteration_ends_when_nothing_is_fed_back), job, |events, shape| {
        assert_eq!(events, rounds_of(5, S), "{shape}");
    });
}

#[test]
fn sync_iteration_ends_by_criteria_on_the_variable() {
    let job = |config| sync_iteration(config, 40, Criteria::OnVariable);
    everywhere(test_path!(sync_iteration_ends_by_criteria_on_the_variable), job, |events, shape| {
        assert_eq!(events, rounds_of(4, S), "{shape}");
    });
}

/// Theirs ends after round 0: the criteria, an operator on data alone, are told of no epoch there.
#[test]
fn sync_iteration_ends_by_criteria_on_data_too() {
    let job = |config| sync_iteration(config, 40, Criteria::OnData);
    everywhere(test_path!(sync_iteration_ends_by_criteria_on_data_too), job, |events, shape| {
        assert_eq!(events, rounds_of(4, S), "{shape}");
    });
}

/// Adds up all records, and emits the sum when the input has ended.
struct SumAtEnd(u64);

impl ProcessFunction<u64> for SumAtEnd {
    type Out = u64;

    fn process(&mut self, record: u64, _out: &mut Collector<u64>) -> Result<()> {
        self.0 += record;
        Ok(())
    }

    fn end_of_input(&mut self, out: &mut Collector<u64>) -> Result<()> {
        out.emit(self.0);
        Ok(())
    }
}

#[test]
fn replayed_data_end_with_the_last_round() {
    let job = |config| {
        let sums = execute(config, |env| {
            let (variable, data) = (env.from_iter(1..=3u64), env.from_iter(1..=3u64));
            let config = IterationConfig::new();
            let (sums,) =
                Iterations::iterate_bounded((variable,), (data.replay(),), config, |_it, (x,), (data,)| {
                    let criteria = x.clone().process_epochs(TerminateOnMaxIter::new(10));
                    let sums = data.set_parallelism(1).process_function(SumAtEnd(0));
                    IterationBodyResult::new((x,), (sums,)).termination_criteria(criteria)
                });
            Ok(sums.collect())
        });
        sums.unwrap().concat()
    };
    everywhere(test_path!(replayed_data_end_with_the_last_round), job, |sums, shape| {
        assert_eq!(sums, [60], "{shape}");
    });
}
