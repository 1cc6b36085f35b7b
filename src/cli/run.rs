//! `waterwheel run`: runs a job file, or starts the processes of any program that was built with the library.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Args};
use waterwheel::engine::{Meeting, machine};
use waterwheel::prelude::{Error, Result, RuntimeConfig};

use super::job::Job;
use super::runtime::RuntimeArgs;
use super::{INTERRUPTED, say};

/// How often ended processes are looked for.
const POLL: Duration = Duration::from_millis(10);
/// How long the others may take to end when one has failed, or after Ctrl-C; then they are killed.
const GRACE: Duration = Duration::from_secs(10);
/// How long to wait before the first restart; twice as long before each further one, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The exit code for wrong usage: it would be as wrong the next time.
const USAGE: u8 = 2;

/// Flags of `run`.
///
/// Flags go before the environment, and that before a job file. A program takes its settings by
/// `RuntimeConfig::from_args`: flags that are given here reach it by the environment, and it must be given no process
/// index of its own. The first process gets standard input; all write to standard output and error as
/// they are.
#[derive(Args, Clone, Debug)]
pub(crate) struct RunArgs {
    /// Start all processes again when one has failed, up to N times, as the next attempt. With checkpoints
    /// (WATERWHEEL_CHECKPOINT_DIR) the job goes on from the newest. Not after exit code 2, which is wrong usage.
    #[arg(long, env = "WATERWHEEL_SUPERVISE", value_name = "N", default_value_t = 0)]
    supervise: u64,

    #[command(flatten)]
    runtime: RuntimeArgs,

    /// A job file to run.
    #[arg(value_name = "JOB.toml", required_unless_present = "program", conflicts_with = "program")]
    job: Option<PathBuf>,

    /// The program and its arguments.
    #[arg(last = true, value_name = "PROGRAM")]
    program: Vec<OsString>,
}

/// Runs the job, or starts the processes and waits for their end. `matches` are what `args` were read from.
pub(crate) fn run(args: &RunArgs, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let given = Given::of(matches);
    match &args.job {
        Some(job) if args.supervise == 0 => Job::read(job, &given.flags())?.run().map(|()| ExitCode::SUCCESS),
        Some(job) => {
            // What is wrong with it is as wrong the next time.
            Job::read(job, &given.flags())?;
            let this = std::env::current_exe().context("can not find this program")?;
            let program = vec![this.into_os_string(), "run".into(), job.into()];
            supervise(&RunArgs { program, ..args.clone() }, &given)
        }
        None => supervise(args, &given),
    }
}

/// The runtime flags of a command line.
struct Given(Vec<GivenFlag>);

struct GivenFlag {
    key: String,
    variable: String,
    value: String,
}

impl Given {
    fn of(matches: &ArgMatches) -> Self {
        let runtime = RuntimeArgs::augment_args(clap::Command::new("runtime"));
        let given = runtime.get_arguments().filter_map(|arg| {
            let id = arg.get_id().as_str();
            let is_given = matches.value_source(id) == Some(ValueSource::CommandLine);
            let raw = is_given.then(|| matches.get_raw(id)).flatten()?;
            let value = match arg.get_action() {
                ArgAction::SetTrue => "true".into(),
                _ => raw.map(|value| value.to_string_lossy()).collect::<Vec<_>>().join(" "),
            };
            let variable = arg.get_env()?.to_string_lossy().into_owned();
            Some(GivenFlag { key: arg.get_long()?.into(), variable, value })
        });
        Given(given.collect())
    }

    /// As keys of a job file and their values.
    fn flags(&self) -> Vec<(String, String)> {
        self.0.iter().map(|flag| (flag.key.clone(), flag.value.clone())).collect()
    }

    /// As variables of the environment, for a process that is started.
    fn environment(&self) -> impl Iterator<Item = (&str, &str)> {
        // How processes meet is said to each by itself.
        let own = ["processes", "process", "hostfile", "attempt"];
        let passed = self.0.iter().filter(move |flag| !own.contains(&flag.key.as_str()));
        passed.map(|flag| (flag.variable.as_str(), flag.value.as_str()))
    }
}

