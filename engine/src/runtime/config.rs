//! How many threads and processes a job runs on.

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::flow::FlowState;
use crate::runtime::state::{RunState, lock};

/// Where a job runs: worker threads, processes, addresses.
///
/// | setting | flag | environment | default | valid |
/// |---|---|---|---|---|
/// | worker threads per process | `-w`, `--threads` | `WATERWHEEL_THREADS` | 1 | 1..=1024 |
/// | processes | `-n`, `--processes` | `WATERWHEEL_PROCESSES` | 1 | 1..=1024 |
/// | index of this process | `-p`, `--process` | `WATERWHEEL_PROCESS` | none: start all processes here | below processes |
/// | file with one `host:port` a line | `--hostfile` | `WATERWHEEL_HOSTFILE` | 127.0.0.1, ports from 2101 | one line a process |
/// | records in flight on one exchange | `--max-in-flight` | `WATERWHEEL_MAX_IN_FLIGHT` | 262144 | 0 (no limit) or more |
///
/// A flag wins over the environment. With more than one process and no index, [`execute`](crate::execute)
/// makes this process number 0 and starts the others itself, on this machine, with the same command line; a
/// program can do that once.
#[derive(Clone, Debug)]
pub struct RuntimeConfig {
    pub(crate) threads: usize,
    pub(crate) processes: usize,
    pub(crate) process: Option<usize>,
    pub(crate) addresses: Vec<String>,
    pub(crate) connect_timeout: Duration,
    pub(crate) child_args: Option<Vec<String>>,
    pub(crate) stop: StopHandle,
    pub(crate) max_in_flight_records: usize,
    pub(crate) flow_state: FlowState,
}

/// Upper limit of threads and of processes.
const MAX_PARALLELISM: usize = 1024;

impl Default for RuntimeConfig {
    fn default() -> Self {
        RuntimeConfig {
            threads: 1,
            processes: 1,
            process: None,
            addresses: Vec::new(),
            connect_timeout: Duration::from_secs(30),
            child_args: None,
            stop: StopHandle::default(),
            max_in_flight_records: RuntimeConfig::DEFAULT_MAX_IN_FLIGHT_RECORDS,
            flow_state: FlowState::default(),
        }
    }
}

impl RuntimeConfig {
    /// The flags that [`from_args`](Self::from_args) reads, for a program's help text.
    pub const HELP: &str = "\
  -w, --threads N      worker threads per process [env: WATERWHEEL_THREADS] [default: 1]
  -n, --processes N    processes; without -p all are started here [env: WATERWHEEL_PROCESSES] [default: 1]
  -p, --process I      index of this process, from 0 [env: WATERWHEEL_PROCESS]
      --hostfile FILE  one host:port a line, in order of process index [env: WATERWHEEL_HOSTFILE]
      --max-in-flight N  records in flight on one exchange, 0 for no limit [env: WATERWHEEL_MAX_IN_FLIGHT] [default: 262144]";

    /// Default of [`max_in_flight_records`](Self::max_in_flight_records): enough to keep all readers of an
    /// exchange busy, little enough to be forgotten.
    pub const DEFAULT_MAX_IN_FLIGHT_RECORDS: usize = 256 << 10;

    /// One process with `n` worker threads.
    pub fn threads(n: usize) -> Self {
        RuntimeConfig { threads: n, ..Self::default() }
    }

    /// Sets the number of processes.
    #[must_use]
    pub fn processes(mut self, n: usize) -> Self {
        self.processes = n;
        self
    }

    /// Sets the index of this process; `None` starts all processes from here.
    #[must_use]
    pub fn process(mut self, index: Option<usize>) -> Self {
        self.process = index;
        self
    }

    /// Sets the address (`host:port`) of every process, in order of index.
    #[must_use]
    pub fn addresses(mut self, addresses: Vec<String>) -> Self {
        self.addresses = addresses;
        self
    }

    /// Sets how long to wait for the other processes at the start. Default 30 s.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets the arguments of the processes that are started here; by default those of this process.
    ///
    /// For programs whose own arguments would make a child do something else, such as a test runner.
    #[must_use]
    pub fn child_args(mut self, args: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.child_args = Some(args.into_iter().map(Into::into).collect());
        self
    }

    /// Sets the handle that can stop the run from another thread.
    #[must_use]
    pub fn stop_handle(mut self, stop: StopHandle) -> Self {
        self.stop = stop;
        self
    }

