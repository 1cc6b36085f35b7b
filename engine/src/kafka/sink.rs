//! A sink that writes to a topic.

use std::panic::Location;
use std::sync::Arc;

use rdkafka::error::KafkaError;

use super::mark::TransactionKey;
use super::messages::{MessageRef, Messages};
use super::producer::TopicProducer;
use super::transaction::{Committer, Transaction};
use super::{KafkaConfig, KafkaMessage, failed, failed_or_out_of_reach};
use crate::clock::AnyClock;
use crate::collect::DataStreamSink;
use crate::error::{Error, Result};
use crate::sink::{DeliveryGuarantee, Sink, SinkContext};
use crate::stream::DataStream;

/// What a message takes beside its key and its payload, at most.
const OVERHEAD_BYTES: usize = 128;
/// Bytes of messages that a transaction may have: the length of an item of a checkpoint has 4 bytes.
const MAX_TRANSACTION_BYTES: usize = (u32::MAX >> 1) as usize;
/// What the client accepts if it is not told otherwise.
const MAX_MESSAGE_BYTES: usize = 1_000_000;

impl<'s, D: 'static, T: AnyClock> DataStream<'s, D, T> {
    /// Writes to a Kafka topic what `message` makes of each record: with checkpoints **exactly once**, unless
    /// [`KafkaConfig::delivery_guarantee`] says otherwise.
    ///
    /// **Exactly once**: what a worker gets between two checkpoints is kept, is part of the second one, and is written when
    /// that is durable, in one transaction of Kafka. Readers that read what is committed (`isolation.level`
    /// `read_committed`, which is the default of librdkafka; not that of the Java client) see each record once, in order
    /// within its key. That costs:
    ///
    /// * *time*: a record is seen after the next checkpoint, so after
    ///   [`CheckpointConfig::interval`](crate::CheckpointConfig::interval) at most, and what that takes;
    /// * *memory*: the keys and payloads of all records since the checkpoint before, twice while the checkpoint is written,
    ///   and once more in the client while they are sent;
    /// * *a header* of 29 bytes for each record, that tells which transaction it is of: a run that goes on from a checkpoint
    ///   looks for it in what has come to the topic since, and writes what is not there.
    ///
    /// The topic has to be there, and may be read as well as written. A topic that keeps records for a shorter time than
    /// the job is down, or compacts them, may lose headers before they are looked for, and then a transaction is written
    /// once more. A job that goes on from an older checkpoint than the newest writes again what came behind that.
    ///
    /// **At least once**, and without checkpoints: records are sent at once. A checkpoint is durable only when the brokers
    /// have all that was written before it, so nothing is lost. A run that goes on from a checkpoint writes again what came
    /// behind it.
    ///
    /// Within one run none is doubled or out of order in its partition either way, whatever brokers do (the producer is
    /// idempotent). Brokers that are out of reach are waited for as long as [`KafkaConfig::outage`] says.
    ///
    /// A property that is not valid, a topic that is not there, or a record that is not taken in time or is larger than
    /// `message.max.bytes`, ends the run.
    ///
    /// # Examples
    /// ```no_run
    /// use std::time::Duration;
    /// use waterwheel_engine::{CheckpointConfig, KafkaConfig, KafkaMessage, RuntimeConfig, execute};
    ///
    /// let kafka = KafkaConfig::new("broker-1:9092,broker-2:9092");
    /// let checkpoints = CheckpointConfig::new("/var/lib/job").interval(Duration::from_secs(1));
    /// execute(RuntimeConfig::threads(2).checkpoints(checkpoints), move |env| {
    ///     let orders = env.read_kafka("orders", &kafka)?.uid("orders");
    ///     let large = orders.filter(|order| order.payload.as_ref().is_some_and(|text| text.len() > 100));
    ///     let message = |order: &_| {
    ///         let order: &waterwheel_engine::KafkaRecord = order;
    ///         KafkaMessage { key: order.key.clone(), payload: order.payload.clone() }
    ///     };
    ///     large.write_kafka("large-orders", &kafka, message).uid("large orders");
    ///     Ok(())
    /// })?;
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    #[track_caller]
    pub fn write_kafka(
        self,
        topic: &str,
        config: &KafkaConfig,
        message: impl Fn(&D) -> KafkaMessage + Clone + 'static,
    ) -> DataStreamSink {
        let (topic, config) = (topic.to_string(), config.clone());
        self.write_to_at("write_kafka", Location::caller(), config.delivery, move |context| {
            TopicSink::open(&topic, config.clone(), message.clone(), context)
        })
    }
}

/// Writes to a topic.
struct TopicSink<F> {
    topic: String,
    config: KafkaConfig,
    message: F,
    writer: Writer,
}

