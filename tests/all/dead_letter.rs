//! `try_map_with`: results, dead letters, and nothing lost.

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
