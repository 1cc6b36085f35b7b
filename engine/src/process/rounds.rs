//! Operators that begin anew in each round of a loop.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::checkpoint::{Saved, Snapshot, Written};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::feedback::Mark;
use crate::operator::{Input, Promise, Token};

/// What serves a function's operator in the next round, where operators begin anew in each round of a loop.
#[derive(Debug)]
pub enum ForRound<F> {
    /// The same instance: it keeps nothing between records, but in the states that it is handed.
    Same,
    /// A new instance.
    Fresh(F),
    /// None: the function can not work round by round. The default; it ends the run where one is asked for.
    Refused,
}

impl<F> ForRound<F> {
    /// What a function that has no `snapshot` of its own says of its state in checkpoints: that there is none, where the
    /// same instance serves the next round.
    ///
    /// # Errors
    /// It may have one.
    pub fn keeps_nothing(&self) -> Result<()> {
        match self {
            ForRound::Same => Ok(()),
            _ => Err(Error::config(
                "this function may keep a state that checkpoints do not hold: implement snapshot, and restore if it keeps \
                 anything",
            )),
        }
    }

    /// As the state of a function that has `rest` to begin anew beside itself.
    pub(crate) fn with<R>(self, rest: impl FnOnce() -> R) -> ForRound<(Option<F>, R)> {
        match self {
            ForRound::Same => ForRound::Fresh((None, rest())),
            ForRound::Fresh(f) => ForRound::Fresh((Some(f), rest())),
            ForRound::Refused => ForRound::Refused,
        }
    }

    /// As the state of a function that keeps everything in itself, if anything.
    pub(crate) fn alone(self, waits_for_end: bool) -> ForRound<(Option<F>, ())> {
        match self {
            ForRound::Same if !waits_for_end => ForRound::Same,
            other => other.with(|| ()),
        }
    }
}

/// A function whose state can be put aside for that of another round.
pub(crate) trait Renewable {
    /// All that it keeps between records.
    type State: 'static;

    /// The state at the beginning of a round; `Same` if it keeps nothing, and is not told of the end.
    fn fresh(&self) -> ForRound<Self::State>;

    /// Exchanges its state for `state`.
    fn swap(&mut self, state: &mut Self::State);
}

/// Puts a function of another round in place, if there is one.
pub(crate) fn swap_function<F>(f: &mut F, other: &mut Option<F>) {
    if let Some(other) = other {
        std::mem::swap(f, other);
    }
}

/// The last time of the span that a time is in: a round, or a whole run of a loop.
pub(crate) type SpanOf<T> = Rc<dyn Fn(&T) -> T>;

/// The states of an operator by the last time of their span, each with the right to send at that time.
pub(crate) struct Spans<T: Clock, S> {
    last_of: SpanOf<T>,
    ticks: Input<Vec<Mark>, T>,
    n_outputs: usize,
    /// The promises of the first time of all, before anything was read.
    first: Option<Vec<Promise<T>>>,
    open: BTreeMap<T, (Vec<Promise<T>>, S)>,
}

impl<T: Clock, S> Spans<T, S> {
    pub(crate) fn new(last_of: SpanOf<T>, ticks: Input<Vec<Mark>, T>, promises: Vec<Promise<T>>) -> Self {
        Spans { last_of, ticks, n_outputs: promises.len(), first: Some(promises), open: BTreeMap::new() }
    }

    /// Opens the spans of the rounds that have begun. The first one has begun by itself.
    pub(crate) fn read(&mut self, mut fresh: impl FnMut() -> ForRound<S>) -> Result<()> {
        if let Some(promises) = self.first.take() {
            let last = (self.last_of)(&T::minimum());
            let promises: Result<_> = promises.iter().map(|promise| promise.later(&last)).collect();
            self.open.insert(last, (promises?, state(fresh())?));
        }
        let Spans { last_of, ticks, n_outputs, open, .. } = self;
        ticks.try_for_each(|token, marks| {
            marks.clear();
            open_span(open, last_of, *n_outputs, &token, &mut fresh).map(|_state| ())
        })
    }

    /// The spans that are open, in order.
    pub(crate) fn open_spans(&mut self) -> impl Iterator<Item = (&[Promise<T>], &mut S)> {
        self.open.values_mut().map(|(promises, state)| (&promises[..], state))
    }

    /// The state of the batch at hand.
    pub(crate) fn state_of(
        &mut self,
        token: &Token<T>,
        fresh: impl FnMut() -> ForRound<S>,
    ) -> Result<&mut S> {
        open_span(&mut self.open, &self.last_of, self.n_outputs, token, fresh)
    }

    /// Takes the next span that is complete when nothing before `frontier` can arrive any more.
    pub(crate) fn next_complete(&mut self, frontier: Option<&T>) -> Option<(Vec<Promise<T>>, S)> {
        let first = self.open.first_entry()?;
        let is_complete = frontier.is_none_or(|frontier| frontier > first.key());
        is_complete.then(|| first.remove())
    }
}

/// Spans are complete when a checkpoint is made. The first one has then been, if the loop has begun.
impl<T: Clock, S> Snapshot for Spans<T, S> {
    fn mark(&mut self, to: &mut Written) -> Result<()> {
        to.copied().put(&true)
    }

    fn restore(&mut self, from: &Saved<'_>) -> Result<()> {
        if from.had_ended(0) || from.copied()?.next_item::<bool>()?.is_some() {
            self.first = None;
        }
        Ok(())
    }
}

fn open_span<'a, T: Clock, S>(
    open: &'a mut BTreeMap<T, (Vec<Promise<T>>, S)>,
    last_of: &SpanOf<T>,
    n_outputs: usize,
    token: &Token<T>,
    mut fresh: impl FnMut() -> ForRound<S>,
) -> Result<&'a mut S> {
    use std::collections::btree_map::Entry;
    let last = last_of(&token.time());
    let span = match open.entry(last.clone()) {
        Entry::Occupied(span) => span.into_mut(),
        Entry::Vacant(vacant) => {
            let promises: Result<_> = (0..n_outputs).map(|port| token.promise(port).later(&last)).collect();
            vacant.insert((promises?, state(fresh())?))
        }
    };
    Ok(&mut span.1)
}

/// The state of a function that is known to have one.
pub(crate) fn state<S>(fresh: ForRound<S>) -> Result<S> {
    match fresh {
        ForRound::Fresh(state) => Ok(state),
        _ => Err(Error::internal("an operator that can not begin anew is in a round of its own")),
    }
}
