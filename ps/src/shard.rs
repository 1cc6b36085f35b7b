//! One server's state, driven by blocks: the same whether they come over an edge or from the worker beside it.

use waterwheel_engine::{Collector, Error, Result};

use crate::block::{Block, Op};
use crate::server::{ServerContext, ServerLogic};

/// The block that a server logic's types make.
pub(crate) type BlockOf<S> =
    Block<<S as ServerLogic>::Key, <S as ServerLogic>::Pull, <S as ServerLogic>::Push>;

/// Keys that are announced to the logic at a time: few enough for their rows to stay in the first cache.
const PREFETCHED: usize = 64;

/// A server's logic with what it has output and not yet sent.
pub(crate) struct Shard<S: ServerLogic> {
    logic: S,
    /// Until the logic is opened.
    unopened: Option<ServerContext<S::Key>>,
    pub(crate) out: Collector<S::Out>,
    pull_width: usize,
    push_width: usize,
    ready: bool,
}

impl<S: ServerLogic> Shard<S> {
    pub(crate) fn new(logic: S, context: ServerContext<S::Key>, ready: bool) -> Self {
        let (pull_width, push_width) = (context.pull_width, context.push_width);
        Shard { logic, unopened: Some(context), out: Collector::default(), pull_width, push_width, ready }
    }

    /// Whether the model is loaded: before, operations wait.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready
    }

    pub(crate) fn set_ready(&mut self) {
        self.ready = true;
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

    /// Performs the operations of a request in order and turns it into its answer.
    pub(crate) fn serve(&mut self, block: &mut BlockOf<S>, worker: usize) -> Result<()> {
        self.open()?;
        if let [(op, _)] = block.runs[..] {
            match op {
                Op::Pull => self.answer_pulls(block, worker, 0..block.keys.len())?,
                Op::Push => {
                    self.apply_pushes(block, 0..block.keys.len(), 0)?;
                    block.applied = block.keys.len() as u64;
                    block.keys.clear();
                }
            }
        } else {
            self.serve_mixed(block, worker)?;
        }
        block.runs.clear();
        block.deltas.clear();
        Ok(())
    }

    fn serve_mixed(&mut self, block: &mut BlockOf<S>, worker: usize) -> Result<()> {
        let (mut start, mut pushed, mut pulled) = (0, 0, Vec::with_capacity(block.keys.len()));
        for (op, n) in std::mem::take(&mut block.runs) {
            let end = start + n as usize;
            match op {
                Op::Pull => {
                    self.answer_pulls(block, worker, start..end)?;
                    pulled.extend_from_slice(&block.keys[start..end]);
                }
                Op::Push => {
                    self.apply_pushes(block, start..end, pushed)?;
                    pushed += n as usize;
                }
            }
            start = end;
        }
        block.keys = pulled;
        block.applied = pushed as u64;
        Ok(())
    }

    fn answer_pulls(
        &mut self,
        block: &mut BlockOf<S>,
        worker: usize,
        range: std::ops::Range<usize>,
    ) -> Result<()> {
        block.values.reserve(range.len() * self.pull_width);
        for keys in block.keys[range].chunks(PREFETCHED) {
            self.logic.prefetch(keys);
            for key in keys {
                let before = block.values.len();
                self.logic.on_pull(key, worker, &mut block.values, &mut self.out)?;
                let found = block.values.len() - before;
                if found != self.pull_width {
                    let expected = self.pull_width;
                    return Err(Error::operator(format!(
                        "answer to a pull of {key:?} has {found} elements, expected {expected}"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Applies the pushes of `keys[range]`, whose rows in `deltas` begin with number `first`.
    fn apply_pushes(
        &mut self,
        block: &BlockOf<S>,
        range: std::ops::Range<usize>,
        first: usize,
    ) -> Result<()> {
        let width = self.push_width;
        let deltas = block.deltas.get(first * width..(first + range.len()) * width);
        let Some(deltas) = deltas else {
            return Err(Error::internal("block with fewer deltas than pushes"));
        };
        let mut rows = deltas.chunks_exact(width);
        for keys in block.keys[range].chunks(PREFETCHED) {
            self.logic.prefetch(keys);
            for key in keys {
                let delta = rows.next().unwrap_or_default();
                self.logic.on_push(key, delta, &mut self.out)?;
            }
        }
        Ok(())
    }

    /// Tells the logic that nothing more will come.
    pub(crate) fn close(&mut self) -> Result<()> {
        self.open()?;
        self.logic.close(&mut self.out)
    }
}
