//! Random disorder: a watermark that moves while data come, and records that come behind it.

use std::collections::BTreeMap;

use waterwheel::prelude::*;

use super::data::{Click, DISORDER, clicks_of, live_clicks, millis};
use super::windows::naive_sliding;
use crate::cluster::{everywhere, test_path};

const N: u64 = 20_000;

/// Clicks of a worker in the test of joins.
const M: u64 = 2_000;

/// Length of the windows.
const SIZE: i64 = 100;

/// How far a straggler is behind: farther than everything that is read at a time.
const STRAGGLES: i64 = 1_000_000;

/// The clicks of a split, one in fifty of which comes long after its time.
fn with_stragglers(split: u64) -> Vec<Click> {
    let late = |i: u64| generate::unit(77 + split, i) < 0.02;
    let back = |(i, click): (usize, Click)| match late(i as u64) {
        true => Click { at: click.at - STRAGGLES, ..click },
        false => click,
    };
    clicks_of(21, split, N).into_iter().enumerate().map(back).collect()
}

fn stragglers<'s>(env: &Env<'s>) -> EventStream<'s, Click> {
    let splits = env.from_splits(env.workers(), |split| with_stragglers(split as u64));
    let strategy =
        WatermarkStrategy::bounded_out_of_orderness(millis(DISORDER as u64), |click: &Click| click.at);
    splits.assign_timestamps_and_watermarks(strategy)
}

/// Number of workers, which is that of the splits.
fn splits(shape: &str) -> u64 {
    shape.split(' ').next().unwrap().parse().unwrap()
}

fn all_stragglers(shape: &str) -> Vec<Click> {
    (0..splits(shape)).flat_map(with_stragglers).collect()
}

/// Least watermark that a record of this id can have met from the worker that read it: behind it only if late.
fn highest_before(shape: &str) -> BTreeMap<u64, i64> {
    let of_split = |split| {
        with_stragglers(split).into_iter().scan(i64::MIN, |highest, click| {
            let before = *highest;
            *highest = before.max(click.at);
            Some((click.id, before))
        })
    };
    (0..splits(shape)).flat_map(of_split).collect()
}

#[test]
fn every_record_is_in_one_window_or_late_and_is_counted_and_none_within_the_bound_is_late() {
    let path =
        test_path!(every_record_is_in_one_window_or_late_and_is_counted_and_none_within_the_bound_is_late);
    let job = |config: RuntimeConfig| {
        let state = LateRecordState::new();
        let found = execute(config.late_record_state(state.clone()), |env| {
            let windows = Windows::tumbling(millis(SIZE as u64))?;
            let found = stragglers(env).key_by(|click| click.user).window(windows).process(
                |_user, window, clicks: &[Click], out| {
                    clicks.iter().for_each(|click| out.emit((window.start, click.clone())));
                },
            );
            Ok((found.results.name("windows").collect(), found.late.collect()))
        });
        (found.unwrap().swap_remove(0), state.operators())
    };
    everywhere(path, job, |((in_windows, late), counts), shape| {
        let before = highest_before(shape);
        assert!(
            in_windows.iter().all(|(start, click)| (*start..start + SIZE).contains(&click.at)),
            "{shape}"
        );
        for click in &late {
            let end = click.at - click.at.rem_euclid(SIZE) + SIZE;
            assert!(end <= before[&click.id] - DISORDER, "{shape}: {click:?} is not late");
        }
        let counted: u64 = counts.iter().map(|count| count.records).sum();
        // The counts are those of this process.
        assert!(
            counted == late.len() as u64 || (shape == "2 processes" && counted < late.len() as u64),
            "{shape}"
        );
        // Alone, a worker meets its own watermark: all stragglers but those of the first records are late.
        assert!(shape != "1 workers" || late.len() > N as usize / 200, "{shape}: {} late", late.len());
        let mut found: Vec<Click> = in_windows.into_iter().map(|(_, click)| click).chain(late).collect();
        let mut all = all_stragglers(shape);
        found.sort_unstable();
        all.sort_unstable();
        assert!(found == all, "{shape}: {} records of {}", found.len(), all.len());
    });
}

