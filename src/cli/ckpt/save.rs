//! `waterwheel ckpt save`: a savepoint of a job that runs.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use waterwheel::engine::checkpoint::{Checkpoint, CheckpointStore};
use waterwheel::engine::machine;
use waterwheel::prelude::{Error, Result};

use crate::cli::ckpt::Where;

/// How often it is looked whether the savepoint is there.
const POLL: Duration = Duration::from_millis(100);

/// Flags of `ckpt save`.
#[derive(Args, Debug)]
pub(crate) struct SaveArgs {
    #[command(flatten)]
    place: Where,

    /// Name of the savepoint, by which the job can go on from it.
    #[arg(long, value_name = "NAME")]
    name: String,

    /// How long to wait for it, in seconds; then the request is taken back.
    #[arg(long, value_name = "SECS", default_value_t = 60.0)]
    timeout: f64,
}

/// Asks for a savepoint, and waits for it.
pub(super) fn save(args: &SaveArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let timeout = Duration::try_from_secs_f64(args.timeout).map_err(|_| {
        Error::config(format!("--timeout: found {}, expected a number of seconds, 0 or more", args.timeout))
    })?;
    let (store, name) = (args.place.store()?, &args.name);
    store.request_savepoint(name)?;
    let Some(savepoint) = await_savepoint(&store, name, timeout)? else {
        store.withdraw_savepoint_request(name)?;
        let job = store.job();
        return Err(Error::storage(format!(
            "job \"{job}\" has made no savepoint \"{name}\" in {timeout:?}: does it run, with checkpoints in this location?"
        ))
        .into());
    };
    let (job, epoch) = (store.job(), savepoint.epoch());
    match args.place.json {
        true => writeln!(out, "{}", json!({ "job": job, "epoch": epoch, "savepoint": name }))?,
        false => writeln!(out, "{job}: savepoint {name} at epoch {epoch}")?,
    }
    Ok(ExitCode::SUCCESS)
}

fn await_savepoint(store: &CheckpointStore, name: &str, timeout: Duration) -> Result<Option<Checkpoint>> {
    let since = machine::now();
    loop {
        if let Some(savepoint) = store.savepoint(name)? {
            return Ok(Some(savepoint));
        }
        if since.elapsed() >= timeout {
            return Ok(None);
        }
        std::thread::park_timeout(POLL);
    }
}
