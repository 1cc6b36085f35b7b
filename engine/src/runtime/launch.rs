//! Starting the other processes of a job on this machine, and joining one that was started so.
//!
//! The first process re-runs its own command line once per further process and tells each by environment
//! where to meet. Every process binds a port of its own choosing, so that nothing can take it in between.

use std::hash::{BuildHasher, Hasher};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::machine;
use crate::runtime::config::RuntimeConfig;
use crate::runtime::state::RunState;

const RENDEZVOUS_ENV: &str = "WATERWHEEL_RENDEZVOUS";
const INDEX_ENV: &str = "WATERWHEEL_CHILD_INDEX";
const TOKEN_ENV: &str = "WATERWHEEL_RUN_TOKEN";
/// How long processes that were told of a failure may take to end by themselves.
const GRACE: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(5);

/// This process's place in a cluster: its listening socket and everybody's address.
#[derive(Debug)]
pub(crate) struct Membership {
    pub(crate) me: usize,
    pub(crate) addresses: Vec<String>,
    pub(crate) listener: TcpListener,
    pub(crate) token: u64,
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
    if config.child_args.is_none() {
        only_once()?;
    }
    match std::env::var(RENDEZVOUS_ENV) {
        Ok(address) => meet(&address),
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
    Ok(Membership { me, addresses, listener, token: 0, relatives: Relatives::default() })
}

fn bind_local() -> Result<(TcpListener, String)> {
    let bound =
        TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr().map(|addr| (l, addr.to_string())));
    bound.map_err(|error| Error::config("can not listen on 127.0.0.1").caused_by(error))
}

/// The side of a process that was started by another.
fn meet(rendezvous: &str) -> Result<Membership> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (Some(me), Some(token)) = (number(INDEX_ENV), number(TOKEN_ENV)) else {
        return Err(Error::config(format!("{RENDEZVOUS_ENV} is set without {INDEX_ENV} and {TOKEN_ENV}")));
    };
    let (listener, address) = bind_local()?;
    let (addresses, parent) = exchange_addresses(rendezvous, me, token, &address)
        .map_err(|error| Error::peer(format!("lost process 0 ({rendezvous}) at start")).caused_by(error))?;
    let relatives = Relatives { parent: Some(parent), children: Vec::new(), met: Vec::new() };
    Ok(Membership { me: me as usize, addresses, listener, token, relatives })
}

