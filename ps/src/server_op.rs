//! The server operator: serves the blocks that come over the edge, loads the model, and sends the outputs.

mod replies;

use std::cell::RefCell;
use std::rc::Rc;

use waterwheel_engine::checkpoint::{CheckpointHold, Part};
use waterwheel_engine::operator::{Activation, Frontiers, Input, Output, Promise, Token};
use waterwheel_engine::{Clock, Error, Parcel, Result};

use crate::block::Block;
use crate::core::policy::SendPolicy;
use crate::placement::Placement;
use crate::server::ServerLogic;
use crate::shard::{BlockOf, Request, ServerState, Shard};
use crate::worker_op::LoopTime;
use replies::{Replies, Right};

/// Index of the input of requests and of the model.
const REQUESTS: usize = 0;
const MODEL: usize = 1;
/// Index of the output of answers.
pub(crate) const ANSWERS_PORT: usize = 0;

/// A parameter of a saved model: key and row.
pub(crate) type Saved<S> = (<S as ServerLogic>::Key, Vec<<S as ServerLogic>::Pull>);

/// Where a saved model comes from.
pub(crate) struct ModelInput<S: ServerLogic, T: Clock> {
    pub(crate) rows: Input<Vec<Saved<S>>, LoopTime<T>>,
    /// No checkpoint is begun before all of the model is there: a job that goes on from one has it in its state.
    pub(crate) hold: CheckpointHold,
}

/// The ports and places of a server operator.
pub(crate) struct ServerParts<S: ServerLogic, T: Clock> {
    pub(crate) index: usize,
    pub(crate) shard: Rc<RefCell<Shard<S, T>>>,
    pub(crate) requests: Input<Parcel<BlockOf<S>>, LoopTime<T>>,
    /// Absent when no model is loaded.
    pub(crate) model: Option<ModelInput<S, T>>,
    pub(crate) answers: Output<Parcel<BlockOf<S>>, LoopTime<T>>,
    pub(crate) out: Output<Vec<S::Out>, LoopTime<T>>,
    /// The right to output; dropped when the server has closed.
    pub(crate) out_promise: Option<Promise<LoopTime<T>>>,
    pub(crate) send: SendPolicy,
    /// Whether workers are told which keys are hot.
    pub(crate) tells_hot: bool,
    pub(crate) activation: Activation,
    /// Wakes the worker beside it, whose blocks wait for the model, for clocks and for others too.
    pub(crate) wake_worker: Activation,
    pub(crate) part: Part,
    pub(crate) servers: usize,
    pub(crate) placement: Placement<S::Key>,
}

/// The server operator's state on one worker.
pub(crate) struct ServerDriver<S: ServerLogic, T: Clock> {
    requests: Input<Parcel<BlockOf<S>>, LoopTime<T>>,
    /// Until all of the model is there.
    model: Option<ModelInput<S, T>>,
    out: Output<Vec<S::Out>, LoopTime<T>>,
    out_promise: Option<Promise<LoopTime<T>>>,
    activation: Activation,
    wake_worker: Activation,
    /// Requests that came before the model was loaded; their number is bounded by the workers' credit.
    parked: Vec<(Promise<LoopTime<T>>, BlockOf<S>)>,
    serving: Serving<S, T>,
    part: Part,
    servers: usize,
    placement: Placement<S::Key>,
    restored: bool,
}

/// A server's state and its way to the workers.
struct Serving<S: ServerLogic, T: Clock> {
    index: usize,
    shard: Rc<RefCell<Shard<S, T>>>,
    replies: Replies<S, T>,
    /// Whether workers are told which keys are hot.
    tells_hot: bool,
    /// The right to answer the pulls of each worker that are open.
    rights: Vec<Option<Promise<LoopTime<T>>>>,
}

impl<S: ServerLogic, T: Clock> ServerDriver<S, T> {
    pub(crate) fn new(parts: ServerParts<S, T>, peers: usize) -> Self {
        let ServerParts { index, shard, requests, model, answers, out, .. } = parts;
        let (out_promise, activation, wake_worker) = (parts.out_promise, parts.activation, parts.wake_worker);
        let replies = Replies::new(answers, parts.send, peers);
        let (tells_hot, rights) = (parts.tells_hot, (0..peers).map(|_| None).collect());
        let serving = Serving { index, shard, replies, tells_hot, rights };
        let parked = Vec::new();
        ServerDriver {
            requests,
            model,
            out,
            out_promise,
            activation,
            wake_worker,
            parked,
            serving,
            part: parts.part,
            servers: parts.servers,
            placement: parts.placement,
            restored: false,
        }
    }

