//! The numbers of Flink ML's tests of its linear models (`iteration.md` §3.14).

use waterwheel::ml::Examples;
use waterwheel::ml::linear::{LinearRegression, LinearSvc, LogisticRegression, TolOf};
use waterwheel::prelude::*;

use crate::cluster::{everywhere, test_path};

/// Features, label and weight of each row; one block a row, spread over the workers.
type Rows = &'static [(&'static [f64], f64, f64)];

const BINARY: Rows = &[
    (&[1.0, 2.0, 3.0, 4.0], 0.0, 1.0),
    (&[2.0, 2.0, 3.0, 4.0], 0.0, 2.0),
    (&[3.0, 2.0, 3.0, 4.0], 0.0, 3.0),
    (&[4.0, 2.0, 3.0, 4.0], 0.0, 4.0),
    (&[5.0, 2.0, 3.0, 4.0], 0.0, 5.0),
    (&[11.0, 2.0, 3.0, 4.0], 1.0, 1.0),
    (&[12.0, 2.0, 3.0, 4.0], 1.0, 2.0),
    (&[13.0, 2.0, 3.0, 4.0], 1.0, 3.0),
    (&[14.0, 2.0, 3.0, 4.0], 1.0, 4.0),
    (&[15.0, 2.0, 3.0, 4.0], 1.0, 5.0),
];

const REGRESSION: Rows = &[
    (&[2.0, 1.0], 4.0, 1.0),
    (&[3.0, 2.0], 7.0, 1.0),
    (&[4.0, 3.0], 10.0, 1.0),
    (&[2.0, 4.0], 10.0, 1.0),
    (&[2.0, 2.0], 6.0, 1.0),
    (&[4.0, 3.0], 10.0, 1.0),
    (&[1.0, 2.0], 5.0, 1.0),
    (&[5.0, 3.0], 11.0, 1.0),
];

fn block((features, label, weight): &(&[f64], f64, f64)) -> Examples {
    let block = Examples::dense(features.len(), features.to_vec(), vec![*label]).unwrap();
    block.with_weights(vec![*weight]).unwrap()
}

/// The same row as one of the entries that are not zero, of which there are some more that could be.
fn sparse_block((features, label, weight): &(&[f64], f64, f64)) -> Examples {
    let entries = features.iter().enumerate().map(|(i, x)| (i as u32, *x));
    Examples::sparse(features.len(), [entries], vec![*label]).unwrap().with_weights(vec![*weight]).unwrap()
}

fn blocks<'s>(env: &Env<'s>, rows: Rows) -> DataStream<'s, Examples> {
    env.from_splits(rows.len(), move |split| [block(&rows[split])])
}

fn assert_near(found: &[f64], expected: &[f64], place: &str) {
    let far = found.iter().zip(expected).any(|(found, expected)| (found - expected).abs() > 1e-3);
    assert!(found.len() == expected.len() && !far, "{place}: {found:?}, expected {expected:?}");
}

