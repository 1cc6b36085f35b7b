//! A sink that writes to a topic.

use std::panic::Location;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};

use super::{KafkaConfig, KafkaMessage, failed, out_of_reach};
use crate::clock::AnyClock;
use crate::collect::DataStreamSink;
use crate::error::Result;
use crate::machine;
use crate::sink::Sink;
use crate::stream::DataStream;

/// How long to wait for room among the records that are on their way.
const PAUSE: Duration = Duration::from_millis(1);

impl<'s, D: 'static, T: AnyClock> DataStream<'s, D, T> {
    /// Writes to a Kafka topic what `message` makes of each record: **at least once**.
    ///
    /// A checkpoint is durable only when the brokers have all that was written before it, so nothing is lost. A run that
    /// goes on from a checkpoint writes again what came behind it: give records a key or number by which their readers know
    /// them. Within one run none is doubled or out of order in its partition, whatever brokers do (the producer is
    /// idempotent).
    ///
    /// A property that is not valid, or a record that is not taken in time, ends the run.
    #[track_caller]
    pub fn write_kafka(
        self,
        topic: &str,
        config: &KafkaConfig,
        message: impl Fn(&D) -> KafkaMessage + Clone + 'static,
    ) -> DataStreamSink {
        let (topic, config) = (topic.to_string(), config.clone());
        self.write_to_at("write_kafka", Location::caller(), move |_context| {
            TopicSink::open(&topic, config.clone(), message.clone())
        })
    }
}

/// Notes the first record that was not taken.
#[derive(Clone, Default)]
struct Deliveries(Arc<Mutex<Option<KafkaError>>>);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, outcome: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _message)) = outcome {
            let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert_with(|| error.clone());
        }
    }
}

/// Writes to a topic, and waits for it at each checkpoint.
struct TopicSink<F> {
    producer: ThreadedProducer<Deliveries>,
    deliveries: Deliveries,
    topic: String,
    config: KafkaConfig,
    message: F,
}

impl<F> TopicSink<F> {
    fn open(topic: &str, config: KafkaConfig, message: F) -> Result<Self> {
        let mut client = config.client();
        client.set("enable.idempotence", "true");
        client.set("message.timeout.ms", config.outage.as_millis().to_string());
        let deliveries = Deliveries::default();
        let producer = client
            .create_with_context(deliveries.clone())
            .map_err(|error| failed("can not make a client", topic, error))?;
        Ok(TopicSink { producer, deliveries, topic: topic.into(), config, message })
    }

    fn check(&self) -> Result<()> {
        match self.deliveries.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(error) => Err(failed("a record was not taken", &self.topic, error)),
            None => Ok(()),
        }
    }

    fn send(&self, message: &KafkaMessage) -> Result<(), KafkaError> {
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&self.topic);
        record.key = message.key.as_deref();
        record.payload = message.payload.as_deref();
        self.producer.send(record).map_err(|(error, _record)| error)
    }
}

impl<D, F: Fn(&D) -> KafkaMessage + 'static> Sink<D> for TopicSink<F> {
    /// There is nothing to commit: all is written when the transaction ends.
    type Transaction = ();

    fn write(&mut self, record: D) -> Result<()> {
        self.check()?;
        let (message, since) = ((self.message)(&record), machine::now());
        loop {
            match self.send(&message) {
                Err(KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) => {
                    if since.elapsed() > self.config.outage {
                        return Err(out_of_reach(&self.topic, &self.config));
                    }
                    self.producer.poll(PAUSE);
                }
                outcome => return outcome.map_err(|error| failed("can not be written", &self.topic, error)),
            }
        }
    }

    fn prepare(&mut self) -> Result<Option<()>> {
        let flushed = self.producer.flush(self.config.outage);
        self.check()?;
        match flushed {
            Err(KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut)) => {
                Err(out_of_reach(&self.topic, &self.config))
            }
            outcome => {
                outcome.map(|()| None).map_err(|error| failed("can not be written", &self.topic, error))
            }
        }
    }

    fn commit((): ()) -> Result<()> {
        Ok(())
    }
}
