//! Answers on their way to the workers: at once, or when the sending policy lets them go.

use std::time::{Duration, Instant};

use waterwheel_engine::operator::{Output, Promise, Token};
use waterwheel_engine::{Clock, Parcel, machine};

use crate::core::policy::SendPolicy;
use crate::server::ServerLogic;
use crate::server_op::ANSWERS_PORT;
use crate::shard::BlockOf;
use crate::worker_op::LoopTime;

/// The right to answer a request: while it is read, or later.
pub(super) enum Right<'a, T: Clock> {
    Token(&'a Token<LoopTime<T>>),
    Promise(Promise<LoopTime<T>>),
}

impl<T: Clock> Right<'_, T> {
    /// The time of the request.
    pub(super) fn time(&self) -> LoopTime<T> {
        match self {
            Right::Token(token) => token.time(),
            Right::Promise(promise) => promise.time().clone(),
        }
    }

    pub(super) fn promise(&self) -> Promise<LoopTime<T>> {
        match self {
            Right::Token(token) => token.promise(ANSWERS_PORT),
            Right::Promise(promise) => promise.clone(),
        }
    }
}

/// Answers for one worker that wait to be sent, with the right to send them.
struct HeldBack<S: ServerLogic, T: Clock> {
    block: BlockOf<S>,
    promise: Promise<LoopTime<T>>,
    since: Instant,
}

/// The output of answers. Those for one worker leave in the order in which they were given.
pub(super) struct Replies<S: ServerLogic, T: Clock> {
    output: Output<Parcel<BlockOf<S>>, LoopTime<T>>,
    policy: SendPolicy,
    /// Per worker.
    held_back: Vec<Option<HeldBack<S, T>>>,
}

impl<S: ServerLogic, T: Clock> Replies<S, T> {
    pub(super) fn new(
        output: Output<Parcel<BlockOf<S>>, LoopTime<T>>,
        policy: SendPolicy,
        peers: usize,
    ) -> Self {
        Replies { output, policy, held_back: (0..peers).map(|_| None).collect() }
    }

    /// Sends a word that is no answer, at once.
    pub(super) fn tell(&mut self, from: usize, worker: usize, mut word: BlockOf<S>, right: &Right<'_, T>) {
        (word.destination, word.from) = (worker as u32, from as u32);
        self.put(word, right);
    }

    fn put(&mut self, block: BlockOf<S>, right: &Right<'_, T>) {
        match right {
            Right::Token(token) => self.output.send(token, [&mut Parcel(block)]),
            Right::Promise(promise) => self.output.send_promised(promise, [&mut Parcel(block)]),
        }
    }

    /// Sends an answer of server `from` to `worker`, or keeps it for a batch.
    pub(super) fn send(&mut self, from: usize, worker: usize, mut block: BlockOf<S>, right: &Right<'_, T>) {
        (block.destination, block.from) = (worker as u32, from as u32);
        // A worker that can not go on before others do must know it.
        block.urgent |= block.open > 0;
        let held = &mut self.held_back[worker];
        match held {
            Some(held) => held.block.append(block),
            None if block.urgent || self.policy == SendPolicy::Immediate => self.put(block, right),
            None => *held = Some(HeldBack { block, promise: right.promise(), since: machine::now() }),
        }
    }

    /// Lets go what is kept for `worker`.
    pub(super) fn call_in(&mut self, worker: usize) {
        if let Some(held) = &mut self.held_back[worker] {
            held.block.urgent = true;
        }
    }

    /// Sends the answers that the policy lets go. Returns after how long the clock may let others go.
    pub(super) fn let_go(&mut self) -> Option<Duration> {
        let mut some_wait = false;
        for slot in &mut self.held_back {
            let Some(held) = slot else { continue };
            // Not its rows: pulls may have been settled without one.
            let n = (held.block.answered + held.block.applied) as usize;
            if held.block.urgent || self.policy.allows(n, held.since.elapsed()) {
                let block = std::mem::take(&mut held.block);
                self.output.send_promised(&held.promise, [&mut Parcel(block)]);
                *slot = None;
            } else {
                some_wait = true;
            }
        }
        self.policy.interval().filter(|_| some_wait)
    }
}
