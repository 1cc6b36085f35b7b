//! Transactions of the sink: what a later run, or one that is told of errors, makes of what is in the topic already.

use proptest::prelude::*;
use rdkafka::message::{Message, OwnedHeaders};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::super::mark::{HEADER, Mark, TransactionKey};
use super::super::messages::{MessageRef, Messages};
use super::super::producer::TopicProducer;
use super::super::transaction::{Committer, Transaction};
use super::*;
use crate::checkpoint::StateReader;
use crate::checkpoint::StateWriter;
use crate::metrics::JobMetrics;
use crate::sink::DeliveryGuarantee;

const ID: &str = "test-00000000000004d2-7";
const KEY: TransactionKey = TransactionKey { sink: 1234, worker: 7, number: 56 };

fn message(key: u64, text: &str) -> KafkaMessage {
    KafkaMessage { key: Some(key.to_string().into_bytes()), payload: Some(text.into()) }
}

/// Of three keys.
fn messages(n: u64) -> Messages {
    let mut messages = Messages::default();
    (0..n).for_each(|x| messages.push(&message(x % 3, &x.to_string())));
    messages
}

fn transaction(committer: &Arc<Committer>, n: u64) -> Transaction {
    Transaction {
        topic: TOPIC.into(),
        transactional_id: ID.into(),
        key: KEY,
        starts: committer.ends(),
        messages: Arc::new(messages(n)),
        committer: Some(Arc::clone(committer)),
    }
}

fn open(config: &KafkaConfig) -> Arc<Committer> {
    Arc::new(Committer::open(TOPIC, ID, config.clone()).unwrap())
}

/// What another run finds of it in a checkpoint.
fn saved(transaction: &Transaction) -> Transaction {
    let mut state = StateWriter::default();
    state.put(transaction).unwrap();
    StateReader::new(state.into_bytes()).next_item().unwrap().unwrap()
}

/// What a process leaves that was killed when it had written so many: brokers of a mock cluster show what was not committed.
fn write_some(config: &KafkaConfig, transaction: &Transaction, n: usize) {
    let producer = TopicProducer::transactional(TOPIC, config, ID).unwrap();
    producer.init_transactions().unwrap();
    producer.begin_transaction().unwrap();
    for (at, message) in transaction.messages.iter().enumerate().take(n) {
        let mark = Mark { transaction: transaction.key, sequence: at as u64 };
        producer.send(message, Some(mark.to_headers())).unwrap();
    }
    producer.flush().unwrap();
}

/// Asserts that the numbers below `n` are there once.
fn assert_once(config: &KafkaConfig, n: u64, when: &str) {
    assert_eq!(sorted(read(config, 2).iter().map(number)), Vec::from_iter(0..n), "{when}");
}

/// As [`assert_once`], and those of a key in order.
fn assert_once_in_order(config: &KafkaConfig, n: u64, when: &str) {
    let records = read(config, 2);
    assert_eq!(sorted(records.iter().map(number)), Vec::from_iter(0..n), "{when}");
    for key in 0..3u64 {
        let of_key = records.iter().filter(|record| record.key == Some(key.to_string().into_bytes()));
        let mut of_key: Vec<_> =
            of_key.map(|record| (record.partition, record.offset, number(record))).collect();
        of_key.sort_unstable();
        assert!(of_key.is_sorted_by_key(|(_, _, number)| *number), "{when}: {of_key:?}");
        assert!(of_key.windows(2).all(|pair| pair[0].0 == pair[1].0), "{when}: {of_key:?}");
    }
}

#[test]
fn mark_has_its_golden_bytes() {
    let mark = Mark { transaction: KEY, sequence: 0x0102 };
    let bytes: String = mark.encode().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(HEADER, "waterwheel-transaction");
    assert_eq!(bytes, "01d2040000000000000700000038000000000000000201000000000000");
    assert_eq!(Mark::decode(&mark.encode()), Some(mark));
    assert_eq!(Mark::among(&mark.to_headers()), Some(mark));
    assert_eq!(Mark::among(&OwnedHeaders::new()), None);
}

