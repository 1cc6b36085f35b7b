//! Running a job: worker threads, processes, and the one way in which a run ends.

mod call;
pub(crate) mod config;
mod connect;
mod frames;
mod graph;
mod handshake;
mod launch;
pub(crate) mod link;
mod meeting;
pub(crate) mod panics;
mod reception;
mod secret;
mod socket;
pub(crate) mod state;
mod stop;
mod supervise;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use timely::communication::allocator::zero_copy::initialize::{
    CommsGuard, initialize_networking_from_sockets,
};
use timely::communication::allocator::{Allocator, AllocatorBuilder, ProcessBuilder};
use timely::communication::{Config as CommunicationConfig, Hooks};
use timely::worker::Worker;

pub use config::{ByteSize, RunHandles, RuntimeConfig};
pub use launch::started_as;
pub use meeting::Meeting;
pub use stop::StopHandle;
pub use supervise::{Restarts, supervise};

use crate::cache::CacheSpace;
use crate::checkpoint::{Checkpoints, Inbox, JobNames, KeeperThread, Membership, Message};
use crate::collect::Outcome;
use crate::edge::Place;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::feedback::LoopState;
use crate::flow::Ledger;
use crate::machine;
use crate::metrics::{JobPhase, stopwatch};
use connect::Cluster;
use launch::Relatives;
use link::{Links, Patience, Peer, PeerName};
use secret::Key;
use socket::DataSocket;
use state::RunState;

/// Builds a dataflow on every worker and runs it to its end.
///
/// `job` runs once per worker thread and must build the same graph on each: no worker begins before all are
/// seen to have built the same operators, by name, source line and order. What it returns is finished
/// when the dataflow has ended: a [`Collected`](crate::Collected) becomes its records, and tuples and `()`
/// follow. The result holds one value per worker thread of *this* process, in order of worker index.
///
/// With several processes every process calls `execute` with the same job; see [`RuntimeConfig`] for how
/// they are started and find each other.
///
/// # Errors
/// The first failure anywhere ends the run on every process with the same error, which names the operator
/// and the worker. Panics of user functions are such failures. A lost or hung process is an
/// [`ErrorKind::Peer`](crate::ErrorKind::Peer) error that names it; one that builds another graph is an
/// [`ErrorKind::Config`](crate::ErrorKind::Config) error that names it and the first operator that differs.
///
/// # Examples
/// ```
/// use waterwheel_engine::{RuntimeConfig, execute};
///
/// let squares = execute(RuntimeConfig::threads(2), |env| {
///     Ok(env.from_iter(1..=4u64).rebalance().map(|x| x * x).collect())
/// })?;
/// let mut squares = squares.concat();
/// squares.sort();
/// assert_eq!(squares, [1, 4, 9, 16]);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
pub fn execute<O, F>(config: RuntimeConfig, job: F) -> Result<Vec<O::Value>>
where
    O: Outcome,
    F: for<'s> Fn(&Env<'s>) -> Result<O> + Send + Sync + 'static,
{
    run_job(config, &Arc::new(job))
}

/// As [`execute`], for a job that may be run again.
fn run_job<O, F>(config: RuntimeConfig, job: &Arc<F>) -> Result<Vec<O::Value>>
where
    O: Outcome,
    F: for<'s> Fn(&Env<'s>) -> Result<O> + Send + Sync + 'static,
{
    config.validate()?;
    let ledger = Ledger::new(config.max_in_flight_records, config.threads, config.processes);
    let caches = CacheSpace::new(config.cache_memory_bytes, &config.cache_parent());
    let run = Arc::new(RunState::with_ledger(ledger).with_cache_space(caches));
    let _files = CacheFiles(Arc::clone(run.cache_space()));
    run.set_threads(config.threads);
    config.flow_state.watch(run.ledger());
    config.bad_record_state.watch(run.bad_records());
    config.late_record_state.watch(run.late_records());
    run.set_loop_gauges(config.loop_state.as_ref().map(LoopState::watch));
    let inbox = prepare_checkpoints(&config, &run);
    if let Some(metrics) = &config.job_metrics {
        run.set_metrics(metrics.watch());
    }
    config.stop.watch(&run);
    let outcome = run_in_processes(&config, &run, job, inbox);
    run.set_phase(if outcome.is_ok() { JobPhase::Ended } else { JobPhase::Failed });
    outcome
}

/// Runs a job in the processes that it is to have.
fn run_in_processes<O, F>(
    config: &RuntimeConfig,
    run: &Arc<RunState>,
    job: &Arc<F>,
    inbox: Option<Inbox>,
) -> Result<Vec<O::Value>>
where
    O: Outcome,
    F: for<'s> Fn(&Env<'s>) -> Result<O> + Send + Sync + 'static,
{
    if config.processes == 1 {
        let (builders, _nothing) = communication(config.threads)
            .try_build()
            .map_err(|text| Error::internal(format!("can not build worker threads: {text}")))?;
        let keeper = start_keeper(config, 0, inbox, run)?;
        return await_checkpoints(run, keeper, run_workers(run, builders, job));
    }
    let mut network = Network::connect(config, run)?;
    let builders = std::mem::take(&mut network.builders);
    let values = match start_keeper(config, network.me, inbox, run) {
        Ok(keeper) => await_checkpoints(run, keeper, run_workers(run, builders, job)),
        Err(error) => {
            run.fail(error);
            run.outcome().map(|()| Vec::new())
        }
    };
    network.disconnect(run, values)
}

