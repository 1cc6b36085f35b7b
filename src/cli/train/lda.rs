//! `waterwheel train lda`: topics of documents.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use waterwheel::engine::machine;
use waterwheel::ml::lda::{LdaParams, LdaTrained, read_lda_c};
use waterwheel::prelude::*;

use crate::cli::runtime::RuntimeArgs;
use crate::cli::topics::{read_vocabulary, write_topics};
use crate::cli::train::with_output;

/// Flags of `train lda`.
#[derive(Args, Clone, Debug)]
pub(crate) struct LdaArgs {
    /// File of documents in the LDA-C format: number of different words, then word:count ...
    #[arg(long, value_name = "FILE")]
    input: PathBuf,

    /// File with the words, one a line, in order of their numbers.
    #[arg(long, value_name = "FILE", required_unless_present = "words")]
    vocabulary: Option<PathBuf>,

    /// Number of different words, without --vocabulary.
    #[arg(long, value_name = "N", conflicts_with = "vocabulary")]
    words: Option<u32>,

    /// Topics.
    #[arg(long, default_value_t = LdaParams::TOPICS, value_name = "N")]
    topics: u32,

    /// Sweeps over all tokens.
    #[arg(long, default_value_t = LdaParams::SWEEPS, value_name = "N")]
    sweeps: u32,

    /// Prior of the topics of a document.
    #[arg(long, default_value_t = LdaParams::ALPHA, allow_negative_numbers = true, value_name = "X")]
    alpha: f64,

    /// Prior of the words of a topic.
    #[arg(long, default_value_t = LdaParams::BETA, allow_negative_numbers = true, value_name = "X")]
    beta: f64,

    /// Seed of first topics and of sampling.
    #[arg(long, default_value_t = LdaParams::SEED, value_name = "N")]
    seed: u64,

    /// Save the model into this directory.
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,

    /// Print the results as one JSON line.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    pub(super) runtime: RuntimeArgs,
}

/// Trains, saves and reports.
pub(crate) fn run(args: &LdaArgs) -> anyhow::Result<()> {
    let vocabulary = args.vocabulary.as_deref().map(read_vocabulary).transpose()?;
    let words = match (&vocabulary, args.words) {
        (Some(words), _) => u32::try_from(words.len()).context("the vocabulary has too many words")?,
        (None, words) => words.unwrap_or(0),
    };
    let params = LdaParams::new(words).topics(args.topics).sweeps(args.sweeps);
    let lda = params.alpha(args.alpha).beta(args.beta).seed(args.seed).build()?;
    let since = machine::now();
    let trained = with_output(args.output.as_deref(), || {
        let (config, input) = (args.runtime.config()?, args.input.clone());
        let trained = execute(config, move |env| {
            let (documents, _bad) = read_lda_c(env, input.clone(), BadRecordPolicy::Fail)?;
            Ok(lda.fit(documents)?.collect())
        })?;
        Ok(trained.into_iter().flatten().next())
    })?;
    let Some(trained) = trained else { return Ok(()) };
    let seconds = (machine::now() - since).as_secs_f64();
    if let Some(directory) = &args.output {
        save(&trained, directory)?;
    }
    print(args, &trained, vocabulary.as_deref(), seconds).context("can not write to standard output")
}

fn save(trained: &LdaTrained, directory: &Path) -> anyhow::Result<()> {
    trained.model.save(directory).context("the model was trained but not saved")
}

fn print(
    args: &LdaArgs,
    trained: &LdaTrained,
    vocabulary: Option<&[String]>,
    seconds: f64,
) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let (documents, tokens) = (trained.documents.len(), trained.tokens);
    if args.json {
        let line = serde_json::json!({
            "documents": documents,
            "tokens": tokens,
            "perplexity": trained.perplexity,
            "seconds": seconds,
            "peak_rss_bytes": machine::peak_rss_bytes(),
        });
        writeln!(out, "{line}")?;
        return out.flush();
    }
    write_topics(&mut out, &trained.model, vocabulary, 10)?;
    let perplexity = trained.perplexity.map_or("none".into(), |perplexity| format!("{perplexity:.1}"));
    writeln!(out, "{documents} documents, {tokens} tokens: perplexity {perplexity}, {seconds:.1} s")?;
    out.flush()
}
