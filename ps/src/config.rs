//! Settings of a parameter-server job.

mod kept;

use waterwheel_engine::{Error, Key, Result};

use crate::consistency::{Consistency, PushOrder, Semantics};
use crate::core::hot::HotKeys;
use crate::core::policy::SendPolicy;
use crate::placement::Placement;
use crate::shard::Watch;
use crate::state::PsState;

/// Settings of [`transform`](crate::transform).
///
/// | setting | default | valid |
/// |---|---|---|
/// | `workers` | all workers of the job | 1 to the workers of the job |
/// | `servers` | all workers of the job | 1 to the workers of the job |
/// | `pull_width`, `push_width` | 1 element | 1 or more |
/// | `credit` | 16,384 operations | 1 or more, and twice the counts of the send policies on each server |
/// | `block_len` | 1,024 operations | 1 or more |
/// | `consistency` | [`Consistency::Asynchronous`] | |
/// | `whole_clocks` | off; on, by value, with staleness 0 | not with [`Consistency::Serialisable`] |
/// | `combine_pushes` | where the server declares how | |
/// | `placement` | [`Placement::Hash`] | |
/// | `worker_send`, `server_send` | [`SendPolicy::Immediate`] | |
/// | `intents` | 0: pulls are not announced | 0 or more, at most half of `replica_age`; 0 with [`Consistency::Serialisable`] |
/// | `replicas` | 0: hot rows are not kept at workers | 0 or more; 0 with [`Consistency::BULK_SYNCHRONOUS`] and [`Consistency::Serialisable`] |
/// | `replica_age` | 4,096 pulls | 1 or more |
/// | `state` | none: nobody watches | |
#[derive(Clone, Debug)]
pub struct PsConfig<K> {
    pub(crate) workers: Option<usize>,
    pub(crate) servers: Option<usize>,
    pub(crate) pull_width: usize,
    pub(crate) push_width: usize,
    pub(crate) credit: usize,
    pub(crate) block_len: usize,
    pub(crate) consistency: Consistency,
    whole_clocks: Option<PushOrder>,
    pub(crate) combine_pushes: bool,
    pub(crate) placement: Placement<K>,
    pub(crate) worker_send: SendPolicy,
    pub(crate) server_send: SendPolicy,
    intents: usize,
    pub(crate) replicas: usize,
    replica_age: u64,
    pub(crate) state: Option<PsState>,
}

/// Hot keys that are shown where somebody looks.
const SHOWN: usize = 16;

impl<K> Default for PsConfig<K> {
    fn default() -> Self {
        PsConfig {
            workers: None,
            servers: None,
            pull_width: 1,
            push_width: 1,
            credit: 16_384,
            block_len: 1_024,
            consistency: Consistency::Asynchronous,
            whole_clocks: None,
            combine_pushes: true,
            placement: Placement::Hash,
            worker_send: SendPolicy::Immediate,
            server_send: SendPolicy::Immediate,
            intents: 0,
            replicas: 0,
            replica_age: 4_096,
            state: None,
        }
    }
}

impl<K> PsConfig<K> {
    /// The default settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how many workers train; they are the first ones of the job.
    #[must_use]
    pub fn workers(mut self, n: usize) -> Self {
        self.workers = Some(n);
        self
    }

    /// Sets how many servers hold parameters; they live on the first workers of the job.
    #[must_use]
    pub fn servers(mut self, n: usize) -> Self {
        self.servers = Some(n);
        self
    }

    /// Sets the number of elements of a row, pulled or pushed.
    #[must_use]
    pub fn width(self, n: usize) -> Self {
        self.pull_width(n).push_width(n)
    }

    /// Sets the number of elements of a pulled row.
    #[must_use]
    pub fn pull_width(mut self, n: usize) -> Self {
        self.pull_width = n;
        self
    }

    /// Sets the number of elements of a pushed row.
    #[must_use]
    pub fn push_width(mut self, n: usize) -> Self {
        self.push_width = n;
        self
    }

    /// Sets how many pulls of one worker may be unanswered.
    ///
    /// A record is taken from the input only while unanswered pulls and unapplied pushes together are fewer;
    /// otherwise it stays there, and the sources are held. Larger values give larger batches, and more
    /// staleness between what was pulled and what has been pushed since.
    #[must_use]
    pub fn credit(mut self, operations: usize) -> Self {
        self.credit = operations;
        self
    }

    /// Sets how many operations travel in one message at most.
    #[must_use]
    pub fn block_len(mut self, operations: usize) -> Self {
        self.block_len = operations;
        self
    }

    /// Sets what a pull is guaranteed to see.
    #[must_use]
    pub fn consistency(mut self, consistency: Consistency) -> Self {
        self.consistency = consistency;
        self
    }

    /// Lets pushes take effect when their clock is complete, in this order, and not when they come.
    ///
    /// A server then always shows a *version*: the pushes of all clocks before some clock. A pull sees none of the
    /// worker's own pushes at its present clock, and
    /// [`pull_snapshot`](crate::ParameterServerClient::pull_snapshot) can ask for one version of many keys. A server
    /// keeps the pushes of the clocks that are not complete: that memory is bounded by what the workers push in a
    /// clock, not by the credit, because a push that is kept counts as applied.
    #[must_use]
    pub fn whole_clocks(mut self, order: PushOrder) -> Self {
        self.whole_clocks = Some(order);
        self
    }

    /// Whether pushes wait for whole clocks.
    pub(crate) fn has_whole_clocks(&self) -> bool {
        matches!(self.semantics(), Semantics::Clocked { whole_clocks: Some(_), .. })
    }

