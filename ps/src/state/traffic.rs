//! Operations counted at both ends.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use waterwheel_engine::Key;

/// What one worker has asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerTraffic {
    /// Index of the worker.
    pub index: usize,
    /// Pulls that the server on the same worker has been asked.
    pub pulls_beside: u64,
    /// Pulls that were sent to servers on other workers because the logic waits for them: each a round trip.
    pub pulls_sent: u64,
    /// Pulls that were sent ahead of their use, or to renew a row that is kept.
    pub pulls_ahead: u64,
    /// Pulls that a kept row has answered at once.
    pub pulls_kept: u64,
    /// Pulls that found their row on its way already.
    pub pulls_joined: u64,
    /// Pushes that were sent, after those to one key were combined.
    pub pushes: u64,
    /// Operations that are not answered or applied now: the credit in use.
    pub credit_used: u64,
    /// Most clocks that a kept row has missed when it answered a pull.
    pub max_staleness: u64,
}

/// What one server has been asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerTraffic {
    /// Index of the server.
    pub index: usize,
    /// Pulls that have been served, those too that were then left open.
    pub pulls: u64,
    /// Pushes that have been served.
    pub pushes: u64,
    /// Pulls that were not answered at once: left open by the logic or for a lock.
    pub left_open: u64,
    /// Most clocks before its own that were not complete when a pull was served. Always 0 for asynchronous and
    /// serialisable jobs, which do not ask.
    pub max_staleness: u64,
    /// The keys that are pulled most, the hottest first: at most 16, in the form of `Debug`, each with about how many
    /// of 1,024 counted pulls were for it. One pull in 8 is counted.
    pub hot_keys: Vec<(String, u64)>,
}

/// Counters of a worker, written by it alone.
#[derive(Debug, Default)]
pub(crate) struct WorkerFigures {
    numbers: [AtomicU64; 8],
}

impl WorkerFigures {
    /// Nothing else is ordered by these writes.
    pub(crate) fn write(&self, of: &WorkerTraffic) {
        let numbers = [
            of.pulls_beside,
            of.pulls_sent,
            of.pulls_ahead,
            of.pulls_kept,
            of.pulls_joined,
            of.pushes,
            of.credit_used,
            of.max_staleness,
        ];
        self.numbers.iter().zip(numbers).for_each(|(place, number)| place.store(number, Ordering::Relaxed));
    }

    pub(super) fn read(&self, index: usize) -> WorkerTraffic {
        let numbers = self.numbers.each_ref().map(|number| number.load(Ordering::Relaxed));
        let [
            pulls_beside,
            pulls_sent,
            pulls_ahead,
            pulls_kept,
            pulls_joined,
            pushes,
            credit_used,
            max_staleness,
        ] = numbers;
        WorkerTraffic {
            index,
            pulls_beside,
            pulls_sent,
            pulls_ahead,
            pulls_kept,
            pulls_joined,
            pushes,
            credit_used,
            max_staleness,
        }
    }
}

/// Counters of a server, written by it alone.
#[derive(Debug, Default)]
pub(crate) struct ServerFigures {
    pulls: AtomicU64,
    pushes: AtomicU64,
    left_open: AtomicU64,
    max_staleness: AtomicU64,
    hot_keys: Mutex<Vec<(String, u64)>>,
}

impl ServerFigures {
    /// Adds the operations of a request. The server alone writes, so that no update can be lost.
    pub(crate) fn add(&self, pulls: usize, pushes: usize, left_open: i32, staleness: u64) {
        let add =
            |place: &AtomicU64, n: u64| place.store(place.load(Ordering::Relaxed) + n, Ordering::Relaxed);
        add(&self.pulls, pulls as u64);
        add(&self.pushes, pushes as u64);
        add(&self.left_open, u64::from(left_open.max(0).cast_unsigned()));
        if pulls > 0 {
            self.max_staleness.fetch_max(staleness, Ordering::Relaxed);
        }
    }

    pub(crate) fn set_hot<K: Key>(&self, keys: &[(K, u32)]) {
        let named = keys.iter().take(16).map(|(key, n)| (format!("{key:?}"), u64::from(*n))).collect();
        *self.hot_keys.lock().unwrap_or_else(PoisonError::into_inner) = named;
    }

    pub(super) fn read(&self, index: usize) -> ServerTraffic {
        ServerTraffic {
            index,
            pulls: self.pulls.load(Ordering::Relaxed),
            pushes: self.pushes.load(Ordering::Relaxed),
            left_open: self.left_open.load(Ordering::Relaxed),
            max_staleness: self.max_staleness.load(Ordering::Relaxed),
            hot_keys: self.hot_keys.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}
