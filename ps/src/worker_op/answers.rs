//! The way in: answers of servers, handed to the logic.

use std::cell::RefCell;

use waterwheel_engine::{Clock, Error, Result};

use crate::core::replicas::{ASKED, is_of_copies};
use crate::server::ServerLogic;
use crate::shard::{BlockOf, Shard};
use crate::worker::{ParameterServerClient, WorkerLogic};
use crate::worker_op::WorkerDriver;

impl<L, S, T> WorkerDriver<L, S, T>
where
    L: WorkerLogic,
    S: ServerLogic<Key = L::Key, Pull = L::Pull, Push = L::Push>,
    T: Clock,
{
    /// Hands the answers of other workers' servers to the logic.
    pub(super) fn read_answers(&mut self) -> Result<()> {
        let (logic, client, width) = (&mut self.logic, &mut self.client, self.width);
        let leaves_at = &mut self.leaves_at;
        self.ports.answers.try_for_each(|token, parcel| {
            let block = std::mem::take(&mut parcel.0);
            if block.is_leave() {
                let (_, (clock, _hop)) = token.time();
                *leaves_at = Some(clock + 1);
                return Ok(());
            }
            deliver::<L, S>(logic, client, block, width)
        })
    }

    /// Hands the answers of the server beside this worker that had to wait to the logic.
    pub(super) fn read_neighbour(&mut self) -> Result<()> {
        let Some(shard) = self.neighbour.clone() else { return Ok(()) };
        let waited = std::mem::take(&mut shard.borrow_mut().for_neighbour);
        waited.into_iter().try_for_each(|block| self.deliver_local(block))?;
        self.read_late(&shard)
    }

    /// Hands the answers to pulls that were left open to the logic.
    pub(super) fn read_late(&mut self, shard: &RefCell<Shard<S, T>>) -> Result<()> {
        let late = shard.borrow_mut().ps.take_late(self.index);
        late.map_or(Ok(()), |block| self.deliver_local(block))
    }

    pub(super) fn deliver_local(&mut self, mut block: BlockOf<S>) -> Result<()> {
        block.from = self.index as u32;
        deliver::<L, S>(&mut self.logic, &mut self.client, block, self.width)
    }

    pub(super) fn deliver_pulls_of_no_keys(&mut self) -> Result<()> {
        for _ in 0..std::mem::take(&mut self.client.of_no_keys) {
            self.logic.on_pull_many_recv(&[], &[], &mut self.client)?;
        }
        Ok(())
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
    if block.hot {
        if let Some(replicas) = &mut client.replicas {
            replicas.set_hot(block.from as usize, block.keys);
        }
        return Ok(());
    }
    if block.values.len() != block.keys.len() * width {
        let (keys, values) = (block.keys.len(), block.values.len());
        return Err(Error::internal(format!("answer of {values} elements to {keys} pulls of width {width}")));
    }
    // What kept rows have answered comes before what comes now.
    deliver_near(logic, client)?;
    if block.runs.is_empty() {
        deliver_rows(logic, client, &block.keys, &block.values, width)?;
    }
    let (mut keys, mut rows) = (&block.keys[..], &block.values[..]);
    for run in &block.runs {
        let n = (run.n as usize).min(keys.len());
        let (first_keys, first_rows);
        (first_keys, keys) = keys.split_at(n);
        (first_rows, rows) = rows.split_at(n * width);
        match run.group {
            0 => deliver_rows(logic, client, first_keys, first_rows, width)?,
            group if is_of_copies(group) => {
                let mut rows = first_keys.iter().zip(first_rows.chunks_exact(width));
                rows.try_for_each(|(key, row)| deliver_copy(logic, client, group, key, row))?;
            }
            group => deliver_to_group(logic, client, (group, block.from as usize), first_keys, first_rows)?,
        }
    }
    let ahead = block.runs.iter().filter(|run| run.group > ASKED).map(|run| run.n as usize).sum();
    client.outbox.settle_ahead(ahead)?;
    client.outbox.note_left_open(block.open);
    client.outbox.settle(block.answered as usize, block.applied as usize)?;
    client.outbox.recycle(block);
    Ok(())
}

/// Hands over the answers of rows that are kept here.
pub(super) fn deliver_near<L: WorkerLogic>(
    logic: &mut L,
    client: &mut ParameterServerClient<L>,
) -> Result<()> {
    while client.has_near_answers() {
        let Some(replicas) = &mut client.replicas else { return Ok(()) };
        let (mut keys, mut rows) = std::mem::take(&mut replicas.answers);
        let width = rows.len() / keys.len();
        for (key, row) in keys.iter().zip(rows.chunks_exact(width)) {
            logic.on_pull_recv(key, row, client)?;
        }
        keys.clear();
        rows.clear();
        if let Some(replicas) = client.replicas.as_mut().filter(|replicas| replicas.answers.0.is_empty()) {
            replicas.answers = (keys, rows);
        }
    }
    Ok(())
}

/// Takes a row to keep, and hands it to the pulls that have waited for it.
fn deliver_copy<L: WorkerLogic>(
    logic: &mut L,
    client: &mut ParameterServerClient<L>,
    group: u32,
    key: &L::Key,
    row: &[L::Pull],
) -> Result<()> {
    deliver_near(logic, client)?;
    let Some(replicas) = &mut client.replicas else {
        return Err(Error::internal(format!("a copy of {key:?} came to a worker that keeps none")));
    };
    let (waiting, updated) = replicas.arrive(key, row, group)?;
    let row = updated.as_deref().unwrap_or(row);
    (0..waiting).try_for_each(|_| logic.on_pull_recv(key, row, client))
}

/// Takes rows for pulls of one key.
fn deliver_rows<L: WorkerLogic>(
    logic: &mut L,
    client: &mut ParameterServerClient<L>,
    keys: &[L::Key],
    rows: &[L::Pull],
    width: usize,
) -> Result<()> {
    let mut rows = keys.iter().zip(rows.chunks_exact(width));
    rows.try_for_each(|(key, row)| logic.on_pull_recv(key, row, client))
}

/// Takes rows for a pull of many keys, which came from `server`.
fn deliver_to_group<L: WorkerLogic>(
    logic: &mut L,
    client: &mut ParameterServerClient<L>,
    (group, server): (u32, usize),
    keys: &[L::Key],
    rows: &[L::Pull],
) -> Result<()> {
    if client.groups.is_whole(group, keys) {
        let whole = client.groups.finish(group);
        client.groups.recycle(group, whole);
        return logic.on_pull_many_recv(keys, rows, client);
    }
    if !client.groups.take(group, server, keys, rows)? {
        return Ok(());
    }
    let complete = client.groups.finish(group);
    logic.on_pull_many_recv(&complete.keys, &complete.rows, client)?;
    client.groups.recycle(group, complete);
    Ok(())
}
