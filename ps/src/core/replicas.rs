//! Copies of rows that a worker keeps: those of keys that it has announced, and of keys that are hot.
//!
//! A state machine without clock, threads or channels. A copy answers a pull in place of the server as long as it is
//! fresh: so few pulls and clocks of the worker old as the job allows. Own pushes show in it, or end it.

mod lifetime;

use rustc_hash::FxHashMap;
use waterwheel_engine::{Error, Key, Result};

use crate::server::Replay;

/// Group of pulls for the copy of an announced key, issued ahead and beside the credit.
pub(crate) const AHEAD: u32 = u32::MAX;
/// Group of pulls that renew the copy of a hot key while it is in use, beside the credit.
pub(crate) const RENEWED: u32 = u32::MAX - 1;
/// Group of pulls for a copy that a pull of the worker waits for.
pub(crate) const ASKED: u32 = u32::MAX - 2;

/// Whether rows of a group are copies.
#[inline]
pub(crate) fn is_of_copies(group: u32) -> bool {
    group >= ASKED
}

/// What a worker may keep, and for how long.
pub(crate) struct ReplicaConfig<E, D> {
    pub(crate) push_width: usize,
    /// Announced pulls at most; 0 for none.
    pub(crate) intents: usize,
    /// Rows of each server at most that are kept because they are hot; 0 for none.
    pub(crate) hot_rows: usize,
    /// Pulls of the worker after which a copy is not used.
    pub(crate) max_age: u64,
    /// How many clocks a pull may miss; `None` where it must be of the present clock.
    pub(crate) staleness: Option<u64>,
    /// Whether the worker's own pushes show before its clock ends.
    pub(crate) shows_pushes: bool,
    pub(crate) replay: Option<Replay<E, D>>,
    /// Pulls that wait here at most.
    pub(crate) credit: usize,
}

/// When a row was asked for.
#[derive(Clone, Copy, Debug)]
struct Asked {
    pull: u64,
    /// It shows all clocks before this one.
    shows: u64,
}

struct Entry<K, E, D> {
    key: K,
    /// Its elements, if there is a row.
    copy: Vec<E>,
    /// Of when its row is; `None` if it has none to be used.
    row: Option<Asked>,
    /// When the row on its way was asked for.
    asked: Option<Asked>,
    /// Whether pulls may still wait for the row on its way, and it may be kept.
    open: bool,
    /// Pulls that wait for the row on its way.
    waiting: usize,
    /// Own pushes since the row on its way was asked for, row by row.
    since: Vec<D>,
    is_hot: bool,
    /// Announced pulls to come.
    announced: usize,
    /// Record of the worker until which these are expected.
    until: u64,
}

/// What becomes of a pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pulled {
    /// The copy at this place answers it; with `true` it should be asked for anew.
    Here(usize, bool),
    /// It is answered when a row comes that is on its way.
    Joined,
    /// A copy should be asked for, and it waits for it.
    Asks(usize),
    /// It has nothing to do with copies.
    Elsewhere,
}

/// Pulls of a worker by what answered them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hits {
    /// A copy that was there.
    pub(crate) here: u64,
    /// A copy that was on its way.
    pub(crate) joined: u64,
    /// Copies asked for ahead.
    pub(crate) ahead: u64,
    /// Most clocks that a copy has missed when it answered.
    pub(crate) staleness: u64,
}

/// The copies of one worker.
pub(crate) struct Replicas<K, E, D> {
    config: ReplicaConfig<E, D>,
    places: FxHashMap<K, usize>,
    entries: Vec<Entry<K, E, D>>,
    free: Vec<usize>,
    /// Keys of each server that are hot.
    hot: FxHashMap<usize, Vec<K>>,
    /// Pulls that the worker has issued.
    pulls: u64,
    /// Records that the worker has begun.
    record: u64,
    /// The worker's clock, and the clock before which all are complete.
    clock: u64,
    complete: u64,
    /// Announced pulls to come.
    announced: usize,
    /// Pulls that wait for rows that were not asked for by them.
    joined: usize,
    /// Waiting records whose pulls are announced.
    pub(crate) records_ahead: usize,
    /// Pulls that copies have answered and that are not handed over: keys and rows.
    pub(crate) answers: (Vec<K>, Vec<E>),
    pub(crate) hits: Hits,
}

