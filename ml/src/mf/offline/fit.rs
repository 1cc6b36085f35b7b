//! From a stream of ratings to a model.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use waterwheel_engine::{
    Collected, Collector, DataStream, Outcome, ProcessFunction, Result, StateReader, StateWriter,
};
use waterwheel_ps::{PsConfig, SimpleServer, transform};

use crate::mf::factors::{Side, block_of, init_row};
use crate::mf::offline::{MfEvent, MfOut, OfflineMf, fixed_point};
use crate::mf::{Factors, MatrixFactorization, MfModel, Rating, Rmse};

/// The training error of one pass.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochReport {
    /// The epoch, from 1; `None` for the pass over the finished model.
    pub epoch: Option<u32>,
    /// Number of ratings.
    pub ratings: u64,
    /// Root mean squared error: before each step in an epoch, of the model itself in the last pass.
    pub rmse: f64,
}

/// The results of offline training, as streams.
#[derive(Debug)]
pub struct MfFit<'s> {
    /// One report per epoch as it ends, and one of the finished model; on worker 0.
    pub reports: DataStream<'s, EpochReport>,
    /// User rows: factors, and with biases the bias behind them.
    pub users: DataStream<'s, (u64, Vec<f32>)>,
    /// Item rows.
    pub items: DataStream<'s, (u64, Vec<f32>)>,
    /// The mean of all ratings, with biases; one record.
    pub mean: DataStream<'s, Option<f32>>,
    mf: MatrixFactorization,
}

impl MatrixFactorization {
    /// Trains offline on a bounded stream of ratings, wherever they are.
    ///
    /// Memory: 12 bytes per rating while training, three times that while loading, and the rows.
    ///
    /// # Errors
    /// While the job runs: a rating that is not finite, no rating at all, or divergence.
    ///
    /// # Examples
    /// ```
    /// use waterwheel_engine::{RuntimeConfig, execute};
    /// use waterwheel_ml::mf::{MfParams, Rating};
    ///
    /// let mf = MfParams::new().rank(2).epochs(200).reg(0.0).learning_rate(0.05).build()?;
    /// let models = execute(RuntimeConfig::threads(2), move |env| {
    ///     let ratings = env.from_iter((0..30).map(|position| {
    ///         let (user, item) = (position % 5, position % 6);
    ///         Rating { user, item, rating: (1 + user % 2 + item % 3) as f32, position }
    ///     }));
    ///     Ok(mf.fit(ratings)?.collect())
    /// })?;
    /// let (model, reports) = models.into_iter().flatten().next().unwrap();
    /// assert!(reports.last().unwrap().rmse < 0.1);
    /// assert!((model.predict(1, 2) - 4.0).abs() < 0.3);
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    #[track_caller]
    pub fn fit<'s>(&self, ratings: DataStream<'s, Rating>) -> Result<MfFit<'s>> {
        let workers = ratings.workers();
        let events = ratings.process_function(Summed { workers, n: 0, sum: 0 }).name("sum of ratings");
        let mf = self.clone();
        let owned = events.partition_custom(move |event, workers| match event {
            MfEvent::Rating(rating) => block_of(&mf, Side::User, rating.user) as usize % workers,
            MfEvent::Sum { to, .. } => *to as usize,
        });
        let mf = self.clone();
        let server = SimpleServer::new(
            move |item: &u64, row: &mut Vec<f32>| init_row(&mf, Side::Item, *item, row),
            |row: &mut [f32], delta: &[f32]| row.iter_mut().zip(delta).for_each(|(value, d)| *value += d),
        );
        let config = PsConfig::new().width(self.width());
        let trained = transform(owned, OfflineMf::new(self), server, &config)?;
        let out = trained.output;
        let reports = out
            .clone()
            .partition_custom(|_, _| 0)
            .process_function(Passes { workers, parts: FxHashMap::default() })
            .name("reports");
        let users = out.clone().flat_map(|out| match out {
            MfOut::User(user, row) => Some((user, row)),
            _ => None,
        });
        let mean = out.flat_map(|out| match out {
            MfOut::Mean(mean) => Some(mean),
            _ => None,
        });
        Ok(MfFit { reports, users, items: trained.model, mean, mf: self.clone() })
    }
}