#[test]
fn transaction_in_a_checkpoint_has_its_golden_bytes() {
    let mut messages = Messages::default();
    messages.push(&message(5, "ab"));
    messages.push(&KafkaMessage::default());
    let transaction = Transaction {
        topic: "t".into(),
        transactional_id: "p-7".into(),
        key: KEY,
        starts: vec![0, 300],
        messages: Arc::new(messages),
        committer: None,
    };
    let mut state = StateWriter::default();
    state.put(&transaction).unwrap();
    let bytes: String = state.into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    // The length of the item, and postcard: text, text, numbers, a list, and the messages as bytes.
    assert_eq!(
        bytes,
        "22000000\
         0174\
         03702d37\
         d209\
         07\
         38\
         0200d804\
         13\
         0100000035\
         020000006162\
         ffffffff\
         ffffffff"
    );
    let again = saved(&transaction);
    assert_eq!((again.topic, again.transactional_id, again.key), ("t".into(), "p-7".into(), KEY));
    assert!(again.starts == [0, 300] && again.messages == transaction.messages && again.committer.is_none());
}

proptest! {
    #[test]
    fn messages_are_what_was_put_also_behind_a_checkpoint(
        all in prop::collection::vec(
            (prop::option::of(prop::collection::vec(any::<u8>(), 0..5)), prop::option::of(".{0,9}")), 0..20),
    ) {
        let mut messages = Messages::default();
        for (key, payload) in &all {
            let payload = payload.clone().map(String::into_bytes);
            messages.push(&KafkaMessage { key: key.clone(), payload });
        }
        let mut state = StateWriter::default();
        state.put(&messages).unwrap();
        let again: Messages = StateReader::new(state.into_bytes()).next_item().unwrap().unwrap();
        prop_assert_eq!(again.len(), all.len());
        for (found, (key, payload)) in again.iter().zip(&all) {
            let payload = payload.as_ref().map(String::as_bytes);
            prop_assert_eq!(found, MessageRef { key: key.as_deref(), payload });
        }
    }

    #[test]
    fn bytes_that_are_no_mark_and_no_messages_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        if let Some(mark) = Mark::decode(&bytes) {
            prop_assert_eq!(&mark.encode()[..], &bytes[..]);
        }
        let mut state = StateWriter::default();
        state.put(&bytes).unwrap();
        if let Ok(Some(messages)) = StateReader::new(state.into_bytes()).next_item::<Messages>() {
            prop_assert_eq!(messages.iter().count(), messages.len());
        }
    }
}

#[test]
fn commit_that_was_cut_anywhere_is_completed_and_doubles_nothing() {
    for written in [0, 4, 10] {
        for others in [0, 5] {
            let (_cluster, config) = cluster(1, 3);
            let committer = open(&config);
            let transaction = transaction(&committer, 10);
            write_some(&config, &transaction, written);
            // Records that are not of the transaction, though some say they are of one.
            for x in 0..others {
                let mark =
                    Mark { transaction: TransactionKey { number: 55 + 2 * (x % 2), ..KEY }, sequence: x };
                let producer = TopicProducer::streaming(TOPIC, &config).unwrap();
                let (text, headers) = (format!("{}", 10 + x), Some(mark.to_headers()).filter(|_| x > 1));
                producer.send(MessageRef { key: None, payload: Some(text.as_bytes()) }, headers).unwrap();
                producer.flush().unwrap();
            }
            for attempt in 1..=2 {
                saved(&transaction).recover_and_commit(&config).unwrap();
                let when = format!("{written} of 10 were written, attempt {attempt}");
                assert_once_in_order(&config, 10 + others, &when);
            }
        }
    }
}

#[test]
fn commit_in_the_run_that_prepared_it_is_not_looked_for() {
    let (cluster, config) = cluster(1, 3);
    let committer = open(&config);
    // Whoever reads the topic has an error.
    cluster.request_errors(
        RDKafkaApiKey::Fetch,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; 9],
    );
    let first = transaction(&committer, 10);
    first.commit().unwrap();
    assert_eq!(committer.ends().iter().sum::<i64>(), 10);
    let error = saved(&first).recover_and_commit(&config).unwrap_err();
    assert!(error.full_message().contains("can not be committed"), "{}", error.full_message());
    cluster.clear_request_errors(RDKafkaApiKey::Fetch);
    saved(&first).recover_and_commit(&config).unwrap();
    assert_once_in_order(&config, 10, "recovered");
}

