//! A worker's part in checkpoints.

use serde::{Deserialize, Serialize};
use waterwheel_engine::checkpoint::{Saved, Snapshot, Written};
use waterwheel_engine::operator::Frontiers;
use waterwheel_engine::{AnyClock as _, Clock, Error, Result};

use crate::server::ServerLogic;
use crate::snapshot::{LogicReader, LogicWriter};
use crate::worker::{ParameterServerClient, WorkerLogic};
use crate::worker_op::{LoopTime, WorkerDriver};

/// How far a worker is, at the end of a checkpoint epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stage {
    /// Its clock.
    pub(super) clock: u64,
    /// Whether it has given up the clock before, and has not been told that this one has come.
    pub(super) awaits_clock: bool,
    /// Whether it was told of the end of its input.
    pub(super) input_ended: bool,
    /// Whether it has closed.
    pub(super) closed: bool,
}

/// A worker as checkpoints see it.
struct WorkerState<'a, L: WorkerLogic> {
    logic: &'a mut L,
    client: &'a ParameterServerClient<L>,
    stage: &'a mut Stage,
    /// Whether something of the epoch waits to be done.
    is_busy: bool,
    /// Index of this worker, number of workers, and of those that the job has.
    place: (usize, usize, usize),
}

impl<L: WorkerLogic> WorkerState<'_, L> {
    fn takes_part(&self) -> bool {
        self.place.0 < self.place.1
    }
}

impl<L: WorkerLogic> Snapshot for WorkerState<'_, L> {
    fn mark(&mut self, to: &mut Written) -> Result<()> {
        if !self.takes_part() {
            return Ok(());
        }
        if self.is_busy || !self.client.is_idle() {
            return Err(Error::internal("a worker has something under way at the end of a checkpoint epoch"));
        }
        to.pooled().put(&(self.place.1, *self.stage))?;
        self.logic.snapshot(&mut LogicWriter::new(to))
    }

    fn restore(&mut self, from: &Saved<'_>) -> Result<()> {
        if !self.takes_part() {
            return Ok(());
        }
        let (mut stages, mut pooled) = (Vec::new(), from.pooled()?);
        let mut before = self.place.1;
        while let Some((workers, stage)) = pooled.next_item::<(usize, Stage)>()? {
            before = workers;
            stages.push(stage);
        }
        *self.stage = match stages.get(self.place.0) {
            Some(stage) if before == self.place.1 => *stage,
            _ => on_other_workers(&stages, before, self.place.1)?,
        };
        self.logic.restore(&mut LogicReader::of_worker(from, self.place)?)
    }

    fn end(&mut self, to: &mut Written) -> Result<()> {
        match self.takes_part() {
            true => to.pooled().put(&(self.place.1, *self.stage)),
            false => Ok(()),
        }
    }
}

/// Where workers go on that are not as many as before: all at the highest clock, as none may go back.
fn on_other_workers(stages: &[Stage], before: usize, now: usize) -> Result<Stage> {
    let latest = stages.iter().max_by_key(|stage| stage.clock).copied().unwrap_or_default();
    let agree = |stage: &Stage| stage.input_ended == latest.input_ended && stage.closed == latest.closed;
    if stages.iter().all(agree) && !stages.iter().any(|stage| stage.awaits_clock != latest.awaits_clock) {
        return Ok(latest);
    }
    Err(Error::config(format!(
        "in the checkpoint some of the {before} workers of this parameter server have come further than others behind \
         the end of their input, so it can not go on with {now}: go on with {before}"
    )))
}

impl<L, S, T> WorkerDriver<L, S, T>
where
    L: WorkerLogic,
    S: ServerLogic<Key = L::Key, Pull = L::Pull, Push = L::Push>,
    T: Clock,
{
    /// Takes over what a checkpoint has of this worker; once, when its logic is open.
    pub(super) fn restore(&mut self) -> Result<()> {
        let mut stage = Stage::default();
        self.with_state(&mut stage, |part, state| part.begin(state))?;
        self.client.clock = stage.clock;
        (self.awaits_clock, self.input_ended) = (stage.awaits_clock, stage.input_ended);
        if stage.closed {
            self.promises = None;
        }
        if let Some((requests, out)) = &mut self.promises
            && stage.clock > 0
        {
            let time = (requests.time().0.clone(), (stage.clock, 0));
            requests.advance_to(&time)?;
            out.advance_to(&time)?;
        }
        Ok(())
    }

    /// Marks what this worker keeps, when an epoch is complete.
    pub(super) fn step(&mut self, frontiers: &Frontiers<'_, LoopTime<T>>) -> Result<()> {
        if !self.part.is_taken() {
            return Ok(());
        }
        let mut stage = self.stage();
        self.with_state(&mut stage, |part, state| part.step(frontiers, state))?;
        let all_done = (0..self.ports.n_inputs()).all(|input| frontiers.is_done(input));
        if all_done && self.promises.is_none() {
            self.with_state(&mut stage, |part, state| part.end(state))?;
        }
        Ok(())
    }

    fn stage(&self) -> Stage {
        Stage {
            clock: self.client.clock,
            awaits_clock: self.awaits_clock,
            input_ended: self.input_ended,
            closed: self.promises.is_none(),
        }
    }

    fn with_state(
        &mut self,
        stage: &mut Stage,
        call: impl FnOnce(&mut waterwheel_engine::checkpoint::Part, &mut WorkerState<'_, L>) -> Result<()>,
    ) -> Result<()> {
        let is_busy = !self.backlog.is_empty() || self.client.wants_clock || !self.parked.is_empty();
        let (logic, client, place) = (&mut self.logic, &self.client, self.place);
        call(&mut self.part, &mut WorkerState { logic, client, stage, is_busy, place })
    }

    /// Whether something new may be begun: all have marked what they had at the end of the epoch before.
    #[inline]
    pub(super) fn epoch_is_open(&self) -> bool {
        self.promises.as_ref().is_none_or(|(requests, _)| self.part.is_open(requests.time().epoch()))
    }
}