    /// One activation: everything that can be done now.
    pub(crate) fn run(&mut self, frontiers: &Frontiers<'_, LoopTime<T>>) -> Result<()> {
        self.begin()?;
        self.load_model(frontiers)?;
        self.serve_requests()?;
        let for_neighbour = self.serving.advance(frontiers)? | self.serving.send_late()?;
        if for_neighbour {
            self.wake_worker.wake();
        }
        if let Some(interval) = self.serving.replies.let_go() {
            self.activation.wake_after(interval);
        }
        self.send_outputs();
        self.step(frontiers)?;
        self.finish(frontiers)
    }

    /// Takes over what a checkpoint has of the server, the first time.
    fn begin(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.restored, true) {
            return Ok(());
        }
        let mut shard = self.serving.shard.borrow_mut();
        let (index, servers, placement) = (self.serving.index, self.servers, &self.placement);
        self.part.begin(&mut ServerState { shard: &mut shard, index, servers, placement })?;
        if self.part.had_ended(REQUESTS) {
            // The model was emitted in that run.
            self.out_promise = None;
        }
        if self.model.is_none() && self.part.is_taken() {
            shard.set_ready();
            drop(shard);
            self.wake_worker.wake();
        }
        Ok(())
    }

    fn step(&mut self, frontiers: &Frontiers<'_, LoopTime<T>>) -> Result<()> {
        if !self.part.is_taken() {
            return Ok(());
        }
        let mut shard = self.serving.shard.borrow_mut();
        let (index, servers, placement) = (self.serving.index, self.servers, &self.placement);
        let mut state = ServerState { shard: &mut shard, index, servers, placement };
        self.part.step(frontiers, &mut state)
    }

    /// Sends what the logic has output.
    fn send_outputs(&mut self) {
        let Some(promise) = &self.out_promise else { return };
        let mut shard = self.serving.shard.borrow_mut();
        let out = &mut shard.ps.out;
        if !out.is_empty() {
            self.out.send_promised(promise, [out.batch()]);
            out.batch().clear();
        }
    }

    fn load_model(&mut self, frontiers: &Frontiers<'_, LoopTime<T>>) -> Result<()> {
        let Some(model) = &mut self.model else { return Ok(()) };
        let mut shard = self.serving.shard.borrow_mut();
        model.rows.try_for_each(|_token, batch| {
            batch.drain(..).try_for_each(|(key, value)| shard.load(&key, &value))
        })?;
        if !frontiers.is_done(MODEL) {
            return Ok(());
        }
        shard.set_ready();
        drop(shard);
        drop(self.model.take().map(|model| model.hold));
        self.wake_worker.wake();
        let mut parked = std::mem::take(&mut self.parked).into_iter();
        parked.try_for_each(|(promise, block)| {
            let block = Block { urgent: true, ..block };
            self.serving.serve(block, &Right::Promise(promise))
        })
    }

    fn serve_requests(&mut self) -> Result<()> {
        let ready = self.serving.shard.borrow().is_ready();
        let (serving, parked) = (&mut self.serving, &mut self.parked);
        self.requests.try_for_each(|token, parcel| {
            let block = std::mem::take(&mut parcel.0);
            if block.from as usize >= serving.rights.len() {
                return Err(Error::data(format!("a request of worker {}, which there is not", block.from)));
            }
            match (block.keys.is_empty(), ready) {
                (true, _) if block.is_leave() => {
                    serving.pass_on_leave(&token);
                    Ok(())
                }
                (true, _) => serving.take_word(&block),
                (false, true) => serving.serve(block, &Right::Token(&token)),
                (false, false) => {
                    parked.push((token.promise(ANSWERS_PORT), block));
                    Ok(())
                }
            }
        })
    }

    /// Closes the logic when nothing will come any more, and lets time pass behind the outputs.
    fn finish(&mut self, frontiers: &Frontiers<'_, LoopTime<T>>) -> Result<()> {
        let next = frontiers.next(REQUESTS);
        let closes = next.is_none() && self.serving.shard.borrow().is_ready();
        if closes && self.out_promise.is_some() {
            self.serving.shard.borrow_mut().close()?;
            self.send_outputs();
        }
        match (next, &mut self.out_promise) {
            (Some(time), Some(promise)) if time > *promise.time() => promise.advance_to(&time)?,
            (None, Some(_)) if closes => self.out_promise = None,
            _ => {}
        }
        if closes && self.part.is_taken() {
            let mut shard = self.serving.shard.borrow_mut();
            let (index, servers, placement) = (self.serving.index, self.servers, &self.placement);
            self.part.end(&mut ServerState { shard: &mut shard, index, servers, placement })?;
        }
        Ok(())
    }
}

