//! The flags that say where a job runs, and Ctrl-C.

use std::time::Duration;

use clap::Args;
use waterwheel::prelude::{Error, Result, RuntimeConfig, StopHandle};

/// Where the job runs.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Runtime")]
pub(crate) struct RuntimeArgs {
    /// Worker threads per process.
    #[arg(short = 'w', long, default_value_t = 1, env = "WATERWHEEL_THREADS", value_name = "N")]
    threads: usize,

    /// Processes; without -p all are started here.
    #[arg(short = 'n', long, default_value_t = 1, env = "WATERWHEEL_PROCESSES", value_name = "N")]
    processes: usize,

    /// Index of this process, from 0.
    #[arg(short = 'p', long, env = "WATERWHEEL_PROCESS", value_name = "I")]
    process: Option<usize>,

    /// File with one host:port a line, in order of process index [default: 127.0.0.1, ports from 2101].
    #[arg(long, env = "WATERWHEEL_HOSTFILE", value_name = "FILE")]
    hostfile: Option<String>,

    /// Records in flight on one exchange before its sources wait; 0 for no limit.
    #[arg(
        long,
        default_value_t = RuntimeConfig::DEFAULT_MAX_IN_FLIGHT_RECORDS,
        env = "WATERWHEEL_MAX_IN_FLIGHT",
        value_name = "N"
    )]
    max_in_flight: usize,

    /// Seconds to wait for the other processes at the start.
    #[arg(
        long,
        default_value_t = 30.0,
        allow_negative_numbers = true,
        env = "WATERWHEEL_CONNECT_TIMEOUT",
        value_name = "SECONDS"
    )]
    connect_timeout: f64,
}

impl RuntimeArgs {
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
        let config = RuntimeConfig::threads(self.threads)
            .processes(self.processes)
            .process(self.process)
            .addresses(addresses)
            .connect_timeout(self.connect_timeout()?)
            .max_in_flight_records(self.max_in_flight)
            .stop_handle(stop);
        config.validate()?;
        Ok(config)
    }

    fn connect_timeout(&self) -> Result<Duration> {
        Duration::try_from_secs_f64(self.connect_timeout).map_err(|_| {
            let found = self.connect_timeout;
            Error::config(format!(
                "--connect-timeout: found {found}, expected a number of seconds, 0 or more"
            ))
        })
    }
}
