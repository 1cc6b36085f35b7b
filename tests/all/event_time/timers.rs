//! Functions with state and timers.

use std::collections::BTreeMap;
use std::time::Duration;

use waterwheel::prelude::*;

use super::data::{Click, all_clicks, clicks, clicks_of, live_clicks};
use crate::cluster::{everywhere, test_path};

/// Emits the clicks of a user in order of time, each when the watermark has passed it.
struct InOrder;

impl EventProcessFunction<u32, Click> for InOrder {
    type State = BTreeMap<i64, Vec<Click>>;
    type Out = Click;

    fn process(
        &mut self,
        _user: &u32,
        state: &mut Self::State,
        click: Click,
        context: &mut TimerContext,
        _out: &mut EventCollector<'_, Click>,
    ) -> Result<()> {
        assert_eq!(context.timestamp(), click.at);
        context.register_event_time_timer(click.at);
        state.entry(click.at).or_default().push(click);
        Ok(())
    }

    fn on_timer(
        &mut self,
        _user: &u32,
        state: &mut Self::State,
        timer: Timer,
        context: &mut TimerContext,
        out: &mut EventCollector<'_, Click>,
    ) -> Result<()> {
        let Timer::EventTime(time) = timer else { return Err(Error::operator("no such timer was set")) };
        assert!(time < context.watermark() || context.watermark() == i64::MAX);
        state.remove(&time).into_iter().flatten().for_each(|click| out.emit(click));
        if state.is_empty() {
            context.clear_state();
        }
        Ok(())
    }
}

#[test]
fn event_time_timers_bring_every_key_in_order() {
    everywhere(
        test_path!(event_time_timers_bring_every_key_in_order),
        |config| {
            execute(config, |env| {
                let ordered = live_clicks(env, 1, 3000).key_by(|click| click.user).process_function(InOrder);
                Ok((ordered.clone().into_timed_stream().collect_local(), ordered.collect()))
            })
            .unwrap()
        },
        |workers, shape| {
            let n_workers = shape.split(' ').next().unwrap().parse::<u64>().unwrap();
            let mut found = Vec::new();
            for (worker, all) in workers {
                found.extend(all);
                let mut last: BTreeMap<u32, i64> = BTreeMap::new();
                for Timed { timestamp, value } in worker {
                    assert_eq!(timestamp, value.at, "{shape}");
                    let before = last.insert(value.user, value.at);
                    assert!(before.is_none_or(|before| before <= value.at), "{shape}");
                }
            }
            let mut all: Vec<_> = (0..n_workers).flat_map(|split| clicks_of(1, split, 3000)).collect();
            found.sort_unstable();
            all.sort_unstable();
            assert!(found == all, "{shape}");
        },
    );
}

/// Says a user's name once, some time after the first click, if no other click with an odd id took it back.
struct Deleted;

impl EventProcessFunction<u32, Click> for Deleted {
    type State = u64;
    type Out = (u32, u64);

    fn process(
        &mut self,
        _user: &u32,
        state: &mut u64,
        click: Click,
        context: &mut TimerContext,
        _out: &mut EventCollector<'_, Self::Out>,
    ) -> Result<()> {
        *state += 1;
        // Asked for a thousand times, it is one timer; that of another time is taken back.
        context.register_event_time_timer(1 << 40);
        context.register_event_time_timer((1 << 40) + click.at);
        context.delete_event_time_timer((1 << 40) + click.at);
        Ok(())
    }

    fn on_timer(
        &mut self,
        user: &u32,
        state: &mut u64,
        _timer: Timer,
        _context: &mut TimerContext,
        out: &mut EventCollector<'_, Self::Out>,
    ) -> Result<()> {
        out.emit((*user, *state));
        Ok(())
    }
}

#[test]
fn timer_that_was_set_many_times_fires_once_and_a_deleted_one_never() {
    everywhere(
        test_path!(timer_that_was_set_many_times_fires_once_and_a_deleted_one_never),
        |config| {
            execute(config, |env| {
                let keyed = clicks(env, 2, 800).key_by(|click| click.user);
                Ok(keyed.process_function(Deleted).collect())
            })
            .unwrap()
        },
        |found, shape| {
            let mut expected: BTreeMap<u32, u64> = BTreeMap::new();
            all_clicks(2, 800).iter().for_each(|click| *expected.entry(click.user).or_default() += 1);
            let mut found = found.concat();
            found.sort_unstable();
            assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{shape}");
        },
    );
}

/// Answers each click after a moment of processing time, chaining a second timer behind the first.
struct Later;

impl EventProcessFunction<u32, Click> for Later {
    type State = Vec<u64>;
    type Out = u64;

    fn process(
        &mut self,
        _user: &u32,
        state: &mut Vec<u64>,
        click: Click,
        context: &mut TimerContext,
        _out: &mut EventCollector<'_, u64>,
    ) -> Result<()> {
        state.push(click.id);
        context.register_processing_time_timer(Duration::from_millis(2));
        Ok(())
    }

    fn on_timer(
        &mut self,
        _user: &u32,
        state: &mut Vec<u64>,
        timer: Timer,
        context: &mut TimerContext,
        out: &mut EventCollector<'_, u64>,
    ) -> Result<()> {
        assert_eq!(timer, Timer::ProcessingTime);
        match state.pop() {
            Some(id) => {
                out.emit(id);
                context.register_processing_time_timer(Duration::ZERO);
            }
            None => context.clear_state(),
        }
        Ok(())
    }
}

/// Reads clicks, then stays open until all answers are out.
struct UntilAnswered {
    clicks: std::vec::IntoIter<Click>,
    answers: std::sync::Arc<std::sync::atomic::AtomicU64>,
    expected: u64,
}

impl Source for UntilAnswered {
    type Item = Click;

    fn read(&mut self, limit: usize, out: &mut Vec<Click>) -> Result<SourceStatus> {
        out.extend(self.clicks.by_ref().take(limit));
        if self.answers.load(std::sync::atomic::Ordering::SeqCst) == self.expected {
            return Ok(SourceStatus::Done);
        }
        Ok(SourceStatus::Idle(Duration::from_millis(1)))
    }
}

#[test]
fn processing_time_timers_fire_while_the_input_is_silent() {
    for workers in [1, 2, 4] {
        let found = execute(RuntimeConfig::threads(workers), |env| {
            let answers = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
            let counted = std::sync::Arc::clone(&answers);
            let open = move |_| {
                let clicks = clicks_of(3, 0, 500).into_iter();
                Ok(UntilAnswered { clicks, answers: std::sync::Arc::clone(&answers), expected: 500 })
            };
            // Everything on worker 0, which reads the source: the counter is not shared by the others.
            let strategy = WatermarkStrategy::monotonous(|click: &Click| click.at);
            let clicks = env.source("clicks", 1, open).assign_timestamps_and_watermarks(strategy);
            let answered = clicks.key_by(|click| click.user).process_function(Later);
            let counted = answered.into_stream().partition_custom(|_, _| 0).inspect(move |_| {
                counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            });
            Ok(counted.collect())
        });
        let mut found = found.unwrap().concat();
        found.sort_unstable();
        assert_eq!(found, (0..500).collect::<Vec<_>>(), "{workers} workers");
    }
}
