//! Recommendations on MovieLens, tested before each rating is learned, beside what is popular: nDCG@10 and recall@10 by
//! window of ratings in order of time. First from the mere fact that something was watched, then from the stars.
//!
//! `cargo run --release --example movielens -- ml-latest-small -w 2`, with the folder of `ratings.csv` and `movies.csv`; a
//! user behind it gets recommendations.

#![allow(clippy::print_stdout, reason = "it is what the program is for")]

mod evaluation;

use std::collections::BTreeMap;
use std::path::Path;

use evaluation::{TOP, rank_by_stars, read_ratings, run};
use waterwheel::ml::mf::{Rating, Recommendation};
use waterwheel::ml::ranking::QualityByWindow;
use waterwheel::prelude::*;

fn main() -> Result<()> {
    let (config, rest) = RuntimeConfig::from_args(std::env::args().skip(1))?;
    let folder = rest.first().map(Path::new).ok_or_else(|| Error::config("which folder has ratings.csv?"))?;
    let ratings = read_ratings(&folder.join("ratings.csv"))?;
    // Only the first process has what came out.
    let Some(found) = run(config, &ratings)? else { return Ok(()) };
    print("what is watched next, of all films", &found.implicit, &found.popular);
    let (explicit, popular) = rank_by_stars(found.predicted);
    print("what is liked, of the films that a user has rated in the window", &explicit, &popular);
    match rest.get(1).map(|user| user.parse::<u64>()) {
        None => Ok(()),
        Some(Ok(user)) => recommend(folder, user, &ratings, found.recommendations),
        Some(Err(error)) => Err(Error::config("a user is a number").caused_by(error)),
    }
}

fn print(what: &str, ours: &QualityByWindow, popular: &QualityByWindow) {
    println!("{what}\nwindow  lists  nDCG@10 popular  recall@10 popular");
    let totals = std::iter::once(("all".to_string(), ours.total(), popular.total()));
    let windows = ours.windows().zip(popular.windows());
    let windows = windows.map(|((window, ours), (_, theirs))| (window.to_string(), *ours, *theirs));
    for (window, ours, theirs) in windows.chain(totals) {
        let of = |mean: Option<f64>| mean.unwrap_or_default();
        println!(
            "{window:>6} {:>6}   {:.4}  {:.4}     {:.4}  {:.4}",
            ours.lists(),
            of(ours.ndcg()),
            of(theirs.ndcg()),
            of(ours.recall()),
            of(theirs.recall())
        );
    }
}

/// Prints what a user has liked best, and what was recommended last.
fn recommend(
    folder: &Path,
    user: u64,
    ratings: &[(i64, Rating)],
    recommendations: Vec<Recommendation>,
) -> Result<()> {
    let movies = std::fs::read_to_string(folder.join("movies.csv"))
        .map_err(|error| Error::config("no films").caused_by(error))?;
    let title = |line: &'_ str| {
        let (id, rest) = line.split_once(',')?;
        Some((id.parse::<u64>().ok()?, rest.rsplit_once(',')?.0.trim_matches('"').to_string()))
    };
    let titles: BTreeMap<u64, String> = movies.lines().filter_map(title).collect();
    let title = |item: u64| titles.get(&item).map_or("(no title)", String::as_str);
    let own = recommendations.into_iter().filter(|found| found.interaction.user == user);
    let found = own.max_by_key(|found| found.number);
    let found = found.ok_or_else(|| Error::config(format!("user {user} has rated nothing")))?;
    let mut own: Vec<&Rating> =
        ratings.iter().map(|(_, rating)| rating).filter(|rating| rating.user == user).collect();
    own.sort_by(|a, b| b.rating.total_cmp(&a.rating));
    println!("user {user} has rated {} films; the best of them", own.len());
    own.iter().take(TOP).for_each(|rating| println!("  {}  {}", rating.rating, title(rating.item)));
    println!("recommended before the last one");
    found.best.iter().for_each(|scored| println!("  {:.3}  {}", scored.score, title(scored.item)));
    Ok(())
}
