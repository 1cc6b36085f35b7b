//! The control link between two processes: one TCP connection beside the data, for failures, holds and the
//! farewell that tells an orderly end from a lost peer.
//!
//! A notice travels as its length (4 bytes, little-endian) and its postcard encoding.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result, Site};
use crate::runtime::state::{RunState, lock};

/// Longest notice that is accepted, in bytes: an error message with room to spare.
const MAX_NOTICE_BYTES: usize = 1 << 20;

/// Longest error message that is sent on; the rest is cut.
const MAX_MESSAGE_BYTES: usize = 16 << 10;

/// Sources that a peer may name: far above any real job.
const MAX_SOURCES: usize = 1 << 16;

/// Exchanges that a peer may name: far above any real job.
const MAX_EXCHANGES: usize = 1 << 16;

/// What one process tells the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Notice {
    /// An operator failed.
    Failed { kind: u8, message: String, site: Option<(String, String, usize)> },
    /// An operator of the sender holds, or no longer holds, a source.
    Hold { source: usize, held: bool },
    /// All workers of the sender have finished in good order.
    Farewell,
    /// The sender's workers have sent so many records into an exchange more than they have read from it.
    InFlight { exchange: usize, sum: i64 },
}

impl Notice {
    pub(crate) fn failed(error: &Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::Config => 0,
            ErrorKind::Data => 1,
            ErrorKind::Operator => 2,
            ErrorKind::Peer => 3,
            ErrorKind::Interrupted => 4,
            ErrorKind::Internal => 5,
        };
        let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
        let mut message = format!("{}{cause}", error.message());
        if message.len() > MAX_MESSAGE_BYTES {
            let end = (0..=MAX_MESSAGE_BYTES).rev().find(|at| message.is_char_boundary(*at)).unwrap_or(0);
            message.truncate(end);
            message.push_str(" (cut)");
        }
        Notice::Failed {
            kind,
            message,
            site: error.site().map(|site| (site.operator.clone(), site.location.clone(), site.worker)),
        }
    }

    fn into_error(kind: u8, message: String, site: Option<(String, String, usize)>) -> Error {
        let kinds = [
            ErrorKind::Config,
            ErrorKind::Data,
            ErrorKind::Operator,
            ErrorKind::Peer,
            ErrorKind::Interrupted,
        ];
        let kind = kinds.get(usize::from(kind)).copied().unwrap_or(ErrorKind::Internal);
        let error = Error::new(kind, message);
        match site {
            Some((operator, location, worker)) => error.at(Site { operator, location, worker }),
            None => error,
        }
    }
}

fn write_notice(stream: &mut impl Write, notice: &Notice) -> std::io::Result<()> {
    let bytes = postcard::to_stdvec(notice).map_err(std::io::Error::other)?;
    let mut frame = (bytes.len() as u32).to_le_bytes().to_vec();
    frame.extend_from_slice(&bytes);
    stream.write_all(&frame)
}

fn read_notice(stream: &mut impl Read) -> std::io::Result<Notice> {
    let mut len = [0u8; 4];
    stream.read_exact(&mut len)?;
    let len = u32::from_le_bytes(len) as usize;
    if len > MAX_NOTICE_BYTES {
        return Err(std::io::Error::other(format!("notice of {len} bytes, at most {MAX_NOTICE_BYTES}")));
    }
    let mut bytes = vec![0; len];
    stream.read_exact(&mut bytes)?;
    postcard::from_bytes(&bytes).map_err(std::io::Error::other)
}

/// One remote process, as messages name it.
#[derive(Clone, Debug)]
pub(crate) struct PeerName {
    pub(crate) process: usize,
    pub(crate) address: String,
}

impl std::fmt::Display for PeerName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {} ({})", self.process, self.address)
    }
}

/// The control links of this process to all others.
pub(crate) struct Links {
    streams: Mutex<Vec<TcpStream>>,
    /// Peers that have not yet said farewell.
    awaited: Mutex<Vec<usize>>,
    changed: Condvar,
}

