//! Graphs that can not mean anything are refused when they are built, by name and with a way out.

use waterwheel::prelude::*;

/// The message of the error that a job ends with, after the site.
fn refusal<O: Outcome>(job: impl for<'s> Fn(&Env<'s>) -> Result<O> + Send + Sync + 'static) -> String {
    let error = execute(RuntimeConfig::threads(2), job).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    error.to_string()
}

#[test]
fn feedback_that_waits_for_its_own_end_is_refused() {
    let message = refusal(|env| {
        let config = IterationConfig::new().name("train");
        let (x,) = Iterations::iterate_bounded((env.from_iter([1u64]),), (), config, |_it, (x,), ()| {
            let sum = x.clone().map_partition(|records| [records.iter().sum::<u64>()]).filter(|_| true);
            IterationBodyResult::new((sum,), (x,))
        });
        Ok(x.collect())
    });
    for part in [
        "\"train\" (tests/all/iterations/misuse.rs:",
        "\"train/map_partition\" (",
        "waits for the end",
        "for_each_round",
    ] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn feedback_that_waits_for_the_end_of_an_inner_loop_is_refused() {
    let message = refusal(|env| {
        let config = IterationConfig::new().name("outer");
        let (x,) = Iterations::iterate_bounded((env.from_iter([1u64]),), (), config, |_it, (x,), ()| {
            let config = IterationConfig::new().name("inner").max_rounds(2);
            let (y,) = Iterations::iterate_bounded((x,), (), config, |_it, (y,), ()| {
                let counts = y.clone().key_by(|y| *y).at_end().count();
                IterationBodyResult::new((y,), (counts.map(|(y, _)| y),))
            });
            IterationBodyResult::new((y.clone(),), (y,))
        });
        Ok(x.collect())
    });
    assert!(message.contains("\"outer\"") && message.contains("\"outer/inner/count\" ("), "{message}");
}

#[test]
fn criteria_that_wait_for_the_end_of_the_loop_are_refused() {
    let message = refusal(|env| {
        let config = IterationConfig::new();
        let (x,) = Iterations::iterate_bounded((env.from_iter([1u64]),), (), config, |_it, (x,), ()| {
            let criteria = x.clone().map_partition(|records| records);
            IterationBodyResult::new((x.clone(),), (x,)).termination_criteria(criteria)
        });
        Ok(x.collect())
    });
    assert!(message.contains("waits for the end"), "{message}");
}

/// What waits for the end of data alone, or is not fed back, is none of these.
#[test]
fn what_waits_for_the_end_of_something_else_runs() {
    let found = execute(RuntimeConfig::threads(2), |env| {
        let (x, data) = (env.from_iter([1u64]), env.from_iter([2u64, 3]));
        let config = IterationConfig::new().max_rounds(3);
        let (all, sum) = Iterations::iterate_bounded((x,), (data,), config, |_it, (x,), (data,)| {
            let total = data.set_parallelism(1).map_partition(|records| [records.iter().sum::<u64>()]);
            let all = x.clone().set_parallelism(1).map_partition(|records| [records.len()]);
            IterationBodyResult::new((x.clone().union(total),), (all, x))
        });
        Ok((all.collect(), sum.collect()))
    });
    let (all, x) = found.unwrap().into_iter().next().unwrap();
    assert_eq!((all, x.iter().sum::<u64>(), x.len()), (vec![5], 3 + 2 * 5, 5));
}

#[test]
fn function_that_can_not_begin_anew_is_refused_per_round() {
    struct Keeps(u64);
    impl ProcessFunction<u64> for Keeps {
        type Out = u64;
        const WAITS_FOR_END: bool = false;
        fn process(&mut self, record: u64, out: &mut Collector<u64>) -> Result<()> {
            self.0 += record;
            out.emit(self.0);
            Ok(())
        }
    }
    let message = refusal(|env| {
        let config = IterationConfig::new().operator_life_cycle(OperatorLifeCycle::PerRound).max_rounds(2);
        let (x,) = Iterations::iterate_bounded((env.from_iter([1u64]),), (), config, |_it, (x,), ()| {
            let kept = x.process_function(Keeps(0)).name("keeps");
            IterationBodyResult::new((kept.clone(),), (kept,))
        });
        Ok(x.collect())
    });
    assert!(message.contains("for_next_round") && message.contains("all_rounds"), "{message}");
}

#[test]
fn replay_in_an_unbounded_iteration_is_refused_with_the_name_of_the_stream() {
    for named in [false, true] {
        let message = refusal(move |env| {
            let data = env.from_iter([1u64]).map(|x| x);
            let data = if named { data.name("rules") } else { data };
            let (fresh, data) = (env.from_iter([2u64]), (env.from_iter([1u8]), data.replay()));
            let (x,) = Iterations::iterate_unbounded((fresh,), data, |_it, (x,), (_plain, data)| {
                IterationBodyResult::new((x.clone().filter(|_| false),), (x.union(data),))
            });
            Ok(x.collect())
        });
        let operator = if named { "operator \"rules\" (" } else { "operator \"map\" (" };
        assert!(message.starts_with(operator), "{message}");
        for part in ["misuse.rs:", "replayed", "unbounded", "iterate_bounded", "no_replay"] {
            assert!(message.contains(part), "{message}");
        }
    }
}

#[test]
fn iteration_of_no_rounds_is_refused() {
    let message = refusal(|env| {
        let config = IterationConfig::new().name("none").max_rounds(0);
        let (x,) = Iterations::iterate_bounded((env.from_iter([1u64]),), (), config, |_it, (x,), ()| {
            IterationBodyResult::new((x.clone(),), (x,))
        });
        Ok(x.collect())
    });
    assert!(message.contains("max_rounds of iteration \"none\" is 0, expected 1 or more"), "{message}");
}

/// Feeds `losses` to [`TerminateOnMaxIterOrTol`] in each round.
fn rounds_by_losses(losses: Vec<f64>, one_worker: bool) -> Result<usize> {
    let rounds = execute(RuntimeConfig::threads(2), move |env| {
        let config = IterationConfig::new();
        let start = env.from_iter(losses.clone());
        let (rounds,) = Iterations::iterate_bounded((start,), (), config, |_it, (x,), ()| {
            let losses = if one_worker { x.clone().set_parallelism(1) } else { x.clone() };
            let criteria = losses.process_epochs(TerminateOnMaxIterOrTol::new(20, 0.1));
            IterationBodyResult::new((x.clone().map(|x| x / 2.0),), (x,)).termination_criteria(criteria)
        });
        Ok(rounds.collect())
    });
    Ok(rounds?.concat().len())
}

#[test]
fn losses_end_an_iteration_and_there_is_one_in_a_round() {
    // 1, 1/2, 1/4, 1/8, and 1/16, which is below the tolerance.
    assert_eq!(rounds_by_losses(vec![1.0], true).unwrap(), 5);
    assert_eq!(rounds_by_losses(vec![1e12], true).unwrap(), 20);
    let two = rounds_by_losses(vec![1.0, 2.0], true).unwrap_err();
    assert!(two.message().ends_with("in epoch 0, expected one in each"), "{two}");
    let spread = rounds_by_losses(vec![1.0], false).unwrap_err();
    assert_eq!(
        spread.message(),
        "losses are spread to worker 1, expected all on one: use set_parallelism(1)"
    );
}
