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
    /// Reads the workers' part of a saved model, until all of it is there.
    pub(crate) saved: Option<ReadSaved<L, T>>,
    pub(crate) requests: Output<Parcel<BlockOf<S>>, LoopTime<T>>,
    pub(crate) out: Output<Vec<L::Out>, LoopTime<T>>,
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
        self.read_records();
        if !self.load_saved(frontiers)? {
            self.hold.set(!self.backlog.is_empty());
            return Ok(());
        }
        self.read_answers()?;
        self.read_neighbour()?;
        let mut turns = 0;
        loop {
            self.deliver_pulls_of_no_keys()?;
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
        self.hold.set(!self.backlog.is_empty() && !self.waits_for_others(frontiers));
        self.send_results();
        self.finish(frontiers)
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

    /// Hands the answers of other workers' servers to the logic.
    fn read_answers(&mut self) -> Result<()> {
        let (logic, client, width) = (&mut self.logic, &mut self.client, self.width);
        self.ports.answers.try_for_each(|_token, parcel| {
            let block = std::mem::take(&mut parcel.0);
            deliver::<L, S>(logic, client, block, width)
        })
    }

    /// Hands the answers of the server beside this worker that had to wait to the logic.
    fn read_neighbour(&mut self) -> Result<()> {
        let Some(shard) = self.neighbour.clone() else { return Ok(()) };
        let waited = std::mem::take(&mut shard.borrow_mut().for_neighbour);
        waited.into_iter().try_for_each(|block| self.deliver_local(block))?;
        self.read_late(&shard)
    }

    /// Hands the answers to pulls that were left open to the logic.
    fn read_late(&mut self, shard: &RefCell<Shard<S, T>>) -> Result<()> {
        let late = shard.borrow_mut().ps.take_late(self.index);
        late.map_or(Ok(()), |block| self.deliver_local(block))
    }

    fn deliver_local(&mut self, mut block: BlockOf<S>) -> Result<()> {
        block.from = self.index as u32;
        deliver::<L, S>(&mut self.logic, &mut self.client, block, self.width)
    }

    fn deliver_pulls_of_no_keys(&mut self) -> Result<()> {
        for _ in 0..std::mem::take(&mut self.client.of_no_keys) {
            self.logic.on_pull_many_recv(&[], &[], &mut self.client)?;
        }
        Ok(())
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

    /// Whether records wait for what other workers have yet to do. They may need the same sources for that, so
    /// these must not be held.
    fn waits_for_others(&self, frontiers: &Frontiers<'_, LoopTime<T>>) -> bool {
        let Some((requests, _)) = &self.promises else { return false };
        let Some(staleness) = self.staleness else {
            return self.awaits_clock || self.client.outbox.waits_for_others();
        };
        let needed = self.client.clock.saturating_sub(staleness);
        let behind = (requests.time().0.clone(), (needed.wrapping_sub(1), u64::MAX));
        needed > 0 && frontiers.may_arrive(ANSWERS, &behind)
    }

    /// Whether the next record may be given to the logic: there is credit, and the clock stands.
    #[inline]
    fn takes_records(&self) -> bool {
        self.client.outbox.has_credit() && !self.client.wants_clock && !self.awaits_clock
    }

    /// Gives records to the logic while there is credit.
    fn admit_records(&mut self) -> Result<()> {
        let epoch = self.epoch();
        while let Some((time, records)) = self.backlog.front_mut() {
            if Some(time.epoch()) != epoch {
                return Ok(());
            }
            while self.client.outbox.has_credit() && !self.client.wants_clock && !self.awaits_clock {
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
        if self.ends(frontiers) {
            self.input_ended = true;
            self.logic.on_end_of_input(&mut self.client)?;
        }
        let drains = self.input_ended || self.client.wants_clock || self.epoch_is_over(frontiers);
        if drains && !self.drains {
            self.call_in_answers();
        }
        self.drains = drains;
        if self.client.wants_clock && !self.awaits_clock && self.client.is_idle() {
            self.start_clock()?;
        }
        if self.awaits_clock && self.clock_has_come(frontiers) {
            self.awaits_clock = false;
            let clock = self.client.clock;
            self.logic.on_clock(clock, &mut self.client)?;
        }
        Ok(())
    }

    /// Whether the last record has been handled, and the clock stands.
    fn ends(&self, frontiers: &Frontiers<'_, LoopTime<T>>) -> bool {
        let clock_moves = self.client.wants_clock || self.awaits_clock;
        !self.input_ended && !clock_moves && self.backlog.is_empty() && frontiers.is_done(DATA)
    }

    /// Whether no record of the present checkpoint epoch is left.
    fn epoch_is_over(&self, frontiers: &Frontiers<'_, LoopTime<T>>) -> bool {
        let next = match self.backlog.front() {
            Some((time, _)) => Some(time.epoch()),
            None => frontiers.next(DATA).map(|time| time.epoch()),
        };
        next > self.epoch()
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

    /// A clock that bounds staleness comes at once; otherwise it is a barrier.
    fn clock_has_come(&self, frontiers: &Frontiers<'_, LoopTime<T>>) -> bool {
        if self.staleness.is_some() {
            return true;
        }
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
                block.urgent = self.drains;
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
    fn serve_neighbour(&mut self, block: BlockOf<S>) -> Result<()> {
        let (Some(shard), Some((requests, _))) = (self.neighbour.clone(), &self.promises) else {
            return Err(Error::internal(
                "a worker that has ended, or has no server beside it, asked that server",
            ));
        };
        let at = (requests.time().0.clone(), self.client.clock);
        let mut neighbour = shard.borrow_mut();
        let answer = self.as_server.call(|| neighbour.serve(block, self.index, &at, || None))?;
        let has_late = neighbour.ps.has_late();
        if neighbour.has_more() {
            self.wake_server.wake();
        }
        drop(neighbour);
        if has_late {
            self.read_late(&shard)?;
        }
        answer.map_or(Ok(()), |block| self.deliver_local(block))
    }

    /// Closes the blocks that the policy lets go; those of the neighbour go at once.
    fn close_blocks(&mut self) {
        if self.send == SendPolicy::Immediate || self.drains {
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
        let records = self.takes_records()
            && self.backlog.front().is_some_and(|(time, _)| Some(time.epoch()) == self.epoch());
        let clock = self.client.wants_clock && !self.awaits_clock && self.client.is_idle();
        let served = outbox.has_full() || self.open_neighbour_len() > 0 || self.client.of_no_keys > 0;
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

    /// Moves on to the next epoch, or ends, once everything of this one is answered and applied.
    fn finish(&mut self, frontiers: &Frontiers<'_, LoopTime<T>>) -> Result<()> {
        let Some((requests, out)) = &mut self.promises else { return Ok(()) };
        let busy = self.awaits_clock || self.client.wants_clock || !self.client.is_idle();
        if busy {
            return Ok(());
        }
        if self.input_ended {
            self.logic.close(&mut self.client.out)?;
            send_batch(&mut self.ports.out, out, &mut self.client.out);
            self.say_finished()?;
            self.promises = None;
            return Ok(());
        }
        let waiting = self.backlog.front().map(|(time, _)| time.clone());
        let next = waiting.or_else(|| frontiers.next(DATA).map(|(time, _)| time));
        if let Some(next) = next.filter(|next| *next > requests.time().0) {
            if next.epoch() > requests.time().epoch() {
                self.say_finished()?;
            }
            let Some((requests, out)) = &mut self.promises else { return Ok(()) };
            let time = (next, (self.client.clock, 0));
            requests.advance_to(&time)?;
            out.advance_to(&time)?;
            self.activation.wake();
        }
        Ok(())
    }

    /// Tells the servers that this worker has ended, or finished a checkpoint epoch.
    fn say_finished(&mut self) -> Result<()> {
        if let Some((requests, _)) = &self.promises {
            let others = (0..self.open_since.len()).filter(|server| *server != self.index);
            let word =
                |server| Block { from: self.index as u32, finished: true, ..Block::for_server(server) };
            let mut words: Vec<_> = others.map(|server| Parcel(word(server))).collect();
            self.ports.requests.send_promised(requests, &mut words);
        }
        let Some(shard) = &self.neighbour else { return Ok(()) };
        let mut shard = shard.borrow_mut();
        self.as_server.call(|| shard.end_worker(self.index))?;
        if shard.has_more() {
            self.wake_server.wake();
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
    let mut rows = block.keys.iter().zip(block.values.chunks_exact(width));
    if block.runs.is_empty() {
        rows.try_for_each(|(key, value)| logic.on_pull_recv(key, value, client))?;
    }
    for run in &block.runs {
        for (key, value) in rows.by_ref().take(run.n as usize) {
            match run.group {
                0 => logic.on_pull_recv(key, value, client)?,
                group => deliver_to_group(logic, client, (group, block.from as usize), key, value)?,
            }
        }
    }
    client.outbox.note_left_open(block.open);
    client.outbox.settle(block.answered as usize, block.applied as usize)?;
    client.outbox.recycle(block);
    Ok(())
}

/// Takes a row for a pull of many keys, which came from `server`.
fn deliver_to_group<L: WorkerLogic>(
    logic: &mut L,
    client: &mut ParameterServerClient<L>,
    (group, server): (u32, usize),
    key: &L::Key,
    row: &[L::Pull],
) -> Result<()> {
    if !client.groups.take(group, server, key, row)? {
        return Ok(());
    }
    let complete = client.groups.finish(group);
    logic.on_pull_many_recv(&complete.keys, &complete.rows, client)?;
    client.groups.recycle(group, complete);
    Ok(())
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
            drains: false,
            staleness: config.consistency.staleness(),
            calls_in: config.server_send != SendPolicy::Immediate,
        }
    }
}
