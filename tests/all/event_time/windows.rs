//! Windows against a naive evaluation of all events at once.

use std::collections::BTreeMap;

use waterwheel::prelude::*;

use super::data::{Click, all_clicks, clicks, clicks_of, live_clicks, millis};
use crate::cluster::{everywhere, test_path};

/// Key, window and result, in order.
pub(crate) type Rows = Vec<(u32, i64, i64, u64)>;

const N: u64 = 1500;

fn rows<R: Into<u64>>(results: Vec<WindowResult<u32, R>>) -> Rows {
    let row = |r: WindowResult<u32, R>| (r.key, r.window.start, r.window.end, r.value.into());
    let mut rows: Rows = results.into_iter().map(row).collect();
    rows.sort_unstable();
    rows
}

/// Every window that holds a record, by definition: all starts that are multiples of the slide.
pub(crate) fn naive_sliding(clicks: &[Click], size: i64, slide: i64, value: impl Fn(&Click) -> u64) -> Rows {
    let mut windows: BTreeMap<(u32, i64), u64> = BTreeMap::new();
    for click in clicks {
        for start in (click.at - size + 1..=click.at).filter(|start| start.rem_euclid(slide) == 0) {
            *windows.entry((click.user, start)).or_default() += value(click);
        }
    }
    windows.into_iter().map(|((user, start), n)| (user, start, start + size, n)).collect()
}

/// Sessions by definition: sort a key's times and cut where two are more than the gap apart.
pub(crate) fn naive_sessions(clicks: &[Click], gap: i64) -> Rows {
    let mut times: BTreeMap<u32, Vec<i64>> = BTreeMap::new();
    clicks.iter().for_each(|click| times.entry(click.user).or_default().push(click.at));
    let mut rows = Vec::new();
    for (user, mut times) in times {
        times.sort_unstable();
        for session in times.chunk_by(|a, b| b - a <= gap) {
            rows.push((user, session[0], session[session.len() - 1] + gap, session.len() as u64));
        }
    }
    rows.sort_unstable();
    rows
}

#[test]
fn tumbling_and_sliding_counts_are_those_of_the_definition() {
    everywhere(
        test_path!(tumbling_and_sliding_counts_are_those_of_the_definition),
        |config| {
            execute(config, |env| {
                let keyed = |seed| clicks(env, seed, N).key_by(|click| click.user);
                let tumbling = keyed(1).window(Windows::tumbling(millis(100))?).count();
                let sliding =
                    keyed(1).window(Windows::sliding(millis(250), millis(60))?).sum(|click| click.id);
                let gaps = keyed(1).window(Windows::sliding(millis(30), millis(70))?).count();
                Ok((tumbling.results.collect(), sliding.results.collect(), gaps.results.collect()))
            })
            .unwrap()
        },
        |workers, shape| {
            let (mut tumbling, mut sliding, mut gaps) = (Vec::new(), Vec::new(), Vec::new());
            for (t, s, g) in workers {
                tumbling.extend(t);
                sliding.extend(s);
                gaps.extend(g);
            }
            let all = all_clicks(1, N);
            assert_eq!(rows(tumbling), naive_sliding(&all, 100, 100, |_| 1), "{shape}");
            assert_eq!(rows(sliding), naive_sliding(&all, 250, 60, |click| click.id), "{shape}");
            assert_eq!(rows(gaps), naive_sliding(&all, 30, 70, |_| 1), "{shape}");
        },
    );
}

#[test]
fn sessions_are_those_of_the_definition() {
    everywhere(
        test_path!(sessions_are_those_of_the_definition),
        |config| {
            execute(config, |env| {
                let keyed = clicks(env, 2, N).key_by(|click| click.user);
                Ok(keyed.window(Windows::session(millis(25))?).count().results.collect())
            })
            .unwrap()
        },
        |found, shape| {
            assert_eq!(rows(found.concat()), naive_sessions(&all_clicks(2, N), 25), "{shape}");
        },
    );
}

