//! One server's state, driven by blocks: the same whether they come over an edge or from the worker beside it.

mod clocked;
mod locked;
mod snapshot;
mod watch;

use waterwheel_engine::operator::Promise;
use waterwheel_engine::{Clock, Error, Result};

use crate::block::{Block, Op, Run};
use crate::consistency::Semantics;
use crate::core::gate::At;
use crate::core::locks::Locks;
use crate::parameter_server::{ParameterServer, wrong_answer};
use crate::server::{ServerContext, ServerLogic};
use crate::worker_op::LoopTime;
use clocked::Clocked;
pub(crate) use snapshot::ServerState;

pub(crate) use watch::Watch;

/// The block that a server logic's types make.
pub(crate) type BlockOf<S> =
    Block<<S as ServerLogic>::Key, <S as ServerLogic>::Pull, <S as ServerLogic>::Push>;

/// Keys that are announced to the logic at a time: few enough for their rows to stay in the first cache.
const PREFETCHED: usize = 64;

/// A request that came, and the right to answer it; none is needed for the worker beside the server.
pub(crate) struct Request<S: ServerLogic, T: Clock> {
    pub(crate) block: BlockOf<S>,
    pub(crate) worker: usize,
    pub(crate) promise: Option<Promise<LoopTime<T>>>,
}

/// A server's logic with what it has answered and output and not yet sent.
pub(crate) struct Shard<S: ServerLogic, T: Clock> {
    logic: S,
    /// Until the logic is opened.
    unopened: Option<ServerContext<S::Key>>,
    pub(crate) ps: ParameterServer<S::Key, S::Pull, S::Out>,
    /// Answers to blocks of the worker beside the server that had to wait.
    pub(crate) for_neighbour: Vec<BlockOf<S>>,
    discipline: Discipline<S, T>,
    /// What is counted of the requests.
    pub(crate) watch: Watch<S::Key>,
    pull_width: usize,
    push_width: usize,
    /// The row of a pull that is answered late, while it is made.
    row: Vec<S::Pull>,
    ready: bool,
}

/// How operations become calls of the logic.
enum Discipline<S: ServerLogic, T: Clock> {
    /// At once.
    Direct,
    /// One worker at a time per key.
    Locked(Locks<S::Key>),
    /// When the clocks before theirs are complete.
    Clocked(Clocked<S, T>),
}

impl<S: ServerLogic, T: Clock> Shard<S, T> {
    /// For as many worker threads as the job has.
    pub(crate) fn new(logic: S, context: ServerContext<S::Key>, peers: usize, ready: bool) -> Self {
        let (pull_width, push_width) = (context.pull_width, context.push_width);
        let ps = ParameterServer::new(peers, pull_width);
        let (unopened, discipline, row) = (Some(context), Discipline::Direct, Vec::new());
        let (for_neighbour, watch) = (Vec::new(), Watch::default());
        Shard { logic, unopened, ps, for_neighbour, discipline, watch, pull_width, push_width, row, ready }
    }

    /// Sets what pulls are guaranteed to see, in a loop that begins at time `start`.
    pub(crate) fn follow(&mut self, semantics: Semantics, start: T) {
        self.discipline = match semantics {
            Semantics::Direct => Discipline::Direct,
            Semantics::Locked => Discipline::Locked(Locks::new()),
            Semantics::Clocked { staleness, whole_clocks } => {
                Discipline::Clocked(Clocked::new(staleness, start, whole_clocks))
            }
        };
    }

