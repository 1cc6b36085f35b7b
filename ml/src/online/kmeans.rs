//! K-means that forgets.

use std::ops::Range;

use waterwheel_engine::{DataStream, Error, Result};

use crate::Matrix;
use crate::clustering::{ClusterSums, KMeansModel};
use crate::online::train::{OnlineLearner, train};

/// K-means on a stream: every batch moves the centroids towards the means of its points.
///
/// | parameter | default | valid |
/// |---|---|---|
/// | `global_batch_size`: points of a batch, over all workers | 32 | 1 or more |
/// | `decay_factor`: how much of its weight a centroid keeps per batch | 0 | 0 to 1 |
///
/// A centroid of weight *w* that is nearest to *n* points of a batch gets the weight `decay w + n` and moves to their
/// mean by the share *n* of it; without points it stays. Batches are the points in order of arrival, the last one may
/// be short. So models do not depend on the number of workers, but for the order of sums.
///
/// # References
/// Flink ML's `OnlineKMeans`; the update is that of Spark's `StreamingKMeans`.
///
/// # Examples
/// ```
/// use waterwheel_engine::{RuntimeConfig, execute};
/// use waterwheel_ml::{Matrix, clustering::KMeansModel, online::OnlineKMeans};
///
/// let models = execute(RuntimeConfig::threads(2), |env| {
///     let initial = KMeansModel::new(Matrix::new(1, vec![-1.0, 1.0])?, vec![0.0, 0.0])?;
///     let batches = [Matrix::new(1, vec![-4.0, 3.0])?, Matrix::new(1, vec![5.0, 7.0])?];
///     let models = OnlineKMeans::new(initial).global_batch_size(2).fit(env.from_iter(batches))?;
///     Ok(models.map(|model| model.centroids().values().to_vec()).collect())
/// })?;
/// assert_eq!(models.concat(), [[-4.0, 3.0], [-4.0, 6.0]]);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct OnlineKMeans {
    initial: KMeansModel,
    global_batch_size: usize,
    decay_factor: f64,
}

impl OnlineKMeans {
    /// Starts from a model, for example one that [`KMeans`](crate::clustering::KMeans) has made.
    pub fn new(initial: KMeansModel) -> Self {
        OnlineKMeans { initial, global_batch_size: 32, decay_factor: 0.0 }
    }

    /// Sets the points of a batch.
    #[must_use]
    pub fn global_batch_size(mut self, points: usize) -> Self {
        self.global_batch_size = points;
        self
    }

    /// Sets how much of its weight a centroid keeps per batch.
    #[must_use]
    pub fn decay_factor(mut self, decay: f64) -> Self {
        self.decay_factor = decay;
        self
    }

    /// The model after each batch, in order, on worker 0.
    ///
    /// # Errors
    /// A parameter is not valid.
    #[track_caller]
    pub fn fit<'s>(&self, points: DataStream<'s, Matrix>) -> Result<DataStream<'s, KMeansModel>> {
        let decay = self.decay_factor;
        if !(0.0..=1.0).contains(&decay) {
            return Err(Error::config(format!("decay_factor is {decay}, expected 0 to 1")));
        }
        train(points, self.initial.clone(), self.global_batch_size, Learner { decay })
    }
}

#[derive(Clone, Copy, Debug)]
struct Learner {
    decay: f64,
}

impl OnlineLearner for Learner {
    type Block = Matrix;
    type Model = KMeansModel;
    type Sums = ClusterSums;

    fn rows(block: &Matrix) -> usize {
        block.rows()
    }

    fn slice(block: &Matrix, rows: Range<usize>) -> Matrix {
        block.slice(rows)
    }

    fn sum(&self, model: &KMeansModel, blocks: &[Matrix]) -> Result<ClusterSums> {
        model.sums(blocks)
    }

    fn update(&self, model: &KMeansModel, parts: Vec<ClusterSums>) -> Result<KMeansModel> {
        let mut all = ClusterSums::new(model.centroids());
        parts.iter().for_each(|part| all.merge(part));
        let mut centroids = model.centroids().clone();
        let weights = model.weights().iter().zip(all.counts()).map(|(weight, n)| self.decay * weight + n);
        let weights: Vec<f64> = weights.collect();
        for (cluster, count, sum) in all.of_clusters() {
            let share = count / weights[cluster];
            let move_to_mean = |(x, sum): (&mut f64, &f64)| *x += (sum / count - *x) * share;
            centroids.row_mut(cluster).iter_mut().zip(sum).for_each(move_to_mean);
        }
        model.moved(centroids, weights)
    }
}
