//! Building the loop: workers, servers, and the edges between them.

use std::cell::RefCell;
use std::rc::Rc;

use waterwheel_engine::checkpoint::{CheckpointHold, Part, Written};
use waterwheel_engine::hash::Key;
use waterwheel_engine::operator::{Activation, Input, OnBehalf, OperatorBuilder, WakeOn};
use waterwheel_engine::{Clock, ClockHop, DataStream, Edge, Parcel, Record, Result, SourceHold};
use waterwheel_iteration::{LoopBody, feedback_loop};

use crate::config::PsConfig;
use crate::consistency::Consistency;
use crate::core::outbox::{Outbox, OutboxConfig};
use crate::placement::Placement;
use crate::server::{Combiner, Replay, ServerContext, ServerLogic};
use crate::server_op::{ModelInput, Saved, ServerDriver, ServerParts};
use crate::shard::{BlockOf, Shard};
use crate::snapshot::LogicWriter;
use crate::transform::Transformed;
use crate::worker::{ParameterServerClient, WorkerContext, WorkerLogic};
use crate::worker_op::{LoopTime, ReadSaved, SAVED, WorkerParts, WorkerPorts};

/// What both sides of the loop are built from.
struct Plan<'c, L: WorkerLogic, S: ServerLogic, T: Clock> {
    config: &'c PsConfig<L::Key>,
    me: usize,
    peers: usize,
    workers: usize,
    servers: usize,
    /// How pushes are combined before they are sent.
    combine: Option<Combiner<L::Push>>,
    /// How pushes show in rows that workers keep.
    replay: Option<Replay<L::Pull, L::Push>>,
    shard: Rc<RefCell<Shard<S, T>>>,
}

/// How a worker logic takes a parameter `M` of a saved model.
pub(super) type TakeSaved<L, M> = fn(&mut L, M) -> Result<()>;

/// A saved model: the servers' part, and parameters `M` for the workers.
pub(super) struct Loaded<'s, S: ServerLogic, L, M, T: Clock> {
    pub(super) server: Option<DataStream<'s, Saved<S>, T>>,
    pub(super) worker: Option<(DataStream<'s, M, T>, TakeSaved<L, M>)>,
}

impl<S: ServerLogic, L, M, T: Clock> Loaded<'_, S, L, M, T> {
    pub(super) const NONE: Self = Loaded { server: None, worker: None };
}

