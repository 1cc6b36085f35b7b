//! Rounds that do not end: what is due in them comes all the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use waterwheel::prelude::*;

use super::data::{Click, Row, counts, in_round, in_time, millis};
use crate::cluster::{everywhere, test_path};

/// Clicks of the source, one every 10 ms: 10 in each window, and the last window stays open.
const N: u64 = 300;

/// Windows that are due while the source goes on.
const DUE: u64 = N / 10 - 1;

/// Reads after which the source gives up.
const PATIENCE: u64 = 20_000;

/// Gives its clicks, and then ends only when enough windows were seen.
struct Held {
    next: u64,
    left: u64,
    seen: Arc<AtomicU64>,
}

impl Source for Held {
    type Item = Click;

    fn read(&mut self, _limit: usize, out: &mut Vec<Click>) -> Result<SourceStatus> {
        if self.next < N {
            out.push(Click { user: 0, at: self.next as i64 * 10, id: self.next });
            self.next += 1;
            return Ok(SourceStatus::Ready);
        }
        if self.seen.load(Ordering::SeqCst) >= DUE {
            return Ok(SourceStatus::Done);
        }
        self.left = self.left.checked_sub(1).ok_or_else(|| {
            let seen = self.seen.load(Ordering::SeqCst);
            Error::operator(format!("{seen} windows were seen, expected {DUE}"))
        })?;
        Ok(SourceStatus::Idle(Duration::from_millis(1)))
    }
}

/// How the workers without clicks are kept from holding the watermark back.
#[derive(Clone, Copy)]
enum Spread {
    /// The stream says that there are none.
    OnOneWorker,
    /// They are silent.
    Idle,
    /// All have some.
    OverAll,
}

/// Counts the clicks of a source that goes on until most windows have come, and feeds the counts back, to be
/// counted in round 1.
fn endless(config: RuntimeConfig, spread: Spread) -> Vec<(Round, Row)> {
    let seen = Arc::new(AtomicU64::new(0));
    let found = execute(config, move |env| {
        let source = Arc::clone(&seen);
        let open = move |_| Ok(Held { next: 0, left: PATIENCE, seen: Arc::clone(&source) });
        let (none, clicks) = (env.from_iter(Vec::<Click>::new()), env.source("held", 1, open));
        let (rows,) = Iterations::iterate_unbounded((none,), (clicks,), |_it, (x,), (clicks,)| {
            let strategy = WatermarkStrategy::monotonous(|click: &Click| click.at);
            let (clicks, strategy) = match spread {
                Spread::OnOneWorker => (clicks.set_parallelism(1), strategy),
                Spread::Idle => (clicks, strategy.with_idleness(millis(20))),
                Spread::OverAll => (clicks.rebalance(), strategy),
            };
            let first = counts(clicks.assign_timestamps_and_watermarks(strategy));
            let next = first.clone().map(|(user, at, _, id)| Click { user, at, id }).into_stream();
            let rows = first.union(counts(in_time(x))).into_stream().process_epochs(in_round());
            IterationBodyResult::new((next,), (rows,))
        });
        let seen = Arc::clone(&seen);
        let rows = rows.set_parallelism(1).inspect(move |(round, _)| {
            seen.fetch_add(u64::from(*round == 0), Ordering::SeqCst);
        });
        Ok(rows.collect())
    });
    found.unwrap().concat()
}

fn check_endless(mut found: Vec<(Round, Row)>, shape: &str) {
    found.sort_unstable();
    let counts = (0..N as i64 / 10).map(|i| (0, (0, i * 100, i * 100 + 100, 10)));
    let again = (0..N as i64 / 10).map(|i| (1, (0, i * 100, i * 100 + 100, 1)));
    assert_eq!(found, Vec::from_iter(counts.chain(again)), "{shape}");
}

#[test]
fn windows_of_a_round_that_goes_on_come_when_their_time_has_passed() {
    everywhere(
        test_path!(windows_of_a_round_that_goes_on_come_when_their_time_has_passed),
        |config| endless(config, Spread::OnOneWorker),
        check_endless,
    );
}

#[test]
fn silent_workers_do_not_hold_the_watermark_of_a_round_back() {
    everywhere(
        test_path!(silent_workers_do_not_hold_the_watermark_of_a_round_back),
        |config| endless(config, Spread::Idle),
        check_endless,
    );
}

#[test]
fn watermark_of_a_round_that_goes_on_is_the_least_of_all_workers() {
    everywhere(
        test_path!(watermark_of_a_round_that_goes_on_is_the_least_of_all_workers),
        |config| endless(config, Spread::OverAll),
        check_endless,
    );
}
