//! Timers of keyed streams: when they are called, in which order, and that they hold nobody up.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use waterwheel::engine::{hash::key_owner, machine};
use waterwheel::prelude::*;

use super::fixture::sorted;
use crate::cluster::{everywhere, test_path};
use crate::failures::process::within_limit;

const HOUR: Duration = Duration::from_secs(3600);

/// A key that this worker owns.
fn own_key(env: &Env<'_>) -> u64 {
    let (me, workers) = (env.worker_index(), env.workers());
    (0..).find(|key| key_owner(key, workers) == me).unwrap()
}

/// Records of one key, then silence until nothing is left to wait for.
struct OpenUntil {
    records: Vec<(u64, u64)>,
    left: Arc<AtomicU64>,
}

impl Source for OpenUntil {
    type Item = (u64, u64);

    fn read(&mut self, _limit: usize, out: &mut Vec<(u64, u64)>) -> Result<SourceStatus> {
        out.append(&mut self.records);
        match self.left.load(Ordering::SeqCst) {
            0 => Ok(SourceStatus::Done),
            _ => Ok(SourceStatus::Idle(Duration::from_millis(1))),
        }
    }
}

/// When a timer is due, since the start of the job: not before the first time, and as early as the second one.
#[derive(Serialize, Deserialize)]
struct Pending {
    not_before: Duration,
    at_the_latest: Duration,
}

/// Registers a timer for each record, takes some back, and checks each call against what is still to come.
struct Ordered {
    left: Arc<AtomicU64>,
    start: Instant,
}

impl KeyedProcessFunction<u64, (u64, u64)> for Ordered {
    type State = BTreeMap<ProcessingTimer, Pending>;
    /// What is wrong with a call, if anything.
    type Out = Option<String>;

    fn process(
        &mut self,
        _key: &u64,
        pending: &mut Self::State,
        (_, i): (u64, u64),
        context: &mut KeyedContext,
        _out: &mut Collector<Self::Out>,
    ) -> Result<()> {
        let delay = Duration::from_millis([40, 0, 20, 5][i as usize % 4]);
        let before = self.start.elapsed();
        let timer = context.register_processing_time_timer(delay);
        let at_the_latest = self.start.elapsed() + delay;
        pending.insert(timer, Pending { not_before: before + delay, at_the_latest });
        if i % 5 == 4 {
            context.delete_processing_time_timer(timer);
            // A second time, it is no longer there.
            context.delete_processing_time_timer(timer);
            pending.remove(&timer);
        }
        Ok(())
    }

    fn on_timer(
        &mut self,
        _key: &u64,
        pending: &mut Self::State,
        timer: ProcessingTimer,
        _context: &mut KeyedContext,
        out: &mut Collector<Self::Out>,
    ) -> Result<()> {
        self.left.fetch_sub(1, Ordering::SeqCst);
        let complaint = match pending.remove(&timer) {
            None => Some("a timer is called that was taken back, or was called before".to_string()),
            Some(due) if self.start.elapsed() < due.not_before => {
                Some("a timer is called too early".to_string())
            }
            Some(due) => pending
                .values()
                .any(|other| other.at_the_latest < due.not_before)
                .then(|| "a timer is called before one that is due earlier".to_string()),
        };
        out.emit(complaint);
        Ok(())
    }

    fn end_of_input(
        &mut self,
        _: &u64,
        pending: &mut Self::State,
        out: &mut Collector<Self::Out>,
    ) -> Result<()> {
        out.batch()
            .extend((!pending.is_empty()).then(|| Some(format!("{} timers are not called", pending.len()))));
        Ok(())
    }
}

#[test]
fn timers_are_called_when_they_are_due_and_in_order_and_deleted_ones_never() {
    const N: u64 = 500;
    let job = |config| {
        execute(config, |env| {
            let (key, left) = (own_key(env), Arc::new(AtomicU64::new(N - N / 5)));
            let waits = Arc::clone(&left);
            let open = move |_split| {
                let records = (0..N).map(|i| (key, i)).collect();
                Ok(OpenUntil { records, left: Arc::clone(&waits) })
            };
            let records = env.source("open", env.workers(), open);
            Ok(records
                .key_by(|(key, _)| *key)
                .process_function(Ordered { left, start: machine::now() })
                .collect())
        })
        .unwrap()
        .concat()
    };
    let path = test_path!(timers_are_called_when_they_are_due_and_in_order_and_deleted_ones_never);
    everywhere(path, job, |calls, shape| {
        assert!(
            (calls.len() as u64).is_multiple_of(N - N / 5) && !calls.is_empty(),
            "{shape}: {}",
            calls.len()
        );
        assert!(calls.iter().all(Option::is_none), "{shape}: {calls:?}");
    });
}

/// For each record a timer that is due at once, whose call is emitted, and one that never is. Says `(record, true)` of a
/// call, `(record, false)` of one that came behind the next records of its key, and `(key, true)` at the end.
struct SoonAndNever<const WAITS: bool>;

/// Numbers at the end of the input are above these.
const END: u64 = 1 << 32;

