//! Kafka, by librdkafka. Feature `kafka`.
//!
//! Nothing public names a type of the client.

mod mark;
mod messages;
mod producer;
mod sink;
mod source;
mod tail;
mod transaction;

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::machine;
use crate::sink::DeliveryGuarantee;

/// How to reach Kafka, and how topics are read and written.
///
/// | setting | default |
/// |---|---|
/// | [`start`](Self::start): where reading begins without a checkpoint | [`KafkaStart::Earliest`] |
/// | [`bounded`](Self::bounded): whether reading ends at what is there | no: it is endless |
/// | [`group`](Self::group): a consumer group whose offsets follow the checkpoints | none |
/// | [`outage`](Self::outage): how long no broker may be reached | 5 minutes |
/// | [`delivery_guarantee`](Self::delivery_guarantee): how often records that are written are seen, with checkpoints | [`DeliveryGuarantee::ExactlyOnce`] |
/// | [`transactional_id_prefix`](Self::transactional_id_prefix): what transactional ids begin with | `waterwheel-` and the topic |
/// | [`set`](Self::set): a property of librdkafka | |
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use waterwheel_engine::KafkaConfig;
///
/// let kafka = KafkaConfig::new("broker-1:9092,broker-2:9092")
///     .group("orders")
///     .outage(Duration::from_secs(60))
///     .set("security.protocol", "plaintext");
/// ```
#[derive(Clone, Debug)]
pub struct KafkaConfig {
    pub(crate) brokers: String,
    pub(crate) start: KafkaStart,
    pub(crate) bounded: bool,
    pub(crate) group: Option<String>,
    pub(crate) outage: Duration,
    pub(crate) delivery: DeliveryGuarantee,
    pub(crate) transactional_id_prefix: Option<String>,
    pub(crate) properties: BTreeMap<String, String>,
}

/// Where a topic is read from where no checkpoint says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KafkaStart {
    /// At the oldest record.
    #[default]
    Earliest,
    /// Behind the newest record.
    Latest,
}

/// A record of Kafka, and where it was.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KafkaRecord {
    /// Partition of its topic.
    pub partition: i32,
    /// Its offset in the partition.
    pub offset: i64,
    /// Milliseconds since 1970, if the broker tells.
    pub timestamp: Option<i64>,
    /// Its key, if it has one.
    pub key: Option<Vec<u8>>,
    /// What it says; `None` deletes the key.
    pub payload: Option<Vec<u8>>,
}

/// A record for Kafka.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KafkaMessage {
    /// Its key, by which the client chooses the partition; without one, any.
    pub key: Option<Vec<u8>>,
    /// What it says.
    pub payload: Option<Vec<u8>>,
}

impl KafkaConfig {
    /// With brokers as `host:port`, separated by commas.
    pub fn new(brokers: impl Into<String>) -> Self {
        KafkaConfig {
            brokers: brokers.into(),
            start: KafkaStart::Earliest,
            bounded: false,
            group: None,
            outage: Duration::from_secs(300),
            delivery: DeliveryGuarantee::ExactlyOnce,
            transactional_id_prefix: None,
            properties: BTreeMap::new(),
        }
    }

    /// Sets where reading begins without a checkpoint. Default: at the oldest record.
    #[must_use]
    pub fn start(mut self, start: KafkaStart) -> Self {
        self.start = start;
        self
    }

    /// Sets whether a partition ends for the job where nothing more is there. Default: no, the stream is endless.
    #[must_use]
    pub fn bounded(mut self, bounded: bool) -> Self {
        self.bounded = bounded;
        self
    }

    /// Names a consumer group, whose offsets show others how far the job is: they are committed when a checkpoint is
    /// durable. The job itself goes on from its checkpoint, not from them. Default: none.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// Sets how long brokers may be out of reach, or a record on its way, before the run ends. Default: 5 minutes.
    #[must_use]
    pub fn outage(mut self, outage: Duration) -> Self {
        self.outage = outage;
        self
    }

    /// Sets how often records that [`write_kafka`](crate::DataStream::write_kafka) writes are seen, in a job with checkpoints.
    /// Default: [`DeliveryGuarantee::ExactlyOnce`], when a checkpoint is durable. With [`DeliveryGuarantee::AtLeastOnce`]
    /// they are seen at once.
    #[must_use]
    pub fn delivery_guarantee(mut self, delivery: DeliveryGuarantee) -> Self {
        self.delivery = delivery;
        self
    }