/// Here the watermark moves while the data come, on each worker at its own pace; nothing is later than the
/// strategy allows, so nothing may be lost and no window may fire twice.
#[test]
fn windows_that_fire_while_data_come_hold_all_of_it_once() {
    everywhere(
        test_path!(windows_that_fire_while_data_come_hold_all_of_it_once),
        |config| {
            execute(config, |env| {
                let keyed = || live_clicks(env, 3, 4000).key_by(|click| click.user);
                let tumbling = keyed().window(Windows::tumbling(millis(90))?).count();
                let sessions = keyed().window(Windows::session(millis(15))?).count();
                let late = tumbling.late.union(sessions.late).collect();
                Ok((tumbling.results.collect(), sessions.results.collect(), late))
            })
            .unwrap()
        },
        |workers, shape| {
            let n_workers = shape.split(' ').next().unwrap().parse::<u64>().unwrap();
            let all: Vec<_> = (0..n_workers).flat_map(|split| clicks_of(3, split, 4000)).collect();
            let (mut tumbling, mut sessions, mut late) = (Vec::new(), Vec::new(), Vec::new());
            for (t, s, l) in workers {
                tumbling.extend(t);
                sessions.extend(s);
                late.extend(l);
            }
            assert_eq!(late, [], "{shape}");
            assert_eq!(rows(tumbling), naive_sliding(&all, 90, 90, |_| 1), "{shape}");
            assert_eq!(rows(sessions), naive_sessions(&all, 15), "{shape}");
        },
    );
}

/// The highest id, and how many: an aggregate with an accumulator of its own.
struct HighestOf;

impl AggregateFunction for HighestOf {
    type In = Click;
    type Acc = (u64, u64);
    type Out = u64;

    fn create_accumulator(&self) -> (u64, u64) {
        (0, 0)
    }

    fn add(&self, acc: &mut (u64, u64), click: Click) {
        *acc = (acc.0.max(click.id), acc.1 + 1);
    }

    fn result(&self, acc: &(u64, u64)) -> u64 {
        acc.0 * 1_000 + acc.1
    }

    fn merge(&self, a: (u64, u64), b: (u64, u64)) -> (u64, u64) {
        (a.0.max(b.0), a.1 + b.1)
    }
}

#[test]
fn aggregate_reduce_and_process_of_a_window_agree() {
    everywhere(
        test_path!(aggregate_reduce_and_process_of_a_window_agree),
        |config| {
            execute(config, |env| {
                let windowed = |windows| clicks(env, 4, N).key_by(|click| click.user).window(windows);
                let mut all = Vec::new();
                for windows in [Windows::tumbling(millis(200))?.offset(30), Windows::session(millis(20))?] {
                    let aggregated = windowed(windows).aggregate(HighestOf).results;
                    let reduced = windowed(windows).reduce(|a, b| if a.id >= b.id { a } else { b }).results;
                    let counted = windowed(windows).count().results;
                    let processed = windowed(windows).process(|user, window, clicks, out| {
                        let highest = clicks.iter().map(|click| click.id).max().unwrap_or_default();
                        out.emit((*user, window, highest * 1_000 + clicks.len() as u64));
                    });
                    let row = |r: WindowResult<u32, u64>| (r.key, r.window.start, r.value);
                    all.push(aggregated.map(row).collect());
                    all.push(processed.results.map(|(user, w, value)| (user, w.start, value)).collect());
                    let of_reduced = reduced.map(|r| (r.key, r.window.start, r.value.id * 1_000));
                    let of_counted = counted.map(row);
                    let summed = of_reduced.union(of_counted).key_by(|row| (row.0, row.1));
                    let summed = summed.window(Windows::tumbling(millis(1 << 40))?).sum(|row| row.2);
                    all.push(summed.results.map(|r| (r.key.0, r.key.1, r.value)).collect());
                }
                let [a, b, c, d, e, f]: [_; 6] = all.try_into().unwrap();
                Ok(((a, b, c), (d, e, f)))
            })
            .unwrap()
        },
        |workers, shape| {
            let sorted = |rows: Vec<Vec<(u32, i64, u64)>>| {
                let mut rows = rows.concat();
                rows.sort_unstable();
                rows
            };
            let column = |pick: fn(&Six) -> &Vec<(u32, i64, u64)>| {
                sorted(workers.iter().map(|six| pick(six).clone()).collect())
            };
            assert!(column(|six| &six.0.0).len() > 50, "{shape}");
            assert_eq!(column(|six| &six.0.0), column(|six| &six.0.1), "tumbling, {shape}");
            assert_eq!(column(|six| &six.0.0), column(|six| &six.0.2), "tumbling, {shape}");
            assert_eq!(column(|six| &six.1.0), column(|six| &six.1.1), "session, {shape}");
            assert_eq!(column(|six| &six.1.0), column(|six| &six.1.2), "session, {shape}");
        },
    );
}

type Three = (Vec<(u32, i64, u64)>, Vec<(u32, i64, u64)>, Vec<(u32, i64, u64)>);
type Six = (Three, Three);