    /// Whether the model is loaded: before, operations wait.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready
    }

    /// Lets operations wait until [`set_ready`](Self::set_ready).
    pub(crate) fn set_unready(&mut self) {
        self.ready = false;
    }

    pub(crate) fn set_ready(&mut self) {
        self.ready = true;
    }

    /// Whether there is something to send besides the answers of blocks.
    #[inline]
    pub(crate) fn has_more(&self) -> bool {
        !self.ps.out.is_empty() || self.ps.has_late()
    }

    /// Opens the logic, the first time.
    fn open(&mut self) -> Result<()> {
        match self.unopened.take() {
            Some(context) => self.logic.open(&context),
            None => Ok(()),
        }
    }

    /// Takes a parameter of a saved model.
    pub(crate) fn load(&mut self, key: &S::Key, value: &[S::Pull]) -> Result<()> {
        self.open()?;
        if value.len() != self.pull_width {
            let (found, expected) = (value.len(), self.pull_width);
            return Err(Error::data(format!(
                "loaded parameter {key:?} has {found} elements, expected {expected}"
            )));
        }
        self.logic.on_load(key, value)
    }

    /// Performs the operations of a request in order and turns it into its answer. `None` if it waits for
    /// clocks to be complete; then `promise` is kept with it.
    pub(crate) fn serve(
        &mut self,
        mut block: BlockOf<S>,
        worker: usize,
        at: &At<T>,
        promise: impl FnOnce() -> Option<Promise<LoopTime<T>>>,
    ) -> Result<Option<BlockOf<S>>> {
        if let Discipline::Clocked(clocked) = &mut self.discipline {
            match clocked.pass(at, block, worker, promise) {
                Some(passed) => block = passed,
                None => return Ok(None),
            }
        }
        self.answer(&mut block, worker, at)?;
        Ok(Some(block))
    }

    /// Turns a request into its answer.
    fn answer(&mut self, block: &mut BlockOf<S>, worker: usize, at: &At<T>) -> Result<()> {
        self.open()?;
        self.ps.begin(worker, at.1);
        let deltas = block.deltas.len();
        if deltas != block.pushes() * self.push_width {
            return Err(Error::internal(format!(
                "block with {deltas} elements for {} pushes",
                block.pushes()
            )));
        }
        let counted = self.watch.count(&block.runs, &block.keys);
        match &self.discipline {
            Discipline::Locked(_) => self.serve_locked(block, worker),
            Discipline::Clocked(clocked) if clocked.whole_clocks.is_some() => {
                self.serve_whole(block, worker, at)
            }
            Discipline::Direct | Discipline::Clocked(_) => self.serve_direct(block),
        }?;
        block.deltas.clear();
        if let Some(counted) = counted {
            let missing = match &self.discipline {
                Discipline::Clocked(clocked) => clocked.missing(at),
                Discipline::Direct | Discipline::Locked(_) => 0,
            };
            self.watch.note(counted, block.open, missing);
        }
        self.ps.end()
    }

    fn serve_direct(&mut self, block: &mut BlockOf<S>) -> Result<()> {
        match block.runs[..] {
            [Run { op: Op::Pull, group: 0, .. }] => self.serve_pulls(block),
            [Run { op: Op::Push, n, .. }] => {
                self.apply_pushes(&block.keys, &block.deltas)?;
                block.applied = u64::from(n);
                block.keys.clear();
                block.runs.clear();
                Ok(())
            }
            _ => self.serve_mixed(block),
        }
    }

    /// Answers a block of pulls that stand alone: its keys stay where they are.
    fn serve_pulls(&mut self, block: &mut BlockOf<S>) -> Result<()> {
        let keys = std::mem::take(&mut block.keys);
        block.runs.clear();
        match self.answer_keys(&keys, None, 0, block)? {
            0 => {
                block.answered = keys.len() as u64;
                block.keys = keys;
            }
            noted => block.note_rows(&keys[noted..], 0),
        }
        block.drop_plain_runs();
        Ok(())
    }

    fn serve_mixed(&mut self, block: &mut BlockOf<S>) -> Result<()> {
        let (runs, keys) = (std::mem::take(&mut block.runs), std::mem::take(&mut block.keys));
        let deltas = std::mem::take(&mut block.deltas);
        let (mut start, mut pushed) = (0, 0);
        block.keys.reserve(keys.len());
        for run in runs {
            let keys = &keys[start..start + run.n as usize];
            let end = pushed + if run.op.pushes() { keys.len() * self.push_width } else { 0 };
            match run.op {
                Op::Push => self.apply_pushes(keys, &deltas[pushed..end])?,
                Op::Pull | Op::PushPull => {
                    let pushes = run.op.pushes().then(|| &deltas[pushed..end]);
                    let noted = self.answer_keys(keys, pushes, run.group, block)?;
                    block.note_rows(&keys[noted..], run.group);
                }
            }
            start += keys.len();
            block.applied += if run.op.pushes() { keys.len() as u64 } else { 0 };
            pushed = end;
        }
        block.deltas = deltas;
        block.drop_plain_runs();
        Ok(())
    }

    /// Appends the rows of `keys`, after the pushes of `deltas` if there are some. Returns how many of the keys are noted
    /// in the block already: up to the last one that was not answered at once.
    fn answer_keys(
        &mut self,
        keys: &[S::Key],
        deltas: Option<&[S::Push]>,
        group: u32,
        block: &mut BlockOf<S>,
    ) -> Result<usize> {
        let (worker, start, mut noted) = (self.ps.serving(), block.values.len(), 0);
        block.values.reserve(keys.len() * self.pull_width);
        let (answer, ps) = (&mut block.values, &mut self.ps);
        let many = match deltas {
            None => self.logic.on_pull_many(keys, worker, answer, ps),
            Some(deltas) => self.logic.on_push_pull_many(keys, deltas, worker, answer, ps),
        }?;
        let others = self.behind(many, keys, block.values.len() - start)?;
        let mut rows = deltas.map(|deltas| deltas[many * self.push_width..].chunks_exact(self.push_width));
        for (chunk, announced) in others.chunks(PREFETCHED).enumerate() {
            self.logic.prefetch(announced);
            for (i, key) in announced.iter().enumerate() {
                let before = block.values.len();
                let (answer, ps) = (&mut block.values, &mut self.ps);
                match rows.as_mut().map(|rows| rows.next().unwrap_or_default()) {
                    None => self.logic.on_pull(key, worker, answer, ps),
                    Some(delta) => self.logic.on_push_pull(key, delta, worker, answer, ps),
                }?;
                if block.values.len() - before != self.pull_width {
                    let at = many + chunk * PREFETCHED + i;
                    block.note_rows(&keys[noted..at], group);
                    self.leave_open(key, group, before, block)?;
                    noted = at + 1;
                }
            }
        }
        Ok(noted)
    }

    /// The keys behind the `many` that the logic says it has answered in one go, with `found` elements.
    fn behind<'a>(&self, many: usize, keys: &'a [S::Key], found: usize) -> Result<&'a [S::Key]> {
        match keys.get(many..) {
            Some(others) if found == many * self.pull_width => Ok(others),
            _ => Err(wrong_answers(many, keys.len(), found, self.pull_width)),
        }
    }

    /// Notes that a pull was not answered, if that is what the logic meant.
    #[cold]
    fn leave_open(&mut self, key: &S::Key, group: u32, before: usize, block: &mut BlockOf<S>) -> Result<()> {
        match block.values.len() - before {
            0 if self.ps.leave_open(key, group)? => block.open += 1,
            0 => block.answered += 1,
            found => return Err(wrong_answer(key, found, self.pull_width)),
        }
        Ok(())
    }

    /// Applies the pushes of `keys`, whose rows are `deltas`.
    fn apply_pushes(&mut self, keys: &[S::Key], deltas: &[S::Push]) -> Result<()> {
        let many = self.logic.on_push_many(keys, deltas, &mut self.ps)?;
        let Some(others) = keys.get(many..) else { return Err(too_many(many, keys.len())) };
        let mut rows = deltas[many * self.push_width..].chunks_exact(self.push_width);
        for keys in others.chunks(PREFETCHED) {
            self.logic.prefetch(keys);
            for key in keys {
                let delta = rows.next().unwrap_or_default();
                self.logic.on_push(key, delta, &mut self.ps)?;
            }
        }
        Ok(())
    }

    /// Notes that a worker has ended or finished an epoch.
    pub(crate) fn end_worker(&mut self, worker: usize) -> Result<()> {
        self.open()?;
        if let Discipline::Locked(locks) = &self.discipline {
            locks.held_by(worker).iter().try_for_each(|key| self.unlock(key))?;
        }
        self.logic.on_worker_end(worker, &mut self.ps)
    }

    /// Tells the logic that nothing more will come.
    pub(crate) fn close(&mut self) -> Result<()> {
        self.open()?;
        self.logic.close(&mut self.ps.out)
    }
}

#[cold]
fn wrong_answers(many: usize, keys: usize, found: usize, width: usize) -> Error {
    Error::operator(format!(
        "answers to {many} of {keys} pulls in one go have {found} elements, expected {width} for each of the first so \
         many"
    ))
}

#[cold]
fn too_many(many: usize, keys: usize) -> Error {
    Error::operator(format!("{many} pushes were applied in one go, expected {keys} at most"))
}

#[cfg(test)]
mod tests;
