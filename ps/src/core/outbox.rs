//! The worker's outgoing operations: batches per server, a limit on what is unanswered, order per server.
//!
//! A state machine without clock, threads or channels: operations in, blocks out.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;
use waterwheel_engine::{Error, Key, Result};

use crate::block::{Block, Op, Run};
use crate::element::Element;
use crate::placement::{Placement, Router};
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
    /// Operations that wait, per server.
    waiting_for: Vec<usize>,
    /// Pulls that have left and are not answered.
    unanswered: usize,
    /// Those among them that servers have left open, to be answered later. An answer may overtake the word that
    /// its pull was left open.
    left_open: i64,
    /// Pushes that have left and are not applied.
    unapplied: usize,
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
            unanswered: 0,
            left_open: 0,
            unapplied: 0,
            spare: Vec::new(),
            config,
        }
    }

    /// Whether there is room for more work from the input.
    #[inline]
    pub(crate) fn has_credit(&self) -> bool {
        self.unanswered + self.unapplied < self.config.credit && self.nothing_waits()
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

    fn nothing_waits(&self) -> bool {
        self.waiting_for.iter().all(|n| *n == 0)
    }

    /// Number of servers.
    pub(crate) fn servers(&self) -> usize {
        self.config.servers
    }

    /// The server that holds a key.
    #[inline]
    pub(crate) fn server_of(&self, key: &K) -> Result<usize> {
        self.router.server_of(key)
    }

    /// Issues a pull.
    #[inline]
    pub(crate) fn pull(&mut self, key: K) -> Result<()> {
        let server = self.server_of(&key)?;
        self.pull_from(server, key, 0);
        Ok(())
    }

    /// Issues a pull of a key of `server`, as part of `group` or, with 0, on its own.
    #[inline]
    pub(crate) fn pull_from(&mut self, server: usize, key: K, group: u32) {
        let waits = self.pull_waits(server);
        self.forget_push(server, &key);
        let block = if waits { &mut self.tails[server] } else { &mut self.open[server] };
        Run::note(&mut block.runs, Op::Pull, group);
        block.keys.push(key);
        if waits {
            self.note_waiting(server);
        } else {
            self.unanswered += 1;
            self.note_open(server);
        }
    }

    #[inline]
    fn pull_waits(&self, server: usize) -> bool {
        self.waiting_for[server] > 0 || self.unanswered >= self.config.credit
    }

    /// Issues pulls of `group`, all of keys of `server`, in blocks of their own that ask for a snapshot.
    pub(crate) fn pull_snapshot(&mut self, server: usize, keys: impl IntoIterator<Item = K>, group: u32) {
        let mut keys = keys.into_iter();
        loop {
            let mut block = Block { snapshot: true, ..Block::for_server(server) };
            block.keys.extend(keys.by_ref().take(self.chunk_len()));
            let n = block.keys.len();
            if n == 0 {
                return;
            }
            block.runs.push(Run { op: Op::Pull, n: n as u32, group });
            if self.waiting_for[server] > 0 || self.unanswered + n > self.config.credit {
                if !self.tails[server].keys.is_empty() {
                    self.close_tail(server);
                }
                self.waiting_for[server] += n;
                self.waiting.push_back(block);
            } else {
                self.unanswered += n;
                if self.open_len(server) > 0 {
                    self.close(server);
                }
                self.full.push_back(block);
            }
        }
    }

    /// Issues a push of the elements of `delta`.
    #[inline]
    pub(crate) fn push(&mut self, key: K, delta: impl IntoIterator<Item = D>) -> Result<()> {
        let server = self.server_of(&key)?;
        let waits = self.waiting_for[server] > 0 && !self.config.pushes_overtake;
        let row = self.add_delta(server, waits, &key, delta)?;
        if self.config.combine.is_some() && !waits && self.combines(server, &key, row) {
            return Ok(());
        }
        self.add(server, waits, Op::Push, key);
        Ok(())
    }

    /// Issues a push and a pull of one key, as one operation.
    #[inline]
    pub(crate) fn push_pull(&mut self, key: K, delta: impl IntoIterator<Item = D>) -> Result<()> {
        let server = self.server_of(&key)?;
        let waits = self.pull_waits(server);
        self.add_delta(server, waits, &key, delta)?;
        self.forget_push(server, &key);
        if !waits {
            self.unanswered += 1;
        }
        self.add(server, waits, Op::PushPull, key);
        Ok(())
    }

    /// Appends the row of a push, and returns where it begins.
    #[inline]
    fn add_delta(
        &mut self,
        server: usize,
        waits: bool,
        key: &K,
        delta: impl IntoIterator<Item = D>,
    ) -> Result<usize> {
        let block = if waits { &mut self.tails[server] } else { &mut self.open[server] };
        let before = block.deltas.len();
        block.deltas.extend(delta);
        let found = block.deltas.len() - before;
        if found != self.config.push_width {
            block.deltas.truncate(before);
            return Err(wrong_width(key, found, self.config.push_width));
        }
        Ok(before)
    }

    /// Adds an operation that pushes, whose row is there already.
    #[inline]
    fn add(&mut self, server: usize, waits: bool, op: Op, key: K) {
        let block = if waits { &mut self.tails[server] } else { &mut self.open[server] };
        block.note(op);
        block.keys.push(key);
        if waits {
            self.note_waiting(server);
        } else {
            self.unapplied += 1;
            self.note_open(server);
        }
    }

    /// Combines the last row of the open block with the push to `key` in it, if there is one. Otherwise this
    /// row will be that of the key's push.
    fn combines(&mut self, server: usize, key: &K, row: usize) -> bool {
        let (Some(combine), deltas) = (self.config.combine, &mut self.open[server].deltas) else {
            return false;
        };
        let width = self.config.push_width;
        match self.pushed[server].get(key) {
            Some(first) => {
                let first = *first as usize * width;
                let (before, last) = deltas.split_at_mut(row);
                combine(&mut before[first..first + width], last);
                deltas.truncate(row);
                true
            }
            None => {
                self.pushed[server].insert(key.clone(), (row / width) as u32);
                false
            }
        }
    }

    /// Later pushes to `key` are no longer combined with earlier ones: a pull stands between.
    #[inline]
    fn forget_push(&mut self, server: usize, key: &K) {
        if self.config.combine.is_some() {
            self.pushed[server].remove(key);
        }
    }

    #[inline]
    fn note_open(&mut self, server: usize) {
        if self.open[server].keys.len() >= self.config.block_len {
            self.close(server);
        }
    }

    /// Chunks of waiting operations leave whole, so they are small beside the credit.
    fn chunk_len(&self) -> usize {
        (self.config.credit / 8).clamp(1, self.config.block_len)
    }

    fn note_waiting(&mut self, server: usize) {
        self.waiting_for[server] += 1;
        if self.tails[server].keys.len() >= self.chunk_len() {
            self.close_tail(server);
        }
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
            if self.unanswered + pulls > self.config.credit {
                return;
            }
            self.unanswered += pulls;
            self.unapplied += chunk.pushes();
            self.waiting_for[server] -= n;
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

#[cold]
fn wrong_width<K: std::fmt::Debug>(key: &K, found: usize, expected: usize) -> Error {
    Error::operator(format!("push to {key:?} has {found} elements, expected {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type TestBox = Outbox<u32, f32, u32>;

    fn outbox(servers: usize, credit: usize) -> TestBox {
        let placement = Placement::custom(|key: &u32, servers| *key as usize % servers);
        let (combine, pushes_overtake) = (None, false);
        TestBox::new(OutboxConfig {
            servers,
            placement,
            push_width: 1,
            combine,
            pushes_overtake,
            credit,
            block_len: 8,
        })
    }

    fn sent(outbox: &mut TestBox) -> Vec<(usize, Op, u32)> {
        outbox.flush_where(|_, _| true);
        let mut ops = Vec::new();
        while let Some(block) = outbox.pop() {
            let mut keys = block.keys.iter();
            for run in &block.runs {
                let keys = keys.by_ref().take(run.n as usize);
                ops.extend(keys.map(|key| (block.destination as usize, run.op, *key)));
            }
        }
        ops
    }

    /// T-FPS-01: limit 10; 20 pulls send 10; 5 answers send 15 in all; one more pull sends none; 16 answers
    /// send 21.
    #[test]
    fn pull_limiter_lets_out_as_many_pulls_as_are_answered() {
        let mut outbox = outbox(1, 10);
        (0..20).for_each(|key| outbox.pull(key).unwrap());
        let mut all = sent(&mut outbox);
        assert_eq!(all.len(), 10);
        outbox.settle(5, 0).unwrap();
        all.extend(sent(&mut outbox));
        assert_eq!(all.len(), 15);
        outbox.pull(20).unwrap();
        all.extend(sent(&mut outbox));
        assert_eq!(all.len(), 15);
        (0..16).for_each(|_| {
            outbox.settle(1, 0).unwrap();
            all.extend(sent(&mut outbox));
        });
        assert_eq!(all, (0..21).map(|key| (0, Op::Pull, key)).collect::<Vec<_>>());
        assert!(outbox.is_idle());
    }

    #[test]
    fn push_behind_a_waiting_pull_of_its_server_waits_and_others_do_not() {
        let mut outbox = outbox(2, 1);
        outbox.pull(0).unwrap();
        outbox.pull(2).unwrap();
        outbox.push(2, [7]).unwrap();
        outbox.push(1, [8]).unwrap();
        assert_eq!(sent(&mut outbox), [(0, Op::Pull, 0), (1, Op::Push, 1)]);
        outbox.settle(1, 1).unwrap();
        assert_eq!(sent(&mut outbox), [(0, Op::Pull, 2), (0, Op::Push, 2)]);
    }

    #[test]
    fn credit_that_comes_back_twice_is_an_error() {
        let mut outbox = outbox(1, 4);
        outbox.pull(1).unwrap();
        outbox.settle(1, 0).unwrap();
        assert!(outbox.settle(1, 0).unwrap_err().message().starts_with("credit not conserved"));
    }

    proptest! {
        /// Whatever is issued and however answers come, order per server holds, no more pulls are out than
        /// credit allows, and all leaves in the end.
        #[test]
        fn operations_leave_in_order_within_the_credit(
            ops in prop::collection::vec((0u32..6, any::<bool>()), 1..200),
            servers in 1usize..4,
            credit in 1usize..40,
        ) {
            let mut outbox = outbox(servers, credit);
            let mut left = Vec::new();
            let (mut pulls_out, mut pushes_out) = (0, 0);
            for (key, is_pull) in &ops {
                if *is_pull { outbox.pull(*key).unwrap() } else { outbox.push(*key, [1]).unwrap() }
                let now = sent(&mut outbox);
                pulls_out += now.iter().filter(|(_, op, _)| *op == Op::Pull).count();
                pushes_out += now.iter().filter(|(_, op, _)| *op == Op::Push).count();
                prop_assert!(pulls_out <= credit);
                left.extend(now);
                if key % 2 == 0 && pulls_out > 0 {
                    outbox.settle(1, 0).unwrap();
                    pulls_out -= 1;
                }
            }
            while !outbox.is_idle() {
                let now = sent(&mut outbox);
                pulls_out += now.iter().filter(|(_, op, _)| *op == Op::Pull).count();
                pushes_out += now.iter().filter(|(_, op, _)| *op == Op::Push).count();
                prop_assert!(pulls_out <= credit);
                left.extend(now);
                outbox.settle(pulls_out, pushes_out).unwrap();
                (pulls_out, pushes_out) = (0, 0);
            }
            left.extend(sent(&mut outbox));
            for server in 0..servers {
                let issued = ops.iter().filter(|(key, _)| *key as usize % servers == server);
                let issued: Vec<_> = issued.map(|(key, pull)| (*key, *pull)).collect();
                let out = left.iter().filter(|(to, _, _)| *to == server);
                let out: Vec<_> = out.map(|(_, op, key)| (*key, *op == Op::Pull)).collect();
                prop_assert_eq!(issued, out);
            }
        }
    }
}
