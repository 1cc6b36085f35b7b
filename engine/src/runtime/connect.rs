//! Connections between the processes of a job, made by us before timely sees them.
//!
//! Each pair of processes gets two TCP connections, `data` and `control`; the one with the higher index
//! connects. A connection counts when both sides have proved that they belong to the run; anything else is
//! dropped.

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::machine;
use crate::runtime::call::{CallError, call, ready};
use crate::runtime::handshake::{Channel, Hello, Refusal, Terms};
use crate::runtime::reception::{Reception, Visit};
use crate::runtime::secret::Key;
use crate::runtime::state::RunState;

/// Pause between two rounds of work while processes are awaited.
const ROUND_PAUSE: Duration = Duration::from_millis(2);
/// Pause before a peer is called again that is not there yet.
const RETRY_PAUSE: Duration = Duration::from_millis(10);
/// Pause before a peer is called again that has answered wrongly.
const TROUBLE_PAUSE: Duration = Duration::from_millis(200);

/// The two connections to one peer.
#[derive(Debug, Default)]
pub(crate) struct PeerSockets {
    pub(crate) data: Option<TcpStream>,
    pub(crate) control: Option<TcpStream>,
}

impl PeerSockets {
    /// Keeps a connection. One that the peer has given up and made anew is replaced.
    fn keep(&mut self, channel: Channel, stream: TcpStream) {
        match channel {
            Channel::Data => self.data = Some(stream),
            Channel::Control => self.control = Some(stream),
            Channel::Meeting => {}
        }
    }

    fn is_complete(&self) -> bool {
        self.data.is_some() && self.control.is_some()
    }
}

/// One process's view of the cluster it joins.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    /// Address of every process, by index.
    pub(crate) addresses: Vec<String>,
    /// Index of this process.
    pub(crate) me: usize,
    /// What all must agree on.
    pub(crate) terms: Terms,
    /// What all must know.
    pub(crate) key: Key,
    /// How long to wait for all connections.
    pub(crate) timeout: Duration,
}

/// What a thread that calls one peer has to tell.
enum Report {
    Connected(usize, Channel, TcpStream),
    Refused(usize, String),
    Trouble(usize, String),
}

/// What is so while processes are awaited.
struct Gathering {
    peers: Vec<PeerSockets>,
    start: Instant,
    /// The last refusal of a process of this run, or else of a stranger.
    refusal: Option<String>,
    /// By peer, what came of the last call that was answered.
    trouble: Vec<Option<String>>,
    newest_attempt: u64,
}

/// Ends the threads that call when nobody waits for them any more.
struct StopCalls(Arc<AtomicBool>);

impl Drop for StopCalls {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Cluster {
    fn hello(&self, channel: Channel) -> Hello {
        let (from, has_secret) = (self.me, self.key.has_secret());
        Hello { channel, from, port: 0, has_secret, terms: self.terms.clone() }
    }

    /// Connects to every other process.
    ///
    /// # Errors
    /// Some process was not reached in time, or has refused this one; the message names it and its address.
    /// A newer attempt of the job has begun. And what `check_alive` finds.
    pub(crate) fn connect(
        &self,
        listener: TcpListener,
        run: &RunState,
        mut check_alive: impl FnMut() -> Result<()>,
    ) -> Result<Vec<PeerSockets>> {
        let mut reception = Reception::open(listener, self.key.clone())?;
        let (reports, _stop) = self.start_calls()?;
        let mut gathering = self.gathering();
        loop {
            let missing = self.missing(&gathering.peers);
            if missing.is_empty() {
                return Ok(gathering.peers);
            }
            if run.stopped() {
                run.outcome()?;
            }
            check_alive()?;
            if gathering.start.elapsed() > self.timeout {
                return Err(self.unreachable(&missing, &gathering));
            }
            for report in reports.try_iter() {
                self.note_report(report, &mut gathering)?;
            }
            let newest = &mut gathering.newest_attempt;
            for visit in reception.hear(|hello| self.decide(hello, newest))? {
                gathering.note_visit(visit);
            }
            if gathering.newest_attempt > self.terms.attempt {
                let (new, mine) = (gathering.newest_attempt, self.terms.attempt);
                return Err(Error::config(format!(
                    "attempt {new} of this job has begun, this is attempt {mine}"
                )));
            }
            std::thread::park_timeout(ROUND_PAUSE);
        }
    }