/// Starts the processes and waits for their end.
fn supervise(args: &RunArgs, given: &Given) -> anyhow::Result<ExitCode> {
    let (tell, signals) = channel();
    // Failing to install a handler leaves the default: a terminal reaches the processes by itself.
    if let Err(error) = ctrlc::set_handler(move || tell.send(()).unwrap_or_default()) {
        tracing::warn!("Ctrl-C is not sent on: {error}");
    }
    let places = args.places()?;
    let (mut restart, mut pause) = (0, FIRST_PAUSE);
    loop {
        let end = Fleet::start_all(args, given, &places, restart)?.wait(&signals);
        if end.code == 0 || end.code == USAGE || end.was_interrupted || restart == args.supervise {
            return Ok(ExitCode::from(end.code));
        }
        let left = args.supervise - restart;
        say(format_args!(
            "a process ended with code {}; all start again in {pause:?}, {left} times left",
            end.code
        ));
        if interrupted_within(pause, &signals) {
            return Ok(ExitCode::from(INTERRUPTED));
        }
        (restart, pause) = (restart + 1, (2 * pause).min(LONGEST_PAUSE));
    }
}

/// Waits for Ctrl-C; whether it came in this time.
fn interrupted_within(time: Duration, signals: &Receiver<()>) -> bool {
    match signals.recv_timeout(time) {
        Ok(()) => true,
        Err(RecvTimeoutError::Timeout) => false,
        // No handler could be installed.
        Err(RecvTimeoutError::Disconnected) => {
            let since = machine::now();
            while since.elapsed() < time {
                std::thread::park_timeout(time.saturating_sub(since.elapsed()));
            }
            false
        }
    }
}

/// How a fleet has ended.
struct End {
    /// The first code other than 0, or 0.
    code: u8,
    was_interrupted: bool,
}

/// How many processes there are, and which of them are started here.
struct Places {
    processes: usize,
    here: std::ops::Range<usize>,
}

impl RunArgs {
    /// Checks the settings as every process will, so that one error is said once.
    fn places(&self) -> Result<Places> {
        if self.runtime.process.is_some() && self.runtime.hostfile.is_none() {
            return Err(Error::config(
                "-p says which process is started here, and --hostfile where the others are",
            ));
        }
        let addresses = match &self.runtime.hostfile {
            Some(path) => RuntimeConfig::read_hostfile(path)?,
            None => Vec::new(),
        };
        let processes = self.runtime.processes.unwrap_or(addresses.len().max(1));
        let index = self.runtime.process.or_else(|| self.runtime.hostfile.as_ref().map(|_| 0));
        let mut config = RuntimeConfig::threads(1).processes(processes).process(index).addresses(addresses);
        config = config.allow_insecure(self.runtime.allow_insecure);
        if let Some(path) = &self.runtime.secret_file {
            config = config.secret_file(path)?;
        } else if let Some(secret) = std::env::var_os("WATERWHEEL_SECRET").filter(|text| !text.is_empty()) {
            config = config.secret(secret.into_encoded_bytes());
        }
        config.validate()?;
        let here = self.runtime.process.map_or(0..processes, |index| index..index + 1);
        Ok(Places { processes, here })
    }

    /// The settings of a process, in its environment.
    fn environment(&self, index: usize, processes: usize, restart: u64) -> Vec<(&'static str, String)> {
        let mut environment = vec![("WATERWHEEL_PROCESSES", processes.to_string())];
        if let Some(hostfile) = &self.runtime.hostfile {
            environment.push(("WATERWHEEL_PROCESS", index.to_string()));
            environment.push(("WATERWHEEL_HOSTFILE", hostfile.clone()));
        }
        let attempt = self.runtime.attempt.saturating_add(restart);
        environment.extend((attempt > 1).then(|| ("WATERWHEEL_ATTEMPT", attempt.to_string())));
        environment
    }
}

/// The processes that were started; those that still run are killed when this is dropped.
struct Fleet {
    meeting: Option<Meeting>,
    processes: Vec<Child>,
    first_failure: Option<u8>,
    was_interrupted: bool,
    /// When the end began, by a failure or by Ctrl-C.
    ending_since: Option<Instant>,
}

