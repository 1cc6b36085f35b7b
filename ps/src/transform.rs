//! Building the loop: workers, servers, and the edges between them.

use std::cell::RefCell;
use std::rc::Rc;

use waterwheel_engine::hash::Key;
use waterwheel_engine::operator::{Activation, OnBehalf, OperatorBuilder, WakeOn};
use waterwheel_engine::{Clock, ClockHop, DataStream, Edge, Parcel, Record, Result, SourceHold};
use waterwheel_iteration::{LoopBody, feedback_loop};

use crate::config::PsConfig;
use crate::core::outbox::{Outbox, OutboxConfig};
use crate::placement::Placement;
use crate::server::{Combine, ServerContext, ServerLogic};
use crate::server_op::{Saved, ServerDriver, ServerParts};
use crate::shard::{BlockOf, Shard};
use crate::worker::{ParameterServerClient, WorkerContext, WorkerLogic};
use crate::worker_op::{LoopTime, WorkerParts, WorkerPorts};

/// What [`transform`] returns.
#[derive(Debug)]
pub struct Transformed<'s, W, M, T: Clock> {
    /// What the workers output.
    pub output: DataStream<'s, W, T>,
    /// What the servers output: the model.
    pub model: DataStream<'s, M, T>,
}

/// Trains with a parameter server inside a feedback loop.
///
/// Records of `data` are handled by `worker` on the worker thread where they are; its pulls and pushes go to
/// the servers, each a copy of `server` on one of the first `servers` worker threads, and the answers come
/// back through the feedback edge. With fewer workers than the job has, records of the others are moved, all
/// of one to the same.
///
/// The loop ends by progress tracking alone: when the input has ended and every pull is answered and every
/// push applied. A source may pause for as long as it likes. Memory is bounded by
/// [`credit`](PsConfig::credit): records that find none stay at the input, and the sources are held.
///
/// A worker and a server on the same thread exchange their blocks directly, without an edge between.
///
/// # Errors
/// Settings out of their range; see [`PsConfig`].
///
/// # Examples
/// Counting words, one parameter a word:
/// ```
/// use waterwheel_engine::{Result, RuntimeConfig, execute};
/// use waterwheel_ps::{ParameterServerClient, PsConfig, SimpleServer, WorkerLogic, transform};
///
/// struct Count;
/// impl WorkerLogic for Count {
///     type In = String;
///     type Key = String;
///     type Pull = u64;
///     type Push = u64;
///     type Out = ();
///     fn on_recv(&mut self, word: String, ps: &mut ParameterServerClient<Self>) -> Result<()> {
///         ps.push(word, [1])
///     }
///     fn on_pull_recv(&mut self, _: &String, _: &[u64], _: &mut ParameterServerClient<Self>) -> Result<()> {
///         Ok(())
///     }
/// }
///
/// let counts = execute(RuntimeConfig::threads(2), |env| {
///     let words = env.from_iter("to be or not to be".split(' ').map(String::from)).rebalance();
///     let zero = |_: &String, row: &mut Vec<u64>| row.push(0);
///     let add = |row: &mut [u64], n: &[u64]| row[0] += n[0];
///     let trained = transform(words, Count, SimpleServer::new(zero, add), &PsConfig::new())?;
///     Ok(trained.model.collect())
/// })?;
/// assert!(counts.concat().contains(&("be".to_string(), vec![2])));
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[track_caller]
pub fn transform<'s, T, L, S>(
    data: DataStream<'s, L::In, T>,
    worker: L,
    server: S,
    config: &PsConfig<L::Key>,
) -> Result<Transformed<'s, L::Out, S::Out, T>>
where
    T: Clock,
    L: WorkerLogic<In: Record>,
    S: ServerLogic<Key = L::Key, Pull = L::Pull, Push = L::Push>,
{
    build(data, None, worker, server, config)
}

