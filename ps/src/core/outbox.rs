//! The worker's outgoing operations: batches per server, a limit on what is unanswered, order per server.
//!
//! A state machine without clock, threads or channels: operations in, blocks out.

mod issue;
mod many;

pub(crate) use many::Many;

use std::collections::VecDeque;

use rustc_hash::FxHashMap;
use waterwheel_engine::{Error, Key, Result};

use crate::block::{Block, Op};
use crate::element::Element;
use crate::placement::{Placement, Route, Router};
use crate::server::Combiner;

/// What an outbox is made of.
#[derive(Clone, Debug)]
pub(crate) struct OutboxConfig<K, D> {
    pub(crate) servers: usize,
    pub(crate) placement: Placement<K>,
    pub(crate) push_width: usize,
    /// How two pushes to one key become one, if they may.
    pub(crate) combine: Option<Combiner<D>>,
    /// Whether pushes go at once although pulls of their server wait for credit: where others may wait for a push.
    pub(crate) pushes_overtake: bool,
    /// Unanswered pulls at most.
    pub(crate) credit: usize,
    /// Operations per block at most.
    pub(crate) block_len: usize,
}

/// The operations of one worker on their way to the servers.
///
/// A pull that finds no credit waits here, and whatever the worker issues to the same server after it waits
/// behind it. Pushes need no credit themselves, so that an answer can always be handled; but those that are
/// not yet applied count when the worker asks for new work.
pub(crate) struct Outbox<K, E, D> {
    config: OutboxConfig<K, D>,
    router: Router<K>,
    /// The block that is being filled, per server.
    open: Vec<Block<K, E, D>>,
    /// Where the push to a key stands in the open block, per server: for pushes that may be combined with it.
    pushed: Vec<FxHashMap<K, u32>>,
    /// Blocks ready to go, in order.
    full: VecDeque<Block<K, E, D>>,
    /// Operations without credit, per server and in order: full chunks here, the rest in `tails`.
    waiting: VecDeque<Block<K, E, D>>,
    tails: Vec<Block<K, E, D>>,
    /// Operations that wait, per server and in all.
    waiting_for: Vec<usize>,
    waiting_in_all: usize,
    /// Pulls that have left and are not answered.
    unanswered: usize,
    /// Those among them that servers have left open, to be answered later. An answer may overtake the word that
    /// its pull was left open.
    left_open: i64,
    /// Pushes that have left and are not applied.
    unapplied: usize,
    /// Unanswered pulls that need no credit.
    ahead: usize,
    /// Emptied blocks, to be used again.
    spare: Vec<Block<K, E, D>>,
}

/// Blocks kept for reuse at most; more would only pin memory after a burst.
const SPARE_BLOCKS: usize = 64;

impl<K: Key, E: Element, D: Element> Outbox<K, E, D> {
    pub(crate) fn new(config: OutboxConfig<K, D>) -> Self {
        let blocks = |n| (0..n).map(Block::for_server).collect();
        Outbox {
            router: Router::new(config.placement.clone(), config.servers),
            open: blocks(config.servers),
            pushed: vec![FxHashMap::default(); config.servers],
            full: VecDeque::new(),
            waiting: VecDeque::new(),
            tails: blocks(config.servers),
            waiting_for: vec![0; config.servers],
            waiting_in_all: 0,
            unanswered: 0,
            left_open: 0,
            unapplied: 0,
            ahead: 0,
            spare: Vec::new(),
            config,
        }
    }

    /// Whether there is room for more work from the input, when `more` operations are counted too.
    #[inline]
    pub(crate) fn has_credit_beside(&self, more: usize) -> bool {
        self.credit_used() + more < self.config.credit && self.nothing_waits()
    }

    /// Operations that have left, need credit, and are not answered or applied.
    #[inline]
    pub(crate) fn credit_used(&self) -> usize {
        self.pulls_on_credit() + self.unapplied
    }

    /// Unanswered pulls that need credit.
    #[inline]
    fn pulls_on_credit(&self) -> usize {
        self.unanswered - self.ahead
    }

