//! `BoundedPerRoundStreamIterationITCase`, `BoundedMixedLifeCycleStreamIterationITCase`, and the life cycles of
//! operators.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::{Deserialize, Serialize};
use waterwheel::prelude::*;

use super::fixture::{EpochRecord, Event, OUTPUT, ReduceAllRound, S, rounds_of, sequence, way_back};
use crate::cluster::{everywhere, test_path};

/// What [`ReducePerRound`] emits: the next value of the variable, and the sum of the round at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Reduced {
    Next(u64),
    Terminated { round: u64, sum: u64 },
}

/// Adds up the second stream of a round; the first one has the number of the round.
#[derive(Default)]
struct ReducePerRound {
    round: Option<u64>,
    sum: u64,
}

impl CoProcessFunction<u64, u64> for ReducePerRound {
    type Out = Reduced;

    fn process1(&mut self, round: u64, out: &mut Collector<Reduced>) -> Result<()> {
        assert_eq!(self.round.replace(round), None, "an instance for each round");
        out.emit(Reduced::Next(round + 1));
        Ok(())
    }

    fn process2(&mut self, value: u64, _out: &mut Collector<Reduced>) -> Result<()> {
        self.sum += value;
        Ok(())
    }

    fn end_of_input2(&mut self, out: &mut Collector<Reduced>) -> Result<()> {
        out.emit(Reduced::Terminated { round: self.round.unwrap(), sum: self.sum });
        Ok(())
    }

    fn for_next_round(&self) -> ForRound<Self> {
        ForRound::Fresh(Self::default())
    }
}

/// The variable of the next round, and the results of this one.
fn reduced<'i, T: Clock>(
    variable: DataStream<'i, u64, T>,
    data: DataStream<'i, EpochRecord, T>,
) -> (DataStream<'i, u64, T>, DataStream<'i, (u64, u64), T>) {
    let values = data.map(|record| record.value).set_parallelism(1);
    let reduced = variable.set_parallelism(1).connect(values).process_function(ReducePerRound::default());
    let next = reduced.clone().flat_map(|reduced| match reduced {
        Reduced::Next(round) => Some(round),
        Reduced::Terminated { .. } => None,
    });
    let results = reduced.flat_map(|reduced| match reduced {
        Reduced::Next(_) => None,
        Reduced::Terminated { round, sum } => Some((round, sum)),
    });
    (next, results)
}

#[test]
fn per_round_iteration_has_a_result_in_each_round() {
    let job = |config| {
        let sums = execute(config, |env| {
            let (variable, data) = (env.from_iter([0u64]), sequence(env, 1000));
            let config = IterationConfig::new().operator_life_cycle(OperatorLifeCycle::PerRound);
            let (sums,) =
                Iterations::iterate_bounded((variable,), (data.replay(),), config, |_it, (x,), (data,)| {
                    let (next, sums) = reduced(x, data);
                    let next = next.filter(|round| *round < 5);
                    let criteria = next.clone().map(|round| round as f64);
                    let spread = next.key_by(|round| *round).process(|_, n: &mut u64, round, out| {
                        *n += 1;
                        assert_eq!(*n, 1, "the states of keys begin anew too");
                        out.emit(round);
                    });
                    IterationBodyResult::new((spread,), (sums,)).termination_criteria(criteria)
                });
            Ok(sums.collect())
        });
        sums.unwrap().concat()
    };
    everywhere(test_path!(per_round_iteration_has_a_result_in_each_round), job, |sums, shape| {
        assert_eq!(sums, [0, 1, 2, 3, 4].map(|round| (round, S)), "{shape}");
    });
}

/// Joins both streams of a key when they have ended.
#[derive(Default)]
struct Join;

impl KeyedCoProcessFunction<u64, (u64, u64), (u64, u64)> for Join {
    type State = (Vec<u64>, Vec<u64>);
    type Out = u64;

    fn process1(
        &mut self,
        _key: &u64,
        (left, _): &mut (Vec<u64>, Vec<u64>),
        record: (u64, u64),
        _out: &mut Collector<u64>,
    ) -> Result<()> {
        left.push(record.1);
        Ok(())
    }

    fn process2(
        &mut self,
        _key: &u64,
        (_, right): &mut (Vec<u64>, Vec<u64>),
        record: (u64, u64),
        _out: &mut Collector<u64>,
    ) -> Result<()> {
        right.push(record.1);
        Ok(())
    }

