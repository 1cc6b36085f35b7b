//! Traces that a run sends, as a collector gets them (feature `otlp`).

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::fixture::{Dir, assert_no_panic};
use crate::failures::process::Running;

/// A field of a message of protobuf.
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl Field<'_> {
    fn number(&self) -> u64 {
        match self {
            Field::Number(number) => *number,
            Field::Bytes(_) => panic!("no number"),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Field::Number(_) => panic!("no bytes"),
            Field::Bytes(bytes) => bytes,
        }
    }

    fn text(&self) -> String {
        String::from_utf8(self.bytes().to_vec()).unwrap()
    }
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..).step_by(7) {
        let (byte, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    number
}

/// The fields of a message, by number.
fn fields(mut message: &[u8]) -> BTreeMap<u64, Vec<Field<'_>>> {
    let mut all: BTreeMap<u64, Vec<Field<'_>>> = BTreeMap::new();
    while !message.is_empty() {
        let tag = varint(&mut message);
        let field = match tag & 7 {
            0 => Field::Number(varint(&mut message)),
            1 | 5 => {
                let len = if tag & 7 == 1 { 8 } else { 4 };
                let (bytes, rest) = message.split_at(len);
                message = rest;
                let mut wide = [0; 8];
                wide[..len].copy_from_slice(bytes);
                Field::Number(u64::from_le_bytes(wide))
            }
            2 => {
                let len = varint(&mut message) as usize;
                let (bytes, rest) = message.split_at(len);
                message = rest;
                Field::Bytes(bytes)
            }
            other => panic!("wire type {other}"),
        };
        all.entry(tag >> 3).or_default().push(field);
    }
    all
}

/// A span, as opentelemetry/proto/trace/v1/trace.proto has it.
#[derive(Clone, Debug)]
struct Seen {
    service: String,
    trace: Vec<u8>,
    id: Vec<u8>,
    parent: Vec<u8>,
    name: String,
    begin: u64,
    end: u64,
    attributes: BTreeMap<String, String>,
    is_error: bool,
}

fn attributes(list: &[Field<'_>]) -> BTreeMap<String, String> {
    let pair = |field: &Field<'_>| {
        let pair = fields(field.bytes());
        let value = fields(pair[&2][0].bytes());
        let text = match value.iter().next().unwrap() {
            (1, text) => text[0].text(),
            (_, number) => number[0].number().to_string(),
        };
        (pair[&1][0].text(), text)
    };
    list.iter().map(pair).collect()
}

/// The spans of a request.
fn spans(request: &[u8]) -> Vec<Seen> {
    let mut all = Vec::new();
    for of_resource in &fields(request)[&1] {
        let of_resource = fields(of_resource.bytes());
        let service = attributes(&fields(of_resource[&1][0].bytes())[&1])["service.name"].clone();
        for of_scope in &of_resource[&2] {
            for span in &fields(of_scope.bytes())[&2] {
                let span = fields(span.bytes());
                let bytes =
                    |number: u64| span.get(&number).map(|all| all[0].bytes().to_vec()).unwrap_or_default();
                let status = span.get(&15).map(|status| fields(status[0].bytes()));
                all.push(Seen {
                    service: service.clone(),
                    trace: bytes(1),
                    id: bytes(2),
                    parent: bytes(4),
                    name: span[&5][0].text(),
                    begin: span[&7][0].number(),
                    end: span[&8][0].number(),
                    attributes: attributes(span.get(&9).map_or(&[], Vec::as_slice)),
                    is_error: status
                        .is_some_and(|status| status.get(&3).is_some_and(|code| code[0].number() == 2)),
                });
            }
        }
    }
    all
}

/// A collector on a port of its own.
struct Collector {
    endpoint: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    _thread: JoinHandle<()>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let all = Arc::clone(&seen);
        // It waits for connections until the process of the tests ends.
        let thread = std::thread::Builder::new().spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), &all);
            }
        });
        Collector { endpoint, seen, _thread: thread.unwrap() }
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

/// Takes the requests of a connection.
fn answer(stream: TcpStream, seen: &Mutex<Vec<Seen>>) {
    let (mut reader, mut writer) = (BufReader::new(stream.try_clone().unwrap()), stream);
    loop {
        let (mut head, mut length) = (Vec::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
            head.push(line);
        }
        assert!(head[0].starts_with("POST /v1/traces "), "{head:?}");
        assert!(
            head.iter().any(|line| line.to_ascii_lowercase().contains("application/x-protobuf")),
            "{head:?}"
        );
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        seen.lock().unwrap().extend(spans(&body));
        writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
    }
}

fn traced(dir: &Dir, args: &str, endpoint: &str) -> crate::failures::process::Finished {
    let mut command = dir.command(args);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint).env("NO_PROXY", "127.0.0.1");
    Running::start(&mut command).finish()
}

#[test]
fn run_sends_spans_of_itself_its_checkpoints_and_its_rounds() {
    let (dir, collector) = (Dir::new(), Collector::start());
    dir.generate_ratings(2_000);
    let args = "train mf --input ratings.csv --epochs 10 --checkpoint-dir ckpt --job-name likes -w 2";
    let finished = traced(&dir, args, &collector.endpoint);
    assert_eq!(finished.code(), Some(0), "{finished:?}");
    let seen = collector.seen();
    let named = |name: &str| seen.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    let jobs = named("job");
    let [job] = &jobs[..] else { panic!("{seen:?}") };
    assert_eq!((job.service.as_str(), job.is_error, job.parent.len()), ("likes", false, 0));
    assert_eq!((&*job.attributes["waterwheel.threads"], &*job.attributes["waterwheel.attempt"]), ("2", "1"));
    let (rounds, checkpoints) = (named("round"), named("checkpoint"));
    assert!(rounds.len() >= 10, "{seen:?}");
    assert!(!checkpoints.is_empty(), "{seen:?}");
    assert!(checkpoints.iter().all(|span| span.attributes.contains_key("epoch")), "{checkpoints:?}");
    for span in rounds.iter().chain(&checkpoints) {
        assert_eq!((&span.trace, &span.parent), (&job.trace, &job.id), "{span:?}");
        assert!(span.begin <= span.end && span.end <= job.end, "{span:?} {job:?}");
    }
    // No round has two spans, and they have their numbers.
    let numbers: Vec<_> =
        rounds.iter().map(|span| (&span.attributes["loop"], &span.attributes["round"])).collect();
    let different: std::collections::BTreeSet<_> = numbers.iter().collect();
    assert_eq!(different.len(), numbers.len(), "{numbers:?}");
}

#[test]
fn run_that_fails_sends_its_error() {
    let (dir, collector) = (Dir::new(), Collector::start());
    dir.write("bad.csv", "user,item,rating\n1,1,x\n");
    let finished = traced(&dir, "train mf --input bad.csv", &collector.endpoint);
    assert_eq!(finished.code(), Some(1), "{finished:?}");
    let seen = collector.seen();
    let job = seen.iter().find(|span| span.name == "job").unwrap();
    assert!(job.is_error, "{seen:?}");
}

/// Whoever collects spans may be down: that is no reason for a job to fail.
#[test]
fn run_goes_on_where_no_collector_answers() {
    let dir = Dir::new();
    dir.generate_ratings(500);
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let finished = traced(&dir, "train mf --input ratings.csv --epochs 2", &format!("http://{gone}"));
    assert_eq!(finished.code(), Some(0), "{finished:?}");
    assert_no_panic(&finished);
}
