//! Ratings of items by users, for recommendation.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use waterwheel_engine::Result;

use super::table::Table;
use super::{cell, centred, check_sizes, clamp, unit};

/// Length of the factors behind the ratings.
const FACTORS: u32 = 8;

/// Ratings in half stars, from hidden factors of length 8, biases and noise.
///
/// Low numbers rate and are rated most: user `⌊users·u²⌋` and item `⌊items·u³⌋` of uniform `u`. The rating
/// is `3.5 + 0.75 P·Q + 0.3 (user bias) + 0.3 (item bias) + 0.6 (noise)` with factors and biases in
/// `[-1, 1)` and triangular noise in `[-1, 1)`, rounded to halves and cut to `0.5..=5`. A pair of user and
/// item can come more than once. A tenth of the rows is meant for testing: see [`is_test`](Self::is_test).
///
/// Clones are cheap: they share tables of the users and items that come most.
///
/// # Examples
/// ```
/// use waterwheel_ml::generate::{RatingRow, Ratings};
///
/// let ratings = Ratings::new(1_000, 500, 10_000)?;
/// assert_eq!(ratings.iter().count(), 10_000);
/// let RatingRow { user, item, rating } = ratings.row(7);
/// assert!(user < 1_000 && item < 500 && (0.5..=5.0).contains(&rating));
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Ratings {
    users: u32,
    items: u32,
    count: u64,
    user_profiles: Table<Profile>,
    item_profiles: Table<Profile>,
}

/// One rating; the row type of [`Ratings`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RatingRow {
    /// Who rates, from 0.
    pub user: u32,
    /// What is rated, from 0.
    pub item: u32,
    /// Stars in halves, `0.5..=5`.
    pub rating: f32,
}

impl Ratings {
    /// `count` ratings by `users` users of `items` items.
    ///
    /// # Errors
    /// A config error where `users` or `items` is 0.
    pub fn new(users: u32, items: u32, count: u64) -> Result<Self> {
        check_sizes("ratings", &[("users", users), ("items", items)])?;
        Ok(Ratings {
            users,
            items,
            count,
            user_profiles: Table::new(users.into(), |user| Profile::new(user, 9, 11)),
            item_profiles: Table::new(items.into(), |item| Profile::new(item, 10, 12)),
        })
    }

    /// How many users there are.
    pub fn users(&self) -> u32 {
        self.users
    }

    /// How many items there are.
    pub fn items(&self) -> u32 {
        self.items
    }

    /// How many ratings there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Rating `idx`.
    #[inline]
    pub fn row(&self, idx: u64) -> RatingRow {
        let (of_user, of_item) = (unit(7, idx), unit(8, idx));
        let user = (f64::from(self.users) * (of_user * of_user)) as u32;
        let item = (f64::from(self.items) * (of_item * of_item * of_item)) as u32;
        RatingRow { user, item, rating: self.rating(idx, user, item) }
    }

    /// The ratings of `range`, as far as there are any; keeps its own handle to the tables.
    pub fn range(&self, range: Range<u64>) -> impl Iterator<Item = RatingRow> + Send + use<> {
        let ratings = self.clone();
        clamp(range, self.count).map(move |idx| ratings.row(idx))
    }

    /// All ratings.
    pub fn iter(&self) -> impl Iterator<Item = RatingRow> + Send + use<> {
        self.range(0..self.count)
    }

    /// Whether rating `idx` is for testing: every tenth, from index 9.
    #[inline]
    pub fn is_test(idx: u64) -> bool {
        idx % 10 == 9
    }

    #[inline]
    fn rating(&self, idx: u64, user: u32, item: u32) -> f32 {
        let (user, item) = (self.user_profiles.get(user.into()), self.item_profiles.get(item.into()));
        let dot = user.factors.iter().zip(&item.factors).fold(0.0, |sum, (p, q)| sum + p * q);
        let noise = unit(13, idx.wrapping_mul(2)) + unit(13, idx.wrapping_mul(2).wrapping_add(1)) - 1.0;
        let stars = 3.5 + 0.75 * dot + user.bias + item.bias + 0.6 * noise;
        ((2.0 * stars + 0.5).floor() / 2.0).clamp(0.5, 5.0) as f32
    }
}

/// The hidden truth about one user or item.
#[derive(Clone, Copy)]
struct Profile {
    factors: [f64; FACTORS as usize],
    /// In stars, `-0.3..0.3`.
    bias: f64,
}

impl Profile {
    fn new(id: u64, factor_seed: u64, bias_seed: u64) -> Self {
        let mut factors = [0.0; FACTORS as usize];
        for (column, factor) in (0..).zip(&mut factors) {
            *factor = centred(factor_seed, cell(id, FACTORS, column));
        }
        Profile { factors, bias: 0.3 * centred(bias_seed, id) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{PROBES, digest};
    use super::*;

    fn check(users: u32, items: u32, expected: [(u32, u32, f32); 7]) {
        let ratings = Ratings::new(users, items, 10).unwrap();
        let rows = expected.map(|(user, item, rating)| RatingRow { user, item, rating });
        assert_eq!(PROBES.map(|idx| ratings.row(idx)), rows);
    }

    #[test]
    fn ratings_rows_are_golden() {
        check(
            1_000,
            500,
            [
                (151, 118, 2.0),
                (0, 114, 2.5),
                (811, 163, 3.0),
                (339, 77, 3.0),
                (159, 361, 4.0),
                (437, 92, 4.0),
                (11, 230, 5.0),
            ],
        );
    }

    #[test]
    fn ratings_rows_beyond_the_tables_are_golden() {
        check(
            u32::MAX,
            u32::MAX,
            [
                (652_694_294, 1_016_222_288, 3.5),
                (1_210_522, 984_245_924, 5.0),
                (3_484_806_771, 1_404_989_354, 3.0),
                (1_459_463_072, 661_804_159, 4.5),
                (685_330_369, 3_109_007_138, 4.5),
                (1_881_130_786, 793_097_092, 4.0),
                (50_623_893, 1_979_033_140, 2.5),
            ],
        );
    }

    #[test]
    fn ratings_digest_is_golden() {
        let bytes = |RatingRow { user, item, rating }: RatingRow| {
            [user.to_le_bytes(), item.to_le_bytes(), rating.to_le_bytes()].concat()
        };
        let ratings = Ratings::new(6_040, 3_706, 1_000).unwrap();
        assert_eq!(digest(ratings.iter().map(bytes)), 0xe740_7bd3_1877_0f3e);
    }

    #[test]
    fn ratings_range_equals_rows() {
        let ratings = Ratings::new(10, 10, 100).unwrap();
        let rows: Vec<_> = (90..100).map(|idx| ratings.row(idx)).collect();
        assert_eq!(ratings.range(90..200).collect::<Vec<_>>(), rows);
        assert_eq!(ratings.iter().skip(90).collect::<Vec<_>>(), rows);
        assert_eq!((0..100).filter(|&idx| Ratings::is_test(idx)).count(), 10);
    }
}