    /// What the settings mean for a server.
    pub(crate) fn semantics(&self) -> Semantics {
        match (self.consistency, self.whole_clocks) {
            (Consistency::Asynchronous, None) => Semantics::Direct,
            (Consistency::Serialisable, _) => Semantics::Locked,
            (Consistency::Bounded(0), None) => {
                Semantics::Clocked { staleness: Some(0), whole_clocks: Some(PushOrder::default()) }
            }
            (consistency, whole_clocks) => {
                Semantics::Clocked { staleness: consistency.staleness(), whole_clocks }
            }
        }
    }

    /// Sets whether workers combine pushes to equal keys before they send them, where the server declares how
    /// ([`ServerLogic::combiner`](crate::ServerLogic::combiner)). It saves messages, and costs a look-up for each push,
    /// which is more than a push of many keys costs otherwise.
    #[must_use]
    pub fn combine_pushes(mut self, combine: bool) -> Self {
        self.combine_pushes = combine;
        self
    }

    /// Sets how keys are spread over the servers.
    #[must_use]
    pub fn placement(mut self, placement: Placement<K>) -> Self {
        self.placement = placement;
        self
    }

    /// Sets when a worker sends what it has for a server on another worker.
    #[must_use]
    pub fn worker_send(mut self, policy: SendPolicy) -> Self {
        self.worker_send = policy;
        self
    }

    /// Sets when a server sends the answers it has for another worker.
    #[must_use]
    pub fn server_send(mut self, policy: SendPolicy) -> Self {
        self.server_send = policy;
        self
    }

    /// Shows there what workers and servers do.
    #[must_use]
    pub fn state(mut self, state: &PsState) -> Self {
        self.state = Some(state.clone());
        self
    }

    /// What server `index` counts, in a job of so many workers.
    pub(crate) fn watch(&self, index: usize, peers: usize) -> Watch<K>
    where
        K: Key,
    {
        let rows = if self.state.is_some() { self.replicas.max(SHOWN) } else { self.replicas };
        let hot = (rows > 0).then(|| HotKeys::new(rows, peers));
        Watch::new(hot, self.state.as_ref().map(|state| state.enter_server(index)))
    }

    /// Checks the settings for a job of `peers` workers and returns the numbers of workers and servers.
    pub(crate) fn check(&self, peers: usize) -> Result<(usize, usize)> {
        let (workers, servers) = (self.workers.unwrap_or(peers), self.servers.unwrap_or(peers));
        for (what, n) in [("workers", workers), ("servers", servers)] {
            if n == 0 || n > peers {
                let text =
                    format!("parameter server: found {n} {what}, expected 1 to {peers}, the job's workers");
                return Err(Error::config(text));
            }
        }
        let positive = [
            ("pull_width", self.pull_width),
            ("push_width", self.push_width),
            ("credit", self.credit),
            ("block_len", self.block_len),
        ];
        if let Some((what, _)) = positive.iter().find(|(_, n)| *n == 0) {
            return Err(Error::config(format!("parameter server: {what} is 0, expected 1 or more")));
        }
        self.check_replicas()?;
        if !(self.worker_send.is_possible() && self.server_send.is_possible()) {
            return Err(Error::config("parameter server: the send policy Any([]) would never send"));
        }
        if self.consistency == Consistency::Serialisable && self.whole_clocks.is_some() {
            return Err(Error::config(
                "parameter server: whole_clocks with serialisable consistency, where a push must be applied at once",
            ));
        }
        let counts = self.worker_send.largest_count().saturating_add(self.server_send.largest_count());
        if self.consistency == Consistency::Serialisable && counts > 0 {
            return Err(Error::config(
                "parameter server: a send policy with a count and serialisable consistency: a push that waits for its \
                 batch would keep others from the key",
            ));
        }
        // Batches that wait to be filled hold credit on both sides, and waiting pulls leave in chunks of an
        // eighth of it: twice the batches is enough.
        let needed = counts.saturating_mul(2 * servers);
        if self.credit < needed {
            let credit = self.credit;
            return Err(Error::config(format!(
                "parameter server: credit is {credit}, expected {needed} or more for the counts of the send \
                 policies on {servers} servers"
            )));
        }
        Ok((workers, servers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn config_that_would_starve_is_refused() {
        let config = PsConfig::<u64>::new().credit(15).worker_send(SendPolicy::Count(4));
        assert!(config.check(2).unwrap_err().message().contains("expected 16 or more"));
        assert_eq!(config.servers(1).check(2).unwrap(), (2, 1));
    }

    #[test]
    fn rows_at_workers_are_refused_where_they_could_not_be_used() {
        let config = PsConfig::<u64>::new;
        let locks = config().consistency(Consistency::Serialisable);
        let cases = [
            (locks.clone().intents(1), "intents with serialisable consistency"),
            (locks.replicas(1), "replicas with Serialisable consistency"),
            (
                config().consistency(Consistency::Bounded(0)).replicas(1),
                "replicas with Bounded(0) consistency",
            ),
            (config().intents(8).replica_age(15), "replica_age is 15, expected 16 or more for 8 intents"),
            (config().replica_age(0), "replica_age is 0, expected 1 or more for 0 intents"),
        ];
        for (config, what) in cases {
            let error = config.check(1).unwrap_err();
            assert!(error.message().contains(what), "{error}");
        }
        assert!(config().consistency(Consistency::Bounded(0)).intents(8).check(1).is_ok());
    }

    #[test]
    fn config_with_more_servers_than_workers_is_refused() {
        let error = PsConfig::<u64>::new().servers(3).check(2).unwrap_err();
        assert_eq!(error.message(), "parameter server: found 3 servers, expected 1 to 2, the job's workers");
    }
}