/// Removes the files of data caches when the run has ended, however it does: threads of a network that has failed may
/// keep the state of the run for longer.
struct CacheFiles(Arc<CacheSpace>);

impl Drop for CacheFiles {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Says that the run makes checkpoints, before it can hear of them from other processes.
fn prepare_checkpoints(config: &RuntimeConfig, run: &RunState) -> Option<Inbox> {
    let (checkpoints, inbox) = Checkpoints::prepare(config.checkpoints.clone()?, &config.job_name);
    run.set_checkpoints(checkpoints);
    Some(inbox)
}

fn start_keeper(
    config: &RuntimeConfig,
    process: usize,
    inbox: Option<Inbox>,
    run: &Arc<RunState>,
) -> Result<Option<KeeperThread>> {
    let (Some(checkpoints), Some(inbox)) = (run.checkpoints(), inbox) else { return Ok(None) };
    let names = JobNames {
        job: config.job_name.clone(),
        program_version: config.program_version.clone(),
        attempt: config.attempt,
    };
    let membership = Membership { process, processes: config.processes, threads: config.threads };
    checkpoints.start_keeper(inbox, names, membership, run).map(Some)
}

/// Waits for the last checkpoint of a run whose workers have ended well, and for the keeper of any.
fn await_checkpoints<V>(
    run: &RunState,
    keeper: Option<KeeperThread>,
    values: Result<Vec<V>>,
) -> Result<Vec<V>> {
    let Some(keeper) = keeper else { return values };
    if let (Err(_), Some(checkpoints)) = (&values, run.checkpoints()) {
        checkpoints.tell(Message::Stop);
    }
    keeper.join();
    let values = values?;
    run.outcome()?;
    Ok(values)
}

fn communication(threads: usize) -> CommunicationConfig {
    if threads == 1 { CommunicationConfig::Thread } else { CommunicationConfig::Process(threads) }
}

/// Runs one thread per builder and gathers their values, or the failure of the run.
fn run_workers<O, F>(
    run: &Arc<RunState>,
    builders: Vec<AllocatorBuilder>,
    job: &Arc<F>,
) -> Result<Vec<O::Value>>
where
    O: Outcome,
    F: for<'s> Fn(&Env<'s>) -> Result<O> + Send + Sync + 'static,
{
    let (shared, job, threads) = (Arc::clone(run), Arc::clone(job), builders.len());
    let logic = move |allocator| run_worker::<O, F>(&shared, allocator, threads, &job);
    let guards = timely::communication::initialize_from(builders, Box::new(()), logic)
        .map_err(|text| Error::config(format!("can not start the worker threads: {text}")))?;
    let values: Vec<Option<O::Value>> = guards.join().into_iter().map(|value| value.ok().flatten()).collect();
    run.outcome()?;
    let whole: Option<Vec<_>> = values.into_iter().collect();
    whole.ok_or_else(|| Error::internal("a worker ended without a result"))
}

/// The life of one worker thread. Whatever goes wrong is told to `run`.
fn run_worker<O, F>(run: &Arc<RunState>, allocator: Allocator, threads: usize, job: &F) -> Option<O::Value>
where
    O: Outcome,
    F: for<'s> Fn(&Env<'s>) -> Result<O>,
{
    run.register_worker();
    panics::mark_worker_thread();
    // Nested: dropping a worker whose dataflow was cut short runs user destructors, which may panic too. The
    // first failure is the one that counts; what comes after it changes nothing.
    let value = panics::catch(|| {
        let mut worker = Worker::new(timely::WorkerConfig::default(), allocator, Some(machine::now()));
        panics::catch(|| drive(run, &mut worker, threads, job)).and_then(|value| value)
    });
    value.and_then(|value| value).map_err(|error| run.fail(error)).ok().flatten()
}