/// Passes ratings on and tells every worker their number and sum at the end.
struct Summed {
    workers: usize,
    n: u64,
    sum: i128,
}

impl ProcessFunction<Rating> for Summed {
    type Out = MfEvent;

    fn process(&mut self, rating: Rating, out: &mut Collector<MfEvent>) -> Result<()> {
        rating.check()?;
        self.n += 1;
        self.sum += fixed_point(rating.rating);
        out.emit(MfEvent::Rating(rating));
        Ok(())
    }

    fn end_of_input(&mut self, out: &mut Collector<MfEvent>) -> Result<()> {
        let (n, sum) = (self.n, self.sum);
        (0..self.workers as u64).for_each(|to| out.emit(MfEvent::Sum { to, n, sum }));
        Ok(())
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<()> {
        state.put(&(self.n, self.sum))
    }

    fn restore(&mut self, state: &mut StateReader) -> Result<()> {
        while let Some((n, sum)) = state.next_item::<(u64, i128)>()? {
            self.n += n;
            self.sum += sum;
        }
        Ok(())
    }
}

/// Puts the workers' parts of a pass together, on one worker.
struct Passes {
    workers: usize,
    /// By pass: from how many workers, and squared errors by cell.
    parts: FxHashMap<u32, (usize, CellErrors)>,
}

/// Cell, number of ratings, sum of squared errors.
type CellErrors = Vec<(u32, u64, f64)>;

impl ProcessFunction<MfOut> for Passes {
    type Out = EpochReport;
    const WAITS_FOR_END: bool = false;

    fn process(&mut self, out: MfOut, reports: &mut Collector<EpochReport>) -> Result<()> {
        let MfOut::Pass { epoch, cells } = out else { return Ok(()) };
        let (n_workers, all) = self.parts.entry(epoch).or_default();
        *n_workers += 1;
        all.extend(cells);
        if *n_workers < self.workers {
            return Ok(());
        }
        let mut rmse = Rmse::default();
        all.sort_by_key(|(cell, ..)| *cell);
        all.iter().for_each(|(_cell, n, sum)| rmse.add_many(*n, *sum));
        self.parts.remove(&epoch);
        let epoch = (epoch > 0).then_some(epoch);
        reports.emit(EpochReport { epoch, ratings: rmse.count(), rmse: rmse.value().unwrap_or(0.0) });
        Ok(())
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<()> {
        self.parts.iter().try_for_each(|part| state.put(&part))
    }

    fn restore(&mut self, state: &mut StateReader) -> Result<()> {
        while let Some((epoch, part)) = state.next_item()? {
            self.parts.insert(epoch, part);
        }
        Ok(())
    }
}

impl MfFit<'_> {
    /// Gathers the model and the reports on worker 0.
    pub fn collect(self) -> CollectedModel {
        CollectedModel {
            mf: self.mf,
            users: self.users.collect(),
            items: self.items.collect(),
            mean: self.mean.collect(),
            reports: self.reports.collect(),
        }
    }
}

/// A model on its way to worker 0; its value is `None` on the others.
#[derive(Debug)]
pub struct CollectedModel {
    mf: MatrixFactorization,
    users: Collected<(u64, Vec<f32>)>,
    items: Collected<(u64, Vec<f32>)>,
    mean: Collected<Option<f32>>,
    reports: Collected<EpochReport>,
}

impl Outcome for CollectedModel {
    type Value = Option<(MfModel, Vec<EpochReport>)>;

    fn finish(self) -> Result<Self::Value> {
        let Some(mean) = self.mean.finish()?.pop() else { return Ok(None) };
        let (rank, width) = (self.mf.rank(), self.mf.width());
        let users = Factors::from_rows(self.users.finish()?, width)?;
        let items = Factors::from_rows(self.items.finish()?, width)?;
        let model = MfModel::from_parts(rank, mean, users, items)?;
        Ok(Some((model, self.reports.finish()?)))
    }
}
