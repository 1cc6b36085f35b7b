//! Matrix factorization beside what is popular, on all of MovieLens (latest-small) in order of time, by tenths of it: the
//! evaluation of the example.

#[path = "../../../examples/movielens/evaluation.rs"]
mod evaluation;

use waterwheel::ml::ranking::{QualityByWindow, RankingQuality};
use waterwheel::prelude::*;

use crate::reference_data::reference_data;
use evaluation::{Found, TOP, rank_by_stars, read_ratings, run};

fn found(workers: usize) -> Option<Found> {
    let folder = reference_data("movielens-small/ratings.csv")?;
    let ratings = read_ratings(&folder.join("movielens-small/ratings.csv")).unwrap();
    assert_eq!(ratings.len(), 100_004);
    let found = run(RuntimeConfig::threads(workers), &ratings).unwrap();
    assert!(found.as_ref().is_some_and(|found| found.recommendations.len() == ratings.len()));
    found
}

/// Whether nDCG and recall are above those of what is popular: in every window, or in all of them together.
fn check(what: &str, ours: &QualityByWindow, popular: &QualityByWindow, in_every_window: bool) {
    assert_eq!((ours.windows().count(), popular.windows().count()), (10, 10), "{what}");
    let above = |window: &str, ours: &RankingQuality, theirs: &RankingQuality| {
        assert_eq!(ours.lists(), theirs.lists(), "{what}, {window}");
        let [ours, theirs] = [ours, theirs].map(|sums| (sums.ndcg().unwrap(), sums.recall().unwrap()));
        println!("{what}, {window}: nDCG@{TOP}, recall@{TOP} {ours:.4?}, popular {theirs:.4?}");
        ours.0 > theirs.0 && ours.1 > theirs.1
    };
    for ((window, ours), (_, theirs)) in ours.windows().zip(popular.windows()) {
        assert!(
            above(&format!("window {window}"), ours, theirs) || !in_every_window,
            "{what}, window {window}"
        );
    }
    assert!(above("all", &ours.total(), &popular.total()), "{what}");
}

/// What is learned from stars depends on timing where there are several workers, and so does the quality of a window.
#[test]
fn implicit_and_explicit_factorization_beat_popularity_on_movielens() {
    for workers in [1, 2, 4] {
        let Some(found) = found(workers) else { return };
        check(&format!("{workers} workers, implicit"), &found.implicit, &found.popular, true);
        let (explicit, popular) = rank_by_stars(found.predicted);
        check(&format!("{workers} workers, explicit"), &explicit, &popular, workers == 1);
    }
}