impl<K: Key, E: Clone, D: Clone> Replicas<K, E, D> {
    pub(crate) fn new(config: ReplicaConfig<E, D>) -> Self {
        Replicas {
            config,
            places: FxHashMap::default(),
            entries: Vec::new(),
            free: Vec::new(),
            hot: FxHashMap::default(),
            pulls: 0,
            record: 0,
            clock: 0,
            complete: 0,
            announced: 0,
            joined: 0,
            records_ahead: 0,
            answers: (Vec::new(), Vec::new()),
            hits: Hits::default(),
        }
    }

    /// Whether pulls wait for rows on their way.
    pub(crate) fn has_joined(&self) -> bool {
        self.joined > 0
    }

    /// Pulls that are not answered, or whose answer is not handed over, and that need no credit of the outbox.
    pub(crate) fn pending(&self) -> usize {
        self.joined + self.answers.0.len()
    }

    /// The clock before which all are complete, as far as is known.
    pub(crate) fn complete(&self) -> u64 {
        self.complete
    }

    pub(crate) fn set_complete(&mut self, clock: u64) {
        self.complete = clock;
    }

    /// What a row shows that is asked for now.
    fn asked_now(&self) -> Asked {
        let shows = match self.config.staleness {
            Some(staleness) => self.complete.max(self.clock.saturating_sub(staleness)),
            None => self.clock,
        };
        Asked { pull: self.pulls, shows }
    }

    /// The clock before which a pull must see everything.
    fn needed(&self) -> u64 {
        self.clock.saturating_sub(self.config.staleness.unwrap_or(0))
    }

    fn is_fresh(&self, row: Asked) -> bool {
        row.shows >= self.needed() && self.pulls - row.pull <= self.config.max_age
    }

    /// Whether a copy will soon be too old.
    fn is_aging(&self, row: Asked) -> bool {
        let last_clock = self.config.staleness.is_some_and(|s| s > 0) && row.shows <= self.needed();
        (last_clock && self.needed() > 0) || self.pulls - row.pull > self.config.max_age / 2
    }

    /// Counts a pull of `key` and says what becomes of it.
    pub(crate) fn pull(&mut self, key: &K) -> Pulled {
        self.pulls += 1;
        let Some(place) = self.places.get(key).copied() else { return Pulled::Elsewhere };
        self.use_announced(place);
        let is_full = self.pending() >= self.config.credit;
        let entry = &self.entries[place];
        let fresh = |row: Option<Asked>| row.filter(|row| self.is_fresh(*row));
        match (fresh(entry.row), entry.asked) {
            (Some(_), _) if is_full => self.close(place),
            (Some(row), asked) => {
                let renews = entry.is_hot && asked.is_none() && self.is_aging(row);
                self.hits.here += 1;
                self.hits.staleness = self.hits.staleness.max(self.clock.saturating_sub(row.shows));
                return Pulled::Here(place, renews);
            }
            (None, Some(asked)) if entry.open && self.is_fresh(asked) && !is_full => {
                self.entries[place].waiting += 1;
                self.joined += 1;
                self.hits.joined += 1;
                return Pulled::Joined;
            }
            (None, Some(_)) => self.close(place),
            (None, None) if entry.is_hot || entry.announced > 0 => return Pulled::Asks(place),
            (None, None) => self.drop_if_unused(place),
        }
        Pulled::Elsewhere
    }

    /// One of the announced pulls has come.
    fn use_announced(&mut self, place: usize) {
        let entry = &mut self.entries[place];
        if entry.announced > 0 {
            entry.announced -= 1;
            self.announced -= 1;
        }
    }

    /// Answers a pull with the copy at a place.
    pub(crate) fn answer(&mut self, place: usize) {
        let entry = &self.entries[place];
        self.answers.0.push(entry.key.clone());
        self.answers.1.extend_from_slice(&entry.copy);
        self.drop_if_unused(place);
    }