/// Says where this process listens and hears where all do; the connection tells later when process 0 goes.
fn exchange_addresses(
    rendezvous: &str,
    me: u64,
    token: u64,
    address: &str,
) -> std::io::Result<(Vec<String>, TcpStream)> {
    let mut stream = TcpStream::connect(rendezvous)?;
    stream.write_all(&token.to_le_bytes())?;
    stream.write_all(format!("{me} {address}\n").as_bytes())?;
    let mut lines = BufReader::new(&stream).lines();
    let count = lines.next().ok_or(ErrorKind::UnexpectedEof)??;
    let count: usize = count.parse().map_err(std::io::Error::other)?;
    let addresses: Vec<String> = lines.take(count).collect::<Result<_, _>>()?;
    if addresses.len() < count {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    stream.set_nonblocking(true)?;
    Ok((addresses, stream))
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

/// The side of the first process.
fn start_children(config: &RuntimeConfig, run: &RunState) -> Result<Membership> {
    let (listener, address) = bind_local()?;
    let (meeting, meeting_address) = bind_local()?;
    let token = std::hash::RandomState::new().build_hasher().finish();
    let mut relatives = Relatives::default();
    for index in 1..config.processes {
        relatives.children.push((index, spawn(config, index, &meeting_address, token)?));
    }
    let mut addresses = vec![address];
    addresses.resize(config.processes, String::new());
    let wait = (config.connect_timeout, run);
    welcome(&meeting, token, &mut addresses, &mut relatives, wait)?;
    Ok(Membership { me: 0, addresses, listener, token, relatives })
}

fn spawn(config: &RuntimeConfig, index: usize, meeting: &str, token: u64) -> Result<Child> {
    let failed = |error| Error::config(format!("can not start process {index}")).caused_by(error);
    let program = std::env::current_exe().map_err(failed)?;
    let mut command = Command::new(program);
    match &config.child_args {
        Some(args) => command.args(args).stdout(Stdio::null()),
        None => command.args(std::env::args_os().skip(1)),
    };
    command.env(RENDEZVOUS_ENV, meeting).env(INDEX_ENV, index.to_string()).env(TOKEN_ENV, token.to_string());
    command.stdin(Stdio::null()).spawn().map_err(failed)
}

/// Waits for every child to say where it listens, then tells all of them everybody's address.
fn welcome(
    meeting: &TcpListener,
    token: u64,
    addresses: &mut [String],
    relatives: &mut Relatives,
    (timeout, run): (Duration, &RunState),
) -> Result<()> {
    let io = |error| Error::config("can not meet the other processes").caused_by(error);
    meeting.set_nonblocking(true).map_err(io)?;
    let start = machine::now();
    let met = &mut relatives.met;
    while met.len() + 1 < addresses.len() {
        check_alive(&mut relatives.children)?;
        if run.stopped() {
            run.outcome()?;
        }
        if start.elapsed() > timeout {
            return Err(Error::peer(format!(
                "only {} of {} processes started",
                met.len() + 1,
                addresses.len()
            )));
        }
        match meeting.accept() {
            Ok((stream, _)) => met.extend(greet(stream, token, addresses)),
            Err(_) => std::thread::park_timeout(POLL),
        }
    }
    let list = format!("{}\n{}\n", addresses.len(), addresses.join("\n"));
    for stream in met {
        stream.write_all(list.as_bytes()).map_err(io)?;
    }
    Ok(())
}

/// Reads one child's index and address; a stranger is dropped.
fn greet(mut stream: TcpStream, token: u64, addresses: &mut [String]) -> Option<TcpStream> {
    stream.set_nonblocking(false).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    let mut theirs = [0; 8];
    stream.read_exact(&mut theirs).ok()?;
    if theirs != token.to_le_bytes() {
        return None;
    }
    let mut line = Vec::new();
    let mut byte = [0];
    while line.len() < 128 {
        stream.read_exact(&mut byte).ok()?;
        if byte[0] == b'\n' {
            break;
        }
        line.push(byte[0]);
    }
    let text = String::from_utf8(line).ok()?;
    let (index, address) = text.split_once(' ')?;
    let slot = addresses.get_mut(index.parse::<usize>().ok()?)?;
    slot.is_empty().then(|| *slot = address.to_string())?;
    Some(stream)
}

/// The process that has started this one, and those that this one has started; the latter are killed when
/// they have not ended soon after this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Relatives {
    children: Vec<(usize, Child)>,
    /// The children's connections: each sees the end of its own when this process goes.
    met: Vec<TcpStream>,
    parent: Option<TcpStream>,
}

impl Relatives {
    /// Finds out whether one of them has gone before all were connected: nothing else would tell.
    ///
    /// # Errors
    /// Names the process that has gone.
    pub(crate) fn check_alive(&mut self) -> Result<()> {
        check_alive(&mut self.children)?;
        match self.parent.as_mut().map(|parent| parent.read(&mut [0])) {
            Some(Ok(_)) => Err(Error::peer("lost process 0 at start")),
            Some(Err(error)) if error.kind() != ErrorKind::WouldBlock => {
                Err(Error::peer("lost process 0 at start").caused_by(error))
            }
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

fn check_alive(children: &mut [(usize, Child)]) -> Result<()> {
    for (index, child) in children {
        if let Ok(Some(status)) = child.try_wait() {
            return Err(ended(*index, status, "before it joined"));
        }
    }
    Ok(())
}

fn ended(index: usize, status: ExitStatus, when: &str) -> Error {
    // Ctrl-C reaches all processes of a terminal, and a child perhaps before it can tell anybody.
    let kind = if interrupted(status) { crate::ErrorKind::Interrupted } else { crate::ErrorKind::Peer };
    Error::new(kind, format!("process {index} ended {when} with {status}"))
}

#[cfg(unix)]
fn interrupted(status: ExitStatus) -> bool {
    const SIGINT: i32 = 2;
    std::os::unix::process::ExitStatusExt::signal(&status) == Some(SIGINT)
}

#[cfg(not(unix))]
fn interrupted(_status: ExitStatus) -> bool {
    false
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
