//! The control link between two processes: one TCP connection beside the data, for failures, holds, signs of
//! life, and the farewell that tells an orderly end from a lost peer.

mod notice;
mod traffic;

use std::io::ErrorKind;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::event::Part;
use crate::runtime::frames::{FrameReader, FrameWriter};
use crate::runtime::state::{RunState, lock};

pub(crate) use notice::Notice;
use notice::{decode, encode};
use traffic::Overdue;
pub(crate) use traffic::Traffic;

/// Sources that a peer may name: far above any real job.
const MAX_SOURCES: usize = 1 << 16;
/// Exchanges and streams that a peer may name: far above any real job.
const MAX_EXCHANGES: usize = 1 << 16;
/// Time between two signs of life; the shortest time-out allows for five.
const ALIVE_INTERVAL: Duration = Duration::from_millis(200);
/// How long a peer may leave its link unread before the link counts as broken.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// Looks into a silent link before its peer counts as hung. They are counted, not timed, so that a process
/// which was itself suspended finds one of them empty and not all.
const LOOKS: u32 = 8;

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

/// A remote process, and what goes to it and comes from it over its data connection.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) name: PeerName,
    pub(crate) traffic: Arc<Traffic>,
}

/// How long a peer may be silent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Zero: for ever.
    pub(crate) timeout: Duration,
    /// How much longer before its first word, while it may still wait for others.
    pub(crate) at_start: Duration,
}

impl Patience {
    /// How long one look at a link takes.
    fn look(&self) -> Option<Duration> {
        (!self.timeout.is_zero()).then(|| self.timeout / LOOKS)
    }

    /// Signs of life, one after the other, that are too many when nothing comes of what was sent.
    fn signs(&self) -> Option<u128> {
        (!self.timeout.is_zero()).then(|| self.timeout.as_nanos() / ALIVE_INTERVAL.as_nanos())
    }

    /// Empty looks that are too many.
    fn looks(&self, has_spoken: bool) -> u128 {
        let at_start = if has_spoken { Duration::ZERO } else { self.at_start };
        let look = self.look().unwrap_or(Duration::MAX).as_nanos().max(1);
        u128::from(LOOKS) + at_start.as_nanos() / look
    }
}

/// The control links of this process to all others.
pub(crate) struct Links {
    links: Vec<Link>,
    /// Peers that have not yet said farewell.
    awaited: Mutex<Vec<usize>>,
    changed: Condvar,
    parted: AtomicBool,
}

/// The sending side of one link.
struct Link {
    process: usize,
    traffic: Arc<Traffic>,
    sender: Mutex<Sender>,
}

struct Sender {
    stream: TcpStream,
    frames: FrameWriter,
}

impl Sender {
    /// Sends a notice. A link that does not take it is broken: half a frame may be on its way. Its reader
    /// thread finds out, and that of the peer.
    fn send(&mut self, notice: &[u8]) {
        if self.frames.write(&mut self.stream, notice).is_err() {
            let _ = self.stream.shutdown(Shutdown::Both);
        }
    }
}

impl Links {
    /// Starts one reader thread per link, whose words act on `run`, and the thread that gives signs of life:
    /// neither waits for a worker.
    pub(crate) fn start(
        peers: Vec<(Peer, TcpStream)>,
        patience: Patience,
        run: &Arc<RunState>,
    ) -> Result<Arc<Self>> {
        let mut links = Vec::new();
        for (Peer { name, traffic }, stream) in &peers {
            let sending = stream.try_clone().and_then(|sending| {
                sending.set_write_timeout(Some(WRITE_TIMEOUT))?;
                stream.set_read_timeout(patience.look())?;
                Ok(sending)
            });
            let sending = sending.map_err(|error| {
                Error::peer(format!("can not prepare the control link to {name}")).caused_by(error)
            })?;
            let sender = Mutex::new(Sender { stream: sending, frames: FrameWriter::default() });
            links.push(Link { process: name.process, traffic: Arc::clone(traffic), sender });
        }
        let links = Arc::new(Links {
            awaited: Mutex::new(links.iter().map(|link| link.process).collect()),
            links,
            changed: Condvar::new(),
            parted: AtomicBool::new(false),
        });
        for (peer, stream) in peers {
            let (links, run) = (Arc::clone(&links), Arc::clone(run));
            let reader = Listener { links, run, peer: peer.name, traffic: peer.traffic, patience };
            spawn(format!("waterwheel:link-{}", reader.peer.process), move || reader.listen(stream))?;
        }
        let alive = Arc::clone(&links);
        spawn("waterwheel:alive".into(), move || alive.give_signs_of_life())?;
        Ok(links)
    }

    /// Sends a notice to every peer. A peer that can not be reached is found by its reader thread.
    pub(crate) fn send(&self, notice: &Notice) {
        self.send_where(notice, |_process| true);
    }

    /// Sends a notice to one peer.
    pub(crate) fn send_to(&self, process: usize, notice: &Notice) {
        self.send_where(notice, |other| other == process);
    }

    fn send_where(&self, notice: &Notice, is_meant: impl Fn(usize) -> bool) {
        let Some(notice) = encode(notice) else { return };
        for link in self.links.iter().filter(|link| is_meant(link.process)) {
            lock(&link.sender).send(&notice);
        }
    }

    /// Number of other processes.
    pub(crate) fn n_peers(&self) -> usize {
        self.links.len()
    }

