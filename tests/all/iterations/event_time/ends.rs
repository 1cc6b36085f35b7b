//! Loops with event time end exactly; loops in loops; what comes when a loop has ended.

use waterwheel::engine::{ClockHop, LoopCounter};
use waterwheel::prelude::*;

use super::data::{Click, Ending, Row, counts, in_loop, in_round, in_time, some_clicks};
use crate::cluster::{everywhere, test_path};
use crate::event_time::windows::naive_sliding;

fn sorted<D: Ord>(mut records: Vec<D>) -> Vec<D> {
    records.sort_unstable();
    records
}

/// A user's count in a window is a click of the next round, if there was more than one.
fn click_of(&(user, start, _, n): &Row) -> Option<Click> {
    (n > 1).then_some(Click { user: user / 2, at: start / 2, id: n })
}

#[test]
fn loop_that_feeds_its_windows_back_ends_with_the_last_of_them() {
    let job = |config| {
        let found = execute(config, |env| {
            let first = env.from_iter(some_clicks(500)).rebalance();
            let config = IterationConfig::new();
            let (rows, epochs) = Iterations::iterate_bounded((first,), (), config, |_it, (x,), ()| {
                let rows = counts(in_time(x.clone())).into_stream();
                let next = rows.clone().flat_map(|row| click_of(&row));
                let epochs = x.set_parallelism(1).process_epochs(Epochs);
                IterationBodyResult::new((next,), (rows.process_epochs(in_round()), epochs))
            });
            Ok((rows.collect(), epochs.collect()))
        });
        found.unwrap().swap_remove(0)
    };
    let mut expected = Vec::new();
    let mut clicks = some_clicks(500);
    let mut rounds = 0;
    while !clicks.is_empty() {
        let rows = naive_sliding(&clicks, 100, 100, |_| 1);
        clicks = rows.iter().filter_map(click_of).collect();
        expected.extend(rows.into_iter().map(|row| (rounds, row)));
        rounds += 1;
    }
    assert!(rounds > 3, "{rounds} rounds");
    let path = test_path!(loop_that_feeds_its_windows_back_ends_with_the_last_of_them);
    everywhere(path, job, |(rows, epochs), shape| {
        assert_eq!(sorted(rows), expected, "{shape}");
        assert_eq!(epochs, Vec::from_iter((0..rounds).chain([END_EPOCH])), "{shape}");
    });
}

/// Emits the epochs it is told of.
struct Epochs;

impl IterationListener for Epochs {
    type Out = Round;

    fn on_epoch_watermark_incremented(
        &mut self,
        epoch: Round,
        _context: &mut EpochContext,
        out: &mut Collector<Round>,
    ) -> Result<()> {
        out.emit(epoch);
        Ok(())
    }

    fn on_iteration_terminated(
        &mut self,
        _context: &mut EpochContext,
        out: &mut Collector<Round>,
    ) -> Result<()> {
        out.emit(END_EPOCH);
        Ok(())
    }
}

impl EpochProcessFunction<Click> for Epochs {
    fn process(
        &mut self,
        _record: Click,
        _context: &mut EpochContext,
        _out: &mut Collector<Round>,
    ) -> Result<()> {
        Ok(())
    }
}

/// The criteria are windows: the loop ends with the first round in which no user has two clicks in one.
#[test]
fn loop_whose_criteria_are_windows_ends_with_the_round_that_has_none() {
    let job = |config| {
        let found = execute(config, |env| {
            let first = env.from_iter(some_clicks(500)).rebalance();
            let config = IterationConfig::new();
            let (rows,) = Iterations::iterate_bounded((first,), (), config, |_it, (x,), ()| {
                let rows = counts(in_time(x.clone())).into_stream();
                let criteria = rows.clone().filter(|(.., n)| *n > 1);
                let next = x.map(|click| Click { at: click.at * 2, ..click });
                let result = IterationBodyResult::new((next,), (rows.process_epochs(in_round()),));
                result.termination_criteria(criteria)
            });
            Ok(rows.collect())
        });
        found.unwrap().concat()
    };
    // Clicks of one time never part: so only one of each user and time.
    let path = test_path!(loop_whose_criteria_are_windows_ends_with_the_round_that_has_none);
    everywhere(path, job, |rows: Vec<(Round, Row)>, shape| {
        let mut clicks = some_clicks(500);
        let mut expected = Vec::new();
        for round in 0.. {
            let rows = naive_sliding(&clicks, 100, 100, |_| 1);
            let goes_on = rows.iter().any(|(.., n)| *n > 1);
            expected.extend(rows.into_iter().map(|row| (round, row)));
            if !goes_on {
                break;
            }
            clicks.iter_mut().for_each(|click| click.at *= 2);
        }
        assert_eq!(sorted(rows), expected, "{shape}");
    });
}

