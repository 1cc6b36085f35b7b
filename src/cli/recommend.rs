//! `waterwheel recommend`: the best items for a user.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use waterwheel::ml::mf::{MfModel, Scored};
use waterwheel::prelude::{RuntimeConfig, execute};

use crate::cli::ratings;
use crate::cli::records::LineArgs;
use crate::cli::say;

/// Flags of `recommend`.
#[derive(Args, Debug)]
pub(crate) struct RecommendArgs {
    /// Directory of the model, as `train mf --output` wrote it.
    #[arg(long, value_name = "DIR")]
    model: PathBuf,

    /// The user.
    #[arg(long, value_name = "ID")]
    user: u64,

    /// How many items.
    #[arg(long, default_value_t = 10, value_name = "K")]
    top: usize,

    /// Leave out what the user has rated in these files.
    #[arg(long, num_args = 1.., value_name = "FILE")]
    seen: Vec<PathBuf>,

    /// Print one JSON line per item instead of a table.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    lines: LineArgs,
}

/// Loads the model and prints the items with the highest predictions.
pub(crate) fn run(args: &RecommendArgs) -> anyhow::Result<()> {
    let model = MfModel::load(&args.model)?;
    let seen = seen_items(args)?;
    let best = model.recommend(args.user, args.top, |item| seen.contains(&item))?;
    print(args, &best).context("can not write to standard output")
}

fn print(args: &RecommendArgs, best: &[Scored]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    if !args.json {
        writeln!(out, "rank\titem\tprediction")?;
    }
    for (at, scored) in best.iter().enumerate() {
        let (rank, item, score) = (at + 1, scored.item, scored.score);
        if args.json {
            let line = serde_json::json!({ "rank": rank, "item": item, "prediction": score });
            writeln!(out, "{line}")?;
        } else {
            writeln!(out, "{rank}\t{item}\t{score:.3}")?;
        }
    }
    out.flush()
}

fn seen_items(args: &RecommendArgs) -> anyhow::Result<BTreeSet<u64>> {
    if args.seen.is_empty() {
        return Ok(BTreeSet::new());
    }
    let (user, paths, lines) = (args.user, args.seen.clone(), args.lines.clone());
    let items = execute(RuntimeConfig::default(), move |env| {
        let (ratings, bad) = ratings::read(env, &paths, &lines)?;
        bad.sink(|record| {
            say(format_args!("skipped {record}"));
            Ok(())
        });
        let own = ratings.filter(move |(_row, rating)| rating.user == user);
        Ok(own.map(|(_row, rating)| rating.item).collect())
    })?;
    Ok(items.concat().into_iter().collect())
}
