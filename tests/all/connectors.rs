//! Sources that have no end of their own: files that appear, lines that are posted, channels.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use waterwheel::ingest::HttpLines;
use waterwheel::prelude::*;

use crate::failures::process::wait_until;

fn checkpoints(dir: &Path) -> CheckpointConfig {
    CheckpointConfig::new(dir.join("ckpt").display().to_string()).interval(Duration::from_millis(1))
}

/// All lines of the files in a directory, sorted.
fn lines_of(dir: &Path) -> Vec<String> {
    let files = std::fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().path());
    let whole = files.filter(|path| path.extension().is_some_and(|suffix| suffix == "txt"));
    let texts = whole.map(|path| std::fs::read_to_string(path).unwrap());
    let mut lines: Vec<String> =
        texts.flat_map(|text| text.lines().map(String::from).collect::<Vec<_>>()).collect();
    lines.sort();
    lines
}

/// Fails every so often, and counts.
#[derive(Clone)]
struct Trouble(Arc<AtomicU64>, u64);

impl Trouble {
    fn every(n: u64) -> Self {
        Trouble(Arc::default(), n)
    }

    fn pass(&self) -> Result<()> {
        let n = self.0.fetch_add(1, Ordering::Relaxed);
        if n % self.1 == self.1 - 1 { Err(Error::operator("a passing trouble")) } else { Ok(()) }
    }
}

/// Files appear before, while and after the job fails; each is copied once.
#[test]
fn files_that_appear_are_read_once_over_failures() {
    for threads in [1, 2] {
        let dir = tempfile::tempdir().unwrap();
        let (inbox, files) = (dir.path().join("inbox"), dir.path().join("files"));
        std::fs::create_dir(&inbox).unwrap();
        let put = |n: u64| {
            let lines: String = (0..100).map(|i| format!("{n},{i}\n")).collect();
            std::fs::write(inbox.join("part"), lines).unwrap();
            std::fs::rename(inbox.join("part"), inbox.join(format!("{n:03}.csv"))).unwrap();
        };
        put(0);
        let stop = StopHandle::new();
        let config = RuntimeConfig::threads(threads).stop_handle(stop.clone()).job_name("copy");
        let config = config.checkpoints(checkpoints(dir.path()));
        let (from, to, trouble) = (inbox.join("*.csv"), files.clone(), Trouble::every(700));
        let met = trouble.clone();
        let job = std::thread::Builder::new().spawn(move || {
            let soon = Restarts::new(1000).pauses(Duration::from_millis(1), Duration::from_millis(1));
            supervise(config, soon, move |env| {
                let trouble = trouble.clone();
                let every = Duration::from_millis(1);
                let (rows, _bad) = env.watch_csv::<(u64, u64)>([&from], CsvOptions::default(), every)?;
                let rows = rows.try_map(move |row| trouble.pass().map(|()| row.value));
                rows.write_files(&to, ".txt", |(n, i), file| writeln!(file, "{n},{i}"));
                Ok(())
            })
        });
        let job = job.unwrap();
        for n in 1..30 {
            put(n);
            wait_until("the file", || (lines_of(&files).len() as u64 >= 100 * n).then_some(()));
        }
        wait_until("all files", || (lines_of(&files).len() >= 3000).then_some(()));
        stop.stop();
        assert_eq!(job.join().unwrap().unwrap_err().kind(), ErrorKind::Interrupted);
        let mut expected: Vec<String> =
            (0..30).flat_map(|n| (0..100).map(move |i| format!("{n},{i}"))).collect();
        expected.sort();
        assert!(lines_of(&files) == expected, "{threads}: {} lines", lines_of(&files).len());
        assert!(met.0.load(Ordering::Relaxed) > 3000, "it never failed");
    }
}

