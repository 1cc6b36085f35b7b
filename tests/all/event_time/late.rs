//! Records behind the watermark, and triggers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use waterwheel::prelude::*;

use super::data::millis;

/// Sends its timestamps in order; one that is `None` waits until as many results as it stands behind are out.
struct Script {
    steps: std::vec::IntoIter<Step>,
    waiting_for: usize,
    results: Arc<AtomicUsize>,
}

#[derive(Clone, Copy)]
enum Step {
    Send(i64),
    /// Until this many results have come out.
    Await(usize),
}

impl Source for Script {
    type Item = i64;

    fn read(&mut self, _limit: usize, out: &mut Vec<i64>) -> Result<SourceStatus> {
        if self.results.load(Ordering::SeqCst) < self.waiting_for {
            return Ok(SourceStatus::Idle(Duration::from_millis(1)));
        }
        match self.steps.next() {
            Some(Step::Send(at)) => out.push(at),
            Some(Step::Await(n)) => self.waiting_for = n,
            None => return Ok(SourceStatus::Done),
        }
        Ok(SourceStatus::Ready)
    }
}

/// Puts windows over the stream.
type Build = for<'s> fn(EventStream<'s, i64>) -> Result<WindowedStream<'s, (), i64>>;

type Found = (Vec<(i64, u64)>, Vec<i64>);

/// Counts per window and what was late, in order, of one key on one worker.
fn run(steps: &[Step], build: Build) -> Found {
    let steps = steps.to_vec();
    let found = execute(RuntimeConfig::threads(1), move |env| {
        let (steps, results) = (steps.clone(), Arc::new(AtomicUsize::new(0)));
        let seen = Arc::clone(&results);
        let open = move |_| {
            let (steps, results) = (steps.clone().into_iter(), Arc::clone(&results));
            Ok(Script { steps, waiting_for: 0, results })
        };
        let times = env.source("script", 1, open);
        let times = times.assign_timestamps_and_watermarks(WatermarkStrategy::monotonous(|at| *at));
        let counted = build(times)?.count();
        let counts = counted.results.inspect(move |_| {
            seen.fetch_add(1, Ordering::SeqCst);
        });
        Ok((counts.map(|r| (r.window.start, r.value)).collect(), counted.late.collect()))
    });
    found.unwrap().into_iter().next().unwrap()
}

fn send(times: &[i64]) -> impl Iterator<Item = Step> + '_ {
    times.iter().map(|at| Step::Send(*at))
}

#[test]
fn record_behind_a_window_that_has_fired_is_late_and_handed_out() {
    let steps: Vec<_> = send(&[1, 2, 12]).chain([Step::Await(1)]).chain(send(&[9, 13, 3])).collect();
    let windows: Build = |times| Ok(times.window_all(Windows::tumbling(millis(10))?));
    let (counts, late) = run(&steps, windows);
    assert_eq!((counts, late), (vec![(0, 2), (10, 2)], vec![9, 3]));
}

#[test]
fn record_within_the_allowed_lateness_evaluates_its_window_anew() {
    let steps: Vec<_> = send(&[1, 2, 12])
        .chain([Step::Await(1)])
        .chain(send(&[9, 4, 26]))
        .chain([Step::Await(4)])
        .chain(send(&[5, 11]))
        .collect();
    let windows: Build =
        |times| Ok(times.window_all(Windows::tumbling(millis(10))?).allowed_lateness(millis(6)));
    let (counts, late) = run(&steps, windows);
    // At 26 the windows of 0 (gone at 16) and 10 (gone at 26) are over.
    assert_eq!(late, [5, 11]);
    assert_eq!(counts, [(0, 2), (0, 3), (0, 4), (10, 1), (20, 1)]);
}

#[test]
fn late_record_that_joins_two_sessions_within_the_lateness_makes_them_one() {
    let steps: Vec<_> = send(&[0, 8, 40]).chain([Step::Await(2)]).chain(send(&[4])).collect();
    let windows: Build =
        |times| Ok(times.window_all(Windows::session(millis(5))?).allowed_lateness(millis(100)));
    let (counts, late) = run(&steps, windows);
    assert_eq!((counts, late), (vec![(0, 1), (8, 1), (0, 3), (40, 1)], vec![]));
}

#[test]
fn count_trigger_evaluates_every_n_records_and_keeps_what_it_has() {
    let steps: Vec<_> = send(&[1, 2, 3, 4, 5]).collect();
    let windows: Build = |times| Ok(times.window_all(Windows::global()).trigger(CountTrigger::of(2)));
    assert_eq!(run(&steps, windows).0, [(i64::MIN, 2), (i64::MIN, 4)]);
    let purging: Build =
        |times| Ok(times.window_all(Windows::global()).trigger(PurgingTrigger::of(CountTrigger::of(2))));
    assert_eq!(run(&steps, purging).0, [(i64::MIN, 2), (i64::MIN, 2)]);
}

#[test]
fn continuous_trigger_shows_a_window_while_it_grows() {
    let steps: Vec<_> = send(&[1, 2, 13])
        .chain([Step::Await(1)])
        .chain(send(&[14, 21]))
        .chain([Step::Await(2)])
        .chain(send(&[22]))
        .collect();
    let windows: Build = |times| {
        let trigger = ContinuousTrigger::of(Duration::from_millis(10));
        Ok(times.window_all(Windows::tumbling(millis(100))?).trigger(trigger))
    };
    let (counts, late) = run(&steps, windows);
    assert!(late.is_empty());
    // How many are in when the watermark passes 10 and 20 is a matter of scheduling; the end is not.
    assert_eq!(counts.last(), Some(&(0, 6)));
    assert!(counts.len() >= 3 && counts.windows(2).all(|pair| pair[0].1 < pair[1].1), "{counts:?}");
}

#[test]
fn global_window_without_a_trigger_is_never_evaluated() {
    let steps: Vec<_> = send(&[1, 2, 3]).collect();
    let windows: Build = |times| Ok(times.window_all(Windows::global()));
    assert_eq!(run(&steps, windows), (vec![], vec![]));
}
