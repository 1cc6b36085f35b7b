//! The job: examples in, predictions and weights out.

use waterwheel_engine::{Clock, DataStream, Result};
use waterwheel_ps::{SimpleServer, Transformed, Update, transform, transform_with_model_load};

use super::worker::SparseWorker;
use super::{SparseExample, SparsePrediction, SparseRule, SparseTraining};

/// The results of a learner on sparse rows, as streams.
#[derive(Debug)]
pub struct SparseFit<'s, L, T: Clock> {
    /// What the model said of each example before it learned it; with several passes, of those with a label in the first
    /// pass, and of the others at the end.
    pub predictions: DataStream<'s, SparsePrediction<L>, T>,
    /// The weights of every feature that was used, when training has ended.
    pub weights: DataStream<'s, (u32, Vec<f64>), T>,
}

impl<'s, L, T: Clock> SparseFit<'s, L, T> {
    fn new(trained: Transformed<'s, SparsePrediction<L>, (u32, Vec<f64>), T>) -> Self {
        SparseFit { predictions: trained.output, weights: trained.model }
    }
}

/// Trains any [`SparseRule`]; `update` is what the servers do with what it pushes.
///
/// # Errors
/// A setting of the training is not valid, or the update does not fit the width of the rule.
#[track_caller]
pub fn fit_rule<'s, R: SparseRule, T: Clock>(
    rule: &R,
    update: impl Update<f64, f64>,
    examples: DataStream<'s, SparseExample<R::Label>, T>,
    training: &SparseTraining,
) -> Result<SparseFit<'s, R::Label, T>> {
    let (worker, server) = (SparseWorker::new(rule.clone(), training), server(rule, update));
    transform(examples, worker, server, &training.config(rule.width())?).map(SparseFit::new)
}

/// As [`fit_rule`], beginning with the weights of `model` in place of first ones.
///
/// A model has weights, and not what an optimizer remembers: AdaGrad and Adam begin with long steps again, and
/// FTRL-proximal, which computes a weight from what it remembers, forgets the one that it was given at its first step.
///
/// # Errors
/// A setting of the training is not valid, or the update does not fit the width of the rule.
#[track_caller]
pub fn fit_rule_from<'s, R: SparseRule, T: Clock>(
    rule: &R,
    update: impl Update<f64, f64>,
    model: DataStream<'s, (u32, Vec<f64>), T>,
    examples: DataStream<'s, SparseExample<R::Label>, T>,
    training: &SparseTraining,
) -> Result<SparseFit<'s, R::Label, T>> {
    let (worker, server) = (SparseWorker::new(rule.clone(), training), server(rule, update));
    let config = training.config(rule.width())?;
    transform_with_model_load(model, examples, worker, server, &config).map(SparseFit::new)
}

fn server<R: SparseRule, U: Update<f64, f64>>(
    rule: &R,
    update: U,
) -> SimpleServer<u32, f64, f64, impl Fn(&u32, &mut Vec<f64>) + use<R, U>, U> {
    let rule = rule.clone();
    SimpleServer::with_update(move |feature: &u32, row: &mut Vec<f64>| rule.init(*feature, row), update)
}
