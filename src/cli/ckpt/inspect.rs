//! `waterwheel ckpt inspect`: what is in one checkpoint.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};
use waterwheel::engine::checkpoint::{Checkpoint, PartRef};
use waterwheel::prelude::Error;

use crate::cli::ckpt::list::length;
use crate::cli::ckpt::{Where, table};

/// Flags of `ckpt inspect`.
#[derive(Args, Debug)]
pub(crate) struct InspectArgs {
    #[command(flatten)]
    place: Where,

    /// The checkpoint of this epoch [default: the newest].
    #[arg(long, value_name = "N")]
    epoch: Option<u64>,
}

/// Shows a checkpoint.
pub(super) fn inspect(args: &InspectArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let store = args.place.store()?;
    let Some(epoch) = args.epoch.or(store.epochs()?.last().copied()) else {
        return Err(Error::config(format!("job \"{}\" has no checkpoint", store.job())).into());
    };
    let checkpoint = store.checkpoint(epoch)?;
    if args.place.json {
        writeln!(out, "{}", to_json(store.job(), &checkpoint))?;
    } else {
        print(out, store.job(), &checkpoint)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print(out: &mut dyn Write, job: &str, checkpoint: &Checkpoint) -> std::io::Result<()> {
    let kind = checkpoint.savepoint().map_or_else(|| "checkpoint".into(), |name| format!("savepoint {name}"));
    writeln!(out, "job          {job}")?;
    writeln!(out, "epoch        {}", checkpoint.epoch())?;
    writeln!(out, "kind         {kind}")?;
    writeln!(out, "attempt      {}", checkpoint.attempt())?;
    writeln!(out, "workers      {}", checkpoint.workers())?;
    writeln!(out, "program      {}", checkpoint.program())?;
    writeln!(out, "fingerprint  {:016x}", checkpoint.fingerprint())?;
    writeln!(out, "written      {} by {}", checkpoint.written(), checkpoint.created_by())?;
    writeln!(out, "size         {}", table::bytes(length(checkpoint.parts())))?;
    writeln!(out)?;
    let row = |kind: &str, part: &PartRef| {
        let size = table::bytes(part.length);
        [kind.into(), part.attempt.to_string(), part.epoch.to_string(), part.worker.to_string(), size]
    };
    let own = checkpoint.parts().iter().map(|part| row("own", part));
    let earlier = checkpoint.refers_to().iter().map(|part| row("earlier", part));
    table::print(
        out,
        ["PART", "ATTEMPT", "EPOCH", "WORKER", "SIZE"],
        &own.chain(earlier).collect::<Vec<_>>(),
    )?;
    writeln!(out)?;
    let rows: Vec<_> = checkpoint
        .sections()
        .summary()
        .iter()
        .map(|state| {
            let (sections, groups) = (state.sections.to_string(), state.key_groups.to_string());
            let (bytes, stored) = (table::bytes(state.bytes), table::bytes(state.stored_bytes));
            [state.key.operator.clone(), state.key.kind.clone(), sections, groups, bytes, stored]
        })
        .collect();
    table::print(out, ["OPERATOR", "STATE", "SECTIONS", "KEY GROUPS", "SIZE", "STORED"], &rows)
}

fn to_json(job: &str, checkpoint: &Checkpoint) -> Value {
    let parts = |parts: &[PartRef]| -> Vec<_> {
        let to_json = |part: &PartRef| {
            let PartRef { attempt, epoch, worker, length, .. } = part;
            json!({ "attempt": attempt, "epoch": epoch, "worker": worker, "bytes": length })
        };
        parts.iter().map(to_json).collect()
    };
    let states: Vec<_> = checkpoint
        .sections()
        .summary()
        .iter()
        .map(|state| {
            json!({
                "operator": state.key.operator,
                "kind": state.key.kind,
                "sections": state.sections,
                "key_groups": state.key_groups,
                "bytes": state.bytes,
                "stored_bytes": state.stored_bytes,
            })
        })
        .collect();
    json!({
        "job": job,
        "epoch": checkpoint.epoch(),
        "savepoint": checkpoint.savepoint(),
        "attempt": checkpoint.attempt(),
        "workers": checkpoint.workers(),
        "program": checkpoint.program(),
        "fingerprint": format!("{:016x}", checkpoint.fingerprint()),
        "written": checkpoint.written(),
        "created_by": checkpoint.created_by(),
        "parts": parts(checkpoint.parts()),
        "refers_to": parts(checkpoint.refers_to()),
        "states": states,
    })
}
