//! The worker operator: feeds records and answers to the logic, and sends what it issues.

mod ahead;
mod answers;
mod leave;
mod progress;
mod requests;
mod snapshot;
mod watch;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Instant;

use waterwheel_engine::checkpoint::Part;
use waterwheel_engine::operator::{Activation, Frontiers, Input, OnBehalf, Output, Promise};
use waterwheel_engine::{Clock, ClockHop, Collector, Epoch, Parcel, Result, SourceHold};

use crate::config::PsConfig;
use crate::core::policy::SendPolicy;
use crate::server::ServerLogic;
use crate::shard::{BlockOf, Shard};
use crate::worker::{ParameterServerClient, WorkerContext, WorkerLogic};
use watch::Watch;

/// The clock inside the loop of a parameter server.
pub(crate) type LoopTime<T> = (T, ClockHop);

/// Blocks of the server beside the worker that are served before others get their turn.
const LOCAL_BLOCKS_PER_TURN: usize = 256;

/// The ports of the worker operator.
pub(crate) struct WorkerPorts<L: WorkerLogic, S: ServerLogic, T: Clock> {
    pub(crate) data: Input<Vec<L::In>, LoopTime<T>>,
    pub(crate) answers: Input<Parcel<BlockOf<S>>, LoopTime<T>>,
    /// Reads the workers' part of a saved model, until all of it is there.
    pub(crate) saved: Option<ReadSaved<L, T>>,
    pub(crate) requests: Output<Parcel<BlockOf<S>>, LoopTime<T>>,
    pub(crate) out: Output<Vec<L::Out>, LoopTime<T>>,
}

impl<L: WorkerLogic, S: ServerLogic, T: Clock> WorkerPorts<L, S, T> {
    pub(crate) fn n_inputs(&self) -> usize {
        2 + usize::from(self.saved.is_some())
    }
}