/// Strength and share of L1, and the coefficients of Flink ML.
type Cases = [((f64, f64), &'static [f64]); 4];

#[test]
fn logistic_regression_has_the_numbers_of_flink_ml() {
    let cases: Cases = [
        ((0.0, 0.0), &[0.52583, -0.28395, -0.42593, -0.56790]),
        ((0.1, 0.0), &[0.484, -0.258, -0.388, -0.517]),
        ((0.1, 1.0), &[0.417, -0.145, -0.312, -0.480]),
        ((0.1, 0.5), &[0.451, -0.203, -0.351, -0.498]),
    ];
    let job = |config| {
        execute(config, move |env| {
            let models = cases.map(|((reg, elastic_net), _)| {
                let estimator = LogisticRegression::new().reg(reg).elastic_net(elastic_net);
                estimator.fit(blocks(env, BINARY)).map(DataStream::collect)
            });
            models.into_iter().collect::<Result<Vec<_>>>()
        })
        .unwrap()
        .swap_remove(0)
    };
    everywhere(test_path!(logistic_regression_has_the_numbers_of_flink_ml), job, |models, place| {
        for (models, (params, expected)) in models.iter().zip(cases) {
            let [model] = models.as_slice() else { panic!("{place}: {} models", models.len()) };
            assert_near(model.linear.coefficients(), expected, &format!("{place} {params:?}"));
            assert_eq!(model.linear.steps(), 20, "{place}");
            let labels = BINARY.iter().flat_map(|row| model.predict(&block(row)).unwrap());
            let labels: Vec<f64> = labels.map(|p| p.label).collect();
            assert_eq!(labels, [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0], "{place}");
        }
        // The spec gives five digits of the first.
        let found = models[0][0].linear.coefficients();
        assert!(found.iter().zip(cases[0].1).all(|(a, b)| (a - b).abs() < 1e-5), "{place}: {found:?}");
        let sure = models[0][0].predict(&block(&BINARY[9])).unwrap()[0].raw;
        assert!((sure.0 + sure.1 - 1.0).abs() < 1e-12 && sure.1 > 0.9, "{place}: {sure:?}");
    });
}

#[test]
fn linear_svc_has_the_numbers_of_flink_ml() {
    let cases: Cases = [
        ((0.0, 0.0), &[0.470, -0.273, -0.410, -0.546]),
        ((0.1, 0.0), &[0.437, -0.262, -0.393, -0.524]),
        ((0.1, 1.0), &[0.426, -0.197, -0.329, -0.463]),
        ((0.1, 0.5), &[0.419, -0.238, -0.372, -0.505]),
    ];
    let job = |config| {
        execute(config, move |env| {
            let models = cases.map(|((reg, elastic_net), _)| {
                let estimator = LinearSvc::new().reg(reg).elastic_net(elastic_net);
                estimator.fit(blocks(env, BINARY)).map(DataStream::collect)
            });
            models.into_iter().collect::<Result<Vec<_>>>()
        })
        .unwrap()
        .swap_remove(0)
    };
    everywhere(test_path!(linear_svc_has_the_numbers_of_flink_ml), job, |models, place| {
        for (models, (params, expected)) in models.iter().zip(cases) {
            let [model] = models.as_slice() else { panic!("{place}: {} models", models.len()) };
            assert_near(model.linear.coefficients(), expected, &format!("{place} {params:?}"));
        }
        let steps: Vec<u64> = models.iter().map(|models| models[0].linear.steps()).collect();
        assert_eq!((steps[0], steps[2]), (7, 8), "{place}: {steps:?}");
        let at = models[0][0].predict(&block(&BINARY[0])).unwrap()[0];
        assert!(at.label == 0.0 && at.raw.0 == -at.raw.1, "{place}: {at:?}");
    });
}

#[test]
fn linear_regression_has_the_numbers_of_flink_ml() {
    let cases: Cases = [
        ((0.0, 0.0), &[1.141, 1.829]),
        ((0.1, 0.0), &[1.165, 1.780]),
        ((0.1, 1.0), &[1.143, 1.812]),
        ((0.1, 0.5), &[1.154, 1.796]),
    ];
    let job = |config| {
        execute(config, move |env| {
            let models = cases.map(|((reg, elastic_net), _)| {
                let estimator = LinearRegression::new().reg(reg).elastic_net(elastic_net);
                estimator.fit(blocks(env, REGRESSION)).map(DataStream::collect)
            });
            models.into_iter().collect::<Result<Vec<_>>>()
        })
        .unwrap()
        .swap_remove(0)
    };
    everywhere(test_path!(linear_regression_has_the_numbers_of_flink_ml), job, |models, place| {
        for (models, (params, expected)) in models.iter().zip(cases) {
            assert_near(models[0].linear.coefficients(), expected, &format!("{place} {params:?}"));
        }
    });
}

/// One worker's rows and the batches that it takes of them, by hand: 3 of 4 rows, then the last alone, then again.
#[test]
fn mini_batches_are_rows_in_order_cut_short_at_the_end() {
    let rows = &REGRESSION[..4];
    let expected = {
        let mut w = [0.0, 0.0];
        for batch in [&rows[..3], &rows[3..], &rows[..3], &rows[3..], &rows[..3]] {
            let mut gradient = [0.0, 0.0];
            for (x, y, _) in batch {
                let error = w[0] * x[0] + w[1] * x[1] - y;
                gradient = [gradient[0] + error * x[0], gradient[1] + error * x[1]];
            }
            let rate = 0.01 / batch.len() as f64;
            w = [w[0] - rate * gradient[0], w[1] - rate * gradient[1]];
        }
        w
    };
    let models = execute(RuntimeConfig::threads(1), |env| {
        let estimator = LinearRegression::new().learning_rate(0.01).global_batch_size(3).max_iter(5);
        let dense = estimator.fit(blocks(env, &REGRESSION[..4]))?.collect();
        let sparse = env.from_iter(REGRESSION[..4].iter().map(sparse_block));
        Ok((dense, estimator.fit(sparse)?.collect()))
    });
    let (dense, sparse) = models.unwrap().swap_remove(0);
    for model in [&dense[0], &sparse[0]] {
        let found = model.linear.coefficients();
        assert!(
            (found[0] - expected[0]).abs() + (found[1] - expected[1]).abs() < 1e-12,
            "{found:?} {expected:?}"
        );
    }
}

#[test]
fn tolerance_may_take_the_penalty_into_account() {
    let steps = |tol_of| {
        let models = execute(RuntimeConfig::threads(1), move |env| {
            let estimator = LinearSvc::new().reg(0.1).tol_of(tol_of);
            Ok(estimator.fit(blocks(env, BINARY))?.collect())
        });
        models.unwrap()[0][0].linear.steps()
    };
    assert!(steps(TolOf::Loss) < 20);
    assert_eq!(steps(TolOf::LossAndPenalty), 20);
}

#[test]
fn bad_input_is_named() {
    let fails = |examples: fn() -> Vec<Examples>, estimator: LogisticRegression| {
        let outcome = execute(RuntimeConfig::threads(2), move |env| {
            Ok(estimator.fit(env.from_iter(examples()))?.collect())
        });
        outcome.unwrap_err().to_string()
    };
    let one = || vec![Examples::dense(1, vec![1.0], vec![1.0]).unwrap()];
    let multinomial = || vec![Examples::dense(1, vec![1.0, 2.0], vec![0.0, 2.0]).unwrap()];
    let uneven = || {
        let wide = Examples::dense(2, vec![1.0, 2.0], vec![0.0]).unwrap();
        vec![Examples::dense(1, vec![1.0], vec![1.0]).unwrap(), wide]
    };
    let plain = LogisticRegression::new();
    assert!(fails(multinomial, plain).contains("multinomial classification is not supported"));
    assert!(fails(uneven, plain).contains("2 features, expected 1"));
    assert!(fails(one, plain.max_iter(0)).contains("max_iter is 0, expected 1 or more"));
    assert!(fails(one, plain.elastic_net(1.5)).contains("elastic_net is 1.5, expected 0 to 1"));
    assert!(fails(one, plain.learning_rate(f64::NAN)).contains("learning_rate is NaN"));
    assert!(
        Examples::dense(1, vec![f64::NAN], vec![1.0]).unwrap_err().message().contains("feature 0 of row 0")
    );
}

#[test]
fn no_examples_give_no_model() {
    let models = execute(RuntimeConfig::threads(2), |env| {
        Ok(LogisticRegression::new().fit(env.from_iter(Vec::new()))?.collect())
    });
    assert!(models.unwrap().concat().is_empty());
}
