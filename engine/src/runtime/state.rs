//! What all worker threads of one process share while a job runs: the first failure, the threads to wake,
//! the gates of the sources, and the links to the other processes.

use std::collections::BTreeMap;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::cache::CacheSpace;
use crate::checkpoint::{Checkpoints, Message, Word};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Board, Part};
use crate::feedback::LoopGauges;
use crate::flow::{Gate, Ledger};
use crate::machine;
use crate::metrics::{JobPhase, Registry};
use crate::record_count::RecordCounts;
use crate::runtime::graph::{Agreement, Graph};
use crate::runtime::link::{Links, Notice, PeerName};

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
    boards: Mutex<FxHashMap<usize, Arc<Board>>>,
    threads: AtomicUsize,
    uids: Mutex<FxHashMap<(usize, String), &'static Location<'static>>>,
    agreement: Agreement,
    loop_gauges: Mutex<Option<Arc<LoopGauges>>>,
    metrics: OnceLock<Arc<Registry>>,
    cache_space: Arc<CacheSpace>,
    bad_records: Arc<RecordCounts>,
    late_records: Arc<RecordCounts>,
    checkpoints: OnceLock<Arc<Checkpoints>>,
    /// Names of loops by their address in the graph, which is the same on every worker.
    loops: Mutex<BTreeMap<Vec<usize>, String>>,
}