    /// Says farewell and waits until every peer has, or until the run fails.
    pub(crate) fn part(&self, run: &RunState) {
        self.send(&Notice::Farewell);
        let mut awaited = lock(&self.awaited);
        while !awaited.is_empty() && !run.stopped() {
            let wait = self.changed.wait_timeout(awaited, Duration::from_millis(100));
            awaited = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(awaited);
        self.close();
    }

    /// Ends the signs of life: this process has nothing more to do with the others.
    pub(crate) fn close(&self) {
        self.parted.store(true, Ordering::Relaxed);
    }

    fn give_signs_of_life(&self) {
        while !self.parted.load(Ordering::Relaxed) {
            for link in &self.links {
                // A link that is being written to gives a sign by that, or is stuck and must not stop others.
                let notice = encode(&Notice::Alive { frames: link.traffic.n_sent() });
                if let (Some(notice), Ok(mut sender)) = (notice, link.sender.try_lock()) {
                    sender.send(&notice);
                }
            }
            std::thread::park_timeout(ALIVE_INTERVAL);
        }
    }
}

fn spawn(name: String, work: impl FnOnce() + Send + 'static) -> Result<()> {
    let thread = std::thread::Builder::new().name(name).spawn(work);
    thread.map(drop).map_err(|error| Error::config("can not start a control-link thread").caused_by(error))
}

/// The reader thread of one link.
struct Listener {
    links: Arc<Links>,
    run: Arc<RunState>,
    peer: PeerName,
    traffic: Arc<Traffic>,
    patience: Patience,
}

impl Listener {
    fn listen(self, mut stream: TcpStream) {
        let (mut reader, mut overdue) = (FrameReader::default(), Overdue::default());
        let (mut empty_looks, mut has_spoken) = (0, false);
        loop {
            match next_notice(&mut reader, &mut stream) {
                Ok(Notice::Farewell) => {
                    lock(&self.links.awaited).retain(|process| *process != self.peer.process);
                    return self.links.changed.notify_all();
                }
                Ok(notice) => {
                    (empty_looks, has_spoken) = (0, true);
                    if let Notice::Alive { frames } = notice {
                        overdue.note(frames, self.traffic.n_received());
                        if self.patience.signs().is_some_and(|most| overdue.signs() > most) {
                            return self.lost(self.loss(frames), None);
                        }
                    }
                    self.heed(notice);
                }
                Err(error) if is_timeout(&error) => {
                    empty_looks += 1;
                    if empty_looks >= self.patience.looks(has_spoken) {
                        return self.lost(self.silence(), None);
                    }
                    if self.run.stopped() {
                        return;
                    }
                }
                Err(error) => {
                    // A peer that has ended because of another's failure may be seen before the reason.
                    self.run.await_reason();
                    return self.lost(Error::peer(format!("lost {}", self.peer)), Some(error));
                }
            }
        }
    }

    fn heed(&self, notice: Notice) {
        let Listener { run, peer, .. } = self;
        match notice {
            // Told on: whoever sees this process go must have heard why.
            Notice::Failed { kind, message, site } => run.fail(Notice::into_error(kind, message, site)),
            Notice::Hold { source, .. } if source >= MAX_SOURCES => {
                run.fail(Error::peer(format!("{peer} names source {source}, at most {MAX_SOURCES}")));
            }
            Notice::Hold { source, held } => run.gate(source).note_remote(held),
            Notice::InFlight { exchange, .. } if exchange >= MAX_EXCHANGES => {
                run.fail(Error::peer(format!("{peer} names exchange {exchange}, at most {MAX_EXCHANGES}")));
            }
            Notice::InFlight { exchange, sum } => {
                run.ledger().account(exchange).note_remote(peer.process, sum, run);
            }
            Notice::Watermark { stream, .. } if stream >= MAX_EXCHANGES => {
                run.fail(Error::peer(format!("{peer} names stream {stream}, at most {MAX_EXCHANGES}")));
            }
            Notice::Watermark { stream, worker, round, watermark, is_active } => {
                run.board(stream).set(worker, Part { round, watermark, is_active });
            }
            Notice::Built(graph) => run.peer_has_built(peer, graph),
            Notice::SameGraph => run.graphs_agree(),
            Notice::Checkpoint(word) => run.hear_keeper(peer, word),
            Notice::Alive { .. } | Notice::Farewell => {}
        }
    }

    fn loss(&self, frames: u64) -> Error {
        Error::peer(format!(
            "{} has sent {frames} frames of data, of which {} have come, and none for {:?}: the connection loses them",
            self.peer,
            self.traffic.n_received(),
            self.patience.timeout
        ))
    }

    fn silence(&self) -> Error {
        Error::peer(format!(
            "{} has given no sign of life for {:?}: it hangs, or its machine or network is gone",
            self.peer, self.patience.timeout
        ))
    }

    fn lost(&self, error: Error, cause: Option<std::io::Error>) {
        self.run.fail(match cause {
            Some(cause) => error.caused_by(cause),
            None => error,
        });
        self.links.changed.notify_all();
    }
}

fn next_notice(reader: &mut FrameReader, stream: &mut TcpStream) -> std::io::Result<Notice> {
    match reader.read(stream)? {
        true => decode(reader.content()),
        false => Err(ErrorKind::UnexpectedEof.into()),
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_is_longer_before_the_first_word() {
        let patience = Patience { timeout: Duration::from_secs(8), at_start: Duration::from_secs(30) };
        assert_eq!(patience.look(), Some(Duration::from_secs(1)));
        assert_eq!((patience.looks(true), patience.looks(false)), (8, 38));
    }
}
