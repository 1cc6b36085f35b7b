//! A source that reads a topic.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};

use super::{KafkaConfig, KafkaRecord, KafkaStart, count_partitions, failed, is_transient, out_of_reach};
use crate::env::Env;
use crate::error::Result;
use crate::machine;
use crate::source::{Source, SourcePosition, SourceStatus, WhenDurable};
use crate::stream::DataStream;

/// How long a partition that has nothing waits before it is asked again. The client fetches ahead meanwhile.
const PAUSE: Duration = Duration::from_millis(2);

impl<'s> Env<'s> {
    /// The records of a Kafka topic: partition *i* is read by worker *i* mod workers, in order.
    ///
    /// Offsets are part of checkpoints, so a job that goes on reads each record of a partition once. Of transactions only
    /// what was committed is read. While brokers are out of reach the source waits. A partition that was added since the
    /// checkpoint ends the run; so does an offset that the topic no longer has.
    ///
    /// # Errors
    /// A property is not valid, no broker is reached in time, or there is no such topic. Then, during the run, an
    /// [`ErrorKind::Data`](crate::ErrorKind::Data) error that names the topic.
    #[track_caller]
    pub fn read_kafka(&self, topic: &str, config: &KafkaConfig) -> Result<DataStream<'s, KafkaRecord>> {
        let partitions = count_partitions(topic, config)?;
        let (topic, config) = (topic.to_string(), config.clone());
        Ok(self.source("read_kafka", partitions, move |partition| {
            PartitionSource::open(&topic, partition, config.clone())
        }))
    }
}

/// Reads one partition.
struct PartitionSource {
    consumer: Arc<BaseConsumer>,
    topic: String,
    partition: i32,
    config: KafkaConfig,
    /// The offset behind the last record that was read; `None` until one was.
    next: Option<i64>,
    is_assigned: bool,
    /// Since when no broker was reached.
    down_since: Option<Instant>,
    /// The offset that was told to the group last.
    told: Option<i64>,
}

impl PartitionSource {
    fn open(topic: &str, partition: usize, config: KafkaConfig) -> Result<Self> {
        let mut client = config.client();
        client.set("enable.auto.commit", "false").set("enable.partition.eof", "true");
        // What is no longer there must not be passed over in silence.
        client.set("auto.offset.reset", "error").set("isolation.level", "read_committed");
        // The client asks for a name even where the group is not used.
        client.set("group.id", config.group.as_deref().unwrap_or("waterwheel"));
        let consumer = client.create().map_err(|error| failed("can not make a client", topic, error))?;
        Ok(PartitionSource {
            consumer: Arc::new(consumer),
            topic: topic.into(),
            partition: i32::try_from(partition).unwrap_or(i32::MAX),
            config,
            next: None,
            is_assigned: false,
            down_since: None,
            told: None,
        })
    }

    fn assign(&mut self) -> Result<()> {
        let start = match (self.next, self.config.start) {
            (Some(offset), _) => Offset::Offset(offset),
            (None, KafkaStart::Earliest) => Offset::Beginning,
            (None, KafkaStart::Latest) => Offset::End,
        };
        let mut list = TopicPartitionList::new();
        let assigned = list.add_partition_offset(&self.topic, self.partition, start);
        assigned
            .and_then(|()| self.consumer.assign(&list))
            .map_err(|error| failed("can not be read", &self.topic, error))?;
        self.is_assigned = true;
        Ok(())
    }

    /// What an error of the client means for the source.
    fn heed(&mut self, error: KafkaError) -> Result<SourceStatus> {
        match error {
            KafkaError::PartitionEOF(_) if self.config.bounded => return Ok(SourceStatus::Done),
            KafkaError::PartitionEOF(_) => self.down_since = None,
            KafkaError::MessageConsumption(code) | KafkaError::Global(code) if is_transient(code) => {
                let now = machine::now();
                let since = *self.down_since.get_or_insert(now);
                tracing::warn!(
                    topic = self.topic,
                    partition = self.partition,
                    "a broker is out of reach: {code}"
                );
                if now - since > self.config.outage {
                    return Err(out_of_reach(&self.topic, &self.config));
                }
            }
            error => {
                let what = format!("partition {} can not be read", self.partition);
                return Err(failed(&what, &self.topic, error));
            }
        }
        Ok(SourceStatus::Idle(PAUSE))
    }
}

fn record_of(message: &BorrowedMessage<'_>) -> KafkaRecord {
    KafkaRecord {
        partition: message.partition(),
        offset: message.offset(),
        timestamp: message.timestamp().to_millis(),
        key: message.key().map(<[u8]>::to_vec),
        payload: message.payload().map(<[u8]>::to_vec),
    }
}

impl Source for PartitionSource {
    type Item = KafkaRecord;

    fn read(&mut self, limit: usize, out: &mut Vec<KafkaRecord>) -> Result<SourceStatus> {
        if !self.is_assigned {
            self.assign()?;
        }
        let consumer = Arc::clone(&self.consumer);
        for _ in 0..limit {
            match consumer.poll(Duration::ZERO) {
                Some(Ok(message)) => {
                    self.next = Some(message.offset() + 1);
                    self.down_since = None;
                    out.push(record_of(&message));
                }
                Some(Err(error)) => return self.heed(error),
                None => return Ok(SourceStatus::Idle(PAUSE)),
            }
        }
        Ok(SourceStatus::Ready)
    }

    fn position(&self) -> Result<Option<SourcePosition>> {
        SourcePosition::new(&self.next).map(Some)
    }

    fn seek(&mut self, position: &SourcePosition) -> Result<()> {
        self.next = position.get()?;
        Ok(())
    }

    fn when_durable(&mut self) -> Option<WhenDurable> {
        let offset = self.next.filter(|_| self.config.group.is_some() && self.next != self.told)?;
        self.told = self.next;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, self.partition, Offset::Offset(offset)).ok()?;
        let consumer = Arc::clone(&self.consumer);
        Some(Box::new(move || {
            // The checkpoint is what counts; the next one tells the group again. When the source has gone there is none, and
            // the client goes with this.
            let is_last = Arc::strong_count(&consumer) == 1;
            let mode = if is_last { CommitMode::Sync } else { CommitMode::Async };
            if let Err(error) = consumer.commit(&list, mode) {
                tracing::warn!("offsets were not committed to the consumer group: {error}");
            }
            Ok(())
        }))
    }
}
