//! Recommending from a stream of interactions: test, then learn.

mod memory;
mod merge;
mod numbered;
mod popularity;
mod worker;

use serde::{Deserialize, Serialize};
use waterwheel_engine::{DataStream, Error, Result};
use waterwheel_ps::{Consistency, PsConfig, SimpleServer, Sum, transform};

use crate::mf::factors::{Side, init_row};
use crate::mf::{MatrixFactorization, MfParams, Scored};
use crate::retrieval::Pruning;
use merge::merge;
use numbered::Numbered;
use worker::RecommenderWorker;

pub use popularity::recommend_popular;

/// A user has used an item: bought, watched, rated it; how well it was liked is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interaction {
    /// Who.
    pub user: u64,
    /// What.
    pub item: u64,
    /// When, in any unit. Only [`Recommendation`]s carry it on; the order of a stream is that of arrival.
    pub time: i64,
}

/// What was recommended to a user right before an interaction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recommendation {
    /// Number of the interaction, from 0, in order of arrival.
    pub number: u64,
    /// The interaction that followed.
    pub interaction: Interaction,
    /// Best first; without items that the user is remembered to have used.
    pub best: Vec<Scored>,
}

impl Recommendation {
    /// At which rank, from 1, the item was that the user then used, if it was recommended.
    pub fn rank(&self) -> Option<usize> {
        self.best.iter().position(|scored| scored.item == self.interaction.item).map(|at| at + 1)
    }
}

/// Parameters of a [`Recommender`], not yet checked.
///
/// | parameter | default | valid |
/// |---|---|---|
/// | `rank`: factors of users and items | 10 | 1 to 4,096 |
/// | `top`: items of a recommendation | 10 | 1 or more |
/// | `learning_rate` of factors | 0.2 | finite, above 0 |
/// | `bias_rate` of items' biases | 0.05 | finite, 0 or more |
/// | `reg`: L2 on factors and biases | 0.01 | finite, 0 or more |
/// | `negatives`: items taken as not wanted, for each interaction | 9 | |
/// | `user_memory`: items of a user that are remembered | 65,535 | 1 or more |
/// | `init`: range of first factors, uniform | -0.1 to 0.1 | finite, low at most high |
/// | `seed` of first factors and negatives | 1 | |
/// | `pruning` of the search | [`Pruning::Length`] | see there |
/// | `consistency` | asynchronous | not serialisable |
/// | `credit`: interactions under way at each worker | 16 | 1 or more |
///
/// # Examples
/// ```
/// use waterwheel_ml::mf::RecommenderParams;
/// assert!(RecommenderParams::new().rank(16).top(20).build().is_ok());
/// assert!(RecommenderParams::new().user_memory(0).build().is_err());
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RecommenderParams {
    factors: MfParams,
    top: usize,
    bias_rate: f32,
    negatives: usize,
    user_memory: usize,
    pruning: Pruning,
    consistency: Consistency,
    credit: usize,
}

impl Default for RecommenderParams {
    fn default() -> Self {
        let factors = MfParams::new().learning_rate(Self::LEARNING_RATE).reg(Self::REG);
        RecommenderParams {
            factors,
            top: Self::TOP,
            bias_rate: Self::BIAS_RATE,
            negatives: Self::NEGATIVES,
            user_memory: Self::USER_MEMORY,
            pruning: Pruning::default(),
            consistency: Consistency::Asynchronous,
            credit: Self::CREDIT,
        }
    }
}

/// The defaults, for flags that offer the same parameters.
impl RecommenderParams {
    /// Items of a recommendation.
    pub const TOP: usize = 10;
    /// Step size of factors.
    pub const LEARNING_RATE: f32 = 0.2;
    /// Step size of biases.
    pub const BIAS_RATE: f32 = 0.05;
    /// Strength of L2 regularisation.
    pub const REG: f32 = 0.01;
    /// Items taken as not wanted, for each interaction.
    pub const NEGATIVES: usize = 9;
    /// Items of a user that are remembered.
    pub const USER_MEMORY: usize = 65_535;
    /// Interactions under way at each worker.
    pub const CREDIT: usize = 16;
}

