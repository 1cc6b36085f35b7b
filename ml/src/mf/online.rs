//! Online training: one pass, asynchronous, each rating predicted before it is learned.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use waterwheel_engine::{DataStream, Error, Result};
use waterwheel_ps::{
    Emit, LogicReader, LogicWriter, ParameterServerClient, PsConfig, SimpleServer, WorkerLogic, transform,
};

use crate::mf::factors::{Side, init_row};
use crate::mf::kernel::Step;
use crate::mf::{MatrixFactorization, Rating};

/// A rating with what the model said before it learned it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prequential {
    /// The rating.
    pub rating: Rating,
    /// The prediction before training on it.
    pub predicted: f32,
}

/// The results of online training, as streams that flow while it trains.
#[derive(Debug)]
pub struct OnlineFit<'s> {
    /// Every rating with its prediction, test then train; see [`WindowedRmse`](crate::mf::WindowedRmse).
    pub predictions: DataStream<'s, Prequential>,
    /// The user's row after every rating.
    pub users: DataStream<'s, (u64, Vec<f32>)>,
    /// The item's row after every update.
    pub items: DataStream<'s, (u64, Vec<f32>)>,
}

/// What the worker outputs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum OnlineOut {
    /// A prediction, before the step.
    Predicted(Prequential),
    /// A user's row, after the step.
    User(u64, Vec<f32>),
}

/// The worker of online training: pulls the item of each rating, predicts, takes one step, pushes the item's
/// change. User rows live here, so ratings must be partitioned by user.
pub struct OnlineMf {
    mf: MatrixFactorization,
    step: Step,
    users: FxHashMap<u64, Vec<f32>>,
    /// Ratings that wait for their item's row, in order, per item.
    waiting: FxHashMap<u64, Vec<Rating>>,
    item: Vec<f32>,
}

impl std::fmt::Debug for OnlineMf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OnlineMf").field("mf", &self.mf).finish_non_exhaustive()
    }
}

impl OnlineMf {
    /// The worker of a run; `mean` is what an unknown user and item get, with biases.
    pub fn new(mf: &MatrixFactorization, mean: f32) -> Self {
        OnlineMf {
            step: Step { rate: mf.learning_rate(), reg: mf.reg(), mean: mf.biases().then_some(mean) },
            mf: mf.clone(),
            users: FxHashMap::default(),
            waiting: FxHashMap::default(),
            item: Vec::new(),
        }
    }

    /// Predicts the rating, then takes a step on the user's row and the copy of the item's.
    fn learn(&mut self, rating: &Rating) -> Result<f32> {
        let mf = &self.mf;
        let user = self.users.entry(rating.user).or_insert_with(|| {
            let mut first = Vec::with_capacity(mf.width());
            init_row(mf, Side::User, rating.user, &mut first);
            first
        });
        let error = self.step.learn(user, &mut self.item, mf.rank(), rating.rating);
        if !error.is_finite() {
            return Err(Error::operator("training diverged: lower the learning rate"));
        }
        Ok(rating.rating - error)
    }
}

impl WorkerLogic for OnlineMf {
    type In = Rating;
    type Key = u64;
    type Pull = f32;
    type Push = f32;
    type Out = OnlineOut;

    fn on_recv(&mut self, rating: Rating, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        rating.check()?;
        self.waiting.entry(rating.item).or_default().push(rating);
        ps.pull(rating.item)
    }

    /// Learns all ratings that wait for the item, one after another on this copy of its row, and pushes the
    /// change as one. The answers to the pulls of the others then find nothing to do: had each rating used
    /// the row of its own pull, all of them would have moved it from the same old value, and the sum of their
    /// steps would overshoot on popular items.
    fn on_pull_recv(&mut self, item: &u64, row: &[f32], ps: &mut ParameterServerClient<Self>) -> Result<()> {
        let Some(ratings) = self.waiting.remove(item) else { return Ok(()) };
        self.item.clear();
        self.item.extend_from_slice(row);
        for rating in ratings {
            let predicted = self.learn(&rating)?;
            ps.output(OnlineOut::Predicted(Prequential { rating, predicted }));
            ps.output(OnlineOut::User(rating.user, self.users[&rating.user].clone()));
        }
        ps.push(*item, self.item.iter().zip(row).map(|(new, old)| new - old))
    }

