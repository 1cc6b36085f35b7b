//! The way out: blocks for servers, and words to them that are no operations.

use waterwheel_engine::{Clock, Error, Parcel, Result, machine};

use crate::block::Block;
use crate::core::policy::SendPolicy;
use crate::server::ServerLogic;
use crate::shard::BlockOf;
use crate::worker::WorkerLogic;
use crate::worker_op::WorkerDriver;

impl<L, S, T> WorkerDriver<L, S, T>
where
    L: WorkerLogic,
    S: ServerLogic<Key = L::Key, Pull = L::Pull, Push = L::Push>,
    T: Clock,
{
    /// Tells the servers to send what they hold back: no more operations will come to fill their batches.
    pub(super) fn call_in_answers(&mut self) {
        let Some((requests, _)) = &self.promises else { return };
        let mut calls: Vec<_> = (0..self.open_since.len())
            .filter(|server| self.calls_in && *server != self.index)
            .map(|server| {
                Parcel(Block { from: self.index as u32, urgent: true, ..Block::for_server(server) })
            })
            .collect();
        self.ports.requests.send_promised(requests, &mut calls);
    }

    /// Serves the blocks of the neighbour and sends the others.
    pub(super) fn send_blocks(&mut self, turns: &mut usize) -> Result<()> {
        self.close_blocks();
        let mut remote = Vec::new();
        if self.neighbour_is_ready() {
            for block in std::mem::take(&mut self.parked) {
                self.serve_neighbour(block)?;
            }
        }
        while let Some(mut block) = self.client.outbox.pop() {
            let is_beside = self.neighbour.is_some() && block.destination as usize == self.index;
            if let Some(watch) = &mut self.watch {
                watch.count(&block, is_beside);
            }
            if !is_beside {
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

    /// Tells the servers that this worker has ended, or finished a checkpoint epoch.
    pub(super) fn say_finished(&mut self) -> Result<()> {
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