/// Hands what has come of a saved model to the logic. Returns whether that was all.
pub(crate) type ReadSaved<L, T> = Box<dyn FnMut(&mut L, &Frontiers<'_, LoopTime<T>>) -> Result<bool>>;

/// Index of the inputs of data, of answers and of a saved model.
const DATA: usize = 0;
const ANSWERS: usize = 1;
pub(crate) const SAVED: usize = 2;

/// A worker with its logic, its client and the server beside it, if there is one.
pub(crate) struct WorkerDriver<L, S, T>
where
    L: WorkerLogic,
    S: ServerLogic<Key = L::Key, Pull = L::Pull, Push = L::Push>,
    T: Clock,
{
    index: usize,
    logic: L,
    /// Until the logic is opened.
    unopened: Option<WorkerContext>,
    client: ParameterServerClient<L>,
    /// The server on the same worker: its blocks take no edge.
    neighbour: Option<Rc<RefCell<Shard<S, T>>>>,
    /// Blocks for the neighbour that wait until it has loaded its model: taking the edge instead, they could be
    /// overtaken by later ones.
    parked: Vec<BlockOf<S>>,
    /// Names the server operator in the errors of its logic.
    as_server: OnBehalf,
    /// Wakes the server operator to send what its logic has output.
    wake_server: Activation,
    ports: WorkerPorts<L, S, T>,
    /// Records that found no credit, in order, with their epoch's time.
    backlog: VecDeque<(T, std::vec::IntoIter<L::In>)>,
    /// Rights to send requests and results; dropped when there is nothing left to do.
    promises: Option<(Promise<LoopTime<T>>, Promise<LoopTime<T>>)>,
    hold: SourceHold,
    activation: Activation,
    send: SendPolicy,
    /// When the open block of each server got its first operation, where the policy asks.
    open_since: Vec<Option<Instant>>,
    width: usize,
    input_ended: bool,
    awaits_clock: bool,
    /// Whether everything is to be sent and answered now, past any sending policy: the input, an epoch or a clock
    /// ends.
    drains: bool,
    /// How many clocks pulls may miss; `None` where the clock is a barrier.
    staleness: Option<u64>,
    /// Whether servers may hold answers back.
    calls_in: bool,
    part: Part,
    /// The clock with whose coming this worker leaves the checkpoint epoch.
    leaves_at: Option<u64>,
    /// The epoch that worker 0 has told all to leave.
    told_to_leave: Option<Epoch>,
    /// Index of this worker, number of workers, and of those that the job has.
    place: (usize, usize, usize),
    /// Whether this worker was opened.
    is_open: bool,
    /// What is counted, if somebody looks.
    watch: Option<Watch>,
}

impl<L, S, T> WorkerDriver<L, S, T>
where
    L: WorkerLogic,
    S: ServerLogic<Key = L::Key, Pull = L::Pull, Push = L::Push>,
    T: Clock,
{
    /// One activation: everything that can be done now.
    pub(crate) fn run(&mut self, frontiers: &Frontiers<'_, LoopTime<T>>) -> Result<()> {
        if !std::mem::replace(&mut self.is_open, true) {
            self.open()?;
        }
        if self.promises.is_none() {
            // It has ended, or takes no part: no record and no answer can come, but words of those that go on.
            self.read_answers()?;
            return self.step(frontiers);
        }
        self.read_records();
        if !self.load_saved(frontiers)? {
            self.hold.set(!self.backlog.is_empty());
            return Ok(());
        }
        self.note_complete_clocks(frontiers);
        self.read_answers()?;
        self.read_neighbour()?;
        let mut turns = 0;
        loop {
            self.deliver_kept()?;
            self.deliver_pulls_of_no_keys()?;
            self.admit_records()?;
            self.announce_records()?;
            self.note_progress(frontiers)?;
            self.send_blocks(&mut turns)?;
            if turns >= LOCAL_BLOCKS_PER_TURN {
                self.activation.wake();
                break;
            }
            if !self.can_go_on(frontiers) {
                break;
            }
        }
        self.hold.set(!self.backlog.is_empty() && !self.waits_for_others(frontiers));
        self.send_results();
        if let Some(watch) = &mut self.watch {
            watch.show(&self.client);
        }
        self.step(frontiers)?;
        self.finish(frontiers)
    }

    fn open(&mut self) -> Result<()> {
        if let Some(context) = self.unopened.take().filter(|_| self.promises.is_some()) {
            self.logic.open(&context)?;
        }
        self.restore()
    }

    /// Loads what has come of a saved model. Returns whether that is done.
    fn load_saved(&mut self, frontiers: &Frontiers<'_, LoopTime<T>>) -> Result<bool> {
        let Some(read) = &mut self.ports.saved else { return Ok(true) };
        let done = read(&mut self.logic, frontiers)?;
        if done {
            self.ports.saved = None;
        }
        Ok(done)
    }

    fn read_records(&mut self) {
        let backlog = &mut self.backlog;
        self.ports.data.for_each(|token, batch| {
            backlog.push_back((token.time().0, std::mem::take(batch).into_iter()));
        });
    }

    /// Whether the next record may be given to the logic: there is credit, and the clock stands.
    #[inline]
    fn takes_records(&self) -> bool {
        self.client.has_credit() && !self.client.wants_clock && !self.awaits_clock
    }

    /// Gives records to the logic while there is credit, and tells it when there are no more.
    fn admit_records(&mut self) -> Result<()> {
        if self.backlog.is_empty() || !self.takes_records() {
            return Ok(());
        }
        self.give_records()?;
        self.logic.on_pause(&mut self.client)
    }

    fn give_records(&mut self) -> Result<()> {
        let epoch = self.epoch();
        while let Some((time, records)) = self.backlog.front_mut() {
            if Some(time.epoch()) != epoch {
                return Ok(());
            }
            while self.client.has_credit() && !self.client.wants_clock && !self.awaits_clock {
                let Some(record) = records.next() else { break };
                self.client.begin_record();
                self.logic.on_recv(record, &mut self.client)?;
            }
            if records.len() > 0 {
                return Ok(());
            }
            self.backlog.pop_front();
        }
        Ok(())
    }

    /// Whether another turn would find something to do.
    fn can_go_on(&self, frontiers: &Frontiers<'_, LoopTime<T>>) -> bool {
        let outbox = &self.client.outbox;
        let records = self.takes_records()
            && self.backlog.front().is_some_and(|(time, _)| Some(time.epoch()) == self.epoch());
        let clock = self.client.wants_clock && !self.awaits_clock && self.client.is_idle();
        let served = outbox.has_full() || self.open_neighbour_len() > 0 || self.client.of_no_keys > 0;
        let served = served || self.client.has_near_answers();
        records || self.ends(frontiers) || clock || served
    }

    fn open_neighbour_len(&self) -> usize {
        match &self.neighbour {
            Some(shard) if shard.borrow().is_ready() => self.client.outbox.open_len(self.index),
            _ => 0,
        }
    }

    fn send_results(&mut self) {
        if let Some((_, out)) = &self.promises {
            send_batch(&mut self.ports.out, out, &mut self.client.out);
        }
    }
}

fn send_batch<D: 'static, T: Clock>(
    port: &mut Output<Vec<D>, T>,
    promise: &Promise<T>,
    results: &mut Collector<D>,
) {
    if !results.is_empty() {
        port.send_promised(promise, [results.batch()]);
        results.batch().clear();
    }
}