    fn snapshot(&self, to: &mut LogicWriter<'_>) -> Result<()> {
        self.users.iter().try_for_each(|(user, row)| to.put_keyed(user, row))
    }

    fn restore(&mut self, from: &mut LogicReader<'_>) -> Result<()> {
        let expected = self.mf.width();
        from.for_each_keyed(|user, row: Vec<f32>| match row.len() {
            found if found == expected => {
                self.users.insert(user, row);
                Ok(())
            }
            found => Err(Error::config(format!(
                "the row of user {user} has {found} values in the checkpoint, expected {expected}: rank or biases have \
                 changed since"
            ))),
        })
    }
}

/// Pulls that a worker may have unanswered: how far the rows it learns from can be behind those of the other
/// workers. On popular items more would make their steps add up to an overshoot.
const ONLINE_CREDIT: usize = 256;

impl MatrixFactorization {
    /// Trains online, on a stream that may never end: one pass, each rating predicted first. `mean` is the
    /// prediction for an unknown user and item, with biases; without, it is not used.
    ///
    /// Asynchronous: with more than one worker the result depends on timing.
    ///
    /// # Errors
    /// While the job runs: a rating that is not finite, or divergence.
    ///
    /// # Examples
    /// ```
    /// use waterwheel_engine::{RuntimeConfig, execute};
    /// use waterwheel_ml::mf::{MfParams, Rating, WindowedRmse};
    ///
    /// let mf = MfParams::new().rank(2).learning_rate(0.05).build()?;
    /// let predicted = execute(RuntimeConfig::threads(1), move |env| {
    ///     let ratings = (0..1000).map(|position| {
    ///         let (user, item) = (position % 5, position % 6);
    ///         Rating { user, item, rating: (user % 2 + item % 3) as f32, position }
    ///     });
    ///     Ok(mf.fit_online(env.from_iter(ratings), 1.5)?.predictions.collect())
    /// })?;
    /// let mut curve = WindowedRmse::new(250);
    /// let errors = predicted.concat().into_iter().map(|p| f64::from(p.rating.rating - p.predicted));
    /// let windows: Vec<f64> = errors.filter_map(|error| curve.add(error)).collect();
    /// assert!(windows[3] < 0.7 * windows[0], "{windows:?}");
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    #[track_caller]
    pub fn fit_online<'s>(&self, ratings: DataStream<'s, Rating>, mean: f32) -> Result<OnlineFit<'s>> {
        let by_user = ratings.key_by(|rating| rating.user).into_stream();
        let mf = self.clone();
        let server = SimpleServer::new(
            move |item: &u64, row: &mut Vec<f32>| init_row(&mf, Side::Item, *item, row),
            |row: &mut [f32], delta: &[f32]| row.iter_mut().zip(delta).for_each(|(value, d)| *value += d),
        );
        let config = PsConfig::new().width(self.width()).credit(ONLINE_CREDIT);
        let trained = transform(by_user, OnlineMf::new(self, mean), server.emit(Emit::EveryPush), &config)?;
        let predictions = trained.output.clone().flat_map(|out| match out {
            OnlineOut::Predicted(prediction) => Some(prediction),
            OnlineOut::User(..) => None,
        });
        let users = trained.output.flat_map(|out| match out {
            OnlineOut::User(user, row) => Some((user, row)),
            OnlineOut::Predicted(_) => None,
        });
        Ok(OnlineFit { predictions, users, items: trained.model })
    }
}
