//! The numbers of Flink ML's tests of its online learners (`iteration.md` §3.14), whatever the number of workers.

use waterwheel::ml::clustering::KMeansModel;
use waterwheel::ml::online::{
    FtrlGradient, OnlineKMeans, OnlineLogisticRegression, OnlineLogisticRegressionModel,
};
use waterwheel::ml::{Examples, Matrix};
use waterwheel::prelude::*;

use crate::cluster::{everywhere, test_path};

fn assert_near(found: &[f64], expected: &[f64], within: f64, place: &str) {
    let far = found.iter().zip(expected).any(|(found, expected)| (found - expected).abs() > within);
    assert!(found.len() == expected.len() && !far, "{place}: {found:?}, expected {expected:?}");
}

/// Rows of a batch: features and label.
const DENSE: [[([f64; 2], f64); 10]; 2] = [
    [
        ([0.1, 2.0], 0.0),
        ([0.2, 2.0], 0.0),
        ([0.3, 2.0], 0.0),
        ([0.4, 2.0], 0.0),
        ([0.5, 2.0], 0.0),
        ([11.0, 12.0], 1.0),
        ([12.0, 11.0], 1.0),
        ([13.0, 12.0], 1.0),
        ([14.0, 12.0], 1.0),
        ([15.0, 12.0], 1.0),
    ],
    [
        ([0.2, 3.0], 0.0),
        ([0.8, 1.0], 0.0),
        ([0.7, 1.0], 0.0),
        ([0.6, 2.0], 0.0),
        ([0.2, 2.0], 0.0),
        ([14.0, 17.0], 1.0),
        ([15.0, 10.0], 1.0),
        ([16.0, 16.0], 1.0),
        ([17.0, 10.0], 1.0),
        ([18.0, 13.0], 1.0),
    ],
];

/// The learner of Flink ML's tests.
fn ftrl(coefficients: Vec<f64>, batch: usize) -> OnlineLogisticRegression {
    OnlineLogisticRegression::new(coefficients).reg(0.2).elastic_net(0.5).global_batch_size(batch)
}

fn models(
    config: RuntimeConfig,
    learner: OnlineLogisticRegression,
    blocks: Vec<Examples>,
) -> Vec<OnlineLogisticRegressionModel> {
    let found = execute(config, move |env| {
        let blocks = blocks.clone();
        Ok(learner.fit(env.from_iter(blocks))?.collect())
    });
    found.unwrap().concat()
}

#[test]
fn ftrl_on_dense_rows_has_the_numbers_of_flink_ml() {
    // Blocks that do not end where batches do.
    let rows: Vec<_> = DENSE.concat();
    let blocks: Vec<Examples> = rows
        .chunks(3)
        .map(|rows| {
            let (features, labels): (Vec<[f64; 2]>, Vec<f64>) = rows.iter().copied().unzip();
            Examples::dense(2, features.concat(), labels).unwrap()
        })
        .collect();
    let start = vec![0.41233679404769874, -0.18088118293232122];
    let job = |config: RuntimeConfig| {
        let found = execute(config, {
            let (start, blocks) = (start.clone(), blocks.clone());
            move |env| Ok(ftrl(start.clone(), 10).fit(env.from_iter(blocks.clone()))?.collect())
        });
        found.unwrap().concat()
    };
    everywhere(test_path!(ftrl_on_dense_rows_has_the_numbers_of_flink_ml), job, |models, place| {
        let [first, second] = models.as_slice() else { panic!("{place}: {} models", models.len()) };
        assert_near(first.coefficients(), &[0.2994527071464283, -0.1412541067743284], 1e-12, place);
        assert_near(second.coefficients(), &[0.3677311612499196, -0.12305454649841871], 1e-12, place);
        assert_eq!((first.version(), second.version()), (1, 2));
        let new = Examples::dense(2, vec![0.8, 2.7, 15.5, 11.2], vec![0.0; 2]).unwrap();
        let p0 = |model: &OnlineLogisticRegressionModel| -> Vec<f64> {
            model.predict(&new).unwrap().iter().map(|p| p.raw.0).collect()
        };
        assert_near(&p0(first), &[0.5353966697, 0.0448103416], 1e-9, place);
        assert_near(&p0(second), &[0.5095144380, 0.0131043241], 1e-9, place);
    });
}

/// Indices whose value is 1, label and weight.
type Sparse = [([u32; 3], f64, f64); 9];