impl Fleet {
    /// Starts all processes that belong here, of an attempt with so many before it.
    fn start_all(args: &RunArgs, given: &Given, places: &Places, restart: u64) -> Result<Self> {
        let meeting = match args.runtime.hostfile {
            Some(_) => None,
            None => Some(Meeting::open(places.processes)?),
        };
        let (processes, first_failure, ending_since) = (Vec::new(), None, None);
        let mut fleet = Fleet { meeting, processes, first_failure, was_interrupted: false, ending_since };
        for index in places.here.clone() {
            fleet.start(args, given, index, places.processes, restart)?;
        }
        Ok(fleet)
    }

    fn start(
        &mut self,
        args: &RunArgs,
        given: &Given,
        index: usize,
        processes: usize,
        restart: u64,
    ) -> Result<()> {
        let name = args.program.first().map(|name| name.to_string_lossy()).unwrap_or_default();
        let mut command =
            Command::new(args.program.first().map_or_else(Default::default, OsString::as_os_str));
        command.args(args.program.iter().skip(1));
        command.env_remove("WATERWHEEL_PROCESS").env_remove("WATERWHEEL_HOSTFILE");
        command.env_remove("WATERWHEEL_SUPERVISE").envs(given.environment());
        command.envs(args.environment(index, processes, restart));
        if let Some(meeting) = &self.meeting {
            command.envs(meeting.environment(index));
        }
        if !self.processes.is_empty() {
            command.stdin(Stdio::null());
        }
        let child = command
            .spawn()
            .map_err(|error| Error::config(format!("can not start \"{name}\"")).caused_by(error))?;
        self.processes.push(child);
        Ok(())
    }

    /// Waits until all processes have ended.
    fn wait(mut self, signals: &Receiver<()>) -> End {
        loop {
            self.note_ended();
            if self.processes.is_empty() {
                return End { code: self.first_failure.unwrap_or(0), was_interrupted: self.was_interrupted };
            }
            match signals.recv_timeout(POLL) {
                Ok(()) => self.interrupt(),
                Err(RecvTimeoutError::Timeout) => {}
                // No handler could be installed.
                Err(RecvTimeoutError::Disconnected) => std::thread::park_timeout(POLL),
            }
            if self.ending_since.is_some_and(|since| since.elapsed() > GRACE) {
                self.kill();
            }
        }
    }

    fn note_ended(&mut self) {
        let mut failures = Vec::new();
        self.processes.retain_mut(|process| match process.try_wait() {
            Ok(None) => true,
            Ok(Some(status)) => {
                failures.extend(failure_code(status));
                false
            }
            Err(_) => {
                failures.push(1);
                false
            }
        });
        if let Some(code) = failures.first() {
            self.first_failure.get_or_insert(*code);
            self.ending_since.get_or_insert_with(machine::now);
            // Those that still wait for it there need not wait any more.
            self.meeting = None;
        }
    }

    /// Sends Ctrl-C on; the second one ends all at once.
    fn interrupt(&mut self) {
        self.was_interrupted = true;
        match self.ending_since {
            Some(_) => self.kill(),
            None => self.processes.iter_mut().for_each(send_interrupt),
        }
        self.ending_since.get_or_insert_with(machine::now);
    }

    fn kill(&mut self) {
        for process in &mut self.processes {
            // One that has ended by itself meanwhile is as good.
            let _ = process.kill();
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.kill();
        for process in &mut self.processes {
            let _ = process.wait();
        }
    }
}

/// The exit code of a process that has failed; as in a shell, 128 and its number for a signal.
fn failure_code(status: ExitStatus) -> Option<u8> {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return Some(u8::try_from(128 + signal).unwrap_or(1));
    }
    (!status.success()).then(|| status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

#[cfg(unix)]
fn send_interrupt(process: &mut Child) {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    // Not yet waited for, so the number can not be that of another process.
    if let Ok(pid) = i32::try_from(process.id()) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGINT);
    }
}

#[cfg(not(unix))]
fn send_interrupt(process: &mut Child) {
    let _ = process.kill();
}
