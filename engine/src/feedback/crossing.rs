//! Feedback of a loop that goes on over checkpoint epochs.
//!
//! With one of its rounds the loop leaves the epoch, and all its feedback edges know with which before they pass anything
//! on that comes in it. What comes in that round then waits until the next epoch is open, and is sent round in that. So
//! the epoch drains as any other does, and what waits is all that is in flight: it is the state of the feedback edge.

use std::collections::{BTreeMap, BTreeSet};

use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::progress::operate::FrontierInterest;

use super::marks::{Mark, Pass, Rights};
use super::{FeedbackEdge, next_of};
use crate::checkpoint::{Part, Saved, Snapshot, Written};
use crate::clock::{Clock, Round};
use crate::edge::Edge;
use crate::error::{Error, Result};
use crate::exchange::{Channel, Counted};
use crate::operator::{Activation, Frontiers};
use crate::record::Record;
use crate::rounds::LEAVES;

impl<'i, D: Record, U: Clock> FeedbackEdge<'i, Vec<D>, (U, Round)> {
    /// As [`close_if`](Self::close_if), or as [`close_gated`](Self::close_gated) where there is `go`, in a loop that goes
    /// on over checkpoint epochs: `ticks` tell each round that begins, and with which one the epoch is left.
    pub fn close_over_epochs(
        mut self,
        edge: Edge<'i, Vec<D>, (U, Round)>,
        ticks: Edge<'i, Vec<Mark>, (U, Round)>,
        go: Option<Edge<'i, Vec<Mark>, (U, Round)>>,
        admits: impl Fn(&(U, Round)) -> bool + 'static,
    ) {
        let mut input = self.connect(edge);
        let mut ticks = self.builder.new_input_connection(ticks.stream, Pipeline, []);
        let mut go = go.map(|go| {
            self.depends_on(&go.lineage);
            let pact = Counted {
                pact: Exchange::new(|mark: &Mark| *mark),
                reader: self.origin.clone(),
                lineage: go.lineage,
                may_wait: false,
                channel: Channel::Exchange,
            };
            self.builder.new_input_connection(go.stream, pact, [])
        });
        let n_inputs = 2 + usize::from(go.is_some());
        (0..n_inputs).for_each(|port| self.builder.set_notify_for(port, FrontierInterest::Always));
        let mut part = self.part(n_inputs);
        let mut crossing = Crossing {
            pass: Pass::new(self.output, self.marks, self.gauge),
            go: go.is_some().then(BTreeSet::new),
            leaves: None,
            waiting: BTreeMap::new(),
            across: None,
            restored: Vec::new(),
        };
        let (step, origin) = (self.step, self.origin);
        self.builder.build(move |capabilities| {
            let mut first = Rights::first(capabilities);
            move |frontiers| {
                origin.guard(|| {
                    part.begin(&mut crossing)?;
                    if let Some(first) = first.take() {
                        crossing.resume(first)?;
                    }
                    ticks.for_each(|capability, marks| {
                        if marks.first() == Some(&LEAVES) {
                            crossing.leaves = capability.least().cloned();
                        }
                        marks.clear();
                    });
                    if let (Some(go), Some(known)) = (&mut go, &mut crossing.go) {
                        go.for_each(|capability, marks| {
                            marks.clear();
                            known.extend(capability.least().cloned());
                        });
                    }
                    input.for_each(|capability, batch| {
                        let next = next_of(&step, &capability).filter(|next| admits(next));
                        if let (Some(next), Some(time)) = (next, capability.least()) {
                            let rights = || crossing.pass.rights(&capability, &next);
                            let held = crossing.waiting.entry(time.clone());
                            held.or_insert_with(|| (rights(), Vec::new())).1.push(std::mem::take(batch));
                        }
                    });
                    let frontiers = Frontiers::new(frontiers);
                    let decided = (1..n_inputs).filter_map(|port| frontiers.next(port)).min();
                    crossing.decide_before(decided.as_ref())?;
                    crossing.forget_before((0..n_inputs).filter_map(|port| frontiers.next(port)).min());
                    part.step(&frontiers, &mut crossing)?;
                    crossing.enter_if_open(&part);
                    if (0..n_inputs).all(|port| frontiers.is_done(port)) {
                        part.end(&mut crossing)?;
                    }
                    Ok(())
                });
            }
        });
    }

