//! Clicks that go round a few times, and loops over them.

use std::marker::PhantomData;

use waterwheel::prelude::*;

pub(super) use crate::event_time::data::{Click, millis};

/// The clock in the body of an iteration that is in no other.
pub(super) type InLoop = (Epoch, Round);

/// User, two times or ids, a value.
pub(super) type Row = (u32, i64, i64, u64);

/// The click that follows in the next round: of another user, at another time. It has half the id, and ends at 0.
pub(super) fn next(click: &Click) -> Option<Click> {
    let id = click.id / 2;
    let (user, at) = ((click.user + id as u32) % 5, click.at * 3 % 700 - id as i64 % 11);
    (id > 0).then_some(Click { user, at, id })
}

/// The clicks of each round, while there are any, in at most `max_rounds`.
pub(super) fn rounds_of(first: &[Click], max_rounds: usize) -> Vec<Vec<Click>> {
    let first = (!first.is_empty()).then(|| first.to_vec());
    let following = |clicks: &Vec<Click>| {
        let next: Vec<_> = clicks.iter().filter_map(next).collect();
        (!next.is_empty()).then_some(next)
    };
    std::iter::successors(first, following).take(max_rounds).collect()
}

/// Clicks for tests that need no particular ones.
pub(super) fn some_clicks(n: u64) -> Vec<Click> {
    (0..n)
        .map(|i| Click { user: (i * 7 % 5) as u32, at: (i * 37 % 601) as i64 - 200, id: i * 11 % 23 })
        .collect()
}

/// The clicks with event time; none is late.
pub(super) fn in_time<T: Clock>(clicks: DataStream<'_, Click, T>) -> EventStream<'_, Click, T> {
    clicks.assign_timestamps_and_watermarks(WatermarkStrategy::bounded_out_of_orderness(
        millis(1_000_000),
        |click: &Click| click.at,
    ))
}

/// How many clicks a user has in each 100 ms.
pub(super) fn counts<T: Clock>(clicks: EventStream<'_, Click, T>) -> EventStream<'_, Row, T> {
    let windows = Windows::tumbling(millis(100)).unwrap();
    clicks.key_by(|click| click.user).window(windows).count().results.map(row)
}

pub(super) fn row(result: WindowResult<u32, u64>) -> Row {
    (result.key, result.window.start, result.window.end, result.value)
}

/// Says in which round a record is.
pub(super) struct InRound<D>(PhantomData<D>);

pub(super) fn in_round<D>() -> InRound<D> {
    InRound(PhantomData)
}

impl<D: 'static> IterationListener for InRound<D> {
    type Out = (Round, D);

    fn for_next_round(&self) -> ForRound<Self> {
        ForRound::Same
    }
}

impl<D: 'static> EpochProcessFunction<D> for InRound<D> {
    fn process(
        &mut self,
        record: D,
        context: &mut EpochContext,
        out: &mut Collector<(Round, D)>,
    ) -> Result<()> {
        out.emit((context.epoch(), record));
        Ok(())
    }
}

/// How a loop over clicks ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ending {
    Feedback,
    MaxRounds(Round),
    Criteria(Round),
}

impl Ending {
    /// The most rounds that there are.
    pub(super) fn max_rounds(self) -> usize {
        match self {
            Ending::Feedback => usize::MAX,
            Ending::MaxRounds(n) | Ending::Criteria(n) => n as usize,
        }
    }
}

/// What `body` makes of the clicks of each round, with the round.
pub(super) fn in_loop<'s, R: Record>(
    first: DataStream<'s, Click>,
    (ending, life_cycle): (Ending, OperatorLifeCycle),
    body: impl for<'i> FnOnce(DataStream<'i, Click, InLoop>) -> DataStream<'i, R, InLoop>,
) -> DataStream<'s, (Round, R)> {
    let config = IterationConfig::new().operator_life_cycle(life_cycle);
    let config = if let Ending::MaxRounds(n) = ending { config.max_rounds(n) } else { config };
    let (found,) = Iterations::iterate_bounded((first,), (), config, |_it, (x,), ()| {
        let next = x.clone().flat_map(|click| next(&click));
        let result = IterationBodyResult::new((next,), (body(x.clone()).process_epochs(in_round()),));
        match ending {
            Ending::Criteria(n) => result.termination_criteria(x.process_epochs(TerminateOnMaxIter::new(n))),
            _ => result,
        }
    });
    found
}
