//! The server's side: what pulls, pushes and loaded parameters do.

use waterwheel_engine::{Collector, Key, Result};

use crate::element::Element;
use crate::placement::Placement;

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
}

/// The logic of a server: one instance per server, called from one thread.
///
/// Pulled and pushed rows may have different element types (the *loose* form of Flink-PS). Operations of one
/// worker on one key arrive in the order in which it issued them.
pub trait ServerLogic: 'static {
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

    /// Called with keys that are pulled or pushed next, for a logic that can bring their rows near: a hint,
    /// which changes nothing.
    fn prefetch(&mut self, _keys: &[Self::Key]) {}

    /// Answers a pull: appends the row of `key`, exactly `pull_width` elements, to `answer`.
    ///
    /// # Errors
    /// Ends the run, naming the server operator.
    fn on_pull(
        &mut self,
        key: &Self::Key,
        worker: usize,
        answer: &mut Vec<Self::Pull>,
        out: &mut Collector<Self::Out>,
    ) -> Result<()>;

    /// Applies a push.
    ///
    /// # Errors
    /// Ends the run, naming the server operator.
    fn on_push(
        &mut self,
        key: &Self::Key,
        delta: &[Self::Push],
        out: &mut Collector<Self::Out>,
    ) -> Result<()>;

    /// Takes a parameter of a saved model, before the first pull and push.
    ///
    /// # Errors
    /// Ends the run, naming the server operator.
    fn on_load(&mut self, key: &Self::Key, value: &[Self::Pull]) -> Result<()>;

    /// Called once, when no operation can come any more; the place to output the model.
    ///
    /// # Errors
    /// Ends the run, naming the server operator.
    fn close(&mut self, _out: &mut Collector<Self::Out>) -> Result<()> {
        Ok(())
    }
}
