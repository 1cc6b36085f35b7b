//! Where processes that are started together on one machine learn each other's addresses.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::runtime::config::MAX_PARALLELISM;
use crate::runtime::handshake::{Channel, Hello, Refusal};
use crate::runtime::reception::{Reception, Visit};
use crate::runtime::secret::{self, Key, PROOF_BYTES};

pub(crate) const RENDEZVOUS_ENV: &str = "WATERWHEEL_RENDEZVOUS";
pub(crate) const INDEX_ENV: &str = "WATERWHEEL_CHILD_INDEX";
pub(crate) const TOKEN_ENV: &str = "WATERWHEEL_RUN_TOKEN";
/// Set for processes that somebody else than process 0 has started.
pub(crate) const LAUNCHED_ENV: &str = "WATERWHEEL_LAUNCHED";
/// Pause between two looks at who has come.
const PAUSE: Duration = Duration::from_millis(3);
/// How long telling one process all addresses may take: they fit into the buffers of any connection.
const TELL_TIMEOUT: Duration = Duration::from_secs(1);

/// A place on this machine where the processes of one job meet, for a program that starts them.
///
/// Each process binds a port of its own choosing and says here where it listens; when all have come, they are
/// told. A process that was not started with [`environment`](Self::environment) is turned away. Served by a
/// thread until dropped, for one run after another of the same processes; processes that still wait then end
/// with an error.
///
/// # Examples
/// ```no_run
/// use std::process::Command;
/// use waterwheel_engine::Meeting;
///
/// let meeting = Meeting::open(3)?;
/// let processes: Vec<_> = (0..3)
///     .map(|index| Command::new("count").args(["-w", "2"]).envs(meeting.environment(index)).spawn())
///     .collect::<Result<_, _>>()?;
/// for mut process in processes {
///     assert!(process.wait()?.success());
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Meeting {
    address: String,
    token: [u8; PROOF_BYTES],
    processes: usize,
    closed: Arc<AtomicBool>,
    _thread: JoinHandle<Vec<TcpStream>>,
}

/// For how many runs of the same processes a meeting is held.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rounds {
    One,
    Many,
}

impl Meeting {
    /// Opens a meeting of `processes` processes on a free port of the loopback interface.
    ///
    /// # Errors
    /// `processes` is not 1 to 1024, or the system has no port, thread or random bytes to give.
    pub fn open(processes: usize) -> Result<Self> {
        Self::open_for(processes, Rounds::Many)
    }

    pub(crate) fn open_for(processes: usize, rounds: Rounds) -> Result<Self> {
        if processes == 0 || processes > MAX_PARALLELISM {
            return Err(Error::config(format!(
                "processes: found {processes}, expected 1 to {MAX_PARALLELISM}"
            )));
        }
        let (listener, address) = bind_local()?;
        let token = secret::nonce()?;
        let reception = Reception::open(listener, Key::new(&token, None)?)?;
        let closed = Arc::new(AtomicBool::new(false));
        let host =
            Host { reception, come: Vec::new(), told: Vec::new(), processes, closed: Arc::clone(&closed) };
        let thread = std::thread::Builder::new()
            .name("waterwheel:meeting".into())
            .spawn(move || host.serve(rounds))
            .map_err(|error| Error::config("can not start a thread").caused_by(error))?;
        Ok(Meeting { address, token, processes, closed, _thread: thread })
    }

    /// The environment that makes a process number `index` of those that meet here.
    ///
    /// It holds a token that lets any process join, so it belongs into nothing that others can read, such as
    /// a command line. The program must take its settings from
    /// [`RuntimeConfig::from_args`](crate::RuntimeConfig::from_args), and must not be given an index
    /// (`-p`, `WATERWHEEL_PROCESS`) besides.
    pub fn environment(&self, index: usize) -> Vec<(&'static str, String)> {
        let mut environment = self.invitation(index);
        environment.push((LAUNCHED_ENV, "1".into()));
        environment.push(("WATERWHEEL_PROCESSES", self.processes.to_string()));
        environment
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn token(&self) -> &[u8] {
        &self.token
    }

    /// What a process must know to come here.
    pub(crate) fn invitation(&self, index: usize) -> Vec<(&'static str, String)> {
        let token = self.token.iter().map(|byte| format!("{byte:02x}")).collect();
        vec![(RENDEZVOUS_ENV, self.address.clone()), (INDEX_ENV, index.to_string()), (TOKEN_ENV, token)]
    }
}

impl Drop for Meeting {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Meeting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Meeting { address, processes, .. } = self;
        f.debug_struct("Meeting")
            .field("address", address)
            .field("processes", processes)
            .finish_non_exhaustive()
    }
}

