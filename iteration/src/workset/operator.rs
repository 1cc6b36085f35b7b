//! The operator under a workset iteration: round after round, time after time.

use std::collections::BTreeMap;

use waterwheel_engine::hash::Key;
use waterwheel_engine::operator::{Frontiers, Input, Output, Promise};
use waterwheel_engine::{Clock, Record, Result, Round};

use crate::workset::slots::Slots;
use crate::workset::{Workset, WorksetFunction};

/// Records that are sent at once.
const BATCH: usize = 1024;

/// Runs a [`WorksetFunction`] on the keys of one worker.
pub(super) struct Operator<K: Key, W: Record, T: Clock, F: WorksetFunction<K, W>> {
    input: Input<Vec<(K, W)>, (T, Round)>,
    next: Output<Vec<(K, W)>, (T, Round)>,
    out: Output<Vec<F::Out>, (T, Round)>,
    function: F,
    slots: Slots<K, W, F::State>,
    /// The work of rounds that have not begun.
    rounds: BTreeMap<(T, Round), Waiting<K, W, T>>,
    /// The time whose rounds have begun.
    open: Option<Open<T>>,
}

/// The work of one round.
struct Waiting<K, W, T: Clock> {
    /// The right to send work for the round after.
    promise: Promise<(T, Round)>,
    /// The right to emit results at this time.
    results: Promise<(T, Round)>,
    batches: Vec<Vec<(K, W)>>,
}

/// A time whose rounds have begun.
struct Open<T: Clock> {
    /// The right to emit results at this time.
    results: Promise<(T, Round)>,
    /// Places of the keys that have had work.
    touched: Vec<usize>,
}

impl<K: Key, W: Record, T: Clock, F: WorksetFunction<K, W>> Operator<K, W, T, F> {
    /// The first output feeds back, the second one leaves the loop.
    pub(super) fn new(
        input: Input<Vec<(K, W)>, (T, Round)>,
        next: Output<Vec<(K, W)>, (T, Round)>,
        out: Output<Vec<F::Out>, (T, Round)>,
        function: F,
    ) -> Self {
        Operator { input, next, out, function, slots: Slots::new(), rounds: BTreeMap::new(), open: None }
    }

    /// One activation: whatever round is complete is worked on.
    pub(super) fn run(&mut self, frontiers: &Frontiers<'_, (T, Round)>) -> Result<()> {
        self.read();
        loop {
            let open_is_over =
                self.open.as_ref().is_some_and(|open| is_over(&open.results.time().0, frontiers));
            let begins = self.rounds.first_key_value().map(|(time, _)| time.clone());
            let begins = begins.filter(|time| !frontiers.may_arrive(0, time));
            match begins {
                // Work of the open time comes before its end, which the frontier may have passed already.
                Some(time) if !open_is_over || self.is_open(&time.0) => self.begin(&time)?,
                _ if open_is_over => self.settle()?,
                _ => return Ok(()),
            }
        }
    }

    /// Takes in the work that is there.
    fn read(&mut self) {
        let rounds = &mut self.rounds;
        self.input.for_each(|token, batch| {
            let waiting = rounds.entry(token.time()).or_insert_with(|| Waiting {
                promise: token.promise(0),
                results: token.promise(1),
                batches: Vec::new(),
            });
            waiting.batches.push(std::mem::take(batch));
        });
    }

    fn is_open(&self, time: &T) -> bool {
        self.open.as_ref().is_some_and(|open| open.results.time().0 == *time)
    }

    /// Handles the work of one round, which is complete.
    fn begin(&mut self, time: &(T, Round)) -> Result<()> {
        let Some(Waiting { promise, results, batches }) = self.rounds.remove(time) else { return Ok(()) };
        let open = self.open.get_or_insert_with(|| Open { results, touched: Vec::new() });
        let slots = &mut self.slots;
        let due: Vec<usize> =
            batches.into_iter().flatten().filter_map(|(key, work)| slots.add(key, work)).collect();
        let mut workset = Workset { work: Vec::with_capacity(BATCH) };
        for place in due {
            let Some(slot) = slots.at(place) else { continue };
            self.function.step(&slot.key, &mut slot.work, &mut slot.state, &mut workset)?;
            slot.work.clear();
            if !std::mem::replace(&mut slot.is_touched, true) {
                open.touched.push(place);
            }
            if workset.work.len() >= BATCH {
                self.next.send_promised(&promise, [&mut workset.work]);
                workset.work.clear();
            }
        }
        self.next.send_promised(&promise, [&mut workset.work]);
        Ok(())
    }

    /// Emits the results of the open time, which has no work left.
    fn settle(&mut self) -> Result<()> {
        let Some(Open { results, touched }) = self.open.take() else { return Ok(()) };
        let mut out = Vec::new();
        for place in touched {
            let Some(slot) = self.slots.at(place) else { continue };
            slot.is_touched = false;
            if !self.function.settled(&slot.key, &mut slot.state, &mut out)? {
                self.slots.remove(place);
            }
            if out.len() >= BATCH {
                self.out.send_promised(&results, [&mut out]);
                out.clear();
            }
        }
        self.out.send_promised(&results, [&mut out]);
        Ok(())
    }
}

/// Whether no work of `time` can come any more, in whatever round.
fn is_over<T: Clock>(time: &T, frontiers: &Frontiers<'_, (T, Round)>) -> bool {
    frontiers.next(0).is_none_or(|next| next.0 != *time)
}