    /// Sets how many records may be in flight on one exchange or feedback edge, over all processes, before
    /// the sources it descends from are held. They go on when half of them have been read.
    ///
    /// Default 262,144. Valid: any number; 0 counts nothing and holds nobody. Give every process the same.
    ///
    /// Sources read in turns, so there may be a few thousand records more for each worker. Below a few
    /// thousand records the job works in small steps, and slower.
    #[must_use]
    pub fn max_in_flight_records(mut self, records: usize) -> Self {
        self.max_in_flight_records = records;
        self
    }

    /// Sets the handle that shows what is in flight on which exchange while the job runs.
    #[must_use]
    pub fn flow_state(mut self, state: FlowState) -> Self {
        self.flow_state = state;
        self
    }

    /// Number of workers of the whole job: threads times processes.
    pub fn workers(&self) -> usize {
        self.threads * self.processes
    }

    /// Reads the flags of the table above from `args` (without the program name) and the environment, and
    /// returns the arguments that are not among them, in order.
    ///
    /// # Errors
    /// A flag without its value, a value that is no number or out of range, a hostfile that can not be read
    /// or has too few lines.
    ///
    /// # Examples
    /// ```
    /// use waterwheel_engine::RuntimeConfig;
    /// let args = ["-w", "2", "ratings.csv"].map(String::from);
    /// let (config, rest) = RuntimeConfig::from_args(args)?;
    /// assert_eq!((config.workers(), rest), (2, vec!["ratings.csv".to_string()]));
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    pub fn from_args(args: impl IntoIterator<Item = String>) -> Result<(Self, Vec<String>)> {
        let mut flags = Flags::from_env();
        let mut rest = Vec::new();
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            let (name, inline) = match arg.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name.to_string(), Some(value.to_string())),
                _ => (arg.clone(), None),
            };
            let Some(slot) = flags.slot(&name) else {
                rest.push(arg);
                continue;
            };
            let value = inline.or_else(|| args.next());
            *slot = Some(value.ok_or_else(|| Error::config(format!("flag {name} needs a value")))?);
        }
        Ok((flags.into_config()?, rest))
    }

    /// Reads the addresses of a hostfile: one `host:port` a line; empty lines and those that start with `#`
    /// are skipped.
    ///
    /// # Errors
    /// The file can not be read, has no line, or a line that is no `host:port`.
    pub fn read_hostfile(path: &str) -> Result<Vec<String>> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Error::config(format!("can not read hostfile {path}")).caused_by(error))?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let addresses: Vec<String> = lines.map(String::from).collect();
        if addresses.is_empty() {
            return Err(Error::config(format!(
                "hostfile {path} has no address, expected one host:port a line"
            )));
        }
        let is_address = |line: &&String| {
            line.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        };
        match addresses.iter().find(|line| !is_address(line)) {
            Some(line) => {
                Err(Error::config(format!("hostfile {path}: found \"{line}\", expected host:port")))
            }
            None => Ok(addresses),
        }
    }

    /// Checks the settings against each other.
    ///
    /// # Errors
    /// A count of zero or above 1024, an index that is not below the number of processes, fewer addresses
    /// than processes.
    pub fn validate(&self) -> Result<()> {
        for (what, n) in [("worker threads", self.threads), ("processes", self.processes)] {
            if n == 0 || n > MAX_PARALLELISM {
                return Err(Error::config(format!("{what}: found {n}, expected 1 to {MAX_PARALLELISM}")));
            }
        }
        if let Some(index) = self.process
            && index >= self.processes
        {
            let n = self.processes;
            let text = format!("process index: found {index}, expected 0 to {}; -n sets the number", n - 1);
            return Err(Error::config(text));
        }
        if !self.addresses.is_empty() && self.process.is_none() && self.processes > 1 {
            return Err(Error::config("addresses are given: expected the index of this process too (-p)"));
        }
        if !self.addresses.is_empty() && self.addresses.len() < self.processes {
            let (found, n) = (self.addresses.len(), self.processes);
            return Err(Error::config(format!("{n} processes need {n} addresses, found {found}")));
        }
        Ok(())
    }
}

/// Values of the flags as text, before they are checked.
struct Flags {
    threads: Option<String>,
    processes: Option<String>,
    process: Option<String>,
    hostfile: Option<String>,
    max_in_flight: Option<String>,
}

