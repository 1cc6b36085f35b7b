//! Optima of convex problems on real data, as other programs have found them.

use std::path::Path;

use waterwheel::ml::linear::{LinearModel, LinearSvc, LogisticRegression, SvcLoss};
use waterwheel::ml::{Examples, Matrix, clustering::KMeans};
use waterwheel::prelude::*;

use crate::cluster::{everywhere, test_path};

/// Rows of features, and their labels: 0 or 1.
#[derive(Clone, Default)]
struct Rows {
    features: Vec<Vec<f64>>,
    labels: Vec<f64>,
}

fn text(file: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/all/learning/data");
    std::fs::read_to_string(folder.join(file)).unwrap()
}

/// Numbers of a CSV file, without its header.
fn numbers(file: &str) -> Vec<Vec<f64>> {
    let row = |line: &str| line.split(',').map(|field| field.parse().unwrap()).collect();
    text(file).lines().skip(1).map(row).collect()
}

/// The last column is the label.
fn labelled(file: &str) -> Rows {
    let (features, labels) =
        numbers(file).into_iter().map(|mut row| (row.drain(..row.len() - 1).collect(), row[0])).unzip();
    Rows { features, labels }
}

impl Rows {
    /// LIBSVM: the label, -1 or 1, then pairs of index, from 1, and value.
    fn heart_scale() -> Self {
        let mut rows = Rows::default();
        for line in text("heart_scale").lines() {
            let mut fields = line.split_whitespace();
            let label: f64 = fields.next().unwrap().parse().unwrap();
            let mut features = vec![0.0; 13];
            for (index, value) in fields.map(|field| field.split_once(':').unwrap()) {
                features[index.parse::<usize>().unwrap() - 1] = value.parse().unwrap();
            }
            rows.labels.push(f64::from(label > 0.0));
            rows.features.push(features);
        }
        rows
    }

    fn phishing() -> Self {
        labelled("phishing.csv")
    }

    /// Each column less its mean, over its standard deviation.
    fn breast_cancer() -> Self {
        let mut rows = labelled("breast_cancer.csv");
        let n = rows.features.len() as f64;
        for column in 0..rows.features[0].len() {
            let mean = rows.features.iter().map(|row| row[column]).sum::<f64>() / n;
            let variance = rows.features.iter().map(|row| (row[column] - mean).powi(2)).sum::<f64>() / n;
            rows.features.iter_mut().for_each(|row| row[column] = (row[column] - mean) / variance.sqrt());
        }
        rows
    }

    /// Blocks of 40 rows; those of even numbers as sparse ones, so that both kinds of rows make one answer.
    fn blocks<'s>(&self, env: &Env<'s>) -> DataStream<'s, Examples> {
        let parts = self.features.chunks(40).zip(self.labels.chunks(40)).enumerate();
        let block = |(i, (features, labels)): (usize, (&[Vec<f64>], &[f64]))| match i % 2 {
            0 => {
                let entries = features.iter().map(|row| (0..).zip(row.iter().copied()));
                Examples::sparse(features[0].len(), entries, labels.to_vec()).unwrap()
            }
            _ => Examples::dense(features[0].len(), features.concat(), labels.to_vec()).unwrap(),
        };
        let blocks: Vec<Examples> = parts.map(block).collect();
        env.from_splits(blocks.len(), move |split| [blocks[split].clone()])
    }

    /// Mean loss and penalty.
    fn objective(&self, w: &[f64], problem: &Problem) -> f64 {
        let losses = self.features.iter().zip(&self.labels).map(|(x, label)| {
            let margin = (2.0 * label - 1.0) * x.iter().zip(w).map(|(x, w)| x * w).sum::<f64>();
            match problem.loss {
                Loss::Logistic => (-margin).exp().ln_1p(),
                Loss::SquaredHinge => (1.0 - margin).max(0.0).powi(2),
            }
        });
        let penalty = problem.lambda / 2.0 * w.iter().map(|w| w * w).sum::<f64>();
        losses.sum::<f64>() / self.labels.len() as f64 + penalty
    }
}

#[derive(Clone, Copy, Debug)]
enum Loss {
    Logistic,
    SquaredHinge,
}

/// Mean loss and `lambda / 2 |w|²`, without an intercept; the optimum is that of Newton's method, which scikit-learn
/// agrees with. Rate and steps are such that descent comes within half a millionth: it ends at the optimum but for
/// the square of rate times lambda, because the penalty is taken after the step, as in Flink ML.
#[derive(Clone, Copy, Debug)]
struct Problem {
    loss: Loss,
    lambda: f64,
    rate: f64,
    steps: u64,
    optimum: f64,
}

const fn problem(loss: Loss, lambda: f64, rate: f64, steps: u64, optimum: f64) -> Problem {
    Problem { loss, lambda, rate, steps, optimum }
}

