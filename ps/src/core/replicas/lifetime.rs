//! For how long rows are kept: while they are announced or hot, and as clocks and epochs allow.

use rustc_hash::FxHashSet;
use waterwheel_engine::Key;

use super::{Entry, Replicas};

impl<K: Key, E: Clone, D: Clone> Replicas<K, E, D> {
    /// Whether there is room to announce one more pull.
    pub(crate) fn has_room(&self) -> bool {
        self.announced < self.config.intents
    }

    /// Notes that `key` will be pulled. Returns the place of its copy if it should be asked for.
    pub(crate) fn announce(&mut self, key: &K, record: u64) -> Option<usize> {
        let place = self.enter(key);
        let until = record + self.config.intents as u64;
        let entry = &mut self.entries[place];
        entry.announced += 1;
        entry.until = entry.until.max(until);
        self.announced += 1;
        let entry = &self.entries[place];
        let is_there = entry.row.is_some_and(|row| self.is_fresh(row));
        (!is_there && entry.asked.is_none()).then_some(place)
    }

    /// The record that the worker is at.
    pub(crate) fn record(&self) -> u64 {
        self.record
    }

    /// Notes that the worker begins a record; forgets what was announced and has not come.
    pub(crate) fn begin_record(&mut self) {
        self.record += 1;
        self.records_ahead = self.records_ahead.saturating_sub(1);
        if self.config.intents > 0 && self.record.is_multiple_of(self.config.intents as u64) {
            for place in 0..self.entries.len() {
                if self.entries[place].until < self.record {
                    self.forget_announced(place);
                }
            }
        }
    }

    fn forget_announced(&mut self, place: usize) {
        self.announced -= std::mem::take(&mut self.entries[place].announced);
        self.drop_if_unused(place);
    }

    /// Notes that the worker comes to a clock: nothing is announced for it yet.
    pub(crate) fn advance(&mut self, clock: u64) {
        self.clock = clock;
        self.records_ahead = 0;
        for place in 0..self.entries.len() {
            if self.entries[place].row.is_some_and(|row| !self.is_fresh(row)) {
                self.entries[place].row = None;
            }
            self.forget_announced(place);
        }
    }

    /// Ends all copies: an epoch has ended, and clocks of the next are not complete because those of this one are.
    pub(crate) fn forget(&mut self) {
        self.entries.iter_mut().for_each(|entry| entry.row = None);
        self.complete = 0;
        self.advance(self.clock);
    }

    /// Notes which keys of a server are hot now.
    pub(crate) fn set_hot(&mut self, server: usize, mut keys: Vec<K>) {
        keys.truncate(self.config.hot_rows);
        let before = self.hot.remove(&server).unwrap_or_default();
        let now: FxHashSet<&K> = keys.iter().collect();
        for key in before.iter().filter(|key| !now.contains(*key)) {
            if let Some(place) = self.places.get(key).copied() {
                self.entries[place].is_hot = false;
                self.drop_if_unused(place);
            }
        }
        for key in &keys {
            let place = self.enter(key);
            self.entries[place].is_hot = true;
        }
        self.hot.insert(server, keys);
    }

    /// The place of a key's entry, which is made if there is none.
    fn enter(&mut self, key: &K) -> usize {
        if let Some(place) = self.places.get(key) {
            return *place;
        }
        let place = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry::new(key.clone()));
            self.entries.len() - 1
        });
        self.entries[place].key = key.clone();
        self.places.insert(key.clone(), place);
        place
    }

    /// Forgets a copy that nothing keeps.
    pub(super) fn drop_if_unused(&mut self, place: usize) {
        let entry = &mut self.entries[place];
        let is_kept = entry.is_hot || entry.announced > 0 || entry.asked.is_some();
        if !is_kept && self.places.get(&entry.key) == Some(&place) {
            (entry.row, entry.until) = (None, 0);
            self.places.remove(&entry.key);
            self.free.push(place);
        }
    }
}
