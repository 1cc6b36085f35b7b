//! What a sink promises to write when a checkpoint is durable, and how it is written once.

use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use serde::{Deserialize, Serialize};

use super::mark::{Mark, TransactionKey};
use super::messages::{self, Messages};
use super::producer::TopicProducer;
use super::tail::{self, Isolation, TailReader};
use super::{KafkaConfig, failed_or_out_of_reach, patiently};
use crate::error::{Error, Result};

/// The messages of one worker between two checkpoints, and where they go.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Transaction {
    pub(super) topic: String,
    pub(super) transactional_id: String,
    pub(super) key: TransactionKey,
    /// By partition, offsets before which none of the messages is; 0 for partitions that are not there.
    pub(super) starts: Vec<i64>,
    #[serde(with = "messages::shared")]
    pub(super) messages: Arc<Messages>,
    /// Who writes it in the run that has prepared it.
    #[serde(skip)]
    pub(super) committer: Option<Arc<Committer>>,
}

/// Whether messages of a transaction may be in the topic when its commit begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Nothing,
    /// All or none, or some where brokers show what was not committed.
    Perhaps,
}

/// Writes the transactions of one transactional id.
pub(super) struct Committer {
    topic: String,
    transactional_id: String,
    config: KafkaConfig,
    clients: Mutex<Clients>,
    /// Offsets behind all that was committed, by partition.
    ends: Mutex<Vec<i64>>,
}

/// Made when they are needed. A producer is there while it has no unknown outcome behind it.
#[derive(Default)]
struct Clients {
    producer: Option<TopicProducer>,
    reader: Option<TailReader>,
}

impl Committer {
    fn new(topic: &str, transactional_id: &str, config: KafkaConfig) -> Self {
        let (topic, transactional_id) = (topic.into(), transactional_id.into());
        Committer { topic, transactional_id, config, clients: Mutex::default(), ends: Mutex::default() }
    }

    /// One whose first transaction comes behind all that is in the topic now.
    ///
    /// # Errors
    /// A property is not valid, no broker is reached in time, or there is no such topic.
    pub(super) fn open(topic: &str, transactional_id: &str, config: KafkaConfig) -> Result<Self> {
        let committer = Committer::new(topic, transactional_id, config);
        committer.new_producer().map_err(|error| committer.failed("can not make a client", error))?;
        let mut clients = Clients::default();
        let ends = patiently(topic, committer.config.outage, || committer.find_ends(&mut clients));
        let ends = ends.map_err(|error| committer.failed("can not ask for its end", error))?;
        *committer.ends.lock().unwrap_or_else(PoisonError::into_inner) = ends;
        *committer.clients.lock().unwrap_or_else(PoisonError::into_inner) = clients;
        Ok(committer)
    }

    /// Offsets behind all that was committed, as far as that is known without asking.
    pub(super) fn ends(&self) -> Vec<i64> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes the transaction, waiting for brokers that are out of reach.
    fn commit(&self, transaction: &Transaction, mut before: Before) -> Result<()> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let committed = patiently(&self.topic, self.config.outage, || {
            let outcome = self.attempt(&mut clients, transaction, before);
            // What a failed attempt has written is looked for in the next one.
            before = Before::Perhaps;
            outcome
        });
        committed.map_err(|error| self.failed("a transaction can not be committed", error))
    }

    /// Leaves no producer whose transaction has an outcome that is not known.
    fn attempt(
        &self,
        clients: &mut Clients,
        transaction: &Transaction,
        before: Before,
    ) -> Result<(), KafkaError> {
        let producer = match clients.producer.take() {
            Some(producer) => producer,
            None => {
                let producer = self.new_producer()?;
                // From here on nobody else writes anything of this transaction.
                producer.init_transactions()?;
                producer
            }
        };
        let (key, n) = (transaction.key, transaction.messages.len());
        let is_there = match before {
            Before::Nothing => Vec::new(),
            Before::Perhaps => tail::find(&self.topic, &self.config, key, &transaction.starts, n)?,
        };
        if is_there.is_empty() || is_there.contains(&false) {
            producer.begin_transaction()?;
            for (at, message) in transaction.messages.iter().enumerate() {
                if !is_there.get(at).copied().unwrap_or(false) {
                    let mark = Mark { transaction: key, sequence: at as u64 };
                    producer.send(message, Some(mark.to_headers()))?;
                }
            }
            producer.commit_transaction()?;
        }
        clients.producer = Some(producer);
        Ok(())
    }

    fn new_producer(&self) -> Result<TopicProducer, KafkaError> {
        TopicProducer::transactional(&self.topic, &self.config, &self.transactional_id)
    }

    fn find_ends(&self, clients: &mut Clients) -> Result<Vec<i64>, KafkaError> {
        let reader = match clients.reader.take() {
            Some(reader) => reader,
            None => TailReader::new(&self.topic, &self.config, Isolation::Uncommitted)?,
        };
        clients.reader.insert(reader).ends()
    }

    /// Notes where the topic ends, so that a later run need not look for the next transaction in what is there now.
    fn advance(&self) {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        match self.find_ends(&mut clients) {
            Ok(ends) => *self.ends.lock().unwrap_or_else(PoisonError::into_inner) = ends,
            Err(error) => tracing::debug!(topic = self.topic, "its end is not known: {error}"),
        }
    }

    fn failed(&self, what: &str, error: KafkaError) -> Error {
        use RDKafkaErrorCode::{Fenced, InvalidProducerEpoch, ProducerFenced};
        if let Some(Fenced | InvalidProducerEpoch | ProducerFenced) = error.rdkafka_error_code() {
            let (topic, id) = (&self.topic, &self.transactional_id);
            return Error::data(format!(
                "Kafka topic {topic:?}: {what}: another producer has begun with its transactional id {id:?}, or brokers have \
                 ended it because it took longer than transaction.timeout.ms"
            ))
            .caused_by(error);
        }
        failed_or_out_of_reach(what, &self.topic, &self.config, error)
    }
}

impl Transaction {
    /// Writes it in the run that has prepared it.
    ///
    /// # Errors
    /// A message is not taken, or not in time. Then it is not known what is in the topic.
    pub(super) fn commit(&self) -> Result<()> {
        let committer = self.committer.as_ref();
        let committer = committer.ok_or_else(|| Error::internal("a transaction of another run"))?;
        committer.commit(self, Before::Nothing)?;
        committer.advance();
        Ok(())
    }

    /// Writes what of it is not there yet, in a run that has found it in a checkpoint.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub(super) fn recover_and_commit(&self, config: &KafkaConfig) -> Result<()> {
        Committer::new(&self.topic, &self.transactional_id, config.clone()).commit(self, Before::Perhaps)
    }
}
