//! The server operator: serves the blocks that come over the edge, loads the model, and sends the outputs.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use waterwheel_engine::operator::{Activation, Frontiers, Input, Output, Promise};
use waterwheel_engine::{Clock, Parcel, Result, machine};

use crate::core::policy::SendPolicy;
use crate::server::ServerLogic;
use crate::shard::{BlockOf, Shard};
use crate::worker_op::LoopTime;

/// Index of the input of requests and of the model.
const REQUESTS: usize = 0;
const MODEL: usize = 1;
/// Index of the output of answers.
pub(crate) const ANSWERS_PORT: usize = 0;

/// A parameter of a saved model: key and row.
pub(crate) type Saved<S> = (<S as ServerLogic>::Key, Vec<<S as ServerLogic>::Pull>);

/// Answers for one worker that wait to be sent, with the right to send them.
struct WaitingAnswer<S: ServerLogic, T: Clock> {
    block: BlockOf<S>,
    promise: Promise<LoopTime<T>>,
    since: Instant,
}

/// The ports and places of a server operator.
pub(crate) struct ServerParts<S: ServerLogic, T: Clock> {
    pub(crate) index: usize,
    pub(crate) shard: Rc<RefCell<Shard<S>>>,
    pub(crate) requests: Input<Parcel<BlockOf<S>>, LoopTime<T>>,
    /// Absent when no model is loaded.
    pub(crate) model: Option<Input<Vec<Saved<S>>, LoopTime<T>>>,
    pub(crate) answers: Output<Parcel<BlockOf<S>>, LoopTime<T>>,
    pub(crate) out: Output<Vec<S::Out>, LoopTime<T>>,
    /// The right to output; dropped when the server has closed.
    pub(crate) out_promise: Option<Promise<LoopTime<T>>>,
    pub(crate) send: SendPolicy,
    pub(crate) activation: Activation,
    /// Wakes the worker beside it, whose blocks wait for the model too.
    pub(crate) wake_worker: Activation,
}

/// The server operator's state on one worker.
pub(crate) struct ServerDriver<S: ServerLogic, T: Clock> {
    parts: ServerParts<S, T>,
    /// Requests that came before the model was loaded; their number is bounded by the workers' credit.
    parked: Vec<(Promise<LoopTime<T>>, BlockOf<S>)>,
    /// Answers held back by the sending policy, per worker.
    waiting: Vec<Option<WaitingAnswer<S, T>>>,
}

impl<S: ServerLogic, T: Clock> ServerDriver<S, T> {
    pub(crate) fn new(parts: ServerParts<S, T>, peers: usize) -> Self {
        ServerDriver { parts, parked: Vec::new(), waiting: (0..peers).map(|_| None).collect() }
    }

    /// One activation: everything that can be done now.
    pub(crate) fn run(&mut self, frontiers: &Frontiers<'_, LoopTime<T>>) -> Result<()> {
        self.load_model(frontiers)?;
        self.serve_requests()?;
        self.send_waiting();
        self.finish(frontiers)
    }

    fn load_model(&mut self, frontiers: &Frontiers<'_, LoopTime<T>>) -> Result<()> {
        let Some(model) = &mut self.parts.model else { return Ok(()) };
        if self.parts.shard.borrow().is_ready() {
            return Ok(());
        }
        let mut shard = self.parts.shard.borrow_mut();
        model.try_for_each(|_token, batch| {
            batch.drain(..).try_for_each(|(key, value)| shard.load(&key, &value))
        })?;
        if !frontiers.is_done(MODEL) {
            return Ok(());
        }
        shard.set_ready();
        drop(shard);
        self.parts.wake_worker.wake();
        for (promise, mut block) in std::mem::take(&mut self.parked) {
            self.serve(&mut block)?;
            self.parts.answers.send_promised(&promise, [&mut Parcel(block)]);
        }
        Ok(())
    }

    fn serve_requests(&mut self) -> Result<()> {
        let ready = self.parts.shard.borrow().is_ready();
        let ServerParts { shard, requests, answers, send, index, .. } = &mut self.parts;
        let (parked, waiting) = (&mut self.parked, &mut self.waiting);
        requests.try_for_each(|token, parcel| {
            let mut block = std::mem::take(&mut parcel.0);
            if !ready && !block.keys.is_empty() {
                parked.push((token.promise(ANSWERS_PORT), block));
                return Ok(());
            }
            let urgent = block.urgent;
            if block.keys.is_empty() {
                // A call for what is held back. It has no answer of its own: the worker may have ended.
                if let Some(held) = &mut waiting[block.from as usize] {
                    held.block.urgent = true;
                }
                return Ok(());
            }
            serve(&mut shard.borrow_mut(), &mut block, *index)?;
            let held = &mut waiting[block.destination as usize];
            if *send == SendPolicy::Immediate || (urgent && held.is_none()) {
                answers.send(&token, [&mut Parcel(block)]);
                return Ok(());
            }
            match held {
                Some(held) => held.append(block, urgent),
                None => {
                    let promise = token.promise(ANSWERS_PORT);
                    *held = Some(WaitingAnswer { block, promise, since: machine::now() });
                }
            }
            Ok(())
        })
    }

    fn serve(&mut self, block: &mut BlockOf<S>) -> Result<()> {
        serve(&mut self.parts.shard.borrow_mut(), block, self.parts.index)
    }

    /// Sends the answers that the policy lets go.
    fn send_waiting(&mut self) {
        let ServerParts { answers, send, activation, .. } = &mut self.parts;
        let mut some_wait = false;
        for slot in &mut self.waiting {
            let Some(held) = slot else { continue };
            let n = held.block.keys.len() + held.block.applied as usize;
            if held.block.urgent || send.allows(n, held.since.elapsed()) {
                let block = std::mem::take(&mut held.block);
                answers.send_promised(&held.promise, [&mut Parcel(block)]);
                *slot = None;
            } else {
                some_wait = true;
            }
        }
        if let Some(interval) = send.interval().filter(|_| some_wait) {
            activation.wake_after(interval);
        }
    }

    /// Sends what the logic has output; closes when no request can come any more.
    fn finish(&mut self, frontiers: &Frontiers<'_, LoopTime<T>>) -> Result<()> {
        let Some(promise) = &mut self.parts.out_promise else { return Ok(()) };
        let mut shard = self.parts.shard.borrow_mut();
        let next = frontiers.next(REQUESTS);
        let closes = next.is_none() && shard.is_ready();
        if closes {
            shard.close()?;
        }
        if !shard.out.is_empty() {
            self.parts.out.send_promised(promise, [shard.out.batch()]);
            shard.out.batch().clear();
        }
        match next {
            Some(time) if time > *promise.time() => promise.advance_to(&time)?,
            None if closes => self.parts.out_promise = None,
            _ => {}
        }
        Ok(())
    }
}

/// Serves a request that came over the edge and addresses its answer.
fn serve<S: ServerLogic>(shard: &mut Shard<S>, block: &mut BlockOf<S>, index: usize) -> Result<()> {
    let worker = block.from;
    shard.serve(block, worker as usize)?;
    (block.destination, block.from) = (worker, index as u32);
    Ok(())
}

impl<S: ServerLogic, T: Clock> WaitingAnswer<S, T> {
    fn append(&mut self, mut more: BlockOf<S>, urgent: bool) {
        self.block.keys.append(&mut more.keys);
        self.block.values.append(&mut more.values);
        self.block.applied += more.applied;
        self.block.urgent |= urgent;
    }
}
