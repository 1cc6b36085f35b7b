//! Processes under test: their output, their end, and a limit on how long both may take.

use std::io::Read;
use std::net::Ipv4Addr;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use waterwheel::engine::machine;

/// How long anything in these tests may take; then it hangs.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Runs `f` on a thread of its own; panics if it has not ended within [`LIMIT`].
pub(crate) fn within_limit<R: Send + 'static>(what: &str, f: impl FnOnce() -> R + Send + 'static) -> R {
    let (tell, told) = std::sync::mpsc::channel();
    let thread = std::thread::Builder::new().name(what.into()).spawn(move || {
        let result = f();
        let _ = tell.send(());
        result
    });
    let thread = thread.unwrap();
    if told.recv_timeout(LIMIT) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
        panic!("{what}: still running after {LIMIT:?}");
    }
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Waits until `done` gives a value; panics with `what` if that takes longer than [`LIMIT`].
pub(crate) fn wait_until<R>(what: &str, mut done: impl FnMut() -> Option<R>) -> R {
    let start = machine::now();
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(start.elapsed() < LIMIT, "waited {LIMIT:?} for {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// What a stream of a process has said so far.
#[derive(Default)]
struct Said {
    bytes: Mutex<(Vec<u8>, bool)>,
    changed: Condvar,
}

impl Said {
    fn listen(mut stream: impl Read + Send + 'static) -> Arc<Self> {
        let said = Arc::new(Said::default());
        let ours = Arc::clone(&said);
        let listen = move || {
            let mut chunk = [0; 4096];
            loop {
                let n = stream.read(&mut chunk).unwrap_or(0);
                let mut bytes = ours.bytes.lock().unwrap();
                bytes.0.extend_from_slice(&chunk[..n]);
                bytes.1 = n == 0;
                ours.changed.notify_all();
                if n == 0 {
                    return;
                }
            }
        };
        std::thread::Builder::new().spawn(listen).unwrap();
        said
    }

    /// Waits until the text holds `what`, or with `None` until the stream is closed; false after `limit`.
    fn wait_for(&self, what: Option<&str>, limit: Duration) -> bool {
        let missing = |(bytes, closed): &mut (Vec<u8>, bool)| match what {
            Some(what) => !*closed && !String::from_utf8_lossy(bytes).contains(what),
            None => !*closed,
        };
        let bytes = self.bytes.lock().unwrap();
        let (bytes, timeout) = self.changed.wait_timeout_while(bytes, limit, missing).unwrap();
        !timeout.timed_out() && what.is_none_or(|what| String::from_utf8_lossy(&bytes.0).contains(what))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap().0).into_owned()
    }
}

/// A process that runs, the leader of its own group. Killed with its group when dropped.
pub(crate) struct Running {
    what: String,
    child: Child,
    out: Option<Arc<Said>>,
    err: Option<Arc<Said>>,
}

/// How a process and all that it had started have ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Running {
    /// Starts a process. Its standard output and error are kept, unless `command` sends them elsewhere by
    /// way of a shell.
    pub(crate) fn start(command: &mut Command) -> Self {
        let what = format!("{command:?}");
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{what}: {error}"));
        let out = child.stdout.take().map(Said::listen);
        let err = child.stderr.take().map(Said::listen);
        Running { what, child, out, err }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the standard output holds `text`.
    pub(crate) fn wait_for_output(&self, text: &str) {
        let seen = self.out.as_ref().is_some_and(|said| said.wait_for(Some(text), LIMIT));
        assert!(seen, "{}: no {text:?} in its output\n{}", self.what, self.said());
    }

    /// The processes that this one has started, once there are `n`.
    pub(crate) fn children(&self, n: usize) -> Vec<u32> {
        wait_until("children", || Some(children_of(self.pid())).filter(|pids| pids.len() == n))
    }

    /// Sends a signal to this process.
    pub(crate) fn signal(&self, signal: &str) {
        send_signal(signal, &self.pid().to_string());
    }

    /// Sends a signal to this process and all that it has started.
    ///
    /// Tests that run in the background of a shell ignore interrupts, and so do the processes that they start, until
    /// these have a handler; then the signal waits for that, for it would be lost.
    pub(crate) fn signal_group(&self, signal: &str) {
        if signal == "INT" && has_interrupt("self", "SigIgn:") == Some(true) {
            let pid = self.pid().to_string();
            // A process that has ended has no signals any more.
            wait_until("a handler of interrupts", || {
                has_interrupt(&pid, "SigCgt:").is_none_or(|caught| caught).then_some(())
            });
        }
        send_signal(signal, &format!("-{}", self.pid()));
    }

    /// Whether this process and all others that write to its output have ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.out.as_ref().is_some_and(|said| said.bytes.lock().unwrap().1)
    }

    /// Waits for the end of this process and of all others that write to its streams.
    pub(crate) fn finish(mut self) -> Finished {
        let closed = |said: &Option<Arc<Said>>| said.as_ref().is_none_or(|said| said.wait_for(None, LIMIT));
        assert!(
            closed(&self.out) && closed(&self.err),
            "{}: no end within {LIMIT:?}\n{}",
            self.what,
            self.said()
        );
        let child = &mut self.child;
        let status = wait_until(&self.what, || child.try_wait().unwrap());
        let text = |said: &Option<Arc<Said>>| said.as_ref().map(|said| said.text()).unwrap_or_default();
        Finished { status, out: text(&self.out), err: text(&self.err) }
    }

    fn said(&self) -> String {
        let text = |said: &Option<Arc<Said>>| said.as_ref().map(|said| said.text()).unwrap_or_default();
        format!("--- stdout\n{}\n--- stderr\n{}", text(&self.out), text(&self.err))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal_group("KILL");
            let _ = self.child.wait();
        }
    }
}