/// What a process of [`transaction_that_was_committed_is_not_written_by_another_process`] does; by itself nothing.
#[test]
fn process_that_recovers_as_it_was_told() {
    let (Ok(brokers), Ok(file)) =
        (std::env::var("KAFKA_TEST_BROKERS"), std::env::var("KAFKA_TEST_TRANSACTION"))
    else {
        return;
    };
    let mut state = StateReader::new(std::fs::read(file).unwrap());
    let transaction: Transaction = state.next_item().unwrap().unwrap();
    transaction.recover_and_commit(&KafkaConfig::new(brokers).outage(PATIENCE)).unwrap();
}

#[test]
fn transaction_that_was_committed_is_not_written_by_another_process() {
    let (_cluster, config) = cluster(1, 3);
    let transaction = transaction(&open(&config), 100);
    let dir = tempfile::tempdir().unwrap();
    let mut state = StateWriter::default();
    state.put(&transaction).unwrap();
    std::fs::write(dir.path().join("t"), state.into_bytes()).unwrap();
    transaction.commit().unwrap();
    for _ in 0..2 {
        let mut process = std::process::Command::new(std::env::current_exe().unwrap());
        process.args(["--exact", "kafka::tests::exactly_once::process_that_recovers_as_it_was_told"]);
        process
            .env("KAFKA_TEST_BROKERS", &config.brokers)
            .env("KAFKA_TEST_TRANSACTION", dir.path().join("t"));
        assert!(process.stdout(std::process::Stdio::null()).status().unwrap().success());
        assert_once_in_order(&config, 100, "by another process");
    }
}

#[test]
fn broker_that_is_down_in_a_commit_is_waited_for() {
    let (cluster, config) = cluster(1, 3);
    let config = config.set("batch.num.messages", "10");
    let committer = open(&config);
    let first = transaction(&committer, 30);
    cluster.broker_down(1).unwrap();
    let commit = std::thread::Builder::new().spawn(move || first.commit()).unwrap();
    std::thread::park_timeout(Duration::from_millis(300));
    assert!(!commit.is_finished());
    cluster.broker_up(1).unwrap();
    commit.join().unwrap().unwrap();
    assert_once_in_order(&config, 30, "the broker came back");
}

#[test]
fn errors_in_the_middle_of_a_commit_lose_and_double_nothing() {
    use RDKafkaRespErr as Error;
    let errors = [
        Error::RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID,
        Error::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        Error::RD_KAFKA_RESP_ERR__TRANSPORT,
        Error::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
        Error::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        Error::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
    ];
    let behind = |api, all: &'static [usize]| all.iter().map(move |behind| (api, *behind));
    let cases = behind(RDKafkaApiKey::Produce, &[0, 1, 3])
        .chain(behind(RDKafkaApiKey::EndTxn, &[0]))
        .chain(behind(RDKafkaApiKey::AddPartitionsToTxn, &[0]));
    for (api, behind) in cases {
        for error in errors {
            let (cluster, config) = cluster(1, 3);
            let config = config.set("batch.num.messages", "5");
            let first = transaction(&open(&config), 60);
            let mut told = vec![Error::RD_KAFKA_RESP_ERR_NO_ERROR; behind];
            told.extend([error; 2]);
            cluster.request_errors(api, &told);
            let when = format!("{api:?}: {error:?} behind {behind}");
            match first.commit() {
                Ok(()) => println!("{when}: went on"),
                Err(error) => {
                    println!("{when}: {}", error.full_message());
                    cluster.clear_request_errors(api);
                    saved(&first).recover_and_commit(&config).unwrap();
                }
            }
            assert_once_in_order(&config, 60, &when);
        }
    }
}

#[test]
fn commit_that_fails_while_records_are_still_sent_is_begun_once_more() {
    let (cluster, config) = cluster(1, 3);
    let config = config.set("batch.num.messages", "5").set("linger.ms", "0");
    let committer = open(&config);
    // The second transaction of the producer, so that it sends at once.
    let first = transaction(&committer, 3);
    first.commit().unwrap();
    let key = TransactionKey { number: KEY.number + 1, ..KEY };
    let second = Transaction { key, messages: Arc::new(messages(20_000)), ..transaction(&committer, 0) };
    let mut told = vec![RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR; 9];
    told.push(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID);
    cluster.request_errors(RDKafkaApiKey::Produce, &told);
    second.commit().unwrap();
    let expected = sorted((0..20_000).chain(0..3));
    assert!(sorted(read(&config, 2).iter().map(number)) == expected);
}

