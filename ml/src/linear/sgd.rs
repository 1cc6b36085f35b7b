//! Mini-batch gradient descent as a bounded iteration.
//!
//! The coefficients go round: every worker adds up the gradient of its next rows, worker 0 makes the step and sends
//! the new coefficients to all. Rows stay where they are.

use serde::{Deserialize, Serialize};
use waterwheel_engine::{Collector, DataStream, Error, Result, Round, StateReader, StateWriter};
use waterwheel_iteration::{
    EpochCoProcessFunction, EpochConnectedStreams, EpochContext, EpochProcessFunction, EpochStream,
    IterationBodyResult, IterationConfig, IterationListener, Iterations,
};

use crate::Examples;
use crate::linear::loss::Loss;
use crate::linear::model::LinearModel;
use crate::linear::params::{SgdParams, TolOf};
use crate::linear::regularization::{penalty, regularize};
use crate::once::once;

/// The stream of the one trained model, on worker 0.
pub(crate) fn train<'s, L: Loss>(
    examples: DataStream<'s, Examples>,
    params: SgdParams,
    loss: L,
) -> Result<DataStream<'s, LinearModel>> {
    params.check()?;
    let (worker, workers) = (examples.worker_index(), examples.workers());
    let place = examples.place();
    let config = IterationConfig::new().name("sgd");
    let start = once::<Step, _>(&place, "sgd start", Vec::new());
    let (models,) =
        Iterations::iterate_bounded((start,), (examples,), config, |_it, (steps,), (examples,)| {
            let gradients = Gradients {
                loss,
                share: (worker, workers),
                batch: params.local_batch(worker, workers),
                coefficients: None,
                blocks: Vec::new(),
                next: (0, 0),
                slopes: Vec::new(),
            };
            let parts =
                steps.broadcast().connect(examples).process_epochs(gradients).partition_custom(|_, _| 0);
            let descent = Descent { params, coefficients: Vec::new(), parts: Vec::new() };
            let steps = parts.process_epochs(descent);
            let last = steps.clone().filter(|step| step.is_last).map(|step| step.model);
            let next = steps.filter(|step| !step.is_last);
            IterationBodyResult::new((next,), (last,))
        });
    Ok(models)
}

/// Coefficients after a step.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Step {
    model: LinearModel,
    is_last: bool,
}

/// Gradient, loss and weight of one worker's rows of a batch.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Part {
    worker: usize,
    gradient: Vec<f64>,
    loss: f64,
    weight: f64,
}

/// Adds up the gradient of the next rows of one worker, once per epoch.
struct Gradients<L> {
    loss: L,
    /// Which worker this is, of how many.
    share: (usize, usize),
    /// Rows of an epoch.
    batch: usize,
    /// All zero before the first step.
    coefficients: Option<Vec<f64>>,
    blocks: Vec<Examples>,
    /// Block and row that come next.
    next: (usize, usize),
    /// Of a tile; empty between two.
    slopes: Vec<f64>,
}

/// Features of a tile of rows: half of a small first cache.
const TILE: usize = 2_048;

impl<L: Loss> Gradients<L> {
    /// The part of the next batch: rows in order, cut short at the end, then from the first again.
    fn part(&mut self, worker: usize) -> Part {
        let dim = self.blocks.first().map_or(0, Examples::dim);
        let coefficients = self.coefficients.take().unwrap_or_else(|| vec![0.0; dim]);
        let mut part = Part { worker, gradient: vec![0.0; dim], loss: 0.0, weight: 0.0 };
        let mut left = self.batch;
        let tile_rows = (TILE / dim.max(1)).clamp(4, 64);
        while left > 0
            && let Some(block) = self.blocks.get(self.next.0)
        {
            let rows = self.next.1..block.rows().min(self.next.1.saturating_add(left));
            left -= rows.len();
            self.next.1 = rows.end;
            // Tiles of rows stay in the cache between the passes over them.
            for first in rows.clone().step_by(tile_rows) {
                let tile = first..rows.end.min(first + tile_rows);
                self.slopes.clear();
                block.products(tile.clone(), &coefficients, &mut self.slopes);
                let (labels, weights) = (&block.labels()[tile.clone()], block.weights(tile.clone()));
                part.loss += self.loss.losses(&mut self.slopes, labels, weights);
                part.weight += if weights.is_empty() { tile.len() as f64 } else { weights.iter().sum() };
                block.add_all_scaled(tile, &self.slopes, &mut part.gradient);
            }
            if self.next.1 == block.rows() {
                self.next = (self.next.0 + 1, 0);
            }
        }
        if self.next.0 == self.blocks.len() {
            self.next = (0, 0);
        }
        self.coefficients = Some(coefficients);
        part
    }
}

impl<L: Loss> IterationListener for Gradients<L> {
    type Out = Part;

