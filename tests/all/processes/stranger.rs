//! Strangers at the ports of a run: they are dropped, and the run starts and is right.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use waterwheel::engine::started_as;
use waterwheel::prelude::{Result, RuntimeConfig};

use super::fixture::{SUM, command, outcome, start, sum};
use crate::failures::process::{Running, free_addresses, wait_until};

/// The name and version of the handshake, as docs/formats/handshake.md says.
const MAGIC: [u8; 8] = *b"WWHEEL\x00\x03";
const HELLO_BYTES: usize = 160;

/// A hello that names this process of two of one thread, without a secret.
fn hello(from: u32, job: &str, has_secret: bool) -> [u8; HELLO_BYTES] {
    let mut hello = [0; HELLO_BYTES];
    hello[..8].copy_from_slice(&MAGIC);
    hello[9] = u8::from(has_secret);
    hello[12..16].copy_from_slice(&from.to_le_bytes());
    hello[16..20].copy_from_slice(&2u32.to_le_bytes());
    hello[20..24].copy_from_slice(&1u32.to_le_bytes());
    hello[24..32].copy_from_slice(&1u64.to_le_bytes());
    hello[32..32 + job.len()].copy_from_slice(job.as_bytes());
    hello
}

fn call(address: &str, says: &[u8]) -> TcpStream {
    let mut stream = wait_until("the listener", || TcpStream::connect(address).ok());
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    // One that is dropped early may find the connection closed.
    let _ = stream.write_all(says);
    stream
}

/// What a stranger hears until it is hung up on.
fn heard(mut stream: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 256];
    while let Ok(n @ 1..) = stream.read(&mut chunk) {
        bytes.extend_from_slice(&chunk[..n]);
    }
    bytes
}

/// Runs two processes of a job with a secret, the second only when `strangers` have come to the first.
fn run_among<R>(strangers: impl FnOnce(&str) -> R) -> (R, [crate::failures::process::Finished; 2]) {
    let addresses = free_addresses(2);
    let settings = [("secret", "a secret of the tests"), ("name", "job")];
    let first = start("sum", 0, &addresses, &settings);
    let kept = strangers(&addresses[0]);
    let second = start("sum", 1, &addresses, &settings);
    let finished = [first.finish(), second.finish()];
    assert_eq!(finished.each_ref().map(outcome), [SUM, SUM], "{finished:?}");
    (kept, finished)
}

#[test]
fn stranger_that_says_something_else_is_dropped_and_logged() {
    let http: &[u8] = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n";
    for says in [http, &[0; 200], &[0xff; 4096], b"WWHEEL\x00\x01", b"WWHEEL\x00\xff and so on"] {
        let (told, [first, _]) = run_among(|address| heard(call(address, says)));
        assert!(told.is_empty(), "{says:?} is told {told:?}");
        let logged = ["it does not speak this protocol", "of the handshake, expected 3"];
        assert!(logged.iter().any(|text| first.err.contains(text)), "{first:?}");
        assert!(first.err.contains("dropped 127."), "{first:?}");
    }
}

/// It connects first, and keeps its connection for as long as the run lasts.
#[test]
fn stranger_that_says_half_a_hello_and_waits_keeps_nobody_waiting() {
    for n in [0, 1, 8, 100, HELLO_BYTES - 1, HELLO_BYTES] {
        run_among(|address| call(address, &hello(1, "job", true)[..n]));
    }
}

#[test]
fn stranger_without_the_secret_takes_no_place_and_learns_nothing() {
    for has_secret in [false, true] {
        let (told, [first, _]) = run_among(|address| {
            let mut stream = call(address, &hello(1, "job", has_secret));
            let mut challenge = [0; 40];
            stream.read_exact(&mut challenge).unwrap();
            assert_eq!(challenge[..8], MAGIC);
            stream.write_all(&[7; 32]).unwrap();
            heard(stream)
        });
        assert_eq!(told, [0; 35], "a verdict without a proof and without a reason");
        let reason = if has_secret { "it does not know the secret" } else { "it has no secret" };
        assert!(first.err.contains(reason), "{first:?}");
    }
}

