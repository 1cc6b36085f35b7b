//! Against the mock cluster of librdkafka, whose brokers fail on request.

mod exactly_once;
mod killed;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use rdkafka::{Offset, TopicPartitionList};

use super::*;
use crate::checkpoint::CheckpointConfig;
use crate::error::ErrorKind;
use crate::runtime::{RuntimeConfig, StopHandle, execute};

const TOPIC: &str = "numbers";
const PATIENCE: Duration = Duration::from_secs(60);

type Cluster = MockCluster<'static, DefaultProducerContext>;

fn cluster(brokers: i32, partitions: i32) -> (Cluster, KafkaConfig) {
    let cluster = MockCluster::new(brokers).unwrap();
    cluster.create_topic(TOPIC, partitions, brokers.min(3)).unwrap();
    let config = KafkaConfig::new(cluster.bootstrap_servers()).outage(PATIENCE).bounded(true);
    // At the end of a partition there is nothing to wait for.
    (cluster, config.set("fetch.wait.max.ms", "10"))
}

/// Puts numbers into the topic, by key.
fn fill(config: &KafkaConfig, numbers: std::ops::Range<u64>) {
    let producer: BaseProducer = config.client().create().unwrap();
    for number in numbers {
        let text = number.to_string();
        producer.send(BaseRecord::to(TOPIC).key(&text).payload(&text)).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
}

fn number(record: &KafkaRecord) -> u64 {
    String::from_utf8(record.payload.clone().unwrap()).unwrap().parse().unwrap()
}

fn read(config: &KafkaConfig, threads: usize) -> Vec<KafkaRecord> {
    let config = config.clone();
    let found =
        execute(RuntimeConfig::threads(threads), move |env| Ok(env.read_kafka(TOPIC, &config)?.collect()));
    found.unwrap().concat()
}

fn sorted(numbers: impl IntoIterator<Item = u64>) -> Vec<u64> {
    let mut numbers = Vec::from_iter(numbers);
    numbers.sort_unstable();
    numbers
}

#[test]
fn records_that_were_written_are_read_once_on_any_number_of_workers() {
    let (_cluster, config) = cluster(1, 3);
    let to = config.clone();
    execute(RuntimeConfig::threads(2), move |env| {
        let message = |x: &u64| KafkaMessage {
            key: Some(x.to_string().into_bytes()),
            payload: Some(x.to_string().into_bytes()),
        };
        env.from_iter(0..1000u64).rebalance().write_kafka(TOPIC, &to, message);
        Ok(())
    })
    .unwrap();
    for threads in [1, 2, 4] {
        let records = read(&config, threads);
        assert_eq!(sorted(records.iter().map(number)), Vec::from_iter(0..1000), "{threads}");
        for partition in 0..3 {
            let offsets =
                records.iter().filter(|record| record.partition == partition).map(|record| record.offset);
            let offsets = Vec::from_iter(offsets);
            assert!(
                !offsets.is_empty() && offsets.iter().copied().eq(0..offsets.len() as i64),
                "{offsets:?}"
            );
        }
        assert!(records.iter().all(|record| record.key == record.payload));
    }
}

#[test]
fn topic_that_is_not_there_and_property_that_is_none_are_refused() {
    let (_cluster, config) = cluster(1, 1);
    let error = |topic: &'static str, config: KafkaConfig| {
        let run = execute(RuntimeConfig::threads(1), move |env| {
            env.read_kafka(topic, &config)?.sink(|_| Ok(()));
            Ok(())
        });
        run.unwrap_err()
    };
    let wrong = error(TOPIC, config.set("no.such.property", "1"));
    assert_eq!(wrong.kind(), ErrorKind::Config);
    assert!(wrong.full_message().contains("no.such.property"), "{}", wrong.full_message());
    let nowhere = KafkaConfig::new("127.0.0.1:1").outage(Duration::from_millis(300));
    let nobody = error(TOPIC, nowhere);
    assert!(
        nobody.message().starts_with("Kafka topic \"numbers\": no broker of 127.0.0.1:1"),
        "{}",
        nobody.full_message()
    );
}

/// The endless stream goes on when the broker is back, and nothing is lost or doubled.
#[test]
fn source_waits_while_a_broker_is_down_and_goes_on() {
    let (cluster, config) = cluster(1, 2);
    let config = config.bounded(false);
    fill(&config, 0..500);
    let stop = StopHandle::new();
    let (seen, told) = std::sync::mpsc::channel();
    let (from, job_stop) = (config.clone(), stop.clone());
    let job = std::thread::Builder::new().spawn(move || {
        execute(RuntimeConfig::threads(2).stop_handle(job_stop), move |env| {
            let seen = seen.clone();
            env.read_kafka(TOPIC, &from)?.sink(move |record| {
                seen.send(number(&record)).map_err(|_| Error::operator("nobody listens"))
            });
            Ok(())
        })
    });
    let job = job.unwrap();
    let next = |n: usize| sorted(told.iter().take(n));
    assert_eq!(next(500), Vec::from_iter(0..500));
    cluster.broker_down(1).unwrap();
    assert!(told.recv_timeout(Duration::from_millis(300)).is_err());
    cluster.broker_up(1).unwrap();
    fill(&config, 500..1000);
    assert_eq!(next(500), Vec::from_iter(500..1000));
    stop.stop();
    assert_eq!(job.join().unwrap().unwrap_err().kind(), ErrorKind::Interrupted);
    assert_eq!(told.try_iter().count(), 0);
}

