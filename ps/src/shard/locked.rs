//! One worker at a time per key.

use waterwheel_engine::{Clock, Error, Result};

use crate::parameter_server::wrong_answer;
use crate::server::ServerLogic;
use crate::shard::{BlockOf, Discipline, Shard};

impl<S: ServerLogic, T: Clock> Shard<S, T> {
    pub(super) fn serve_locked(&mut self, block: &mut BlockOf<S>, worker: usize) -> Result<()> {
        let (runs, keys) = (std::mem::take(&mut block.runs), std::mem::take(&mut block.keys));
        let deltas = std::mem::take(&mut block.deltas);
        let (mut keys, mut rows) = (keys.iter(), deltas.chunks_exact(self.push_width));
        for run in runs {
            for key in keys.by_ref().take(run.n as usize) {
                if run.op.pushes() {
                    self.push_locked(key, rows.next().unwrap_or_default(), worker)?;
                    block.applied += 1;
                }
                if run.op.pulls() {
                    self.pull_locked(key, worker, block)?;
                }
            }
        }
        block.drop_plain_runs();
        Ok(())
    }

    fn pull_locked(&mut self, key: &S::Key, worker: usize, block: &mut BlockOf<S>) -> Result<()> {
        let Discipline::Locked(locks) = &mut self.discipline else { return Ok(()) };
        let before = block.values.len();
        if locks.acquire(key, worker) {
            self.logic.on_pull(key, worker, &mut block.values, &mut self.ps)?;
        }
        if block.values.len() - before == self.pull_width {
            block.note_rows(std::slice::from_ref(key), 0);
            return Ok(());
        }
        self.leave_open(key, 0, before, block)
    }

    fn push_locked(&mut self, key: &S::Key, delta: &[S::Push], worker: usize) -> Result<()> {
        let Discipline::Locked(locks) = &self.discipline else { return Ok(()) };
        if locks.holder(key) != Some(worker) {
            return Err(Error::operator(format!(
                "worker {worker} pushes to {key:?} without its lock: with serialisable consistency a push follows \
                 the answer to a pull of its key"
            )));
        }
        self.logic.on_push(key, delta, &mut self.ps)?;
        self.unlock(key)
    }

    /// Gives the lock of `key` to the worker whose turn it is, with the row that it waits for.
    pub(super) fn unlock(&mut self, key: &S::Key) -> Result<()> {
        let Discipline::Locked(locks) = &mut self.discipline else { return Ok(()) };
        let Some(next) = locks.pass_on(key) else { return Ok(()) };
        self.row.clear();
        self.logic.on_pull(key, next, &mut self.row, &mut self.ps)?;
        match self.row.len() {
            // The logic answers it later.
            0 => Ok(()),
            found if found != self.pull_width => Err(wrong_answer(key, found, self.pull_width)),
            _ => self.ps.answer_pull(next, key, &self.row),
        }
    }
}