/// Locks even when another thread panicked: every critical section here leaves its data whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RunState {
    pub(crate) fn with_ledger(ledger: Ledger) -> Self {
        RunState { ledger: Arc::new(ledger), ..Self::default() }
    }

    /// The same, with memory and files for data caches.
    pub(crate) fn with_cache_space(self, cache_space: CacheSpace) -> Self {
        RunState { cache_space: Arc::new(cache_space), ..self }
    }

    /// Memory and files for data caches.
    pub(crate) fn cache_space(&self) -> &Arc<CacheSpace> {
        &self.cache_space
    }

    /// What is in flight on the exchanges.
    pub(crate) fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// How many bad records there were.
    pub(crate) fn bad_records(&self) -> &Arc<RecordCounts> {
        &self.bad_records
    }

    /// How many records came too late at operators with event time.
    pub(crate) fn late_records(&self) -> &Arc<RecordCounts> {
        &self.late_records
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
        self.wake_workers();
        if let Some(checkpoints) = self.checkpoints() {
            checkpoints.tell(Message::Stop);
        }
    }

    /// Wakes all workers of this process.
    pub(crate) fn wake_workers(&self) {
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

    /// Sets the number of worker threads of each process.
    pub(crate) fn set_threads(&self, threads: usize) {
        self.threads.store(threads, Ordering::Relaxed);
    }

    /// Number of worker threads of each process.
    pub(crate) fn threads(&self) -> usize {
        self.threads.load(Ordering::Relaxed).max(1)
    }

    /// Notes that an operator on `worker` is called `uid`, and no longer `before`.
    ///
    /// # Errors
    /// Another operator has it: names both source lines.
    pub(crate) fn claim_uid(
        &self,
        worker: usize,
        uid: &str,
        location: &'static Location<'static>,
        before: Option<&str>,
    ) -> Result<()> {
        if uid.is_empty() {
            return Err(Error::config("uid is empty, expected a name that no other operator of the job has"));
        }
        let mut uids = lock(&self.uids);
        if let Some(before) = before {
            uids.remove(&(worker, before.to_string()));
        }
        match uids.insert((worker, uid.to_string()), location) {
            None => Ok(()),
            Some(first) => Err(Error::config(format!(
                "uid \"{uid}\" is used twice, by the operators made at {first} and at {location}"
            ))),
        }
    }

    /// Sets where operators note what they do.
    pub(crate) fn set_metrics(&self, registry: Arc<Registry>) {
        let _ = self.metrics.set(registry);
    }

    /// Says where the run is, to whoever watches.
    pub(crate) fn set_phase(&self, phase: JobPhase) {
        if let Some(registry) = self.metrics() {
            registry.set_phase(phase);
        }
    }

    /// Where operators note what they do, if anybody wants to know.
    pub(crate) fn metrics(&self) -> Option<&Arc<Registry>> {
        self.metrics.get()
    }

    /// Sets where loops note their rounds, if anybody wants to know.
    pub(crate) fn set_loop_gauges(&self, gauges: Option<Arc<LoopGauges>>) {
        *lock(&self.loop_gauges) = gauges;
    }

    /// Where loops note their rounds, if anybody wants to know.
    pub(crate) fn loop_gauges(&self) -> Option<Arc<LoopGauges>> {
        lock(&self.loop_gauges).clone()
    }

    /// Notes that the scope at `address` is the body of a loop.
    pub(crate) fn note_loop(&self, address: &[usize], name: &str) {
        lock(&self.loops).insert(address.to_vec(), name.to_string());
    }

    /// Names of the loops around the scope at `address`, from the outermost; its own is the last.
    pub(crate) fn loops_around(&self, address: &[usize]) -> Vec<String> {
        let loops = lock(&self.loops);
        (1..=address.len()).filter_map(|depth| loops.get(&address[..depth]).cloned()).collect()
    }

    /// Sets the checkpoints of the run, before anything else can happen.
    pub(crate) fn set_checkpoints(&self, checkpoints: Arc<Checkpoints>) {
        let _ = self.checkpoints.set(checkpoints);
    }

    /// The checkpoints of the run, if it makes any.
    pub(crate) fn checkpoints(&self) -> Option<Arc<Checkpoints>> {
        self.checkpoints.get().cloned()
    }

    /// Tells the keeper of another process's checkpoints.
    pub(crate) fn tell_keeper(&self, process: usize, word: Word) {
        if let Some(links) = self.links() {
            links.send_to(process, &Notice::Checkpoint(word));
        }
    }

    /// Heeds what the keeper of another process's checkpoints says.
    pub(crate) fn hear_keeper(&self, peer: &PeerName, word: Word) {
        match self.checkpoints() {
            Some(checkpoints) => checkpoints.hear(peer.process, word),
            None => self.fail(Error::config(format!(
                "{peer} makes checkpoints and this process does not: all need the same checkpoint directory"
            ))),
        }
    }

    /// The watermarks of the parts of a stream with event time.
    pub(crate) fn board(&self, stream: usize) -> Arc<Board> {
        Arc::clone(lock(&self.boards).entry(stream).or_default())
    }

    /// Tells the other processes how far a worker's part of a stream is.
    pub(crate) fn tell_watermark(&self, stream: usize, worker: usize, part: Part) {
        let Part { round, watermark, is_active } = part;
        if let Some(links) = lock(&self.links).as_ref() {
            links.send(&Notice::Watermark { stream, worker, round, watermark, is_active });
        }
    }

    /// Sets the links to the other processes.
    pub(crate) fn set_links(&self, links: Arc<Links>) {
        *lock(&self.links) = Some(links);
    }

    fn links(&self) -> Option<Arc<Links>> {
        lock(&self.links).clone()
    }

    /// The graphs of the workers, to be compared.
    pub(crate) fn agreement(&self) -> &Agreement {
        &self.agreement
    }

    /// Waits until all workers of all processes have built the graph that this one has built, or until the
    /// run fails.
    ///
    /// # Errors
    /// The graphs differ.
    pub(crate) fn agree_on_graph(&self, worker: usize, threads: usize) -> Result<()> {
        if let Some(graph) = self.agreement.worker_has_built(worker, threads)? {
            match self.links() {
                None => self.graphs_agree(),
                Some(links) if worker >= threads => links.send_to(0, &Notice::Built(graph)),
                Some(links) => {
                    if self.agreement.expect(graph, links.n_peers())? {
                        self.announce_agreement();
                    }
                }
            }
        }
        while !self.agreement.is_reached() && !self.stopped() {
            std::thread::park();
        }
        Ok(())
    }

    /// Notes, at process 0, what another process has built.
    pub(crate) fn peer_has_built(&self, peer: &PeerName, graph: Graph) {
        match self.agreement.peer_has_built(peer, graph) {
            Ok(true) => self.announce_agreement(),
            Ok(false) => {}
            Err(error) => self.fail(error),
        }
    }

    fn announce_agreement(&self) {
        if let Some(links) = self.links() {
            links.send(&Notice::SameGraph);
        }
        self.graphs_agree();
    }

    /// Lets the workers go on: all have built the same graph.
    pub(crate) fn graphs_agree(&self) {
        self.agreement.reach();
        self.wake_workers();
    }

    /// Tells the other processes that this one holds (or no longer holds) a source.
    pub(crate) fn tell_hold(&self, source: usize, held: bool) {
        if let Some(links) = self.links() {
            links.send(&Notice::Hold { source, held });
        }
    }
}
