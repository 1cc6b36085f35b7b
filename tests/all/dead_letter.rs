//! Functions that can fail on a record: results, dead letters, counts, and nothing lost.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use waterwheel::engine::started_as;
use waterwheel::prelude::*;

use crate::cluster::{everywhere, test_path};

/// Halves even numbers; fails on others.
fn halve(x: &u64) -> Result<u64> {
    match x % 2 {
        0 => Ok(x / 2),
        _ => Err(Error::data(format!("{x} is odd")).caused_by(std::io::Error::other("nature"))),
    }
}

type Both = (Vec<u64>, Vec<DeadLetter<u64>>);

fn divide(config: RuntimeConfig, policy: BadRecordPolicy, n: u64) -> Result<Both> {
    let workers = execute(config, move |env| {
        let numbers = env.from_splits(3, move |split| (0..n).filter(move |x| x % 3 == split as u64));
        let (halves, dead) = numbers.rebalance().try_map_with(policy, halve);
        Ok((halves.collect(), dead.collect()))
    })?;
    Ok(workers.into_iter().next().unwrap_or_default())
}

#[test]
fn every_record_is_either_a_result_or_a_dead_letter_with_its_reason() {
    let job = |config| divide(config, BadRecordPolicy::DeadLetter, 20_001);
    let path = test_path!(every_record_is_either_a_result_or_a_dead_letter_with_its_reason);
    everywhere(path, job, |done, shape| {
        if started_as().is_some() {
            return;
        }
        let (mut halves, mut dead) = done.unwrap();
        halves.sort_unstable();
        dead.sort();
        assert!(halves.into_iter().eq(0..=10_000), "{shape}");
        assert!(dead.iter().map(|letter| letter.record).eq((1..20_001).step_by(2)), "{shape}");
        assert!(dead.iter().all(|letter| letter.message == format!("{} is odd: nature", letter.record)));
        assert_eq!(dead[0].to_string(), format!("worker {}: 1 is odd: nature", dead[0].worker));
    });
}

#[test]
fn error_of_a_record_ends_the_run_by_default() {
    for workers in [1, 2, 4] {
        let policy = BadRecordPolicy::default();
        let error = divide(RuntimeConfig::threads(workers), policy, 100).unwrap_err();
        assert_eq!(
            (error.kind(), error.site().unwrap().operator.as_str()),
            (ErrorKind::Data, "try_map_with")
        );
        assert!(error.message().ends_with(" is odd"), "{error}");
    }
}

#[test]
fn random_records_are_divided_as_a_loop_divides_them_and_in_order() {
    let mut runner = TestRunner::new(Config::with_cases(32));
    let cases = proptest::collection::vec(any::<u64>(), 0..4000);
    let check = |numbers: Vec<u64>| {
        let (good, bad): (Vec<u64>, Vec<u64>) = numbers.iter().partition(|x| *x % 2 == 0);
        let workers = execute(RuntimeConfig::threads(1), move |env| {
            let (halves, dead) =
                env.from_iter(numbers.clone()).try_map_with(BadRecordPolicy::DeadLetter, halve);
            Ok((halves.collect(), dead.map(|letter| letter.record).collect()))
        });
        let (halves, dead) = workers.unwrap().swap_remove(0);
        assert!(halves.into_iter().eq(good.into_iter().map(|x| x / 2)));
        assert_eq!(dead, bad);
        Ok(())
    };
    runner.run(&cases, check).unwrap();
}

/// Fails on every fifth number.
fn fifth(x: &u64) -> Result<u64> {
    if x.is_multiple_of(5) { Err(Error::data(format!("{x} is a fifth"))) } else { Ok(*x) }
}

/// What a worker gives back of one operator: results, and dead letters.
type Pair = (Vec<u64>, Vec<u64>);

