//! Offline training: stratified descent over ratings that the workers keep.

mod fit;
mod strata;

use serde::{Deserialize, Serialize};
use waterwheel_engine::{Error, Result};
use waterwheel_ps::{LogicReader, LogicWriter, ParameterServerClient, WorkerContext, WorkerLogic};

use crate::mf::cells::Cells;
use crate::mf::kernel::Step;
use crate::mf::{MatrixFactorization, Rating};
use strata::Stratum;

pub use fit::{CollectedModel, EpochReport, MfFit};

/// What the workers receive.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum MfEvent {
    /// A rating of a user that this worker owns.
    Rating(Rating),
    /// Number and sum of the ratings that one source worker has read, for worker `to`. The sum is in units
    /// of 2^-32, so that it does not depend on the order of additions.
    Sum {
        /// The worker it is for.
        to: u64,
        /// Number of ratings.
        n: u64,
        /// Their sum.
        sum: i128,
    },
}

/// What the workers output.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum MfOut {
    /// Squared errors of one pass, by cell. `epoch` counts from 1; 0 is the pass over the finished model.
    Pass {
        /// The pass.
        epoch: u32,
        /// Cell, number of ratings, sum of squared errors.
        cells: Vec<(u32, u64, f64)>,
    },
    /// A user's final row.
    User(u64, Vec<f32>),
    /// The mean of all ratings, with biases.
    Mean(Option<f32>),
}

/// The worker of offline training: stratified stochastic gradient descent.
///
/// Users and items are each divided into the same number of blocks, which makes a grid of cells. An epoch has
/// as many strata as there are blocks; in stratum `s` user block `u` is trained on item block `u + s`, so no
/// two cells of a stratum share a user or an item, and it does not matter which worker trains which cell, or
/// when. Between strata the workers meet at the clock. Within a cell the ratings come in an order drawn
/// from the seed. Hence the model depends on the data, the parameters and the seed, and not on the number of
/// workers: bit for bit. (Gemulla, Nijkamp, Haas and Sismanis, *Large-scale matrix factorization with
/// distributed stochastic gradient descent*, KDD 2011; here the item rows are pulled from the parameter
/// server at the beginning of a cell and the differences pushed at its end.)
///
/// Per epoch each worker pulls and pushes an item once for each of its user blocks that rate it.
pub struct OfflineMf {
    mf: MatrixFactorization,
    cells: Cells,
    step: Step,
    ratings_total: u64,
    sum: i128,
    index: usize,
    parallelism: usize,
    /// Whether all ratings are there.
    trains: bool,
    epoch: u32,
    stratum: Stratum,
    /// Squared errors of the present pass, by cell.
    pass: Vec<(u32, u64, f64)>,
}

impl std::fmt::Debug for OfflineMf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OfflineMf").field("mf", &self.mf).field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

/// One unit of the fixed-point sum.
const UNIT: f64 = 1.0 / (1u64 << 32) as f64;

/// A rating in units of the fixed-point sum.
pub(crate) fn fixed_point(rating: f32) -> i128 {
    (f64::from(rating) / UNIT) as i128
}

type Client = ParameterServerClient<OfflineMf>;

impl OfflineMf {
    /// The worker of a run.
    pub fn new(mf: &MatrixFactorization) -> Self {
        OfflineMf {
            cells: Cells::new(mf.clone()),
            step: Step { rate: mf.learning_rate(), reg: mf.reg(), mean: None },
            mf: mf.clone(),
            ratings_total: 0,
            sum: 0,
            index: 0,
            parallelism: 1,
            trains: false,
            epoch: 1,
            stratum: Stratum::default(),
            pass: Vec::new(),
        }
    }

    /// Whether the present pass only measures.
    fn is_final_pass(&self) -> bool {
        self.epoch > self.mf.epochs()
    }

    fn start_stratum(&mut self, ps: &mut Client) -> Result<()> {
        self.stratum.start(&self.cells, self.mf.blocks(), self.mf.width());
        for item in self.stratum.missing_items(&self.cells) {
            ps.pull(item)?;
        }
        self.end_stratum_if_done(ps);
        Ok(())
    }

    fn end_stratum_if_done(&mut self, ps: &mut Client) {
        if self.stratum.is_done() {
            ps.advance_clock();
        }
    }

