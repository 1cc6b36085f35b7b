//! What a pull is guaranteed to see.

/// What a pull is guaranteed to see: one setting of a job, [`PsConfig::consistency`](crate::PsConfig::consistency).
///
/// A worker divides what it does by its clock, which
/// [`advance_clock`](crate::ParameterServerClient::advance_clock) moves on. A pull at clock *t* with staleness
/// *s* is answered when all pushes of all workers at clocks before *t - s* are applied. Progress tracking
/// says when that is: no message is sent for it. A worker that has ended holds nobody up.
///
/// Whatever the setting, operations of one worker on one key take effect in the order of issue, except where
/// pushes wait for whole clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// Pulls are answered with what the server has: unbounded staleness. A clock is a barrier here:
    /// [`on_clock`](crate::WorkerLogic::on_clock) comes when all workers have advanced.
    #[default]
    Asynchronous,
    /// Staleness `s`, in clocks (*stale synchronous parallel*: Ho et al., NIPS 2013). Nobody waits in
    /// `advance_clock`; a fast worker's pulls wait at the servers, and it keeps handling answers meanwhile. A
    /// pull may see pushes of clocks that are not complete, those of the worker itself among them.
    ///
    /// With 0 this is *bulk synchronous*, and a pull at clock *t* sees the pushes of the clocks before *t*,
    /// exactly: [`whole_clocks`](crate::PsConfig::whole_clocks) is on.
    Bounded(u64),
    /// Read-modify-write of each key, one worker at a time: a pull that is answered locks the key until the
    /// worker pushes to it, and pulls of others wait in the order in which they came (`LockPSLogicA` of Flink
    /// Parameter Server). A push without the lock is an error. A worker that ends, or finishes a checkpoint
    /// epoch, gives back the locks that it has.
    ///
    /// A worker that pulls a key while it waits to push to another can block others and itself, as with any
    /// locks; take keys in one order. A push may leave before pulls of the worker that wait for credit. Send policies
    /// with a count and [`pull_many`](crate::ParameterServerClient::pull_many) are refused.
    Serialisable,
}

impl Consistency {
    /// Staleness 0.
    pub const BULK_SYNCHRONOUS: Consistency = Consistency::Bounded(0);

    /// How many clocks before its own a pull may miss; `None` if it waits for none.
    pub(crate) fn staleness(self) -> Option<u64> {
        match self {
            Consistency::Bounded(staleness) => Some(staleness),
            Consistency::Asynchronous | Consistency::Serialisable => None,
        }
    }
}

/// In which order the pushes of a clock are applied to one key, where they wait for whole clocks.
///
/// Keys come in their own order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PushOrder {
    /// In order of what is pushed: numbers by their bits, other elements by their postcard encoding. So the
    /// result depends on *which* pushes a clock has, and not on who made them: it is the same, bit for bit, for
    /// any number of workers, if records are given to clocks in the same way and each push depends on its record
    /// and on pulled rows alone. The order of issue is lost within a clock.
    #[default]
    ByValue,
    /// By worker, and in order of issue for each. The result is the same in every run with this number of
    /// workers and this partitioning.
    ByWorker,
}

/// What a server does with operations, as the settings of a job say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Semantics {
    /// Serves them at once.
    Direct,
    /// Serves one worker at a time per key.
    Locked,
    /// Lets pulls wait for clocks and, if there is an order, pushes too.
    Clocked { staleness: Option<u64>, whole_clocks: Option<PushOrder> },
}
