//! Optima of convex problems on real data, as other programs have found them; only where the data are.

use std::path::{Path, PathBuf};

use waterwheel::ml::linear::{LinearSvc, LogisticRegression, SvcLoss};
use waterwheel::ml::{Examples, Matrix, clustering::KMeans};
use waterwheel::prelude::*;

use crate::cluster::{everywhere, test_path};

fn data(file: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(file);
    if !path.exists() {
        println!("skipped: {file} is not here");
        return None;
    }
    Some(path)
}

fn reference(file: &str) -> Option<serde_json::Value> {
    let text = std::fs::read_to_string(data(&format!("reference/{file}"))?).unwrap();
    Some(serde_json::from_str(&text).unwrap())
}

/// Rows of heart_scale: label -1 or 1, then pairs of index, from 1, and value.
fn heart() -> Option<Vec<(Vec<(u32, f64)>, f64)>> {
    let text = std::fs::read_to_string(data("heart-scale/heart_scale")?).unwrap();
    let row = |line: &str| {
        let mut fields = line.split_whitespace();
        let label = if fields.next().unwrap().parse::<f64>().unwrap() > 0.0 { 1.0 } else { 0.0 };
        let entry = |field: &str| {
            let (index, value) = field.split_once(':').unwrap();
            (index.parse::<u32>().unwrap() - 1, value.parse().unwrap())
        };
        (fields.map(entry).collect(), label)
    };
    Some(text.lines().map(row).collect())
}

/// The optimum of a problem on heart_scale: L2, without intercept.
fn optimum(reference: &serde_json::Value, loss: &str, lambda: f64) -> f64 {
    let problems = reference["binary"]["heart_scale"]["problems"].as_array().unwrap();
    let found = problems.iter().find(|p| {
        p["loss"] == loss && p["reg_lambda"] == lambda && p["intercept"] == false && p["alpha"].is_null()
    });
    found.unwrap()["optimum"].as_f64().unwrap()
}

/// Mean loss and penalty.
fn objective(rows: &[(Vec<(u32, f64)>, f64)], w: &[f64], lambda: f64, loss: fn(f64) -> f64) -> f64 {
    let margin = |(x, label): &(Vec<(u32, f64)>, f64)| {
        (2.0 * label - 1.0) * x.iter().map(|(i, x)| x * w[*i as usize]).sum::<f64>()
    };
    let losses: f64 = rows.iter().map(|row| loss(margin(row))).sum();
    losses / rows.len() as f64 + lambda / 2.0 * w.iter().map(|w| w * w).sum::<f64>()
}

fn heart_blocks<'s>(env: &Env<'s>, rows: &[(Vec<(u32, f64)>, f64)]) -> DataStream<'s, Examples> {
    let blocks: Vec<Examples> = rows
        .chunks(40)
        .map(|rows| {
            let (features, labels): (Vec<_>, Vec<_>) = rows.iter().cloned().unzip();
            Examples::sparse(13, features, labels).unwrap()
        })
        .collect();
    env.from_splits(blocks.len(), move |split| [blocks[split].clone()])
}

#[test]
fn logistic_regression_and_svc_reach_the_optima_of_other_programs() {
    let (Some(reference), Some(rows)) = (reference("logistic_svm.json"), heart()) else { return };
    let lambda = 0.01;
    let expected = ["logistic", "squared_hinge"].map(|loss| optimum(&reference, loss, lambda));
    let job = |config| {
        let rows = rows.clone();
        let models = execute(config, move |env| {
            let logistic = LogisticRegression::new().reg(lambda).learning_rate(0.1).max_iter(12_000);
            let logistic = logistic.global_batch_size(usize::MAX).tol(0.0);
            let svc = LinearSvc::new().loss(SvcLoss::SquaredHinge).reg(lambda).learning_rate(0.02);
            let svc = svc.max_iter(12_000).global_batch_size(usize::MAX).tol(0.0);
            let logistic = logistic.fit(heart_blocks(env, &rows))?.map(|model| model.linear);
            let svc = svc.fit(heart_blocks(env, &rows))?.map(|model| model.linear);
            Ok((logistic.collect(), svc.collect()))
        });
        models.unwrap().swap_remove(0)
    };
    let path = test_path!(logistic_regression_and_svc_reach_the_optima_of_other_programs);
    everywhere(path, job, |(logistic, svc), place| {
        let losses: [fn(f64) -> f64; 2] = [|m| (-m).exp().ln_1p(), |m| (1.0 - m).max(0.0).powi(2)];
        for ((model, loss), expected) in [&logistic[0], &svc[0]].into_iter().zip(losses).zip(expected) {
            let found = objective(&rows, model.coefficients(), lambda, loss);
            assert!((found / expected - 1.0).abs() < 1e-6, "{place}: {found}, expected {expected}");
        }
    });
}

#[test]
fn kmeans_from_the_same_start_ends_as_scikit_learn_does() {
    let (Some(reference), Some(iris)) = (reference("kmeans.json"), data("sklearn-toy/iris.csv")) else {
        return;
    };
    let text = std::fs::read_to_string(iris).unwrap();
    let numbers = |line: &str| line.split(',').take(4).map(str::parse).collect::<Result<Vec<f64>, _>>().ok();
    let rows: Vec<Vec<f64>> = text.lines().skip(1).filter_map(numbers).collect();
    let expected = &reference["iris"]["fixed_start"];
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
        let sizes: Vec<f64> =
            expected["sizes"].as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect();
        assert_eq!(model.weights(), sizes, "{place}");
        let centers = expected["centers"].as_array().unwrap().iter().flat_map(|row| row.as_array().unwrap());
        for (found, expected) in model.centroids().values().iter().zip(centers) {
            assert!((found - expected.as_f64().unwrap()).abs() < 1e-9, "{place}: {found} {expected}");
        }
    });
}