/// A proof is good for one challenge: what was overheard once does not open the door again.
#[test]
fn stranger_that_repeats_what_it_has_overheard_is_dropped() {
    let addresses = free_addresses(2);
    let settings = [("secret", "a secret of the tests"), ("name", "job")];
    let listener = std::net::TcpListener::bind(&addresses[0]).unwrap();
    let second = start("sum", 1, &addresses, &settings);
    let (mut caller, _) = listener.accept().unwrap();
    let mut overheard = [0; HELLO_BYTES + 32];
    caller.read_exact(&mut overheard[..HELLO_BYTES]).unwrap();
    caller.write_all(&[MAGIC.as_slice(), &[5; 32]].concat()).unwrap();
    caller.read_exact(&mut overheard[HELLO_BYTES..]).unwrap();
    drop((caller, listener));
    let first = wait_until("the port", || {
        std::net::TcpListener::bind(&addresses[0]).is_ok().then(|| start("sum", 0, &addresses, &settings))
    });
    let told = heard(call(&addresses[0], &overheard));
    assert!(told.is_empty() || told[40..] == [0; 35], "{told:?}");
    let finished = [first, second].map(Running::finish);
    assert_eq!(finished.each_ref().map(outcome), [SUM, SUM], "{finished:?}");
}

/// More than are heard at a time.
#[test]
fn crowd_of_silent_strangers_delays_the_start_by_seconds_at_most() {
    run_among(|address| (0..150).map(|_| call(address, &[])).collect::<Vec<_>>());
}

/// One that knows the secret, but runs something else: it is told what differs, and the others go on waiting.
#[test]
fn process_of_another_run_with_the_right_secret_is_sent_away_and_the_right_one_joins() {
    let mine = [("secret", "a secret of the tests"), ("name", "job"), ("version", "1"), ("attempt", "2")];
    let cases = [
        ("name", "other", "it runs job \"other\", expected \"job\""),
        ("version", "2", "it has program version \"2\", expected \"1\""),
        ("attempt", "1", "it is of attempt 1, expected 2"),
    ];
    for (key, value, reason) in cases {
        let addresses = free_addresses(2);
        let first = start("sum", 0, &addresses, &mine);
        let other = mine.map(|(name, own)| (name, if name == key { value } else { own }));
        let refused = start("sum", 1, &addresses, &other).finish();
        let told = outcome(&refused);
        assert!(told.starts_with("error: refused by process 0 (") && told.ends_with(reason), "{told}");
        let second = start("sum", 1, &addresses, &mine);
        let finished = [first, second].map(Running::finish);
        assert_eq!(finished.each_ref().map(outcome), [SUM, SUM], "{finished:?}");
        assert!(
            finished[0].err.contains("refused process 1 at 127.") && finished[0].err.contains(reason),
            "{finished:?}"
        );
    }
}

/// The sum, by a process 1 before whom strangers have come to where it is to meet process 0.
pub(super) fn visited(config: RuntimeConfig) -> Result<String> {
    let mut strangers = Vec::new();
    if started_as().is_some() {
        let meeting = std::env::var("WATERWHEEL_RENDEZVOUS").unwrap();
        assert!(
            heard(call(&meeting, b"GET / HTTP/1.1\r\n\r\n")).is_empty(),
            "a stranger that says something else"
        );
        let mut guess = call(&meeting, &hello(1, "job", false));
        guess.read_exact(&mut [0; 40]).unwrap();
        guess.write_all(&[7; 32]).unwrap();
        assert_eq!(heard(guess), [0; 35], "a stranger without the token");
        // These stay as long as the run lasts.
        strangers.push(call(&meeting, &[]));
        strangers.push(call(&meeting, &hello(1, "job", false)[..100]));
    }
    sum(config)
}

#[test]
fn strangers_where_processes_that_were_started_together_meet_are_dropped() {
    let mut job = command("visited", &[]);
    let finished = Running::start(job.env("WATERWHEEL_PROCESSES", "2")).finish();
    // Both say their outcome: the second one has this one's output.
    let outcomes: Vec<_> = finished.out.lines().filter_map(|line| line.strip_prefix("outcome: ")).collect();
    assert_eq!(outcomes, [SUM, SUM], "{finished:?}");
    assert!(finished.status.success() && finished.err.contains("dropped 127."), "{finished:?}");
}
