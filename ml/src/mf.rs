//! Matrix factorization on the parameter server: user factors at the workers, item factors at the servers.
//!
//! A rating is predicted as `p·q`, or with biases as `mean + b_user + b_item + p·q`. Stochastic gradient
//! descent on the squared error with L2 (Koren, Bell and Volinsky, *Matrix factorization techniques for
//! recommender systems*, IEEE Computer 42(8), 2009): for `e = rating - prediction`,
//! `p += rate * (e * q - reg * p)` and `q += rate * (e * p - reg * q)`, both from the old values, and
//! `b += rate * (e - reg * b)` for both biases.
//!
//! * [`MatrixFactorization::fit`] trains offline: several epochs over ratings that the workers keep. The
//!   result does not depend on the number of workers or processes, bit for bit; see [`OfflineMf`].
//! * [`MatrixFactorization::fit_online`] trains online: one pass, asynchronous, each rating predicted before
//!   it is learned; see [`OnlineMf`].
//! * [`Recommender`] learns from interactions, of which nobody knows how well they were liked, and recommends before it
//!   learns.

mod cells;
mod factors;
mod kernel;
mod model;
mod names;
mod offline;
mod online;
mod params;
mod recommender;
mod rmse;
mod save;

use serde::{Deserialize, Serialize};
use waterwheel_engine::{Error, Result};

pub use crate::retrieval::Scored;
pub use model::{Factors, MfModel};
pub use names::Names;
pub use offline::{CollectedModel, EpochReport, MfFit, OfflineMf};
pub use online::{OnlineFit, OnlineMf, Prequential};
pub use params::{MatrixFactorization, MfParams};
pub use recommender::{
    Interaction, Recommendation, Recommender, RecommenderFit, RecommenderParams, recommend_popular,
};
pub use rmse::{Rmse, WindowedRmse};

/// A rating of an item by a user.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rating {
    /// Who rates.
    pub user: u64,
    /// What is rated.
    pub item: u64,
    /// How much; finite, and at most 1e12 either way.
    pub rating: f32,
    /// Position in the data set. It decides the order of training, whatever order the ratings arrive in, so
    /// it must be different for each.
    pub position: u64,
}

/// Largest absolute rating: sums of ratings stay exact below it.
const MAX_RATING: f32 = 1e12;

impl Rating {
    /// Whether it can be trained on.
    fn check(&self) -> Result<()> {
        if self.rating.abs() <= MAX_RATING {
            return Ok(());
        }
        let Rating { user, item, rating, .. } = self;
        let expected = if rating.is_finite() { "at most 1e12 either way" } else { "a finite number" };
        Err(Error::data(format!("rating of item {item} by user {user}: found {rating}, expected {expected}")))
    }
}