enum Writer {
    /// At once; waits for it at each checkpoint.
    Streaming(TopicProducer),
    /// When a checkpoint is durable.
    Transactional(Pending),
}

/// The transaction that is open.
struct Pending {
    committer: Arc<Committer>,
    topic: String,
    transactional_id: String,
    key: TransactionKey,
    messages: Messages,
    /// Bytes of the largest message that the client accepts.
    max_bytes: usize,
}

impl<F> TopicSink<F> {
    fn open(topic: &str, config: KafkaConfig, message: F, context: SinkContext) -> Result<Self> {
        let sink = context.sink.filter(|_| config.delivery == DeliveryGuarantee::ExactlyOnce);
        let writer = match sink {
            Some(sink) => Writer::Transactional(Pending::open(topic, &config, sink, context)?),
            None => {
                let producer = TopicProducer::streaming(topic, &config);
                Writer::Streaming(producer.map_err(|error| failed("can not make a client", topic, error))?)
            }
        };
        Ok(TopicSink { topic: topic.into(), config, message, writer })
    }

    fn can_not_write(&self, error: KafkaError) -> Error {
        failed_or_out_of_reach("can not be written", &self.topic, &self.config, error)
    }
}

impl Pending {
    fn open(topic: &str, config: &KafkaConfig, sink: u64, context: SinkContext) -> Result<Self> {
        let worker = u32::try_from(context.worker).unwrap_or(u32::MAX);
        let prefix = config.transactional_id_prefix.clone().unwrap_or_else(|| format!("waterwheel-{topic}"));
        let transactional_id = format!("{prefix}-{sink:016x}-{worker}");
        let committer = Arc::new(Committer::open(topic, &transactional_id, config.clone())?);
        let max_bytes = config.properties.get("message.max.bytes").and_then(|limit| limit.parse().ok());
        Ok(Pending {
            committer,
            topic: topic.into(),
            transactional_id,
            key: TransactionKey { sink, worker, number: context.first_transaction },
            messages: Messages::default(),
            max_bytes: max_bytes.unwrap_or(MAX_MESSAGE_BYTES),
        })
    }

    /// # Errors
    /// It is larger than the client accepts, or too much with those before: that has to be found out before a checkpoint
    /// promises that it is written.
    fn add(&mut self, message: &KafkaMessage) -> Result<()> {
        let len = |part: &Option<Vec<u8>>| part.as_ref().map_or(0, Vec::len);
        let (bytes, max_bytes) = (len(&message.key) + len(&message.payload) + OVERHEAD_BYTES, self.max_bytes);
        if bytes > max_bytes {
            return Err(Error::data(format!(
                "Kafka topic {:?}: a record takes {bytes} bytes with its headers, expected at most {max_bytes} \
                 (message.max.bytes)",
                self.topic
            )));
        }
        if self.messages.len_bytes() + bytes > MAX_TRANSACTION_BYTES {
            return Err(Error::data(format!(
                "Kafka topic {:?}: more than {MAX_TRANSACTION_BYTES} bytes came to a worker since the last checkpoint: make \
                 them more often, or write at least once",
                self.topic
            )));
        }
        self.messages.push(message);
        Ok(())
    }

    /// Ends the transaction, and begins the next one.
    fn take(&mut self) -> Transaction {
        let transaction = Transaction {
            topic: self.topic.clone(),
            transactional_id: self.transactional_id.clone(),
            key: self.key,
            starts: self.committer.ends(),
            messages: Arc::new(std::mem::take(&mut self.messages)),
            committer: Some(Arc::clone(&self.committer)),
        };
        self.key.number += 1;
        transaction
    }
}

impl<D, F: Fn(&D) -> KafkaMessage + 'static> Sink<D> for TopicSink<F> {
    type Transaction = Transaction;

    fn write(&mut self, record: D) -> Result<()> {
        let message = (self.message)(&record);
        let sent = match &mut self.writer {
            Writer::Transactional(pending) => return pending.add(&message),
            Writer::Streaming(producer) => {
                let (key, payload) = (message.key.as_deref(), message.payload.as_deref());
                producer.check().and_then(|()| producer.send(MessageRef { key, payload }, None))
            }
        };
        sent.map_err(|error| self.can_not_write(error))
    }

    fn prepare(&mut self) -> Result<Option<Transaction>> {
        match &mut self.writer {
            Writer::Transactional(pending) => {
                Ok(Some(pending.take()).filter(|transaction| transaction.messages.len() > 0))
            }
            Writer::Streaming(producer) => {
                producer.flush().map(|()| None).map_err(|error| self.can_not_write(error))
            }
        }
    }

    fn commit(transaction: Transaction) -> Result<()> {
        transaction.commit()
    }

    fn recover_and_commit(&mut self, transaction: Transaction) -> Result<()> {
        transaction.recover_and_commit(&self.config)
    }
}
