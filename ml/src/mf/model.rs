//! The trained model: predictions, recommendations, errors.

use waterwheel_engine::{Error, Result};

use crate::mf::kernel::Step;
use crate::mf::{Names, Rating, Rmse};
use crate::retrieval::{Scored, TopK};

/// Rows of users or items, ordered by id.
#[derive(Clone, Debug, PartialEq)]
pub struct Factors {
    ids: Vec<u64>,
    rows: Vec<f32>,
    width: usize,
}

impl Factors {
    /// From ids in ascending order and as many rows of `width`, one after another.
    ///
    /// # Errors
    /// The lengths do not match, an id comes twice or out of order, or a value is not finite.
    pub fn from_parts(ids: Vec<u64>, rows: Vec<f32>, width: usize) -> Result<Self> {
        if rows.len() != ids.len() * width {
            let (n, found, expected) = (ids.len(), rows.len(), ids.len() * width);
            return Err(Error::data(format!(
                "{n} rows of width {width}: found {found} values, expected {expected}"
            )));
        }
        if let Some(pair) = ids.windows(2).find(|pair| pair[0] >= pair[1]) {
            return Err(Error::data(format!("ids must ascend: found {} before {}", pair[0], pair[1])));
        }
        if let Some(at) = rows.iter().position(|value| !value.is_finite()) {
            let (id, value) = (ids[at / width], rows[at]);
            return Err(Error::data(format!(
                "row of id {id} has the value {value}, expected finite numbers"
            )));
        }
        Ok(Factors { ids, rows, width })
    }

    /// From rows in any order.
    ///
    /// # Errors
    /// As [`from_parts`](Self::from_parts).
    pub fn from_rows(mut rows: Vec<(u64, Vec<f32>)>, width: usize) -> Result<Self> {
        rows.sort_unstable_by_key(|(id, _)| *id);
        let (ids, rows): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        Self::from_parts(ids, rows.concat(), width)
    }

    /// Ids, ascending.
    pub fn ids(&self) -> &[u64] {
        &self.ids
    }

    /// All rows, one after another.
    pub fn rows(&self) -> &[f32] {
        &self.rows
    }

    /// The row of `id`. Logarithmic time.
    pub fn row(&self, id: u64) -> Option<&[f32]> {
        let at = self.ids.binary_search(&id).ok()?;
        Some(&self.rows[at * self.width..(at + 1) * self.width])
    }
}

/// A trained matrix factorization.
#[derive(Clone, Debug, PartialEq)]
pub struct MfModel {
    rank: usize,
    mean: Option<f32>,
    users: Factors,
    items: Factors,
    /// Of users and items, where ids stand for names.
    names: Option<(Names, Names)>,
}

impl MfModel {
    /// From known coefficients. `mean` is there exactly if rows have a bias behind their `rank` factors.
    ///
    /// # Errors
    /// Rows of another width than `rank`, or `rank + 1` with a mean; a mean that is not finite.
    pub fn from_parts(rank: usize, mean: Option<f32>, users: Factors, items: Factors) -> Result<Self> {
        let expected = rank + usize::from(mean.is_some());
        for (what, factors) in [("user", &users), ("item", &items)] {
            if factors.width != expected {
                let found = factors.width;
                return Err(Error::data(format!("{what} rows have width {found}, expected {expected}")));
            }
        }
        if mean.is_some_and(|mean| !mean.is_finite()) {
            return Err(Error::data("the mean is not a finite number"));
        }
        Ok(MfModel { rank, mean, users, items, names: None })
    }

    /// With the names that the ids of users and items stand for. Names of others are left out.
    ///
    /// # Errors
    /// A user or an item has no name.
    pub fn with_names(mut self, users: Names, items: Names) -> Result<Self> {
        let no_name = |what: &str, error: Error| Error::data(format!("{what} {}", error.message()));
        let users = users.only(&self.users.ids).map_err(|error| no_name("user", error))?;
        let items = items.only(&self.items.ids).map_err(|error| no_name("item", error))?;
        self.names = Some((users, items));
        Ok(self)
    }

    /// The names of users and of items, if ids stand for names.
    pub fn names(&self) -> Option<(&Names, &Names)> {
        self.names.as_ref().map(|(users, items)| (users, items))
    }

    /// The coefficients: rank, mean, users, items; without names.
    pub fn into_parts(self) -> (usize, Option<f32>, Factors, Factors) {
        (self.rank, self.mean, self.users, self.items)
    }

    /// Factors per user and item.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Mean of the training ratings, if the model has biases.
    pub fn mean(&self) -> Option<f32> {
        self.mean
    }

