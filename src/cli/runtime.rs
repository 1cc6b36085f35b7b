//! The flags that say where a job runs, and Ctrl-C.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use waterwheel::prelude::{
    ByteSize, CheckpointConfig, Error, JobMetrics, OnMissingCheckpoint, Result, RuntimeConfig, StopHandle,
};

/// Where the job runs.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Runtime")]
pub(crate) struct RuntimeArgs {
    /// Worker threads per process.
    #[arg(short = 'w', long, default_value_t = 1, env = "WATERWHEEL_THREADS", value_name = "N")]
    threads: usize,

    /// Processes; without -p all are started here [default: 1, or one for each line of the hostfile].
    #[arg(short = 'n', long, env = "WATERWHEEL_PROCESSES", value_name = "N")]
    pub(super) processes: Option<usize>,

    /// Index of this process, from 0.
    #[arg(short = 'p', long, env = "WATERWHEEL_PROCESS", value_name = "I")]
    pub(super) process: Option<usize>,

    /// File with one host:port a line, in order of process index [default: 127.0.0.1, ports from 2101].
    #[arg(long, env = "WATERWHEEL_HOSTFILE", value_name = "FILE")]
    pub(super) hostfile: Option<String>,

    /// Records in flight on one exchange before its sources wait; 0 for no limit.
    #[arg(
        long,
        default_value_t = RuntimeConfig::DEFAULT_MAX_IN_FLIGHT_RECORDS,
        env = "WATERWHEEL_MAX_IN_FLIGHT",
        value_name = "N"
    )]
    max_in_flight: usize,

    /// Show the running job there by HTTP, as a page and as metrics; process I takes PORT + I.
    #[arg(long, env = "WATERWHEEL_ADMIN", value_name = "HOST:PORT")]
    admin: Option<std::net::SocketAddr>,

    /// Memory for data caches per process, what does not fit goes to files; 0 for none.
    #[arg(
        long,
        default_value_t = ByteSize(RuntimeConfig::DEFAULT_CACHE_MEMORY_BYTES),
        env = "WATERWHEEL_CACHE_MEMORY",
        value_name = "SIZE"
    )]
    cache_memory: ByteSize,

    /// Directory for what does not fit into the memory of data caches [default: the system's for temporary files].
    #[arg(long, env = "WATERWHEEL_CACHE_DIR", value_name = "DIR")]
    cache_dir: Option<PathBuf>,

    /// Seconds to wait for the other processes at the start.
    #[arg(
        long,
        default_value_t = 30.0,
        allow_negative_numbers = true,
        env = "WATERWHEEL_CONNECT_TIMEOUT",
        value_name = "SECONDS"
    )]
    connect_timeout: f64,

    /// Seconds of silence after which a process counts as hung, which ends the run; 0: never.
    #[arg(
        long,
        default_value_t = 10.0,
        allow_negative_numbers = true,
        env = "WATERWHEEL_HEARTBEAT_TIMEOUT",
        value_name = "SECONDS"
    )]
    heartbeat_timeout: f64,

    /// File with the secret that all processes share, 16 bytes or more [env: WATERWHEEL_SECRET: itself].
    #[arg(long, env = "WATERWHEEL_SECRET_FILE", value_name = "FILE")]
    pub(super) secret_file: Option<String>,

    /// Use addresses of other machines without a secret: whoever reaches them can join.
    #[arg(long, env = "WATERWHEEL_ALLOW_INSECURE")]
    pub(super) allow_insecure: bool,

    /// Name that all processes must agree on, and that checkpoints are found by [default: that of the program or job
    /// file].
    #[arg(long, env = "WATERWHEEL_JOB_NAME", value_name = "NAME")]
    job_name: Option<String>,

    /// Number of this attempt at the job: processes of another one can not join.
    #[arg(long, default_value_t = 1, env = "WATERWHEEL_ATTEMPT", value_name = "N")]
    pub(super) attempt: u64,

    #[command(flatten)]
    checkpoints: CheckpointArgs,

    /// Where the graph is told, of a job that is not to run.
    #[arg(skip)]
    planned: Option<JobMetrics>,
}

/// Checkpoints, of jobs that can have them.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Checkpoints")]
struct CheckpointArgs {
    /// Make checkpoints there, and go on from the newest: a directory, or the URL of a bucket in a build that knows its
    /// kind. All processes need it. The job is known by its name.
    #[arg(long, env = "WATERWHEEL_CHECKPOINT_DIR", value_name = "DIR")]
    checkpoint_dir: Option<String>,

