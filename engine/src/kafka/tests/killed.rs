//! A job that reads Kafka, counts, and writes Kafka, killed at any time.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::*;
use crate::random::{below, sm};

const OUT: &str = "counts";
const KEYS: u64 = 16;

/// Counts the numbers of each key, and writes each with its count.
fn count(config: &KafkaConfig, dir: &Path, runtime: RuntimeConfig) -> Result<()> {
    let checkpoints = CheckpointConfig::new(dir.display().to_string()).interval(Duration::from_millis(5));
    let config = config.clone();
    execute(runtime.job_name("count").checkpoints(checkpoints), move |env| {
        let numbers = env.read_kafka(TOPIC, &config)?.uid("in").map(|record| number(&record));
        let counted = numbers.key_by(|x| x % KEYS).process(|key, count: &mut u64, x, out| {
            *count += 1;
            out.emit((*key, *count, x));
        });
        let message = |(key, count, x): &(u64, u64, u64)| KafkaMessage {
            key: Some(key.to_string().into_bytes()),
            payload: Some(format!("{key} {count} {x}").into_bytes()),
        };
        counted.uid("count").write_kafka(OUT, &config, message).uid("out");
        Ok(())
    })
    .map(drop)
}

/// What a process of the other tests here does; by itself nothing.
#[test]
fn process_that_counts_as_it_was_told() {
    let var = |name: &str| std::env::var(format!("KAFKA_TEST_{name}"));
    let (Ok(brokers), Ok(dir)) = (var("BROKERS"), var("COUNTS")) else {
        return;
    };
    let number = |name: &str| var(name).unwrap().parse::<usize>().unwrap();
    let addresses: Vec<String> = var("ADDRESSES").unwrap().split_whitespace().map(String::from).collect();
    let mut runtime = RuntimeConfig::threads(number("THREADS"));
    if !addresses.is_empty() {
        runtime = runtime.processes(addresses.len()).process(Some(number("PROCESS"))).addresses(addresses);
    }
    let config = KafkaConfig::new(brokers).outage(PATIENCE).bounded(true);
    count(&config, Path::new(&dir), runtime).unwrap();
}

/// Where the processes of one attempt listen.
fn addresses(processes: usize) -> Vec<String> {
    let listeners = (0..processes).map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    let listeners = Vec::from_iter(listeners);
    listeners.iter().map(|listener| listener.local_addr().unwrap().to_string()).collect()
}

fn start(config: &KafkaConfig, dir: &Path, threads: usize, processes: usize) -> Vec<Child> {
    let addresses = if processes > 1 { addresses(processes) } else { Vec::new() };
    let start = |process: usize| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "kafka::tests::killed::process_that_counts_as_it_was_told"]);
        command.env("KAFKA_TEST_BROKERS", &config.brokers).env("KAFKA_TEST_COUNTS", dir);
        command.env("KAFKA_TEST_THREADS", threads.to_string()).env("KAFKA_TEST_PROCESS", process.to_string());
        command.env("KAFKA_TEST_ADDRESSES", addresses.join(" "));
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    (0..processes).map(start).collect()
}

