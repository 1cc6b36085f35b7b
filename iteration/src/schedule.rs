//! When an operator's callbacks are due.

use std::collections::BTreeMap;

use waterwheel_engine::operator::{Input, Promise};
use waterwheel_engine::{Clock, Mark, Result, Round};

use crate::listener::END_EPOCH;

/// The time of a callback, and a promise per output.
pub(crate) type Call<U> = ((U, Round), Vec<Promise<(U, Round)>>);

/// Callbacks by time, with a promise per output.
type Due<U> = BTreeMap<(U, Round), Vec<Promise<(U, Round)>>>;

/// The callbacks that an operator is to make, each with the right to send at its time on all outputs: one for
/// each round that has begun, and one for the end of each run of the loop, behind its rounds.
pub(crate) struct Schedule<U: Clock> {
    ticks: Input<Vec<Mark>, (U, Round)>,
    in_order: bool,
    n_outputs: usize,
    /// The promises of the first time of all, before anything was read.
    first: Option<Vec<Promise<(U, Round)>>>,
    due: Due<U>,
    last: Option<(U, Round)>,
}

impl<U: Clock> Schedule<U> {
    /// A schedule that follows the ticks of a loop; `promises` are those that the operator has from the
    /// beginning, one per output.
    pub(crate) fn new(
        (ticks, in_order): (Input<Vec<Mark>, (U, Round)>, bool),
        promises: Vec<Promise<(U, Round)>>,
    ) -> Self {
        let (n_outputs, first) = (promises.len(), Some(promises));
        Schedule { ticks, in_order, n_outputs, first, due: BTreeMap::new(), last: None }
    }

    /// Gives up what is due from the beginning: all of it was done in an earlier run.
    pub(crate) fn say_no_more(&mut self) {
        self.first = None;
    }

    /// Notes the rounds that have begun.
    pub(crate) fn read(&mut self) -> Result<()> {
        if let Some(promises) = self.first.take() {
            begin(&mut self.due, (U::minimum(), 0), promises)?;
        }
        let Schedule { ticks, due, n_outputs, .. } = self;
        ticks.try_for_each(|token, marks| {
            marks.clear();
            let promises = (0..*n_outputs).map(|port| token.promise(port)).collect();
            begin(due, token.time(), promises)
        })
    }

    /// Takes the next callback if it is due: when nothing before `frontier` can arrive any more.
    pub(crate) fn next(&mut self, frontier: Option<&(U, Round)>) -> Option<Call<U>> {
        let first = self.due.first_entry()?;
        if frontier.is_some_and(|frontier| frontier <= first.key()) {
            return None;
        }
        self.last = Some(first.key().clone());
        Some(first.remove_entry())
    }

    /// Whether nothing of a later round is handled before the callback of an earlier one.
    pub(crate) fn in_order(&self) -> bool {
        self.in_order
    }

    /// The last time whose records may be handled now; `None` if there is no such limit.
    pub(crate) fn handles_up_to(&self) -> Option<(U, Round)> {
        if !self.in_order {
            return None;
        }
        match (self.due.keys().next(), &self.last) {
            (Some((run, END_EPOCH)), Some((of, last))) if run == of => Some((run.clone(), last + 1)),
            (Some(next), _) => Some(next.clone()),
            (None, last) => last.clone(),
        }
    }
}

/// Notes the callback of a round, and with the first one that of the end of its run.
fn begin<U: Clock>(due: &mut Due<U>, time: (U, Round), promises: Vec<Promise<(U, Round)>>) -> Result<()> {
    if time.1 == 0 {
        let end = (time.0.clone(), END_EPOCH);
        let later: Result<_> = promises.iter().map(|promise| promise.later(&end)).collect();
        due.insert(end, later?);
    }
    due.insert(time, promises);
    Ok(())
}
