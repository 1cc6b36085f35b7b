//! The rounds of a loop, through which event time runs anew; outside loops all is one round.

use std::collections::BTreeMap;

use crate::clock::{Clock, EventClock, EventTime, Watermark};
use crate::error::Result;
use crate::feedback::Mark;
use crate::operator::{Input, Promise, Token};
use crate::rounds::GOES_ON;

/// A round's time; `None` outside loops, for all times together.
pub(crate) type RoundTime<T> = Option<T>;

/// The rounds that have begun and are not complete, each with what an operator keeps for it.
pub(crate) struct Rounds<T: Clock, S> {
    /// Tells that a round has begun; `None` outside loops.
    ticks: Option<Input<Vec<Mark>, EventClock<T>>>,
    open: BTreeMap<RoundTime<T>, OpenRound<T, S>>,
}

/// A round that has begun.
pub(crate) struct OpenRound<T: Clock, S> {
    /// The right to send in the round, kept at the least time that may still arrive.
    pub(crate) promise: Promise<EventClock<T>>,
    pub(crate) watermark: EventTime,
    pub(crate) state: S,
}

impl<T: Clock, S: Default> OpenRound<T, S> {
    fn new(promise: Promise<EventClock<T>>) -> Self {
        OpenRound { promise, watermark: EventTime::MIN, state: S::default() }
    }
}

impl<T: Clock, S> OpenRound<T, S> {
    /// Gives up sending before `next`, the least time that may still arrive in the round.
    pub(crate) fn wait_until(&mut self, next: &EventClock<T>) -> Result<()> {
        let now = self.promise.time();
        if now == next {
            return Ok(());
        }
        // What has arrived may be ahead of what may still arrive.
        let (outer, inner) = ((&now.outer).max(&next.outer), now.inner.max(next.inner));
        let then = EventClock::new(outer.clone(), inner);
        self.promise.advance_to(&then)
    }
}

impl<T: Clock, S: Default> Rounds<T, S> {
    /// Rounds that follow the ticks of a loop; `first` is the promise for the first time of all.
    pub(crate) fn new(
        ticks: Option<Input<Vec<Mark>, EventClock<T>>>,
        first: Option<Promise<EventClock<T>>>,
    ) -> Self {
        let mut rounds = Rounds { ticks, open: BTreeMap::new() };
        if let Some(first) = first {
            rounds.open.insert(rounds.of(&T::minimum()), OpenRound::new(first));
        }
        rounds
    }

    /// The round that a time is in.
    #[inline]
    pub(crate) fn of(&self, time: &T) -> RoundTime<T> {
        self.ticks.is_some().then(|| time.clone())
    }

    /// Whether it is told when rounds begin.
    pub(crate) fn are_told(&self) -> bool {
        self.ticks.is_some()
    }

    /// Opens the rounds that have begun.
    pub(crate) fn read_ticks(&mut self) {
        let Rounds { ticks, open } = self;
        let Some(ticks) = ticks else { return };
        ticks.for_each(|token, marks| {
            if marks.drain(..).next() == Some(GOES_ON) {
                return;
            }
            let round = Some(token.time().outer);
            // What a record may have opened can not send at the beginning of event time.
            match open.get_mut(&round) {
                Some(early) => early.promise = token.promise(0),
                None => drop(open.insert(round, OpenRound::new(token.promise(0)))),
            }
        });
    }

    /// The round that a time is in, if it is open.
    #[inline]
    pub(crate) fn get_mut(&mut self, time: &T) -> Option<&mut OpenRound<T, S>> {
        let round = self.of(time);
        self.open.get_mut(&round)
    }

    /// What is kept for each open round.
    pub(crate) fn states(&self) -> impl Iterator<Item = &S> {
        self.open.values().map(|open| &open.state)
    }

    /// All times together, outside loops, until nothing may arrive any more.
    pub(crate) fn outside_loops(&mut self) -> Option<&mut OpenRound<T, S>> {
        self.open.get_mut(&None)
    }

    /// The round of a batch. One that nobody has told of is opened with the right that the batch gives.
    #[inline]
    pub(crate) fn of_batch(&mut self, token: &Token<EventClock<T>>) -> &mut OpenRound<T, S> {
        let round = self.of(&token.time().outer);
        self.open.entry(round).or_insert_with(|| OpenRound::new(token.promise(0)))
    }

    /// Calls `visit` for each open round, from the first, with the least time that may still arrive in it, which
    /// `next` tells; a round in which nothing may is closed.
    pub(crate) fn visit(
        &mut self,
        next: impl Fn(Option<&T>) -> Option<EventClock<T>>,
        mut visit: impl FnMut(Option<&T>, &mut OpenRound<T, S>, Option<EventClock<T>>) -> Result<()>,
    ) -> Result<()> {
        let mut outcome = Ok(());
        self.open.retain(|round, open| {
            if outcome.is_err() {
                return true;
            }
            let next = next(round.as_ref());
            let stays = next.is_some();
            outcome = visit(round.as_ref(), open, next);
            stays
        });
        outcome
    }
}

/// The watermark at the least time that may still arrive; `None` where that says nothing about event time.
pub(crate) fn watermark_at<T>(next: Option<&EventClock<T>>) -> Option<EventTime> {
    next.map_or(Some(EventTime::MAX), |next| Watermark::time(next.inner))
}