/// Builds the loop.
#[track_caller]
pub(super) fn build<'s, T, L, S, M: Record>(
    data: DataStream<'s, L::In, T>,
    loaded: Loaded<'s, S, L, M, T>,
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
    let mut config = config.clone();
    config.state = config.state.or_else(|| place.figures("parameter server"));
    let (pull_width, push_width, placement) =
        (config.pull_width, config.push_width, config.placement.clone());
    let state = config.state.clone();
    let context =
        ServerContext { index: me, parallelism: servers, workers, pull_width, push_width, placement, state };
    let (combine, replay) = (server.combiner(), server.replay());
    let mut shard = Shard::new(server, context, peers, loaded.server.is_none());
    if me < servers {
        shard.watch = config.watch(me, peers);
    }
    let shard = Rc::new(RefCell::new(shard));
    let plan = Plan { config: &config, me, peers, workers, servers, combine, replay, shard };
    let (output, trained) = feedback_loop::<_, ClockHop, _, _>(&place, "parameter server", |it, answers| {
        plan.lay_out(it, data, loaded, answers, worker)
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
    fn lay_out<'i, 's, M: Record>(
        self,
        it: &LoopBody<'_, 'i, 's, T, ClockHop>,
        data: Edge<'s, Vec<L::In>, T>,
        loaded: Loaded<'s, S, L, M, T>,
        answers: Answers<'i, S, T>,
        worker: L,
    ) -> (Answers<'i, S, T>, Outs<'s, L, S, T>) {
        let model = loaded.server.map(DataStream::into_edge);
        let saved = loaded.worker.map(|(saved, take)| (saved.into_edge(), take));
        let spared = model.as_ref().map(Edge::sources).unwrap_or_default();
        let spared = spared.and(&saved.as_ref().map(|(edge, _)| edge.sources()).unwrap_or_default());
        let mut op = it.operator("ps worker");
        let hold = op.source_hold(&data.sources(), &spared);
        let data = self.worker_input(&mut op, it.enter(data));
        let answers = op.input_parcels(answers, WakeOn::Progress);
        let saved = saved.map(|(edge, take)| {
            let hold = op.checkpoint_hold();
            saved_reader(self.worker_input(&mut op, it.enter(edge)), take, hold)
        });
        let (requests, requests_edge) = op.output();
        let (out, out_edge) = op.output();
        let part = op.source_part_unless(|| worker.snapshot(&mut LogicWriter::new(&mut Written::default())));
        let ports = WorkerPorts { data, answers, saved, requests, out };
        // Each side wakes the other; the second gets its handle when it is built.
        let wake_worker = op.activation();
        let server_op = it.operator("ps server");
        let server = (server_op.on_behalf(), server_op.activation());
        self.build_worker(op, ports, worker, (hold, part), server);
        let (answers, model_edge) = self.build_server(server_op, it, requests_edge, model, wake_worker);
        (answers, (it.leave(out_edge), it.leave(model_edge)))
    }

    /// Adds an input of the worker operator: with fewer workers than the job has, records of the others are moved.
    fn worker_input<'i, D: Record>(
        &self,
        op: &mut OperatorBuilder<'i, LoopTime<T>>,
        edge: Edge<'i, Vec<D>, LoopTime<T>>,
    ) -> Input<Vec<D>, LoopTime<T>> {
        if self.workers == self.peers {
            return op.input(edge, WakeOn::Progress);
        }
        let to = (self.me % self.workers) as u64;
        op.input_routed(edge, WakeOn::Progress, move |_record| to)
    }

    fn build_worker(
        &self,
        op: OperatorBuilder<'_, LoopTime<T>>,
        ports: WorkerPorts<L, S, T>,
        worker: L,
        (hold, part): (SourceHold, Part),
        (as_server, wake_server): (OnBehalf, Activation),
    ) {
        let outbox = Outbox::new(OutboxConfig {
            servers: self.servers,
            placement: self.config.placement.clone(),
            push_width: self.config.push_width,
            combine: self.combine.filter(|_| self.config.combine_pushes),
            pushes_overtake: self.config.consistency == Consistency::Serialisable,
            credit: self.config.credit,
            block_len: self.config.block_len,
        });
        let beside = (self.me < self.servers).then_some(self.me);
        let client = ParameterServerClient::new(outbox, self.config, beside, self.replay);
        let (shard, semantics) = (Rc::clone(&self.shard), self.config.semantics());
        let neighbour = (self.me < self.servers).then(|| Rc::clone(&self.shard));
        let (index, servers, takes_part) = (self.me, self.servers, self.me < self.workers);
        let peers = self.peers;
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
                part,
                peers,
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
            let route = move |(key, _row): &Saved<S>| server_or_panic(&placement, key, servers);
            ModelInput {
                hold: op.checkpoint_hold(),
                rows: op.input_routed(it.enter(model), WakeOn::Progress, route),
            }
        });
        let part = op.part_unless(|| self.shard.borrow_mut().check_snapshot());
        if part.is_taken() {
            self.shard.borrow_mut().set_unready();
        }
        let (servers, placement) = (self.servers, self.config.placement.clone());
        let (answers, answers_edge) = op.output();
        let (out, out_edge) = op.output();
        let (index, shard, peers) = (self.me, self.shard, self.peers);
        let (send, serves) = (self.config.server_send.clone(), index < servers);
        let tells_hot = self.config.replicas > 0;
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
                tells_hot,
                activation,
                wake_worker,
                part,
                servers,
                placement,
            };
            let mut driver = ServerDriver::new(parts, peers);
            move |frontiers| driver.run(frontiers)
        });
        (answers_edge, out_edge)
    }
}

/// Reads parameters of a saved model into a worker logic, and says when all are there.
fn saved_reader<L: 'static, M: Record, T: Clock>(
    mut input: Input<Vec<M>, LoopTime<T>>,
    take: TakeSaved<L, M>,
    hold: CheckpointHold,
) -> ReadSaved<L, T> {
    Box::new(move |logic, frontiers| {
        // Held until all is read and this is dropped.
        let _hold = &hold;
        input.try_for_each(|_token, batch| batch.drain(..).try_for_each(|saved| take(logic, saved)))?;
        Ok(frontiers.is_done(SAVED))
    })
}

/// A route can not fail; the operator's guard turns the panic into its error.
fn server_or_panic<K: Key>(placement: &Placement<K>, key: &K, servers: usize) -> u64 {
    match placement.server_of(key, servers) {
        Ok(server) => server as u64,
        Err(error) => panic!("{error}"),
    }
}
