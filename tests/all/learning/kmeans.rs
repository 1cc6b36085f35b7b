//! K-means: the numbers of Flink ML's tests, and its defects absent.

use waterwheel::ml::Matrix;
use waterwheel::ml::clustering::{DistanceMeasure, KMeans, KMeansModel};
use waterwheel::prelude::*;

use crate::cluster::{everywhere, test_path};

/// One block a point, spread over the workers.
fn fit(config: RuntimeConfig, kmeans: KMeans, points: &'static [[f64; 2]]) -> Vec<KMeansModel> {
    let models = execute(config, move |env| {
        let blocks = env.from_splits(points.len(), |split| [Matrix::new(2, points[split].to_vec()).unwrap()]);
        Ok(kmeans.fit(blocks)?.collect())
    });
    models.unwrap().concat()
}

fn sorted(model: &KMeansModel) -> Vec<Vec<f64>> {
    let mut centroids: Vec<_> =
        (0..model.centroids().rows()).map(|i| model.centroids().row(i).to_vec()).collect();
    centroids.sort_by(|a, b| a[0].total_cmp(&b[0]));
    centroids
}

const POINTS: [[f64; 2]; 6] = [[0.0, 0.0], [0.0, 0.3], [0.3, 0.0], [9.0, 0.0], [9.0, 0.6], [9.6, 0.0]];

#[test]
fn kmeans_has_the_numbers_of_flink_ml() {
    let job = |config| fit(config, KMeans::new().k(2).max_iter(2), &POINTS);
    everywhere(test_path!(kmeans_has_the_numbers_of_flink_ml), job, |models, place| {
        let [model] = models.as_slice() else { panic!("{place}: {} models", models.len()) };
        let [low, high] = sorted(model).try_into().unwrap();
        let near = |a: &[f64], b: [f64; 2]| (a[0] - b[0]).abs() + (a[1] - b[1]).abs() < 1e-9;
        assert!(near(&low, [0.1, 0.1]) && near(&high, [9.2, 0.2]), "{place}: {low:?} {high:?}");
        assert_eq!(model.weights(), [3.0, 3.0], "{place}");
        let all = Matrix::new(2, POINTS.concat()).unwrap();
        let groups = model.predict(&all).unwrap();
        assert!(groups[..3] == [groups[0]; 3] && groups[3..] == [groups[3]; 3] && groups[0] != groups[3]);
    });
}

#[test]
fn fewer_different_points_than_clusters_give_as_many_clusters() {
    let models = fit(RuntimeConfig::threads(2), KMeans::new().k(2), &[[0.0, 0.1]; 3]);
    let centroids = sorted(&models[0]);
    assert!(centroids.len() == 1 && (centroids[0][1] - 0.1).abs() < 1e-12, "{centroids:?}");
    assert_eq!(models[0].weights(), [3.0]);
}

/// Flink ML divides by zero there.
#[test]
fn cluster_that_loses_its_points_keeps_its_centroid() {
    let far = Matrix::new(2, vec![0.0, 0.0, 1e6, 1e6]).unwrap();
    let models = fit(RuntimeConfig::threads(1), KMeans::new().initial_centroids(far), &POINTS);
    assert_eq!(sorted(&models[0])[1], [1e6, 1e6]);
    assert_eq!(models[0].weights(), [6.0, 0.0]);
}

#[test]
fn distances_are_those_of_their_names() {
    let far = |measure: DistanceMeasure| measure.distance(&[3.0, 0.0], &[0.0, 4.0]);
    assert_eq!((far(DistanceMeasure::Euclidean), far(DistanceMeasure::Manhattan)), (5.0, 7.0));
    assert_eq!(far(DistanceMeasure::Cosine), 1.0);
    for measure in [DistanceMeasure::Manhattan, DistanceMeasure::Cosine] {
        let start = Matrix::new(2, vec![0.1, 0.1, 9.0, 0.5]).unwrap();
        let kmeans = KMeans::new().distance_measure(measure).initial_centroids(start);
        let models = fit(RuntimeConfig::threads(2), kmeans, &POINTS);
        assert_eq!(models[0].weights().iter().sum::<f64>(), 6.0);
    }
}

#[test]
fn bad_input_is_named() {
    let error = execute(RuntimeConfig::threads(1), |env| {
        let blocks = [Matrix::new(1, vec![1.0]), Matrix::new(2, vec![1.0, 2.0])];
        Ok(KMeans::new().fit(env.from_iter(blocks.map(Result::unwrap)))?.collect())
    });
    assert!(error.unwrap_err().to_string().contains("points have 2 columns, expected 1"));
    let error =
        execute(RuntimeConfig::threads(1), |env| Ok(KMeans::new().k(1).fit(env.from_iter([]))?.collect()));
    assert!(error.unwrap_err().to_string().contains("k is 1"));
}