impl<const WAITS: bool> KeyedProcessFunction<u64, u64> for SoonAndNever<WAITS> {
    type State = BTreeMap<ProcessingTimer, u64>;
    type Out = (u64, bool);
    const WAITS_FOR_END: bool = WAITS;

    fn process(
        &mut self,
        _key: &u64,
        soon: &mut Self::State,
        record: u64,
        context: &mut KeyedContext,
        out: &mut Collector<Self::Out>,
    ) -> Result<()> {
        if !WAITS {
            out.batch().extend(soon.values().map(|record| (*record, false)));
        }
        context.register_processing_time_timer(HOUR);
        soon.insert(context.register_processing_time_timer(Duration::ZERO), record);
        Ok(())
    }

    fn on_timer(
        &mut self,
        _key: &u64,
        soon: &mut Self::State,
        timer: ProcessingTimer,
        _context: &mut KeyedContext,
        out: &mut Collector<Self::Out>,
    ) -> Result<()> {
        out.emit((soon.remove(&timer).unwrap_or(u64::MAX), true));
        Ok(())
    }

    fn end_of_input(
        &mut self,
        key: &u64,
        soon: &mut Self::State,
        out: &mut Collector<Self::Out>,
    ) -> Result<()> {
        out.emit((END + key, soon.is_empty()));
        Ok(())
    }

    fn for_next_round(&self) -> ForRound<Self> {
        ForRound::Same
    }
}

/// One call for each of `records`, and the end of each of 7 keys; all `n` times.
fn soon_then_end(records: impl Iterator<Item = u64>, n: usize) -> Vec<(u64, bool)> {
    let once: Vec<_> = records.chain((0..7).map(|key| END + key)).map(|x| (x, true)).collect();
    sorted(std::iter::repeat_n(once, n).flatten().collect())
}

#[test]
fn timer_that_is_due_at_the_end_is_called_and_one_that_is_not_holds_nobody() {
    let job = |config| {
        let done = within_limit("a job with timers that are never due", move || {
            execute(config, |env| {
                let records = env.from_splits(3, |split| (0..3000u64).filter(move |x| x % 3 == split as u64));
                Ok(records.key_by(|x| x % 7).process_function(SoonAndNever::<true>).collect())
            })
        });
        sorted(done.unwrap().concat())
    };
    let path = test_path!(timer_that_is_due_at_the_end_is_called_and_one_that_is_not_holds_nobody);
    everywhere(path, job, |found, shape| {
        assert_eq!(found, soon_then_end(0..3000, 1), "{shape}");
    });
}

#[test]
fn timers_in_a_loop_do_not_keep_it_open_and_begin_anew_where_operators_do() {
    const ROUNDS: usize = 4;
    let job = |config| {
        let done = within_limit("a loop with timers that are never due", move || {
            execute(config, |env| {
                let (x, config) =
                    (env.from_iter(0..500u64).rebalance(), IterationConfig::new().max_rounds(ROUNDS as u64));
                let (all, each) = Iterations::iterate_bounded((x,), (), config, |it, (x,), ()| {
                    let all = x.clone().key_by(|x| x % 7).process_function(SoonAndNever::<true>);
                    let (each,) = it.for_each_round((x.clone(),), |(x,)| {
                        (x.key_by(|x| x % 7).process_function(SoonAndNever::<true>),)
                    });
                    IterationBodyResult::new((x,), (all, each))
                });
                Ok((all.collect(), each.collect()))
            })
        });
        let (all, each): (Vec<_>, Vec<_>) = done.unwrap().into_iter().unzip();
        (sorted(all.concat()), sorted(each.concat()))
    };
    let path = test_path!(timers_in_a_loop_do_not_keep_it_open_and_begin_anew_where_operators_do);
    everywhere(path, job, |(all, each), shape| {
        let calls = std::iter::repeat_n(0..500, ROUNDS).flatten();
        assert_eq!(all, soon_then_end(calls, 1), "{shape}");
        assert_eq!(each, soon_then_end(0..500, ROUNDS), "{shape}");
    });
}

#[test]
fn timers_on_a_feedback_path_are_called_before_the_next_records_and_end_with_the_loop() {
    let job = |config| {
        let done = within_limit("a loop that feeds timers back", move || {
            execute(config, |env| {
                // A lap brings one record of each key.
                let start = env.from_iter((0..7u64).map(|key| 70 + key));
                let (calls,) = Iterations::iterate_unbounded((start,), (), |_it, (x,), ()| {
                    let calls = x.clone().key_by(|x| x % 7).process_function(SoonAndNever::<false>);
                    // The results go round too, for one lap: the function is on the feedback path.
                    let again = calls.clone().filter(|_| false).map(|(record, _)| record);
                    let next = x.filter(|x| *x >= 7).map(|x| x - 7).union(again);
                    IterationBodyResult::new((next,), (calls,))
                });
                Ok(calls.collect())
            })
        });
        sorted(done.unwrap().concat())
    };
    let path = test_path!(timers_on_a_feedback_path_are_called_before_the_next_records_and_end_with_the_loop);
    everywhere(path, job, |calls, shape| {
        // The last record of a key may be called for when those of another key come, or not at all.
        let (last, others): (Vec<_>, Vec<_>) = calls.into_iter().partition(|(record, _)| *record < 7);
        assert_eq!(others, (7..77).map(|record| (record, true)).collect::<Vec<_>>(), "{shape}");
        assert!(last.iter().all(|(_, in_time)| *in_time) && last.len() <= 7, "{shape}: {last:?}");
    });
}