/// As [`transform`], with a saved model: every parameter of `model` is loaded before the first pull and push.
///
/// Training records wait at the input until then. `model` may be partitioned in any way, and any part of it
/// may be empty; training records keep their partitioning.
///
/// # Errors
/// Settings out of their range; see [`PsConfig`].
#[track_caller]
pub fn transform_with_model_load<'s, T, L, S>(
    model: DataStream<'s, (L::Key, Vec<L::Pull>), T>,
    data: DataStream<'s, L::In, T>,
    worker: L,
    server: S,
    config: &PsConfig<L::Key>,
) -> Result<Transformed<'s, L::Out, S::Out, T>>
where
    T: Clock,
    L: WorkerLogic<In: Record>,
    S: ServerLogic<Key = L::Key, Pull = L::Pull, Push = L::Push>,
{
    build(data, Some(model), worker, server, config)
}

/// What both sides of the loop are built from.
struct Plan<'c, L: WorkerLogic, S: ServerLogic, T: Clock> {
    config: &'c PsConfig<L::Key>,
    me: usize,
    peers: usize,
    workers: usize,
    servers: usize,
    /// How pushes are combined before they are sent.
    combine: Option<Combine<L::Push>>,
    shard: Rc<RefCell<Shard<S, T>>>,
}

#[track_caller]
fn build<'s, T, L, S>(
    data: DataStream<'s, L::In, T>,
    model: Option<DataStream<'s, Saved<S>, T>>,
    worker: L,
    server: S,
    config: &PsConfig<L::Key>,
) -> Result<Transformed<'s, L::Out, S::Out, T>>
where
    T: Clock,
    L: WorkerLogic<In: Record>,
    S: ServerLogic<Key = L::Key, Pull = L::Pull, Push = L::Push>,
{
    let data = data.into_edge();
    let place = data.place();
    let (me, peers) = (place.worker_index(), place.workers());
    let (workers, servers) = config.check(peers)?;
    let (pull_width, push_width, placement) =
        (config.pull_width, config.push_width, config.placement.clone());
    let context =
        ServerContext { index: me, parallelism: servers, workers, pull_width, push_width, placement };
    let combine = server.combiner();
    let shard = Rc::new(RefCell::new(Shard::new(server, context, peers, model.is_none())));
    let plan = Plan { config, me, peers, workers, servers, combine, shard };
    let model = model.map(DataStream::into_edge);
    let (output, trained) = feedback_loop::<_, ClockHop, _, _>(&place, "parameter server", |it, answers| {
        plan.lay_out(it, data, model, answers, worker)
    });
    Ok(Transformed { output: DataStream::from_edge(output), model: DataStream::from_edge(trained) })
}

type Outs<'s, L, S, T> =
    (Edge<'s, Vec<<L as WorkerLogic>::Out>, T>, Edge<'s, Vec<<S as ServerLogic>::Out>, T>);
type Answers<'i, S, T> = Edge<'i, Parcel<BlockOf<S>>, LoopTime<T>>;

