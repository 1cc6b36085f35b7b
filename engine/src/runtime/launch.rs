//! Starting the other processes of a job on this machine, and joining one that was started so.
//!
//! The first process re-runs its own command line once per further process and tells each by environment
//! where to meet. Every process binds a port of its own choosing, so that nothing can take it in between.

use std::io::{ErrorKind, Read};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::machine;
use crate::runtime::call::{CallError, call};
use crate::runtime::config::RuntimeConfig;
use crate::runtime::handshake::{Channel, Hello};
use crate::runtime::meeting::{
    INDEX_ENV, LAUNCHED_ENV, Meeting, RENDEZVOUS_ENV, Rounds, TOKEN_ENV, bind_local,
};
use crate::runtime::secret::{Key, PROOF_BYTES};
use crate::runtime::state::RunState;

/// How long processes that were told of a failure may take to end by themselves.
const GRACE: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(5);

/// This process's place in a cluster: its listening socket and everybody's address.
#[derive(Debug)]
pub(crate) struct Membership {
    pub(crate) me: usize,
    pub(crate) addresses: Vec<String>,
    pub(crate) listener: TcpListener,
    /// What processes that were started together know; empty for those that were started one by one.
    pub(crate) token: Vec<u8>,
    pub(crate) relatives: Relatives,
}

/// Index of this process, if another one has started it to run a job together.
pub fn started_as() -> Option<usize> {
    std::env::var(RENDEZVOUS_ENV).ok()?;
    std::env::var(INDEX_ENV).ok()?.parse().ok()
}

/// Finds this process's place: given by index, met by rendezvous, or first of those it starts itself.
pub(crate) fn join_cluster(config: &RuntimeConfig, run: &RunState) -> Result<Membership> {
    if let Some(me) = config.process {
        return by_address(config, me);
    }
    if config.child_args.is_none() && std::env::var_os(LAUNCHED_ENV).is_none() {
        only_once()?;
    }
    match std::env::var(RENDEZVOUS_ENV) {
        Ok(address) => meet(Invitation::from_env(address)?, Relatives::default(), config, run),
        Err(_) => start_children(config, run),
    }
}

fn by_address(config: &RuntimeConfig, me: usize) -> Result<Membership> {
    let local = |i| format!("127.0.0.1:{}", 2101 + i);
    let addresses = match config.addresses.is_empty() {
        true => (0..config.processes).map(local).collect(),
        false => config.addresses[..config.processes].to_vec(),
    };
    let listener = TcpListener::bind(&addresses[me])
        .map_err(|error| Error::config(format!("can not listen on {}", addresses[me])).caused_by(error))?;
    Ok(Membership { me, addresses, listener, token: Vec::new(), relatives: Relatives::default() })
}

/// Where to meet, as which process, and what to prove there.
struct Invitation {
    address: String,
    me: usize,
    token: Vec<u8>,
}

impl Invitation {
    fn from_env(address: String) -> Result<Self> {
        let me = std::env::var(INDEX_ENV).ok().and_then(|text| text.parse().ok());
        let token = std::env::var(TOKEN_ENV).ok().and_then(|text| parse_hex(&text));
        match (me, token) {
            (Some(me), Some(token)) => Ok(Invitation { address, me, token }),
            _ => Err(Error::config(format!("{RENDEZVOUS_ENV} is set without {INDEX_ENV} and {TOKEN_ENV}"))),
        }
    }
}

fn parse_hex(text: &str) -> Option<Vec<u8>> {
    let is_token = text.len() == 2 * PROOF_BYTES && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let byte = |at| u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok();
    if is_token { (0..PROOF_BYTES).map(byte).collect() } else { None }
}

/// Says where this process listens and hears where all do; the connection tells later when the other side
/// goes.
fn meet(
    invitation: Invitation,
    mut relatives: Relatives,
    config: &RuntimeConfig,
    run: &RunState,
) -> Result<Membership> {
    let Invitation { address, me, token } = invitation;
    let (listener, own_address) = bind_local()?;
    let port = own_address.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(0);
    let hello = Hello { channel: Channel::Meeting, from: me, port, has_secret: false, terms: config.terms() };
    let stream = call(&address, &hello, &Key::new(&token, None)?).map_err(|error| match error {
        CallError::Refused(reason) => Error::config(format!("turned away by who started it: {reason}")),
        CallError::NoAnswer(text) | CallError::Trouble(text) => lost(Some(&address)).caused_by(text),
    })?;
    stream.set_nonblocking(true).map_err(|error| lost(Some(&address)).caused_by(error))?;
    let ports = hear_ports(&stream, (&mut relatives, &address), config, run)?;
    relatives.parent = Some(stream);
    let addresses = ports.into_iter().map(|port| format!("127.0.0.1:{port}")).collect();
    Ok(Membership { me, addresses, listener, token, relatives })
}