/// Adds up, and lets time go by: so many seconds when a record has been handled, and when a timer is called.
struct Aging {
    secs: Rc<Cell<u64>>,
    after_record: u64,
    after_timer: u64,
}

impl KeyedProcessFunction<u64, u64> for Aging {
    type State = u64;
    type Out = (&'static str, u64);

    fn process(
        &mut self,
        _key: &u64,
        sum: &mut u64,
        record: u64,
        context: &mut KeyedContext,
        _out: &mut Collector<Self::Out>,
    ) -> Result<()> {
        *sum += record;
        context.register_processing_time_timer(Duration::ZERO);
        self.secs.set(self.secs.get() + self.after_record);
        Ok(())
    }

    fn on_timer(
        &mut self,
        _key: &u64,
        sum: &mut u64,
        _timer: ProcessingTimer,
        _context: &mut KeyedContext,
        out: &mut Collector<Self::Out>,
    ) -> Result<()> {
        out.emit(("timer", *sum));
        self.secs.set(self.secs.get() + self.after_timer);
        Ok(())
    }

    fn end_of_input(&mut self, _key: &u64, sum: &mut u64, out: &mut Collector<Self::Out>) -> Result<()> {
        out.emit(("end", *sum));
        Ok(())
    }
}

#[test]
fn timer_finds_and_prolongs_state_with_a_time_to_live_as_a_record_does() {
    let run = |after_record, after_timer| {
        let found = execute(RuntimeConfig::threads(2), move |env| {
            let (start, secs) = (machine::now(), Rc::new(Cell::new(0)));
            let read = Rc::clone(&secs);
            let ttl =
                StateTtl::new(Duration::from_secs(10)).clock(move || start + Duration::from_secs(read.get()));
            let keyed = env.from_iter([5u64]).key_by(|_| 0).state_ttl(ttl);
            let found = keyed.process_function(Aging { secs, after_record, after_timer });
            Ok(found.map(|(when, sum)| (when.to_string(), sum)).collect())
        });
        found.unwrap().concat()
    };
    let found =
        |all: &[(&str, u64)]| all.iter().map(|(when, sum)| (when.to_string(), *sum)).collect::<Vec<_>>();
    assert_eq!(run(0, 0), found(&[("timer", 5), ("end", 5)]));
    assert_eq!(
        run(9, 9),
        found(&[("timer", 5), ("end", 5)]),
        "18 seconds after the record, 9 after the timer"
    );
    assert_eq!(run(10, 0), found(&[("timer", 0), ("end", 0)]), "the state has timed out before");
    assert_eq!(run(9, 10), found(&[("timer", 5)]), "the state has timed out since");
}

const CALLED: OutputTag<(u64, u64)> = OutputTag::new("called");

/// Emits what it is called for to a side output.
struct Beside(SideOutputs);

impl KeyedProcessFunction<u64, u64> for Beside {
    type State = BTreeMap<ProcessingTimer, u64>;
    type Out = u64;

    fn process(
        &mut self,
        _key: &u64,
        soon: &mut Self::State,
        record: u64,
        context: &mut KeyedContext,
        out: &mut Collector<u64>,
    ) -> Result<()> {
        soon.insert(context.register_processing_time_timer(Duration::ZERO), record);
        out.emit(record);
        Ok(())
    }

    fn on_timer(
        &mut self,
        key: &u64,
        soon: &mut Self::State,
        timer: ProcessingTimer,
        _context: &mut KeyedContext,
        _out: &mut Collector<u64>,
    ) -> Result<()> {
        self.0.emit(&CALLED, (*key, soon.remove(&timer).unwrap_or(u64::MAX)));
        Ok(())
    }
}

#[test]
fn timer_emits_to_side_outputs() {
    let job = |config| {
        let found = execute(config, |env| {
            let keyed = env.from_iter(0..2000u64).rebalance().key_by(|x| x % 11);
            let both = keyed.process_function_with_side_outputs(Beside).name("beside").uid("beside");
            let called = both.side_output(&CALLED);
            Ok((both.into_main().collect(), called.collect()))
        });
        let (main, called): (Vec<_>, Vec<_>) = found.unwrap().into_iter().unzip();
        (sorted(main.concat()), sorted(called.concat()))
    };
    everywhere(test_path!(timer_emits_to_side_outputs), job, |(main, called), shape| {
        assert!(main.into_iter().eq(0..2000), "{shape}");
        assert_eq!(called, sorted((0..2000u64).map(|x| (x % 11, x)).collect()), "{shape}");
    });
}