/// What a [`WorkerDriver`] is built from.
pub(crate) struct WorkerParts<L: WorkerLogic, S: ServerLogic, T: Clock> {
    pub(crate) index: usize,
    pub(crate) logic: L,
    pub(crate) context: WorkerContext,
    pub(crate) client: ParameterServerClient<L>,
    pub(crate) neighbour: Option<Rc<RefCell<Shard<S, T>>>>,
    pub(crate) as_server: OnBehalf,
    pub(crate) wake_server: Activation,
    pub(crate) ports: WorkerPorts<L, S, T>,
    pub(crate) hold: SourceHold,
    pub(crate) activation: Activation,
    pub(crate) servers: usize,
    pub(crate) part: Part,
    pub(crate) peers: usize,
}

impl<L, S, T> WorkerParts<L, S, T>
where
    L: WorkerLogic,
    S: ServerLogic<Key = L::Key, Pull = L::Pull, Push = L::Push>,
    T: Clock,
{
    /// The driver, with the right to send requests and results unless this worker takes no part.
    pub(crate) fn into_driver(
        self,
        config: &PsConfig<L::Key>,
        promises: Option<(Promise<LoopTime<T>>, Promise<LoopTime<T>>)>,
    ) -> WorkerDriver<L, S, T> {
        let place = (self.index, self.context.parallelism, self.peers);
        let takes_part = promises.is_some();
        WorkerDriver {
            index: self.index,
            logic: self.logic,
            unopened: Some(self.context),
            client: self.client,
            neighbour: self.neighbour,
            parked: Vec::new(),
            as_server: self.as_server,
            wake_server: self.wake_server,
            ports: self.ports,
            backlog: VecDeque::new(),
            promises,
            hold: self.hold,
            activation: self.activation,
            send: config.worker_send.clone(),
            open_since: vec![None; self.servers],
            width: config.pull_width,
            input_ended: false,
            awaits_clock: false,
            drains: false,
            staleness: config.consistency.staleness(),
            calls_in: config.server_send != SendPolicy::Immediate,
            part: self.part,
            leaves_at: None,
            told_to_leave: None,
            place,
            is_open: false,
            watch: config
                .state
                .as_ref()
                .filter(|_| takes_part)
                .map(|state| Watch::new(state.enter_worker(self.index))),
        }
    }
}