    /// Whether nothing is left to be answered or applied.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.unanswered == 0 && self.unapplied == 0 && self.nothing_waits()
    }

    /// Whether servers have left pulls open: what other workers do will answer them.
    pub(crate) fn has_left_open(&self) -> bool {
        self.left_open > 0
    }

    /// Whether servers have left open all that has left: no answer comes by itself.
    pub(crate) fn all_is_left_open(&self) -> bool {
        self.has_left_open() && self.unapplied == 0 && self.left_open == self.unanswered as i64
    }

    #[inline]
    fn nothing_waits(&self) -> bool {
        self.waiting_in_all == 0
    }

    /// Number of servers.
    pub(crate) fn servers(&self) -> usize {
        self.config.servers
    }

    /// Finds the servers of many keys.
    ///
    /// # Errors
    /// The placement does not know one of them.
    pub(crate) fn route(&self, keys: &[K], route: &mut Route) -> Result<()> {
        self.router.route(keys, route)
    }

    /// Whether an operation on a key of `server` has to wait.
    #[inline]
    fn waits(&self, server: usize, op: Op) -> bool {
        match op {
            Op::Push => self.waiting_for[server] > 0 && !self.config.pushes_overtake,
            Op::Pull | Op::PushPull => {
                self.waiting_for[server] > 0 || self.pulls_on_credit() >= self.config.credit
            }
        }
    }

    /// The block that the next operation on a key of `server` joins.
    #[inline]
    fn last_block(&mut self, server: usize, waits: bool) -> &mut Block<K, E, D> {
        if waits { &mut self.tails[server] } else { &mut self.open[server] }
    }

    /// Counts `n` operations that were added to the last block of a server.
    #[inline]
    fn count(&mut self, server: usize, waits: bool, op: Op, n: usize) {
        if waits {
            self.waiting_for[server] += n;
            self.waiting_in_all += n;
            if self.tails[server].keys.len() >= self.chunk_len() {
                self.close_tail(server);
            }
        } else {
            self.unanswered += if op.pulls() { n } else { 0 };
            self.unapplied += if op.pushes() { n } else { 0 };
            if self.open[server].keys.len() >= self.config.block_len {
                self.close(server);
            }
        }
    }

    /// Chunks of waiting operations leave whole, so they are small beside the credit.
    fn chunk_len(&self) -> usize {
        (self.config.credit / 8).clamp(1, self.config.block_len)
    }

    fn close_tail(&mut self, server: usize) {
        let mut next = Block::for_server(server);
        next.keys.reserve_exact(self.chunk_len());
        self.waiting.push_back(std::mem::replace(&mut self.tails[server], next));
    }

    fn close(&mut self, server: usize) {
        let mut fresh = self.spare.pop().unwrap_or_default();
        fresh.destination = server as u32;
        self.full.push_back(std::mem::replace(&mut self.open[server], fresh));
        if self.config.combine.is_some() {
            self.pushed[server].clear();
        }
    }

    /// Closes the open blocks for which `ready(server, operations)` holds.
    pub(crate) fn flush_where(&mut self, mut ready: impl FnMut(usize, usize) -> bool) {
        for server in 0..self.config.servers {
            let n = self.open[server].keys.len();
            if n > 0 && ready(server, n) {
                self.close(server);
            }
        }
    }

    /// Operations in the open block of a server.
    pub(crate) fn open_len(&self, server: usize) -> usize {
        self.open[server].keys.len()
    }

    /// The next block that is ready to go.
    pub(crate) fn pop(&mut self) -> Option<Block<K, E, D>> {
        self.full.pop_front()
    }

    /// Whether a block is ready to go.
    pub(crate) fn has_full(&self) -> bool {
        !self.full.is_empty()
    }

    /// Notes that servers have left so many pulls more open, to be answered later.
    pub(crate) fn note_left_open(&mut self, pulls: i32) {
        self.left_open += i64::from(pulls);
    }

    /// Notes that so many of the pulls that are settled next needed no credit.
    ///
    /// # Errors
    /// There are not so many.
    pub(crate) fn settle_ahead(&mut self, pulls: usize) -> Result<()> {
        let ahead = self.ahead;
        self.ahead = ahead.checked_sub(pulls).ok_or_else(|| {
            Error::internal(format!("credit not conserved: {pulls} answers to {ahead} pulls ahead"))
        })?;
        Ok(())
    }

    /// Takes back the credit of an answer: `pulls` answered, `pushes` applied.
    ///
    /// # Errors
    /// More came back than was spent: some message was counted twice.
    pub(crate) fn settle(&mut self, pulls: usize, pushes: usize) -> Result<()> {
        let (left, unapplied) = (self.unanswered.checked_sub(pulls), self.unapplied.checked_sub(pushes));
        let (Some(left), Some(unapplied)) = (left, unapplied) else {
            let (unanswered, unapplied) = (self.unanswered, self.unapplied);
            return Err(Error::internal(format!(
                "credit not conserved: {pulls} answers to {unanswered} pulls, {pushes} of {unapplied} pushes"
            )));
        };
        (self.unanswered, self.unapplied) = (left, unapplied);
        self.release();
        Ok(())
    }

    /// Lets waiting operations go as far as credit reaches.
    fn release(&mut self) {
        while let Some(server) = self.next_waiting() {
            let chunk = self.waiting.front().unwrap_or(&self.tails[server]);
            let (n, pulls) = (chunk.keys.len(), chunk.pulls());
            if self.pulls_on_credit() + pulls > self.config.credit {
                return;
            }
            self.unanswered += pulls;
            self.unapplied += chunk.pushes();
            self.waiting_for[server] -= n;
            self.waiting_in_all -= n;
            if self.open_len(server) > 0 {
                self.close(server);
            }
            let chunk = match self.waiting.pop_front() {
                Some(chunk) => chunk,
                None => std::mem::replace(&mut self.tails[server], Block::for_server(server)),
            };
            self.full.push_back(chunk);
        }
    }

    /// Server of the chunk that is next to leave.
    fn next_waiting(&self) -> Option<usize> {
        match self.waiting.front() {
            Some(chunk) => Some(chunk.destination as usize),
            None => self.tails.iter().position(|tail| !tail.keys.is_empty()),
        }
    }

    /// Takes a block that has served, for its memory.
    pub(crate) fn recycle(&mut self, mut block: Block<K, E, D>) {
        if self.spare.len() < SPARE_BLOCKS {
            block.clear();
            self.spare.push(block);
        }
    }
}

#[cfg(test)]
mod tests;
