//! Records that wait: what they will pull is asked for before they are handled.

use waterwheel_engine::operator::Frontiers;
use waterwheel_engine::{Clock, Result};

use crate::server::ServerLogic;
use crate::worker::WorkerLogic;
use crate::worker_op::answers::deliver_near;
use crate::worker_op::{ANSWERS, LoopTime, WorkerDriver};

impl<L, S, T> WorkerDriver<L, S, T>
where
    L: WorkerLogic,
    S: ServerLogic<Key = L::Key, Pull = L::Pull, Push = L::Push>,
    T: Clock,
{
    /// Hands over the answers of rows that are kept here.
    pub(super) fn deliver_kept(&mut self) -> Result<()> {
        deliver_near(&mut self.logic, &mut self.client)
    }

    /// Tells the rows that are kept here which clocks are complete.
    pub(super) fn note_complete_clocks(&mut self, frontiers: &Frontiers<'_, LoopTime<T>>) {
        let (Some(replicas), Some((requests, _))) = (&mut self.client.replicas, &self.promises) else {
            return;
        };
        let (mut complete, time) = (replicas.complete(), &requests.time().0);
        while complete < self.client.clock
            && !frontiers.may_arrive(ANSWERS, &(time.clone(), (complete, u64::MAX)))
        {
            complete += 1;
        }
        replicas.set_complete(complete);
    }

    /// Announces the keys of waiting records, in order, as far as there is room.
    pub(super) fn announce_records(&mut self) -> Result<()> {
        let Some(mut announced) = self.client.replicas.as_ref().map(|replicas| replicas.records_ahead) else {
            return Ok(());
        };
        // What is asked for before a barrier must not answer pulls behind it.
        if self.client.wants_clock || self.awaits_clock {
            return Ok(());
        }
        let (epoch, mut before) = (self.epoch(), 0);
        for (_, records) in self.backlog.iter().take_while(|(time, _)| Some(time.epoch()) == epoch) {
            let records = records.as_slice();
            for (i, record) in records.iter().enumerate().skip(announced.saturating_sub(before)) {
                if !self.client.announce_record(&self.logic, record, before + i + 1)? {
                    return Ok(());
                }
                announced += 1;
                if let Some(replicas) = &mut self.client.replicas {
                    replicas.records_ahead = announced;
                }
            }
            before += records.len();
        }
        Ok(())
    }
}