    /// Seconds between two checkpoints.
    #[arg(
        long,
        default_value_t = CheckpointConfig::DEFAULT_INTERVAL.as_secs_f64(),
        allow_negative_numbers = true,
        env = "WATERWHEEL_CHECKPOINT_INTERVAL",
        value_name = "SECONDS"
    )]
    checkpoint_interval: f64,

    /// A checkpoint also behind so many rounds of a bounded iteration [default: by time alone].
    #[arg(long, env = "WATERWHEEL_CHECKPOINT_ROUNDS", value_name = "ROUNDS")]
    checkpoint_rounds: Option<u64>,

    /// How many of the newest are kept.
    #[arg(
        long,
        default_value_t = CheckpointConfig::DEFAULT_RETAIN,
        env = "WATERWHEEL_CHECKPOINT_RETAIN",
        value_name = "N"
    )]
    checkpoint_retain: usize,

    /// What to do where checkpoints were and are gone.
    #[arg(long, value_enum, default_value_t, env = "WATERWHEEL_ON_MISSING_CHECKPOINT", value_name = "WHAT")]
    on_missing_checkpoint: OnMissingArg,

    /// Go on from this epoch or savepoint, not from the newest.
    #[arg(long, env = "WATERWHEEL_FROM_CHECKPOINT", value_name = "EPOCH")]
    from_checkpoint: Option<String>,

    /// Drop state whose operator is no longer in the job.
    #[arg(long, env = "WATERWHEEL_ALLOW_UNMATCHED_STATE")]
    allow_unmatched_state: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum OnMissingArg {
    /// End the run.
    #[default]
    Fail,
    /// Begin anew.
    Fresh,
}

impl CheckpointArgs {
    fn config(&self) -> Result<Option<CheckpointConfig>> {
        let Some(dir) = &self.checkpoint_dir else { return Ok(None) };
        let on_missing = match self.on_missing_checkpoint {
            OnMissingArg::Fail => OnMissingCheckpoint::Fail,
            OnMissingArg::Fresh => OnMissingCheckpoint::Fresh,
        };
        let config = CheckpointConfig::new(dir)
            .interval(seconds("--checkpoint-interval", self.checkpoint_interval)?)
            .retain(self.checkpoint_retain)
            .on_missing(on_missing)
            .allow_unmatched_state(self.allow_unmatched_state);
        let config = self.checkpoint_rounds.into_iter().fold(config, CheckpointConfig::every_rounds);
        Ok(Some(self.from_checkpoint.iter().fold(config, |config, from| config.from_checkpoint(from))))
    }
}

impl RuntimeArgs {
    /// Names the job if the user has not done so.
    pub(crate) fn name_unless_named(&mut self, name: &str) {
        self.job_name.get_or_insert_with(|| name.to_string());
    }

    /// Has the job built, with its operators told to `metrics`, and ended before its first step.
    pub(crate) fn plan(&mut self, metrics: JobMetrics) {
        self.planned = Some(metrics);
    }

    /// The settings, with a handle that Ctrl-C uses.
    pub(crate) fn config(&self) -> Result<RuntimeConfig> {
        let stop = StopHandle::new();
        let on_signal = stop.clone();
        // Failing to install a handler leaves the default: the process ends at once.
        if let Err(error) = ctrlc::set_handler(move || on_signal.stop()) {
            tracing::warn!("no clean Ctrl-C: {error}");
        }
        let addresses = match &self.hostfile {
            Some(path) => RuntimeConfig::read_hostfile(path)?,
            None => Vec::new(),
        };
        let mut config = RuntimeConfig::threads(self.threads)
            .processes(self.processes.unwrap_or(addresses.len().max(1)))
            .process(self.process)
            .addresses(addresses)
            .connect_timeout(seconds("--connect-timeout", self.connect_timeout)?)
            .heartbeat_timeout(seconds("--heartbeat-timeout", self.heartbeat_timeout)?)
            .allow_insecure(self.allow_insecure)
            .program_version(env!("CARGO_PKG_VERSION"))
            .attempt(self.attempt)
            .max_in_flight_records(self.max_in_flight)
            .cache_memory_bytes(self.cache_memory.0)
            .admin(self.admin)
            .stop_handle(stop);
        if let Some(name) = &self.job_name {
            config = config.job_name(name);
        }
        if let Some(directory) = &self.cache_dir {
            config = config.cache_dir(directory);
        }
        if let Some(checkpoints) = self.checkpoints.config()? {
            config = config.checkpoints(checkpoints);
        }
        if let Some(metrics) = &self.planned {
            // One worker shows the graph as well as many, and no address is taken.
            let stop = StopHandle::new();
            stop.stop();
            return Ok(RuntimeConfig::threads(1).job_metrics(metrics.clone()).stop_handle(stop));
        }
        let config = self.with_secret(config)?;
        config.validate()?;
        Ok(config)
    }

    /// The secret is read from a file or from the environment; arguments are for all to see.
    fn with_secret(&self, config: RuntimeConfig) -> Result<RuntimeConfig> {
        match (&self.secret_file, std::env::var("WATERWHEEL_SECRET")) {
            (Some(path), _) => config.secret_file(path),
            (None, Ok(secret)) if !secret.is_empty() => Ok(config.secret(secret)),
            _ => Ok(config),
        }
    }
}

/// Seconds that a setting says.
pub(crate) fn seconds(flag: &str, found: f64) -> Result<Duration> {
    Duration::try_from_secs_f64(found)
        .map_err(|_| Error::config(format!("{flag}: found {found}, expected a number of seconds, 0 or more")))
}