    /// Trains the cells whose items are all here.
    fn train_ready_cells(&mut self, ps: &mut Client) -> Result<()> {
        while let Some(mut active) = self.stratum.take_ready() {
            let learns = !self.is_final_pass();
            let Some((cell, users)) = self.cells.cell_and_users(active.at) else {
                return Err(Error::internal("a cell without ratings became active"));
            };
            let order = strata::chunk_order(&self.mf, active.at, self.epoch, cell.chunks());
            let before = learns.then(|| active.rows.clone());
            let sum = active.train(cell, users, &order, &self.step, (self.mf.rank(), learns));
            if !sum.is_finite() {
                let epoch = self.epoch;
                return Err(Error::operator(format!(
                    "training diverged in epoch {epoch}: the error is not a number; lower the learning rate"
                )));
            }
            self.pass.push((active.at.0 * self.mf.blocks() + active.at.1, cell.len() as u64, sum));
            if let Some(before) = before {
                active.push_differences(cell, &before, self.mf.width(), ps)?;
            }
            self.stratum.finish(active);
        }
        self.end_stratum_if_done(ps);
        Ok(())
    }

    fn end_pass(&mut self, ps: &mut Client) {
        let epoch = if self.is_final_pass() { 0 } else { self.epoch };
        ps.output(MfOut::Pass { epoch, cells: std::mem::take(&mut self.pass) });
        self.epoch += 1;
    }
}

impl WorkerLogic for OfflineMf {
    type In = MfEvent;
    type Key = u64;
    type Pull = f32;
    type Push = f32;
    type Out = MfOut;

    fn open(&mut self, context: &WorkerContext) -> Result<()> {
        (self.index, self.parallelism) = (context.index, context.parallelism);
        Ok(())
    }

    fn on_recv(&mut self, event: MfEvent, _ps: &mut Client) -> Result<()> {
        match event {
            MfEvent::Rating(rating) => self.cells.add(&rating),
            MfEvent::Sum { n, sum, .. } => {
                self.ratings_total += n;
                self.sum += sum;
            }
        }
        Ok(())
    }

    fn on_end_of_input(&mut self, ps: &mut Client) -> Result<()> {
        if self.ratings_total == 0 {
            return Err(Error::data("there are no ratings to train on"));
        }
        let mean = self.sum as f64 * UNIT / self.ratings_total as f64;
        self.step.mean = self.mf.biases().then_some(mean as f32);
        if self.index == 0 {
            ps.output(MfOut::Mean(self.step.mean));
        }
        self.cells.build();
        self.trains = true;
        self.start_stratum(ps)
    }

    fn on_pull_recv(&mut self, item: &u64, row: &[f32], ps: &mut Client) -> Result<()> {
        if self.stratum.take_row(*item, row)? {
            self.train_ready_cells(ps)?;
        }
        Ok(())
    }

    fn on_clock(&mut self, _clock: u64, ps: &mut Client) -> Result<()> {
        if self.stratum.next_in_pass(self.mf.blocks()) {
            return self.start_stratum(ps);
        }
        let was_final = self.is_final_pass();
        self.end_pass(ps);
        if !was_final {
            return self.start_stratum(ps);
        }
        self.cells.for_each_user(|user, row| ps.output(MfOut::User(user, row.to_vec())));
        Ok(())
    }

    /// Ratings and rows are written by user block. What the workers count alike is alike at a clock, which is where a
    /// checkpoint is made while they train.
    fn snapshot(&self, to: &mut LogicWriter<'_>) -> Result<()> {
        to.put_alike(&(self.trains, self.epoch, self.stratum.index(), self.step.mean))?;
        to.put(&(self.ratings_total, self.sum, &self.pass))?;
        self.cells.snapshot(to)
    }

    fn restore(&mut self, from: &mut LogicReader<'_>) -> Result<()> {
        if let Some((trains, epoch, stratum, mean)) = from.next_alike::<(bool, u32, u32, Option<f32>)>()? {
            (self.trains, self.epoch, self.step.mean) = (trains, epoch, mean);
            self.stratum.go_to(stratum);
        }
        while let Some((n, sum, pass)) = from.next_item::<(u64, i128, Vec<(u32, u64, f64)>)>()? {
            self.ratings_total += n;
            self.sum += sum;
            self.pass.extend(pass);
        }
        let (index, parallelism) = (self.index as u64, self.parallelism as u64);
        self.cells.restore(from, |block| block % parallelism == index, self.trains)
    }
}
