//! Operations on one key, one after the other.

use waterwheel_engine::{Error, Key, Result};

use crate::block::{Op, Run};
use crate::core::outbox::Outbox;
use crate::element::Element;

impl<K: Key, E: Element, D: Element> Outbox<K, E, D> {
    /// Issues a pull.
    #[inline]
    pub(crate) fn pull(&mut self, key: K) -> Result<()> {
        let server = self.router.server_of(&key)?;
        self.pull_from(server, key, 0);
        Ok(())
    }

    /// Issues a push of the elements of `delta`.
    #[inline]
    pub(crate) fn push(&mut self, key: K, delta: impl IntoIterator<Item = D>) -> Result<()> {
        let server = self.router.server_of(&key)?;
        self.push_to(server, key, delta)
    }

    /// Issues a push and a pull of one key, as one operation.
    #[inline]
    pub(crate) fn push_pull(&mut self, key: K, delta: impl IntoIterator<Item = D>) -> Result<()> {
        let server = self.router.server_of(&key)?;
        self.push_and_pull(server, key, delta, 0)
    }

    /// The server that holds a key.
    #[inline]
    pub(crate) fn server_of(&self, key: &K) -> Result<usize> {
        self.router.server_of(key)
    }

    /// Issues a pull that needs no credit, unless others of its server wait for some. Returns whether it did.
    pub(crate) fn pull_ahead(&mut self, server: usize, key: K, group: u32) -> bool {
        if self.waiting_for[server] > 0 {
            return false;
        }
        self.forget_push(server, &key);
        self.ahead += 1;
        self.add(server, false, (Op::Pull, group), key);
        true
    }

    /// Issues a pull of a key of `server`, as part of `group` or, with 0, on its own.
    #[inline]
    pub(crate) fn pull_from(&mut self, server: usize, key: K, group: u32) {
        let waits = self.waits(server, Op::Pull);
        self.forget_push(server, &key);
        self.add(server, waits, (Op::Pull, group), key);
    }

    #[inline]
    pub(super) fn push_to(
        &mut self,
        server: usize,
        key: K,
        delta: impl IntoIterator<Item = D>,
    ) -> Result<()> {
        let waits = self.waits(server, Op::Push);
        let row = self.add_delta(server, waits, &key, delta)?;
        if self.config.combine.is_some() && !waits && self.combines(server, &key, row) {
            return Ok(());
        }
        self.add(server, waits, (Op::Push, 0), key);
        Ok(())
    }

    #[inline]
    pub(super) fn push_and_pull(
        &mut self,
        server: usize,
        key: K,
        delta: impl IntoIterator<Item = D>,
        group: u32,
    ) -> Result<()> {
        let waits = self.waits(server, Op::PushPull);
        self.add_delta(server, waits, &key, delta)?;
        self.forget_push(server, &key);
        self.add(server, waits, (Op::PushPull, group), key);
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
        let width = self.config.push_width;
        let block = self.last_block(server, waits);
        let before = block.deltas.len();
        block.deltas.extend(delta);
        let found = block.deltas.len() - before;
        if found != width {
            block.deltas.truncate(before);
            return Err(wrong_width(key, found, width));
        }
        Ok(before)
    }

    /// Adds an operation of a group; the row of one that pushes is there already.
    #[inline]
    fn add(&mut self, server: usize, waits: bool, (op, group): (Op, u32), key: K) {
        let block = self.last_block(server, waits);
        Run::note(&mut block.runs, op, group);
        block.keys.push(key);
        self.count(server, waits, op, 1);
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
}

#[cold]
fn wrong_width<K: std::fmt::Debug>(key: &K, found: usize, expected: usize) -> Error {
    Error::operator(format!("push to {key:?} has {found} elements, expected {expected}"))
}
