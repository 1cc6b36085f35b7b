//! Operations that wait for clocks: pulls until those before them are complete, pushes for the end of theirs.

use std::collections::BTreeMap;

use waterwheel_engine::operator::Promise;
use waterwheel_engine::{Clock, Result};

use crate::block::Run;
use crate::consistency::PushOrder;
use crate::core::gate::{At, ClockGate};
use crate::core::ordered::Pushes;
use crate::server::ServerLogic;
use crate::shard::{BlockOf, Discipline, Request, Shard};
use crate::worker_op::LoopTime;

/// What waits for clocks.
pub(crate) struct Clocked<S: ServerLogic, T: Clock> {
    gate: ClockGate<T, (At<T>, Request<S, T>)>,
    /// How pushes are applied when their clock is complete, if they wait for that.
    pub(super) whole_clocks: Option<PushOrder>,
    pushes: BTreeMap<At<T>, Pushes<S::Key, S::Push>>,
}

impl<S: ServerLogic, T: Clock> Clocked<S, T> {
    pub(super) fn new(staleness: Option<u64>, start: T, whole_clocks: Option<PushOrder>) -> Self {
        Clocked { gate: ClockGate::new(staleness, start), whole_clocks, pushes: BTreeMap::new() }
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.gate.is_empty() && self.pushes.is_empty()
    }

    /// How many clocks before `at` are not complete.
    pub(super) fn missing(&self, at: &At<T>) -> u64 {
        self.gate.missing(at)
    }

    /// Hands a block back if it may be served now, and keeps it otherwise.
    pub(super) fn pass(
        &mut self,
        at: &At<T>,
        block: BlockOf<S>,
        worker: usize,
        promise: impl FnOnce() -> Option<Promise<LoopTime<T>>>,
    ) -> Option<BlockOf<S>> {
        if self.gate.lets_pass(at, block.snapshot) {
            return Some(block);
        }
        let (snapshot, promise) = (block.snapshot, promise());
        self.gate.wait(at, snapshot, (at.clone(), Request { block, worker, promise }));
        None
    }
}

impl<S: ServerLogic, T: Clock> Shard<S, T> {
    /// Serves a block whose pushes wait until its clock is complete.
    pub(super) fn serve_whole(&mut self, block: &mut BlockOf<S>, worker: usize, at: &At<T>) -> Result<()> {
        let (runs, keys) = (std::mem::take(&mut block.runs), std::mem::take(&mut block.keys));
        let deltas = std::mem::take(&mut block.deltas);
        let (mut start, mut pushed) = (0, 0);
        for Run { op, n, group } in runs {
            let keys = &keys[start..start + n as usize];
            if op.pushes() {
                let end = pushed + keys.len() * self.push_width;
                self.keep_pushes(keys, &deltas[pushed..end], worker, at);
                block.applied += u64::from(n);
                pushed = end;
            }
            if op.pulls() {
                let noted = self.answer_keys(keys, None, group, block)?;
                block.note_rows(&keys[noted..], group);
            }
            start += keys.len();
        }
        block.drop_plain_runs();
        Ok(())
    }

    fn keep_pushes(&mut self, keys: &[S::Key], deltas: &[S::Push], worker: usize, at: &At<T>) {
        let Discipline::Clocked(clocked) = &mut self.discipline else { return };
        clocked.pushes.entry(at.clone()).or_default().add(worker, keys, deltas);
    }

    /// Notes the least time that a request may still come at, `None` if none will: applies the pushes of clocks
    /// that are complete.
    pub(crate) fn advance(&mut self, least: Option<&LoopTime<T>>) -> Result<()> {
        let width = self.push_width;
        let Discipline::Clocked(clocked) = &mut self.discipline else { return Ok(()) };
        clocked.gate.advance(least.map(|(time, (clock, _hop))| (time.clone(), *clock)));
        let mut complete = Vec::new();
        let order = clocked.whole_clocks.unwrap_or_default();
        while let Some(first) = clocked.pushes.first_entry() {
            if !clocked.gate.is_complete(first.key()) {
                break;
            }
            complete.push(first.remove());
        }
        for pushes in complete {
            self.open()?;
            let (keys, deltas) = pushes.into_order(order, width);
            self.apply_pushes(&keys, &deltas)?;
        }
        Ok(())
    }

    /// The next request that has waited for its clocks and may be answered now, with its answer in place.
    pub(crate) fn next_waited(&mut self) -> Result<Option<Request<S, T>>> {
        let Discipline::Clocked(clocked) = &mut self.discipline else { return Ok(None) };
        let Some((at, mut request)) = clocked.gate.next_ready() else { return Ok(None) };
        self.answer(&mut request.block, request.worker, &at)?;
        Ok(Some(request))
    }
}