/// Copies the topic to files with checkpoints; fails at a record if the fuse says so.
fn copy(config: &KafkaConfig, dir: &Path, threads: usize, fuse: i64) -> Result<()> {
    let checkpoints =
        CheckpointConfig::new(dir.join("ckpt").display().to_string()).interval(Duration::from_millis(1));
    let (config, files, fuse) = (config.clone(), dir.join("files"), Arc::new(AtomicI64::new(fuse)));
    execute(RuntimeConfig::threads(threads).job_name("copy").checkpoints(checkpoints), move |env| {
        let fuse = Arc::clone(&fuse);
        let numbers = env.read_kafka(TOPIC, &config)?.try_map(move |record| {
            match fuse.fetch_sub(1, Ordering::Relaxed) {
                0 => Err(Error::operator("the fuse has burnt")),
                _ => Ok(number(&record)),
            }
        });
        numbers.write_files(&files, ".txt", |x, file| writeln!(file, "{x}"));
        Ok(())
    })
    .map(drop)
}

fn copied(dir: &Path) -> Vec<u64> {
    let files = std::fs::read_dir(dir.join("files")).unwrap();
    let texts = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    sorted(texts.flat_map(|text| text.lines().map(|line| line.parse().unwrap()).collect::<Vec<u64>>()))
}

/// How far the group is, over all partitions.
fn committed(config: &KafkaConfig, partitions: i32) -> i64 {
    let mut client = config.client();
    client.set("group.id", config.group.as_deref().unwrap());
    let consumer: BaseConsumer = client.create().unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition(TOPIC, partition);
    }
    let offsets = consumer.committed_offsets(list, PATIENCE).unwrap();
    offsets
        .elements()
        .iter()
        .map(|one| if let Offset::Offset(offset) = one.offset() { offset } else { 0 })
        .sum()
}

#[test]
fn job_that_fails_and_goes_on_copies_each_record_once_and_tells_the_group() {
    let (_cluster, config) = cluster(1, 3);
    let config = config.group("copiers");
    fill(&config, 0..20_000);
    let dir = tempfile::tempdir().unwrap();
    let mut failures = 0;
    for (threads, fuse) in [(2, 3_000), (1, 9_000), (3, 100), (2, 15_000), (1, -1)] {
        match copy(&config, dir.path(), threads, fuse) {
            Ok(()) => break,
            Err(error) => {
                assert_eq!(error.message(), "the fuse has burnt", "{}", error.full_message());
                failures += 1;
            }
        }
    }
    assert!(failures > 0);
    assert!(copied(dir.path()) == Vec::from_iter(0..20_000), "{} records", copied(dir.path()).len());
    // The last commit is on its way when the job ends.
    let since = machine::now();
    while committed(&config, 3) != 20_000 {
        assert!(since.elapsed() < PATIENCE, "the group is at {}", committed(&config, 3));
    }
}

/// What a process of [`job_that_is_killed_copies_each_record_once`] does; by itself nothing.
#[test]
fn process_that_copies_as_it_was_told() {
    let (Ok(brokers), Ok(dir)) = (std::env::var("KAFKA_TEST_BROKERS"), std::env::var("KAFKA_TEST_DIR"))
    else {
        return;
    };
    let config = KafkaConfig::new(brokers).outage(PATIENCE).bounded(true);
    copy(&config, Path::new(&dir), 2, -1).unwrap();
}

#[test]
fn job_that_is_killed_copies_each_record_once() {
    let (_cluster, config) = cluster(1, 3);
    fill(&config, 0..100_000);
    let dir = tempfile::tempdir().unwrap();
    let start = || {
        let mut process = std::process::Command::new(std::env::current_exe().unwrap());
        process.args(["--exact", "kafka::tests::process_that_copies_as_it_was_told"]);
        process.env("KAFKA_TEST_BROKERS", &config.brokers).env("KAFKA_TEST_DIR", dir.path());
        process.stdout(std::process::Stdio::null()).spawn().unwrap()
    };
    let files = || std::fs::read_dir(dir.path().join("files")).into_iter().flatten().count();
    let mut kills = 0;
    loop {
        let (mut process, before) = (start(), files());
        // Killed as soon as it has committed something, twice.
        let status = loop {
            if let Some(status) = process.try_wait().unwrap() {
                break status;
            }
            if kills < 2 && files() > before + 1 {
                process.kill().unwrap();
            }
            std::thread::park_timeout(Duration::from_millis(1));
        };
        if status.success() {
            break;
        }
        kills += 1;
    }
    assert!(kills > 0, "it was never killed");
    assert!(copied(dir.path()) == Vec::from_iter(0..100_000), "{} records", copied(dir.path()).len());
}