    /// Notes that the row at a place is asked for in a pull of `group`.
    pub(crate) fn ask(&mut self, place: usize, group: u32) {
        let asked = self.asked_now();
        let is_waited_for = group == ASKED;
        self.hits.ahead += u64::from(!is_waited_for);
        let entry = &mut self.entries[place];
        (entry.asked, entry.open, entry.waiting) = (Some(asked), true, usize::from(is_waited_for));
    }

    /// Whether a pull of `key` would be answered by a copy.
    pub(crate) fn has_fresh(&self, key: &K) -> bool {
        let entry = self.places.get(key).map(|place| &self.entries[*place]);
        entry.and_then(|entry| entry.row).is_some_and(|row| self.is_fresh(row))
    }

    /// Whether a push to `key` must be told.
    #[inline]
    pub(crate) fn follows(&self, key: &K) -> bool {
        self.config.shows_pushes && self.places.contains_key(key)
    }

    /// Shows an own push in the copies of `key`, or ends them.
    pub(crate) fn push(&mut self, key: &K, delta: &[D]) {
        let Some(place) = self.places.get(key).copied() else { return };
        let Some(replay) = self.config.replay else { return self.close(place) };
        let entry = &mut self.entries[place];
        if entry.row.is_some() {
            replay(&mut entry.copy, delta);
        }
        if entry.asked.is_some() {
            // Pulls that wait were issued before this push, and may not see it.
            entry.open &= entry.waiting == 0 && entry.since.len() < MOST_SINCE * delta.len();
            if entry.open {
                entry.since.extend_from_slice(delta);
            }
        }
    }

    /// As [`push`](Self::push), for a row of `deltas` for each of `keys`.
    pub(crate) fn push_many(&mut self, keys: &[K], deltas: &[D]) {
        for (key, delta) in keys.iter().zip(deltas.chunks_exact(self.config.push_width)) {
            if self.follows(key) {
                self.push(key, delta);
            }
        }
    }

    /// Ends the copies of `key`: what the worker issues from now on is answered by the server.
    pub(crate) fn end(&mut self, key: &K) {
        if let Some(place) = self.places.get(key) {
            self.close(*place);
        }
    }

    fn close(&mut self, place: usize) {
        (self.entries[place].row, self.entries[place].open) = (None, false);
    }

    /// Takes a row of `group` that was asked for. Returns how many pulls have waited for it, and the row as they see it
    /// if that is not as it came.
    ///
    /// # Errors
    /// It was not asked for.
    pub(crate) fn arrive(&mut self, key: &K, row: &[E], group: u32) -> Result<(usize, Option<Vec<E>>)> {
        let unasked = || Error::internal(format!("a copy of {key:?} came that was not asked for"));
        let place = self.places.get(key).copied().ok_or_else(unasked)?;
        let entry = &mut self.entries[place];
        let asked = entry.asked.take().ok_or_else(unasked)?;
        let waiting = std::mem::take(&mut entry.waiting);
        let since = std::mem::take(&mut entry.since);
        let updated = self.config.replay.filter(|_| !since.is_empty()).map(|replay| {
            let mut row = row.to_vec();
            since.chunks_exact(self.config.push_width).for_each(|delta| replay(&mut row, delta));
            row
        });
        if entry.open {
            entry.row = Some(asked);
            entry.copy.clear();
            entry.copy.extend_from_slice(updated.as_deref().unwrap_or(row));
        }
        self.joined -= waiting - usize::from(group == ASKED);
        self.drop_if_unused(place);
        Ok((waiting, updated))
    }
}

/// Own pushes that are remembered while a row is on its way, at most.
const MOST_SINCE: usize = 64;

impl<K, E, D> Entry<K, E, D> {
    fn new(key: K) -> Self {
        Entry {
            key,
            copy: Vec::new(),
            row: None,
            asked: None,
            open: false,
            waiting: 0,
            since: Vec::new(),
            is_hot: false,
            announced: 0,
            until: 0,
        }
    }
}

#[cfg(test)]
mod tests;
