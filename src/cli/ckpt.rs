//! `waterwheel ckpt`: what is in a location of checkpoints, whether it is whole, and what can go.

mod inspect;
mod list;
mod removal;
mod save;
mod table;

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use waterwheel::engine::checkpoint::CheckpointStore;
use waterwheel::prelude::{Error, Result};

/// What `waterwheel ckpt` is asked for.
#[derive(Debug, Subcommand)]
pub(crate) enum CkptCommand {
    /// List checkpoints and savepoints; reads manifests and offset tables.
    ///
    /// Exit codes: 0 all are whole as far as that tells, 1 damage, 2 wrong usage.
    Ls(list::ListArgs),
    /// Show what is in a checkpoint: parts, and the state of each operator.
    ///
    /// Exit codes: 0 shown, 1 it is damaged, 2 wrong usage.
    Inspect(inspect::InspectArgs),
    /// Make a savepoint of a running job, which is kept until it is removed by `rm`.
    ///
    /// Exit codes: 0 it is there, 1 it was not made in time, 2 wrong usage.
    Save(save::SaveArgs),
    /// Read every byte of checkpoints and compare the checksums.
    ///
    /// Exit codes: 0 all are whole, 1 damage, or checkpoints were lost, 2 wrong usage.
    Verify(list::VerifyArgs),
    /// Remove what no checkpoint needs, and with --keep older checkpoints too.
    ///
    /// Leaves the files of the newest attempt at a job alone, because it may be running; see --stopped. Savepoints
    /// stay. Exit codes: 0 done, 1 something can not be removed, 2 wrong usage.
    Gc(removal::GcArgs),
    /// Remove one checkpoint or savepoint, and what only it needs.
    ///
    /// Exit codes: 0 done, 1 something can not be removed, 2 wrong usage.
    Rm(removal::RmArgs),
}

/// Which checkpoints, and how to say it.
#[derive(Args, Debug)]
struct Where {
    /// Directory of checkpoints, or the URL of a bucket in a build that knows its kind.
    #[arg(value_name = "LOCATION")]
    location: String,

    /// Name of the job [default: all of the location, or the only one].
    #[arg(long, value_name = "NAME")]
    job: Option<String>,

    /// Print JSON lines instead of tables.
    #[arg(long)]
    json: bool,
}

/// Runs a command of `ckpt`.
pub(crate) fn run(command: &CkptCommand) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    let code = match command {
        CkptCommand::Ls(args) => list::list(args, &mut out)?,
        CkptCommand::Inspect(args) => inspect::inspect(args, &mut out)?,
        CkptCommand::Save(args) => save::save(args, &mut out)?,
        CkptCommand::Verify(args) => list::verify(args, &mut out)?,
        CkptCommand::Gc(args) => removal::collect(args, &mut out)?,
        CkptCommand::Rm(args) => removal::remove(args, &mut out)?,
    };
    out.flush()?;
    Ok(code)
}

impl Where {
    /// The stores of all jobs that are meant.
    fn stores(&self) -> Result<Vec<CheckpointStore>> {
        let jobs = CheckpointStore::jobs(&self.location)?;
        let jobs = match &self.job {
            Some(job) if !jobs.contains(job) => {
                let location = &self.location;
                return Err(Error::config(format!("{location} has no job \"{job}\", there are {jobs:?}")));
            }
            Some(job) => vec![job.clone()],
            None => jobs,
        };
        jobs.iter().map(|job| CheckpointStore::open_existing(&self.location, job)).collect()
    }

    /// The store of the one job that is meant.
    fn store(&self) -> Result<CheckpointStore> {
        let mut stores = self.stores()?;
        let location = &self.location;
        match (stores.pop(), stores.is_empty()) {
            (Some(store), true) => Ok(store),
            (None, _) => Err(Error::config(format!("{location} has no checkpoints"))),
            (Some(last), false) => {
                let jobs: Vec<_> = stores.iter().chain([&last]).map(CheckpointStore::job).collect();
                Err(Error::config(format!("{location} has several jobs, say which by --job: {jobs:?}")))
            }
        }
    }
}
