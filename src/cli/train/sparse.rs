//! What all commands that train on sparse rows share.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use serde::{Deserialize, Serialize};
use waterwheel::engine::machine;
use waterwheel::ml::sparse::{
    LibSvmRow, SparseExample, SparseFit, SparseModel, SparsePrediction, SparseRule, SparseTraining,
    read_libsvm,
};
use waterwheel::prelude::*;

use crate::cli::records::BadRecordArgs;
use crate::cli::runtime::RuntimeArgs;
use crate::cli::say;
use crate::cli::train::with_output;

/// Flags of every command that trains on sparse rows.
#[derive(Args, Clone, Debug)]
pub(crate) struct SparseArgs {
    /// Files of rows in LIBSVM's format: label index:value index:value ...
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    input: Vec<PathBuf>,

    /// Files of rows to be predicted by the model when training has ended.
    #[arg(long, num_args = 1.., value_name = "FILE")]
    test: Vec<PathBuf>,

    /// Passes over the rows; with one they are learned while they are read.
    #[arg(long, default_value_t = SparseTraining::PASSES, value_name = "N")]
    passes: u32,

    /// Weights that a worker may wait for: more is faster, and workers learn later from each other.
    #[arg(long, default_value_t = SparseTraining::CREDIT, value_name = "N")]
    credit: usize,

    /// Bounded staleness in clocks, 0 for bulk synchronous [default: asynchronous].
    #[arg(long, value_name = "N")]
    staleness: Option<u64>,

    /// Rows of a clock at each worker, with --staleness.
    #[arg(long, default_value_t = SparseTraining::CLOCK_EVERY, value_name = "N")]
    clock_every: u64,

    /// Seed of the order of later passes.
    #[arg(long, default_value_t = SparseTraining::SEED, value_name = "N")]
    seed: u64,

    #[command(flatten)]
    bad: BadRecordArgs,

    /// Save the model into this directory.
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,

    /// Print the results as one JSON line.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    pub(super) runtime: RuntimeArgs,
}

/// A learner with its labels, as files have them.
pub(crate) trait Learner: Clone + Send + Sync + 'static {
    type Rule: SparseRule;

    fn rule(&self) -> Self::Rule;

    /// The label that a number of a file means.
    fn label(&self, number: f64) -> Result<LabelOf<Self>>;

    fn fit<'s>(
        &self,
        examples: DataStream<'s, SparseExample<LabelOf<Self>>>,
        training: &SparseTraining,
    ) -> Result<SparseFit<'s, LabelOf<Self>, Epoch>>;

    /// The name of the loss that is reported, and the function that makes it of the mean.
    const LOSS: (&'static str, fn(f64) -> f64);

    /// The loss of a prediction.
    fn loss(&self, label: LabelOf<Self>, predicted: LabelOf<Self>, score: f64) -> f64;
}

type LabelOf<L> = <<L as Learner>::Rule as SparseRule>::Label;

/// Predictions, counted.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Tally {
    rows: u64,
    correct: u64,
    loss: f64,
}

impl Tally {
    fn of<L: Learner>(learner: &L, label: LabelOf<L>, (predicted, score): (LabelOf<L>, f64)) -> Self {
        let correct = u64::from(label == predicted);
        Tally { rows: 1, correct, loss: learner.loss(label, predicted, score) }
    }

    fn plus(self, other: Self) -> Self {
        Tally {
            rows: self.rows + other.rows,
            correct: self.correct + other.correct,
            loss: self.loss + other.loss,
        }
    }

    fn mean(self, sum: f64) -> Option<f64> {
        (self.rows > 0).then(|| sum / self.rows as f64)
    }

    /// Fields of the results, with a prefix.
    fn describe<L: Learner>(self, prefix: &str, to: &mut serde_json::Map<String, serde_json::Value>) {
        let (name, of_mean) = L::LOSS;
        to.insert(format!("{prefix}rows"), self.rows.into());
        if name != "rmse" {
            to.insert(format!("{prefix}accuracy"), self.mean(self.correct as f64).into());
        }
        to.insert(format!("{prefix}{name}"), self.mean(self.loss).map(of_mean).into());
    }
}

impl SparseArgs {
    fn training(&self) -> SparseTraining {
        let training = SparseTraining::new().passes(self.passes).credit(self.credit).seed(self.seed);
        match self.staleness {
            Some(clocks) => training.consistency(Consistency::Bounded(clocks)).clock_every(self.clock_every),
            None => training,
        }
    }
}