/// In every round of the outer loop the inner one runs anew, and each round of each run has windows of its own.
#[test]
fn windows_of_an_inner_loop_are_those_of_one_round_of_one_run() {
    let job = |config| {
        let found = execute(config, |env| {
            let first = env.from_iter(some_clicks(120)).rebalance();
            let config = IterationConfig::new().name("outer").max_rounds(2);
            let (outer, inner) = Iterations::iterate_bounded((first,), (), config, |_it, (x,), ()| {
                let rows = counts(in_time(x.clone())).into_stream().process_epochs(in_round());
                let config = IterationConfig::new().name("inner").max_rounds(3);
                let (last, inner) = Iterations::iterate_bounded((x,), (), config, |_it, (y,), ()| {
                    let rows = counts(in_time(y.clone())).into_stream().process_epochs(in_round());
                    let next = y.map(|click| Click { at: click.at + 30, ..click });
                    let last = next.clone().process_epochs(ForwardInputsOfLastRound::new());
                    IterationBodyResult::new((next,), (last, rows))
                });
                IterationBodyResult::new((last,), (rows, inner.process_epochs(in_round())))
            });
            Ok((outer.collect(), inner.collect()))
        });
        found.unwrap().swap_remove(0)
    };
    let path = test_path!(windows_of_an_inner_loop_are_those_of_one_round_of_one_run);
    everywhere(path, job, |(outer, inner), shape| {
        let shifted = |by: i64| {
            let clicks = some_clicks(120).into_iter().map(|click| Click { at: click.at + by, ..click });
            naive_sliding(&Vec::from_iter(clicks), 100, 100, |_| 1)
        };
        let outer_rows = |round: u64| shifted(90 * round as i64).into_iter().map(move |row| (round, row));
        assert_eq!(sorted(outer), Vec::from_iter((0..2).flat_map(outer_rows)), "{shape}");
        let of_run = |run: u64| {
            let of_round = move |round: u64| {
                let rows = shifted(90 * run as i64 + 30 * round as i64).into_iter();
                rows.map(move |row| (run, (round, row)))
            };
            (0..3).flat_map(of_round)
        };
        assert_eq!(sorted(inner), Vec::from_iter((0..2).flat_map(of_run)), "{shape}");
    });
}

/// What is emitted when a loop has ended is in windows of its own; also in a loop inside, which has no round for it.
#[test]
fn windows_of_what_is_emitted_at_the_termination_come_too() {
    let job = |config| {
        let found = execute(config, |env| {
            let first = env.from_iter(some_clicks(120)).rebalance();
            let config = IterationConfig::new().name("outer").max_rounds(2);
            let (direct, inner) = Iterations::iterate_bounded((first,), (), config, |_it, (x,), ()| {
                let last = x.clone().process_epochs(ForwardInputsOfLastRound::new());
                let direct = counts(in_time(last.clone())).into_stream().process_epochs(in_round());
                let config = IterationConfig::new().name("inner").max_rounds(2);
                let (inner,) = Iterations::iterate_bounded((last,), (), config, |_it, (y,), ()| {
                    let rows = counts(in_time(y.clone())).into_stream().process_epochs(in_round());
                    IterationBodyResult::new((y,), (rows,))
                });
                IterationBodyResult::new((x,), (direct, inner.process_epochs(in_round())))
            });
            Ok((direct.collect(), inner.collect()))
        });
        found.unwrap().swap_remove(0)
    };
    let path = test_path!(windows_of_what_is_emitted_at_the_termination_come_too);
    everywhere(path, job, |(direct, inner), shape| {
        let rows = naive_sliding(&some_clicks(120), 100, 100, |_| 1);
        let of_end = rows.iter().map(|row| (END_EPOCH, *row));
        assert_eq!(sorted(direct), Vec::from_iter(of_end), "{shape}");
        let in_rounds = (0..2).flat_map(|round| rows.iter().map(move |row| (END_EPOCH, (round, *row))));
        assert_eq!(sorted(inner), Vec::from_iter(in_rounds), "{shape}");
    });
}

#[test]
fn loop_without_records_has_no_windows_and_ends() {
    let job = |config| {
        let found = execute(config, |env| {
            let how = (Ending::Feedback, OperatorLifeCycle::AllRound);
            Ok(in_loop(env.from_iter(some_clicks(0)), how, |x| counts(in_time(x)).into_stream()).collect())
        });
        found.unwrap().concat()
    };
    let path = test_path!(loop_without_records_has_no_windows_and_ends);
    everywhere(path, job, |rows, shape| assert_eq!(rows, [], "{shape}"));
}

/// Event time in a loop whose counter is `R`, which nobody told of its rounds.
fn refusal_in_uncounted<R: LoopCounter>() -> Error {
    let done = execute(RuntimeConfig::threads(1), |env| {
        let clicks = env.from_iter(some_clicks(3)).into_edge();
        let rows = feedback_loop::<_, R, _, _>(env.place(), "raw", |it, fed_back| {
            let x = DataStream::from_edge(it.enter(clicks)).union(DataStream::from_edge(fed_back));
            let rows = counts(in_time(x.clone())).into_stream();
            (x.filter(|_| false).into_edge(), it.leave(rows.into_edge()))
        });
        Ok(DataStream::from_edge(rows).collect())
    });
    done.unwrap_err()
}

#[test]
fn event_time_in_a_loop_that_does_not_count_rounds_is_refused() {
    for error in [refusal_in_uncounted::<Round>(), refusal_in_uncounted::<ClockHop>()] {
        assert_eq!(error.kind(), ErrorKind::Config);
        let error = error.to_string();
        assert!(
            error.contains("assign_timestamps_and_watermarks") && error.contains("event_time/data.rs"),
            "{error}"
        );
        assert!(error.contains("in the body of an iteration"), "{error}");
    }
}