    fn on_epoch_watermark_incremented(
        &mut self,
        _epoch: Round,
        context: &mut EpochContext,
        out: &mut Collector<Part>,
    ) -> Result<()> {
        if !self.blocks.is_empty() {
            out.emit(self.part(context.worker_index()));
        }
        Ok(())
    }

    /// Which rows come next. The coefficients come with the next step.
    fn snapshot(&self, state: &mut StateWriter) -> Result<()> {
        state.put(&(self.share, self.next))
    }

    fn snapshot_data(&self, data: &mut StateWriter) -> Result<()> {
        self.blocks.iter().try_for_each(|block| data.put(block))
    }

    /// With another number of workers there are other rows here: the first ones come next.
    fn restore(&mut self, state: &mut StateReader) -> Result<()> {
        while let Some((share, next)) = state.next_item()? {
            if self.share == share {
                self.next = next;
            }
        }
        Ok(())
    }

    fn restore_data(&mut self, data: &mut StateReader) -> Result<()> {
        while let Some(block) = data.next_item()? {
            self.blocks.push(block);
        }
        Ok(())
    }
}

impl<L: Loss> EpochCoProcessFunction<Step, Examples> for Gradients<L> {
    fn process1(
        &mut self,
        step: Step,
        _context: &mut EpochContext,
        _out: &mut Collector<Part>,
    ) -> Result<()> {
        self.coefficients = Some(step.model.into_coefficients());
        Ok(())
    }

    fn process2(&mut self, block: Examples, _: &mut EpochContext, _out: &mut Collector<Part>) -> Result<()> {
        block.labels().iter().try_for_each(|label| self.loss.check(*label))?;
        if let Some(first) = self.blocks.first().filter(|first| first.dim() != block.dim()) {
            return Err(Error::data(format!(
                "a block has {} features, expected {}",
                block.dim(),
                first.dim()
            )));
        }
        if block.rows() > 0 {
            self.blocks.push(block);
        }
        Ok(())
    }
}

/// Makes the steps, on worker 0.
struct Descent {
    params: SgdParams,
    coefficients: Vec<f64>,
    parts: Vec<Part>,
}

impl Descent {
    /// One step against the gradient; the mean loss before it.
    fn step(&mut self) -> Result<f64> {
        let SgdParams { learning_rate, reg, elastic_net, tol_of, .. } = self.params;
        self.parts.sort_by_key(|part| part.worker);
        let dim = self.parts.iter().map(|part| part.gradient.len()).max().unwrap_or(0);
        self.coefficients.resize(dim, 0.0);
        if let Some(part) = self.parts.iter().find(|part| part.gradient.len() != dim) {
            let (found, worker) = (part.gradient.len(), part.worker);
            return Err(Error::data(format!(
                "blocks of worker {worker} have {found} features, expected {dim}"
            )));
        }
        let weight: f64 = self.parts.iter().map(|part| part.weight).sum();
        let loss: f64 = self.parts.iter().map(|part| part.loss).sum();
        let penalty = match tol_of {
            TolOf::Loss => 0.0,
            TolOf::LossAndPenalty => penalty(&self.coefficients, reg, elastic_net),
        };
        if weight > 0.0 {
            for part in &self.parts {
                let sums = self.coefficients.iter_mut().zip(&part.gradient);
                sums.for_each(|(w, slope)| *w -= learning_rate / weight * slope);
            }
        }
        regularize(&mut self.coefficients, reg, elastic_net, learning_rate);
        self.parts.clear();
        // Rows of weight 0 say nothing about the loss: no reason to end.
        Ok(if weight > 0.0 { loss / weight + penalty } else { f64::INFINITY })
    }
}

impl IterationListener for Descent {
    type Out = Step;

    fn on_epoch_watermark_incremented(
        &mut self,
        epoch: Round,
        _context: &mut EpochContext,
        out: &mut Collector<Step>,
    ) -> Result<()> {
        if self.parts.is_empty() {
            return Ok(());
        }
        let loss = self.step()?;
        if let Some(at) = self.coefficients.iter().position(|w| !w.is_finite()) {
            return Err(Error::data(format!(
                "coefficient {at} is {} after step {}: the learning rate {} is too high for these features",
                self.coefficients[at],
                epoch + 1,
                self.params.learning_rate
            )));
        }
        let is_last = epoch + 1 >= self.params.max_iter || loss <= self.params.tol;
        out.emit(Step { model: LinearModel::new(self.coefficients.clone(), epoch + 1, loss), is_last });
        Ok(())
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<()> {
        state.put(&self.coefficients)
    }

    fn restore(&mut self, state: &mut StateReader) -> Result<()> {
        while let Some(coefficients) = state.next_item()? {
            self.coefficients = coefficients;
        }
        Ok(())
    }
}

impl EpochProcessFunction<Part> for Descent {
    fn process(&mut self, part: Part, _context: &mut EpochContext, _out: &mut Collector<Step>) -> Result<()> {
        self.parts.push(part);
        Ok(())
    }
}