#[test]
fn commit_that_brokers_refuse_says_why_and_can_be_recovered() {
    let refused = |api, told, expected: &[&str]| {
        let (cluster, config) = cluster(1, 3);
        let first = transaction(&open(&config), 60);
        cluster.request_errors(api, &[told; 9]);
        let since = machine::now();
        let error = first.commit().unwrap_err();
        let text = error.full_message();
        assert!(expected.iter().all(|part| text.contains(part)), "{text}");
        // Nobody has waited for brokers to change their mind.
        assert!(since.elapsed() < PATIENCE / 2);
        cluster.clear_request_errors(api);
        saved(&first).recover_and_commit(&config).unwrap();
        assert_once_in_order(&config, 60, &text);
    };
    let authorization = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    let can_not = "\"numbers\": a transaction can not be committed";
    refused(RDKafkaApiKey::Produce, authorization, &[can_not, "opic authorization failed"]);
    refused(RDKafkaApiKey::AddPartitionsToTxn, authorization, &[can_not, "opic authorization failed"]);
    let epoch = RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH;
    refused(RDKafkaApiKey::Produce, epoch, &[can_not, "another producer", "\"test-00000000000004d2-7\""]);
}

#[test]
fn broker_that_stays_away_ends_the_commit_which_a_later_run_completes() {
    let (cluster, config) = cluster(1, 3);
    let short = config.clone().outage(Duration::from_secs(1));
    let first = transaction(&open(&short), 30);
    cluster.broker_down(1).unwrap();
    let error = first.commit().unwrap_err();
    assert!(error.message().contains("\"numbers\": no broker of"), "{}", error.full_message());
    cluster.broker_up(1).unwrap();
    saved(&first).recover_and_commit(&config).unwrap();
    assert_once_in_order(&config, 30, "recovered");
}

/// Writes the numbers below 1000 with a checkpoint at the end only. If it is told to, it fails in the middle: not before
/// something is in the topic, if something is to be there.
fn write(config: &KafkaConfig, dir: &Path, fails: bool) -> Result<()> {
    let checkpoints = CheckpointConfig::new(dir.display().to_string()).interval(Duration::from_secs(3600));
    let (config, fuse) = (config.clone(), Arc::new(AtomicI64::new(if fails { 700 } else { -1 })));
    execute(RuntimeConfig::threads(2).job_name("write").checkpoints(checkpoints), move |env| {
        let (fuse, to) = (Arc::clone(&fuse), config.clone());
        let numbers = env.from_iter(0..1000u64).uid("numbers").rebalance().try_map(move |x| {
            if fuse.fetch_sub(1, Ordering::Relaxed) != 0 {
                return Ok(x);
            }
            while to.delivery == DeliveryGuarantee::AtLeastOnce && read(&to, 1).is_empty() {}
            Err(Error::operator("the fuse has burnt"))
        });
        numbers.write_kafka(TOPIC, &config, |x| message(x % 3, &x.to_string())).uid("out");
        Ok(())
    })
    .map(drop)
}

#[test]
fn records_before_a_checkpoint_are_seen_once_or_at_once_as_the_guarantee_says() {
    let run = |delivery| {
        let (_cluster, config) = cluster(1, 3);
        let config = config.delivery_guarantee(delivery);
        let dir = tempfile::tempdir().unwrap();
        let error = write(&config, dir.path(), true).unwrap_err();
        assert_eq!(error.message(), "the fuse has burnt", "{}", error.full_message());
        let before = read(&config, 1).len();
        write(&config, dir.path(), false).unwrap();
        (before, sorted(read(&config, 1).iter().map(number)))
    };
    let (before, after) = run(DeliveryGuarantee::ExactlyOnce);
    assert_eq!((before, after), (0, Vec::from_iter(0..1000)));
    let (before, mut after) = run(DeliveryGuarantee::AtLeastOnce);
    assert!(before > 0);
    assert_eq!(after.len(), 1000 + before);
    after.dedup();
    assert_eq!(after, Vec::from_iter(0..1000));
}

