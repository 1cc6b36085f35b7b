//! Kafka, by librdkafka. Feature `kafka`.
//!
//! Nothing public names a type of the client.

mod sink;
mod source;

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How to reach Kafka, and how topics are read and written.
///
/// | setting | default |
/// |---|---|
/// | [`start`](Self::start): where reading begins without a checkpoint | [`KafkaStart::Earliest`] |
/// | [`bounded`](Self::bounded): whether reading ends at what is there | no: it is endless |
/// | [`group`](Self::group): a consumer group whose offsets follow the checkpoints | none |
/// | [`outage`](Self::outage): how long no broker may be reached | 5 minutes |
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

/// The number of partitions of a topic.
fn count_partitions(topic: &str, config: &KafkaConfig) -> Result<usize> {
    use rdkafka::consumer::{BaseConsumer, Consumer};
    let consumer: BaseConsumer =
        config.client().create().map_err(|error| failed("can not make a client", topic, error))?;
    let metadata = consumer
        .fetch_metadata(Some(topic), config.outage)
        .map_err(|error| failed("can not ask for its partitions", topic, error))?;
    match metadata.topics().iter().find(|found| found.name() == topic) {
        Some(found) if !found.partitions().is_empty() => Ok(found.partitions().len()),
        _ => Err(Error::config(format!("Kafka topic {topic:?}: there is none at {}", config.brokers))),
    }
}

#[cfg(test)]
mod tests;
