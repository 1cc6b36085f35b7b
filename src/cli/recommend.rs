//! `waterwheel recommend`: the best items for a user.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use waterwheel::ml::mf::{MfModel, Names, Scored};
use waterwheel::prelude::{Error, Result, RuntimeConfig, execute};

use crate::cli::ratings::{ColumnArgs, Ids, RatingFiles};
use crate::cli::records::LineArgs;
use crate::cli::say;

/// Flags of `recommend`.
#[derive(Args, Debug)]
pub(crate) struct RecommendArgs {
    /// Directory of the model, as `train mf --output` wrote it.
    #[arg(long, value_name = "DIR")]
    model: PathBuf,

    /// The user: a number, or a name if the model was trained with --ids names.
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    user: String,

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
    columns: ColumnArgs,

    #[command(flatten)]
    lines: LineArgs,
}

/// Loads the model and prints the items with the highest predictions.
pub(crate) fn run(args: &RecommendArgs) -> anyhow::Result<()> {
    let model = MfModel::load(&args.model)?;
    let user = user(args, &model)?;
    let seen = seen_items(args, &model, user)?;
    let best = model.recommend(user, args.top, |item| seen.contains(&item))?;
    print(args, &model, &best).context("can not write to standard output")
}

/// The id of the user that is asked for.
fn user(args: &RecommendArgs, model: &MfModel) -> Result<u64> {
    let asked = &args.user;
    let Some((names, _)) = model.names() else {
        return asked.parse().map_err(|_| {
            Error::config(format!(
                "--user: found '{asked}', expected a whole number: the model was trained without --ids names"
            ))
        });
    };
    let (id, n) = (Names::id(asked), names.ids().len());
    match names.get(id) {
        Some(name) if name == asked => Ok(id),
        _ => Err(Error::data(format!("user {asked:?} is not in the model, which knows {n} users"))),
    }
}

/// An item as files have it.
fn item(model: &MfModel, id: u64) -> serde_json::Value {
    match model.names().and_then(|(_, items)| items.get(id)) {
        Some(name) => name.into(),
        None => id.into(),
    }
}

fn print(args: &RecommendArgs, model: &MfModel, best: &[Scored]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    if !args.json {
        writeln!(out, "rank\titem\tprediction")?;
    }
    for (at, scored) in best.iter().enumerate() {
        let (rank, item, score) = (at + 1, item(model, scored.item), scored.score);
        if args.json {
            let line = serde_json::json!({ "rank": rank, "item": item, "prediction": score });
            writeln!(out, "{line}")?;
        } else {
            let item = item.as_str().map_or_else(|| item.to_string(), String::from);
            writeln!(out, "{rank}\t{item}\t{score:.3}")?;
        }
    }
    out.flush()
}

fn seen_items(args: &RecommendArgs, model: &MfModel, user: u64) -> anyhow::Result<BTreeSet<u64>> {
    if args.seen.is_empty() {
        return Ok(BTreeSet::new());
    }
    let ids = if model.names().is_some() { Ids::Names } else { Ids::Numbers };
    let (paths, columns, lines) = (args.seen.clone(), args.columns.clone(), args.lines.clone());
    let items = execute(RuntimeConfig::default(), move |env| {
        let (ratings, bad) =
            RatingFiles { paths: &paths, columns: &columns, ids, lines: &lines }.read(env)?;
        bad.sink(|record| {
            say(format_args!("skipped {record}"));
            Ok(())
        });
        let own = ratings.map(|read| read.rating).filter(move |rating| rating.user == user);
        Ok(own.map(|rating| rating.item).collect())
    })?;
    Ok(items.concat().into_iter().collect())
}
