//! Loops as they are seen while a job runs.

use std::sync::{Arc, Mutex};

use waterwheel::prelude::*;

/// The rounds that a loop showed when one of its records was in each of them.
#[test]
fn loop_shows_its_round_while_it_runs() {
    for workers in [1, 2, 4] {
        let (loops, seen) = (LoopState::new(), Arc::new(Mutex::new(Vec::new())));
        let (live, noted) = (loops.clone(), Arc::clone(&seen));
        let config = RuntimeConfig::threads(workers).loop_state(loops.clone());
        let done = execute(config, move |env| {
            let (live, noted) = (live.clone(), Arc::clone(&noted));
            let config = IterationConfig::new().name("count up").max_rounds(5);
            let start = env.from_iter([0u64]);
            Iterations::iterate_bounded((start,), (), config, |_it, (x,), ()| {
                let next = x.map(move |x| {
                    noted.lock().unwrap().push((x, live.loops()[0].round));
                    x + 1
                });
                IterationBodyResult::new((next.rebalance(),), ())
            });
            Ok(())
        });
        done.unwrap();
        assert_eq!(*seen.lock().unwrap(), [0, 1, 2, 3, 4].map(|x| (x, x)), "{workers} workers");
        let found = loops.loops();
        let rounds: Vec<_> =
            found[0].rounds.iter().map(|round| (round.clock.clone(), round.records)).collect();
        let expected: Vec<_> = (0..5).map(|round| (vec![0, round], u64::from(round > 0))).collect();
        assert_eq!((found[0].name.as_str(), rounds), ("count up", expected), "{workers} workers");
    }
}

#[test]
fn rounds_of_an_inner_loop_are_told_by_those_around() {
    let loops = LoopState::new();
    let config = RuntimeConfig::threads(2).loop_state(loops.clone());
    let done = execute(config, |env| {
        let config = IterationConfig::new().name("outer").max_rounds(2);
        Iterations::iterate_bounded((env.from_iter([0u64]),), (), config, |_it, (x,), ()| {
            let config = IterationConfig::new().name("inner").max_rounds(3);
            let (y,) = Iterations::iterate_bounded((x,), (), config, |_it, (y,), ()| {
                let last = y.clone().process_epochs(ForwardInputsOfLastRound::new());
                IterationBodyResult::new((y,), (last,))
            });
            IterationBodyResult::new((y,), ())
        });
        Ok(())
    });
    done.unwrap();
    let clocks = |name: &str| -> Vec<Vec<u64>> {
        let all = loops.loops();
        let of_name = all.iter().find(|flow| flow.name == name).unwrap();
        of_name.rounds.iter().map(|round| round.clock.clone()).collect()
    };
    assert_eq!(clocks("outer"), [[0, 0], [0, 1]]);
    assert_eq!(clocks("outer/inner"), [[0, 0, 0], [0, 0, 1], [0, 0, 2], [0, 1, 1], [0, 1, 2]]);
}

#[test]
fn unbounded_loops_and_worksets_are_told_apart_by_their_names() {
    struct Once;
    impl WorksetFunction<u64, u64> for Once {
        type State = u64;
        type Out = u64;

        fn step(
            &mut self,
            _: &u64,
            work: &mut Vec<u64>,
            n: &mut u64,
            _: &mut Workset<u64, u64>,
        ) -> Result<()> {
            *n += work.len() as u64;
            Ok(())
        }

        fn settled(&mut self, _: &u64, n: &mut u64, out: &mut Vec<u64>) -> Result<bool> {
            out.push(*n);
            Ok(true)
        }
    }
    let loops = LoopState::new();
    let done = execute(RuntimeConfig::threads(2).loop_state(loops.clone()), |env| {
        for (name, laps) in [("first", 2), ("second", 3)] {
            Iterations::iterate_unbounded_named(name, (env.from_iter([laps]),), (), |_it, (x,), ()| {
                IterationBodyResult::new((x.filter(|x| *x > 0).map(|x| x - 1),), ())
            });
        }
        iterate_workset_named("third", env.from_iter([(1, 1)]), Once).sink(|_| Ok(()));
        Ok(())
    });
    done.unwrap();
    let rounds: Vec<_> = loops.loops().into_iter().map(|flow| (flow.name, flow.round)).collect();
    assert_eq!(rounds, [("first".to_string(), 2), ("second".to_string(), 3), ("third".to_string(), 0)]);
}
