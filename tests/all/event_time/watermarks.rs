//! Parts of a stream that fall silent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use waterwheel::prelude::*;

use super::data::millis;
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
    for workers in [2, 4] {
        let found = within_limit("windows beside a silent part", move || {
            let fired = Arc::new(AtomicU64::new(0));
            execute(RuntimeConfig::threads(workers), move |env| {
                let (n, fired) = (env.workers(), Arc::clone(&fired));
                let counted = Arc::clone(&fired);
                let open = move |split| {
                    Ok(Part { at: split as i64, is_silent: split + 1 == n, fired: Arc::clone(&fired) })
                };
                let strategy =
                    WatermarkStrategy::monotonous(|at| *at).with_idleness(Duration::from_millis(20));
                let times = env.source("parts", n, open).assign_timestamps_and_watermarks(strategy);
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
        let per_window = 10 * (workers as u64 - 1);
        let expected: Vec<_> = (0..END / 100).map(|i| (i * 100, per_window)).collect();
        assert_eq!(found, expected, "{workers} workers");
    }
}
