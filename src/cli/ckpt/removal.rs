//! `waterwheel ckpt gc` and `rm`: what is removed, and what was.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use waterwheel::engine::checkpoint::{CheckpointStore, Garbage, GarbageScope};
use waterwheel::prelude::Error;

use crate::cli::ckpt::{Where, table};

/// How anything is removed.
#[derive(Args, Debug)]
struct RemovalArgs {
    #[command(flatten)]
    place: Where,

    /// The job does not run and is not started meanwhile: what its last attempt has left goes too.
    #[arg(long)]
    stopped: bool,

    /// Say what would be removed, and remove nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Flags of `ckpt gc`.
#[derive(Args, Debug)]
pub(crate) struct GcArgs {
    #[command(flatten)]
    removal: RemovalArgs,

    /// Remove all checkpoints but the newest N of each job; savepoints stay [default: remove none].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    keep: Option<u32>,
}

/// Flags of `ckpt rm`.
#[derive(Args, Debug)]
pub(crate) struct RmArgs {
    #[command(flatten)]
    removal: RemovalArgs,

    /// The epoch of the checkpoint or savepoint.
    #[arg(long, value_name = "N")]
    epoch: u64,

    /// Remove the newest one of the job too, from which it would go on.
    #[arg(long)]
    force: bool,
}

/// Removes garbage.
pub(super) fn collect(args: &GcArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let keep = args.keep.map(|keep| keep as usize);
    for store in args.removal.place.stores()? {
        let garbage = store.garbage(keep, args.removal.scope())?;
        args.removal.carry_out(&store, &garbage, out)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Removes a checkpoint.
pub(super) fn remove(args: &RmArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let store = args.removal.place.store()?;
    if !args.force && store.epochs()?.last() == Some(&args.epoch) {
        let (job, epoch) = (store.job(), args.epoch);
        return Err(Error::config(format!(
            "epoch {epoch} is the newest checkpoint of job \"{job}\", from which it would go on: remove it with --force"
        ))
        .into());
    }
    let garbage = store.garbage_without(args.epoch, args.removal.scope())?;
    args.removal.carry_out(&store, &garbage, out)?;
    Ok(ExitCode::SUCCESS)
}

impl RemovalArgs {
    fn scope(&self) -> GarbageScope {
        if self.stopped { GarbageScope::Stopped } else { GarbageScope::Beside }
    }

    /// Removes what was found, and says so.
    fn carry_out(
        &self,
        store: &CheckpointStore,
        garbage: &Garbage,
        out: &mut dyn Write,
    ) -> anyhow::Result<()> {
        if !self.dry_run {
            store.remove(garbage)?;
        }
        let Garbage { checkpoints, objects, bytes } = garbage;
        if self.place.json {
            let line = json!({
                "job": store.job(),
                "removed": !self.dry_run,
                "checkpoints": checkpoints,
                "objects": objects,
                "bytes": bytes,
            });
            return Ok(writeln!(out, "{line}")?);
        }
        objects.iter().try_for_each(|name| writeln!(out, "{name}"))?;
        let (job, size) = (store.job(), table::bytes(*bytes));
        let verb = if self.dry_run { "would remove" } else { "removed" };
        let (n, files) = (checkpoints.len(), objects.len());
        Ok(writeln!(out, "{job}: {verb} {n} checkpoints, {files} files, {size}")?)
    }
}
