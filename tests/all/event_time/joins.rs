//! Joins in event time against nested loops.

use waterwheel::prelude::*;

use super::data::{Click, all_clicks, clicks, clicks_of, live_clicks, millis};
use crate::cluster::{everywhere, test_path};

const N: u64 = 400;

fn pair(a: &Click, b: &Click) -> (u64, u64) {
    (a.id, b.id)
}

fn sorted(found: Vec<Vec<(u64, u64)>>) -> Vec<(u64, u64)> {
    let mut pairs = found.concat();
    pairs.sort_unstable();
    pairs
}

fn naive(left: &[Click], right: &[Click], near: impl Fn(&Click, &Click) -> bool) -> Vec<(u64, u64)> {
    let of = |a: &Click| -> Vec<_> {
        right.iter().filter(|b| a.user == b.user && near(a, b)).map(|b| pair(a, b)).collect()
    };
    let mut pairs: Vec<_> = left.iter().flat_map(of).collect();
    pairs.sort_unstable();
    pairs
}

#[test]
fn window_join_is_every_pair_of_a_key_and_window() {
    everywhere(
        test_path!(window_join_is_every_pair_of_a_key_and_window),
        |config| {
            execute(config, |env| {
                let side = |seed| clicks(env, seed, N).key_by(|click| click.user);
                let joined =
                    side(1).join(side(2)).window(Windows::tumbling(millis(120))?).apply(pair).results;
                Ok(joined.collect())
            })
            .unwrap()
        },
        |found, shape| {
            let window = |click: &Click| click.at.div_euclid(120);
            let expected = naive(&all_clicks(1, N), &all_clicks(2, N), |a, b| window(a) == window(b));
            assert!(expected.len() > 300);
            assert_eq!(sorted(found), expected, "{shape}");
        },
    );
}

#[test]
fn co_group_sees_both_sides_of_every_window_once() {
    everywhere(
        test_path!(co_group_sees_both_sides_of_every_window_once),
        |config| {
            execute(config, |env| {
                let side = |seed| clicks(env, seed, N).key_by(|click| click.user);
                let grouped = side(3).join(side(4)).window(Windows::tumbling(millis(60))?);
                let sizes = grouped.co_group(|user, window, left, right, out| {
                    out.emit((*user, window.start, left.len(), right.len()));
                });
                Ok(sizes.results.collect())
            })
            .unwrap()
        },
        |found, shape| {
            let mut expected = std::collections::BTreeMap::new();
            for (left, click) in [(true, all_clicks(3, N)), (false, all_clicks(4, N))]
                .into_iter()
                .flat_map(|(left, clicks)| clicks.into_iter().map(move |click| (left, click)))
            {
                let sizes: &mut (usize, usize) =
                    expected.entry((click.user, click.at.div_euclid(60) * 60)).or_default();
                if left { sizes.0 += 1 } else { sizes.1 += 1 }
            }
            let expected: Vec<_> = expected.into_iter().map(|((u, s), (l, r))| (u, s, l, r)).collect();
            let mut found = found.concat();
            found.sort_unstable();
            assert!(expected.iter().any(|row| row.2 == 0) && expected.iter().any(|row| row.3 == 0));
            assert_eq!(found, expected, "{shape}");
        },
    );
}

/// On streams whose watermark moves, so that what is needed no more is dropped on the way.
#[test]
fn interval_join_is_every_pair_of_a_key_that_is_near() {
    everywhere(
        test_path!(interval_join_is_every_pair_of_a_key_that_is_near),
        |config| {
            execute(config, |env| {
                let side = |seed| live_clicks(env, seed, 2500).key_by(|click| click.user);
                let mut pairs = Vec::new();
                for (lower, upper) in [(-30, 10), (5, 60), (0, 0), (-80, -20)] {
                    let joined = side(5).join(side(6)).between(lower, upper)?.apply(pair);
                    let late = joined.late_left.union(joined.late_right).map(|click| (click.id, 0));
                    pairs.push(joined.results.union(late).collect());
                }
                let [a, b, c, d]: [_; 4] = pairs.try_into().unwrap();
                Ok((a, b, c, d))
            })
            .unwrap()
        },
        |workers, shape| {
            let n_workers = shape.split(' ').next().unwrap().parse::<u64>().unwrap();
            let side = |seed| -> Vec<_> { (0..n_workers).flat_map(|s| clicks_of(seed, s, 2500)).collect() };
            let (left, right) = (side(5), side(6));
            let mut found: [Vec<Vec<(u64, u64)>>; 4] = Default::default();
            for (a, b, c, d) in workers {
                for (found, part) in found.iter_mut().zip([a, b, c, d]) {
                    found.push(part);
                }
            }
            for (found, (lower, upper)) in found.into_iter().zip([(-30, 10), (5, 60), (0, 0), (-80, -20)]) {
                let near = |a: &Click, b: &Click| (lower..=upper).contains(&(b.at - a.at));
                let expected = naive(&left, &right, near);
                assert!(expected.len() > 3, "{}", expected.len());
                assert_eq!(sorted(found), expected, "{lower}..={upper}, {shape}");
            }
        },
    );
}

#[test]
fn interval_whose_bounds_are_swapped_is_refused() {
    let error = execute(RuntimeConfig::threads(1), |env| {
        let side = |seed| clicks(env, seed, 1).key_by(|click| click.user);
        side(1).join(side(2)).between(5, 4)?.apply(pair);
        Ok(())
    })
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(
        error.message().contains("lower bound is 5 ms, expected at most the upper bound, 4 ms"),
        "{error}"
    );
}
