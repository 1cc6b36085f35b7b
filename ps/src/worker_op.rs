//! The worker operator: feeds records and answers to the logic, and sends what it issues.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Instant;

use waterwheel_engine::operator::{Activation, Frontiers, Input, OnBehalf, Output, Promise};
use waterwheel_engine::{
    AnyClock as _, Clock, ClockHop, Collector, Epoch, Error, Parcel, Result, SourceHold, machine,
};

use crate::block::Block;
use crate::config::PsConfig;
use crate::core::policy::SendPolicy;
use crate::server::ServerLogic;
use crate::shard::{BlockOf, Shard};
use crate::worker::{ParameterServerClient, WorkerContext, WorkerLogic};

/// The clock inside the loop of a parameter server.
pub(crate) type LoopTime<T> = (T, ClockHop);

/// Blocks of the server beside the worker that are served before others get their turn.
const LOCAL_BLOCKS_PER_TURN: usize = 256;

/// The ports of the worker operator.
pub(crate) struct WorkerPorts<L: WorkerLogic, S: ServerLogic, T: Clock> {
    pub(crate) data: Input<Vec<L::In>, LoopTime<T>>,
    pub(crate) answers: Input<Parcel<BlockOf<S>>, LoopTime<T>>,
    pub(crate) requests: Output<Parcel<BlockOf<S>>, LoopTime<T>>,
    pub(crate) out: Output<Vec<L::Out>, LoopTime<T>>,
}

/// Index of the data input and the answer input.
const DATA: usize = 0;
const ANSWERS: usize = 1;

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
    neighbour: Option<Rc<RefCell<Shard<S>>>>,
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
    /// Whether servers may hold answers back.
    calls_in: bool,
}