    fn end_of_input2(
        &mut self,
        _key: &u64,
        (left, right): &mut (Vec<u64>, Vec<u64>),
        out: &mut Collector<u64>,
    ) -> Result<()> {
        out.batch().extend(left.iter().flat_map(|_| right.iter().copied()));
        Ok(())
    }

    fn for_next_round(&self) -> ForRound<Self> {
        ForRound::Same
    }
}

#[test]
fn what_follows_a_per_round_join_is_told_of_its_end_once() {
    let job = |config| {
        let found = execute(config, |env| {
            let (left, right) = (env.from_iter([(1u64, 1u64)]), env.from_iter([(1u64, 2u64)]));
            let config = IterationConfig::new().operator_life_cycle(OperatorLifeCycle::PerRound);
            let (joined,) =
                Iterations::iterate_bounded((left,), (right.replay(),), config, |_it, (x,), (right,)| {
                    let criteria = x.clone().process_epochs(TerminateOnMaxIter::new(1));
                    let joined = x.clone().key_by(|x| x.0).connect(right.key_by(|x| x.0));
                    let joined = joined.process_function(Join);
                    IterationBodyResult::new((x,), (joined,)).termination_criteria(criteria)
                });
            let ends = joined.clone().map_partition(|_records| [()]);
            Ok((joined.collect(), ends.collect(), env.from_iter([env.workers()]).collect()))
        });
        found.unwrap().into_iter().next().unwrap()
    };
    everywhere(test_path!(what_follows_a_per_round_join_is_told_of_its_end_once), job, |found, shape| {
        let (joined, ends, workers) = found;
        assert_eq!((joined, ends.len()), (vec![2], workers[0]), "{shape}");
    });
}

/// Theirs is 3, with the record of the round that was decided not to be.
#[test]
fn per_round_iteration_with_state_has_as_many_rounds_as_its_criteria_say() {
    let job = |config| {
        let found = execute(config, |env| {
            let (variable, data) = (env.from_iter([1u64]), env.from_iter([1u64]));
            let config = IterationConfig::new().operator_life_cycle(OperatorLifeCycle::PerRound);
            let (found,) =
                Iterations::iterate_bounded((variable,), (data.replay(),), config, |_it, (x,), (_,)| {
                    let seen = x.key_by(|x| *x).process(|_, n: &mut u64, _, out| {
                        *n += 1;
                        out.emit(*n);
                    });
                    let criteria = seen.clone().process_epochs(TerminateOnMaxIter::new(2));
                    IterationBodyResult::new((seen.clone(),), (seen,)).termination_criteria(criteria)
                });
            Ok(found.collect())
        });
        found.unwrap().concat()
    };
    everywhere(
        test_path!(per_round_iteration_with_state_has_as_many_rounds_as_its_criteria_say),
        job,
        |found, shape| assert_eq!(found, [1, 1], "{shape}"),
    );
}

#[test]
fn parts_of_both_life_cycles_in_one_body() {
    let job = |config| {
        let found = execute(config, |env| {
            let variables = (env.from_iter([0u64]), env.from_iter(Vec::<EpochRecord>::new()));
            let data = (sequence(env, 1000).replay(), sequence(env, 1000).no_replay());
            let config = IterationConfig::new();
            let (sums, events) =
                Iterations::iterate_bounded(variables, data, config, |it, (v0, v1), (data0, data1)| {
                    let (next, sums) = it.for_each_round((v0, data0), |(v0, data0)| reduced(v0, data0));
                    let both = v1.set_parallelism(1).connect(data1.set_parallelism(1));
                    let all = both.process_epochs_with_side_outputs(ReduceAllRound::new(true, 5));
                    let events = all.side_output(&OUTPUT);
                    let next = next.filter(|round| *round <= 5);
                    IterationBodyResult::new((next, way_back(all.into_main())), (sums, events))
                });
            Ok((sums.collect(), events.collect()))
        });
        found.unwrap().into_iter().next().unwrap()
    };
    everywhere(test_path!(parts_of_both_life_cycles_in_one_body), job, |(sums, events), shape| {
        assert_eq!(sums, [0, 1, 2, 3, 4, 5].map(|round| (round, S)), "{shape}");
        let events: Vec<Event> = events;
        assert_eq!(events, rounds_of(6, S), "{shape}");
    });
}