    fn gathering(&self) -> Gathering {
        let n = self.addresses.len();
        Gathering {
            peers: (0..n).map(|_| PeerSockets::default()).collect(),
            start: machine::now(),
            refusal: None,
            trouble: vec![None; n],
            newest_attempt: self.terms.attempt,
        }
    }

    fn missing(&self, peers: &[PeerSockets]) -> Vec<usize> {
        (0..peers.len()).filter(|i| *i != self.me && !peers[*i].is_complete()).collect()
    }

    /// Starts one thread per process of lower index: an address that answers nothing keeps nobody else
    /// waiting.
    fn start_calls(&self) -> Result<(Receiver<Report>, StopCalls)> {
        let (sender, receiver) = channel();
        let stop = StopCalls(Arc::default());
        for peer in 0..self.me {
            let (cluster, sender, stopped) = (self.clone(), sender.clone(), Arc::clone(&stop.0));
            std::thread::Builder::new()
                .name(format!("waterwheel:call-{peer}"))
                .spawn(move || cluster.call_peer(peer, &sender, &stopped))
                .map_err(|error| Error::config("can not start a thread").caused_by(error))?;
        }
        Ok((receiver, stop))
    }

    /// Calls a process until both connections are made, it has refused, or nobody waits any more.
    fn call_peer(&self, peer: usize, reports: &Sender<Report>, stopped: &AtomicBool) {
        for channel in [Channel::Data, Channel::Control] {
            loop {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let (report, pause) = match call(&self.addresses[peer], &self.hello(channel), &self.key) {
                    Ok(stream) => {
                        let _ = reports.send(Report::Connected(peer, channel, stream));
                        break;
                    }
                    Err(CallError::Refused(reason)) => {
                        let _ = reports.send(Report::Refused(peer, reason));
                        return;
                    }
                    Err(CallError::Trouble(reason)) => (Some(reason), TROUBLE_PAUSE),
                    Err(CallError::NoAnswer(_)) => (None, RETRY_PAUSE),
                };
                if let Some(reason) = report {
                    let _ = reports.send(Report::Trouble(peer, reason));
                }
                std::thread::park_timeout(pause);
            }
        }
    }

    fn note_report(&self, report: Report, gathering: &mut Gathering) -> Result<()> {
        match report {
            Report::Connected(peer, channel, stream) => gathering.peers[peer].keep(channel, stream),
            Report::Refused(peer, reason) => {
                let address = &self.addresses[peer];
                return Err(Error::config(format!("refused by process {peer} ({address}): {reason}")));
            }
            Report::Trouble(peer, reason) => {
                let text = format!("who answers at {} for process {peer}: {reason}", self.addresses[peer]);
                let last = &mut gathering.trouble[peer];
                if last.as_ref() != Some(&text) {
                    tracing::warn!("{text}");
                    *last = Some(text);
                }
            }
        }
        Ok(())
    }

    /// Whether to let in a caller that knows the key.
    fn decide(&self, hello: &Hello, newest_attempt: &mut u64) -> Result<(), Refusal> {
        let checked = self.terms.check(&hello.terms);
        if checked.as_ref().is_err_and(|refusal| refusal.call_again) {
            *newest_attempt = hello.terms.attempt.max(*newest_attempt);
        }
        checked?;
        let is_higher = hello.from > self.me && hello.from < self.addresses.len();
        if !is_higher || hello.channel == Channel::Meeting {
            return Err(Refusal::final_because(format!("it calls itself process {}", hello.from)));
        }
        Ok(())
    }

    fn unreachable(&self, missing: &[usize], gathering: &Gathering) -> Error {
        let names: Vec<_> = missing.iter().map(|i| format!("process {i} ({})", self.addresses[*i])).collect();
        let mut text =
            format!("no connection to {} within {:.1?}", names.join(", "), gathering.start.elapsed());
        let trouble = missing.iter().filter_map(|i| gathering.trouble[*i].as_ref());
        for more in gathering.refusal.iter().chain(trouble) {
            text = format!("{text}; {more}");
        }
        Error::peer(text)
    }
}

impl Gathering {
    fn note_visit(&mut self, visit: Visit) {
        match visit {
            Visit::Admitted(hello, stream) => {
                // One that is gone again calls anew.
                if let Ok(stream) = ready(stream) {
                    self.peers[hello.from].keep(hello.channel, stream);
                }
            }
            Visit::Refused(text) => self.refusal = Some(text),
            Visit::Dropped(text) => {
                self.refusal.get_or_insert(text);
            }
        }
    }
}

#[cfg(test)]
mod tests;