impl RecommenderParams {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the number of factors.
    #[must_use]
    pub fn rank(mut self, rank: usize) -> Self {
        self.factors = self.factors.rank(rank);
        self
    }

    /// Sets how many items a recommendation has.
    #[must_use]
    pub fn top(mut self, items: usize) -> Self {
        self.top = items;
        self
    }

    /// Sets the step size of factors.
    #[must_use]
    pub fn learning_rate(mut self, rate: f32) -> Self {
        self.factors = self.factors.learning_rate(rate);
        self
    }

    /// Sets the step size of items' biases. With 0 there are none, and nothing to recommend to a user who is new.
    #[must_use]
    pub fn bias_rate(mut self, rate: f32) -> Self {
        self.bias_rate = rate;
        self
    }

    /// Sets the strength of L2 regularisation.
    #[must_use]
    pub fn reg(mut self, reg: f32) -> Self {
        self.factors = self.factors.reg(reg);
        self
    }

    /// Sets how many items are taken as not wanted, for each interaction.
    #[must_use]
    pub fn negatives(mut self, items: usize) -> Self {
        self.negatives = items;
        self
    }

    /// Sets how many items of a user are remembered: the ones used last. They are neither recommended nor taken as not
    /// wanted.
    #[must_use]
    pub fn user_memory(mut self, items: usize) -> Self {
        self.user_memory = items;
        self
    }

    /// Sets the range of the first factors.
    #[must_use]
    pub fn init(mut self, low: f32, high: f32) -> Self {
        self.factors = self.factors.init(low, high);
        self
    }

    /// Sets the seed of first factors and of negatives.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.factors = self.factors.seed(seed);
        self
    }

    /// Sets how the search rules items out. It changes no recommendation.
    #[must_use]
    pub fn pruning(mut self, pruning: Pruning) -> Self {
        self.pruning = pruning;
        self
    }

    /// Sets what a worker sees of what the others have learned. Where staleness is bounded, a clock is one interaction.
    #[must_use]
    pub fn consistency(mut self, consistency: Consistency) -> Self {
        self.consistency = consistency;
        self
    }

    /// Sets how many interactions a worker may have under way.
    #[must_use]
    pub fn credit(mut self, interactions: usize) -> Self {
        self.credit = interactions;
        self
    }

    /// Checks the parameters.
    ///
    /// # Errors
    /// The first parameter outside its range, with the value found and the range.
    pub fn build(self) -> Result<Recommender> {
        for (what, found) in [("top", self.top), ("user memory", self.user_memory), ("credit", self.credit)] {
            if found == 0 {
                return Err(Error::config(format!("recommender: {what}: found 0, expected 1 or more")));
            }
        }
        if !(self.bias_rate.is_finite() && self.bias_rate >= 0.0) {
            let found = self.bias_rate;
            return Err(Error::config(format!(
                "recommender: bias rate: found {found}, expected a finite number, 0 or more"
            )));
        }
        if self.consistency == Consistency::Serialisable {
            return Err(Error::config(
                "recommender: found serialisable consistency, expected asynchronous or bounded: all workers read a user at \
                 the same time",
            ));
        }
        self.pruning.check()?;
        Ok(Recommender { factors: self.factors.clone().build()?, params: self })
    }
}

