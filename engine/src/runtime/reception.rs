//! The acceptor's side of the handshake: callers are heard without ever waiting for one of them.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::machine;
use crate::runtime::handshake::{
    self, CHALLENGE_BYTES, HELLO_BYTES, Hello, Refusal, Transcript, VERDICT_BYTES,
};
use crate::runtime::secret::{self, Key, PROOF_BYTES};

/// Callers that have not yet proved to belong here; more wait in the listener's queue.
const MAX_CALLERS: usize = 128;
/// How long a caller may take for its hello, and again for its proof.
const STEP_TIMEOUT: Duration = Duration::from_secs(2);
/// How long sending a verdict may take: it fits into the empty buffers of any connection.
const VERDICT_TIMEOUT: Duration = Duration::from_millis(100);
const _: () = assert!(VERDICT_BYTES + handshake::MAX_REASON_BYTES < 2048);

/// A listener, and those who call there.
pub(crate) struct Reception {
    listener: TcpListener,
    callers: Vec<Caller>,
    key: Key,
    last_warning: String,
}

/// What came of one caller.
pub(crate) enum Visit {
    /// It belongs here and was let in.
    Admitted(Hello, TcpStream),
    /// It belongs here and was refused, for this reason.
    Refused(String),
    /// It has proved nothing and was dropped, for this reason.
    Dropped(String),
}

impl Reception {
    pub(crate) fn open(listener: TcpListener, key: Key) -> Result<Self> {
        listener
            .set_nonblocking(true)
            .map_err(|error| Error::config("can not prepare the listening socket").caused_by(error))?;
        Ok(Reception { listener, callers: Vec::new(), key, last_warning: String::new() })
    }

    /// Hears all callers as far as they have spoken; those that have proved to know the key are let in if
    /// `decide` agrees. Never waits.
    pub(crate) fn hear(
        &mut self,
        mut decide: impl FnMut(&Hello) -> Result<(), Refusal>,
    ) -> Result<Vec<Visit>> {
        while self.callers.len() < MAX_CALLERS {
            let Ok((stream, from)) = self.listener.accept() else { break };
            self.callers.extend(Caller::new(stream, from)?);
        }
        let mut visits = Vec::new();
        let mut waiting = Vec::new();
        for mut caller in std::mem::take(&mut self.callers) {
            match caller.hear(&self.key) {
                Ok(None) => waiting.push(caller),
                Ok(Some(hello)) => visits.push(caller.close(&self.key, &hello, decide(&hello))),
                Err(reason) => visits.push(Visit::Dropped(format!("dropped {}: {reason}", caller.from.ip()))),
            }
        }
        self.callers = waiting;
        for visit in &visits {
            if let Visit::Refused(text) | Visit::Dropped(text) = visit {
                self.warn(text);
            }
        }
        Ok(visits)
    }

    /// Logs, unless it is what was logged last: somebody may call again and again.
    fn warn(&mut self, text: &str) {
        if self.last_warning != text {
            tracing::warn!("{text}");
            self.last_warning = text.to_string();
        }
    }
}

/// A connection whose other side has not yet proved to belong here.
struct Caller {
    stream: TcpStream,
    from: SocketAddr,
    /// When the present step began.
    since: Instant,
    heard: Vec<u8>,
    challenge: [u8; CHALLENGE_BYTES],
    is_challenged: bool,
}

impl Caller {
    /// # Errors
    /// The system has no random bytes. A caller that is already gone is `None`.
    fn new(stream: TcpStream, from: SocketAddr) -> Result<Option<Self>> {
        let challenge = handshake::challenge(&secret::nonce()?);
        let ready = stream.set_nonblocking(true).and_then(|()| stream.set_nodelay(true)).is_ok();
        let heard = Vec::with_capacity(HELLO_BYTES + PROOF_BYTES);
        let since = machine::now();
        Ok(ready.then_some(Caller { stream, from, since, heard, challenge, is_challenged: false }))
    }

    /// Reads what has come; a hello once its sender has proved to know the key.
    ///
    /// # Errors
    /// Why the caller is to be dropped.
    fn hear(&mut self, key: &Key) -> Result<Option<Hello>, String> {
        if !self.is_challenged {
            if !self.read_up_to(HELLO_BYTES)? {
                return Ok(None);
            }
            Hello::decode(&self.hello_bytes())?;
            self.stream.write_all(&self.challenge).map_err(|error| error.to_string())?;
            (self.is_challenged, self.since) = (true, machine::now());
        }
        if !self.read_up_to(HELLO_BYTES + PROOF_BYTES)? {
            return Ok(None);
        }
        let hello = self.hello_bytes();
        let talk = Transcript { key, hello: &hello, challenge: &self.challenge };
        let (proven, hello) = (talk.verify_caller(&self.heard[HELLO_BYTES..]), Hello::decode(&hello)?);
        if proven {
            return Ok(Some(hello));
        }
        // No proof for a stranger, who could try secrets on it. One that merely has another secret by mistake
        // learns so much from a verdict without one.
        let _ = self.stream.write_all(&[0; VERDICT_BYTES]);
        Err(match (hello.has_secret, key.has_secret()) {
            (true, false) => "it has a secret, this process has none".into(),
            (false, true) => "it has no secret, this process has one".into(),
            _ => "it does not know the secret of this run".into(),
        })
    }

    fn hello_bytes(&self) -> [u8; HELLO_BYTES] {
        let mut hello = [0; HELLO_BYTES];
        let n = self.heard.len().min(HELLO_BYTES);
        hello[..n].copy_from_slice(&self.heard[..n]);
        hello
    }

    /// Whether so many bytes have come. Never takes more: what follows is not for us.
    fn read_up_to(&mut self, end: usize) -> Result<bool, String> {
        let mut chunk = [0; HELLO_BYTES];
        while self.heard.len() < end {
            let room = (end - self.heard.len()).min(chunk.len());
            match self.stream.read(&mut chunk[..room]) {
                Ok(0) => return Err("it hung up in the middle of the handshake".into()),
                Ok(n) => self.heard.extend_from_slice(&chunk[..n]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error.to_string()),
                Err(_) if self.since.elapsed() > STEP_TIMEOUT => {
                    let (n, what) = (self.heard.len(), if self.is_challenged { "proof" } else { "hello" });
                    return Err(format!("it sent {n} bytes and no whole {what} within {STEP_TIMEOUT:?}"));
                }
                Err(_) => return Ok(false),
            }
            handshake::check_magic(&self.heard)?;
        }
        Ok(true)
    }

    /// Tells a caller that has proved to belong here what was decided.
    fn close(mut self, key: &Key, hello: &Hello, decision: Result<(), Refusal>) -> Visit {
        let bytes = self.hello_bytes();
        let talk = Transcript { key, hello: &bytes, challenge: &self.challenge };
        let verdict = talk.verdict(decision.as_ref().copied());
        let told = self.stream.set_nonblocking(false).and_then(|()| {
            self.stream.set_write_timeout(Some(VERDICT_TIMEOUT))?;
            self.stream.write_all(&verdict)?;
            self.stream.set_write_timeout(None)
        });
        let who = format!("process {} at {}", hello.from, self.from.ip());
        match (decision, told) {
            (Ok(()), Ok(())) => Visit::Admitted(hello.clone(), self.stream),
            (Err(refusal), _) => Visit::Refused(format!("refused {who}: {}", refusal.reason)),
            (Ok(()), Err(error)) => Visit::Dropped(format!("dropped {who}: {error}")),
        }
    }
}