/// Waits for the list of ports.
fn hear_ports(
    mut stream: &TcpStream,
    (relatives, address): (&mut Relatives, &str),
    config: &RuntimeConfig,
    run: &RunState,
) -> Result<Vec<u16>> {
    let mut list = vec![0; 2 * config.processes];
    let (mut n_read, start) = (0, machine::now());
    while n_read < list.len() {
        relatives.check_alive()?;
        if run.stopped() {
            run.outcome()?;
        }
        if start.elapsed() > config.connect_timeout {
            let (n, time) = (config.processes, start.elapsed());
            return Err(Error::peer(format!("not all of {n} processes have started within {time:.1?}")));
        }
        match stream.read(&mut list[n_read..]) {
            Ok(0) => return Err(lost(Some(address))),
            Ok(n) => n_read += n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::park_timeout(POLL),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(lost(Some(address)).caused_by(error)),
        }
    }
    Ok(list.chunks_exact(2).map(|port| u16::from_le_bytes([port[0], port[1]])).collect())
}

/// The process that has started this one has gone before all were connected.
fn lost(address: Option<&str>) -> Error {
    let who = if std::env::var_os(LAUNCHED_ENV).is_some() { "the starting process" } else { "process 0" };
    let address = address.map(|address| format!(" ({address})")).unwrap_or_default();
    Error::peer(format!("lost {who}{address} at start"))
}

/// Whether this program has run a job with processes that repeat its command line.
static STARTED: AtomicBool = AtomicBool::new(false);

/// Refuses a second job: its new processes would come upon the first job of the program again.
fn only_once() -> Result<()> {
    match STARTED.swap(true, Ordering::SeqCst) {
        false => Ok(()),
        true => Err(Error::config(
            "a program can start its processes for one job only; give each process its index for more",
        )),
    }
}

/// The side of the first process: it starts the others, and meets them as one of them.
fn start_children(config: &RuntimeConfig, run: &RunState) -> Result<Membership> {
    let meeting = Meeting::open_for(config.processes, Rounds::One)?;
    let invitation =
        Invitation { address: meeting.address().to_string(), me: 0, token: meeting.token().to_vec() };
    let mut relatives = Relatives::default();
    for index in 1..config.processes {
        relatives.children.push((index, spawn(config, index, &meeting)?));
    }
    relatives.meeting = Some(meeting);
    meet(invitation, relatives, config, run)
}

fn spawn(config: &RuntimeConfig, index: usize, meeting: &Meeting) -> Result<Child> {
    let failed = |error| Error::config(format!("can not start process {index}")).caused_by(error);
    let program = std::env::current_exe().map_err(failed)?;
    let mut command = Command::new(program);
    match &config.child_args {
        Some(args) => command.args(args).stdout(Stdio::null()),
        None => command.args(std::env::args_os().skip(1)),
    };
    command.envs(meeting.invitation(index)).stdin(Stdio::null()).spawn().map_err(failed)
}

/// The process that has started this one, and those that this one has started; the latter are killed when
/// they have not ended soon after this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Relatives {
    children: Vec<(usize, Child)>,
    /// Where the children have met: each sees the end of its connection when this process goes.
    meeting: Option<Meeting>,
    parent: Option<TcpStream>,
}

impl Relatives {
    /// Finds out whether one of them has gone before all were connected: nothing else would tell.
    ///
    /// # Errors
    /// Names the process that has gone.
    pub(crate) fn check_alive(&mut self) -> Result<()> {
        for (index, child) in &mut self.children {
            if let Ok(Some(status)) = child.try_wait() {
                return Err(ended(*index, status, "before it joined"));
            }
        }
        match self.parent.as_mut().map(|parent| parent.read(&mut [0])) {
            Some(Ok(_)) => Err(lost(None)),
            Some(Err(error)) if error.kind() != ErrorKind::WouldBlock => Err(lost(None).caused_by(error)),
            _ => Ok(()),
        }
    }

    /// Waits for all children to end after a run that went well.
    pub(crate) fn wait(&mut self) -> Result<()> {
        for (index, mut child) in std::mem::take(&mut self.children) {
            let status = child
                .wait()
                .map_err(|error| Error::peer(format!("can not wait for process {index}")).caused_by(error))?;
            if !status.success() {
                return Err(ended(index, status, "after the run"));
            }
        }
        Ok(())
    }
}

fn ended(index: usize, status: ExitStatus, when: &str) -> Error {
    // Ctrl-C reaches all processes of a terminal, and a child perhaps before it can tell anybody.
    let kind = if interrupted(status) { crate::ErrorKind::Interrupted } else { crate::ErrorKind::Peer };
    Error::new(kind, format!("process {index} ended {when} with {status}"))
}

/// Whether a process has ended by Ctrl-C: by the signal, or by the exit code that says so.
fn interrupted(status: ExitStatus) -> bool {
    const SIGINT: i32 = 2;
    #[cfg(unix)]
    if std::os::unix::process::ExitStatusExt::signal(&status) == Some(SIGINT) {
        return true;
    }
    status.code() == Some(128 + SIGINT)
}

impl Drop for Relatives {
    fn drop(&mut self) {
        let start = machine::now();
        for (_, child) in &mut self.children {
            while start.elapsed() < GRACE && matches!(child.try_wait(), Ok(None)) {
                std::thread::park_timeout(POLL);
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
