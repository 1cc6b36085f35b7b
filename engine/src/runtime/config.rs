//! How many threads and processes a job runs on.

mod cache;
mod flags;
mod handles;
mod hosts;
mod size;
mod validate;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use handles::RunHandles;
pub use size::ByteSize;

use crate::bad_record::BadRecordState;
use crate::checkpoint::CheckpointConfig;
use crate::error::Result;
use crate::event::LateRecordState;
use crate::feedback::LoopState;
use crate::flow::FlowState;
use crate::metrics::JobMetrics;
use crate::runtime::handshake::{MAX_JOB_NAME_BYTES, Terms};
use crate::runtime::secret::Secret;
use crate::runtime::stop::StopHandle;

/// Where a job runs: worker threads, processes, addresses.
///
/// | setting | flag | environment | default | valid |
/// |---|---|---|---|---|
/// | worker threads per process | `-w`, `--threads` | `WATERWHEEL_THREADS` | 1 | 1..=1024 |
/// | processes | `-n`, `--processes` | `WATERWHEEL_PROCESSES` | 1 | 1..=1024 |
/// | index of this process | `-p`, `--process` | `WATERWHEEL_PROCESS` | none: start all processes here | below processes |
/// | file with one `host:port` a line | `--hostfile` | `WATERWHEEL_HOSTFILE` | 127.0.0.1, ports from 2101 | one line a process |
/// | time to wait for the others at the start, seconds | `--connect-timeout` | `WATERWHEEL_CONNECT_TIMEOUT` | 30 | 0 or more |
/// | silence that makes a process count as hung, seconds | `--heartbeat-timeout` | `WATERWHEEL_HEARTBEAT_TIMEOUT` | 10 | 0 (never), or 1 or more |
/// | file with the shared secret | `--secret-file` | `WATERWHEEL_SECRET_FILE`, or the secret itself in `WATERWHEEL_SECRET` | none | 16 bytes or more |
/// | machines without a secret | `--allow-insecure` | `WATERWHEEL_ALLOW_INSECURE` | false | true, false |
/// | name of the job | `--job-name` | `WATERWHEEL_JOB_NAME` | file name of the program | 1 to 64 bytes |
/// | version of the program | | | empty | up to 32 bytes |
/// | number of the attempt | `--attempt` | `WATERWHEEL_ATTEMPT` | 1 | any |
/// | records in flight on one exchange | `--max-in-flight` | `WATERWHEEL_MAX_IN_FLIGHT` | 262144 | 0 (no limit) or more |
/// | memory for data caches per process, bytes | `--cache-memory` | `WATERWHEEL_CACHE_MEMORY` | 1G | 0 (all on disk) or more; K, M, G and T are allowed |
/// | address of the admin port | `--admin` | `WATERWHEEL_ADMIN` | none | `host:port`, this machine's unless insecure is allowed |
/// | directory of data caches | `--cache-dir` | `WATERWHEEL_CACHE_DIR` | the system's for temporary files | a path |
///
/// The flags of checkpoints are those of [`CheckpointConfig`].
///
/// All processes must agree on the numbers of processes and threads, job name, program version, attempt and
/// secret; one that does not is refused. They must also build the same graph: one that does not ends the run.
///
/// **Who can join.** By default processes listen on the loopback interface only. Addresses of other machines
/// need a shared secret, or [`allow_insecure`](Self::allow_insecure): without one, whoever reaches a port can
/// join the run, and records are decoded from what it sends. The secret is proved when processes connect and
/// never sent; what they say afterwards is neither encrypted nor signed.
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
    pub(crate) heartbeat_timeout: Duration,
    pub(crate) secret: Option<Secret>,
    pub(crate) allow_insecure: bool,
    pub(crate) job_name: String,
    pub(crate) program_version: String,
    pub(crate) attempt: u64,
    pub(crate) child_args: Option<Vec<String>>,
    pub(crate) stop: StopHandle,
    pub(crate) max_in_flight_records: usize,
    pub(crate) flow_state: FlowState,
    pub(crate) loop_state: Option<LoopState>,
    pub(crate) job_metrics: Option<JobMetrics>,
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) cache_memory_bytes: u64,
    pub(crate) cache_dir: Option<PathBuf>,
    pub(crate) bad_record_state: BadRecordState,
    pub(crate) late_record_state: LateRecordState,
    pub(crate) checkpoints: Option<CheckpointConfig>,
}