/// Posts lines; the status, if there is an answer.
fn post(address: SocketAddr, body: &str) -> Option<u16> {
    let mut socket = TcpStream::connect(address).ok()?;
    let length = body.len();
    write!(
        socket,
        "POST / HTTP/1.1\r\nHost: job\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .ok()?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).ok()?;
    answer.split(' ').nth(1)?.parse().ok()
}

/// Clients send until they are answered well: what was acknowledged is in the files, whatever fails afterwards.
#[test]
fn lines_that_were_acknowledged_are_durable_over_failures() {
    let dir = tempfile::tempdir().unwrap();
    let files = dir.path().join("files");
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let lines = HttpLines::on(address);
    let config = RuntimeConfig::threads(2).job_name("ingest").checkpoints(checkpoints(dir.path()));
    let (input, to, trouble) = (lines.clone(), files.clone(), Trouble::every(120));
    let met = trouble.clone();
    let job = std::thread::Builder::new().spawn(move || {
        let soon = Restarts::new(1000).pauses(Duration::from_millis(1), Duration::from_millis(1));
        supervise(config, soon, move |env| {
            let trouble = trouble.clone();
            let lines = input.read(env).rebalance().try_map(move |line| trouble.pass().map(|()| line));
            lines.write_files(&to, ".txt", |line, file| writeln!(file, "{line}"));
            Ok(())
        })
    });
    let job = job.unwrap();
    let client = |name: usize| {
        std::thread::Builder::new().spawn(move || {
            for n in 0..50 {
                let body = format!("{name}-{n}-a\n\n{name}-{n}-b\n");
                wait_until("the answer", || (post(address, &body) == Some(200)).then_some(()));
            }
        })
    };
    let clients: Vec<_> = (0..3).map(|name| client(name).unwrap()).collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    let acknowledged: BTreeSet<String> = (0..3)
        .flat_map(|name| (0..50).flat_map(move |n| ["a", "b"].map(|half| format!("{name}-{n}-{half}"))))
        .collect();
    // Durable is more than committed: the sink's commit follows the acknowledgement.
    lines.close();
    job.join().unwrap().unwrap();
    let found: BTreeSet<String> = lines_of(&files).into_iter().collect();
    assert_eq!(found, acknowledged);
    assert!(met.0.load(Ordering::Relaxed) > 300, "it never failed");
    assert_eq!(post(address, "late\n"), None);
}

#[test]
fn bodies_that_are_no_lines_are_refused_and_change_nothing() {
    let (told, address) = std::sync::mpsc::channel();
    let lines = HttpLines::on("127.0.0.1:0".parse().unwrap());
    let lines = lines.when_bound(move |address| told.send(address).unwrap());
    let input = lines.clone();
    let job = std::thread::Builder::new()
        .spawn(move || execute(RuntimeConfig::threads(1), move |env| Ok(input.read(env).collect())));
    let address = address.recv().unwrap();
    let status = |request: &[u8]| {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.write_all(request).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().to_string()
    };
    let head = "HTTP/1.1\r\nHost: job\r\nConnection: close\r\n";
    assert_eq!(status(format!("GET / {head}\r\n").as_bytes()), "405");
    assert_eq!(status(format!("POST /else {head}Content-Length: 0\r\n\r\n").as_bytes()), "404");
    assert_eq!(
        status(&[format!("POST / {head}Content-Length: 2\r\n\r\n").as_bytes(), b"\xff\xfe"].concat()),
        "400"
    );
    assert_eq!(status(format!("POST / {head}Content-Length: 99999999\r\n\r\n").as_bytes()), "413");
    assert_eq!(post(address, "one\n"), Some(200));
    lines.close();
    assert_eq!(job.unwrap().join().unwrap().unwrap().concat(), ["one"]);
}

#[test]
fn channel_can_not_go_back_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let run = |allow: bool| {
        let (sender, records) = channel::<u32>(10);
        sender.send(7).unwrap();
        drop(sender);
        let checkpoints = checkpoints(&dir.path().join(allow.to_string())).allow_rereading(allow);
        execute(RuntimeConfig::threads(1).checkpoints(checkpoints), move |env| {
            Ok(env.from_channel(&records).collect())
        })
    };
    assert!(run(false).unwrap_err().message().starts_with("this source can not go back to a position"));
    assert_eq!(run(true).unwrap().concat(), [7]);
}

/// A sender that is faster than the job waits, and one whose job has ended is told.
#[test]
fn sender_waits_for_room_and_hears_of_the_end() {
    let (sender, records) = channel::<u64>(4);
    let ended = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&ended);
    let thread = std::thread::Builder::new().spawn(move || {
        let error = (0..).find_map(|x| sender.send(x).err()).unwrap();
        assert!(seen.load(Ordering::SeqCst) || error.message().contains("nobody reads"), "{error}");
    });
    let error = execute(RuntimeConfig::threads(1), move |env| {
        env.from_channel(&records).sink(|x| if x == 100 { Err(Error::operator("enough")) } else { Ok(()) });
        Ok(())
    });
    assert_eq!(error.unwrap_err().message(), "enough");
    ended.store(true, Ordering::SeqCst);
    thread.unwrap().join().unwrap();
}