impl<S: ServerLogic, T: Clock> Serving<S, T> {
    /// Serves a request that came over the edge, and answers it unless it waits for clocks.
    fn serve(&mut self, block: BlockOf<S>, right: &Right<'_, T>) -> Result<()> {
        let worker = block.from as usize;
        let (time, (clock, _hop)) = right.time();
        let mut shard = self.shard.borrow_mut();
        let served = shard.serve(block, worker, &(time, clock), || Some(right.promise()))?;
        // Before the answer, without which the worker can not end: behind it nobody might read the word.
        if self.tells_hot
            && let Some(keys) = shard.watch.news(worker)
        {
            let word = Block { hot: true, keys, ..Block::default() };
            self.replies.tell(self.index, worker, word, right);
        }
        if let Some(late) = shard.ps.take_late(worker) {
            self.replies.send(self.index, worker, late, right);
        }
        if let Some(answer) = served {
            self.replies.send(self.index, worker, answer, right);
        }
        if shard.ps.open_pulls(worker) > 0 && self.rights[worker].is_none() {
            self.rights[worker] = Some(right.promise());
        }
        Ok(())
    }

    /// Passes on to all workers that they are to leave the checkpoint epoch.
    fn pass_on_leave(&mut self, token: &Token<LoopTime<T>>) {
        for worker in 0..self.rights.len() {
            let word = Block::leave();
            self.replies.tell(self.index, worker, word, &Right::Token(token));
        }
    }

    /// Takes what a worker says without asking for something. It has no answer: the worker may have ended.
    fn take_word(&mut self, block: &BlockOf<S>) -> Result<()> {
        let worker = block.from as usize;
        if block.urgent {
            self.replies.call_in(worker);
        }
        if block.finished {
            self.shard.borrow_mut().end_worker(worker)?;
        }
        Ok(())
    }

    /// Does what has waited for clocks that are complete now. Returns whether the worker beside the server has
    /// something to take.
    fn advance(&mut self, frontiers: &Frontiers<'_, LoopTime<T>>) -> Result<bool> {
        let mut shard = self.shard.borrow_mut();
        shard.advance(frontiers.next(REQUESTS).as_ref())?;
        let mut for_neighbour = false;
        while let Some(Request { block, worker, promise }) = shard.next_waited()? {
            let late = shard.ps.take_late(worker);
            let Some(promise) = promise else {
                shard.for_neighbour.extend(late.into_iter().chain([block]));
                for_neighbour = true;
                continue;
            };
            if shard.ps.open_pulls(worker) > 0 && self.rights[worker].is_none() {
                self.rights[worker] = Some(promise.clone());
            }
            let right = Right::Promise(promise);
            // The worker may have called in its answers while this one waited.
            for block in late.into_iter().chain([block]) {
                let block = Block { urgent: true, ..block };
                self.replies.send(self.index, worker, block, &right);
            }
        }
        Ok(for_neighbour)
    }

    /// Sends answers to pulls that were open. Returns whether the worker beside the server has something to take.
    fn send_late(&mut self) -> Result<bool> {
        let mut shard = self.shard.borrow_mut();
        for worker in (0..self.rights.len()).filter(|worker| *worker != self.index) {
            if let Some(mut late) = shard.ps.take_late(worker) {
                let Some(promise) = self.rights[worker].clone() else {
                    return Err(Error::internal(format!(
                        "an answer for worker {worker}, which waits for none"
                    )));
                };
                late.urgent = true;
                self.replies.send(self.index, worker, late, &Right::Promise(promise));
            }
            if shard.ps.open_pulls(worker) == 0 {
                self.rights[worker] = None;
            }
        }
        Ok(shard.ps.has_late())
    }
}
