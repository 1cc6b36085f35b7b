//! `waterwheel neighbours`: the words nearest to one.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use waterwheel::ml::word2vec::Word2VecModel;
use waterwheel::prelude::Error;

use crate::cli::topics::read_vocabulary;

/// Name of the file of words in the directory of a model.
pub(crate) const WORDS: &str = "words.txt";

/// Flags of `neighbours`.
#[derive(Args, Debug)]
pub(crate) struct NeighboursArgs {
    /// Directory of the model, as `train word2vec --output` wrote it.
    #[arg(long, value_name = "DIR")]
    model: PathBuf,

    /// The words.
    #[arg(long, required = true, num_args = 1.., value_name = "WORD")]
    word: Vec<String>,

    /// How many neighbours.
    #[arg(long, default_value_t = 10, value_name = "K")]
    top: usize,
}

/// Loads the model and prints the neighbours of each word.
pub(crate) fn run(args: &NeighboursArgs) -> anyhow::Result<()> {
    let model = Word2VecModel::load(&args.model)?;
    let words = read_vocabulary(&args.model.join(WORDS))?;
    if words.len() != model.words() {
        let (found, expected) = (words.len(), model.words());
        return Err(Error::data(format!("{WORDS} has {found} words, the model {expected}")).into());
    }
    let mut out = std::io::stdout().lock();
    for word in &args.word {
        let at = words.iter().position(|known| known == word);
        let at = at.with_context(|| format!("the model has no word {word:?}"))?;
        for neighbour in model.neighbours(at as u32, args.top)? {
            let other = &words[neighbour.word as usize];
            let line = writeln!(out, "{word}\t{other}\t{:.4}", neighbour.similarity);
            line.context("can not write to standard output")?;
        }
    }
    out.flush().context("can not write to standard output")
}
