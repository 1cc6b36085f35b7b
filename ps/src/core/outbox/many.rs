//! Operations on many keys that are issued in one call: the same as one after the other, and faster.

use waterwheel_engine::{Error, Key, Result};

use crate::block::{Block, Op, Run};
use crate::core::outbox::Outbox;
use crate::element::{Element, append_row};
use crate::placement::Route;

/// The same operation on each of many keys, in order.
pub(crate) struct Many<'a, K, D> {
    pub(crate) op: Op,
    pub(crate) keys: &'a [K],
    /// The rows of all keys, if it pushes.
    pub(crate) deltas: &'a [D],
    /// The pull of many keys that these are part of; 0 if they stand alone.
    pub(crate) group: u32,
}

impl<'a, K, D> Many<'a, K, D> {
    /// The first `n` and the others, with deltas of `width` elements.
    fn split_at(self, n: usize, width: usize) -> (Self, Self) {
        let Many { op, keys, deltas, group } = self;
        let (first_keys, other_keys) = keys.split_at(n);
        let (first_deltas, other_deltas) = deltas.split_at(if op.pushes() { n * width } else { 0 });
        let part = |keys, deltas| Many { op, keys, deltas, group };
        (part(first_keys, first_deltas), part(other_keys, other_deltas))
    }
}

impl<K: Key, E: Element, D: Element> Outbox<K, E, D> {
    /// Checks that `deltas` has a row for each of `keys`.
    ///
    /// # Errors
    /// It has more or fewer elements.
    pub(crate) fn check_deltas(&self, keys: &[K], deltas: &[D]) -> Result<()> {
        let width = self.config.push_width;
        if keys.len().checked_mul(width) == Some(deltas.len()) {
            return Ok(());
        }
        let (n, found) = (keys.len(), deltas.len());
        Err(Error::operator(format!("push to {n} keys has {found} elements, expected {width} for each")))
    }

    /// Issues operations whose keys go that way and whose deltas were checked.
    pub(crate) fn issue_many(&mut self, many: Many<'_, K, D>, route: &Route) -> Result<()> {
        if self.config.combine.is_some() {
            return self.issue_one_by_one(many, route);
        }
        match route {
            Route::One(server) => {
                self.issue_to_one(*server, many);
                Ok(())
            }
            Route::Each(servers) if self.has_room(&many) => {
                self.issue_to_each(servers, many);
                Ok(())
            }
            Route::Each(_) => self.issue_one_by_one(many, route),
        }
    }

    /// Whether none of these operations has to wait, whatever its server.
    fn has_room(&self, many: &Many<'_, K, D>) -> bool {
        let pulls = if many.op.pulls() { many.keys.len() } else { 0 };
        self.nothing_waits() && self.pulls_on_credit() + pulls <= self.config.credit
    }

    fn issue_one_by_one(&mut self, many: Many<'_, K, D>, route: &Route) -> Result<()> {
        let mut rows = many.deltas.chunks_exact(self.config.push_width);
        for (i, key) in many.keys.iter().enumerate() {
            let (server, key) = (route.server(i), key.clone());
            let mut delta = || rows.next().unwrap_or_default().iter().cloned();
            match many.op {
                Op::Pull => self.pull_from(server, key, many.group),
                Op::Push => self.push_to(server, key, delta())?,
                Op::PushPull => self.push_and_pull(server, key, delta(), many.group)?,
            }
        }
        Ok(())
    }

    /// Moves slices of keys and deltas, each as long as the block has room for it.
    fn issue_to_one(&mut self, server: usize, many: Many<'_, K, D>) {
        let mut rest = many;
        while !rest.keys.is_empty() {
            let waits = self.waits(server, rest.op);
            let n = self.room(server, waits, rest.op).clamp(1, rest.keys.len());
            let (now, later) = rest.split_at(n, self.config.push_width);
            let block = self.last_block(server, waits);
            Run::note_many(&mut block.runs, now.op, now.group, n);
            block.keys.extend_from_slice(now.keys);
            block.deltas.extend_from_slice(now.deltas);
            self.count(server, waits, now.op, n);
            rest = later;
        }
    }

    /// How many operations may join the last block of a server.
    fn room(&self, server: usize, waits: bool, op: Op) -> usize {
        if waits {
            return self.chunk_len().saturating_sub(self.tails[server].keys.len());
        }
        let room = self.config.block_len.saturating_sub(self.open_len(server));
        if op.pulls() { room.min(self.config.credit.saturating_sub(self.pulls_on_credit())) } else { room }
    }

    /// Spreads operations that need not wait over the open blocks, and counts them when a block is full or all are
    /// there.
    fn issue_to_each(&mut self, servers: &[u32], many: Many<'_, K, D>) {
        let (mut rest, mut servers) = (many, servers);
        while !rest.keys.is_empty() {
            let before: Vec<usize> = self.open.iter().map(|block| block.keys.len()).collect();
            let n = self.fill_open(servers, &rest);
            for (server, before) in before.into_iter().enumerate() {
                let added = self.open_len(server) - before;
                if added > 0 {
                    Run::note_many(&mut self.open[server].runs, rest.op, rest.group, added);
                    self.count(server, false, rest.op, added);
                }
            }
            (_, rest) = rest.split_at(n, self.config.push_width);
            servers = &servers[n..];
        }
    }

    /// Adds keys and rows to the open blocks, up to the one that fills one. Returns how many.
    fn fill_open(&mut self, servers: &[u32], many: &Many<'_, K, D>) -> usize {
        let (width, full) = (self.config.push_width, self.config.block_len);
        let mut rows = many.deltas.chunks_exact(width);
        for (n, (key, server)) in many.keys.iter().zip(servers).enumerate() {
            let block = &mut self.open[*server as usize];
            if let Some(row) = rows.next() {
                append_row(&mut block.deltas, row);
            }
            block.keys.push(key.clone());
            if block.keys.len() >= full {
                return n + 1;
            }
        }
        many.keys.len()
    }

    /// Issues pulls of `group` in blocks of their own that ask for a snapshot.
    pub(crate) fn pull_snapshot(&mut self, keys: &[K], route: &Route, group: u32) {
        for server in 0..self.config.servers {
            let here: Vec<K> = route.keys_of(server, keys).cloned().collect();
            for chunk in here.chunks(self.chunk_len()) {
                self.snapshot_from(server, chunk.to_vec(), group);
            }
        }
    }

    fn snapshot_from(&mut self, server: usize, keys: Vec<K>, group: u32) {
        let n = keys.len();
        let runs = vec![Run { op: Op::Pull, n: n as u32, group }];
        let block = Block { snapshot: true, keys, runs, ..Block::for_server(server) };
        if self.waiting_for[server] > 0 || self.pulls_on_credit() + n > self.config.credit {
            if !self.tails[server].keys.is_empty() {
                self.close_tail(server);
            }
            self.waiting_for[server] += n;
            self.waiting_in_all += n;
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
