//! Pulls and pushes of keys whose rows may be kept at the worker.

use waterwheel_engine::Result;

use crate::core::replicas::{AHEAD, ASKED, Pulled, RENEWED};
use crate::worker::{ParameterServerClient, WorkerLogic};

impl<L: WorkerLogic> ParameterServerClient<L> {
    /// Says that `key` will be pulled soon: its row is asked for now, beside the credit, and answers that pull. One
    /// that comes after many other records, or at a later clock, may find it gone. A hint, which changes no result;
    /// without [`intents`](crate::PsConfig::intents), and beyond their number, nothing happens.
    ///
    /// # Errors
    /// The placement does not know the key.
    pub fn intent(&mut self, key: L::Key) -> Result<()> {
        let record = self.replicas.as_ref().map_or(0, |replicas| replicas.record());
        self.announce(key, record)
    }

    /// Announces a pull for a record, which is counted from the first one of the worker.
    fn announce(&mut self, key: L::Key, record: u64) -> Result<()> {
        let server = self.outbox.server_of(&key)?;
        let Some(replicas) = self.replicas.as_mut().filter(|replicas| replicas.has_room()) else {
            return Ok(());
        };
        if self.neighbour == Some(server) {
            return Ok(());
        }
        if let Some(place) = replicas.announce(&key, record)
            && self.outbox.pull_ahead(server, key, AHEAD)
        {
            replicas.ask(place, AHEAD);
        }
        Ok(())
    }

    /// Announces what `logic` will pull for a record that comes `ahead` records behind the present one. Returns
    /// whether there was room for it.
    pub(crate) fn announce_record(&mut self, logic: &L, record: &L::In, ahead: usize) -> Result<bool> {
        let Some(at) =
            self.replicas.as_ref().filter(|replicas| replicas.has_room()).map(|replicas| replicas.record())
        else {
            return Ok(false);
        };
        let mut keys = std::mem::take(&mut self.announced);
        logic.intent(record, &mut keys)?;
        let announced = keys.drain(..).try_for_each(|key| self.announce(key, at + ahead as u64));
        self.announced = keys;
        announced.map(|()| true)
    }

    /// Whether a pull of `key` would now be answered without a message to another worker: by the server beside this
    /// one, or by a row that is kept here.
    ///
    /// # Errors
    /// The placement does not know the key.
    pub fn is_local(&self, key: &L::Key) -> Result<bool> {
        let server = self.outbox.server_of(key)?;
        let is_kept = self.replicas.as_ref().is_some_and(|replicas| replicas.has_fresh(key));
        Ok(is_kept || self.neighbour == Some(server))
    }

    /// A pull where rows may be kept.
    pub(super) fn pull_near(&mut self, key: L::Key) -> Result<()> {
        let server = self.outbox.server_of(&key)?;
        let Some(replicas) = &mut self.replicas else { return self.outbox.pull(key) };
        match replicas.pull(&key) {
            Pulled::Here(place, renews) => {
                replicas.answer(place);
                if renews && self.outbox.pull_ahead(server, key, RENEWED) {
                    replicas.ask(place, RENEWED);
                }
            }
            Pulled::Joined => {}
            Pulled::Asks(place) => {
                replicas.ask(place, ASKED);
                self.outbox.pull_from(server, key, ASKED);
            }
            Pulled::Elsewhere => self.outbox.pull_from(server, key, 0),
        }
        Ok(())
    }

    /// A push of a key whose row may be kept.
    pub(super) fn push_near(&mut self, key: L::Key, delta: impl IntoIterator<Item = L::Push>) -> Result<()> {
        let delta: Vec<_> = delta.into_iter().collect();
        if let Some(replicas) = &mut self.replicas {
            replicas.push(&key, &delta);
        }
        self.outbox.push(key, delta)
    }

    /// Notes that the logic is about to be given a record.
    #[inline]
    pub(crate) fn begin_record(&mut self) {
        if let Some(replicas) = &mut self.replicas {
            replicas.begin_record();
        }
    }

    /// Whether credit is out, and some of it or of the pulls that wait here is with what others or batches must let go:
    /// all that is under way must come back now, as no more operations will come to fill a batch.
    pub(crate) fn lacks_what_waits(&self) -> bool {
        let waits_here = self.replicas.as_ref().is_some_and(|replicas| replicas.has_joined());
        (waits_here || self.outbox.has_left_open()) && !self.has_credit()
    }

    /// Whether there are answers of kept rows to hand over.
    #[inline]
    pub(crate) fn has_near_answers(&self) -> bool {
        self.replicas.as_ref().is_some_and(|replicas| !replicas.answers.0.is_empty())
    }

    /// Whether there is room for more work from the input.
    #[inline]
    pub(crate) fn has_credit(&self) -> bool {
        self.outbox.has_credit_beside(self.replicas.as_ref().map_or(0, |replicas| replicas.pending()))
    }
}
