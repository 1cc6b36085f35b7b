//! Feedback that waits for a decision.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use timely::dataflow::channels::pact::Exchange;
use timely::progress::operate::FrontierInterest;
use timely::progress::timestamp::PathSummary;

use super::marks::{Mark, Pass, Rights};
use super::{FeedbackEdge, next_of};
use crate::clock::Clock;
use crate::edge::Edge;
use crate::exchange::{Channel, Counted};
use crate::operator::Batch;

impl<'i, C: Default + Batch, T: Clock> FeedbackEdge<'i, C, T> {
    /// As [`close_if`](Self::close_if), but holds what comes at a time until it is known whether a [`Mark`] for
    /// this worker arrives on `go` at the same time: then it is sent round, otherwise dropped.
    pub fn close_gated(
        mut self,
        edge: Edge<'i, C, T>,
        go: Edge<'i, Vec<Mark>, T>,
        admits: impl Fn(&T) -> bool + 'static,
    ) {
        let mut input = self.connect(edge);
        self.depends_on(&go.lineage);
        let pact = Counted {
            pact: Exchange::new(|mark: &Mark| *mark),
            reader: Rc::clone(&self.origin),
            lineage: go.lineage,
            may_wait: false,
            channel: Channel::Exchange,
        };
        let mut go = self.builder.new_input_connection(go.stream, pact, []);
        self.builder.set_notify_for(0, FrontierInterest::Never);
        // Not `IfCapability`: what is held now may be known to timely only after the frontier has moved, and then
        // nobody would wake the gate.
        self.builder.set_notify_for(1, FrontierInterest::Always);
        let mut gate = Gate {
            pass: Pass::new(self.output, self.marks, self.gauge),
            go: BTreeSet::new(),
            held: BTreeMap::new(),
        };
        let step = self.step;
        self.builder.build(move |_capabilities| {
            move |frontiers| {
                go.for_each(|capability, marks| {
                    marks.clear();
                    gate.go.extend(capability.least().cloned());
                });
                input.for_each(|capability, batch| {
                    let next = next_of(&step, &capability).filter(|next| admits(next));
                    if let (Some(next), Some(time)) = (next, capability.least()) {
                        let rights = gate.pass.rights(&capability, &next);
                        gate.hold(time.clone(), rights, std::mem::take(batch));
                    }
                });
                let decided = frontiers[1].frontier().first().cloned();
                gate.decide_before(decided.as_ref());
                let next =
                    [&frontiers[0], &frontiers[1]].map(|frontier| frontier.frontier().first().cloned());
                gate.forget_before(next.into_iter().flatten().min(), &step);
            }
        });
    }
}

/// Batches that wait, and the decisions that are known.
struct Gate<C, T: Clock> {
    pass: Pass<C, T>,
    /// Times whose feedback goes round.
    go: BTreeSet<T>,
    held: BTreeMap<T, (Rights<T>, Vec<C>)>,
}

impl<C: Default + Batch, T: Clock> Gate<C, T> {
    fn hold(&mut self, time: T, rights: Rights<T>, batch: C) {
        self.held.entry(time).or_insert_with(|| (rights, Vec::new())).1.push(batch);
    }

    /// Sends or drops what is held for times before `decided`; `None` is the end of all times.
    fn decide_before(&mut self, decided: Option<&T>) {
        while let Some(held) = self.held.first_entry() {
            if decided.is_some_and(|decided| decided <= held.key()) {
                return;
            }
            let (time, (rights, batches)) = held.remove_entry();
            if self.go.contains(&time) {
                for mut batch in batches {
                    self.pass.send(&rights, &mut batch);
                }
            }
        }
    }

    /// Forgets decisions about times before `next`, for which nothing will come any more.
    fn forget_before(&mut self, next: Option<T>, step: &T::Summary) {
        match &next {
            Some(next) => {
                while self.go.first().is_some_and(|time| time < next) {
                    self.go.pop_first();
                }
            }
            None => self.go.clear(),
        }
        self.pass.forget(next.and_then(|time| step.results_in(&time)));
    }
}