/// Counts the records of a key.
fn counted<'i, T: Clock>(stream: DataStream<'i, u64, T>) -> DataStream<'i, (u64, u64), T> {
    stream.key_by(|x| x % 2).count()
}

#[test]
fn all_rounds_inside_of_a_per_round_body_keeps_its_state() {
    let job = |config| {
        let found = execute(config, |env| {
            let config =
                IterationConfig::new().operator_life_cycle(OperatorLifeCycle::PerRound).max_rounds(3);
            let (each, all, inner) =
                Iterations::iterate_bounded((env.from_iter([1u64, 3]),), (), config, |it, (x,), ()| {
                    let each = counted(x.clone());
                    let (all, inner) = it.all_rounds((x.clone(),), |(x,)| {
                        let (inner,) = it.for_each_round((x.clone(),), |(x,)| (counted(x),));
                        (counted(x), inner)
                    });
                    IterationBodyResult::new((x,), (each, all, inner))
                });
            Ok((each.collect(), all.collect(), inner.collect()))
        });
        found.unwrap().into_iter().next().unwrap()
    };
    everywhere(test_path!(all_rounds_inside_of_a_per_round_body_keeps_its_state), job, |found, shape| {
        let counts = |found: Vec<(u64, u64)>| -> Vec<u64> {
            let mut counts: Vec<_> = found.into_iter().map(|(_, n)| n).collect();
            counts.sort();
            counts
        };
        let (each, all, inner) = found;
        assert_eq!(counts(each), [1, 1, 1, 2, 2, 2], "{shape}");
        assert_eq!(counts(all), [1, 2, 3, 4, 5, 6], "{shape}");
        assert_eq!(counts(inner), [1, 1, 1, 2, 2, 2], "{shape}");
    });
}

/// Nothing holds records back, so rounds overlap: each has a sum of its own.
#[test]
fn rounds_that_overlap_do_not_mix() {
    let job = |config| {
        let sums = execute(config, |env| {
            let start = env.from_iter(0..2000u64).rebalance();
            let config = IterationConfig::new().max_rounds(6);
            let (sums,) = Iterations::iterate_bounded((start,), (), config, |it, (x,), ()| {
                let tagged = x.clone().map(|x| (x / 10_000, x)).rebalance();
                let (sums,) = it.for_each_round((tagged,), |(tagged,)| {
                    (tagged.key_by(|(round, _)| *round).at_end().sum(|(_, x)| *x),)
                });
                IterationBodyResult::new((x.map(|x| x + 10_000).rebalance(),), (sums,))
            });
            Ok(sums.collect())
        });
        sums.unwrap().concat()
    };
    everywhere(test_path!(rounds_that_overlap_do_not_mix), job, |sums, shape| {
        let found: BTreeMap<u64, u64> = sums.iter().copied().collect();
        let expected = (0..6).map(|round| (round, 1_999_000 + round * 20_000_000)).collect();
        assert_eq!((sums.len(), found), (6, expected), "{shape}");
    });
}

static LIVE: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

/// A state that is counted while it lives.
#[derive(Serialize, Deserialize)]
struct Counted;

impl Default for Counted {
    fn default() -> Self {
        let live = LIVE.fetch_add(1, Ordering::SeqCst) + 1;
        MOST.fetch_max(live, Ordering::SeqCst);
        Counted
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        LIVE.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn state_of_a_round_goes_with_the_round() {
    for workers in [1, 2, 4] {
        MOST.store(0, Ordering::SeqCst);
        let done = execute(RuntimeConfig::threads(workers), |env| {
            let config = IterationConfig::new();
            let start = env.from_iter(0..10u64);
            let (seen,) = Iterations::iterate_bounded((start,), (), config, |it, (x,), ()| {
                let (seen,) = it.for_each_round((x,), |(x,)| {
                    (x.key_by(|x| *x).process(|_, _: &mut Counted, x, out| out.emit(x)),)
                });
                let criteria = seen.clone().process_epochs(TerminateOnMaxIter::new(100));
                IterationBodyResult::new((seen.clone(),), (seen,)).termination_criteria(criteria)
            });
            Ok(seen.collect())
        });
        assert_eq!(done.unwrap().concat().len(), 1000);
        assert_eq!(LIVE.load(Ordering::SeqCst), 0);
        // A worker may hear of the end of a round when the next one has begun.
        assert!(MOST.load(Ordering::SeqCst) <= 20, "{workers} workers: {MOST:?}");
    }
}
