//! `waterwheel topics`: the words of the topics of a model, and the topics of a new document.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use waterwheel::ml::lda::LdaModel;
use waterwheel::prelude::Error;

/// Sweeps of sampling for a new document.
const SWEEPS: u32 = 200;

/// Flags of `topics`.
#[derive(Args, Debug)]
pub(crate) struct TopicsArgs {
    /// Directory of the model, as `train lda --output` wrote it.
    #[arg(long, value_name = "DIR")]
    model: PathBuf,

    /// File with the words, one a line, in order of their numbers.
    #[arg(long, value_name = "FILE")]
    vocabulary: Option<PathBuf>,

    /// Words of a topic.
    #[arg(long, default_value_t = 10, value_name = "N")]
    top: usize,

    /// Print the shares of the topics in a document of these words, in place of all topics.
    #[arg(long, num_args = 1.., value_name = "WORD", requires = "vocabulary")]
    of: Vec<String>,
}

/// Loads the model and prints its topics.
pub(crate) fn run(args: &TopicsArgs) -> anyhow::Result<()> {
    let model = LdaModel::load(&args.model)?;
    let vocabulary = args.vocabulary.as_deref().map(read_vocabulary).transpose()?;
    if let Some(words) = &vocabulary
        && words.len() != model.words() as usize
    {
        let (found, expected) = (words.len(), model.words());
        return Err(Error::config(format!("the vocabulary has {found} words, the model {expected}")).into());
    }
    let mut out = std::io::stdout().lock();
    let Some(vocabulary) = vocabulary.as_deref().filter(|_| !args.of.is_empty()) else {
        let written = write_topics(&mut out, &model, vocabulary.as_deref(), args.top);
        return written.context("can not write to standard output");
    };
    let number = |word: &String| {
        let at = vocabulary.iter().position(|known| known == word);
        at.map(|at| at as u32).with_context(|| format!("the vocabulary has no word {word:?}"))
    };
    let words = args.of.iter().map(number).collect::<anyhow::Result<Vec<_>>>()?;
    let shares = model.infer(&words, SWEEPS, 1);
    let written =
        shares.iter().enumerate().try_for_each(|(topic, share)| writeln!(out, "{topic}\t{share:.4}"));
    written.context("can not write to standard output")
}

/// The words of a file, one a line.
pub(crate) fn read_vocabulary(path: &Path) -> anyhow::Result<Vec<String>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("can not read {}", path.display()))?;
    Ok(text.lines().map(|line| line.trim().to_string()).collect())
}

/// A line for each topic: its number and its most likely words.
pub(crate) fn write_topics(
    out: &mut impl Write,
    model: &LdaModel,
    vocabulary: Option<&[String]>,
    top: usize,
) -> std::io::Result<()> {
    for topic in 0..model.topics() {
        let words = model.top_words(topic, top).map_err(std::io::Error::other)?;
        let name = |(word, _): &(u32, f64)| match vocabulary.and_then(|words| words.get(*word as usize)) {
            Some(name) => name.clone(),
            None => word.to_string(),
        };
        writeln!(out, "{topic}\t{}", words.iter().map(name).collect::<Vec<_>>().join(" "))?;
    }
    Ok(())
}