/// Builds the dataflow and steps it until it has ended or the run is stopped.
fn drive<O, F>(run: &Arc<RunState>, worker: &mut Worker, threads: usize, job: &F) -> Result<Option<O::Value>>
where
    O: Outcome,
    F: for<'s> Fn(&Env<'s>) -> Result<O>,
{
    // Streams with event time live in a scope of their own, streams of batches in another. Both are there in every
    // job, because a graph may turn to them at any point of it; without such streams they are never scheduled.
    let outcome = worker.dataflow(|scope| {
        scope.scoped("event time", |events| {
            scope.scoped("batches", |batches| {
                batches.scoped("event time", |in_batches| {
                    let place = Place::new(scope, Arc::clone(run)).with_events(events);
                    let batches = Place::new(batches, Arc::clone(run)).with_events(in_batches);
                    build(run, job, &Env::new(place, batches))
                })
            })
        })
    });
    let checkpoints = run.checkpoints();
    if let Some(checkpoints) = checkpoints.as_ref().filter(|_| worker.index() < threads) {
        // So that the others hear of it before they hear that the graphs agree.
        checkpoints.await_start(run);
    }
    run.agree_on_graph(worker.index(), threads)?;
    if let Some(checkpoints) = &checkpoints {
        checkpoints.tell(Message::Built);
        checkpoints.await_word(run)?;
    }
    run.ledger().set_built(run);
    if !run.stopped() {
        run.set_phase(JobPhase::Running);
    }
    while worker.has_dataflows() {
        if run.stopped() {
            return Ok(None);
        }
        stopwatch::break_off();
        worker.step_or_park(None);
    }
    if let Some(checkpoints) = &checkpoints {
        checkpoints.tell(Message::WorkerEnded);
    }
    outcome.finish().map(Some)
}

/// Builds the graph. A job that fails has built half of it; finishing that half would open channels which do not
/// fit those of the other workers, and they would fail for that reason instead of this one.
fn build<O, F>(run: &Arc<RunState>, job: &F, env: &Env<'_>) -> O
where
    F: for<'s> Fn(&Env<'s>) -> Result<O>,
{
    job(env).unwrap_or_else(|error| {
        run.fail(error);
        panics::leave_step()
    })
}

/// The connections of this process to the others, and the processes it has started.
struct Network {
    me: usize,
    builders: Vec<AllocatorBuilder>,
    comms: CommsGuard,
    links: Arc<Links>,
    relatives: Relatives,
}

impl Network {
    fn connect(config: &RuntimeConfig, run: &Arc<RunState>) -> Result<Self> {
        let launch::Membership { me, addresses, listener, token, mut relatives } =
            launch::join_cluster(config, run)?;
        if addresses.len() != config.processes {
            let (found, n) = (addresses.len(), config.processes);
            return Err(Error::config(format!("joined a cluster of {found} processes, expected {n}")));
        }
        let (key, timeout) = (Key::new(&token, config.secret.as_ref())?, config.connect_timeout);
        let cluster = Cluster { addresses, me, terms: config.terms(), key, timeout };
        let sockets = cluster.connect(listener, run, || relatives.check_alive())?;
        let (mut data, mut control) = (Vec::new(), Vec::new());
        for (process, sockets) in sockets.into_iter().enumerate() {
            let name = PeerName { process, address: cluster.addresses[process].clone() };
            let traffic = Arc::default();
            let data_of =
                |stream| DataSocket::new(stream, name.clone(), Arc::clone(&traffic), Arc::clone(run));
            data.push(sockets.data.map(data_of));
            control.extend(sockets.control.map(|stream| (Peer { name, traffic }, stream)));
        }
        let patience = Patience { timeout: config.heartbeat_timeout, at_start: timeout };
        if let Some(metrics) = run.metrics() {
            metrics.set_peers(control.iter().map(|(peer, _stream)| peer.clone()).collect());
        }
        let links = Links::start(control, patience, run)?;
        run.set_links(Arc::clone(&links));
        let hooks = Hooks::default();
        let inside =
            ProcessBuilder::new_typed_vector(config.threads, hooks.refill.clone(), hooks.spill.clone());
        let (builders, comms) =
            initialize_networking_from_sockets(inside, data, me, config.threads, hooks)
                .map_err(|error| Error::internal("can not start the network threads").caused_by(error))?;
        let builders = builders.into_iter().map(AllocatorBuilder::Tcp).collect();
        Ok(Network { me, builders, comms, links, relatives })
    }

    /// Parts from the other processes: in good order after a good run, at once after a failure.
    fn disconnect<V>(mut self, run: &Arc<RunState>, values: Result<Vec<V>>) -> Result<Vec<V>> {
        let values = match values {
            Ok(values) => values,
            Err(error) => {
                // Its threads may wait for a peer that is gone; the process is about to end.
                std::mem::forget(self.comms);
                self.links.close();
                return Err(error);
            }
        };
        self.links.part(run);
        if let Err(error) = run.outcome() {
            std::mem::forget(self.comms);
            return Err(error);
        }
        drain(self.comms, run)?;
        self.relatives.wait()?;
        Ok(values)
    }
}

/// Waits until the network threads have sent and read everything, or until the run fails.
fn drain(comms: CommsGuard, run: &Arc<RunState>) -> Result<()> {
    let done = Arc::new(AtomicBool::new(false));
    let (finished, waiter) = (Arc::clone(&done), std::thread::current());
    std::thread::Builder::new()
        .name("waterwheel:drain".into())
        .spawn(move || {
            drop(comms);
            finished.store(true, Ordering::SeqCst);
            waiter.unpark();
        })
        .map_err(|error| Error::config("can not start a thread").caused_by(error))?;
    while !done.load(Ordering::SeqCst) {
        run.outcome()?;
        std::thread::park_timeout(std::time::Duration::from_millis(50));
    }
    Ok(())
}
