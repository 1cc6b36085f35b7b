//! The worker's side: the logic that pulls and pushes, and the client it does that with.

use waterwheel_engine::{Collector, Key, Result};

use crate::core::outbox::Outbox;
use crate::element::Element;

/// What a worker logic is told when it opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerContext {
    /// Index of this worker.
    pub index: usize,
    /// Number of workers.
    pub parallelism: usize,
    /// Number of servers.
    pub servers: usize,
}

/// The logic of a worker: one instance per worker, called from one thread.
///
/// A pull is asynchronous: its answer arrives later in [`on_pull_recv`](Self::on_pull_recv). Operations of
/// one worker on one key take effect in the order in which they were issued, so a pull sees the worker's own
/// earlier pushes to the key.
///
/// Work that must wait for *all* workers is divided by the clock: a worker that calls
/// [`advance_clock`](ParameterServerClient::advance_clock) is told by [`on_clock`](Self::on_clock) when every
/// worker has done so and everything issued before is answered and applied.
pub trait WorkerLogic: Sized + 'static {
    /// A training record.
    type In;
    /// Type of parameter keys.
    type Key: Key;
    /// Element of the rows that are pulled.
    type Pull: Element;
    /// Element of the rows that are pushed.
    type Push: Element;
    /// What it outputs.
    type Out: 'static;

    /// Called once, before anything else.
    ///
    /// # Errors
    /// Ends the run, naming the worker operator.
    fn open(&mut self, _context: &WorkerContext) -> Result<()> {
        Ok(())
    }

    /// Handles one record.
    ///
    /// # Errors
    /// Ends the run, naming the worker operator.
    fn on_recv(&mut self, record: Self::In, ps: &mut ParameterServerClient<Self>) -> Result<()>;

    /// Handles the answer to a pull: the row of `key`, `pull_width` elements.
    ///
    /// # Errors
    /// Ends the run, naming the worker operator.
    fn on_pull_recv(
        &mut self,
        key: &Self::Key,
        value: &[Self::Pull],
        ps: &mut ParameterServerClient<Self>,
    ) -> Result<()>;

    /// Called once, when this worker has received its last record. May pull and push.
    ///
    /// # Errors
    /// Ends the run, naming the worker operator.
    fn on_end_of_input(&mut self, _ps: &mut ParameterServerClient<Self>) -> Result<()> {
        Ok(())
    }

    /// Called when the clock that this worker asked for has come: all workers have advanced to `clock` or
    /// ended, and whatever any of them issued before is answered and applied.
    ///
    /// # Errors
    /// Ends the run, naming the worker operator.
    fn on_clock(&mut self, _clock: u64, _ps: &mut ParameterServerClient<Self>) -> Result<()> {
        Ok(())
    }

    /// Called once, when there is no more input and nothing in flight. May output.
    ///
    /// # Errors
    /// Ends the run, naming the worker operator.
    fn close(&mut self, _out: &mut Collector<Self::Out>) -> Result<()> {
        Ok(())
    }
}

/// What a [`WorkerLogic`] talks to the parameter server with.
pub struct ParameterServerClient<L: WorkerLogic> {
    pub(crate) outbox: Outbox<L::Key, L::Pull, L::Push>,
    pub(crate) out: Collector<L::Out>,
    pub(crate) clock: u64,
    pub(crate) wants_clock: bool,
}

impl<L: WorkerLogic> ParameterServerClient<L> {
    pub(crate) fn new(outbox: Outbox<L::Key, L::Pull, L::Push>) -> Self {
        ParameterServerClient { outbox, out: Collector::default(), clock: 0, wants_clock: false }
    }

    /// Asks for the row of `key`; the answer comes to [`WorkerLogic::on_pull_recv`].
    ///
    /// Pulls beyond the credit wait in this worker; see [`PsConfig::credit`](crate::PsConfig::credit).
    ///
    /// # Errors
    /// The placement does not know the key.
    #[inline]
    pub fn pull(&mut self, key: L::Key) -> Result<()> {
        self.outbox.pull(key)
    }

    /// Sends an update of the row of `key`: exactly `push_width` elements.
    ///
    /// # Errors
    /// The placement does not know the key, or `delta` has another number of elements.
    #[inline]
    pub fn push(&mut self, key: L::Key, delta: impl IntoIterator<Item = L::Push>) -> Result<()> {
        self.outbox.push(key, delta)
    }

    /// Emits a result on the worker output stream.
    #[inline]
    pub fn output(&mut self, out: L::Out) {
        self.out.emit(out);
    }

    /// Says that this worker has issued everything of its present clock. [`WorkerLogic::on_clock`] follows
    /// when all workers have.
    pub fn advance_clock(&mut self) {
        self.wants_clock = true;
    }

    /// The present clock of this worker, from 0.
    pub fn clock(&self) -> u64 {
        self.clock
    }
}

impl<L: WorkerLogic> std::fmt::Debug for ParameterServerClient<L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParameterServerClient").field("clock", &self.clock).finish_non_exhaustive()
    }
}