#[test]
fn count_windows_hold_n_records_of_a_key_each_and_the_rest_is_dropped() {
    everywhere(
        test_path!(count_windows_hold_n_records_of_a_key_each_and_the_rest_is_dropped),
        |config| {
            execute(config, |env| {
                let keyed = clicks(env, 5, N).key_by(|click| click.user);
                let groups = keyed.count_window(7).process(|user, _, clicks, out| {
                    out.emit((*user, clicks.iter().map(|click| click.id).collect::<Vec<_>>()));
                });
                Ok(groups.results.collect())
            })
            .unwrap()
        },
        |found, shape| {
            let mut ids = Vec::new();
            let mut groups: BTreeMap<u32, u64> = BTreeMap::new();
            for (user, group) in found.concat() {
                assert_eq!(group.len(), 7, "{shape}");
                *groups.entry(user).or_default() += 1;
                ids.extend(group);
            }
            let n = ids.len();
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(ids.len(), n, "{shape}: no record twice");
            let mut expected: BTreeMap<u32, u64> = BTreeMap::new();
            all_clicks(5, N).iter().for_each(|click| *expected.entry(click.user).or_default() += 1);
            expected.values_mut().for_each(|n| *n /= 7);
            assert_eq!(groups, expected, "{shape}");
        },
    );
}

#[test]
fn window_all_is_one_window_for_every_key() {
    everywhere(
        test_path!(window_all_is_one_window_for_every_key),
        |config| {
            execute(config, |env| {
                let all = clicks(env, 6, N).window_all(Windows::tumbling(millis(500))?).count();
                Ok(all
                    .results
                    .map(|r| WindowResult { key: 0u32, window: r.window, value: r.value })
                    .collect())
            })
            .unwrap()
        },
        |found, shape| {
            let mut all = all_clicks(6, N);
            all.iter_mut().for_each(|click| click.user = 0);
            assert_eq!(rows(found.concat()), naive_sliding(&all, 500, 500, |_| 1), "{shape}");
        },
    );
}

/// The results of windows have timestamps too: hours of minutes are hours.
#[test]
fn windows_of_windows_add_up() {
    everywhere(
        test_path!(windows_of_windows_add_up),
        |config| {
            execute(config, |env| {
                let small = live_clicks(env, 7, 3000).key_by(|click| click.user);
                let small = small.window(Windows::tumbling(millis(50))?).count().results;
                let large = small.key_by(|r| r.key).window(Windows::tumbling(millis(400))?);
                let large = large.sum(|r| r.value);
                Ok((large.results.collect(), large.late.collect()))
            })
            .unwrap()
        },
        |workers, shape| {
            let n_workers = shape.split(' ').next().unwrap().parse::<u64>().unwrap();
            let all: Vec<_> = (0..n_workers).flat_map(|split| clicks_of(7, split, 3000)).collect();
            let (large, late): (Vec<_>, Vec<_>) = workers.into_iter().unzip();
            assert!(late.concat().is_empty(), "{shape}");
            assert_eq!(rows(large.concat()), naive_sliding(&all, 400, 400, |_| 1), "{shape}");
        },
    );
}

/// Records keep their timestamps wherever they are moved, and the watermark does not overtake them.
#[test]
fn windows_of_records_that_are_moved_are_those_of_the_definition() {
    everywhere(
        test_path!(windows_of_records_that_are_moved_are_those_of_the_definition),
        |config| {
            execute(config, |env| {
                let moved = live_clicks(env, 9, 2000).uid("clicks").rescale().shuffle(3);
                let moved = moved.partition_custom(|click, n| click.id as usize % n).global().rebalance();
                let moved = moved.set_parallelism(1).rebalance().key_by(|click| click.user);
                let counts = moved.window(Windows::tumbling(millis(70))?).count();
                Ok((counts.results.collect(), counts.late.collect()))
            })
            .unwrap()
        },
        |workers, shape| {
            let n_workers = shape.split(' ').next().unwrap().parse::<u64>().unwrap();
            let all: Vec<_> = (0..n_workers).flat_map(|split| clicks_of(9, split, 2000)).collect();
            let (counts, late): (Vec<_>, Vec<_>) = workers.into_iter().unzip();
            assert!(late.concat().is_empty(), "{shape}");
            assert_eq!(rows(counts.concat()), naive_sliding(&all, 70, 70, |_| 1), "{shape}");
        },
    );
}
