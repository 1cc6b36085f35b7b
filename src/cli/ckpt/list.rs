//! `waterwheel ckpt ls` and `verify`: a line for each checkpoint.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};
use waterwheel::engine::checkpoint::{Checkpoint, CheckpointStore, PartRef};
use waterwheel::prelude::{ErrorKind, Result};

use crate::cli::ckpt::{Where, table};

/// Flags of `ckpt ls`.
#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    place: Where,
}

/// Flags of `ckpt verify`.
#[derive(Args, Debug)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    place: Where,

    /// Only the checkpoint of this epoch.
    #[arg(long, value_name = "N")]
    epoch: Option<u64>,
}

/// A checkpoint, or what is wrong with it.
struct Row {
    job: String,
    /// `None` where checkpoints of the job are gone altogether.
    epoch: Option<u64>,
    found: Result<Checkpoint, String>,
}

/// Lists checkpoints.
pub(super) fn list(args: &ListArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let mut rows = Vec::new();
    for store in args.place.stores()? {
        rows.extend(rows_still_there(&store, &store.epochs()?, CheckpointStore::checkpoint)?);
    }
    print(out, &rows, args.place.json)
}

/// Verifies checkpoints.
pub(super) fn verify(args: &VerifyArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let mut rows = Vec::new();
    if let Some(epoch) = args.epoch {
        rows.extend(rows_of(&args.place.store()?, &[epoch], CheckpointStore::verify)?);
        return print(out, &rows, args.place.json);
    }
    for store in args.place.stores()? {
        let epochs = store.epochs()?;
        rows.extend(rows_still_there(&store, &epochs, CheckpointStore::verify)?);
        if epochs.is_empty() && store.has_committed()? {
            let found = Err("there were checkpoints, and none is left".into());
            rows.push(Row { job: store.job().into(), epoch: None, found });
        }
    }
    print(out, &rows, args.place.json)
}

/// Without those that a running job has removed meanwhile: they are not damaged but gone.
fn rows_still_there(
    store: &CheckpointStore,
    epochs: &[u64],
    read: impl Fn(&CheckpointStore, u64) -> Result<Checkpoint>,
) -> Result<Vec<Row>> {
    let mut rows = rows_of(store, epochs, read)?;
    if rows.iter().any(|row| row.found.is_err()) {
        let left = store.epochs()?;
        rows.retain(|row| row.found.is_ok() || row.epoch.is_none_or(|epoch| left.contains(&epoch)));
    }
    Ok(rows)
}

fn rows_of(
    store: &CheckpointStore,
    epochs: &[u64],
    read: impl Fn(&CheckpointStore, u64) -> Result<Checkpoint>,
) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for epoch in epochs {
        let found = match read(store, *epoch) {
            Err(error) if error.kind() == ErrorKind::Data => Err(error.full_message()),
            found => Ok(found?),
        };
        rows.push(Row { job: store.job().into(), epoch: Some(*epoch), found });
    }
    Ok(rows)
}

fn print(out: &mut dyn Write, rows: &[Row], as_json: bool) -> anyhow::Result<ExitCode> {
    if as_json {
        rows.iter().try_for_each(|row| writeln!(out, "{}", row.to_json()))?;
    } else {
        let header =
            ["JOB", "EPOCH", "KIND", "ATTEMPT", "WORKERS", "SIZE", "SHARED", "WRITTEN", "PROGRAM", "STATE"];
        table::print(out, header, &rows.iter().map(Row::to_cells).collect::<Vec<_>>())?;
    }
    let damaged = rows.iter().any(|row| row.found.is_err());
    Ok(if damaged { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Bytes of parts.
pub(super) fn length(parts: &[PartRef]) -> u64 {
    parts.iter().map(|part| part.length).sum()
}

impl Row {
    fn to_json(&self) -> Value {
        let (job, epoch) = (&self.job, self.epoch);
        match &self.found {
            Err(damage) => json!({ "job": job, "epoch": epoch, "damage": damage }),
            Ok(checkpoint) => json!({
                "job": job,
                "epoch": epoch,
                "savepoint": checkpoint.savepoint(),
                "attempt": checkpoint.attempt(),
                "workers": checkpoint.workers(),
                "bytes": length(checkpoint.parts()),
                "shared_bytes": length(checkpoint.refers_to()),
                "written": checkpoint.written(),
                "program": checkpoint.program(),
                "damage": Value::Null,
            }),
        }
    }

    fn to_cells(&self) -> [String; 10] {
        let epoch = self.epoch.map_or_else(|| "-".into(), |epoch| epoch.to_string());
        let dash = || "-".to_owned();
        let checkpoint = match &self.found {
            Err(damage) => {
                let state = format!("damaged: {damage}");
                let [kind, attempt, workers, size, shared, written, program] =
                    std::array::from_fn(|_| dash());
                return [
                    self.job.clone(),
                    epoch,
                    kind,
                    attempt,
                    workers,
                    size,
                    shared,
                    written,
                    program,
                    state,
                ];
            }
            Ok(checkpoint) => checkpoint,
        };
        let kind = match checkpoint.savepoint() {
            Some(name) => format!("savepoint {name}"),
            None => "checkpoint".into(),
        };
        let program = Some(checkpoint.program()).filter(|program| !program.is_empty());
        [
            self.job.clone(),
            epoch,
            kind,
            checkpoint.attempt().to_string(),
            checkpoint.workers().to_string(),
            table::bytes(length(checkpoint.parts())),
            table::bytes(length(checkpoint.refers_to())),
            checkpoint.written().to_owned(),
            program.map_or_else(dash, str::to_owned),
            "whole".into(),
        ]
    }
}
