//! A client that writes to a topic.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use super::KafkaConfig;
use super::messages::MessageRef;
use crate::machine;

/// How long to wait for word of the records that are on their way.
const PAUSE: Duration = Duration::from_millis(1);
/// The shortest and the longest time that a transaction may take: brokers refuse others, if nobody has told them to accept
/// longer ones.
const TRANSACTION_TIMEOUT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15 * 60));

/// Notes the first record that was not taken.
#[derive(Clone, Default)]
struct Deliveries(Arc<Mutex<Option<KafkaError>>>);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, outcome: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _message)) = outcome {
            use RDKafkaErrorCode::{PurgeInflight, PurgeQueue};
            // It was dropped because of another error, which is the one to tell.
            if matches!(error.rdkafka_error_code(), Some(PurgeInflight | PurgeQueue)) {
                return;
            }
            let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert_with(|| error.clone());
        }
    }
}

/// Writes to a topic, each record once and in order within the life of this client, whatever brokers do.
pub(super) struct TopicProducer {
    producer: BaseProducer<Deliveries>,
    deliveries: Deliveries,
    topic: String,
    outage: Duration,
}

impl TopicProducer {
    /// Of records that are seen at once.
    pub(super) fn streaming(topic: &str, config: &KafkaConfig) -> Result<Self, KafkaError> {
        let mut client = config.client();
        client.set("message.timeout.ms", config.outage.as_millis().to_string());
        Self::create(topic, config, client)
    }

    /// Of transactions. Nothing is asked of a broker before
    /// [`init_transactions`](Self::init_transactions).
    pub(super) fn transactional(topic: &str, config: &KafkaConfig, id: &str) -> Result<Self, KafkaError> {
        let timeout = config.outage.clamp(TRANSACTION_TIMEOUT.0, TRANSACTION_TIMEOUT.1).as_millis();
        let mut client = config.client();
        client.set("transactional.id", id);
        // Where it is not set. The client gives a record as long as its transaction.
        if !config.properties.contains_key("transaction.timeout.ms") {
            client.set("transaction.timeout.ms", timeout.to_string());
        }
        Self::create(topic, config, client)
    }

    fn create(
        topic: &str,
        config: &KafkaConfig,
        mut client: rdkafka::ClientConfig,
    ) -> Result<Self, KafkaError> {
        client.set("enable.idempotence", "true");
        let deliveries = Deliveries::default();
        let producer = client.create_with_context(deliveries.clone())?;
        Ok(TopicProducer { producer, deliveries, topic: topic.into(), outage: config.outage })
    }

    /// Heeds what brokers have said of records.
    ///
    /// # Errors
    /// That of the first record that was not taken.
    pub(super) fn check(&self) -> Result<(), KafkaError> {
        self.producer.poll(Duration::ZERO);
        match self.deliveries.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Puts a record on its way, when there is room.
    ///
    /// # Errors
    /// It is not taken, or one before was not.
    pub(super) fn send(
        &self,
        message: MessageRef<'_>,
        headers: Option<OwnedHeaders>,
    ) -> Result<(), KafkaError> {
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&self.topic);
        (record.key, record.payload, record.headers) = (message.key, message.payload, headers);
        let since = machine::now();
        loop {
            match self.producer.send(record) {
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => {
                    if since.elapsed() > self.outage {
                        return Err(KafkaError::MessageProduction(RDKafkaErrorCode::OperationTimedOut));
                    }
                    self.producer.poll(PAUSE);
                    record = again;
                }
                outcome => return outcome.map_err(|(error, _record)| self.reason_of(error)),
            }
        }
    }

    /// Why the client takes no record: a transaction that has failed says so of the next one.
    fn reason_of(&self, error: KafkaError) -> KafkaError {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::State | RDKafkaErrorCode::Fatal) => {
                let told = self.check().and_then(|()| self.producer.commit_transaction(Duration::ZERO));
                told.err().unwrap_or(error)
            }
            _ => error,
        }
    }

    /// Waits until all records have been taken. The client's own flush takes a tenth of a second.
    pub(super) fn flush(&self) -> Result<(), KafkaError> {
        let since = machine::now();
        while self.producer.in_flight_count() > 0 {
            if since.elapsed() > self.outage {
                self.check()?;
                return Err(KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut));
            }
            self.producer.poll(PAUSE);
        }
        self.check()
    }

    /// Makes this the only producer with its transactional id: a transaction of an earlier one is finished, one way or the
    /// other, before this returns.
    pub(super) fn init_transactions(&self) -> Result<(), KafkaError> {
        self.producer.init_transactions(self.outage)
    }

    pub(super) fn begin_transaction(&self) -> Result<(), KafkaError> {
        self.producer.begin_transaction()
    }

    /// Waits until all records of the transaction have been taken, and lets them be seen.
    pub(super) fn commit_transaction(&self) -> Result<(), KafkaError> {
        self.flush()?;
        self.producer.commit_transaction(self.outage)
    }
}
