//! `UnboundedStreamIterationITCase`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use waterwheel::prelude::*;

use super::fixture::{
    EpochRecord, Event, OUTPUT, ReduceAllRound, S, elements_by_round, held_sequence, sequence, way_back,
};
use crate::cluster::{everywhere, test_path};

/// Two rounds of 4,000 elements each that add up to [`S`], then the termination.
fn check_two_rounds(events: Vec<Event>, shape: &str) {
    let (last, elements) = events.split_last().unwrap();
    assert_eq!((*last, elements.len()), (Event::Terminated, 8000), "{shape}");
    assert_eq!(Vec::from_iter(elements_by_round(elements)), [(0, (4000, S)), (1, (4000, S))], "{shape}");
}

#[test]
fn variable_only_bounded_iteration_has_two_rounds_and_ends() {
    let job = |config| {
        let events = execute(config, |env| {
            let (events,) = Iterations::iterate_unbounded((sequence(env, 1000),), (), |_it, (x,), ()| {
                let one = x.set_parallelism(1);
                let reduced = one.process_epochs_with_side_outputs(ReduceAllRound::new(false, 1));
                let events = reduced.side_output(&OUTPUT);
                IterationBodyResult::new((way_back(reduced.into_main()),), (events,))
            });
            Ok(events.collect())
        });
        events.unwrap().concat()
    };
    everywhere(test_path!(variable_only_bounded_iteration_has_two_rounds_and_ends), job, |events, shape| {
        check_two_rounds(events, shape);
    });
}

#[test]
fn variable_that_is_broadcast_is_at_every_worker() {
    let job = |config| {
        let events = execute(config, |env| {
            let (events,) = Iterations::iterate_unbounded((sequence(env, 1000),), (), |_it, (x,), ()| {
                let one = x.set_parallelism(1).broadcast();
                let reduced = one.process_epochs_with_side_outputs(ReduceAllRound::new(false, 1));
                let events = reduced.side_output(&OUTPUT);
                IterationBodyResult::new((way_back(reduced.into_main()),), (events,))
            });
            Ok(events.collect())
        });
        events.unwrap().concat()
    };
    everywhere(test_path!(variable_that_is_broadcast_is_at_every_worker), job, check_two_rounds);
}

#[test]
fn variable_and_constant_bounded_iteration_has_two_rounds_and_ends() {
    let job = |config| {
        let events = execute(config, |env| {
            let (none, data) = (env.from_iter(Vec::new()), sequence(env, 1000));
            let (events,) = Iterations::iterate_unbounded((none,), (data,), |_it, (x,), (data,)| {
                let both = x.set_parallelism(1).connect(data.set_parallelism(1));
                let reduced = both.process_epochs_with_side_outputs(ReduceAllRound::new(false, 1));
                let events = reduced.side_output(&OUTPUT);
                IterationBodyResult::new((way_back(reduced.into_main()),), (events,))
            });
            Ok(events.collect())
        });
        events.unwrap().concat()
    };
    everywhere(
        test_path!(variable_and_constant_bounded_iteration_has_two_rounds_and_ends),
        job,
        check_two_rounds,
    );
}

#[test]
fn side_output_of_data_leaves_the_loop_in_order() {
    const DATA: OutputTag<i32> = OutputTag::new("data");
    let job = |config| {
        let found = execute(config, |env| {
            let (none, data) = (env.from_iter(Vec::<i32>::new()), env.from_iter([1, 2, 3]));
            let (found,) = Iterations::iterate_unbounded((none,), (data,), |_it, (x,), (data,)| {
                let found = data.process_with_side_outputs(|x, _out: &mut Collector<i32>, side| {
                    side.emit(&DATA, x);
                });
                IterationBodyResult::new((x,), (found.side_output(&DATA),))
            });
            Ok(found.collect())
        });
        found.unwrap().concat()
    };
    everywhere(test_path!(side_output_of_data_leaves_the_loop_in_order), job, |found, shape| {
        assert_eq!(found, [1, 2, 3], "{shape}");
    });
}

/// Runs an iteration over sources that never end, until it has emitted 8,000 events; then stops it.
fn events_of_endless_job(workers: usize, as_data: bool) -> Vec<Event> {
    let (stop, events) = (StopHandle::new(), Arc::new(Mutex::new(Vec::new())));
    let (enough, seen) = (stop.clone(), Arc::clone(&events));
    let n_seen = Arc::new(AtomicUsize::new(0));
    let done = execute(RuntimeConfig::threads(workers).stop_handle(stop), move |env| {
        let (none, held) = (env.from_iter(Vec::<EpochRecord>::new()), held_sequence(env, 1000));
        let (variable, data) = if as_data { (none, held) } else { (held, none) };
        let (enough, seen, n_seen) = (enough.clone(), Arc::clone(&seen), Arc::clone(&n_seen));
        let (events,) = Iterations::iterate_unbounded((variable,), (data,), |_it, (x,), (data,)| {
            let both = x.set_parallelism(1).connect(data.set_parallelism(1));
            let reduced = both.process_epochs_with_side_outputs(ReduceAllRound::new(false, 1));
            let events = reduced.side_output(&OUTPUT);
            IterationBodyResult::new((way_back(reduced.into_main()),), (events,))
        });
        events.sink(move |event| {
            seen.lock().unwrap().push(event);
            if n_seen.fetch_add(1, Ordering::SeqCst) + 1 == 8000 {
                enough.stop();
            }
            Ok(())
        });
        Ok(())
    });
    assert_eq!(done.unwrap_err().kind(), ErrorKind::Interrupted);
    events.lock().unwrap().clone()
}

#[test]
fn endless_iterations_emit_their_two_rounds_and_go_on() {
    for (workers, as_data) in [(1, false), (2, false), (4, false), (1, true), (2, true), (4, true)] {
        let events = events_of_endless_job(workers, as_data);
        assert_eq!(events.len(), 8000, "{workers} workers");
        assert_eq!(Vec::from_iter(elements_by_round(&events)), [(0, (4000, S)), (1, (4000, S))]);
    }
}

#[test]
fn criteria_of_an_unbounded_iteration_are_refused() {
    let done = execute(RuntimeConfig::threads(1), |env| {
        let (x,) = Iterations::iterate_unbounded((env.from_iter([1]),), (), |_it, (x,), ()| {
            IterationBodyResult::new((x.clone().filter(|_| false),), (x.clone(),)).termination_criteria(x)
        });
        Ok(x.collect())
    });
    let error = done.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.message().contains("is unbounded and has no termination criteria"), "{error}");
}