impl Finished {
    /// The exit code; `None` after a signal.
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The signal that ended it.
    pub(crate) fn signal(&self) -> Option<i32> {
        self.status.signal()
    }
}

/// Whether a set of signals of a process, in the words of `/proc/PID/status`, has SIGINT.
fn has_interrupt(pid: &str, set: &str) -> Option<bool> {
    const SIGINT: u64 = 1 << (2 - 1);
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let signals = status.lines().find_map(|line| line.strip_prefix(set))?;
    Some(u64::from_str_radix(signals.trim(), 16).ok()? & SIGINT != 0)
}

fn children_of(pid: u32) -> Vec<u32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists = threads.flatten().map(|thread| std::fs::read_to_string(thread.path().join("children")));
    lists.flatten().flat_map(|list| list.split(' ').flat_map(str::parse).collect::<Vec<_>>()).collect()
}

/// Sends a signal by name to a process, or to a group when `target` begins with a minus. A target that has
/// ended is none any more.
pub(crate) fn send_signal(signal: &str, target: &str) {
    let kill = format!("kill -s {signal} -- {target}");
    Command::new("sh").args(["-c", &kill]).stderr(Stdio::null()).status().unwrap();
}

/// `n` addresses on this machine that no other process uses: loopback has more than one host.
pub(crate) fn free_addresses(n: u16) -> Vec<String> {
    static NEXT_PORT: AtomicU16 = AtomicU16::new(20_000);
    let (pid, port) = (std::process::id(), NEXT_PORT.fetch_add(n, Ordering::Relaxed));
    let host = Ipv4Addr::from_bits(0x7f40_0000 | pid & 0x3f_ffff);
    (0..n).map(|i| format!("{host}:{}", port + i)).collect()
}

/// How long something took, for the log of the test.
pub(crate) fn report_time(what: &str, since: Instant) -> Duration {
    let took = since.elapsed();
    println!("{what}: {took:.3?}");
    took
}
