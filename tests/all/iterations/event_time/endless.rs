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

/// Gives its clicks, and then ends only when enough results were seen.
struct Held {
    next: u64,
    left: u64,
    due: u64,
    seen: Arc<AtomicU64>,
}

/// A source of clicks that goes on until `due` results were seen.
fn held<'s>(env: &Env<'s>, due: u64, seen: &Arc<AtomicU64>) -> DataStream<'s, Click> {
    let seen = Arc::clone(seen);
    env.source("held", 1, move |_| Ok(Held { next: 0, left: PATIENCE, due, seen: Arc::clone(&seen) }))
}

impl Source for Held {
    type Item = Click;

    fn read(&mut self, _limit: usize, out: &mut Vec<Click>) -> Result<SourceStatus> {
        if self.next < N {
            out.push(Click { user: 0, at: self.next as i64 * 10, id: self.next });
            self.next += 1;
            return Ok(SourceStatus::Ready);
        }
        if self.seen.load(Ordering::SeqCst) >= self.due {
            return Ok(SourceStatus::Done);
        }
        self.left = self.left.checked_sub(1).ok_or_else(|| {
            let (seen, due) = (self.seen.load(Ordering::SeqCst), self.due);
            Error::operator(format!("{seen} results were seen, expected {due}"))
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
        let (none, clicks) = (env.from_iter(Vec::<Click>::new()), held(env, DUE, &seen));
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

/// Says so a little later of the first click.
struct Later;

impl EventProcessFunction<u32, Click> for Later {
    type State = ();
    type Out = u64;

    fn process(
        &mut self,
        _user: &u32,
        _state: &mut (),
        click: Click,
        context: &mut TimerContext,
        _out: &mut EventCollector<'_, u64>,
    ) -> Result<()> {
        if click.id == 0 {
            context.register_processing_time_timer(millis(3));
            context.register_processing_time_timer(Duration::from_secs(3600));
        }
        Ok(())
    }

    fn on_timer(
        &mut self,
        _user: &u32,
        _state: &mut (),
        timer: Timer,
        _context: &mut TimerContext,
        out: &mut EventCollector<'_, u64>,
    ) -> Result<()> {
        assert_eq!(timer, Timer::ProcessingTime);
        out.emit(7);
        Ok(())
    }
}

/// What it emits goes round as anything else does, and a timer that is not due holds nothing up.
#[test]
fn processing_time_timer_of_a_round_that_goes_on_emits_into_it() {
    let job = |config| {
        let seen = Arc::new(AtomicU64::new(0));
        let found = execute(config, move |env| {
            let (none, clicks) = (env.from_iter(Vec::<u64>::new()), held(env, 2, &seen));
            let (found,) = Iterations::iterate_unbounded((none,), (clicks,), |_it, (x,), (clicks,)| {
                let later = in_time(clicks).key_by(|click| click.user).process_function(Later).into_stream();
                let found = later.clone().union(x).process_epochs(in_round());
                IterationBodyResult::new((later,), (found,))
            });
            let seen = Arc::clone(&seen);
            let found = found.set_parallelism(1).inspect(move |_| {
                seen.fetch_add(1, Ordering::SeqCst);
            });
            Ok(found.collect())
        });
        found.unwrap().concat()
    };
    let path = test_path!(processing_time_timer_of_a_round_that_goes_on_emits_into_it);
    everywhere(path, job, |mut found, shape| {
        found.sort_unstable();
        assert_eq!(found, [(0, 7), (1, 7)], "{shape}");
    });
}
