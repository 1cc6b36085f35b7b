//! The longest time for which checkpoints of a large state stop the flow, and how fast they are written.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use waterwheel::prelude::*;

use crate::common::{Bench, Figure};
use crate::load::{count_large, every_second, keys_of};

/// What a run has seen, behind its first `2 * keys` results: while the state grows, tables grow too, whether or not there are
/// checkpoints.
struct Watch {
    start: Instant,
    keys: u64,
    seen: AtomicU64,
    /// When the last result came, in nanoseconds since the start, and the longest time between two.
    last: AtomicU64,
    longest_gap: AtomicU64,
    since: AtomicU64,
}

impl Watch {
    fn new(keys: u64) -> Arc<Self> {
        let [seen, last, longest_gap, since] = std::array::from_fn(|_| AtomicU64::new(0));
        Arc::new(Watch { start: Instant::now(), keys, seen, last, longest_gap, since })
    }

    /// Notes a result; how many there have been.
    fn note(&self) -> u64 {
        let n = self.seen.fetch_add(1, Relaxed) + 1;
        let now = self.start.elapsed().as_nanos() as u64;
        if n > 2 * self.keys {
            self.longest_gap.fetch_max(now - self.last.load(Relaxed), Relaxed);
        } else {
            self.since.store(now, Relaxed);
        }
        self.last.store(now, Relaxed);
        n
    }

    fn longest_gap_ms(&self) -> f64 {
        self.longest_gap.load(Relaxed) as f64 / 1e6
    }

    /// How long it has measured.
    fn measured(&self) -> Duration {
        Duration::from_nanos(self.last.load(Relaxed) - self.since.load(Relaxed))
    }
}

const ENOUGH: &str = "enough";

/// Runs until there are four checkpoints of the full state, or for so long.
fn run(checkpoints: CheckpointConfig, watch: &Arc<Watch>, until: Until) {
    let watch = Arc::clone(watch);
    let keys = watch.keys;
    let mut wanted = None;
    let see = move |_count| {
        let n = watch.note();
        if n <= 2 * watch.keys || !n.is_multiple_of(4096) {
            return Ok(());
        }
        let done = match &until {
            Until::Checkpoints(state) => {
                let completed = state.counts().completed;
                // The one under way was begun before.
                completed >= *wanted.get_or_insert(completed + 5)
            }
            Until::Time(time) => watch.measured() >= *time,
        };
        if done { Err(Error::operator(ENOUGH)) } else { Ok(()) }
    };
    let config = RuntimeConfig::threads(1).checkpoints(checkpoints);
    let error = count_large(config, (u64::MAX, keys), see).unwrap_err();
    assert_eq!(error.message(), ENOUGH, "{}", error.full_message());
}

#[derive(Clone)]
enum Until {
    Checkpoints(CheckpointState),
    Time(Duration),
}

pub fn pause(bench: &Bench, megabytes: u64) {
    let dir = tempfile::tempdir().unwrap();
    let (state, with) = (CheckpointState::new(), Watch::new(keys_of(megabytes)));
    run(every_second(dir.path(), &state), &with, Until::Checkpoints(state.clone()));
    let counts = state.counts();

    // As long with no checkpoint: what else stops the flow.
    let without = Watch::new(keys_of(megabytes));
    let never =
        every_second(&dir.path().join("none"), &CheckpointState::new()).interval(Duration::from_secs(86_400));
    run(never, &without, Until::Time(with.measured()));

    let case = &format!("pause, {megabytes} MB");
    let (workers, processes, floor_name, unit) = (1, 1, "no checkpoint", "ms");
    let (ours, floor) = (with.longest_gap_ms(), without.longest_gap_ms());
    bench.report(&Figure { case, workers, processes, ours, floor, floor_name, unit });
    if !bench.json {
        let seconds = counts.duration.as_secs_f64();
        println!(
            "    longest time without a result; sources held for {:.2} ms at most; the last checkpoint took {seconds:.2} s \
             ({:.0} MB/s)",
            counts.longest_pause.as_secs_f64() * 1e3,
            megabytes as f64 / seconds,
        );
    }
}