#[test]
fn windows_that_wait_for_late_records_end_with_all_that_was_not_later() {
    let path = test_path!(windows_that_wait_for_late_records_end_with_all_that_was_not_later);
    let job = |config| {
        let found = execute(config, |env| {
            let windows = Windows::tumbling(millis(SIZE as u64))?;
            let windowed = stragglers(env).key_by(|click| click.user).window(windows);
            let found = windowed.allowed_lateness(millis(30)).count();
            Ok((found.results.collect(), found.late.collect()))
        });
        found.unwrap().swap_remove(0)
    };
    everywhere(path, job, |(results, late), shape| {
        // Each evaluation shows more than the one before; the last one is what the window came to.
        let mut counted: BTreeMap<(u32, i64), u64> = BTreeMap::new();
        for result in results {
            let last = counted.entry((result.key, result.window.start)).or_default();
            *last = result.value.max(*last);
        }
        for click in late {
            *counted.entry((click.user, click.at - click.at.rem_euclid(SIZE))).or_default() += 1;
        }
        let found: Vec<_> =
            counted.into_iter().map(|((user, start), n)| (user, start, start + SIZE, n)).collect();
        assert!(found == naive_sliding(&all_stragglers(shape), SIZE, SIZE, |_| 1), "{shape}");
    });
}

#[test]
fn count_triggers_fire_at_every_nth_record_of_a_key() {
    let path = test_path!(count_triggers_fire_at_every_nth_record_of_a_key);
    let job = |config| {
        let found = execute(config, |env| {
            let keyed = || stragglers(env).key_by(|click| click.user).window(Windows::global());
            let keeps = keyed().trigger(CountTrigger::of(7)).count().results;
            let purges = keyed().trigger(PurgingTrigger::of(CountTrigger::of(7))).count().results;
            let both = keeps.map(|r| (true, r.key, r.value)).union(purges.map(|r| (false, r.key, r.value)));
            Ok(both.collect())
        });
        found.unwrap().concat()
    };
    everywhere(path, job, |mut found: Vec<(bool, u32, u64)>, shape| {
        let mut of_user: BTreeMap<u32, u64> = BTreeMap::new();
        all_stragglers(shape).iter().for_each(|click| *of_user.entry(click.user).or_default() += 1);
        let fires = |(user, n): (&u32, &u64)| {
            (1..=n / 7).flat_map(|i| [(true, *user, 7 * i), (false, *user, 7)]).collect::<Vec<_>>()
        };
        let mut expected: Vec<_> = of_user.iter().flat_map(fires).collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert!(found == expected, "{shape}");
    });
}

/// Joins and sliding windows whose watermark moves while data come: nothing is later than allowed, so nothing is lost.
#[test]
fn joins_and_sliding_windows_that_fire_while_data_come_have_every_pair_once() {
    let path = test_path!(joins_and_sliding_windows_that_fire_while_data_come_have_every_pair_once);
    let job = |config| {
        let found = execute(config, |env| {
            let side = |seed| live_clicks(env, seed, M).key_by(|click| click.user);
            let sliding = side(31).window(Windows::sliding(millis(120), millis(40))?).count();
            let pair = |left: &Click, right: &Click| (left.id, right.id);
            let joined = side(31).join(side(32)).window(Windows::tumbling(millis(60))?).apply(pair);
            let sliding_pairs =
                side(31).join(side(32)).window(Windows::sliding(millis(60), millis(30))?).apply(pair);
            let late = sliding.late.union(joined.late_left).union(joined.late_right);
            let late = late.union(sliding_pairs.late_left).union(sliding_pairs.late_right);
            let counts = sliding.results.map(|r| (r.key, r.window.start, r.window.end, r.value));
            Ok((counts.collect(), joined.results.collect(), sliding_pairs.results.collect(), late.collect()))
        });
        found.unwrap().swap_remove(0)
    };
    everywhere(path, job, |(mut counts, mut joined, mut sliding_pairs, late), shape| {
        assert_eq!(late, [], "{shape}");
        let of =
            |seed| (0..splits(shape)).flat_map(move |split| clicks_of(seed, split, M)).collect::<Vec<_>>();
        let (left, right) = (of(31), of(32));
        counts.sort_unstable();
        assert!(counts == naive_sliding(&left, 120, 40, |_| 1), "{shape}");
        let pairs = |slide: i64| {
            let starts = |at: i64| (at - 59..=at).filter(move |start| start.rem_euclid(slide) == 0);
            let mut windows: BTreeMap<(u32, i64), Vec<u64>> = BTreeMap::new();
            for click in &right {
                starts(click.at).for_each(|s| windows.entry((click.user, s)).or_default().push(click.id));
            }
            let of_left = |click: &Click| {
                let (user, id) = (click.user, click.id);
                let partners = starts(click.at).filter_map(|s| windows.get(&(user, s))).flatten();
                partners.map(|right| (id, *right)).collect::<Vec<_>>()
            };
            let mut pairs: Vec<_> = left.iter().flat_map(of_left).collect();
            pairs.sort_unstable();
            pairs
        };
        joined.sort_unstable();
        sliding_pairs.sort_unstable();
        assert!(joined == pairs(60), "{shape}: {} pairs", joined.len());
        assert!(sliding_pairs == pairs(30), "{shape}: {} pairs", sliding_pairs.len());
    });
}
