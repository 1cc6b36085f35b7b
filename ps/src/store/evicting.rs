//! What a store remembers of its rows in order to evict them.

use std::time::{Duration, Instant};

use waterwheel_engine::{Key, machine};

use crate::eviction::Eviction;
use crate::store::index::Index;
use crate::store::recency::{Moment, Recency};
use crate::store::slab::Slab;

/// The limits, the rows in order of use, and the keys that have no row yet.
pub(crate) struct Evicting<K, E> {
    limits: Eviction,
    rows: usize,
    recency: Recency<K>,
    /// How often the keys without a row were used.
    uses: Index<K>,
    now: Moment,
    /// When it began, and how it reads the clock.
    began: Instant,
    read_time: fn() -> Instant,
    /// Rows that were evicted and not yet output.
    pub(crate) evicted: Vec<(K, Vec<E>)>,
    /// Rows that were evicted so far.
    pub(crate) count: u64,
}

impl<K: Key, E: Clone> Evicting<K, E> {
    pub(crate) fn new(limits: Eviction) -> Self {
        Self::by_time(limits, machine::now)
    }

    /// With a clock that is read in this way.
    pub(crate) fn by_time(limits: Eviction, read_time: fn() -> Instant) -> Self {
        let (recency, uses, now) = (Recency::new(), Index::new(), Moment::default());
        let (began, evicted) = (read_time(), Vec::new());
        Evicting { limits, rows: 0, recency, uses, now, began, read_time, evicted, count: 0 }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.recency.bytes() + self.uses.bytes()
    }

    /// Counts an operation at a clock. Time does not go back with a worker that is behind the others.
    pub(crate) fn next_operation(&mut self, clock: u64) {
        let time =
            self.limits.idle_time.map_or(Duration::ZERO, |_| (self.read_time)().duration_since(self.began));
        self.now = Moment { operation: self.now.operation + 1, clock: self.now.clock.max(clock), time };
    }

    /// When a row was last used.
    pub(crate) fn used(&self, row: u32) -> Option<Moment> {
        self.recency.used(row)
    }

    /// Goes to a moment; not back.
    pub(crate) fn go_to(&mut self, operation: u64, clock: u64) {
        self.now.operation = self.now.operation.max(operation);
        self.now.clock = self.now.clock.max(clock);
    }

    /// Operations and the clock so far, and how many rows were evicted.
    pub(crate) fn now(&self) -> (u64, u64, u64) {
        (self.now.operation, self.now.clock, self.count)
    }

    /// How often the keys without a row were used.
    pub(crate) fn uses(&self) -> impl Iterator<Item = &(K, u32)> {
        self.uses.iter()
    }

    /// Takes over how often a key without a row was used.
    pub(crate) fn take_over_uses(&mut self, key: K, uses: u32) {
        match self.uses.get_mut(&key) {
            Some(known) => *known += uses,
            None => self.uses.insert(key, uses),
        }
    }

    /// Whether a key that has no row and is used now gets one.
    pub(crate) fn admits(&mut self, key: &K) -> bool {
        let needed = self.limits.min_frequency.unwrap_or(1);
        let uses = match self.uses.get_mut(key) {
            Some(uses) => {
                *uses += 1;
                *uses
            }
            None if needed > 1 => {
                self.uses.insert(key.clone(), 1);
                1
            }
            None => return true,
        };
        if uses >= needed {
            self.uses.remove(key);
        }
        uses >= needed
    }

    /// Adds the next row.
    pub(crate) fn push(&mut self, key: K) {
        self.recency.push(key, self.now);
        self.rows += 1;
    }

    #[inline]
    pub(crate) fn touch(&mut self, row: u32) {
        self.recency.touch(row, self.now);
    }

    /// Whether one more row is one too many.
    pub(crate) fn is_full(&self) -> bool {
        self.limits.max_rows.is_some_and(|rows| self.rows >= rows)
    }

    /// Whether some row was idle for too long.
    pub(crate) fn has_expired(&self) -> bool {
        let beyond = |idle: u64, limit: Option<u64>| limit.is_some_and(|limit| idle > limit);
        self.recency.oldest().is_some_and(|(_, used)| {
            beyond(self.now.operation - used.operation, self.limits.idle_operations)
                || beyond(self.now.clock - used.clock, self.limits.idle_clocks)
                || self.limits.idle_time.is_some_and(|limit| self.now.time - used.time > limit)
        })
    }

    /// The key of a row.
    /// The row that was not used for longest, and its key.
    pub(crate) fn oldest(&self) -> Option<(K, u32)> {
        let (row, _) = self.recency.oldest()?;
        self.recency.key(row).map(|key| (key.clone(), row))
    }

    pub(crate) fn key(&self, row: u32) -> Option<&K> {
        self.recency.key(row)
    }

    /// Removes the row that was not used for the longest time and returns its key and number; the last row takes its
    /// number here. `rows` still has it.
    pub(crate) fn pop_oldest(&mut self, rows: &Slab<E>) -> Option<(K, u32)> {
        let (row, _) = self.recency.oldest()?;
        let key = self.recency.key(row)?.clone();
        self.recency.swap_remove(row);
        self.rows -= 1;
        self.count += 1;
        if let Some(elements) = rows.get(row as usize).filter(|_| self.limits.emit) {
            self.evicted.push((key.clone(), elements.to_vec()));
        }
        Some((key, row))
    }
}