impl Links {
    /// Starts one reader thread per link; what they read acts on `run`.
    pub(crate) fn start(peers: Vec<(PeerName, TcpStream)>, run: &Arc<RunState>) -> Result<Arc<Self>> {
        let mut streams = Vec::new();
        let mut readers = Vec::new();
        for (peer, stream) in peers {
            streams.push(stream.try_clone().map_err(|error| {
                Error::peer(format!("can not duplicate the control link to {peer}")).caused_by(error)
            })?);
            readers.push((peer, stream));
        }
        let links = Arc::new(Links {
            streams: Mutex::new(streams),
            awaited: Mutex::new(readers.iter().map(|(peer, _)| peer.process).collect()),
            changed: Condvar::new(),
        });
        for (peer, stream) in readers {
            let (links, run) = (Arc::clone(&links), Arc::clone(run));
            std::thread::Builder::new()
                .name(format!("waterwheel:link-{}", peer.process))
                .spawn(move || links.listen(&peer, stream, &run))
                .map_err(|error| Error::config("can not start a control-link thread").caused_by(error))?;
        }
        Ok(links)
    }

    /// Sends a notice to every peer. A peer that can not be reached is found by its reader thread.
    pub(crate) fn send(&self, notice: &Notice) {
        for stream in lock(&self.streams).iter_mut() {
            let _ = write_notice(stream, notice);
        }
    }

    /// Says farewell and waits until every peer has, or until the run fails.
    pub(crate) fn part(&self, run: &RunState) {
        self.send(&Notice::Farewell);
        let mut awaited = lock(&self.awaited);
        while !awaited.is_empty() && !run.stopped() {
            let wait = self.changed.wait_timeout(awaited, Duration::from_millis(100));
            awaited = wait.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
    }

    fn listen(&self, peer: &PeerName, mut stream: TcpStream, run: &RunState) {
        loop {
            match read_notice(&mut stream) {
                Ok(Notice::Failed { kind, message, site }) => {
                    // Told on: whoever sees this process go must have heard why.
                    run.fail(Notice::into_error(kind, message, site));
                }
                Ok(Notice::Hold { source, .. }) if source >= MAX_SOURCES => {
                    run.fail(Error::peer(format!("{peer} names source {source}, at most {MAX_SOURCES}")));
                }
                Ok(Notice::Hold { source, held }) => run.gate(source).note_remote(held),
                Ok(Notice::InFlight { exchange, .. }) if exchange >= MAX_EXCHANGES => {
                    let text = format!("{peer} names exchange {exchange}, at most {MAX_EXCHANGES}");
                    run.fail(Error::peer(text));
                }
                Ok(Notice::InFlight { exchange, sum }) => {
                    run.ledger().account(exchange).note_remote(peer.process, sum, run);
                }
                Ok(Notice::Farewell) => {
                    lock(&self.awaited).retain(|process| *process != peer.process);
                    self.changed.notify_all();
                    return;
                }
                Err(error) => {
                    // A peer that has ended because of another's failure may be seen before the reason.
                    run.await_reason();
                    run.fail(Error::peer(format!("lost {peer}")).caused_by(error));
                    self.changed.notify_all();
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_crosses_the_link_with_its_site() {
        let site = Site { operator: "map".into(), location: "a.rs:1:2".into(), worker: 3 };
        let error = Error::operator("boom").at(site.clone());
        let mut wire = Vec::new();
        write_notice(&mut wire, &Notice::failed(&error)).unwrap();
        let Notice::Failed { kind, message, site: back } = read_notice(&mut wire.as_slice()).unwrap() else {
            panic!("another notice");
        };
        let back = Notice::into_error(kind, message, back);
        assert_eq!((back.kind(), back.message(), back.site()), (ErrorKind::Operator, "boom", Some(&site)));
    }

    #[test]
    fn notice_of_absurd_length_is_refused_before_memory_is_taken() {
        let wire = u32::MAX.to_le_bytes();
        assert!(read_notice(&mut wire.as_slice()).unwrap_err().to_string().contains("at most"));
    }
}
