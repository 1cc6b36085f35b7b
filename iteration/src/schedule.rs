//! When an operator's callbacks are due.

use std::collections::BTreeMap;

use waterwheel_engine::operator::{Input, Promise};
use waterwheel_engine::{Clock, Epoch, GOES_ON, LEAVES, Mark, Result, Round, STAYS};

use crate::listener::END_EPOCH;

/// The time of a callback, and a promise per output.
pub(crate) type Call<U> = ((U, Round), Vec<Promise<(U, Round)>>);

/// The first round whose callback was not made, and those whose callback waits for more that may come into the loop.
pub(crate) type Standing = (Round, Vec<Round>);

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
    /// The run that goes on in the next checkpoint epoch, with all its rounds.
    goes_on: Option<U>,
}

impl<U: Clock> Schedule<U> {
    /// A schedule that follows the ticks of a loop; `promises` are those that the operator has from the
    /// beginning, one per output.
    pub(crate) fn new(
        (ticks, in_order): (Input<Vec<Mark>, (U, Round)>, bool),
        promises: Vec<Promise<(U, Round)>>,
    ) -> Self {
        let (n_outputs, first) = (promises.len(), Some(promises));
        Schedule {
            ticks,
            in_order,
            n_outputs,
            first,
            due: BTreeMap::new(),
            last: None,
            leaves: None,
            goes_on: None,
        }
    }

    /// Gives up what is due from the beginning: all of it was done in an earlier run.
    pub(crate) fn say_no_more(&mut self) {
        self.first = None;
    }

    /// What it would go on with in a later run of the job.
    pub(crate) fn standing(&self) -> Standing {
        let next = self.last.as_ref().map_or(0, |(_run, round)| round + 1);
        let begun = self.due.keys().map(|(_run, round)| *round).filter(|round| *round != END_EPOCH);
        (next, begun.collect())
    }

    /// Goes on with what an earlier run of the job has not done. In a loop inside another one that has done all.
    pub(crate) fn resume(&mut self, (next, begun): Standing) -> Result<()> {
        let Some(promises) = self.first.take() else { return Ok(()) };
        if U::NESTED > 0 {
            self.last = Some((U::minimum(), END_EPOCH));
            return Ok(());
        }
        for round in begun.into_iter().chain([END_EPOCH]) {
            insert(&mut self.due, (U::minimum(), round), &promises)?;
        }
        self.last = next.checked_sub(1).map(|last| (U::minimum(), last));
        Ok(())
    }

    /// Notes the rounds that have begun.
    pub(crate) fn read(&mut self) -> Result<()> {
        if let Some(promises) = self.first.take() {
            begin(&mut self.due, (U::minimum(), 0), promises)?;
        }
        let Schedule { ticks, due, n_outputs, leaves, goes_on, .. } = self;
        ticks.try_for_each(|token, marks| {
            let (run, round) = token.time();
            let says = marks.drain(..).next().unwrap_or(STAYS);
            if says == GOES_ON {
                *goes_on = Some(run.clone());
                return cross(due, &run, 0);
            }
            let promises: Vec<_> = (0..*n_outputs).map(|port| token.promise(port)).collect();
            if goes_on.as_ref() == Some(&run) {
                return insert(due, (next_epoch(&run), round), &promises);
            }
            begin(due, (run.clone(), round), promises)?;
            if says == LEAVES {
                *leaves = Some((run.clone(), round));
                cross(due, &run, round + 1)?;
            }
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
        insert(due, (time.0.clone(), END_EPOCH), &promises)?;
    }
    due.insert(time, promises);
    Ok(())
}

/// Notes the callback of a time, for which there are earlier promises.
fn insert<U: Clock>(due: &mut Due<U>, time: (U, Round), promises: &[Promise<(U, Round)>]) -> Result<()> {
    let later: Result<_> = promises.iter().map(|promise| promise.later(&time)).collect();
    due.insert(time, later?);
    Ok(())
}

/// Lets the callbacks of a run from this round on wait for the next checkpoint epoch.
fn cross<U: Clock>(due: &mut Due<U>, run: &U, from: Round) -> Result<()> {
    let of_run = due.range((run.clone(), from)..=(run.clone(), END_EPOCH));
    let moved: Vec<_> = of_run.map(|(time, _)| time.clone()).collect();
    moved.into_iter().try_for_each(|time| {
        let promises = due.remove(&time).unwrap_or_default();
        insert(due, (next_epoch(run), time.1), &promises)
    })
}

/// The run in the next checkpoint epoch, of a loop that is in no other one.
fn next_epoch<U: Clock>(run: &U) -> U {
    U::first_of(run.epoch() + 1)
}
