//! The server's side: what pulls, pushes and loaded parameters do.

use waterwheel_engine::{Collector, Key, Result};

use crate::element::Element;
use crate::parameter_server::ParameterServer;
use crate::placement::Placement;
use crate::snapshot::{LogicReader, LogicWriter, keeps_nothing};
use crate::state::PsState;

/// What a server logic is told when it opens.
#[derive(Clone, Debug)]
pub struct ServerContext<K> {
    /// Index of this server.
    pub index: usize,
    /// Number of servers.
    pub parallelism: usize,
    /// Number of workers.
    pub workers: usize,
    /// Elements per pulled row.
    pub pull_width: usize,
    /// Elements per pushed row.
    pub push_width: usize,
    /// How keys are spread over the servers.
    pub placement: Placement<K>,
    /// Where it is shown what the server holds, if somebody watches the job.
    pub state: Option<PsState>,
}

/// The logic of a server: one instance per server, called from one thread.
///
/// A pull may be answered at once, later, more than once or not at all; see [`ParameterServer`]. Pulled and
/// pushed rows may have different element types (the *loose* form of Flink-PS). Operations of one
/// worker on one key arrive in the order in which it issued them.
pub trait ServerLogic: Sized + 'static {
    /// Type of parameter keys.
    type Key: Key;
    /// Element of the rows that are pulled.
    type Pull: Element;
    /// Element of the rows that are pushed.
    type Push: Element;
    /// What it outputs, on the model stream.
    type Out: 'static;

    /// Called once, before anything else.
    ///
    /// # Errors
    /// Ends the run, naming the server operator.
    fn open(&mut self, _context: &ServerContext<Self::Key>) -> Result<()> {
        Ok(())
    }

    /// Called with keys that are pulled or pushed next, one by one, for a logic that can bring their rows near: a hint,
    /// which changes nothing.
    fn prefetch(&mut self, _keys: &[Self::Key]) {}

    /// Answers a pull: appends the row of `key`, exactly `pull_width` elements, to `answer`. Or appends nothing,
    /// to answer it later with [`ParameterServer::answer_pull`].
    ///
    /// # Errors
    /// Ends the run, naming the server operator.
    fn on_pull(
        &mut self,
        key: &Self::Key,
        worker: usize,
        answer: &mut Vec<Self::Pull>,
        ps: &mut ParameterServer<Self::Key, Self::Pull, Self::Out>,
    ) -> Result<()>;

    /// Applies a push.
    ///
    /// # Errors
    /// Ends the run, naming the server operator.
    fn on_push(
        &mut self,
        key: &Self::Key,
        delta: &[Self::Push],
        ps: &mut ParameterServer<Self::Key, Self::Pull, Self::Out>,
    ) -> Result<()>;

    /// Applies a push and answers a pull of the same key, as one operation. The default does the one, then the
    /// other; a logic that finds the row once for both is faster.
    ///
    /// # Errors
    /// Ends the run, naming the server operator.
    #[inline]
    fn on_push_pull(
        &mut self,
        key: &Self::Key,
        delta: &[Self::Push],
        worker: usize,
        answer: &mut Vec<Self::Pull>,
        ps: &mut ParameterServer<Self::Key, Self::Pull, Self::Out>,
    ) -> Result<()> {
        self.on_push(key, delta, ps)?;
        self.on_pull(key, worker, answer, ps)
    }

    /// Answers pulls of one worker in one go, in order: appends the rows of the first so many keys to `answer`,
    /// `pull_width` elements each, and returns how many keys these are. The others come to
    /// [`on_pull`](Self::on_pull), one by one. For a logic that finds many rows faster than one after the other; it
    /// leaves none of these pulls open. Default: none, 0.
    ///
    /// # Errors
    /// Ends the run, naming the server operator.
    fn on_pull_many(
        &mut self,
        _keys: &[Self::Key],
        _worker: usize,
        _answer: &mut Vec<Self::Pull>,
        _ps: &mut ParameterServer<Self::Key, Self::Pull, Self::Out>,
    ) -> Result<usize> {
        Ok(0)
    }

    /// Applies pushes of one worker in one go, in order: those of the first so many keys, whose rows stand in
    /// `deltas`, `push_width` elements each, and returns how many these are. The others come to
    /// [`on_push`](Self::on_push), one by one. Default: none, 0.
    ///
    /// # Errors
    /// Ends the run, naming the server operator.
    fn on_push_many(
        &mut self,
        _keys: &[Self::Key],
        _deltas: &[Self::Push],
        _ps: &mut ParameterServer<Self::Key, Self::Pull, Self::Out>,
    ) -> Result<usize> {
        Ok(0)
    }

    /// Does what [`on_push_pull`](Self::on_push_pull) does for the first so many keys in one go, in order, and returns
    /// how many these are; `deltas` and `answer` are as in [`on_push_many`](Self::on_push_many) and
    /// [`on_pull_many`](Self::on_pull_many). The others come to `on_push_pull`, one by one. Default: none, 0.
    ///
    /// # Errors
    /// Ends the run, naming the server operator.
    fn on_push_pull_many(
        &mut self,
        _keys: &[Self::Key],
        _deltas: &[Self::Push],
        _worker: usize,
        _answer: &mut Vec<Self::Pull>,
        _ps: &mut ParameterServer<Self::Key, Self::Pull, Self::Out>,
    ) -> Result<usize> {
        Ok(0)
    }

    /// Called when a worker has ended, or has finished a checkpoint epoch: everything that it issued has been
    /// handled, and it waits for nothing. The place to take back what was given to it, such as a lock.
    ///
    /// # Errors
    /// Ends the run, naming the server operator.
    fn on_worker_end(
        &mut self,
        _worker: usize,
        _ps: &mut ParameterServer<Self::Key, Self::Pull, Self::Out>,
    ) -> Result<()> {
        Ok(())
    }

    /// How two pushes to one key become one, if applying the result is the same as applying both, in whatever
    /// order among other pushes to the key: the algebra of updates is a commutative monoid. Workers then
    /// combine their pushes to equal keys before they send them. Default: `None`, pushes stay as they are.
    fn combiner(&self) -> Option<Combiner<Self::Push>> {
        None
    }

    /// How a push shows in a row that a worker keeps: the second argument of the function, a pushed row, is applied to
    /// the first, which becomes the row that the server has after the push. Default: `None`, a push ends the copies of
    /// its key.
    fn replay(&self) -> Option<Replay<Self::Pull, Self::Push>> {
        None
    }

    /// Takes a parameter of a saved model, before the first pull and push.
    ///
    /// # Errors
    /// Ends the run, naming the server operator.
    fn on_load(&mut self, key: &Self::Key, value: &[Self::Pull]) -> Result<()>;

    /// Takes down what this server keeps, for a checkpoint: no operation is under way, and no pull is open. What is
    /// changed later is no part of it. A server that has much begins here and goes on in [`sweep`](Self::sweep).
    ///
    /// The default is for logics without fields; others are refused in jobs with checkpoints.
    ///
    /// # Errors
    /// Ends the run, naming the server operator.
    fn snapshot(&mut self, _to: &mut LogicWriter<'_>) -> Result<()> {
        keeps_nothing::<Self>("server")
    }

    /// Writes some more of what [`snapshot`](Self::snapshot) took down; whether there is still more. Called between
    /// operations, so it must not take long.
    ///
    /// # Errors
    /// Ends the run, naming the server operator.
    fn sweep(&mut self, _to: &mut LogicWriter<'_>) -> Result<bool> {
        Ok(false)
    }

    /// Takes over what [`snapshot`](Self::snapshot) has taken down in an earlier run, after [`open`](Self::open) and
    /// before any operation.
    ///
    /// # Errors
    /// Ends the run, naming the server operator.
    fn restore(&mut self, _from: &mut LogicReader<'_>) -> Result<()> {
        Ok(())
    }

    /// Called once, when no operation can come any more; the place to output the model.
    ///
    /// # Errors
    /// Ends the run, naming the server operator.
    fn close(&mut self, _out: &mut Collector<Self::Out>) -> Result<()> {
        Ok(())
    }
}

/// Adds the second row of a push to the first, which both have `push_width` elements.
pub type Combiner<D> = fn(&mut [D], &[D]);

/// Applies a pushed row, the second one, to a row as it is pulled: what a server has after the push.
pub type Replay<E, D> = fn(&mut [E], &[D]);