/// A recommender that learns from the stream it recommends to: *learner and generator*, prequential.
///
/// Before an interaction is learned, the items that the user is thought to want most are found. The score of an item is
/// `bias + p·q`, with the factors `p` of the user and `q` of the item. Then gradient descent on the squared error moves the
/// score of the item that was used towards 1, and those of `negatives` items, drawn from all that are known but those that
/// the user is remembered to have used, towards 0. The steps of all items are taken from the same factors of the user, and
/// the user gets their sum.
///
/// Users are at the servers, and items are shared out among the workers, each with an
/// [index](crate::retrieval::InnerProductIndex) of its own that follows what it learns. Every interaction goes to all
/// workers: each finds the best of its items, and the one that has the item learns. Memory is bounded but for the number of
/// users and items.
///
/// Bulk synchronous, all workers see the same factors of a user at an interaction, and a run can be repeated with the same
/// number of workers, wherever they are: negatives are drawn from the items of one worker. Asynchronously results depend
/// on timing.
///
/// # References
/// Koren, Bell and Volinsky, *Matrix factorization techniques for recommender systems*, IEEE Computer 42(8), 2009; Vinagre,
/// Jorge and Gama, *Fast incremental matrix factorization for recommendation with positive-only feedback*, UMAP 2014; Gama,
/// Sebastião and Rodrigues, *On evaluating stream learning algorithms*, Machine Learning 90, 2013, for *test, then learn*.
///
/// # Examples
/// ```
/// use waterwheel_engine::{RuntimeConfig, execute};
/// use waterwheel_ml::mf::{Interaction, RecommenderParams};
/// use waterwheel_ml::ranking::{QualityState, quality_by_window};
///
/// let recommender = RecommenderParams::new().rank(4).top(2).build()?;
/// let quality = execute(RuntimeConfig::threads(2), move |env| {
///     // Users of two kinds, each with items of its own, ten times round.
///     let used = (0..2_000u64).map(|n| {
///         let (user, turn) = (n % 20, n / 20);
///         Interaction { user, item: 10 * (user % 2) + turn % 10, time: n as i64 }
///     });
///     let fit = recommender.fit(env.from_iter(used))?;
///     let state = QualityState::new();
///     let by_window = |found: &waterwheel_ml::mf::Recommendation| (found.interaction.time / 500, found.rank());
///     Ok(quality_by_window(fit.recommendations, by_window, &state).collect())
/// })?;
/// assert_eq!(quality[0][0].total().lists(), 2_000);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Recommender {
    params: RecommenderParams,
    factors: MatrixFactorization,
}

/// The results of a [`Recommender`], as streams.
#[derive(Debug)]
pub struct RecommenderFit<'s> {
    /// For each interaction what was recommended right before it.
    pub recommendations: DataStream<'s, Recommendation>,
    /// The factors of every user, when the stream has ended.
    pub users: DataStream<'s, (u64, Vec<f32>)>,
    /// The factors of every item, and behind them its bias, when the stream has ended.
    pub items: DataStream<'s, (u64, Vec<f32>)>,
}

impl Recommender {
    /// Recommends and learns, interaction by interaction.
    ///
    /// The order is that of arrival on worker 0, so a stream whose order matters must come from one place.
    ///
    /// # Errors
    /// A setting of the parameter server is not valid. While the job runs: the training diverges.
    #[track_caller]
    pub fn fit<'s>(&self, interactions: DataStream<'s, Interaction>) -> Result<RecommenderFit<'s>> {
        let numbered = interactions.global().process_function(Numbered { next: 0 }).name("numbers");
        let workers = numbered.workers();
        let factors = self.factors.clone();
        let server = SimpleServer::with_update(
            move |user: &u64, row: &mut Vec<f32>| init_row(&factors, Side::User, *user, row),
            Sum,
        );
        let RecommenderParams { credit, consistency, .. } = self.params;
        let config = PsConfig::new().width(self.factors.rank()).credit(credit).consistency(consistency);
        let trained = transform(numbered.broadcast(), RecommenderWorker::new(self)?, server, &config)?;
        let (parts, items) = worker::divide(trained.output);
        let recommendations = merge(parts, workers, self.params.top);
        Ok(RecommenderFit { recommendations, users: trained.model, items })
    }
}
