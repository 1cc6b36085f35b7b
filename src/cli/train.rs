//! `waterwheel train`: training from files.

mod lda;
mod learners;
mod mf;
mod sparse;
mod word2vec;

use std::path::Path;

use anyhow::Context;
use clap::Subcommand;

use crate::cli::runtime::RuntimeArgs;

/// What can be trained.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum TrainCommand {
    /// Matrix factorization: predict ratings of items by users.
    Mf(mf::MfArgs),
    /// Passive-aggressive classification of sparse rows into two classes or many.
    Pa(learners::PaArgs),
    /// Logistic regression on sparse rows.
    Logistic(learners::LogisticArgs),
    /// Factorization machine: two classes or numbers, by pairs of features of sparse rows.
    Fm(learners::FmArgs),
    /// Latent Dirichlet allocation: topics of documents.
    Lda(lda::LdaArgs),
    /// Vectors of words, from text.
    #[command(name = "word2vec")]
    Word2Vec(word2vec::Word2VecArgs),
}

impl TrainCommand {
    /// Where it runs.
    pub(crate) fn runtime_mut(&mut self) -> &mut RuntimeArgs {
        match self {
            TrainCommand::Mf(args) => &mut args.runtime,
            TrainCommand::Pa(args) => &mut args.sparse.runtime,
            TrainCommand::Logistic(args) => &mut args.sparse.runtime,
            TrainCommand::Fm(args) => &mut args.sparse.runtime,
            TrainCommand::Lda(args) => &mut args.runtime,
            TrainCommand::Word2Vec(args) => &mut args.runtime,
        }
    }
}

/// Trains.
pub(crate) fn run(command: TrainCommand) -> anyhow::Result<()> {
    match command {
        TrainCommand::Mf(args) => mf::run(&args),
        TrainCommand::Pa(args) => learners::run_pa(&args),
        TrainCommand::Logistic(args) => learners::run_logistic(&args),
        TrainCommand::Fm(args) => learners::run_fm(&args),
        TrainCommand::Lda(args) => lda::run(&args),
        TrainCommand::Word2Vec(args) => word2vec::run(&args),
    }
}

/// Trains with the directory for the model made before, so that a wrong one is found out now and not at the end. One that
/// was made here goes if the training fails.
fn with_output<R>(directory: Option<&Path>, train: impl FnOnce() -> anyhow::Result<R>) -> anyhow::Result<R> {
    let made_here = directory.filter(|directory| !directory.exists());
    if let Some(directory) = directory {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("can not create the directory {}", directory.display()))?;
    }
    let trained = train();
    if let (Err(_), Some(directory)) = (&trained, made_here) {
        // Empty unless another process was faster.
        let _ = std::fs::remove_dir(directory);
    }
    trained
}
