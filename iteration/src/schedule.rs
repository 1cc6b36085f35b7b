//! When an operator's callbacks are due.

use std::collections::BTreeMap;

use waterwheel_engine::operator::{Input, Promise};
use waterwheel_engine::{Clock, Epoch, LEAVES, Mark, Result, Round};

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
    /// The round with which the loop leaves its checkpoint epoch.
    leaves: Option<(U, Round)>,
}

impl<U: Clock> Schedule<U> {
    /// A schedule that follows the ticks of a loop; `promises` are those that the operator has from the
    /// beginning, one per output.
    pub(crate) fn new(
        (ticks, in_order): (Input<Vec<Mark>, (U, Round)>, bool),
        promises: Vec<Promise<(U, Round)>>,
    ) -> Self {
        let (n_outputs, first) = (promises.len(), Some(promises));
        Schedule { ticks, in_order, n_outputs, first, due: BTreeMap::new(), last: None, leaves: None }
    }

    /// Gives up what is due from the beginning: all of it was done in an earlier run.
    pub(crate) fn say_no_more(&mut self) {
        self.first = None;
    }

    /// The round behind the last one whose callback was made.
    pub(crate) fn next_round(&self) -> Round {
        self.last.as_ref().map_or(0, |(_run, round)| round + 1)
    }

    /// Goes on with this round, as an earlier run of the job has made the callbacks before it. In a loop inside another one
    /// these are of whole runs.
    pub(crate) fn resume(&mut self, round: Round) -> Result<()> {
        let Some(promises) = self.first.take().filter(|_| U::NESTED == 0) else { return Ok(()) };
        insert_end(&mut self.due, U::minimum(), &promises)?;
        self.last = round.checked_sub(1).map(|last| (U::minimum(), last));
        Ok(())
    }

    /// Notes the rounds that have begun.
    pub(crate) fn read(&mut self) -> Result<()> {
        if let Some(promises) = self.first.take() {
            begin(&mut self.due, (U::minimum(), 0), promises)?;
        }
        let Schedule { ticks, due, n_outputs, leaves, .. } = self;
        ticks.try_for_each(|token, marks| {
            let promises = (0..*n_outputs).map(|port| token.promise(port)).collect();
            begin(due, token.time(), promises)?;
            if marks.first() == Some(&LEAVES) {
                *leaves = Some(token.time());
                let run = token.time().0;
                if let Some(promises) = due.remove(&(run.clone(), END_EPOCH)) {
                    insert_end(due, next_epoch(&run), &promises)?;
                }
            }
            marks.clear();
            Ok(())
        })
    }

    /// Takes the next callback if it is due: when nothing before `frontier` can arrive any more, and the checkpoint epoch of
    /// the callback `is_open`.
    pub(crate) fn next(
        &mut self,
        frontier: Option<&(U, Round)>,
        is_open: impl Fn(Epoch) -> bool,
    ) -> Option<Call<U>> {
        let first = self.due.first_entry()?;
        if frontier.is_some_and(|frontier| frontier <= first.key()) || !is_open(first.key().0.epoch()) {
            return None;
        }
        let (time, promises) = first.remove_entry();
        self.last = match self.leaves.take_if(|leaves| *leaves == time) {
            Some((run, round)) => Some((next_epoch(&run), round)),
            None => Some(time.clone()),
        };
        Some((time, promises))
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
        insert_end(due, time.0.clone(), &promises)?;
    }
    due.insert(time, promises);
    Ok(())
}

/// Notes the callback of the end of a run, for which there are earlier promises.
fn insert_end<U: Clock>(due: &mut Due<U>, run: U, promises: &[Promise<(U, Round)>]) -> Result<()> {
    let end = (run, END_EPOCH);
    let later: Result<_> = promises.iter().map(|promise| promise.later(&end)).collect();
    due.insert(end, later?);
    Ok(())
}

/// The run in the next checkpoint epoch, of a loop that is in no other one.
fn next_epoch<U: Clock>(run: &U) -> U {
    U::first_of(run.epoch() + 1)
}
