//! Settings of rows that are kept at workers.

use waterwheel_engine::{Error, Result};

use crate::config::PsConfig;
use crate::consistency::Consistency;
use crate::core::replicas::ReplicaConfig;
use crate::server::Replay;

impl<K> PsConfig<K> {
    /// Sets how many announced pulls of a worker may be to come: their rows are asked for before they are needed, beside
    /// the credit, so that round trips to servers on other workers overlap with the handling of other records.
    ///
    /// Pulls are announced by [`WorkerLogic::intent`](crate::WorkerLogic::intent), for records that wait at the input,
    /// and by [`ParameterServerClient::intent`](crate::ParameterServerClient::intent). A row that was asked for ahead
    /// answers a [`pull`](crate::ParameterServerClient::pull), not one of many keys, and only where the server might have
    /// given the same answer: it shows the clocks that the job's consistency promises at the time of the pull, and the
    /// worker's own pushes before it; and it is no older than [`replica_age`](Self::replica_age). Otherwise the row is
    /// pulled anew. The server logic must answer each pull of such a key with one row.
    ///
    /// It pays where little credit keeps the model fresh, or where clocks end together; with much credit round trips
    /// overlap anyway.
    #[must_use]
    pub fn intents(mut self, pulls: usize) -> Self {
        self.intents = pulls;
        self
    }

    /// Sets how many rows of each server a worker may keep because they are hot: servers count pulls, and tell workers
    /// which keys get more than about one in a hundred.
    ///
    /// Copies answer pulls ([`pull`](crate::ParameterServerClient::pull) alone, not those of many keys) without a
    /// message. They are renewed while they are in use, end with [`replica_age`](Self::replica_age) and, under bounded
    /// staleness, with the clocks that they must show; a barrier ends all of them. The worker's own pushes show in them
    /// if the update is an [algebra](crate::Algebra); otherwise a push ends the copies of its key. The server logic must
    /// answer each pull of a hot key with one row.
    ///
    /// Off by default: a copy is older than an answer, by up to the age, where it would have been current.
    #[must_use]
    pub fn replicas(mut self, rows: usize) -> Self {
        self.replicas = rows;
        self
    }

    /// Sets after how many further pulls of its worker a row that is kept there is not used any more.
    #[must_use]
    pub fn replica_age(mut self, pulls: u64) -> Self {
        self.replica_age = pulls;
        self
    }

    /// What a worker may keep; `None` if nothing.
    pub(crate) fn kept_rows<E, D>(&self, replay: Option<Replay<E, D>>) -> Option<ReplicaConfig<E, D>> {
        (self.intents + self.replicas > 0).then(|| ReplicaConfig {
            push_width: self.push_width,
            intents: self.intents,
            hot_rows: self.replicas,
            max_age: self.replica_age,
            staleness: self.consistency.staleness(),
            shows_pushes: !self.has_whole_clocks(),
            replay,
            credit: self.credit,
        })
    }

    /// Refuses rows at the worker where they could not be used.
    pub(super) fn check_replicas(&self) -> Result<()> {
        let refuse = |text: String| Err(Error::config(format!("parameter server: {text}")));
        let consistency = self.consistency;
        if self.intents > 0 && consistency == Consistency::Serialisable {
            return refuse(
                "intents with serialisable consistency, where a pull takes the lock of its key".into(),
            );
        }
        let is_exact = [Consistency::BULK_SYNCHRONOUS, Consistency::Serialisable].contains(&consistency);
        if self.replicas > 0 && is_exact {
            return refuse(format!(
                "replicas with {consistency:?} consistency, where a pull sees the present row"
            ));
        }
        if self.replica_age == 0 || self.intents as u64 > self.replica_age / 2 && self.intents > 0 {
            let (age, intents) = (self.replica_age, self.intents);
            let least = (2 * intents).max(1);
            return refuse(format!("replica_age is {age}, expected {least} or more for {intents} intents"));
        }
        Ok(())
    }
}