    /// Sets what the transactional ids of sinks begin with, for brokers that allow a program some of them only. Behind it
    /// come 16 hexadecimal digits for the sink and the number of the worker, with a dash before each. Default: `waterwheel-`
    /// and the name of the topic.
    #[must_use]
    pub fn transactional_id_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.transactional_id_prefix = Some(prefix.into());
        self
    }

    /// Sets a property of librdkafka, as `security.protocol`. What this module sets itself goes before.
    #[must_use]
    pub fn set(mut self, property: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.insert(property.into(), value.into());
        self
    }

    fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        for (property, value) in &self.properties {
            client.set(property, value);
        }
        client.set("bootstrap.servers", &self.brokers);
        client
    }
}

/// Whether the client goes on by itself.
fn is_transient(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::Resolve
            | Code::OperationTimedOut
            | Code::RequestTimedOut
            | Code::NetworkException
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::BrokerNotAvailable
            | Code::ReplicaNotAvailable
            | Code::CoordinatorLoadInProgress
            | Code::CoordinatorNotAvailable
            | Code::NotCoordinator
            | Code::MessageTimedOut
            | Code::NotEnoughReplicas
            | Code::NotEnoughReplicasAfterAppend
            | Code::ConcurrentTransactions
            // A broker that has lost what it knew of a producer takes a new one.
            | Code::UnknownProducerId
            | Code::InvalidProducerIdMapping
            | Code::OutOfOrderSequenceNumber
    )
}

/// An error of the client, of a topic.
fn failed(what: &str, topic: &str, cause: KafkaError) -> Error {
    match cause {
        KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_) => {
            Error::config(format!("Kafka topic {topic:?}: {what}")).caused_by(cause)
        }
        cause => Error::data(format!("Kafka topic {topic:?}: {what}")).caused_by(cause),
    }
}

/// That brokers were out of reach for too long.
fn out_of_reach(topic: &str, config: &KafkaConfig) -> Error {
    let (brokers, outage) = (&config.brokers, config.outage);
    Error::data(format!("Kafka topic {topic:?}: no broker of {brokers} was reached for {outage:?}"))
}

/// An error of the client, of a topic that may not be there, or may have been out of reach for too long.
fn failed_or_out_of_reach(what: &str, topic: &str, config: &KafkaConfig, cause: KafkaError) -> Error {
    use RDKafkaErrorCode as Code;
    match cause.rdkafka_error_code() {
        Some(code) if is_transient(code) => out_of_reach(topic, config).caused_by(cause),
        Some(Code::UnknownTopic | Code::UnknownTopicOrPartition) => {
            Error::config(format!("Kafka topic {topic:?}: there is none at {}", config.brokers))
        }
        _ => failed(what, topic, cause),
    }
}

/// How long to wait before brokers are asked once more.
const PAUSE: Duration = Duration::from_millis(100);

/// Asks again while brokers are out of reach, for as long as `outage`.
fn patiently<R>(
    topic: &str,
    outage: Duration,
    mut ask: impl FnMut() -> Result<R, KafkaError>,
) -> Result<R, KafkaError> {
    let since = machine::now();
    loop {
        match ask() {
            Err(error)
                if since.elapsed() < outage && error.rdkafka_error_code().is_some_and(is_transient) =>
            {
                tracing::warn!(topic, "a broker is out of reach, and is asked again: {error}");
                std::thread::park_timeout(PAUSE);
            }
            outcome => return outcome,
        }
    }
}

/// The number of partitions of a topic.
fn count_partitions(topic: &str, config: &KafkaConfig) -> Result<usize> {
    let consumer: BaseConsumer =
        config.client().create().map_err(|error| failed("can not make a client", topic, error))?;
    patiently(topic, config.outage, || partitions_of(topic, &consumer, config.outage))
        .map_err(|error| failed_or_out_of_reach("can not ask for its partitions", topic, config, error))
}

/// The number of partitions of a topic: not 0.
fn partitions_of(topic: &str, consumer: &BaseConsumer, outage: Duration) -> Result<usize, KafkaError> {
    let metadata = consumer.fetch_metadata(Some(topic), outage)?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let n_partitions = found.map_or(0, |found| found.partitions().len());
    if n_partitions == 0 {
        return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopic));
    }
    Ok(n_partitions)
}

#[cfg(test)]
mod tests;
