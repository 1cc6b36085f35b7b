//! Windows, timers and joins over failures and on other numbers of workers: the watermark goes on from where it was, so
//! what came in time still does, and each window is evaluated once.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use waterwheel::prelude::*;

use super::fixture::{Fuse, check};

/// Records of a job; one a millisecond.
const RECORDS: u64 = 40_000;
const SPLITS: u64 = 5;
const KEYS: u64 = 50;

/// Numbers that come in order in each split, with a fuse in their way.
struct Numbers {
    next: u64,
    fuse: Fuse,
}

impl Source for Numbers {
    type Item = u64;

    fn read(&mut self, limit: usize, out: &mut Vec<u64>) -> Result<SourceStatus> {
        for _ in 0..limit.min(100) {
            if self.next >= RECORDS {
                return Ok(SourceStatus::Done);
            }
            self.fuse.burn()?;
            out.push(self.next);
            self.next += SPLITS;
        }
        Ok(SourceStatus::Ready)
    }

    fn position(&self) -> Result<Option<SourcePosition>> {
        SourcePosition::new(&self.next).map(Some)
    }

    fn seek(&mut self, position: &SourcePosition) -> Result<()> {
        self.next = position.get()?;
        Ok(())
    }
}

fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// The numbers, each at its own millisecond. The watermark is that of the slowest split, so none is ever late.
fn events<'s>(env: &Env<'s>, fuse: &Fuse) -> EventStream<'s, u64> {
    let fuse = fuse.clone();
    let open = move |split| Ok(Numbers { next: split as u64, fuse: fuse.clone() });
    env.source_with_watermarks("numbers", SPLITS as usize, open, WatermarkStrategy::monotonous(|x| *x as i64))
        .uid("numbers")
}

/// Whether what `build` makes of the numbers is the same over failures.
fn check_events<E: Record + Ord + std::fmt::Debug>(
    build: impl for<'s> Fn(EventStream<'s, u64>) -> Result<EventStream<'s, E>> + Clone + Send + Sync + 'static,
) {
    check(|config, fuse| {
        let build = build.clone();
        let results = execute(config, move |env| {
            Ok(build(events(env, &fuse))?
                .into_timed_stream()
                .map(|timed| (timed.timestamp, timed.value))
                .collect())
        })?;
        Ok(results.concat())
    });
}

#[test]
fn tumbling_windows_are_evaluated_once() {
    check_events(|events| {
        let windows = events.key_by(|x| x % KEYS).window(Windows::tumbling(millis(1000))?);
        Ok(windows.sum(|x| *x).results.map(|window| (window.window.start, window.key, window.value)))
    });
}

#[test]
fn sliding_windows_with_early_results_are_exact_in_the_end() {
    check(|config, fuse| {
        let results = execute(config, move |env| {
            let keyed = events(env, &fuse).key_by(|x| x % KEYS);
            let windows = keyed.window(Windows::sliding(millis(2000), millis(500))?);
            let windows = windows.trigger(ContinuousTrigger::of(millis(300)));
            Ok(windows
                .process(|key, window, xs, out| out.emit((window.start, *key, xs.len())))
                .results
                .collect())
        })?;
        // Which part of a window its early results have seen is a matter of time.
        let mut last = std::collections::BTreeMap::new();
        for result in results.concat() {
            let (start, key, n) = result;
            let most = last.entry((start, key)).or_insert(0);
            *most = n.max(*most);
        }
        Ok(last.into_iter().collect())
    });
}

#[test]
fn sessions_grow_over_checkpoints() {
    check_events(|events| {
        // The gaps of a key are 50 ms, and longer ones where some numbers are left out.
        let some = events.filter(|x| x / 1000 % 3 != 0);
        let sessions = some.key_by(|x| x % KEYS).window(Windows::session(millis(200))?);
        Ok(sessions
            .count()
            .results
            .map(|window| (window.window.start, window.window.end, window.key, window.value)))
    });
}

#[test]
fn windows_of_a_number_of_records_are_full() {
    check(|config, fuse| {
        let results = execute(config, move |env| {
            let windows = events(env, &fuse).key_by(|x| x % KEYS).count_window(37);
            Ok(windows.process(|key, _, xs, out| out.emit((*key, xs.len()))).results.collect())
        })?;
        let mut results = results.concat();
        results.sort_unstable();
        Ok(results)
    });
}

