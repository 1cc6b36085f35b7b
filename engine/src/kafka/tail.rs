//! What the end of a topic holds of a transaction.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use super::mark::{Mark, TransactionKey};
use super::{KafkaConfig, is_transient, partitions_of};
use crate::machine;

/// How long to wait before brokers are asked again.
const PAUSE: Duration = Duration::from_millis(10);

/// Which records a consumer sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Isolation {
    /// All.
    Uncommitted,
    /// Up to the first transaction that is open, and of those before what was committed.
    Committed,
}

/// A consumer that says where the partitions of a topic end, and reads from there.
pub(super) struct TailReader {
    consumer: BaseConsumer,
    topic: String,
    outage: Duration,
}

impl TailReader {
    pub(super) fn new(topic: &str, config: &KafkaConfig, isolation: Isolation) -> Result<Self, KafkaError> {
        let mut client = config.client();
        client.set("enable.auto.commit", "false").set("enable.partition.eof", "true");
        // What is older than the oldest record that is left can not be looked for.
        client.set("auto.offset.reset", "earliest");
        let level = match isolation {
            Isolation::Uncommitted => "read_uncommitted",
            Isolation::Committed => "read_committed",
        };
        client.set("isolation.level", level);
        // At the end there is nothing to wait for.
        client.set("fetch.wait.max.ms", "10");
        client.set("group.id", config.group.as_deref().unwrap_or("waterwheel"));
        Ok(TailReader { consumer: client.create()?, topic: topic.into(), outage: config.outage })
    }

    /// The offsets behind the last record of each partition.
    pub(super) fn ends(&self) -> Result<Vec<i64>, KafkaError> {
        let n_partitions = partitions_of(&self.topic, &self.consumer, self.outage)?;
        let mut list = TopicPartitionList::new();
        for partition in 0..n_partitions {
            let partition = i32::try_from(partition).unwrap_or(i32::MAX);
            list.add_partition_offset(&self.topic, partition, Offset::End)?;
        }
        let found = self.consumer.offsets_for_times(list, self.outage)?;
        let mut ends = vec![0; n_partitions];
        for one in found.elements() {
            one.error()?;
            let (Ok(partition), Offset::Offset(end)) = (usize::try_from(one.partition()), one.offset())
            else {
                return Err(KafkaError::OffsetFetch(RDKafkaErrorCode::NoOffset));
            };
            if let Some(known) = ends.get_mut(partition) {
                *known = end;
            }
        }
        Ok(ends)
    }

    /// Waits until this consumer sees all records before `ends`.
    fn await_ends(&self, ends: &[i64]) -> Result<(), KafkaError> {
        let since = machine::now();
        loop {
            let seen = self.ends()?;
            let mut pairs = ends.iter().zip(&seen);
            if pairs.all(|(end, seen)| seen >= end) {
                return Ok(());
            }
            self.pass(since)?;
            let _ = self.consumer.poll(PAUSE);
        }
    }

    /// Whether there is still time.
    fn pass(&self, since: Instant) -> Result<(), KafkaError> {
        if since.elapsed() > self.outage {
            return Err(KafkaError::Global(RDKafkaErrorCode::OperationTimedOut));
        }
        Ok(())
    }

    /// Reads all partitions from `starts` to `ends`, and says which records of a transaction were there.
    fn read(
        &self,
        transaction: TransactionKey,
        starts: &[i64],
        ends: &[i64],
        found: &mut [bool],
    ) -> Result<(), KafkaError> {
        let mut list = TopicPartitionList::new();
        let start_of = |partition: usize| starts.get(partition).copied().unwrap_or(0);
        let mut is_open: Vec<bool> = (0..ends.len()).map(|at| start_of(at) < ends[at]).collect();
        for partition in (0..ends.len()).filter(|at| is_open[*at]) {
            let number = i32::try_from(partition).unwrap_or(i32::MAX);
            list.add_partition_offset(&self.topic, number, Offset::Offset(start_of(partition)))?;
        }
        self.consumer.assign(&list)?;
        let mut since = machine::now();
        while is_open.contains(&true) {
            let ended = match self.consumer.poll(PAUSE) {
                Some(Ok(message)) => {
                    since = machine::now();
                    let mark = message.headers().and_then(Mark::among);
                    let mark = mark.filter(|mark| mark.transaction == transaction);
                    let place = mark.and_then(|mark| found.get_mut(usize::try_from(mark.sequence).ok()?));
                    place.into_iter().for_each(|found| *found = true);
                    let partition = usize::try_from(message.partition()).ok();
                    partition.filter(|at| ends.get(*at).is_some_and(|end| message.offset() + 1 >= *end))
                }
                // All that it sees has been read, and it sees all of the transaction.
                Some(Err(KafkaError::PartitionEOF(partition))) => usize::try_from(partition).ok(),
                Some(Err(error)) if !error.rdkafka_error_code().is_some_and(is_transient) => {
                    return Err(error);
                }
                Some(Err(_)) | None => None,
            };
            if let Some(is_open) = ended.and_then(|at| is_open.get_mut(at)) {
                *is_open = false;
            }
            self.pass(since)?;
        }
        self.consumer.unassign()
    }
}

/// Which of the `n` records of a transaction are in the topic, where none is before `starts`. Nobody may be writing any of
/// them meanwhile.
///
/// Transactions of others that are open hide what is behind them, so this waits for them.
pub(super) fn find(
    topic: &str,
    config: &KafkaConfig,
    transaction: TransactionKey,
    starts: &[i64],
    n: usize,
) -> Result<Vec<bool>, KafkaError> {
    let ends = TailReader::new(topic, config, Isolation::Uncommitted)?.ends()?;
    let reader = TailReader::new(topic, config, Isolation::Committed)?;
    let mut found = vec![false; n];
    reader.await_ends(&ends)?;
    reader.read(transaction, starts, &ends, &mut found)?;
    Ok(found)
}
