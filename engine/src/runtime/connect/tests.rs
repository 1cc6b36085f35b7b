use std::io::{Read, Write};

use super::*;
use crate::error::ErrorKind;
use crate::runtime::handshake::{HELLO_BYTES, MAGIC};
use crate::runtime::secret::Secret;

fn terms(processes: usize) -> Terms {
    Terms { processes, threads: 1, attempt: 1, job_name: "job".into(), program_version: String::new() }
}

fn cluster(me: usize, addresses: &[String], secret: &str) -> Cluster {
    Cluster {
        addresses: addresses.to_vec(),
        me,
        terms: terms(addresses.len()),
        key: Key::new(b"", Some(&Secret::new(secret))).unwrap(),
        timeout: Duration::from_secs(10),
    }
}

fn connect(cluster: &Cluster, listener: TcpListener) -> Result<Vec<PeerSockets>> {
    cluster.connect(listener, &RunState::default(), || Ok(()))
}

fn listeners(n: usize) -> (Vec<TcpListener>, Vec<String>) {
    let listeners: Vec<_> = (0..n).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let addresses = listeners.iter().map(|l| l.local_addr().unwrap().to_string()).collect();
    (listeners, addresses)
}

/// Runs two processes, the second changed by `change`, and gives what came of both.
fn both(change: impl FnOnce(&mut Cluster)) -> [Result<Vec<PeerSockets>>; 2] {
    let (mut listeners, addresses) = listeners(2);
    let (mut first, mut second) = (cluster(0, &addresses, "secret"), cluster(1, &addresses, "secret"));
    (first.timeout, second.timeout) = (Duration::from_millis(600), Duration::from_millis(600));
    change(&mut second);
    let (theirs, mine) = (listeners.pop().unwrap(), listeners.pop().unwrap());
    std::thread::scope(|scope| {
        let other = scope.spawn(|| connect(&second, theirs));
        let first = connect(&first, mine);
        [first, other.join().unwrap()]
    })
}

#[test]
fn processes_connect_while_strangers_knock() {
    let (mut listeners, addresses) = listeners(3);
    let mut garbage = TcpStream::connect(&addresses[0]).unwrap();
    garbage.write_all(&[7; 64]).unwrap();
    // More than are heard at a time.
    let _silent: Vec<_> = (0..40).map(|_| TcpStream::connect(&addresses[0]).unwrap()).collect();
    let mut half = TcpStream::connect(&addresses[0]).unwrap();
    half.write_all(&MAGIC).unwrap();
    let connected: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3)
            .rev()
            .map(|me| {
                let (listener, addresses) = (listeners.pop().unwrap(), &addresses);
                scope.spawn(move || connect(&cluster(me, addresses, "secret"), listener))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap().unwrap()).collect()
    });
    for (i, peers) in connected.iter().rev().enumerate() {
        assert!(peers.iter().enumerate().all(|(j, sockets)| i == j || sockets.is_complete()));
    }
    assert_eq!(garbage.read(&mut [0; 8]).unwrap_or(0), 0, "a stranger is told nothing");
}

#[test]
fn connections_carry_bytes_after_the_handshake() {
    let [first, second] = both(|_| {}).map(Result::unwrap);
    let data = [&first[1], &second[0]].map(|peer| peer.data.as_ref().unwrap());
    let control = [&first[1], &second[0]].map(|peer| peer.control.as_ref().unwrap());
    for [mut here, mut there] in [data, control] {
        here.write_all(b"water").unwrap();
        let mut heard = [0; 5];
        there.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"water");
    }
}

#[test]
fn missing_process_is_named_with_its_address() {
    let (mut listeners, mut addresses) = listeners(1);
    addresses.push("127.0.0.1:9".into());
    let mut alone = cluster(0, &addresses, "secret");
    alone.timeout = Duration::from_millis(50);
    let error = connect(&alone, listeners.pop().unwrap()).unwrap_err();
    assert!(error.message().starts_with("no connection to process 1 (127.0.0.1:9) within"), "{error}");
}

#[test]
fn process_with_another_secret_is_no_process_of_this_run() {
    let [first, second] = both(|other| other.key = Key::new(b"", Some(&Secret::new("Secret"))).unwrap());
    let unknown = "it does not know the secret of this run";
    for error in [first.unwrap_err(), second.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Peer);
        assert!(error.message().contains(unknown), "{error}");
    }
    let [first, second] = both(|other| other.key = Key::new(b"", None).unwrap());
    let reason = "dropped 127.0.0.1: it has no secret, this process has one";
    assert!(first.unwrap_err().message().contains(reason));
    assert!(second.unwrap_err().message().contains(unknown));
}

#[test]
fn process_of_another_job_is_refused_by_name() {
    let [first, second] = both(|other| other.terms.job_name = "sum".into());
    let refused = second.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Config);
    assert!(refused.message().ends_with("it runs job \"sum\", expected \"job\""), "{refused}");
    let first = first.unwrap_err();
    assert!(first.message().contains("refused process 1 at 127.0.0.1: it runs job \"sum\""), "{first}");
}

#[test]
fn process_of_an_older_attempt_is_refused_and_one_of_a_newer_ends_the_wait() {
    let [_, old] = both(|other| other.terms.attempt = 0);
    assert!(old.unwrap_err().message().ends_with("it is of attempt 0, expected 1"));
    let [first, new] = both(|other| other.terms.attempt = 2);
    assert_eq!(first.unwrap_err().message(), "attempt 2 of this job has begun, this is attempt 1");
    let new = new.unwrap_err();
    assert!(new.message().starts_with("no connection to process 0"), "it goes on calling: {new}");
}

/// Somebody who answers in place of a process can neither refuse in its name nor be taken for it.
#[test]
fn stranger_who_answers_for_a_process_is_not_believed() {
    let (mut listeners, addresses) = listeners(2);
    let stranger = listeners.remove(0);
    stranger.set_nonblocking(true).unwrap();
    let mut caller = cluster(1, &addresses, "secret");
    caller.timeout = Duration::from_millis(700);
    let (done, refusal) = (AtomicBool::new(false), [[1; 33].as_slice(), &[2, 0], b"no"].concat());
    let error = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                if let Ok((mut stream, _)) = stranger.accept() {
                    stream.set_nonblocking(false).unwrap();
                    let mut heard = [0; HELLO_BYTES + 32];
                    stream.read_exact(&mut heard[..HELLO_BYTES]).unwrap();
                    stream.write_all(&crate::runtime::handshake::challenge(&[5; 32])).unwrap();
                    stream.read_exact(&mut heard[HELLO_BYTES..]).unwrap();
                    stream.write_all(&refusal).unwrap();
                }
                std::thread::park_timeout(Duration::from_millis(1));
            }
        });
        let error = connect(&caller, listeners.pop().unwrap()).unwrap_err();
        done.store(true, Ordering::Relaxed);
        error
    });
    assert!(error.message().starts_with("no connection to process 0"), "{error}");
    assert!(error.message().contains("it does not know the secret of this run"), "{error}");
}