/// What a run leaves on the first process.
struct Trained<L> {
    online: Tally,
    model: SparseModel,
    test: Vec<(L, waterwheel::ml::sparse::SparseVector)>,
    bad_records: usize,
}

/// Trains, saves and reports.
pub(crate) fn run<L: Learner>(args: &SparseArgs, learner: &L) -> anyhow::Result<()> {
    let since = machine::now();
    let Some(trained) = with_output(args.output.as_deref(), || train(args, learner))? else { return Ok(()) };
    let seconds = (machine::now() - since).as_secs_f64();
    if let Some(directory) = &args.output {
        trained.model.save(directory).context("the model was trained but not saved")?;
    }
    let mut results = serde_json::Map::new();
    trained.online.describe::<L>("", &mut results);
    let mut test = Tally::default();
    for (label, features) in &trained.test {
        test = test.plus(Tally::of(learner, *label, trained.model.predict(&learner.rule(), features)?));
    }
    if !args.test.is_empty() {
        test.describe::<L>("test_", &mut results);
    }
    results.insert("features".into(), trained.model.features().len().into());
    results.insert("bad_records".into(), trained.bad_records.into());
    results.insert("seconds".into(), seconds.into());
    results.insert("peak_rss_bytes".into(), machine::peak_rss_bytes().into());
    print(args.json, &results).context("can not write to standard output")
}

fn print(json: bool, results: &serde_json::Map<String, serde_json::Value>) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string(results)?)?;
        return out.flush();
    }
    for (name, value) in results {
        match value.as_f64().filter(|_| value.is_f64()) {
            Some(number) => writeln!(out, "{name}: {number:.5}")?,
            None => writeln!(out, "{name}: {value}")?,
        }
    }
    out.flush()
}

/// Runs the job; `None` on processes other than the first.
fn train<L: Learner>(args: &SparseArgs, learner: &L) -> anyhow::Result<Option<Trained<LabelOf<L>>>> {
    let (config, training) = (args.runtime.config()?, args.training());
    let (args, learner, width) = (args.clone(), learner.clone(), learner.rule().width());
    let values = execute(config, move |env| {
        let (rows, bad) = labelled(env, &args, &args.input, &learner)?;
        let examples = rows.map(|(row, label)| SparseExample {
            // Files of up to 2^40 rows keep their order.
            id: u64::from(row.file) << 40 | row.row,
            features: row.features,
            label: Some(label),
        });
        let fit = learner.fit(examples, &training)?;
        let counts = learner.clone();
        let tally = move |new: SparsePrediction<LabelOf<L>>| {
            let label = new.label?;
            Some(Tally::of(&counts, label, (new.predicted, new.score)))
        };
        let online = fit.predictions.flat_map(tally).reduce(Tally::plus).collect();
        let test = match args.test.is_empty() {
            true => env.from_iter([]),
            false => labelled(env, &args, &args.test, &learner)?.0.map(|(row, label)| (label, row.features)),
        };
        Ok((online, fit.weights.collect(), test.collect(), bad.collect()))
    })?;
    let first = values.into_iter().find(|(online, ..)| !online.is_empty());
    let trained = first.map(|(online, weights, test, bad)| {
        let online = online.into_iter().fold(Tally::default(), Tally::plus);
        let model = SparseModel::from_rows(width, weights)?;
        Ok(Trained { online, model, test, bad_records: bad.len() })
    });
    trained.transpose()
}

type Labelled<'s, L> = (DataStream<'s, (LibSvmRow, L)>, DataStream<'s, BadRecord>);

/// The rows of files with what their labels mean.
fn labelled<'s, L: Learner>(
    env: &Env<'s>,
    args: &SparseArgs,
    paths: &[PathBuf],
    learner: &L,
) -> Result<Labelled<'s, LabelOf<L>>> {
    let (rows, bad) = read_libsvm(env, paths.to_vec(), args.bad.policy())?;
    let (learner, names) = (learner.clone(), paths.to_vec());
    let rows = rows.try_map(move |row| {
        let label = learner.label(row.label).map_err(|error| {
            let file = names[row.file as usize].display();
            Error::data(format!("{file}: row {} (counted from 0): {}", row.row, error.message()))
        })?;
        Ok((row, label))
    });
    let bad = bad.inspect(|record| say(format_args!("skipped {record}")));
    Ok((rows, bad))
}
