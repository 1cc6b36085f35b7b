//! Quality by window of a recommender and of predicted stars, each beside what is popular.

use std::collections::BTreeMap;
use std::path::Path;

use waterwheel::ml::mf::{
    Interaction, MfParams, Prequential, Rating, Recommendation, RecommenderParams, recommend_popular,
};
use waterwheel::ml::ranking::{QualityByWindow, QualityState, quality_by_window};
use waterwheel::prelude::*;

/// Windows, each with as many ratings.
const WINDOWS: u64 = 10;
/// Films of a list.
pub(super) const TOP: usize = 10;
/// Stars that say that somebody liked a film.
const LIKED: f32 = 4.0;

/// The window of one of `n` ratings.
fn window_of(position: u64, n: u64) -> i64 {
    (position * WINDOWS / n) as i64
}

/// The ratings in order of time; the position of each is its place there.
pub(super) fn read_ratings(path: &Path) -> Result<Vec<(i64, Rating)>> {
    let lines =
        std::fs::read_to_string(path).map_err(|error| Error::config("no ratings").caused_by(error))?;
    let rating = |line: &str| {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let [user, item, rating, time] = fields[..] else { return None };
        let rating = Rating {
            user: user.parse().ok()?,
            item: item.parse().ok()?,
            rating: rating.parse().ok()?,
            position: 0,
        };
        Some((time.parse::<i64>().ok()?, rating))
    };
    let rated = |line: &str| rating(line).ok_or_else(|| Error::data(format!("no rating: {line}")));
    let mut ratings = lines.lines().skip(1).map(rated).collect::<Result<Vec<_>>>()?;
    ratings.sort_by_key(|(time, rating)| (*time, rating.user, rating.item));
    (0u64..).zip(&mut ratings).for_each(|(position, (_, rating))| rating.position = position);
    Ok(ratings)
}

/// What comes out of the job.
pub(super) struct Found {
    pub(super) implicit: QualityByWindow,
    pub(super) popular: QualityByWindow,
    pub(super) recommendations: Vec<Recommendation>,
    pub(super) predicted: Vec<Prequential>,
}

/// Recommends before each film that is watched, whatever the stars; and predicts the stars of each before it learns them.
pub(super) fn run(config: RuntimeConfig, ratings: &[(i64, Rating)]) -> Result<Option<Found>> {
    let ratings = ratings.to_vec();
    let mut found = execute(config, move |env| {
        let used = ratings.iter().map(|(time, rating)| Interaction {
            user: rating.user,
            item: rating.item,
            time: *time,
        });
        let (used, n) = (Vec::from_iter(used), ratings.len() as u64);
        let window = move |found: &Recommendation| (window_of(found.number, n), found.rank());
        let recommender =
            RecommenderParams::new().top(TOP).consistency(Consistency::BULK_SYNCHRONOUS).build()?;
        let found = recommender.fit(env.from_iter(used.clone()))?.recommendations;
        let quality = quality_by_window(found.clone(), window, &QualityState::new());
        let popular = recommend_popular(env.from_iter(used), TOP, RecommenderParams::USER_MEMORY);
        let popular = quality_by_window(popular, window, &QualityState::new());

        let mf = MfParams::new().biases(true).rank(2).learning_rate(0.05).reg(0.1).build()?;
        let stars: Vec<Rating> = ratings.iter().map(|(_, rating)| *rating).collect();
        let predicted = mf.fit_online(env.from_iter(stars), 3.5)?.predictions;
        Ok(((quality.collect(), popular.collect()), (found.collect(), predicted.collect())))
    })?;
    let ((mut implicit, mut popular), (recommendations, predicted)) = found.swap_remove(0);
    Ok(implicit.pop().zip(popular.pop()).map(|(implicit, popular)| Found {
        implicit,
        popular,
        recommendations,
        predicted,
    }))
}

/// Quality of the orders by predicted stars and by how many have rated a film before, of the films that a user has rated in a
/// window.
pub(super) fn rank_by_stars(mut predicted: Vec<Prequential>) -> (QualityByWindow, QualityByWindow) {
    predicted.sort_by_key(|predicted| predicted.rating.position);
    let n = predicted.len() as u64;
    let (mut counts, mut lists) = (BTreeMap::new(), BTreeMap::new());
    for Prequential { rating, predicted } in predicted {
        let count = counts.entry(rating.item).or_insert(0u32);
        let list: &mut Vec<_> = lists.entry((window_of(rating.position, n), rating.user)).or_default();
        list.push((rating, predicted, *count as f32));
        *count += 1;
    }
    let (mut explicit, mut popular) = (QualityByWindow::default(), QualityByWindow::default());
    for ((window, _user), list) in lists.into_iter().filter(|(_, list)| list.len() > TOP) {
        let liked = list.iter().filter(|(rating, ..)| rating.rating >= LIKED).map(|(rating, ..)| rating.item);
        let liked: Vec<u64> = liked.collect();
        let by = |score: fn(&(Rating, f32, f32)) -> f32| {
            let mut order: Vec<_> = list.iter().collect();
            order.sort_by(|a, b| score(b).total_cmp(&score(a)).then(a.0.item.cmp(&b.0.item)));
            order.into_iter().map(|(rating, ..)| rating.item).collect::<Vec<u64>>()
        };
        explicit.window(window).add_list(&by(|(_, predicted, _)| *predicted), &liked, TOP);
        popular.window(window).add_list(&by(|(_, _, count)| *count), &liked, TOP);
    }
    (explicit, popular)
}
