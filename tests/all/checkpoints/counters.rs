//! Bad and late records are counted on where a job goes on, once each.

use std::time::Duration;

use waterwheel::prelude::*;

use super::fixture::{Fuse, RECORDS, numbers, recover};

/// Runs a job until it ends, after failures; what it gave, and how often it has failed over all seeds.
fn over_failures<R>(job: impl Fn(RuntimeConfig, Fuse) -> Result<R>, check: impl Fn(R)) {
    let mut all_failures = 0;
    for seed in 0..4 {
        let (result, failures) = recover(seed, RECORDS, &job);
        check(result);
        all_failures += failures;
    }
    assert!(all_failures > 0, "nothing has failed");
}

fn is_bad(x: u64) -> Result<()> {
    if x % 10 == 3 { Err(Error::data(format!("found {x}"))) } else { Ok(()) }
}

#[test]
fn records_that_are_skipped_are_counted_once_over_restarts() {
    let job = |config: RuntimeConfig, fuse: Fuse| {
        let bad = BadRecordState::new();
        execute(config.bad_record_state(bad.clone()), move |env| {
            let (good, _) =
                numbers(env, fuse.clone()).try_map_with(BadRecordPolicy::Skip, |x| is_bad(*x).map(|()| *x));
            let keyed = good.uid("first").key_by(|x| x % 7);
            let (good, _) = keyed.try_process_with(BadRecordPolicy::Skip, |_, n: &mut u64, x, out| {
                is_bad(x / 10)?;
                *n += 1;
                out.emit(*n);
                Ok(())
            });
            good.uid("second").sink(|_| Ok(()));
            Ok(())
        })?;
        Ok(bad.operators().into_iter().map(|count| count.records).collect::<Vec<_>>())
    };
    let second = (0..RECORDS).filter(|x| x % 10 != 3 && x / 10 % 10 == 3).count() as u64;
    over_failures(job, |counts| assert_eq!(counts, [RECORDS / 10, second]));
}

/// Each record is in a window or late, whatever fails.
#[test]
fn records_that_come_late_are_counted_once_over_restarts() {
    let job = |config: RuntimeConfig, fuse: Fuse| {
        let late = LateRecordState::new();
        let results = execute(config.late_record_state(late.clone()), move |env| {
            let strategy = WatermarkStrategy::monotonous(|x: &u64| if x % 100 == 7 { 0 } else { *x as i64 });
            let events = numbers(env, fuse.clone()).assign_timestamps_and_watermarks(strategy).uid("events");
            let windows = events.key_by(|x| x % 7).window(Windows::tumbling(Duration::from_secs(1))?);
            Ok(windows.count().results.uid("counts").into_stream().map(|count| count.value).collect())
        })?;
        let in_windows: u64 = results.concat().iter().sum();
        Ok((in_windows, late.operators().iter().map(|count| count.records).sum::<u64>()))
    };
    over_failures(job, |(in_windows, late)| {
        assert_eq!(in_windows + late, RECORDS, "{late} are late");
        assert!(late > 0);
    });
}
