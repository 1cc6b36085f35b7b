//! `waterwheel train word2vec`: vectors of words from text.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use waterwheel::engine::machine;
use waterwheel::ml::word2vec::{Sentence, Word2VecModel, Word2VecParams};
use waterwheel::prelude::*;

use crate::cli::neighbours::WORDS;
use crate::cli::runtime::RuntimeArgs;
use crate::cli::train::with_output;

/// Flags of `train word2vec`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Word2VecArgs {
    /// Files of text, a sentence a line. Words are runs of letters, in lower case.
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    input: Vec<PathBuf>,

    /// Save the model and the words into this directory.
    #[arg(long, value_name = "DIR")]
    output: PathBuf,

    /// Leave out words that are there less often.
    #[arg(long, default_value_t = 5, value_name = "N")]
    min_count: u64,

    /// Coordinates of a vector.
    #[arg(long, default_value_t = Word2VecParams::DIM, value_name = "N")]
    dim: usize,

    /// Words on either side at most.
    #[arg(long, default_value_t = Word2VecParams::WINDOW, value_name = "N")]
    window: usize,

    /// Words drawn as ones that are not near, for each that is.
    #[arg(long, default_value_t = Word2VecParams::NEGATIVES, value_name = "N")]
    negatives: usize,

    /// Share of the text above which words are left out now and then; 0: never.
    #[arg(long, default_value_t = Word2VecParams::SUBSAMPLE, allow_negative_numbers = true, value_name = "X")]
    subsample: f64,

    /// Epochs over the text.
    #[arg(long, default_value_t = Word2VecParams::EPOCHS, value_name = "N")]
    epochs: u32,

    /// Step size at the beginning.
    #[arg(long, default_value_t = Word2VecParams::LEARNING_RATE, allow_negative_numbers = true, value_name = "X")]
    learning_rate: f64,

    /// Pairs that are learned at once.
    #[arg(long, default_value_t = Word2VecParams::BATCH, value_name = "N")]
    batch: usize,

    /// Seed of first vectors and of all draws.
    #[arg(long, default_value_t = Word2VecParams::SEED, value_name = "N")]
    seed: u64,

    #[command(flatten)]
    pub(super) runtime: RuntimeArgs,
}

/// Trains and saves.
pub(crate) fn run(args: &Word2VecArgs) -> anyhow::Result<()> {
    let vocabulary = count_words(&args.input, args.min_count)?;
    let counts = vocabulary.iter().map(|(_, count)| *count).collect();
    let params = Word2VecParams::new().dim(args.dim).window(args.window).negatives(args.negatives);
    let params = params.subsample(args.subsample).epochs(args.epochs).learning_rate(args.learning_rate);
    let word2vec = params.batch(args.batch).seed(args.seed).build(counts)?;
    let since = machine::now();
    let numbers: Arc<BTreeMap<String, u32>> =
        Arc::new(vocabulary.iter().map(|(word, _)| word.clone()).zip(0..).collect());
    let trained = with_output(Some(&args.output), || {
        let (config, input) = (args.runtime.config()?, args.input.clone());
        let trained = execute(config, move |env| {
            let options = CsvOptions::default().delimiter(Delimiter::None).header(Header::No);
            let (lines, _bad) = env.read_csv::<String>(input.clone(), options)?;
            let numbers = Arc::clone(&numbers);
            let sentences = lines.map(move |line| {
                let words = words_of(&line.value).filter_map(|word| numbers.get(&word).copied());
                Sentence { id: u64::from(line.file) << 40 | line.row, words: words.collect() }
            });
            Ok(word2vec.fit(sentences)?.collect())
        })?;
        Ok(trained.into_iter().flatten().next())
    })?;
    let Some(model) = trained else { return Ok(()) };
    let seconds = (machine::now() - since).as_secs_f64();
    save(&model, &vocabulary, &args.output)?;
    let tokens: u64 = vocabulary.iter().map(|(_, count)| count).sum();
    let mut out = std::io::stdout().lock();
    let written = writeln!(out, "{} words, {tokens} tokens, {seconds:.1} s", model.words());
    written.and_then(|()| out.flush()).context("can not write to standard output")
}

fn save(model: &Word2VecModel, vocabulary: &[(String, u64)], directory: &Path) -> anyhow::Result<()> {
    let words: String = vocabulary.iter().map(|(word, _)| format!("{word}\n")).collect();
    std::fs::write(directory.join(WORDS), words)
        .context("the model was trained but its words were not saved")?;
    model.save(directory).context("the model was trained but not saved")
}

/// Runs of letters, in lower case.
fn words_of(line: &str) -> impl Iterator<Item = String> {
    line.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

/// The words that are often enough, most frequent first. Every process counts for itself, so that all have the same numbers.
fn count_words(paths: &[PathBuf], min_count: u64) -> anyhow::Result<Vec<(String, u64)>> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for path in paths {
        let cannot = || format!("can not read {}", path.display());
        let file = std::fs::File::open(path).with_context(cannot)?;
        for line in BufReader::new(file).lines() {
            for word in words_of(&line.with_context(cannot)?) {
                *counts.entry(word).or_default() += 1;
            }
        }
    }
    let mut words: Vec<_> = counts.into_iter().filter(|(_, count)| *count >= min_count).collect();
    words.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    Ok(words)
}