    /// The users.
    pub fn users(&self) -> &Factors {
        &self.users
    }

    /// The items.
    pub fn items(&self) -> &Factors {
        &self.items
    }

    /// The predicted rating of `item` by `user`. One that was not trained on counts as average: with biases
    /// the mean and what is known of the other remain, without biases the prediction is 0.
    pub fn predict(&self, user: u64, item: u64) -> f32 {
        self.predict_rows(self.users.row(user), self.items.row(item))
    }

    fn predict_rows(&self, user: Option<&[f32]>, item: Option<&[f32]>) -> f32 {
        let step = Step { rate: 0.0, reg: 0.0, mean: self.mean };
        match (user, item, self.mean) {
            (Some(user), Some(item), _) => step.predict(user, item, self.rank),
            (Some(row), None, Some(mean)) | (None, Some(row), Some(mean)) => mean + row[self.rank],
            (None, None, Some(mean)) => mean,
            (_, _, None) => 0.0,
        }
    }

    /// The `k` items with the highest predictions for `user`, best first, by a scan of all items; equal
    /// scores in order of item. Items for which `skip` is true are left out. Time `items * rank`.
    ///
    /// # Errors
    /// The model does not know the user.
    pub fn recommend(&self, user: u64, k: usize, skip: impl Fn(u64) -> bool) -> Result<Vec<Scored>> {
        let Some(row) = self.users.row(user) else { return Err(self.unknown_user(user)) };
        let mut top = TopK::new(k);
        let candidates = self.items.ids.iter().zip(self.items.rows.chunks_exact(self.items.width));
        for (item, factors) in candidates.filter(|(item, _)| !skip(**item)) {
            top.offer(Scored { item: *item, score: self.predict_rows(Some(row), Some(factors)) });
        }
        Ok(top.into_best())
    }

    fn unknown_user(&self, user: u64) -> Error {
        let n = self.users.ids.len();
        // The name of one that is not there is not known.
        let who = if self.names.is_some() { "the user".into() } else { format!("user {user}") };
        Error::data(format!("{who} is not in the model, which knows {n} users"))
    }

    /// The error on ratings, which may be of unknown users and items.
    pub fn rmse<'r>(&self, ratings: impl IntoIterator<Item = &'r Rating>) -> Rmse {
        let mut rmse = Rmse::default();
        for rating in ratings {
            rmse.add(f64::from(rating.rating) - f64::from(self.predict(rating.user, rating.item)));
        }
        rmse
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> MfModel {
        let users = Factors::from_rows(vec![(7, vec![1.0, 0.5])], 2).unwrap();
        let items = vec![(3, vec![2.0, 0.0]), (1, vec![-1.0, 0.25]), (2, vec![2.0, 0.0])];
        MfModel::from_parts(1, Some(3.0), users, Factors::from_rows(items, 2).unwrap()).unwrap()
    }

    #[test]
    fn predict_adds_what_is_known() {
        let model = model();
        assert_eq!(model.predict(7, 3), 3.0 + 0.5 + 2.0);
        assert_eq!(model.predict(7, 9), 3.5);
        assert_eq!(model.predict(8, 1), 3.25);
        assert_eq!(model.predict(8, 9), 3.0);
    }

    #[test]
    fn recommend_orders_by_score_then_item_and_skips() {
        let items = |k, skip: fn(u64) -> bool| -> Vec<u64> {
            model().recommend(7, k, skip).unwrap().iter().map(|scored| scored.item).collect()
        };
        assert_eq!(items(10, |_| false), [2, 3, 1]);
        assert_eq!(items(1, |_| false), [2]);
        assert_eq!(items(2, |item| item == 2), [3, 1]);
        assert_eq!(items(0, |_| false), Vec::<u64>::new());
        let error = model().recommend(1, 3, |_| false).unwrap_err();
        assert_eq!(error.message(), "user 1 is not in the model, which knows 1 users");
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        assert!(Factors::from_parts(vec![1, 2], vec![0.0; 3], 2).is_err());
        assert!(Factors::from_parts(vec![2, 1], vec![0.0; 4], 2).is_err());
        assert!(Factors::from_parts(vec![1], vec![f32::NAN, 0.0], 2).is_err());
        let rows = || Factors::from_rows(vec![(1, vec![0.0, 0.0])], 2).unwrap();
        assert!(MfModel::from_parts(2, Some(1.0), rows(), rows()).is_err());
        assert!(MfModel::from_parts(2, None, rows(), rows()).is_ok());
    }
}
