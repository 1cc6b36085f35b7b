//! Every kind of window and join on random clicks, beside naive evaluations of one round at a time.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde::{Deserialize, Serialize};
use waterwheel::prelude::*;

use super::data::{
    Click, Ending, InLoop, Row, counts, in_loop, in_round, in_time, millis, rounds_of, row, some_clicks,
};
use crate::cluster::{everywhere, test_path};
use crate::event_time::windows::{naive_sessions, naive_sliding};

/// What was computed, by number in [`computed`], in which round.
type Found = Vec<(Round, (usize, Row))>;

/// Sides of a join: clicks of odd and of even ids.
fn is_left(click: &Click) -> bool {
    click.id % 2 == 1
}

/// Everything that can be computed of a stream with event time.
fn computed(clicks: EventStream<'_, Click, InLoop>) -> DataStream<'_, (usize, Row), InLoop> {
    let keyed = || clicks.clone().key_by(|click| click.user);
    let sides = || {
        let left = clicks.clone().filter(is_left).key_by(|click| click.user);
        left.join(clicks.clone().filter(|click| !is_left(click)).key_by(|click| click.user))
    };
    let tumbling = || Windows::tumbling(millis(100)).unwrap();
    let pair = |left: &Click, right: &Click| (left.user, left.id as i64, right.id as i64, 0);
    let all = [
        counts(clicks.clone()),
        keyed()
            .window(Windows::sliding(millis(250), millis(60)).unwrap())
            .sum(|click| click.id)
            .results
            .map(row),
        keyed().window(Windows::session(millis(20)).unwrap()).count().results.map(row),
        keyed().count_window(3).count().results.map(row),
        sides().window(tumbling()).apply(pair).results,
        sides()
            .window(tumbling())
            .co_group(|user, window, left, right, out| {
                out.emit((*user, window.start, left.len() as i64, right.len() as u64));
            })
            .results,
        sides().between(-40, 25).unwrap().apply(pair).results,
    ];
    let numbered = all.into_iter().enumerate().map(|(i, rows)| rows.map(move |row| (i, row)).into_stream());
    numbered.reduce(DataStream::union).unwrap()
}

/// The same of all clicks of a round, by definition.
fn expected(clicks: &[Click]) -> Vec<(usize, Row)> {
    let of_user = |user| clicks.iter().filter(move |click| click.user == user);
    let window = |at: i64| at - at.rem_euclid(100);
    let (mut counted, mut joined, mut grouped, mut near) = (vec![], vec![], vec![], vec![]);
    for user in 0..5 {
        counted.extend((0..of_user(user).count() / 3).map(|_| (user, i64::MIN, i64::MAX, 3)));
        for left in of_user(user).filter(|click| is_left(click)) {
            for right in of_user(user).filter(|click| !is_left(click)) {
                let pair = (user, left.id as i64, right.id as i64, 0);
                joined.extend((window(left.at) == window(right.at)).then_some(pair));
                near.extend((-40..=25).contains(&(right.at - left.at)).then_some(pair));
            }
        }
        let mut starts: Vec<_> = of_user(user).map(|click| window(click.at)).collect();
        starts.sort_unstable();
        starts.dedup();
        for start in starts {
            let (left, right): (Vec<_>, Vec<_>) =
                of_user(user).filter(|click| window(click.at) == start).partition(|click| is_left(click));
            grouped.push((user, start, left.len() as i64, right.len() as u64));
        }
    }
    let all = [
        naive_sliding(clicks, 100, 100, |_| 1),
        naive_sliding(clicks, 250, 60, |click| click.id),
        naive_sessions(clicks, 20),
        counted,
        joined,
        grouped,
        near,
    ];
    all.into_iter().enumerate().flat_map(|(i, rows)| rows.into_iter().map(move |row| (i, row))).collect()
}

fn run(config: RuntimeConfig, clicks: &[Click], how: (Ending, OperatorLifeCycle)) -> Found {
    let clicks = clicks.to_vec();
    let found = execute(config, move |env| {
        let first = env.from_iter(clicks.clone()).rebalance();
        Ok(in_loop(first, how, |x| computed(in_time(x))).collect())
    });
    found.unwrap().concat()
}

fn check(mut found: Found, clicks: &[Click], ending: Ending, of: &str) {
    let rounds = rounds_of(clicks, ending.max_rounds());
    let of_round = |(round, clicks): (usize, &Vec<Click>)| {
        let expected = expected(clicks).into_iter();
        expected.map(|row| (round as Round, row)).collect::<Vec<_>>()
    };
    let mut expected: Found = rounds.iter().enumerate().flat_map(of_round).collect();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected, "{of}");
}