    /// Its part in checkpoints; it is woken when it may go on.
    fn part(&self, n_inputs: usize) -> Part {
        let (scope, address) = (self.place.scope(), self.builder.operator_info().address);
        if let Some(checkpoints) = self.place.run().checkpoints() {
            checkpoints.register_source(scope.worker().sync_activator_for(address.to_vec()));
        }
        Part::new(&self.origin, Activation::new(scope.activator_for(address)), n_inputs, self.place.workers())
    }
}

/// What waits at a feedback edge, and what is known of rounds.
struct Crossing<D, U: Clock> {
    pass: Pass<Vec<D>, (U, Round)>,
    /// Rounds that another one follows; `None` where each is followed by one.
    go: Option<BTreeSet<(U, Round)>>,
    /// The round with which the loop leaves its epoch.
    leaves: Option<(U, Round)>,
    /// What has come in a round of which it is not known yet what follows.
    waiting: BTreeMap<(U, Round), Held<D, U>>,
    /// What is to be sent when the next epoch is open.
    across: Option<Held<D, U>>,
    /// What a checkpoint holds, with its round.
    restored: Vec<(Round, Vec<D>)>,
}

/// Batches, and the right to send them.
type Held<D, U> = (Rights<(U, Round)>, Vec<Vec<D>>);

impl<D: Record, U: Clock> Crossing<D, U> {
    /// Goes on with the round of the checkpoint, if there is one.
    fn resume(&mut self, mut first: Rights<(U, Round)>) -> Result<()> {
        let Some((round, _)) = self.restored.first() else { return Ok(()) };
        let round = *round;
        if let Some((other, _)) = self.restored.iter().find(|(other, _)| *other != round) {
            return Err(Error::data(format!(
                "feedback in the checkpoint is of rounds {round} and {other}, expected one"
            )));
        }
        first.advance_to(&(U::minimum(), round))?;
        let batches = std::mem::take(&mut self.restored).into_iter().map(|(_round, batch)| batch);
        self.across = Some((first, batches.collect()));
        Ok(())
    }

    /// Sends, drops or keeps for the next epoch what has come in rounds before `decided`; `None` is the end of all times.
    fn decide_before(&mut self, decided: Option<&(U, Round)>) -> Result<()> {
        while let Some(held) = self.waiting.first_entry() {
            if decided.is_some_and(|decided| decided <= held.key()) {
                return Ok(());
            }
            let (time, (mut rights, mut batches)) = held.remove_entry();
            if self.go.as_ref().is_some_and(|go| !go.contains(&time)) {
                continue;
            }
            if self.leaves.as_ref() != Some(&time) {
                batches.iter_mut().for_each(|batch| self.pass.send(&rights, batch));
                continue;
            }
            match &mut self.across {
                Some((_, others)) => others.append(&mut batches),
                None => {
                    rights.advance_to(&(U::first_of(time.0.epoch() + 1), time.1 + 1))?;
                    self.across = Some((rights, batches));
                }
            }
        }
        Ok(())
    }

    /// Sends what has waited for its epoch.
    fn enter_if_open(&mut self, part: &Part) {
        if let Some((rights, mut batches)) = self.across.take_if(|held| part.is_open(held.0.time().0.epoch()))
        {
            batches.iter_mut().for_each(|batch| self.pass.send(&rights, batch));
        }
    }

    /// Forgets decisions about times before `next`, for which nothing will come any more.
    fn forget_before(&mut self, next: Option<(U, Round)>) {
        if let Some(go) = &mut self.go {
            match &next {
                Some(next) => *go = go.split_off(next),
                None => go.clear(),
            }
        }
        self.pass.forget(next.map(|(run, round)| (run, round + 1)));
    }
}

impl<D: Record, U: Clock> Snapshot for Crossing<D, U> {
    fn mark(&mut self, to: &mut Written) -> Result<()> {
        let Some((rights, batches)) = &self.across else { return Ok(()) };
        batches.iter().try_for_each(|batch| to.items().put(&(rights.time().1, batch)))
    }

    fn restore(&mut self, from: &Saved<'_>) -> Result<()> {
        let mut items = from.items()?;
        while let Some(held) = items.next_item()? {
            self.restored.push(held);
        }
        Ok(())
    }
}
