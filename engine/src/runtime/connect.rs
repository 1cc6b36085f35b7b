//! Connections between the processes of a job, made by us before timely sees them.
//!
//! Each pair of processes gets two TCP connections, `data` and `control`; the one with the higher index
//! connects. A connection counts when the other side has sent a valid hello; anything else is dropped.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::machine;
use crate::runtime::state::RunState;

/// First bytes of every connection: name and version of the handshake.
const MAGIC: [u8; 8] = *b"WWHEEL\x00\x01";
/// Answer to a hello of this protocol that can not be accepted; the reason follows.
const REFUSAL: [u8; 8] = *b"WWREFUSE";
/// Longest reason that is read.
const MAX_REASON_BYTES: u64 = 1000;
/// How a refusal is told from errors of the connection.
const REFUSED: ErrorKind = ErrorKind::PermissionDenied;
/// How long a caller may take to say hello.
const HELLO_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a process may take to answer a hello: longer than one round of its other work at the start.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause between two attempts to reach a peer that is not there yet.
const RETRY_PAUSE: Duration = Duration::from_millis(10);

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Channel {
    Data,
    Control,
}

impl Channel {
    const ALL: [Channel; 2] = [Channel::Data, Channel::Control];
}

/// The two connections to one peer.
#[derive(Debug, Default)]
pub(crate) struct PeerSockets {
    pub(crate) data: Option<TcpStream>,
    pub(crate) control: Option<TcpStream>,
}

impl PeerSockets {
    fn slot(&mut self, channel: Channel) -> &mut Option<TcpStream> {
        match channel {
            Channel::Data => &mut self.data,
            Channel::Control => &mut self.control,
        }
    }

    fn is_complete(&self) -> bool {
        self.data.is_some() && self.control.is_some()
    }
}

/// One process's view of the cluster it joins.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// Address of every process, by index.
    pub(crate) addresses: Vec<String>,
    /// Index of this process.
    pub(crate) me: usize,
    /// Worker threads per process; all must agree.
    pub(crate) threads: usize,
    /// Distinguishes this run from others on the same ports; all must agree.
    pub(crate) token: u64,
    /// How long to wait for all connections.
    pub(crate) timeout: Duration,
}

const HELLO_BYTES: usize = 8 + 1 + 4 + 4 + 4 + 8;

impl Cluster {
    fn hello(&self, channel: Channel) -> [u8; HELLO_BYTES] {
        let mut hello = [0; HELLO_BYTES];
        hello[..8].copy_from_slice(&MAGIC);
        hello[8] = channel as u8;
        hello[9..13].copy_from_slice(&(self.me as u32).to_le_bytes());
        hello[13..17].copy_from_slice(&(self.addresses.len() as u32).to_le_bytes());
        hello[17..21].copy_from_slice(&(self.threads as u32).to_le_bytes());
        hello[21..].copy_from_slice(&self.token.to_le_bytes());
        hello
    }

    /// The sender and channel of a hello, or what is wrong with it.
    fn check(&self, hello: &[u8; HELLO_BYTES]) -> Result<(usize, Channel), String> {
        let word =
            |at: usize| u32::from_le_bytes([hello[at], hello[at + 1], hello[at + 2], hello[at + 3]]) as usize;
        if hello[..8] != MAGIC {
            return Err("it does not speak this protocol version".into());
        }
        if hello[21..] != self.token.to_le_bytes() {
            return Err("it belongs to another run".into());
        }
        if (word(13), word(17)) != (self.addresses.len(), self.threads) {
            let (found_n, found_w) = (word(13), word(17));
            let (n, w) = (self.addresses.len(), self.threads);
            return Err(format!("it runs {found_n} processes of {found_w} threads, expected {n} of {w}"));
        }
        let channel = Channel::ALL.into_iter().find(|channel| *channel as u8 == hello[8]);
        channel.map(|channel| (word(9), channel)).ok_or_else(|| "it asks for an unknown channel".into())
    }