impl Flags {
    fn from_env() -> Self {
        let read = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Flags {
            threads: read("WATERWHEEL_THREADS"),
            processes: read("WATERWHEEL_PROCESSES"),
            process: read("WATERWHEEL_PROCESS"),
            hostfile: read("WATERWHEEL_HOSTFILE"),
            max_in_flight: read("WATERWHEEL_MAX_IN_FLIGHT"),
        }
    }

    fn slot(&mut self, name: &str) -> Option<&mut Option<String>> {
        match name {
            "-w" | "--threads" => Some(&mut self.threads),
            "-n" | "--processes" => Some(&mut self.processes),
            "-p" | "--process" => Some(&mut self.process),
            "--hostfile" => Some(&mut self.hostfile),
            "--max-in-flight" => Some(&mut self.max_in_flight),
            _ => None,
        }
    }

    fn into_config(self) -> Result<RuntimeConfig> {
        let number = |what: &str, value: Option<String>| {
            let parse = |text: String| {
                text.parse::<usize>()
                    .map_err(|_| Error::config(format!("{what}: found \"{text}\", expected a number")))
            };
            value.map(parse).transpose()
        };
        let config = RuntimeConfig {
            threads: number("--threads", self.threads)?.unwrap_or(1),
            processes: number("--processes", self.processes)?.unwrap_or(1),
            process: number("--process", self.process)?,
            max_in_flight_records: number("--max-in-flight", self.max_in_flight)?
                .unwrap_or(RuntimeConfig::DEFAULT_MAX_IN_FLIGHT_RECORDS),
            addresses: self.hostfile.map_or(Ok(Vec::new()), |path| RuntimeConfig::read_hostfile(&path))?,
            ..RuntimeConfig::default()
        };
        config.validate()?;
        Ok(config)
    }
}

/// Stops runs from another thread, for example on Ctrl-C.
///
/// Clones stop the same runs. A run that starts after the stop ends at once.
#[derive(Clone, Default)]
pub struct StopHandle {
    shared: Arc<Mutex<StopState>>,
}

#[derive(Default)]
struct StopState {
    stopped: bool,
    runs: Vec<Weak<RunState>>,
}

impl StopHandle {
    /// A handle that stops nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends every run that was started with this handle; each returns [`ErrorKind::Interrupted`].
    pub fn stop(&self) {
        let runs = {
            let mut state = lock(&self.shared);
            state.stopped = true;
            std::mem::take(&mut state.runs)
        };
        for run in runs.iter().filter_map(Weak::upgrade) {
            run.fail(interrupted());
        }
    }

    pub(crate) fn watch(&self, run: &Arc<RunState>) {
        let mut state = lock(&self.shared);
        if state.stopped {
            run.fail(interrupted());
        }
        state.runs.push(Arc::downgrade(run));
    }
}

fn interrupted() -> Error {
    Error::new(ErrorKind::Interrupted, "the run was stopped on request")
}

impl std::fmt::Debug for StopHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StopHandle").field("stopped", &lock(&self.shared).stopped).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<(RuntimeConfig, Vec<String>)> {
        RuntimeConfig::from_args(args.iter().map(ToString::to_string))
    }

    #[test]
    fn from_args_takes_its_flags_and_leaves_the_rest() {
        let (config, rest) = parse(&["a", "-w", "3", "--processes=2", "-p", "1", "-h"]).unwrap();
        assert_eq!((config.threads, config.processes, config.process), (3, 2, Some(1)));
        assert_eq!(rest, ["a", "-h"]);
        assert_eq!(config.max_in_flight_records, RuntimeConfig::DEFAULT_MAX_IN_FLIGHT_RECORDS);
        assert_eq!(parse(&["--max-in-flight", "0"]).unwrap().0.max_in_flight_records, 0);
    }

    #[test]
    fn from_args_names_the_bad_value() {
        assert_eq!(
            parse(&["-w", "two"]).unwrap_err().message(),
            "--threads: found \"two\", expected a number"
        );
        assert_eq!(parse(&["-w"]).unwrap_err().message(), "flag -w needs a value");
        assert!(parse(&["-n", "2", "-p", "2"]).unwrap_err().message().contains("expected 0 to 1"));
        assert!(parse(&["-w", "0"]).unwrap_err().message().contains("found 0, expected 1 to 1024"));
    }
}