/// Runs every operator that has a policy on the numbers below `n`. Results are told by their operator, and those of the
/// keyed one count the records of their key.
fn all_operators(config: RuntimeConfig, policy: BadRecordPolicy, n: u64) -> (Vec<Pair>, Vec<RecordCount>) {
    let bad = BadRecordState::new();
    let workers = execute(config.bad_record_state(bad.clone()), move |env| {
        let numbers =
            || env.from_splits(3, move |split| (0..n).filter(move |x| x % 3 == split as u64)).rebalance();
        let twice = move |x: u64| [x, x + n];
        let streams = [
            numbers().try_map_with(policy, fifth),
            numbers().try_filter_with(policy, |x| Ok(fifth(x)?.is_multiple_of(2))),
            numbers().try_flat_map_with(policy, move |x| fifth(x).map(twice)),
            numbers().try_process_with(policy, move |x, out| {
                out.batch().extend(twice(*x));
                fifth(x).map(|_| ())
            }),
            numbers().key_by(|x| x % 10).try_process_with(policy, move |_, count: &mut u64, x, out| {
                out.emit(*x);
                *count += 1;
                out.emit(n + *count);
                fifth(x).map(|_| ())
            }),
        ];
        let collect = |(results, dead): (DataStream<'_, u64>, DataStream<'_, DeadLetter<u64>>)| {
            (results.collect(), dead.map(|letter| letter.record).collect())
        };
        Ok(streams.map(collect).into_iter().collect::<Vec<_>>())
    });
    let mut workers = workers.unwrap().into_iter();
    let sort = |mut numbers: Vec<u64>| {
        numbers.sort_unstable();
        numbers
    };
    let first = workers.next().unwrap_or_default();
    (first.into_iter().map(|(results, dead)| (sort(results), sort(dead))).collect(), bad.operators())
}

fn check_all_operators(path: &str, policy: BadRecordPolicy) {
    const N: u64 = 3000;
    let good: Vec<u64> = (0..N).filter(|x| x % 5 > 0).collect();
    let doubled: Vec<u64> = good.iter().copied().chain(good.iter().map(|x| x + N)).collect();
    let evens = good.iter().copied().filter(|x| x % 2 == 0).collect();
    // Keys 0 and 5 have bad records only.
    let by_key = good.iter().copied().chain((1..=N / 10).flat_map(|i| [N + i; 8])).collect();
    let expected: [Vec<u64>; 5] = [good, evens, doubled.clone(), doubled, by_key];
    let fifths: Vec<u64> = (0..N).step_by(5).collect();
    let names =
        ["try_map_with", "try_filter_with", "try_flat_map_with", "try_process_with", "try_process_with"];
    everywhere(
        path,
        |config| all_operators(config, policy, N),
        |(pairs, counts), shape| {
            let dead = if policy == BadRecordPolicy::Skip { &[][..] } else { &fifths };
            assert_eq!(pairs.len(), expected.len());
            for ((results, letters), expected) in pairs.iter().zip(&expected) {
                assert_eq!((results, &letters[..]), (expected, dead), "{shape}");
            }
            assert!(counts.iter().map(|count| count.operator.as_str()).eq(names), "{shape}: {counts:?}");
            for count in counts {
                assert!(count.location.contains("dead_letter.rs:"), "{count:?}");
                // A process counts what its own workers have seen.
                let all = fifths.len() as u64;
                let least = if shape == "2 processes" { 1 } else { all };
                assert!((least..=all).contains(&count.records), "{shape}: {count:?}");
            }
        },
    );
}

#[test]
fn every_operator_skips_and_counts_bad_records() {
    check_all_operators(test_path!(every_operator_skips_and_counts_bad_records), BadRecordPolicy::Skip);
}

#[test]
fn every_operator_writes_and_counts_dead_letters() {
    check_all_operators(
        test_path!(every_operator_writes_and_counts_dead_letters),
        BadRecordPolicy::DeadLetter,
    );
}

/// An operator with a policy on a stream.
type Job = for<'s> fn(DataStream<'s, u64>, BadRecordPolicy) -> DataStream<'s, ()>;

#[test]
fn operators_of_one_policy_fail_with_their_own_name() {
    fn failing<'s, D: Record, E: 'static>(
        (results, _dead): MappedStreams<'s, E, D, Epoch>,
    ) -> DataStream<'s, (), Epoch> {
        results.map(|_| ())
    }
    let fail = BadRecordPolicy::Fail;
    let jobs: [(&str, Job); 4] = [
        ("try_filter_with", |x, fail| failing(x.try_filter_with(fail, |x| fifth(x).map(|_| true)))),
        ("try_flat_map_with", |x, fail| failing(x.try_flat_map_with(fail, |x| fifth(x).map(Some)))),
        ("try_process_with", |x, fail| {
            failing(x.try_process_with(fail, |x, out| fifth(x).map(|x| out.emit(x))))
        }),
        ("try_process_with", |x, fail| {
            let keyed = x.key_by(|x| *x);
            failing(keyed.try_process_with(fail, |_, _: &mut (), x, out| fifth(x).map(|x| out.emit(x))))
        }),
    ];
    for (name, job) in jobs {
        let error = execute(RuntimeConfig::threads(2), move |env| {
            job(env.from_iter([1u64, 5, 6]), fail).collect();
            Ok(())
        });
        let error = error.unwrap_err();
        assert_eq!((error.site().unwrap().operator.as_str(), error.message()), (name, "5 is a fifth"));
    }
}