impl<L, S, T> Plan<'_, L, S, T>
where
    L: WorkerLogic<In: Record>,
    S: ServerLogic<Key = L::Key, Pull = L::Pull, Push = L::Push>,
    T: Clock,
{
    #[track_caller]
    fn lay_out<'i, 's>(
        self,
        it: &LoopBody<'_, 'i, 's, T, ClockHop>,
        data: Edge<'s, Vec<L::In>, T>,
        model: Option<Edge<'s, Vec<Saved<S>>, T>>,
        answers: Answers<'i, S, T>,
        worker: L,
    ) -> (Answers<'i, S, T>, Outs<'s, L, S, T>) {
        let (sources, spared) = (data.sources(), model.as_ref().map(Edge::sources).unwrap_or_default());
        let mut op = OperatorBuilder::new(it.place(), "ps worker");
        let hold = op.source_hold(&sources, &spared);
        let data = if self.workers == self.peers {
            op.input(it.enter(data), WakeOn::Progress)
        } else {
            let to = (self.me % self.workers) as u64;
            op.input_routed(it.enter(data), WakeOn::Progress, move |_record| to)
        };
        let answers = op.input_parcels(answers, WakeOn::Progress);
        let (requests, requests_edge) = op.output();
        let (out, out_edge) = op.output();
        let ports = WorkerPorts { data, answers, requests, out };
        // Each side wakes the other; the second gets its handle when it is built.
        let wake_worker = op.activation();
        let server_op = OperatorBuilder::new(it.place(), "ps server");
        let server = (server_op.on_behalf(), server_op.activation());
        self.build_worker(op, ports, worker, hold, server);
        let (answers, model_edge) = self.build_server(server_op, it, requests_edge, model, wake_worker);
        (answers, (it.leave(out_edge), it.leave(model_edge)))
    }

    fn build_worker(
        &self,
        op: OperatorBuilder<'_, LoopTime<T>>,
        ports: WorkerPorts<L, S, T>,
        worker: L,
        hold: SourceHold,
        (as_server, wake_server): (OnBehalf, Activation),
    ) {
        let outbox = Outbox::new(OutboxConfig {
            servers: self.servers,
            placement: self.config.placement.clone(),
            push_width: self.config.push_width,
            combine: self.combine,
            credit: self.config.credit,
            block_len: self.config.block_len,
        });
        let client = ParameterServerClient::new(outbox, self.config);
        let (shard, semantics) = (Rc::clone(&self.shard), self.config.semantics());
        let neighbour = (self.me < self.servers).then(|| Rc::clone(&self.shard));
        let (index, servers, takes_part) = (self.me, self.servers, self.me < self.workers);
        let context = WorkerContext { index, parallelism: self.workers, servers };
        op.build(|mut promises, activation| {
            let out = promises.pop();
            let requests = promises.pop();
            if let Some(requests) = &requests {
                shard.borrow_mut().follow(semantics, requests.time().0.clone());
            }
            let promises = requests.zip(out).filter(|_| takes_part);
            let parts = WorkerParts {
                index,
                logic: worker,
                context,
                client,
                neighbour,
                as_server,
                wake_server,
                ports,
                hold,
                activation,
                servers,
            };
            let mut driver = parts.into_driver(self.config, promises);
            move |frontiers| driver.run(frontiers)
        });
    }

    #[track_caller]
    fn build_server<'i, 's>(
        self,
        mut op: OperatorBuilder<'i, LoopTime<T>>,
        it: &LoopBody<'_, 'i, 's, T, ClockHop>,
        requests: Answers<'i, S, T>,
        model: Option<Edge<'s, Vec<Saved<S>>, T>>,
        wake_worker: Activation,
    ) -> (Answers<'i, S, T>, Edge<'i, Vec<S::Out>, LoopTime<T>>) {
        let requests = op.input_parcels(requests, WakeOn::Progress);
        let (placement, servers) = (self.config.placement.clone(), self.servers);
        let model = model.map(|model| {
            op.input_routed(it.enter(model), WakeOn::Progress, move |(key, _row)| {
                server_or_panic(&placement, key, servers)
            })
        });
        let (answers, answers_edge) = op.output();
        let (out, out_edge) = op.output();
        let (index, shard, peers) = (self.me, self.shard, self.peers);
        let (send, serves) = (self.config.server_send.clone(), index < servers);
        op.build(|mut promises, activation| {
            let out_promise = promises.pop().filter(|_| serves);
            drop(promises);
            let parts = ServerParts {
                index,
                shard,
                requests,
                model,
                answers,
                out,
                out_promise,
                send,
                activation,
                wake_worker,
            };
            let mut driver = ServerDriver::new(parts, peers);
            move |frontiers| driver.run(frontiers)
        });
        (answers_edge, out_edge)
    }
}

/// A route can not fail; the operator's guard turns the panic into its error.
fn server_or_panic<K: Key>(placement: &Placement<K>, key: &K, servers: usize) -> u64 {
    match placement.server_of(key, servers) {
        Ok(server) => server as u64,
        Err(error) => panic!("{error}"),
    }
}
