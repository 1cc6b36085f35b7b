//! Leaving a checkpoint epoch when the input has ended: with a clock, which is a barrier.
//!
//! A job that trains for hours behind the end of its input would be in one epoch for all that time. So when an epoch is to
//! be closed, worker 0 says so to all, by way of a server, in a clock that it works in. The word has come everywhere before
//! the next clock can come, so all workers leave the epoch with that one: there nothing is under way.

use waterwheel_engine::{AnyClock as _, Clock, Parcel, Result};

use crate::block::Block;
use crate::server::ServerLogic;
use crate::worker::WorkerLogic;
use crate::worker_op::WorkerDriver;

impl<L, S, T> WorkerDriver<L, S, T>
where
    L: WorkerLogic,
    S: ServerLogic<Key = L::Key, Pull = L::Pull, Push = L::Push>,
    T: Clock,
{
    /// On worker 0: tells all to leave the epoch with the next clock, if it is to be closed.
    pub(super) fn say_leave(&mut self) {
        let works = self.client.wants_clock || !self.client.is_idle();
        let can = L::LEAVES_WITH_CLOCKS && self.staleness.is_none() && self.input_ended && works;
        let Some((requests, _)) = self.promises.as_ref().filter(|_| self.index == 0 && can) else { return };
        let epoch = requests.time().epoch();
        if self.part.next_epoch(epoch).is_none() || self.told_to_leave == Some(epoch) {
            return;
        }
        self.told_to_leave = Some(epoch);
        self.ports.requests.send_promised(requests, [&mut Parcel(Block::leave())]);
    }

    /// Leaves the epoch if that is to be with the clock that has come; whether it has.
    pub(super) fn leaves_epoch(&mut self) -> Result<bool> {
        if self.leaves_at != Some(self.client.clock) {
            return Ok(false);
        }
        self.leaves_at = None;
        self.say_finished()?;
        if let Some((requests, out)) = &mut self.promises {
            let next = T::first_of(requests.time().epoch() + 1);
            let time = (next, (self.client.clock, 0));
            requests.advance_to(&time)?;
            out.advance_to(&time)?;
            self.activation.wake();
        }
        Ok(true)
    }
}