#[test]
fn timestamps_that_are_assigned_in_the_middle_of_a_job_go_on() {
    check(|config, fuse| {
        let results = execute(config, move |env| {
            // One split, so that the numbers are in order wherever it is read.
            let numbers = env.from_splits(1, |_split| 0..RECORDS);
            let fuse = fuse.clone();
            let numbers = numbers.try_map(move |x| fuse.burn().map(|()| x));
            let events =
                numbers.assign_timestamps_and_watermarks(WatermarkStrategy::monotonous(|x| *x as i64));
            let windows = events.key_by(|x| x % KEYS).window(Windows::tumbling(millis(1000))?);
            Ok(windows.count().results.collect())
        })?;
        Ok(results.concat())
    });
}

/// Sums the numbers of each key, and emits at a timer for every second.
struct Seconds;

#[derive(Default, Serialize, Deserialize)]
struct Sum {
    sum: u64,
    timers: u64,
}

impl EventProcessFunction<u64, u64> for Seconds {
    type State = Sum;
    type Out = (u64, u64, u64);

    fn process(
        &mut self,
        _key: &u64,
        state: &mut Sum,
        x: u64,
        context: &mut TimerContext,
        _out: &mut EventCollector<'_, Self::Out>,
    ) -> Result<()> {
        state.sum += x;
        context.register_event_time_timer((x as i64 / 1000 + 1) * 1000 - 1);
        Ok(())
    }

    fn on_timer(
        &mut self,
        key: &u64,
        state: &mut Sum,
        timer: Timer,
        _context: &mut TimerContext,
        out: &mut EventCollector<'_, Self::Out>,
    ) -> Result<()> {
        state.timers += 1;
        assert!(matches!(timer, Timer::EventTime(_)));
        out.emit((*key, state.timers, 0));
        Ok(())
    }

    fn snapshot(&self, _state: &mut StateWriter) -> Result<()> {
        Ok(())
    }
}

#[test]
fn timers_are_called_once_each_after_a_restart_too() {
    check_events(|events| Ok(events.key_by(|x| x % KEYS).process_function(Seconds)));
}

#[test]
fn records_that_are_near_in_time_meet_over_a_restart() {
    check_events(|events| {
        let (even, odd) = (events.clone().filter(|x| x % 2 == 0), events.filter(|x| x % 2 == 1));
        let (even, odd) = (even.key_by(|x| x / 2 % KEYS), odd.key_by(|x| x / 2 % KEYS));
        Ok(even.join(odd).between(-150, 250)?.apply(|a, b| (*a, *b)).results)
    });
}

#[test]
fn records_of_a_window_meet_over_a_restart() {
    check_events(|events| {
        let (even, odd) = (events.clone().filter(|x| x % 2 == 0), events.filter(|x| x % 2 == 1));
        let (even, odd) = (even.key_by(|x| x / 2 % KEYS), odd.key_by(|x| x / 2 % KEYS));
        Ok(even.join(odd).window(Windows::tumbling(millis(500))?).apply(|a, b| (*a, *b)).results)
    });
}

#[derive(Clone, Serialize, Deserialize)]
struct Visit {
    user: u64,
    time_ms: i64,
}

/// Two files of the same time, of which workers read parts that are far apart: on any number of workers, and with another
/// number after each failure, no record is late.
#[test]
fn windows_of_csv_files_lose_nothing_when_the_number_of_workers_changes() {
    let dir = tempfile::tempdir().unwrap();
    let files = ["a.csv", "b.csv"].map(|name| dir.path().join(name));
    for (file, name) in (0..2).zip(&files) {
        let visits = (0..RECORDS / 2).map(|n| format!("{},{}\n", n % 7, 2 * n + file));
        let text: String = std::iter::once("user,time_ms\n".into()).chain(visits).collect();
        std::fs::write(name, text).unwrap();
    }
    check(|config, fuse| {
        let (files, fuse) = (files.clone(), fuse);
        let found = execute(config, move |env| {
            let times = WatermarkStrategy::monotonous(|visit: &CsvRecord<Visit>| visit.value.time_ms);
            let (visits, _bad) =
                env.read_csv_with_watermarks::<Visit>(&files, CsvOptions::default(), times)?;
            let fuse = fuse.clone();
            let visits = visits.uid("visits").try_map(move |visit| fuse.burn().map(|()| visit.value));
            let windows = Windows::tumbling(Duration::from_secs(1))?;
            let counts = visits.key_by(|visit| visit.user).window(windows).count();
            let late = counts.late.map(|visit| (u64::MAX, visit.time_ms, 1)).into_stream();
            let counts = counts.results.uid("counts").map(|n| (n.key, n.window.start, n.value)).into_stream();
            Ok(counts.union(late).collect().uid("results"))
        })?;
        let found = found.concat();
        assert!(found.iter().all(|(user, ..)| *user < 7), "records were late");
        assert_eq!(found.iter().map(|(.., n)| n).sum::<u64>(), RECORDS);
        Ok(found)
    });
}