/// A listener on a free port of the loopback interface, and its address.
pub(crate) fn bind_local() -> Result<(TcpListener, String)> {
    let bound =
        TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr().map(|addr| (l, addr.to_string())));
    bound.map_err(|error| Error::config("can not listen on 127.0.0.1").caused_by(error))
}

/// The thread behind a meeting.
struct Host {
    reception: Reception,
    come: Vec<(Hello, TcpStream)>,
    /// Kept open: each process sees the end of its own when this one goes.
    told: Vec<TcpStream>,
    processes: usize,
    closed: Arc<AtomicBool>,
}

impl Host {
    fn serve(mut self, rounds: Rounds) -> Vec<TcpStream> {
        while !self.closed.load(Ordering::Relaxed) {
            if let Err(error) = self.welcome() {
                // Those who wait see the end of their connections.
                tracing::error!("the meeting of processes ends: {}", error.full_message());
                return Vec::new();
            }
            if self.come.len() == self.processes {
                self.tell();
                if rounds == Rounds::One {
                    return self.told;
                }
            }
            std::thread::park_timeout(PAUSE);
        }
        Vec::new()
    }

    fn welcome(&mut self) -> Result<()> {
        let processes = self.processes;
        for visit in self.reception.hear(|hello| decide(hello, processes))? {
            if let Visit::Admitted(hello, stream) = visit {
                // One that comes again has given up in between.
                self.come.retain(|(known, _)| known.from != hello.from);
                self.come.push((hello, stream));
            }
        }
        Ok(())
    }

    /// Tells all that have come where everybody listens: two bytes a process, in order.
    fn tell(&mut self) {
        let mut come = std::mem::take(&mut self.come);
        come.sort_by_key(|(hello, _)| hello.from);
        let ports: Vec<u8> = come.iter().flat_map(|(hello, _)| hello.port.to_le_bytes()).collect();
        for (_, stream) in &mut come {
            // One that has gone is missed by the others when they call it.
            let _ = stream.set_write_timeout(Some(TELL_TIMEOUT)).and_then(|()| stream.write_all(&ports));
        }
        self.told = come.into_iter().map(|(_, stream)| stream).collect();
    }
}

fn decide(hello: &Hello, processes: usize) -> Result<(), Refusal> {
    let found = hello.terms.processes;
    if found != processes {
        let text = format!("the program is set to {found} processes, and {processes} were started");
        return Err(Refusal::final_because(text));
    }
    if hello.channel != Channel::Meeting || hello.from >= processes || hello.port == 0 {
        return Err(Refusal::final_because(format!("it calls itself process {}", hello.from)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::runtime::call::{CallError, call};
    use crate::runtime::handshake::Terms;

    fn visit(meeting: &Meeting, from: usize, processes: usize, token: &[u8]) -> Result<TcpStream, CallError> {
        let terms =
            Terms { processes, threads: 1, attempt: 1, job_name: "job".into(), program_version: "".into() };
        let port = 1000 + from as u16;
        let hello = Hello { channel: Channel::Meeting, from, port, has_secret: false, terms };
        call(&meeting.address, &hello, &Key::new(token, None).unwrap())
    }

    fn ports(mut stream: TcpStream) -> [u8; 4] {
        let mut ports = [0; 4];
        stream.read_exact(&mut ports).unwrap();
        ports
    }

    #[test]
    fn meeting_tells_those_who_were_invited_where_all_listen_and_nobody_else() {
        let meeting = Meeting::open(2).unwrap();
        let expected = [1000u16.to_le_bytes(), 1001u16.to_le_bytes()].concat();
        for _round in 0..2 {
            let stranger = visit(&meeting, 1, 2, &[0; PROOF_BYTES]).unwrap_err();
            assert!(matches!(stranger, CallError::Trouble(_)), "{stranger:?}");
            let other_job = visit(&meeting, 1, 3, meeting.token()).unwrap_err();
            assert!(matches!(other_job, CallError::Refused(_)), "{other_job:?}");
            let gave_up = visit(&meeting, 0, 2, meeting.token()).unwrap();
            drop(gave_up);
            let come = [0, 1].map(|from| visit(&meeting, from, 2, meeting.token()).unwrap());
            assert_eq!(
                come.map(ports).each_ref().map(|ports| ports.to_vec()),
                [expected.clone(), expected.clone()]
            );
        }
    }

    #[test]
    fn meeting_that_is_closed_ends_the_wait_of_those_who_came() {
        let meeting = Meeting::open(2).unwrap();
        let mut come = visit(&meeting, 0, 2, meeting.token()).unwrap();
        drop(meeting);
        assert_eq!(come.read(&mut [0; 4]).unwrap_or(0), 0);
    }
}
