//! The caller's side of the handshake, each step with a deadline.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::machine;
use crate::runtime::handshake::{
    CHALLENGE_BYTES, Hello, Transcript, VERDICT_BYTES, check_magic, reason_bytes,
};
use crate::runtime::secret::{self, Key};

/// How long one attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the other side may take for each answer: longer than a round of its other work at the start.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a call has led to nothing.
#[derive(Debug)]
pub(crate) enum CallError {
    /// Nobody is there yet.
    NoAnswer(String),
    /// Somebody is there, who does not belong to this run or is not ready for it.
    Trouble(String),
    /// A process of this run has refused this one for good.
    Refused(String),
}

/// Calls `address` and proves to belong to the run, and has the other side prove it.
pub(crate) fn call(address: &str, hello: &Hello, key: &Key) -> Result<TcpStream, CallError> {
    let stream = connect(address).map_err(|error| CallError::NoAnswer(error.to_string()))?;
    let trouble = |error: std::io::Error| CallError::Trouble(error.to_string());
    let nonce = secret::nonce().map_err(|error| CallError::Trouble(error.full_message()))?;
    let hello = hello.encode(&nonce);
    let mut line = Line { stream };
    line.send(&hello).map_err(trouble)?;
    let mut challenge = [0; CHALLENGE_BYTES];
    line.read(&mut challenge).map_err(trouble)?;
    check_magic(&challenge).map_err(CallError::Trouble)?;
    let talk = Transcript { key, hello: &hello, challenge: &challenge };
    line.send(&talk.caller_proof()).map_err(trouble)?;
    let mut head = [0; VERDICT_BYTES];
    line.read(&mut head).map_err(trouble)?;
    let mut reason = vec![0; reason_bytes(&head).map_err(CallError::Trouble)?];
    line.read(&mut reason).map_err(trouble)?;
    match talk.read_verdict(&head, &reason).map_err(CallError::Trouble)? {
        Ok(()) => ready(line.stream).map_err(trouble),
        Err(refusal) if refusal.call_again => Err(CallError::Trouble(refusal.reason)),
        Err(refusal) => Err(CallError::Refused(refusal.reason)),
    }
}

fn connect(address: &str) -> std::io::Result<TcpStream> {
    let mut last = ErrorKind::AddrNotAvailable.into();
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Takes the deadlines of the handshake off a connection.
pub(crate) fn ready(stream: TcpStream) -> std::io::Result<TcpStream> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(None)?;
    stream.set_write_timeout(None)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A connection to somebody who has proved nothing yet: whole messages by a deadline.
struct Line {
    stream: TcpStream,
}

impl Line {
    fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
        self.stream.write_all(bytes)
    }

    /// Fills `bytes`. The deadline is for all of them: one that sends a byte now and then gains nothing.
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<()> {
        let since: Instant = machine::now();
        let mut n_read = 0;
        while n_read < bytes.len() {
            let left = ANSWER_TIMEOUT.saturating_sub(since.elapsed());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            self.stream.set_read_timeout(Some(left))?;
            match self.stream.read(&mut bytes[n_read..]) {
                Ok(0) => return Err(std::io::Error::new(ErrorKind::UnexpectedEof, "it hung up")),
                Ok(n) => n_read += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