/// Waits for all to end, and kills those that `victims` says at the time that `when` says; whether all ended well.
fn run(mut processes: Vec<Child>, when: Option<Instant>, victims: &[usize]) -> bool {
    let mut when = when;
    loop {
        if when.is_some_and(|when| machine::now() >= when) {
            victims.iter().for_each(|victim| processes[*victim].kill().unwrap());
            when = None;
        }
        let ended: Vec<_> = processes.iter_mut().map(|process| process.try_wait().unwrap()).collect();
        if ended.iter().all(Option::is_some) {
            return ended.iter().flatten().all(|status| status.success());
        }
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// Asserts that each number below `n` is there once, and the counts of each key in order.
fn assert_counted(config: &KafkaConfig, n: u64, seed: u64) {
    let from = config.clone();
    let records =
        execute(RuntimeConfig::threads(1), move |env| Ok(env.read_kafka(OUT, &from)?.collect())).unwrap();
    let mut records = records.concat();
    records.sort_unstable_by_key(|record| (record.partition, record.offset));
    let (mut counts, mut numbers) = (BTreeMap::new(), Vec::new());
    for record in records {
        let text = String::from_utf8(record.payload.unwrap()).unwrap();
        let parts: Vec<u64> = text.split(' ').map(|part| part.parse().unwrap()).collect();
        let count = counts.entry(parts[0]).or_insert(0u64);
        *count += 1;
        assert_eq!((parts[1], parts[2] % KEYS), (*count, parts[0]), "seed {seed}: {text:?}");
        numbers.push(parts[2]);
    }
    assert!(sorted(numbers) == Vec::from_iter(0..n), "seed {seed}");
}

/// Kills the job at random times, up to ten times, and lets it end then; how often it was started and killed.
fn kill_and_go_on(seed: u64, threads: usize, processes: usize) -> (usize, usize) {
    const N: u64 = 20_000;
    let (cluster, config) = cluster(1, 3);
    cluster.create_topic(OUT, 4, 1).unwrap();
    // Commits take their time, so that many kills come in the middle of one.
    cluster.broker_round_trip_time(-1, Duration::from_millis(below(6, sm(seed, 0)))).unwrap();
    fill(&config, 0..N);
    let dir = tempfile::tempdir().unwrap();
    let (mut runs, mut kills) = (0, 0);
    loop {
        let random = |what| sm(seed, 10 * runs as u64 + what);
        let victims: Vec<usize> = match processes {
            1 => vec![0],
            _ => [vec![0], vec![1], vec![0, 1]][below(3, random(1)) as usize].clone(),
        };
        let when = machine::now() + Duration::from_millis(40 + below(800, random(2)));
        let when = Some(when).filter(|_| kills < 10);
        runs += 1;
        if run(start(&config, dir.path(), threads, processes), when, &victims) {
            break;
        }
        assert!(when.is_some(), "seed {seed}: it failed by itself");
        kills += 1;
    }
    assert_counted(&config, N, seed);
    // Started again when it has ended it writes nothing more.
    assert!(run(start(&config, dir.path(), threads, processes), None, &[]), "seed {seed}");
    assert_counted(&config, N, seed);
    (runs, kills)
}

fn kill_with_many_seeds(threads: usize, processes: usize) {
    let seeds: u64 = std::env::var("KAFKA_TEST_SEEDS").map_or(2, |seeds| seeds.parse().unwrap());
    let (mut runs, mut kills) = (0, 0);
    for seed in 0..seeds {
        let done = kill_and_go_on(sm(threads as u64, 100 * processes as u64 + seed), threads, processes);
        (runs, kills) = (runs + done.0, kills + done.1);
    }
    println!("{threads} workers each, {processes} processes: {seeds} seeds, {runs} runs, {kills} kills");
    assert!(kills > 0, "nothing was killed");
}

#[test]
fn job_on_one_worker_that_is_killed_writes_each_record_once() {
    kill_with_many_seeds(1, 1);
}

#[test]
fn job_on_two_workers_that_is_killed_writes_each_record_once() {
    kill_with_many_seeds(2, 1);
}

#[test]
fn job_on_two_processes_of_which_some_are_killed_writes_each_record_once() {
    kill_with_many_seeds(1, 2);
}

/// Brokers of the sink lose connections and leave partitions to each other. They are not brought down: the port of one of a mock
/// cluster that is down may be taken when it comes back.
#[test]
fn job_whose_brokers_fail_now_and_then_writes_each_record_once() {
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
    const N: u64 = 20_000;
    let (cluster, config) = cluster(3, 3);
    cluster.create_topic(OUT, 4, 3).unwrap();
    fill(&config, 0..N);
    let dir = tempfile::tempdir().unwrap();
    let (path, of_job) = (dir.path().to_path_buf(), config.clone());
    let job = std::thread::Builder::new();
    let job = job.spawn(move || count(&of_job, &path, RuntimeConfig::threads(2))).unwrap();
    let apis = [RDKafkaApiKey::Produce, RDKafkaApiKey::EndTxn, RDKafkaApiKey::AddPartitionsToTxn];
    let mut times = 0;
    while !job.is_finished() && times < 30 {
        let random = |n, what| below(n, sm(times, what));
        std::thread::park_timeout(Duration::from_millis(20 + random(100, 0)));
        let api = apis[random(apis.len() as u64, 1) as usize];
        cluster.request_errors(api, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR__TRANSPORT]);
        let (partition, leader) = (random(4, 2) as i32, 1 + random(3, 3) as i32);
        cluster.partition_leader(OUT, partition, Some(leader)).unwrap();
        times += 1;
    }
    job.join().unwrap().unwrap();
    println!("brokers failed {times} times");
    assert!(times > 0);
    assert_counted(&config, N, 7);
}
