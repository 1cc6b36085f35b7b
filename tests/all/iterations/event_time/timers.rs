//! Timers in loops, and the states of keys beside them.

use std::collections::BTreeMap;
use std::time::Duration;

use waterwheel::prelude::*;

use super::data::{Click, Ending, Row, in_loop, in_time, rounds_of, some_clicks};
use crate::cluster::{everywhere, test_path};

/// Says of each time of a user's clicks which one it is. A timer for processing time must never be waited for.
struct Alarm;

impl EventProcessFunction<u32, Click> for Alarm {
    type State = u64;
    type Out = Row;

    fn process(
        &mut self,
        _user: &u32,
        _alarms: &mut u64,
        click: Click,
        context: &mut TimerContext,
        _out: &mut EventCollector<'_, Row>,
    ) -> Result<()> {
        context.register_event_time_timer(click.at);
        context.register_processing_time_timer(Duration::from_secs(3600));
        Ok(())
    }

    fn on_timer(
        &mut self,
        user: &u32,
        alarms: &mut u64,
        timer: Timer,
        context: &mut TimerContext,
        out: &mut EventCollector<'_, Row>,
    ) -> Result<()> {
        let Timer::EventTime(time) = timer else { return Err(Error::operator("an hour has gone by")) };
        assert!(time < context.watermark());
        *alarms += 1;
        out.emit((*user, time, 0, *alarms));
        Ok(())
    }

    fn for_next_round(&self) -> ForRound<Self> {
        ForRound::Same
    }
}

/// The alarms of each user in order; their numbers go on from round to round, or begin anew.
fn expected(goes_on: bool) -> BTreeMap<u32, Vec<(Round, i64, u64)>> {
    let mut alarms: BTreeMap<_, Vec<(Round, i64, u64)>> = BTreeMap::new();
    for (round, mut clicks) in (0..).zip(rounds_of(&some_clicks(200), usize::MAX)) {
        clicks.sort_unstable_by_key(|click| (click.user, click.at));
        clicks.dedup_by_key(|click| (click.user, click.at));
        for click in clicks {
            let of_user = alarms.entry(click.user).or_default();
            let before = of_user.iter().filter(|(of, ..)| goes_on || *of == round).count();
            of_user.push((round, click.at, before as u64 + 1));
        }
    }
    alarms
}

/// In a loop whose rounds come one after the other.
fn check_alarms(path: &str, life_cycle: OperatorLifeCycle) {
    let job = |config| {
        let found = execute(config, move |env| {
            let first = env.from_iter(some_clicks(200)).rebalance();
            // The criteria hold the feedback of a round until all of it is done.
            let found = in_loop(first, (Ending::Criteria(100), life_cycle), |x| {
                in_time(x).key_by(|click| click.user).process_function(Alarm).into_stream()
            });
            Ok(found.collect())
        });
        found.unwrap().concat()
    };
    everywhere(path, job, |found: Vec<(Round, Row)>, shape| {
        let mut alarms: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (round, (user, time, _, number)) in found {
            alarms.entry(user).or_default().push((round, time, number));
        }
        assert_eq!(alarms, expected(life_cycle == OperatorLifeCycle::AllRound), "{shape}");
    });
}

#[test]
fn timers_of_a_round_come_in_order_and_the_state_of_a_key_lives_over_all_rounds() {
    check_alarms(
        test_path!(timers_of_a_round_come_in_order_and_the_state_of_a_key_lives_over_all_rounds),
        OperatorLifeCycle::AllRound,
    );
}

#[test]
fn per_round_function_with_timers_begins_anew_in_each_round() {
    check_alarms(
        test_path!(per_round_function_with_timers_begins_anew_in_each_round),
        OperatorLifeCycle::PerRound,
    );
}

/// As [`Alarm`], but it does not say how it would begin anew.
struct Stubborn;

impl EventProcessFunction<u32, Click> for Stubborn {
    type State = ();
    type Out = Row;

    fn process(
        &mut self,
        _user: &u32,
        _state: &mut (),
        _click: Click,
        _context: &mut TimerContext,
        _out: &mut EventCollector<'_, Row>,
    ) -> Result<()> {
        Ok(())
    }
}

#[test]
fn per_round_function_that_can_not_begin_anew_is_refused() {
    let done = execute(RuntimeConfig::threads(2), |env| {
        let how = (Ending::Feedback, OperatorLifeCycle::PerRound);
        let found = in_loop(env.from_iter(some_clicks(3)), how, |x| {
            in_time(x).key_by(|click| click.user).process_function(Stubborn).name("stubborn").into_stream()
        });
        Ok(found.collect())
    });
    let error = done.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("keyed_process"), "{error}");
    assert!(error.to_string().contains("for_next_round"), "{error}");
}
