//! Every function that is told of epochs hears of all of them, in order, on every worker, then of the end; also
//! in the graphs that hang in Flink ML.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use waterwheel::prelude::*;

use super::log::{Log, check_calls};
use crate::cluster::{everywhere, test_path};

#[test]
fn every_kind_of_operator_is_told_of_every_epoch() {
    let job = |config| {
        let calls = execute(config, |env| {
            let (x, data, again) = (env.from_iter([5u64]), env.from_iter([1u64, 2]), env.from_iter([3u64]));
            let (data, config) = ((data, again.replay()), IterationConfig::new());
            let (calls,) = Iterations::iterate_bounded((x,), data, config, |it, (x,), (data, again)| {
                let on_variable = x.clone().process_epochs(Log("variable"));
                let on_data = data.clone().process_epochs(Log("data"));
                let on_replay = again.clone().process_epochs(Log("replay"));
                let on_both = x.clone().union(data.clone()).process_epochs(Log("union"));
                let on_entered = it.enter(env.from_iter([1u8])).process_epochs(Log("entered"));
                let connected = data.clone().connect(data.clone()).process_epochs(Log("two data"));
                let keyed = x.clone().key_by(|x| *x).process_epochs(Log("keyed"));
                let silent = x.clone().filter(|_| false).process_epochs(Log("silent"));
                let two = x.clone().key_by(|x| *x).connect(data.clone().key_by(|x| *x));
                let two = two.process_epochs(Log("two keyed"));
                let beside = data.clone().connect_broadcast(x.clone()).process_epochs(Log("broadcast"));
                let both = data.clone().key_by(|x| *x).connect_broadcast(data.clone());
                let both = both.process_epochs(Log("keyed broadcast"));
                let logs = on_variable.union(on_data).union(on_replay).union(on_both).union(on_entered);
                let logs =
                    logs.union(connected).union(keyed).union(silent).union(two).union(beside).union(both);
                let next = x.filter(|x| *x > 0).map(|x| x - 1);
                IterationBodyResult::new((next,), (logs,))
            });
            let workers = env.workers();
            Ok((calls.collect(), env.from_iter([workers]).collect()))
        });
        calls.unwrap().into_iter().next().unwrap()
    };
    let names = ["variable", "data", "replay", "union", "entered", "two data", "keyed", "silent"];
    let names = [&names[..], &["two keyed", "broadcast", "keyed broadcast"]].concat();
    everywhere(test_path!(every_kind_of_operator_is_told_of_every_epoch), job, |(calls, workers), shape| {
        check_calls(calls, workers[0], &names, 5, shape);
    });
}

#[test]
fn iteration_over_nothing_has_epoch_0() {
    let job = |config| {
        let calls = execute(config, |env| {
            let (none, config) = (env.from_iter(Vec::<u64>::new()), IterationConfig::new());
            let (calls,) = Iterations::iterate_bounded((none,), (), config, |_it, (x,), ()| {
                let calls = x.clone().process_epochs(Log("variable"));
                IterationBodyResult::new((x,), (calls,))
            });
            Ok((calls.collect(), env.from_iter([env.workers()]).collect()))
        });
        calls.unwrap().into_iter().next().unwrap()
    };
    everywhere(test_path!(iteration_over_nothing_has_epoch_0), job, |(calls, workers), shape| {
        check_calls(calls, workers[0], &["variable"], 0, shape);
    });
}

/// Emits a record in each of the epochs 0 to 2, and at the termination.
struct Thrice;

impl IterationListener for Thrice {
    type Out = u64;

    fn on_epoch_watermark_incremented(
        &mut self,
        epoch: Round,
        context: &mut EpochContext,
        out: &mut Collector<u64>,
    ) -> Result<()> {
        if epoch < 3 && context.worker_index() == 0 {
            out.emit(100 + epoch);
        }
        Ok(())
    }

    fn on_iteration_terminated(
        &mut self,
        context: &mut EpochContext,
        out: &mut Collector<u64>,
    ) -> Result<()> {
        if context.worker_index() == 0 {
            out.emit(999);
        }
        Ok(())
    }
}

impl EpochProcessFunction<u64> for Thrice {
    fn process(&mut self, record: u64, context: &mut EpochContext, out: &mut Collector<u64>) -> Result<()> {
        assert_eq!(context.epoch(), 0);
        out.emit(record);
        Ok(())
    }
}

/// Notes the epoch of each record.
struct WithEpoch;

impl IterationListener for WithEpoch {
    type Out = (u64, Round);
}

impl EpochProcessFunction<u64> for WithEpoch {
    fn process(
        &mut self,
        record: u64,
        context: &mut EpochContext,
        out: &mut Collector<(u64, Round)>,
    ) -> Result<()> {
        out.emit((record, context.epoch()));
        Ok(())
    }
}