const SPARSE: [Sparse; 2] = [
    [
        ([1, 3, 4], 0.0, 1.0),
        ([0, 2, 3], 0.0, 1.4),
        ([0, 3, 4], 0.0, 1.3),
        ([2, 3, 4], 0.0, 1.4),
        ([1, 3, 4], 0.0, 1.6),
        ([6, 7, 8], 1.0, 1.8),
        ([6, 8, 9], 1.0, 1.9),
        ([5, 8, 9], 1.0, 1.0),
        ([5, 6, 7], 1.0, 1.1),
    ],
    [
        ([1, 2, 4], 0.0, 1.0),
        ([2, 3, 4], 0.0, 1.3),
        ([0, 2, 4], 0.0, 1.4),
        ([1, 3, 4], 0.0, 1.0),
        ([6, 7, 9], 1.0, 1.6),
        ([7, 8, 9], 1.0, 1.8),
        ([5, 7, 9], 1.0, 1.0),
        ([5, 6, 7], 1.0, 1.5),
        ([5, 8, 9], 1.0, 1.0),
    ],
];

fn sparse(rows: &[([u32; 3], f64, f64)], weighted: bool) -> Examples {
    let features = rows.iter().map(|(indices, ..)| indices.map(|index| (index, 1.0)));
    let block = Examples::sparse(10, features, rows.iter().map(|row| row.1).collect()).unwrap();
    if weighted { block.with_weights(rows.iter().map(|row| row.2).collect()).unwrap() } else { block }
}

#[test]
fn ftrl_on_sparse_rows_has_the_numbers_of_flink_ml() {
    let expected = [
        (false, [[0.5105551725, 0.4452309885], [0.5249618837, 0.4031043155]]),
        (true, [[0.5069192930, 0.4524919938], [0.5247727601, 0.4110888281]]),
    ];
    let job = |config: RuntimeConfig| {
        let found = execute(config, |env| {
            let fit = |weighted| {
                let learner = ftrl(vec![0.01; 10], 9).gradient(FtrlGradient::PerEntry);
                learner
                    .fit(env.from_iter(SPARSE.map(|rows| sparse(&rows, weighted))))
                    .map(DataStream::collect)
            };
            Ok((fit(false)?, fit(true)?))
        });
        found.unwrap().swap_remove(0)
    };
    everywhere(
        test_path!(ftrl_on_sparse_rows_has_the_numbers_of_flink_ml),
        job,
        |(plain, weighted), place| {
            let new =
                Examples::sparse(10, [[1, 3, 5], [5, 8, 9]].map(|row| row.map(|i| (i, 1.0))), vec![0.0; 2]);
            let new = new.unwrap();
            for (models, (is_weighted, expected)) in [plain, weighted].iter().zip(expected) {
                for (model, expected) in models.iter().zip(expected) {
                    let p0: Vec<f64> = model.predict(&new).unwrap().iter().map(|p| p.raw.0).collect();
                    assert_near(&p0, &expected, 1e-9, &format!("{place} weighted {is_weighted}"));
                }
            }
        },
    );
}

/// By default an example of weight 2 is two examples, dense or sparse: Flink ML ignores dense weights.
#[test]
fn weights_of_examples_count_them() {
    let twice = |weights: bool| {
        let (features, labels) = (vec![1.0, 2.0, 3.0, -1.0], vec![0.0, 1.0]);
        let block = Examples::dense(2, features, labels).unwrap();
        let blocks = match weights {
            true => vec![block.with_weights(vec![2.0, 1.0]).unwrap()],
            false => vec![block, Examples::dense(2, vec![1.0, 2.0], vec![0.0]).unwrap()],
        };
        let learner = ftrl(vec![0.1, 0.2], if weights { 2 } else { 3 });
        models(RuntimeConfig::threads(2), learner, blocks).remove(0)
    };
    assert_near(twice(true).coefficients(), twice(false).coefficients(), 1e-12, "weights");
}

#[test]
fn training_goes_on_from_a_model_as_if_it_had_not_ended() {
    let block = |i: usize| {
        let (features, labels): (Vec<[f64; 2]>, Vec<f64>) = DENSE[i].iter().copied().unzip();
        Examples::dense(2, features.concat(), labels).unwrap()
    };
    let start = vec![0.4, -0.2];
    let config = || RuntimeConfig::threads(2);
    let both = models(config(), ftrl(start.clone(), 10), vec![block(0), block(1)]);
    let first = models(config(), ftrl(start, 10), vec![block(0)]).remove(0);
    let resumed = OnlineLogisticRegression::resume(first).reg(0.2).elastic_net(0.5).global_batch_size(10);
    assert_eq!(both[1..], models(config(), resumed, vec![block(1)]));
}