    /// Connects to every other process.
    ///
    /// # Errors
    /// Some process was not reached in time, or has refused this one; the message names it and its address.
    /// And what `check_alive` finds.
    pub(crate) fn connect(
        &self,
        listener: &TcpListener,
        run: &RunState,
        mut check_alive: impl FnMut() -> Result<()>,
    ) -> Result<Vec<PeerSockets>> {
        let io = |error| Error::config("can not prepare the listening socket").caused_by(error);
        listener.set_nonblocking(true).map_err(io)?;
        let start = machine::now();
        let mut peers: Vec<PeerSockets> = (0..self.addresses.len()).map(|_| PeerSockets::default()).collect();
        let mut last_refusal = String::new();
        let mut callers: Vec<Caller> = Vec::new();
        loop {
            let missing: Vec<usize> =
                (0..peers.len()).filter(|i| *i != self.me && !peers[*i].is_complete()).collect();
            if missing.is_empty() {
                return Ok(peers);
            }
            if run.stopped() {
                run.outcome()?;
            }
            check_alive()?;
            if start.elapsed() > self.timeout {
                return Err(self.unreachable(&missing, start, &last_refusal));
            }
            for peer in missing.into_iter().filter(|peer| *peer < self.me) {
                self.call(peer, &mut peers[peer])?;
            }
            while let Ok((stream, from)) = listener.accept() {
                callers.extend(Caller::new(stream, from));
            }
            callers.retain_mut(|caller| {
                match caller.hello().map(|hello| self.admit(&hello, caller, &mut peers)) {
                    Ok(Ok(())) => false,
                    Err(Waiting::Yes) => true,
                    Ok(Err(reason)) | Err(Waiting::GaveUp(reason)) => {
                        caller.refuse(&reason);
                        last_refusal = format!("refused {}: {reason}", caller.from);
                        tracing::warn!("{last_refusal}");
                        false
                    }
                }
            });
            std::thread::park_timeout(RETRY_PAUSE);
        }
    }

    fn unreachable(&self, missing: &[usize], start: Instant, last_refusal: &str) -> Error {
        let names: Vec<_> = missing.iter().map(|i| format!("process {i} ({})", self.addresses[*i])).collect();
        let mut text = format!("no connection to {} within {:.1?}", names.join(", "), start.elapsed());
        if !last_refusal.is_empty() {
            text = format!("{text}; {last_refusal}");
        }
        Error::peer(text)
    }

    /// Tries to make the connections to a process of lower index that are still missing.
    fn call(&self, peer: usize, sockets: &mut PeerSockets) -> Result<()> {
        for channel in Channel::ALL {
            if sockets.slot(channel).is_none() {
                match self.call_once(peer, channel) {
                    Ok(stream) => *sockets.slot(channel) = Some(stream),
                    Err(error) if error.kind() == REFUSED => {
                        let address = &self.addresses[peer];
                        return Err(Error::config(format!("refused by process {peer} ({address}): {error}")));
                    }
                    // A peer that is not there yet, or hangs up, is tried again until the deadline.
                    Err(_) => {}
                }
            }
        }
        Ok(())
    }

    fn call_once(&self, peer: usize, channel: Channel) -> std::io::Result<TcpStream> {
        let mut stream = TcpStream::connect(&self.addresses[peer])?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        stream.write_all(&self.hello(channel))?;
        let mut answer = [0; 8];
        stream.read_exact(&mut answer)?;
        if answer == REFUSAL {
            let mut reason = String::new();
            stream.take(MAX_REASON_BYTES).read_to_string(&mut reason)?;
            return Err(std::io::Error::new(REFUSED, reason));
        }
        if answer != MAGIC {
            return Err(std::io::Error::other("not a waterwheel process"));
        }
        ready(stream)
    }

    /// Checks a caller's hello and keeps the connection. One that a peer has given up and made anew is
    /// replaced.
    fn admit(
        &self,
        hello: &[u8; HELLO_BYTES],
        caller: &Caller,
        peers: &mut [PeerSockets],
    ) -> Result<(), String> {
        let (from, channel) = self.check(hello)?;
        if from <= self.me || from >= peers.len() {
            return Err(format!("it calls itself process {from}"));
        }
        let keep = |stream: &TcpStream| {
            let mut stream = stream.try_clone()?;
            stream.set_nonblocking(false)?;
            stream.write_all(&MAGIC)?;
            ready(stream)
        };
        let stream = keep(&caller.stream).map_err(|error| error.to_string())?;
        *peers[from].slot(channel) = Some(stream);
        Ok(())
    }
}