#[test]
fn windows_and_joins_of_every_round_are_those_of_its_records_alone() {
    let click = (0..5u32, -400..400i64, 0..40u64).prop_map(|(user, at, id)| Click { user, at, id });
    let ending = prop_oneof![
        Just(Ending::Feedback),
        (1..5u64).prop_map(Ending::MaxRounds),
        (1..5u64).prop_map(Ending::Criteria),
    ];
    let cases = (proptest::collection::vec(click, 0..60), ending, any::<bool>());
    let mut runner = TestRunner::new(Config { cases: 24, ..Config::default() });
    let outcome = runner.run(&cases, |(clicks, ending, per_round)| {
        let life_cycle = match per_round {
            true => OperatorLifeCycle::PerRound,
            false => OperatorLifeCycle::AllRound,
        };
        for workers in [1, 2, 4] {
            let found = run(RuntimeConfig::threads(workers), &clicks, (ending, life_cycle));
            check(found, &clicks, ending, &format!("{workers} workers, {ending:?}, {life_cycle:?}"));
        }
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn windows_and_joins_of_a_loop_are_the_same_at_every_shape() {
    let clicks = some_clicks(300);
    everywhere(
        test_path!(windows_and_joins_of_a_loop_are_the_same_at_every_shape),
        |config| run(config, &clicks, (Ending::Criteria(3), OperatorLifeCycle::AllRound)),
        |found, shape| check(found, &clicks, Ending::Criteria(3), shape),
    );
}

/// What became of clicks of which some are late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Fate {
    /// So many were counted in a window.
    Counted(u64),
    /// One of this time came late.
    Late(i64),
    /// Windows over these windows have so many.
    CountedAgain(u64),
    /// A window came late to these.
    LateAgain,
}

const BOUND: i64 = 150;

fn fates(clicks: DataStream<'_, Click, InLoop>) -> DataStream<'_, Fate, InLoop> {
    let bound = millis(BOUND as u64);
    let strategy = WatermarkStrategy::bounded_out_of_orderness(bound, |click: &Click| click.at);
    let keyed = clicks.assign_timestamps_and_watermarks(strategy).key_by(|click| click.user);
    let counted = keyed.window(Windows::tumbling(millis(100)).unwrap()).count();
    let by_user = counted.results.clone().key_by(|count| count.key % 2);
    let again = by_user.window(Windows::tumbling(millis(200)).unwrap()).sum(|count| count.value);
    let counts = counted.results.map(|count| Fate::Counted(count.value));
    let late = counted.late.map(|click| Fate::Late(click.at));
    let (sums, late_again) =
        (again.results.map(|sum| Fate::CountedAgain(sum.value)), again.late.map(|_| Fate::LateAgain));
    counts.union(late).union(sums).union(late_again).into_stream()
}

/// With a bound that is too small: what is not in a window is late, and no other round made it so. The windows
/// themselves never come late to what follows.
#[test]
fn late_records_of_a_round_are_late_by_records_of_the_same_round() {
    let run = |config: RuntimeConfig| {
        let found = execute(config, |env| {
            let first = env.from_iter(some_clicks(4000)).rebalance();
            Ok(in_loop(first, (Ending::Feedback, OperatorLifeCycle::AllRound), fates).collect())
        });
        found.unwrap().concat()
    };
    let path = test_path!(late_records_of_a_round_are_late_by_records_of_the_same_round);
    everywhere(path, run, |found: Vec<(Round, Fate)>, shape| {
        for (round, clicks) in (0..).zip(rounds_of(&some_clicks(4000), usize::MAX)) {
            let watermark = clicks.iter().map(|click| click.at).max().unwrap() - BOUND;
            let (mut counted, mut late, mut again) = (0, 0, 0);
            for (_, fate) in found.iter().filter(|(of, _)| *of == round) {
                match *fate {
                    Fate::Counted(n) => counted += n,
                    Fate::CountedAgain(n) => again += n,
                    Fate::Late(at) => {
                        late += 1;
                        assert!(at - at.rem_euclid(100) + 100 <= watermark, "{shape}, round {round}: {at}");
                    }
                    Fate::LateAgain => panic!("{shape}, round {round}: a window came late"),
                }
            }
            assert_eq!((counted + late, again), (clicks.len() as u64, counted), "{shape}, round {round}");
        }
    });
}

/// The event-time cases of Flink ML's `WindowsTest`, over 100 records in each of 2 rounds: tumbling windows of 14 ms
/// are 8 batches, and all records are one session.
#[test]
fn windows_over_a_hundred_records_are_eight_batches_and_one_session_in_each_round() {
    let job = |config| {
        let found = execute(config, |env| {
            let first = env.from_iter((0..100).map(|id| Click { user: 0, at: id as i64, id })).rebalance();
            let config = IterationConfig::new().max_rounds(2);
            let (batches,) = Iterations::iterate_bounded((first,), (), config, |it, (x,), ()| {
                let (batches,) = it.for_each_round((x.clone(),), |(x,)| {
                    let size = |windows| {
                        let batches = in_time(x.clone()).window_all(windows).process(|(), _, batch, out| {
                            out.emit(batch.len());
                        });
                        batches.results.into_stream()
                    };
                    let tumbling = size(Windows::tumbling(millis(14)).unwrap()).map(|n| (false, n));
                    let session = size(Windows::session(millis(14)).unwrap()).map(|n| (true, n));
                    (tumbling.union(session),)
                });
                IterationBodyResult::new((x,), (batches.process_epochs(in_round()),))
            });
            Ok(batches.collect())
        });
        found.unwrap().concat()
    };
    let path = test_path!(windows_over_a_hundred_records_are_eight_batches_and_one_session_in_each_round);
    everywhere(path, job, |mut batches, shape| {
        batches.sort_unstable();
        let of_round = |round| {
            let tumbling = [2].into_iter().chain([14; 7]).map(move |n| (round, (false, n)));
            tumbling.chain([(round, (true, 100usize))])
        };
        assert_eq!(batches, Vec::from_iter((0..2u64).flat_map(of_round)), "{shape}");
    });
}