#[test]
fn run_that_ends_in_the_middle_of_a_commit_is_completed_by_the_next() {
    for before in [0, 1, 5, 20] {
        let (cluster, config) = cluster(1, 3);
        let config = config.set("batch.num.messages", "10");
        let dir = tempfile::tempdir().unwrap();
        let mut told = vec![RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR; before];
        told.extend([RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; 9]);
        cluster.request_errors(RDKafkaApiKey::Produce, &told);
        let error = write(&config, dir.path(), false).unwrap_err();
        let text = error.full_message();
        assert!(text.contains("\"numbers\": a transaction can not be committed"), "{text}");
        assert!(text.contains("write_kafka"), "{text}");
        let some = read(&config, 1).len();
        println!("{some} of 1000 records were written");
        assert!(some < 1000 && (some > 0) == (before > 0));
        cluster.clear_request_errors(RDKafkaApiKey::Produce);
        write(&config, dir.path(), false).unwrap();
        assert_once(&config, 1000, "completed");
    }
}

#[test]
fn record_that_is_too_large_ends_the_run_before_a_checkpoint_promises_it() {
    let (_cluster, config) = cluster(1, 1);
    let write = |bytes: usize, config: &KafkaConfig| {
        let (dir, config) = (tempfile::tempdir().unwrap(), config.clone());
        let checkpoints = CheckpointConfig::new(dir.path().display().to_string());
        execute(RuntimeConfig::threads(1).checkpoints(checkpoints), move |env| {
            let texts = env.from_iter([vec![b'1'; bytes]]).uid("texts");
            let message = |text: &Vec<u8>| KafkaMessage { key: None, payload: Some(text.clone()) };
            texts.write_kafka(TOPIC, &config, message).uid("out");
            Ok(())
        })
    };
    let error = write(1_000_000, &config).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(error.message().contains("1000128 bytes"), "{}", error.full_message());
    assert!(error.message().contains("at most 1000000 (message.max.bytes)"), "{}", error.full_message());
    // What is let through the client takes.
    write(1_000_000 - 128, &config).unwrap();
    write(1_000_000, &config.set("message.max.bytes", "1000128")).unwrap();
}

#[test]
fn sink_says_in_the_graph_what_it_promises() {
    use DeliveryGuarantee::{AtLeastOnce, ExactlyOnce};
    let (_cluster, config) = cluster(1, 1);
    let metrics = JobMetrics::new();
    execute(RuntimeConfig::threads(1).job_metrics(metrics.clone()), move |env| {
        for delivery in [ExactlyOnce, AtLeastOnce] {
            let config = config.clone().delivery_guarantee(delivery);
            env.from_iter(0..3u64).write_kafka(TOPIC, &config, |x| message(0, &x.to_string()));
        }
        env.from_iter(0..3u64).sink(|_| Ok(()));
        Ok(())
    })
    .unwrap();
    let promises = metrics.operators().into_iter().filter_map(|operator| operator.delivery);
    assert_eq!(Vec::from_iter(promises), [ExactlyOnce, AtLeastOnce, AtLeastOnce]);
}

#[test]
fn records_of_a_transaction_have_marks_and_others_have_none() {
    let (_cluster, config) = cluster(1, 1);
    let count = |config: &KafkaConfig| {
        let mut client = config.client();
        client.set("group.id", "g").set("auto.offset.reset", "earliest").set("enable.partition.eof", "true");
        let consumer: BaseConsumer = client.create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(TOPIC, 0, Offset::Beginning).unwrap();
        consumer.assign(&list).unwrap();
        let mut marks = Vec::new();
        loop {
            match consumer.poll(PATIENCE).unwrap() {
                Ok(message) => marks.push(message.headers().and_then(Mark::among)),
                Err(KafkaError::PartitionEOF(0)) => return marks,
                Err(error) => panic!("{error}"),
            }
        }
    };
    fill(&config, 0..2);
    transaction(&open(&config), 3).commit().unwrap();
    let marks = count(&config);
    let expected = (0..3).map(|sequence| Some(Mark { transaction: KEY, sequence }));
    assert_eq!(marks, Vec::from_iter([None, None].into_iter().chain(expected)));
}
