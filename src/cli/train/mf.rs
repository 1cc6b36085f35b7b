//! `waterwheel train mf`: matrix factorization from files, with progress.

mod progress;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use waterwheel::engine::machine;
use waterwheel::ml::mf::{EpochReport, MatrixFactorization, MfModel, MfParams, Names, Rating};
use waterwheel::prelude::{BadRecord, DataStream, execute};

use crate::cli::ratings::{ColumnArgs, FileRating, Ids, RatingFiles};
use crate::cli::records::LineArgs;
use crate::cli::runtime::RuntimeArgs;
use crate::cli::train::with_output;
use progress::{Progress, Summary};

/// Flags of `train mf`.
#[derive(Args, Clone, Debug)]
pub(crate) struct MfArgs {
    /// Files of ratings, with the columns user, item and rating; see --user-column for others.
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    input: Vec<PathBuf>,

    /// Factors per user and item.
    #[arg(long, default_value_t = MfParams::RANK, value_name = "N")]
    rank: usize,

    /// Passes over the ratings.
    #[arg(long, default_value_t = MfParams::EPOCHS, value_name = "N")]
    epochs: u32,

    /// Step size.
    #[arg(long, default_value_t = MfParams::LEARNING_RATE, allow_negative_numbers = true, value_name = "X")]
    learning_rate: f32,

    /// L2 regularisation of factors and biases.
    #[arg(long, default_value_t = MfParams::REG, allow_negative_numbers = true, value_name = "X")]
    reg: f32,

    /// Learn the mean and a bias per user and item as well.
    #[arg(long)]
    biases: bool,

    /// Seed of first factors and of the order of training.
    #[arg(long, default_value_t = MfParams::SEED, value_name = "N")]
    seed: u64,

    /// Parts into which users and items are divided; more workers than parts do not help.
    #[arg(long, default_value_t = MfParams::BLOCKS, value_name = "N")]
    blocks: u32,

    /// Keep every Nth row of each file, counted from 0, as test set.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(2..))]
    holdout_every: Option<u64>,

    /// Save the model into this directory.
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,

    /// Print one JSON line per epoch and a last one with the results, on standard output.
    #[arg(long)]
    json: bool,

    /// What users and items are.
    #[arg(long, value_enum, default_value_t = Ids::Numbers, help_heading = "Input")]
    ids: Ids,

    #[command(flatten)]
    columns: ColumnArgs,

    #[command(flatten)]
    lines: LineArgs,

    #[command(flatten)]
    pub(super) runtime: RuntimeArgs,
}

/// Trains.
pub(crate) fn run(args: &MfArgs) -> anyhow::Result<()> {
    let mf = MfParams::new()
        .rank(args.rank)
        .epochs(args.epochs)
        .learning_rate(args.learning_rate)
        .reg(args.reg)
        .biases(args.biases)
        .seed(args.seed)
        .blocks(args.blocks)
        .build()?;
    let progress = Arc::new(Progress::new(args.epochs, args.json));
    let trained = with_output(args.output.as_deref(), || {
        let trained = train(args, mf, &progress);
        progress.clear();
        trained
    })?;
    let Some(trained) = trained else { return Ok(()) };
    if let Some(directory) = &args.output {
        save(&trained.model, directory)?;
    }
    progress.finish(&trained.summary(&progress))
}

fn save(model: &MfModel, directory: &Path) -> anyhow::Result<()> {
    model.save(directory).with_context(|| "the model was trained but not saved")
}

/// What a run leaves on the first process.
struct Trained {
    model: MfModel,
    reports: Vec<EpochReport>,
    test: Vec<Rating>,
    bad: Vec<BadRecord>,
}

/// Runs the job; `None` on processes other than the first.
fn train(
    args: &MfArgs,
    mf: MatrixFactorization,
    progress: &Arc<Progress>,
) -> anyhow::Result<Option<Trained>> {
    let config = args.runtime.config()?;
    let (args, progress) = (args.clone(), Arc::clone(progress));
    let values = execute(config, move |env| {
        let MfArgs { input: paths, columns, ids, lines, .. } = &args;
        let (ratings, bad) = RatingFiles { paths, columns, ids: *ids, lines }.read(env)?;
        let names = names(*ids, &ratings);
        let every = args.holdout_every;
        let is_test = move |row: u64| every.is_some_and(|every| row.is_multiple_of(every));
        let test = ratings.clone().filter(move |read| is_test(read.row)).map(|read| read.rating);
        let training = ratings.filter(move |read| !is_test(read.row)).map(|read| read.rating);
        let mut fit = mf.fit(training)?;
        let (on_start, on_report, on_bad) =
            (Arc::clone(&progress), Arc::clone(&progress), Arc::clone(&progress));
        fit.mean = fit.mean.inspect(move |_| on_start.training_starts());
        fit.reports = fit.reports.inspect(move |report| on_report.epoch_ends(report));
        let bad = bad.inspect(move |record| on_bad.bad_record(record));
        let names: Vec<_> = names.into_iter().map(DataStream::collect).collect();
        Ok((fit.collect(), test.collect(), bad.collect(), names))
    })?;
    let first = values.into_iter().find_map(|(fitted, test, bad, names)| Some((fitted?, test, bad, names)));
    let Some(((model, reports), test, bad, names)) = first else { return Ok(None) };
    let model = match <[_; 2]>::try_from(names) {
        Ok([users, items]) => model.with_names(Names::new(users)?, Names::new(items)?)?,
        Err(_) => model,
    };
    Ok(Some(Trained { model, reports, test, bad }))
}

/// The names of users and of items, each once, where ids are names; nothing where they are numbers.
fn names<'s>(ids: Ids, ratings: &DataStream<'s, FileRating>) -> Vec<DataStream<'s, String>> {
    if ids == Ids::Numbers {
        return Vec::new();
    }
    let users = ratings.clone().flat_map(|read| read.names.map(|names| names.0)).name("users");
    let items = ratings.clone().flat_map(|read| read.names.map(|names| names.1)).name("items");
    vec![Names::distinct(users).uid("user names"), Names::distinct(items).uid("item names")]
}

impl Trained {
    fn summary(&self, progress: &Progress) -> Summary {
        let epochs = self.reports.iter().filter(|report| report.epoch.is_some()).count();
        let finished = self.reports.iter().find(|report| report.epoch.is_none());
        Summary {
            train_rmse: finished.map(|report| report.rmse),
            test_rmse: self.model.rmse(&self.test).value(),
            ratings_per_second: progress.overall_rate(),
            epochs,
            peak_rss_bytes: machine::peak_rss_bytes(),
            ratings: finished.map_or(0, |report| report.ratings),
            test_ratings: self.test.len(),
            users: self.model.users().ids().len(),
            items: self.model.items().ids().len(),
            bad_records: self.bad.len(),
        }
    }
}
