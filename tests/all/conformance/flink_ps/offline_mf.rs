//! T-FPS-20: offline matrix factorization learns the original's ratings.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use waterwheel::ml::mf::{EpochReport, MfParams, Rating};
use waterwheel::prelude::*;

use super::java::Random;
use super::support::run;
use crate::cluster::{everywhere, test_path};

/// 100 random ratings of 15 items by 20 users; of equal pairs the first counts.
fn ratings() -> Vec<Rating> {
    let (mut random, mut seen) = (Random::new(47), BTreeSet::new());
    let drawn = (0..100).map(|position| Rating {
        user: random.next_int(20),
        item: random.next_int(15),
        rating: random.next_double() as f32,
        position,
    });
    drawn.filter(|rating| seen.insert((rating.user, rating.item))).collect()
}

#[test]
fn ratings_are_those_of_the_original() {
    let ratings = ratings();
    let distinct = |of: fn(&Rating) -> u64| ratings.iter().map(of).collect::<BTreeSet<_>>().len();
    assert_eq!((ratings.len(), distinct(|r| r.user), distinct(|r| r.item)), (94, 19, 15));
}

fn reports(config: RuntimeConfig) -> Vec<EpochReport> {
    let params =
        MfParams::new().rank(15).init(0.0, 1.0).learning_rate(0.01).reg(0.0).biases(false).epochs(10);
    let mf = params.build().unwrap();
    let values = run(config, move |env| Ok(mf.fit(env.from_iter(ratings()).rebalance())?.collect()));
    values.into_iter().flatten().flat_map(|(_model, reports)| reports).collect()
}

#[test]
fn t_fps_20_training_error_after_10_epochs_is_at_most_one_half_and_the_same_everywhere() {
    let alone = OnceCell::new();
    everywhere(
        test_path!(t_fps_20_training_error_after_10_epochs_is_at_most_one_half_and_the_same_everywhere),
        reports,
        |reports, shape| {
            let epochs: Vec<_> = reports.iter().map(|report| report.epoch).collect();
            assert_eq!(epochs, (1..=10).map(Some).chain([None]).collect::<Vec<_>>(), "{shape}");
            let last = reports[10];
            assert!(last.rmse <= 0.5 && last.ratings == 94, "{shape}: {last:?}");
            assert_eq!(&reports, alone.get_or_init(|| reports.clone()), "{shape}");
        },
    );
}
