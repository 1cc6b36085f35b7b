//! Operations counted at both ends.

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

/// Counters of a worker, which writes them when it has done what it could.
#[derive(Debug, Default)]
pub(crate) struct WorkerFigures(Mutex<WorkerTraffic>);

impl WorkerFigures {
    pub(crate) fn write(&self, traffic: &WorkerTraffic) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = traffic.clone();
    }

    pub(super) fn read(&self, index: usize) -> WorkerTraffic {
        let traffic = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        WorkerTraffic { index, ..traffic.clone() }
    }
}

/// Counters of a server, which writes them with each request.
#[derive(Debug, Default)]
pub(crate) struct ServerFigures(Mutex<ServerTraffic>);

impl ServerFigures {
    /// Adds the operations of a request.
    pub(crate) fn add(&self, pulls: usize, pushes: usize, left_open: i32, staleness: u64) {
        let mut traffic = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        traffic.pulls += pulls as u64;
        traffic.pushes += pushes as u64;
        traffic.left_open += u64::from(left_open.max(0).cast_unsigned());
        if pulls > 0 {
            traffic.max_staleness = traffic.max_staleness.max(staleness);
        }
    }

    pub(crate) fn set_hot<K: Key>(&self, keys: &[(K, u32)]) {
        let named = keys.iter().take(16).map(|(key, n)| (format!("{key:?}"), u64::from(*n))).collect();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).hot_keys = named;
    }

    pub(super) fn read(&self, index: usize) -> ServerTraffic {
        let traffic = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ServerTraffic { index, ..traffic.clone() }
    }
}