impl<L, S, T> WorkerDriver<L, S, T>
where
    L: WorkerLogic,
    S: ServerLogic<Key = L::Key, Pull = L::Pull, Push = L::Push>,
    T: Clock,
{
    /// One activation: everything that can be done now.
    pub(crate) fn run(&mut self, frontiers: &Frontiers<'_, LoopTime<T>>) -> Result<()> {
        if self.promises.is_none() {
            // It has ended, or takes no part: no record and no answer can come.
            return Ok(());
        }
        if let Some(context) = self.unopened.take() {
            self.logic.open(&context)?;
        }
        self.read_answers()?;
        self.read_records();
        let mut turns = 0;
        loop {
            self.admit_records()?;
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
        self.hold.set(!self.backlog.is_empty());
        self.send_results();
        self.finish(frontiers)
    }

    /// Hands the answers of other workers' servers to the logic.
    fn read_answers(&mut self) -> Result<()> {
        let (logic, client, width) = (&mut self.logic, &mut self.client, self.width);
        self.ports.answers.try_for_each(|_token, parcel| {
            let block = std::mem::take(&mut parcel.0);
            deliver::<L, S>(logic, client, block, width)
        })
    }

    fn read_records(&mut self) {
        let backlog = &mut self.backlog;
        self.ports.data.for_each(|token, batch| {
            backlog.push_back((token.time().0, std::mem::take(batch).into_iter()));
        });
    }

    /// The checkpoint epoch that this worker may send in.
    fn epoch(&self) -> Option<Epoch> {
        self.promises.as_ref().map(|(requests, _)| requests.time().epoch())
    }

    /// Gives records to the logic while there is credit.
    fn admit_records(&mut self) -> Result<()> {
        let epoch = self.epoch();
        while let Some((time, records)) = self.backlog.front_mut() {
            if Some(time.epoch()) != epoch {
                return Ok(());
            }
            while self.client.outbox.has_credit() {
                match records.next() {
                    Some(record) => self.logic.on_recv(record, &mut self.client)?,
                    None => break,
                }
            }
            if records.len() > 0 {
                return Ok(());
            }
            self.backlog.pop_front();
        }
        Ok(())
    }

    /// Tells the logic of the end of the input and of a clock that has come.
    fn note_progress(&mut self, frontiers: &Frontiers<'_, LoopTime<T>>) -> Result<()> {
        if !self.input_ended && self.backlog.is_empty() && frontiers.is_done(DATA) {
            self.input_ended = true;
            self.call_in_answers();
            self.logic.on_end_of_input(&mut self.client)?;
        }
        if self.client.wants_clock && !self.awaits_clock && self.client.outbox.is_idle() {
            self.start_clock()?;
        }
        if self.awaits_clock && self.clock_has_come(frontiers) {
            self.awaits_clock = false;
            let clock = self.client.clock;
            self.logic.on_clock(clock, &mut self.client)?;
        }
        Ok(())
    }

    /// Tells the servers to send what they hold back: no more operations will come to fill their batches.
    fn call_in_answers(&mut self) {
        let Some((requests, _)) = &self.promises else { return };
        let mut calls: Vec<_> = (0..self.open_since.len())
            .filter(|server| self.calls_in && *server != self.index)
            .map(|server| {
                Parcel(Block { from: self.index as u32, urgent: true, ..Block::for_server(server) })
            })
            .collect();
        self.ports.requests.send_promised(requests, &mut calls);
    }

    /// Gives up the present clock: nothing more will be sent in it.
    fn start_clock(&mut self) -> Result<()> {
        self.client.wants_clock = false;
        self.awaits_clock = true;
        self.client.clock += 1;
        let clock = self.client.clock;
        match &mut self.promises {
            Some((requests, out)) => {
                let next = (requests.time().0.clone(), (clock, 0));
                requests.advance_to(&next)?;
                out.advance_to(&next)
            }
            None => Err(Error::internal("a worker that has ended advanced its clock")),
        }
    }

    fn clock_has_come(&self, frontiers: &Frontiers<'_, LoopTime<T>>) -> bool {
        let Some((requests, _)) = &self.promises else { return false };
        let last_of_previous = (requests.time().0.clone(), (self.client.clock - 1, u64::MAX));
        !frontiers.may_arrive(ANSWERS, &last_of_previous)
    }

    /// Serves the blocks of the neighbour and sends the others.
    fn send_blocks(&mut self, turns: &mut usize) -> Result<()> {
        self.close_blocks();
        let mut remote = Vec::new();
        if self.neighbour_is_ready() {
            for block in std::mem::take(&mut self.parked) {
                self.serve_neighbour(block)?;
            }
        }
        while let Some(mut block) = self.client.outbox.pop() {
            if self.neighbour.is_none() || block.destination as usize != self.index {
                block.from = self.index as u32;
                block.urgent = self.input_ended;
                remote.push(Parcel(block));
            } else if self.neighbour_is_ready() {
                *turns += 1;
                self.serve_neighbour(block)?;
            } else {
                self.parked.push(block);
            }
        }
        if let Some((requests, _)) = &self.promises {
            self.ports.requests.send_promised(requests, &mut remote);
            return Ok(());
        }
        if remote.is_empty() {
            Ok(())
        } else {
            Err(Error::internal("a worker that has ended sent a request"))
        }
    }

    fn neighbour_is_ready(&self) -> bool {
        self.neighbour.as_ref().is_some_and(|shard| shard.borrow().is_ready())
    }

    /// Has a block served by the server beside this worker.
    fn serve_neighbour(&mut self, mut block: BlockOf<S>) -> Result<()> {
        if let Some(shard) = &self.neighbour {
            let mut shard = shard.borrow_mut();
            self.as_server.call(|| shard.serve(&mut block, self.index))?;
            if !shard.out.is_empty() {
                self.wake_server.wake();
            }
        }
        deliver::<L, S>(&mut self.logic, &mut self.client, block, self.width)
    }

    /// Closes the blocks that the policy lets go; those of the neighbour go at once.
    fn close_blocks(&mut self) {
        if self.send == SendPolicy::Immediate || self.input_ended {
            self.client.outbox.flush_where(|_, _| true);
            return;
        }
        let (index, send, since) = (self.index, &self.send, &mut self.open_since);
        let has_neighbour = self.neighbour.is_some();
        for (server, since) in since.iter_mut().enumerate() {
            match self.client.outbox.open_len(server) {
                0 => *since = None,
                _ => {
                    since.get_or_insert_with(machine::now);
                }
            }
        }
        self.client.outbox.flush_where(|server, n| {
            let age = since[server].map(|since| since.elapsed()).unwrap_or_default();
            let goes = (has_neighbour && server == index) || send.allows(n, age);
            if goes {
                since[server] = None;
            }
            goes
        });
        if let Some(interval) = send.interval().filter(|_| since.iter().any(Option::is_some)) {
            self.activation.wake_after(interval);
        }
    }

    /// Whether another turn would find something to do.
    fn can_go_on(&self, frontiers: &Frontiers<'_, LoopTime<T>>) -> bool {
        let outbox = &self.client.outbox;
        let records = outbox.has_credit()
            && self.backlog.front().is_some_and(|(time, _)| Some(time.epoch()) == self.epoch());
        let ends = !self.input_ended && self.backlog.is_empty() && frontiers.is_done(DATA);
        let clock = self.client.wants_clock && !self.awaits_clock && outbox.is_idle();
        let served = outbox.has_full() || self.open_neighbour_len() > 0;
        records || ends || clock || served
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

    /// Moves on to the next epoch, or ends, once everything of this one is answered and applied.
    fn finish(&mut self, frontiers: &Frontiers<'_, LoopTime<T>>) -> Result<()> {
        let Some((requests, out)) = &mut self.promises else { return Ok(()) };
        let busy = self.awaits_clock || self.client.wants_clock || !self.client.outbox.is_idle();
        if busy {
            return Ok(());
        }
        if self.input_ended {
            self.logic.close(&mut self.client.out)?;
            send_batch(&mut self.ports.out, out, &mut self.client.out);
            self.promises = None;
            return Ok(());
        }
        let waiting = self.backlog.front().map(|(time, _)| time.clone());
        let next = waiting.or_else(|| frontiers.next(DATA).map(|(time, _)| time));
        if let Some(next) = next.filter(|next| *next > requests.time().0) {
            let time = (next, (self.client.clock, 0));
            requests.advance_to(&time)?;
            out.advance_to(&time)?;
            self.activation.wake();
        }
        Ok(())
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

/// Takes an answer: the logic gets each row, then the credit comes back.
fn deliver<L, S>(
    logic: &mut L,
    client: &mut ParameterServerClient<L>,
    block: BlockOf<S>,
    width: usize,
) -> Result<()>
where
    L: WorkerLogic,
    S: ServerLogic<Key = L::Key, Pull = L::Pull, Push = L::Push>,
{
    if block.values.len() != block.keys.len() * width {
        let (keys, values) = (block.keys.len(), block.values.len());
        return Err(Error::internal(format!("answer of {values} elements to {keys} pulls of width {width}")));
    }
    for (key, value) in block.keys.iter().zip(block.values.chunks_exact(width)) {
        logic.on_pull_recv(key, value, client)?;
    }
    client.outbox.settle(block.keys.len(), block.applied as usize)?;
    client.outbox.recycle(block);
    Ok(())
}

/// What a [`WorkerDriver`] is built from.
pub(crate) struct WorkerParts<L: WorkerLogic, S: ServerLogic, T: Clock> {
    pub(crate) index: usize,
    pub(crate) logic: L,
    pub(crate) context: WorkerContext,
    pub(crate) client: ParameterServerClient<L>,
    pub(crate) neighbour: Option<Rc<RefCell<Shard<S>>>>,
    pub(crate) as_server: OnBehalf,
    pub(crate) wake_server: Activation,
    pub(crate) ports: WorkerPorts<L, S, T>,
    pub(crate) hold: SourceHold,
    pub(crate) activation: Activation,
    pub(crate) servers: usize,
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
            calls_in: config.server_send != SendPolicy::Immediate,
        }
    }
}
