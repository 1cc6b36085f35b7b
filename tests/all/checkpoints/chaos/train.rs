//! A training in rounds: data that stay where they are, and a model that goes round.

use std::path::Path;

use waterwheel::prelude::*;

use super::plan::LASTS;
use super::wait;

const ROWS: u64 = 40_000;
const SPLITS: usize = 4;
pub(super) const ROUNDS: u64 = 1_000;
const FIRST_MODEL: u64 = 1;

/// What a row adds to the next model, given this one. Whole numbers, so that it does not matter who adds up which.
fn gradient(row: u64, model: u64) -> u64 {
    let mixed = (row ^ model).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 17
}

/// Adds up the rows of a worker, given the model of the round.
#[derive(Default)]
struct Gradients {
    model: u64,
    rows: Vec<u64>,
}

impl IterationListener for Gradients {
    type Out = u64;

    fn on_epoch_watermark_incremented(
        &mut self,
        _epoch: Round,
        _context: &mut EpochContext,
        out: &mut Collector<u64>,
    ) -> Result<()> {
        let gradients = self.rows.drain(..).map(|row| gradient(row, self.model));
        out.emit(gradients.fold(0, u64::wrapping_add));
        Ok(())
    }

    /// The model and the rows of a round come with it.
    fn snapshot(&self, _state: &mut StateWriter) -> Result<()> {
        Ok(())
    }
}

impl EpochCoProcessFunction<u64, u64> for Gradients {
    fn process1(&mut self, model: u64, _: &mut EpochContext, _: &mut Collector<u64>) -> Result<()> {
        self.model = model;
        Ok(())
    }

    fn process2(&mut self, row: u64, _: &mut EpochContext, _: &mut Collector<u64>) -> Result<()> {
        self.rows.push(row);
        Ok(())
    }
}

/// Makes the next model of what all workers have added up; it does not forget the models before. Says with which round the
/// process begins.
struct Descent {
    sum: u64,
    all_models: u64,
    has_said: bool,
}

impl IterationListener for Descent {
    type Out = u64;

    fn on_epoch_watermark_incremented(
        &mut self,
        epoch: Round,
        context: &mut EpochContext,
        out: &mut Collector<u64>,
    ) -> Result<()> {
        if context.worker_index() == 0 && !std::mem::replace(&mut self.has_said, true) {
            println!("begins with round {epoch}.");
        }
        wait(LASTS / ROUNDS as u32);
        self.all_models = self.all_models.rotate_left(7) ^ std::mem::take(&mut self.sum);
        out.emit(self.all_models);
        Ok(())
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<()> {
        state.put(&self.all_models)
    }

    fn restore(&mut self, state: &mut StateReader) -> Result<()> {
        while let Some(all_models) = state.next_item()? {
            self.all_models = all_models;
        }
        Ok(())
    }
}

impl EpochProcessFunction<u64> for Descent {
    fn process(&mut self, sum: u64, _: &mut EpochContext, _: &mut Collector<u64>) -> Result<()> {
        self.sum = self.sum.wrapping_add(sum);
        Ok(())
    }
}

/// Trains, and writes each model to a file.
pub(super) fn train(config: RuntimeConfig, files: &Path) -> Result<()> {
    let files = files.to_path_buf();
    execute(config, move |env| {
        let (start, rows) = (
            env.from_iter([FIRST_MODEL]).uid("start"),
            env.from_splits(SPLITS, |split| (split as u64..ROWS).step_by(SPLITS)).uid("rows"),
        );
        let settings = IterationConfig::new().name("train").max_rounds(ROUNDS);
        let (models,) =
            Iterations::iterate_bounded((start,), (rows.replay(),), settings, |_it, (model,), (rows,)| {
                let sums = model.broadcast().connect(rows).process_epochs(Gradients::default());
                let descent = Descent { sum: 0, all_models: 0, has_said: false };
                let models = sums.uid("gradients").set_parallelism(1).process_epochs(descent).uid("descent");
                IterationBodyResult::new((models.clone(),), (models,))
            });
        models.write_files(&files, ".txt", |model, file| writeln!(file, "{model}"));
        Ok(())
    })
    .map(drop)
}

pub(super) fn expected() -> Vec<String> {
    let (mut model, mut all_models) = (FIRST_MODEL, 0u64);
    let mut lines: Vec<String> = (0..ROUNDS)
        .map(|_round| {
            let sum = (0..ROWS).map(|row| gradient(row, model)).fold(0, u64::wrapping_add);
            all_models = all_models.rotate_left(7) ^ sum;
            model = all_models;
            model.to_string()
        })
        .collect();
    lines.sort();
    lines
}