impl Problem {
    fn fit<'s>(&self, env: &Env<'s>, rows: &Rows) -> Result<DataStream<'s, LinearModel>> {
        let Problem { loss, lambda, rate, steps, .. } = *self;
        let blocks = rows.blocks(env);
        match loss {
            Loss::Logistic => {
                let trainer = LogisticRegression::new().reg(lambda).learning_rate(rate).max_iter(steps);
                Ok(trainer.global_batch_size(usize::MAX).tol(0.0).fit(blocks)?.map(|model| model.linear))
            }
            Loss::SquaredHinge => {
                let trainer = LinearSvc::new().loss(SvcLoss::SquaredHinge).reg(lambda).learning_rate(rate);
                let trainer = trainer.max_iter(steps).global_batch_size(usize::MAX).tol(0.0);
                Ok(trainer.fit(blocks)?.map(|model| model.linear))
            }
        }
    }
}

/// Trains on every cluster shape and compares what is reached with the optimum.
fn check(path: &str, rows: &Rows, problems: &'static [Problem]) {
    let job = |config| {
        let rows = rows.clone();
        let models = execute(config, move |env| {
            let fits = problems.iter().map(|problem| problem.fit(env, &rows)).collect::<Result<Vec<_>>>()?;
            let numbered = fits.into_iter().enumerate().map(|(i, fit)| fit.map(move |model| (i, model)));
            Ok(numbered.reduce(DataStream::union).unwrap().collect())
        });
        models.unwrap().swap_remove(0)
    };
    everywhere(path, job, |models: Vec<(usize, LinearModel)>, place| {
        assert_eq!(models.len(), problems.len(), "{place}");
        for (i, model) in models {
            let found = rows.objective(model.coefficients(), &problems[i]);
            let off = found / problems[i].optimum - 1.0;
            println!("{place}: {:?}, off by {off:.1e}", problems[i]);
            assert!(off.abs() < 1e-6, "{place}: {found}, {:?}", problems[i]);
        }
    });
}

#[test]
fn logistic_regression_and_svc_reach_the_optima_of_heart_scale() {
    static PROBLEMS: [Problem; 4] = [
        problem(Loss::Logistic, 1e-2, 0.1, 2_500, 0.3787752433389694),
        problem(Loss::Logistic, 1e-4, 1.4, 700, 0.3525209370132851),
        problem(Loss::SquaredHinge, 1e-2, 0.1, 700, 0.45094630005447855),
        problem(Loss::SquaredHinge, 1e-4, 0.1, 700, 0.4472877791228555),
    ];
    let path = test_path!(logistic_regression_and_svc_reach_the_optima_of_heart_scale);
    check(path, &Rows::heart_scale(), &PROBLEMS);
}

#[test]
fn logistic_regression_and_svc_reach_the_optima_of_phishing() {
    static PROBLEMS: [Problem; 4] = [
        problem(Loss::Logistic, 1e-2, 0.1, 2_900, 0.43055584300415634),
        problem(Loss::Logistic, 1e-4, 1.5, 800, 0.3371544257080882),
        problem(Loss::SquaredHinge, 1e-2, 0.1, 800, 0.44829480013148537),
        problem(Loss::SquaredHinge, 1e-4, 0.1, 1_000, 0.42831742693695607),
    ];
    let path = test_path!(logistic_regression_and_svc_reach_the_optima_of_phishing);
    check(path, &Rows::phishing(), &PROBLEMS);
}

#[test]
fn logistic_regression_and_svc_reach_the_optima_of_breast_cancer() {
    static PROBLEMS: [Problem; 2] = [
        problem(Loss::Logistic, 1e-2, 0.1, 4_300, 0.10241656575570418),
        problem(Loss::SquaredHinge, 1e-2, 0.037, 12_600, 0.06999624221731825),
    ];
    let path = test_path!(logistic_regression_and_svc_reach_the_optima_of_breast_cancer);
    check(path, &Rows::breast_cancer(), &PROBLEMS);
}

/// Sizes and centers that scikit-learn finds from the first three rows.
#[test]
fn kmeans_from_the_same_start_ends_as_scikit_learn_does() {
    let sizes = [39.0, 61.0, 50.0];
    let centers = [
        [6.853846153846153, 3.0769230769230766, 5.715384615384615, 2.053846153846153],
        [5.88360655737705, 2.740983606557377, 4.388524590163935, 1.4344262295081966],
        [5.005999999999999, 3.428000000000001, 1.4620000000000002, 0.2459999999999999],
    ];
    let rows: Vec<Vec<f64>> = numbers("iris.csv").into_iter().map(|row| row[..4].to_vec()).collect();
    let job = |config| {
        let rows = rows.clone();
        let models = execute(config, move |env| {
            let start = Matrix::new(4, rows[..3].concat())?;
            let parts: Vec<Matrix> =
                rows.chunks(30).map(|part| Matrix::new(4, part.concat()).unwrap()).collect();
            let points = env.from_splits(parts.len(), move |split| [parts[split].clone()]);
            Ok(KMeans::new().initial_centroids(start).max_iter(100).fit(points)?.collect())
        });
        models.unwrap().concat()
    };
    everywhere(test_path!(kmeans_from_the_same_start_ends_as_scikit_learn_does), job, |models, place| {
        let [model] = models.as_slice() else { panic!("{place}: {} models", models.len()) };
        assert_eq!(model.weights(), sizes, "{place}");
        for (found, expected) in model.centroids().values().iter().zip(centers.as_flattened()) {
            assert!((found - expected).abs() < 1e-9, "{place}: {found} {expected}");
        }
    });
}