/// A connection whose hello has not arrived in full. Read without blocking: a silent one costs nothing.
struct Caller {
    stream: TcpStream,
    from: SocketAddr,
    since: Instant,
    bytes: [u8; HELLO_BYTES],
    read: usize,
}

/// Why there is no hello yet.
enum Waiting {
    Yes,
    GaveUp(String),
}

impl Caller {
    fn new(stream: TcpStream, from: SocketAddr) -> Option<Self> {
        stream.set_nonblocking(true).ok()?;
        Some(Caller { stream, from, since: machine::now(), bytes: [0; HELLO_BYTES], read: 0 })
    }

    /// Tells a caller that speaks this protocol why it is refused; it may try again with other settings.
    fn refuse(&mut self, reason: &str) {
        if self.read == HELLO_BYTES && self.bytes[..8] == MAGIC {
            let answer = [&REFUSAL, reason.as_bytes()].concat();
            // One that has hung up does not want to know.
            let _ = self.stream.write_all(&answer);
        }
    }

    fn hello(&mut self) -> Result<[u8; HELLO_BYTES], Waiting> {
        while self.read < HELLO_BYTES {
            match self.stream.read(&mut self.bytes[self.read..]) {
                Ok(0) => return Err(Waiting::GaveUp("it hung up before its hello".into())),
                Ok(n) => self.read += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() != ErrorKind::WouldBlock => {
                    return Err(Waiting::GaveUp(error.to_string()));
                }
                Err(_) if self.since.elapsed() > HELLO_TIMEOUT => {
                    return Err(Waiting::GaveUp("it said no hello in time".into()));
                }
                Err(_) => return Err(Waiting::Yes),
            }
        }
        Ok(self.bytes)
    }
}

fn ready(stream: TcpStream) -> std::io::Result<TcpStream> {
    stream.set_read_timeout(None)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(me: usize, addresses: &[String], token: u64) -> Cluster {
        Cluster { addresses: addresses.to_vec(), me, threads: 1, token, timeout: Duration::from_secs(5) }
    }

    fn listeners(n: usize) -> (Vec<TcpListener>, Vec<String>) {
        let listeners: Vec<_> = (0..n).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let addresses = listeners.iter().map(|l| l.local_addr().unwrap().to_string()).collect();
        (listeners, addresses)
    }

    #[test]
    fn processes_connect_while_strangers_knock() {
        let (mut listeners, addresses) = listeners(3);
        let mut garbage = TcpStream::connect(&addresses[0]).unwrap();
        garbage.write_all(&[7; 64]).unwrap();
        let _silent = TcpStream::connect(&addresses[0]).unwrap();
        let connected: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..3)
                .rev()
                .map(|me| {
                    let (listener, addresses) = (listeners.pop().unwrap(), &addresses);
                    scope.spawn(move || {
                        cluster(me, addresses, 9).connect(&listener, &RunState::default(), || Ok(()))
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap().unwrap()).collect()
        });
        for (i, peers) in connected.iter().rev().enumerate() {
            assert!(peers.iter().enumerate().all(|(j, sockets)| i == j || sockets.is_complete()));
        }
    }

    #[test]
    fn missing_process_is_named_with_its_address() {
        let (listeners, mut addresses) = listeners(1);
        addresses.push("127.0.0.1:9".into());
        let mut alone = cluster(0, &addresses, 1);
        alone.timeout = Duration::from_millis(50);
        let error = alone.connect(&listeners[0], &RunState::default(), || Ok(())).unwrap_err();
        assert!(error.message().starts_with("no connection to process 1 (127.0.0.1:9) within"), "{error}");
    }

    #[test]
    fn process_of_another_run_is_refused_by_name() {
        let (listeners, addresses) = listeners(2);
        let error = std::thread::scope(|scope| {
            let other = scope
                .spawn(|| cluster(1, &addresses, 2).connect(&listeners[1], &RunState::default(), || Ok(())));
            let mut mine = cluster(0, &addresses, 1);
            mine.timeout = Duration::from_millis(400);
            let error = mine.connect(&listeners[0], &RunState::default(), || Ok(())).unwrap_err();
            let refused = other.join().unwrap().unwrap_err();
            let expected = format!("refused by process 0 ({}): it belongs to another run", addresses[0]);
            assert_eq!(refused.message(), expected);
            error
        });
        assert!(error.message().contains("it belongs to another run"), "{error}");
    }
}