/// Upper limit of threads and of processes.
pub(crate) const MAX_PARALLELISM: usize = 1024;
impl Default for RuntimeConfig {
    fn default() -> Self {
        RuntimeConfig {
            threads: 1,
            processes: 1,
            process: None,
            addresses: Vec::new(),
            connect_timeout: Duration::from_secs(30),
            heartbeat_timeout: Duration::from_secs(10),
            secret: None,
            allow_insecure: false,
            job_name: program_name(),
            program_version: String::new(),
            attempt: 1,
            child_args: None,
            stop: StopHandle::default(),
            max_in_flight_records: RuntimeConfig::DEFAULT_MAX_IN_FLIGHT_RECORDS,
            flow_state: FlowState::default(),
            loop_state: None,
            job_metrics: None,
            admin: None,
            cache_memory_bytes: RuntimeConfig::DEFAULT_CACHE_MEMORY_BYTES,
            cache_dir: None,
            bad_record_state: BadRecordState::default(),
            late_record_state: LateRecordState::default(),
            checkpoints: None,
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
      --secret-file FILE       secret that all processes share [env: WATERWHEEL_SECRET_FILE]
      --allow-insecure         let processes on other machines join without a secret
      --job-name NAME          name that all processes must agree on [default: name of the program]
      --attempt N              number of this attempt at the job [env: WATERWHEEL_ATTEMPT] [default: 1]
      --connect-timeout SECS   time to wait for the other processes at the start [default: 30]
      --heartbeat-timeout SECS silence after which a process counts as hung; 0: never [default: 10]
      --max-in-flight N  records in flight on one exchange, 0 for no limit [env: WATERWHEEL_MAX_IN_FLIGHT] [default: 262144]
      --admin HOST:PORT  show the running job there by HTTP; process I takes PORT + I [env: WATERWHEEL_ADMIN]
      --cache-memory SIZE  memory for data caches per process, 0 for none [env: WATERWHEEL_CACHE_MEMORY] [default: 1G]
      --cache-dir DIR      where data caches put what does not fit [env: WATERWHEEL_CACHE_DIR] [default: temporary files]
      --checkpoint-dir DIR       make checkpoints there, and go on from them [env: WATERWHEEL_CHECKPOINT_DIR]
      --checkpoint-interval SECS time from one checkpoint to the next [default: 10]
      --checkpoint-rounds N      also a checkpoint behind so many rounds of a bounded iteration
      --checkpoint-retain N      checkpoints that are kept [default: 2]
      --on-missing-checkpoint X  where all checkpoints are lost: fail, or begin fresh [default: fail]
      --from-checkpoint X        go on from this epoch or savepoint [default: the newest checkpoint]
      --allow-unmatched-state    drop state of operators that the job no longer has";

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

    /// Sets after which silence another process counts as hung, which ends the run.
    ///
    /// Default 10 s. Valid: zero, which is never, or 1 s and more. A process sends a sign of life five times a
    /// second whatever its workers do, so a slow operator is not silent. A process that was itself suspended
    /// and goes on does not count its own absence as silence of the others.
    #[must_use]
    pub fn heartbeat_timeout(mut self, timeout: Duration) -> Self {
        self.heartbeat_timeout = timeout;
        self
    }

    /// Sets the secret that every process of the run must know. Default none. Valid: 16 bytes or more.
    #[must_use]
    pub fn secret(mut self, secret: impl Into<Vec<u8>>) -> Self {
        self.secret = Some(Secret::new(secret));
        self
    }

    /// Reads the secret from a file; spaces and line ends around it are not part of it.
    ///
    /// # Errors
    /// The file can not be read, or holds fewer than 16 bytes.
    pub fn secret_file(mut self, path: &str) -> Result<Self> {
        self.secret = Some(Secret::read(path)?);
        Ok(self)
    }

    /// Sets whether addresses that are not loopback may be used without a secret, so that whoever reaches the
    /// port can join. Default false.
    #[must_use]
    pub fn allow_insecure(mut self, allow: bool) -> Self {
        self.allow_insecure = allow;
        self
    }

    /// Sets the name of the job. Default: file name of the program. Valid: 1 to 64 bytes.
    #[must_use]
    pub fn job_name(mut self, name: impl Into<String>) -> Self {
        self.job_name = name.into();
        self
    }

    /// Sets the version of the program, such as `env!("CARGO_PKG_VERSION")`. Default empty. Valid: up to 32
    /// bytes.
    #[must_use]
    pub fn program_version(mut self, version: impl Into<String>) -> Self {
        self.program_version = version.into();
        self
    }

    /// Sets the number of this attempt at the job. Default 1.
    ///
    /// Whoever starts a job again counts up: processes that are left over from an attempt before can not
    /// join, and one that still waits for others of its own ends.
    #[must_use]
    pub fn attempt(mut self, attempt: u64) -> Self {
        self.attempt = attempt;
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
    ///
    /// Records are counted, not their bytes: an exchange may hold this many times the size of a record. The default
    /// is a few megabytes of numbers, but 256 GB of records of one megabyte. For large records, divide the memory that
    /// one exchange may take by the size of a record: 1,024 for records of one megabyte in one gigabyte. Every exchange
    /// and feedback edge of the job has this limit for itself; [`FlowState`] shows what is in flight on each.
    #[must_use]
    pub fn max_in_flight_records(mut self, records: usize) -> Self {
        self.max_in_flight_records = records;
        self
    }

    /// Makes checkpoints of the job, and goes on from the newest one where there is one. Default: none are made, and
    /// nothing is spent on them.
    ///
    /// The job is known by its [name](Self::job_name); two that run at the same time need two names. It goes on with any
    /// number of threads and processes.
    #[must_use]
    pub fn checkpoints(mut self, checkpoints: CheckpointConfig) -> Self {
        self.checkpoints = Some(checkpoints);
        self
    }

    /// Number of workers of the whole job: threads times processes.
    pub fn workers(&self) -> usize {
        self.threads * self.processes
    }

    /// The settings of the table above by the names of their flags, as they are in force; of a secret, whether there is
    /// one.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let text = |value: Option<String>| value.unwrap_or_default();
        vec![
            ("threads", self.threads.to_string()),
            ("processes", self.processes.to_string()),
            ("process", text(self.process.map(|index| index.to_string()))),
            ("addresses", self.addresses.join(" ")),
            ("connect-timeout", self.connect_timeout.as_secs_f64().to_string()),
            ("heartbeat-timeout", self.heartbeat_timeout.as_secs_f64().to_string()),
            ("secret", if self.secret.is_some() { "set" } else { "none" }.into()),
            ("allow-insecure", self.allow_insecure.to_string()),
            ("job-name", self.job_name.clone()),
            ("program-version", self.program_version.clone()),
            ("attempt", self.attempt.to_string()),
            ("max-in-flight", self.max_in_flight_records.to_string()),
            ("admin", text(self.admin.map(|address| address.to_string()))),
            ("cache-memory", self.cache_memory_bytes.to_string()),
            ("cache-dir", self.cache_parent().display().to_string()),
        ]
    }

    /// What all processes must agree on.
    pub(crate) fn terms(&self) -> Terms {
        Terms {
            processes: self.processes,
            threads: self.threads,
            attempt: self.attempt,
            job_name: self.job_name.clone(),
            program_version: self.program_version.clone(),
        }
    }
}

/// File name of this program, as far as it can name a job.
fn program_name() -> String {
    let path = std::env::current_exe().unwrap_or_default();
    let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name: String = name.chars().filter(|c| !c.is_control()).collect();
    let end = (0..=name.len().min(MAX_JOB_NAME_BYTES)).rev().find(|end| name.is_char_boundary(*end));
    match &name[..end.unwrap_or(0)] {
        "" => "job".into(),
        name => name.into(),
    }
}