const TRAIN: [[[f64; 2]; 6]; 2] = [
    [[10.0, 0.0], [10.0, 0.3], [10.3, 0.0], [-10.0, 0.0], [-10.0, 0.6], [-10.6, 0.0]],
    [[10.0, 100.0], [10.0, 100.3], [10.3, 100.0], [-10.0, -100.0], [-10.0, -100.6], [-10.6, -100.0]],
];

#[test]
fn online_kmeans_has_the_numbers_of_flink_ml() {
    let job = |config: RuntimeConfig| {
        let found = execute(config, |env| {
            let points = || env.from_iter(TRAIN.map(|points| Matrix::new(2, points.concat()).unwrap()));
            let random = KMeansModel::new(Matrix::new(2, vec![0.3, 0.1, -0.2, 0.4])?, vec![0.0; 2])?;
            let trained = KMeansModel::new(Matrix::new(2, vec![-10.2, 0.2, 10.1, 0.1])?, vec![3.0; 2])?;
            let forgetful = OnlineKMeans::new(random).global_batch_size(6).fit(points())?;
            let second = env.from_iter([Matrix::new(2, TRAIN[1].concat())?]);
            let halved = OnlineKMeans::new(trained).global_batch_size(6).decay_factor(0.5).fit(second)?;
            Ok((forgetful.collect(), halved.collect()))
        });
        found.unwrap().swap_remove(0)
    };
    everywhere(test_path!(online_kmeans_has_the_numbers_of_flink_ml), job, |(forgetful, halved), place| {
        let new = [[10.0, 10.0], [10.3, 10.0], [10.0, 10.3], [-10.0, 10.0], [-10.3, 10.0], [-10.0, 10.3]];
        let new = Matrix::new(2, new.concat()).unwrap();
        let groups: Vec<Vec<usize>> = forgetful.iter().map(|model| model.predict(&new).unwrap()).collect();
        assert_eq!(groups, [[0, 0, 0, 1, 1, 1], [0; 6]], "{place}");
        let found = halved[0].centroids().values();
        assert_near(found, &[-10.2, -200.2 / 3.0, 10.1, 200.3 / 3.0], 1e-9, place);
        assert_near(halved[0].weights(), &[4.5, 4.5], 1e-12, place);
    });
}

/// Flink ML drops the last batch if it is short, refuses batches below its parallelism, and moves a centroid without
/// points to the origin.
#[test]
fn short_batches_count_and_centroids_without_points_stay() {
    let found = execute(RuntimeConfig::threads(4), |env| {
        let initial = KMeansModel::new(Matrix::new(1, vec![0.0, 100.0])?, vec![0.0; 2])?;
        let points = env.from_iter([1.0, 3.0, 9.0].map(|x| Matrix::new(1, vec![x]).unwrap()));
        let models = OnlineKMeans::new(initial).global_batch_size(2).fit(points)?;
        Ok(models.map(|model| model.centroids().values().to_vec()).collect())
    });
    assert_eq!(found.unwrap().concat(), [[2.0, 100.0], [9.0, 100.0]]);
}

#[test]
fn bad_input_is_named() {
    let fails = |learner: OnlineLogisticRegression| {
        let block = Examples::dense(1, vec![1.0], vec![2.0]).unwrap();
        let found = execute(RuntimeConfig::threads(1), move |env| {
            Ok(learner.fit(env.from_iter([block.clone()]))?.collect())
        });
        found.unwrap_err().to_string()
    };
    assert!(fails(OnlineLogisticRegression::new(vec![0.0])).contains("label 2, expected 0 or 1"));
    assert!(fails(OnlineLogisticRegression::new(vec![0.0; 2])).contains("1 features, the model expects 2"));
    assert!(
        fails(OnlineLogisticRegression::new(vec![0.0]).alpha(0.0)).contains("alpha of FtrlProximal is 0")
    );
    assert!(
        fails(OnlineLogisticRegression::new(vec![0.0]).global_batch_size(0))
            .contains("global_batch_size is 0")
    );
}
