//! What the frontiers say: clocks that have come, epochs and the input that are over.

use waterwheel_engine::operator::Frontiers;
use waterwheel_engine::{AnyClock as _, Clock, Epoch, Error, Result};

use crate::server::ServerLogic;
use crate::worker::WorkerLogic;
use crate::worker_op::{ANSWERS, DATA, LoopTime, WorkerDriver, send_batch};

impl<L, S, T> WorkerDriver<L, S, T>
where
    L: WorkerLogic,
    S: ServerLogic<Key = L::Key, Pull = L::Pull, Push = L::Push>,
    T: Clock,
{
    /// The checkpoint epoch that this worker may send in.
    pub(super) fn epoch(&self) -> Option<Epoch> {
        self.promises.as_ref().map(|(requests, _)| requests.time().epoch())
    }

    /// Whether records wait for what other workers have yet to do. They may need the same sources for that, so
    /// these must not be held.
    pub(super) fn waits_for_others(&self, frontiers: &Frontiers<'_, LoopTime<T>>) -> bool {
        let Some((requests, _)) = &self.promises else { return false };
        let is_barrier = self.awaits_clock && self.staleness.is_none();
        // A snapshot waits for all clocks before its own, whatever the staleness.
        let staleness = if self.client.groups.has_snapshots() { Some(0) } else { self.staleness };
        let awaits_answers = staleness.is_some_and(|staleness| {
            let needed = self.client.clock.saturating_sub(staleness);
            let behind = (requests.time().0.clone(), (needed.wrapping_sub(1), u64::MAX));
            needed > 0 && frontiers.may_arrive(ANSWERS, &behind)
        });
        is_barrier || awaits_answers || self.client.outbox.all_is_left_open()
    }

    /// Tells the logic of the end of the input and of a clock that has come.
    pub(super) fn note_progress(&mut self, frontiers: &Frontiers<'_, LoopTime<T>>) -> Result<()> {
        if self.ends(frontiers) {
            self.input_ended = true;
            self.logic.on_end_of_input(&mut self.client)?;
        }
        let drains = self.input_ended
            || self.client.wants_clock
            || self.epoch_is_over(frontiers)
            || self.client.lacks_what_waits();
        if drains && !self.drains {
            self.call_in_answers();
        }
        self.drains = drains;
        self.say_leave();
        if self.client.wants_clock && !self.awaits_clock && self.client.is_idle() {
            self.start_clock()?;
        }
        if self.awaits_clock && self.clock_has_come(frontiers) && !self.leaves_epoch()? {
            self.awaits_clock = false;
            let clock = self.client.clock;
            self.logic.on_clock(clock, &mut self.client)?;
        }
        Ok(())
    }

    /// Whether the last record has been handled, and the clock stands.
    pub(super) fn ends(&self, frontiers: &Frontiers<'_, LoopTime<T>>) -> bool {
        let clock_moves = self.client.wants_clock || self.awaits_clock;
        !self.input_ended
            && !clock_moves
            && self.backlog.is_empty()
            && frontiers.is_done(DATA)
            && self.epoch_is_open()
    }

    /// Whether no record of the present checkpoint epoch is left.
    fn epoch_is_over(&self, frontiers: &Frontiers<'_, LoopTime<T>>) -> bool {
        let next = match self.backlog.front() {
            Some((time, _)) => Some(time.epoch()),
            None => frontiers.next(DATA).map(|time| time.epoch()),
        };
        next > self.epoch()
    }

    /// Gives up the present clock: nothing more will be sent in it.
    fn start_clock(&mut self) -> Result<()> {
        self.client.wants_clock = false;
        self.awaits_clock = true;
        self.client.clock += 1;
        let clock = self.client.clock;
        if let Some(replicas) = &mut self.client.replicas {
            replicas.advance(clock);
        }
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
        let Some((requests, _)) = self.promises.as_ref().filter(|_| self.epoch_is_open()) else {
            return false;
        };
        let last_of_previous = (requests.time().0.clone(), (self.client.clock - 1, u64::MAX));
        !frontiers.may_arrive(ANSWERS, &last_of_previous)
    }

    /// Moves on to the next epoch, or ends, once everything of this one is answered and applied.
    pub(super) fn finish(&mut self, frontiers: &Frontiers<'_, LoopTime<T>>) -> Result<()> {
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
            if let Some(replicas) = &mut self.client.replicas {
                replicas.forget();
            }
            let time = (next, (self.client.clock, 0));
            requests.advance_to(&time)?;
            out.advance_to(&time)?;
            self.activation.wake();
        }
        Ok(())
    }
}
