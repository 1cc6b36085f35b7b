//! Parts of a stream that fall silent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use waterwheel::prelude::*;

use super::data::millis;
use crate::cluster::{everywhere, test_path};
use crate::failures::process::within_limit;

/// Times in steps of 10 ms; the last worker's part is silent until every window but the last has fired.
struct Part {
    at: i64,
    is_silent: bool,
    fired: Arc<AtomicU64>,
}

const END: i64 = 3_000;

impl Source for Part {
    type Item = i64;

    fn read(&mut self, _limit: usize, out: &mut Vec<i64>) -> Result<SourceStatus> {
        let fired = self.fired.load(Ordering::SeqCst);
        if self.is_silent {
            let ends = fired >= END as u64 / 100 - 1;
            return Ok(if ends { SourceStatus::Done } else { SourceStatus::Idle(millis(1)) });
        }
        if self.at >= END {
            // Open until the windows have fired: its end is not what fires them.
            let ends = fired >= END as u64 / 100 - 1;
            return Ok(if ends { SourceStatus::Done } else { SourceStatus::Idle(millis(1)) });
        }
        out.push(self.at);
        self.at += 10;
        Ok(SourceStatus::Ready)
    }
}

#[test]
fn part_that_is_silent_for_long_enough_holds_no_window_back() {
    windows_beside_a_silent_part(&[2, 4], |_workers| None);
}

#[test]
fn split_that_is_silent_for_long_enough_holds_no_window_back() {
    windows_beside_a_silent_part(&[1, 2, 4], |_workers| Some(5));
}

/// The windows of parts of which the last is silent: one part a worker, or so many splits with watermarks of
/// their own.
fn windows_beside_a_silent_part(workers: &[usize], splits: fn(usize) -> Option<usize>) {
    for workers in workers.iter().copied() {
        let splits = splits(workers);
        let found = within_limit("windows beside a silent part", move || {
            let fired = Arc::new(AtomicU64::new(0));
            execute(RuntimeConfig::threads(workers), move |env| {
                let (n, fired) = (splits.unwrap_or(env.workers()), Arc::clone(&fired));
                let counted = Arc::clone(&fired);
                let open = move |split| {
                    Ok(Part { at: split as i64, is_silent: split + 1 == n, fired: Arc::clone(&fired) })
                };
                let strategy =
                    WatermarkStrategy::monotonous(|at| *at).with_idleness(Duration::from_millis(20));
                let times = match splits {
                    None => env.source("parts", n, open).assign_timestamps_and_watermarks(strategy),
                    Some(n) => env.source_with_watermarks("parts", n, open, strategy),
                };
                let windows = times.window_all(Windows::tumbling(millis(100))?).count();
                let results = windows.results.inspect(move |_| {
                    counted.fetch_add(1, Ordering::SeqCst);
                });
                Ok(results.map(|r| (r.window.start, r.value)).collect())
            })
            .unwrap()
        });
        let mut found = found.concat();
        found.sort_unstable();
        let per_window = 10 * (splits.unwrap_or(workers) as u64 - 1);
        let expected: Vec<_> = (0..END / 100).map(|i| (i * 100, per_window)).collect();
        assert_eq!(found, expected, "{workers} workers");
    }
}

/// The hours of one day.
struct Hours {
    day: i64,
    hour: i64,
}

const HOUR: i64 = 3_600_000;

impl Source for Hours {
    type Item = i64;

    fn read(&mut self, _limit: usize, out: &mut Vec<i64>) -> Result<SourceStatus> {
        out.push((24 * self.day + self.hour) * HOUR);
        self.hour += 1;
        Ok(if self.hour == 24 { SourceStatus::Done } else { SourceStatus::Ready })
    }
}

/// Seven splits, each a day behind the one before: the highest timestamps of a worker's part come first.
fn week(config: RuntimeConfig) -> (Vec<(i64, u64)>, Vec<i64>) {
    let parts = execute(config, |env| {
        let open = |split| Ok(Hours { day: 6 - split as i64, hour: 0 });
        let strategy = WatermarkStrategy::monotonous(|at: &i64| *at);
        let times = env.source_with_watermarks("week", 7, open, strategy);
        let windows = times.window_all(Windows::tumbling(millis(6 * HOUR as u64))?).count();
        Ok((windows.results.map(|r| (r.window.start, r.value)).collect(), windows.late.collect()))
    })
    .unwrap();
    let (counts, late): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    let mut counts = counts.concat();
    counts.sort_unstable();
    (counts, late.concat())
}

#[test]
fn splits_at_different_times_make_no_record_late() {
    everywhere(test_path!(splits_at_different_times_make_no_record_late), week, |(counts, late), place| {
        let expected: Vec<_> = (0..28).map(|window| (window * 6 * HOUR, 6)).collect();
        assert_eq!((counts, late), (expected, Vec::new()), "{place}");
    });
}
