//! Matrix factorization from outside: the same model everywhere, and known numbers.

use waterwheel::ml::mf::{MfModel, MfParams, Rating};
use waterwheel::prelude::*;

use crate::cluster::{everywhere, test_path};

fn generated(n: u64) -> Vec<Rating> {
    let ratings = generate::Ratings::new(300, 200, n).unwrap();
    let rating = |(position, row): (usize, generate::RatingRow)| Rating {
        user: row.user.into(),
        item: row.item.into(),
        rating: row.rating,
        position: position as u64,
    };
    ratings.iter().enumerate().map(rating).collect()
}

fn fit(config: RuntimeConfig, params: &MfParams, ratings: &[Rating]) -> Option<MfModel> {
    let (mf, ratings) = (params.clone().build().unwrap(), ratings.to_vec());
    let values = execute(config, move |env| {
        let data = env.from_iter(ratings.clone()).rebalance();
        Ok(mf.fit(data)?.collect())
    });
    values.unwrap().into_iter().flatten().map(|(model, _reports)| model).next()
}

#[test]
fn offline_model_is_the_same_bit_for_bit_everywhere() {
    let ratings = generated(20_000);
    let params = MfParams::new().epochs(5).biases(true);
    let alone = std::cell::OnceCell::new();
    everywhere(
        test_path!(offline_model_is_the_same_bit_for_bit_everywhere),
        |config| fit(config, &params, &ratings),
        |model, shape| {
            let model = model.unwrap();
            assert_eq!(&model, alone.get_or_init(|| model.clone()), "{shape}");
        },
    );
}

#[test]
fn offline_model_depends_on_the_seed_and_not_on_the_order_of_arrival() {
    let mut ratings = generated(2_000);
    let params = MfParams::new().epochs(2).biases(true);
    let model = fit(RuntimeConfig::threads(1), &params, &ratings);
    ratings.reverse();
    assert_eq!(model, fit(RuntimeConfig::threads(2), &params, &ratings));
    assert_ne!(model, fit(RuntimeConfig::threads(1), &params.seed(2), &ratings));
}

#[test]
fn offline_training_learns_more_than_the_mean() {
    let (test, train): (Vec<_>, Vec<_>) = generated(50_000).into_iter().partition(|r| r.position % 10 == 9);
    let model = fit(RuntimeConfig::threads(2), &MfParams::new().biases(true), &train).unwrap();
    let mean = model.mean().unwrap();
    let spread = test.iter().map(|r| (r.rating - mean).powi(2)).sum::<f32>() / test.len() as f32;
    let rmse = model.rmse(&test).value().unwrap();
    assert!(rmse < 0.8 * f64::from(spread.sqrt()), "{rmse} {spread}");
}

#[test]
fn training_without_ratings_is_an_error_everywhere() {
    for workers in [1, 2] {
        let mf = MfParams::new().build().unwrap();
        let done =
            execute(RuntimeConfig::threads(workers), move |env| Ok(mf.fit(env.from_iter([]))?.collect()));
        let error = done.unwrap_err();
        assert_eq!(error.message(), "there are no ratings to train on");
        assert_eq!(error.site().unwrap().operator, "parameter server/ps worker");
    }
}

#[test]
fn rating_that_is_no_number_ends_the_run_and_is_named() {
    let mf = MfParams::new().build().unwrap();
    let rating = Rating { user: 3, item: 4, rating: f32::NAN, position: 0 };
    let done = execute(RuntimeConfig::threads(2), move |env| Ok(mf.fit(env.from_iter([rating]))?.collect()));
    let error = done.unwrap_err();
    assert_eq!(error.message(), "rating of item 4 by user 3: found NaN, expected a finite number");
    assert_eq!(error.kind(), ErrorKind::Data);
}

#[test]
fn training_that_diverges_is_an_error() {
    let mf = MfParams::new().learning_rate(50.0).build().unwrap();
    let ratings = generated(1_000);
    let done =
        execute(RuntimeConfig::threads(1), move |env| Ok(mf.fit(env.from_iter(ratings.clone()))?.collect()));
    assert!(done.unwrap_err().message().contains("diverged in epoch"));
}