/// The epoch rules of FLIP-176, on a feedback that comes from data alone (a hang in Flink ML) and is a union
/// (refused there).
#[test]
fn records_have_the_epochs_of_the_rules() {
    let job = |config| {
        let found = execute(config, |env| {
            let (x, data) = (env.from_iter([1u64]), env.from_iter([2u64]));
            let body_config = IterationConfig::new();
            let (seen, emitted) =
                Iterations::iterate_bounded((x,), (data,), body_config, |_it, (x,), (data,)| {
                    let emitted = data.process_epochs(Thrice);
                    let seen = x.clone().process_epochs(WithEpoch);
                    let feedback = emitted.clone().union(x.filter(|x| *x < 3).map(|x| x + 10));
                    IterationBodyResult::new((feedback,), (seen, emitted.process_epochs(WithEpoch)))
                });
            Ok((seen.collect(), emitted.collect()))
        });
        found.unwrap().into_iter().next().unwrap()
    };
    everywhere(test_path!(records_have_the_epochs_of_the_rules), job, |(mut seen, mut emitted), shape| {
        seen.sort();
        emitted.sort();
        // 1 + 10 comes once round, 2 comes from the data, and from it 2 + 10.
        assert_eq!(seen, [(1, 0), (2, 1), (11, 1), (12, 2), (100, 1), (101, 2), (102, 3)], "{shape}");
        assert_eq!(emitted, [(2, 0), (100, 0), (101, 1), (102, 2), (999, END_EPOCH)], "{shape}");
    });
}

/// Passes records on when their epoch is complete, and counts epochs in the state of the key.
struct Keep;

impl IterationListener for Keep {
    type Out = (u64, u64, Round);
}

impl KeyedIterationListener<u64> for Keep {
    type State = Vec<u64>;
    const VISITS_KEYS: bool = true;

    fn on_key_epoch(
        &mut self,
        key: &u64,
        state: &mut Vec<u64>,
        epoch: Round,
        _context: &mut EpochContext,
        out: &mut Collector<Self::Out>,
    ) -> Result<()> {
        out.batch().extend(state.drain(..).map(|record| (*key, record, epoch)));
        Ok(())
    }
}

impl KeyedEpochProcessFunction<u64, u64> for Keep {
    fn process(
        &mut self,
        _key: &u64,
        state: &mut Vec<u64>,
        record: u64,
        _context: &mut EpochContext,
        _out: &mut Collector<Self::Out>,
    ) -> Result<()> {
        state.push(record);
        Ok(())
    }
}

#[test]
fn keyed_function_visits_its_keys_in_order_in_each_epoch() {
    let job = |config| {
        let found = execute(config, |env| {
            let config = IterationConfig::new().max_rounds(3);
            let (kept,) =
                Iterations::iterate_bounded((env.from_iter(0..9u64),), (), config, |_it, (x,), ()| {
                    let kept = x.key_by(|x| x % 3).process_epochs(Keep);
                    let next = kept.clone().filter(|(key, ..)| *key > 0).map(|(_, record, _)| record + 9);
                    IterationBodyResult::new((next,), (kept,))
                });
            Ok(kept.collect())
        });
        found.unwrap().concat()
    };
    everywhere(test_path!(keyed_function_visits_its_keys_in_order_in_each_epoch), job, |mut found, shape| {
        found.sort_by_key(|(key, record, epoch)| (*epoch, *key, *record));
        let keys =
            |epoch: u64| (0..9u64).map(move |x| x + 9 * epoch).filter(move |x| epoch == 0 || x % 3 > 0);
        let mut expected: Vec<_> =
            (0..3).flat_map(|epoch| keys(epoch).map(move |x| (x % 3, x, epoch))).collect();
        expected.sort_by_key(|(key, record, epoch)| (*epoch, *key, *record));
        assert_eq!(found, expected, "{shape}");
    });
}

#[test]
fn listener_outside_of_an_iteration_is_refused() {
    use waterwheel::iteration::feedback_loop;
    let done = execute(RuntimeConfig::threads(1), |env| {
        let start = env.from_iter([1u64]).into_edge();
        feedback_loop::<_, Round, _, _>(env.place(), "plain", |it, fed_back| {
            let all = DataStream::from_edge(it.enter(start)).union(DataStream::from_edge(fed_back));
            all.clone().process_epochs(Log("refused")).sink(|_| Ok(()));
            (all.filter(|_| false).into_edge(), ())
        });
        Ok(())
    });
    let error = done.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(
        error.to_string().contains("process_epochs") && error.message().contains("in no loop"),
        "{error}"
    );
}

/// Passes records on, and counts its terminations in a cell that all workers share.
struct PassOn(Arc<AtomicUsize>);

impl IterationListener for PassOn {
    type Out = u64;

    fn on_iteration_terminated(
        &mut self,
        _context: &mut EpochContext,
        out: &mut Collector<u64>,
    ) -> Result<()> {
        self.0.fetch_add(1, Ordering::SeqCst);
        out.emit(7);
        Ok(())
    }
}

impl EpochProcessFunction<u64> for PassOn {
    fn process(&mut self, record: u64, _context: &mut EpochContext, out: &mut Collector<u64>) -> Result<()> {
        out.emit(record);
        Ok(())
    }
}

/// What the operator emits is only fed back, so nothing outside waits for it.
#[test]
fn operator_whose_results_stay_inside_is_told_of_the_termination() {
    for workers in [1, 2, 4] {
        let terminations = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&terminations);
        let done = execute(RuntimeConfig::threads(workers), move |env| {
            let (x, config) = (env.from_iter(0..3u64), IterationConfig::new().max_rounds(4));
            Iterations::iterate_bounded((x,), (), config, |_it, (x,), ()| {
                IterationBodyResult::new((x.process_epochs(PassOn(Arc::clone(&counted))),), ())
            });
            Ok(())
        });
        done.unwrap();
        assert_eq!(terminations.load(Ordering::SeqCst), workers);
    }
}
