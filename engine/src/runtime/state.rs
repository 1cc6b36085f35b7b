//! What all worker threads of one process share while a job runs: the first failure, the threads to wake,
//! the gates of the sources, and the links to the other processes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::flow::{Gate, Ledger};
use crate::machine;
use crate::runtime::link::{Links, Notice};

/// How long the reason of a broken connection may take to arrive.
const REASON_TIMEOUT: Duration = Duration::from_secs(1);

/// Shared state of one run in one process.
#[derive(Default)]
pub(crate) struct RunState {
    stopped: AtomicBool,
    failure: Mutex<Option<Error>>,
    workers: Mutex<Vec<Thread>>,
    gates: Mutex<Vec<Arc<Gate>>>,
    ledger: Arc<Ledger>,
    links: Mutex<Option<Arc<Links>>>,
}

/// Locks even when another thread panicked: every critical section here leaves its data whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RunState {
    pub(crate) fn with_ledger(ledger: Ledger) -> Self {
        RunState { ledger: Arc::new(ledger), ..Self::default() }
    }

    /// What is in flight on the exchanges.
    pub(crate) fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// Tells the other processes how many records this one has sent into an exchange more than it has read.
    pub(crate) fn tell_in_flight(&self, exchange: usize, sum: i64) {
        if let Some(links) = lock(&self.links).as_ref() {
            links.send(&Notice::InFlight { exchange, sum });
        }
    }

    /// Ends the run with `error`: the first one wins, workers wake up and stop, peers are told.
    pub(crate) fn fail(&self, error: Error) {
        {
            let mut failure = lock(&self.failure);
            if failure.is_some() {
                return;
            }
            if let Some(links) = lock(&self.links).as_ref() {
                links.send(&Notice::failed(&error));
            }
            *failure = Some(error);
        }
        self.stopped.store(true, Ordering::SeqCst);
        for worker in lock(&self.workers).iter() {
            worker.unpark();
        }
    }

    /// Whether the run has to end early.
    pub(crate) fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Gives the reason of a broken connection a moment to arrive: a peer that fails tells all others why
    /// before it goes, on connections of its own to each.
    pub(crate) fn await_reason(&self) {
        let since = machine::now();
        while !self.stopped() && since.elapsed() < REASON_TIMEOUT {
            std::thread::park_timeout(REASON_TIMEOUT / 100);
        }
    }

    /// Takes the failure, if there was one.
    pub(crate) fn outcome(&self) -> Result<()> {
        match lock(&self.failure).take() {
            Some(error) => Err(error),
            None if self.stopped() => Err(Error::new(ErrorKind::Interrupted, "the run was stopped")),
            None => Ok(()),
        }
    }

    /// Registers the calling worker thread to be woken when the run fails.
    pub(crate) fn register_worker(&self) {
        lock(&self.workers).push(std::thread::current());
    }

    /// The gate of the source with this index; sources are numbered in the order they are built, which is
    /// the same on every worker.
    pub(crate) fn gate(&self, source: usize) -> Arc<Gate> {
        let mut gates = lock(&self.gates);
        while gates.len() <= source {
            gates.push(Arc::default());
        }
        Arc::clone(&gates[source])
    }

    /// Sets the links to the other processes.
    pub(crate) fn set_links(&self, links: Arc<Links>) {
        *lock(&self.links) = Some(links);
    }

    /// Tells the other processes that this one holds (or no longer holds) a source.
    pub(crate) fn tell_hold(&self, source: usize, held: bool) {
        if let Some(links) = lock(&self.links).as_ref() {
            links.send(&Notice::Hold { source, held });
        }
    }
}
