//! Lloyd's algorithm as a bounded iteration.
//!
//! The centroids go round: every worker adds up the points that are nearest to each, worker 0 takes the means and
//! sends them to all. Points stay where they are.

use serde::{Deserialize, Serialize};
use waterwheel_engine::{Collector, DataStream, Error, Result, Round, StateReader, StateWriter};
use waterwheel_iteration::{
    EpochCoProcessFunction, EpochConnectedStreams, EpochContext, EpochProcessFunction, EpochStream,
    IterationBodyResult, IterationConfig, IterationListener, Iterations,
};

use crate::Matrix;
use crate::clustering::distance::DistanceMeasure;
use crate::clustering::nearest::Nearest;
use crate::clustering::start::Sample;
use crate::clustering::sums::{ClusterSums, check_columns};
use crate::once::once;

/// K-means clustering (Lloyd, *Least squares quantization in PCM*, 1982).
///
/// | parameter | default | valid |
/// |---|---|---|
/// | `k`: clusters | 2 | 2 or more |
/// | `max_iter`: rounds at most | 20 | 1 or more |
/// | `distance_measure` | euclidean | |
/// | `seed`: which points are the first centroids | 0 | |
/// | `initial_centroids` | `k` different points, by seed | as many columns as the points |
///
/// The first centroids depend on the points and the seed, not on their order or place. Where there are fewer
/// different points than `k`, there are as many clusters. A cluster without points keeps its centroid. Training ends
/// early when no centroid has moved: more rounds would change nothing.
///
/// # Cost
/// A round costs points × k × coordinates, divided by the workers, and one exchange of k centroids per worker.
///
/// # Examples
/// ```
/// use waterwheel_engine::{RuntimeConfig, execute};
/// use waterwheel_ml::{Matrix, clustering::KMeans};
///
/// let models = execute(RuntimeConfig::threads(2), |env| {
///     let points = Matrix::new(1, vec![0.0, 0.3, 9.0, 9.6])?;
///     Ok(KMeans::new().k(2).fit(env.from_iter([points]))?.collect())
/// })?;
/// let mut centroids = models[0][0].centroids().values().to_vec();
/// centroids.sort_by(f64::total_cmp);
/// assert_eq!(centroids, [0.15, 9.3]);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct KMeans {
    k: usize,
    max_iter: u64,
    measure: DistanceMeasure,
    seed: u64,
    initial: Option<Matrix>,
}

impl Default for KMeans {
    fn default() -> Self {
        KMeans { k: 2, max_iter: 20, measure: DistanceMeasure::Euclidean, seed: 0, initial: None }
    }
}

impl KMeans {
    /// With the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the number of clusters.
    #[must_use]
    pub fn k(mut self, k: usize) -> Self {
        self.k = k;
        self
    }

    /// Sets how many rounds there are at most.
    #[must_use]
    pub fn max_iter(mut self, max_iter: u64) -> Self {
        self.max_iter = max_iter;
        self
    }

    /// Sets the distance.
    #[must_use]
    pub fn distance_measure(mut self, measure: DistanceMeasure) -> Self {
        self.measure = measure;
        self
    }

    /// Sets the seed of the first centroids.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Starts from these centroids: one row each. `k` is their number.
    #[must_use]
    pub fn initial_centroids(mut self, centroids: Matrix) -> Self {
        self.k = centroids.rows();
        self.initial = Some(centroids);
        self
    }

    /// Trains on all points; the stream has the one model, on worker 0, and nothing where there are no points.
    ///
    /// # Errors
    /// A parameter is not valid.
    #[track_caller]
    pub fn fit<'s>(&self, points: DataStream<'s, Matrix>) -> Result<DataStream<'s, KMeansModel>> {
        if self.k < 2 || self.max_iter == 0 {
            let (k, max_iter) = (self.k, self.max_iter);
            return Err(Error::config(format!(
                "k is {k} and max_iter {max_iter}, expected 2 or more clusters and 1 or more rounds"
            )));
        }
        let first = self.initial.clone().map(|centroids| Step {
            model: KMeansModel { centroids, weights: Vec::new(), measure: self.measure },
            is_last: false,
        });
        let start = once(&points.place(), "k-means start", Vec::from_iter(first));
        let (assign, means) = (Assign::new(self), Means::new(self));
        let config = IterationConfig::new().name("k-means");
        let (models,) =
            Iterations::iterate_bounded((start,), (points,), config, |_it, (steps,), (points,)| {
                let parts =
                    steps.broadcast().connect(points).process_epochs(assign).partition_custom(|_, _| 0);
                let steps = parts.process_epochs(means);
                let last = steps.clone().filter(|step| step.is_last).map(|step| step.model);
                let next = steps.filter(|step| !step.is_last);
                IterationBodyResult::new((next,), (last,))
            });
        Ok(models)
    }
}

/// Centroids, and how many points of training belong to each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KMeansModel {
    centroids: Matrix,
    weights: Vec<f64>,
    measure: DistanceMeasure,
}

impl KMeansModel {
    /// A model of these centroids, one row each, of these weights, for euclidean distance.
    ///
    /// # Errors
    /// There are not as many weights as centroids, or one is negative or not finite.
    pub fn new(centroids: Matrix, weights: Vec<f64>) -> Result<Self> {
        KMeansModel { centroids, weights: Vec::new(), measure: DistanceMeasure::Euclidean }
            .with_weights(weights)
    }

    fn with_weights(mut self, weights: Vec<f64>) -> Result<Self> {
        let is_weight = |weight: &f64| weight.is_finite() && *weight >= 0.0;
        if weights.len() != self.centroids.rows() || !weights.iter().all(is_weight) {
            let rows = self.centroids.rows();
            return Err(Error::data(format!(
                "weights are {weights:?}, expected {rows} finite ones, 0 or more"
            )));
        }
        self.weights = weights;
        Ok(self)
    }

    /// The same with other centroids and weights.
    pub(crate) fn moved(&self, centroids: Matrix, weights: Vec<f64>) -> Result<Self> {
        KMeansModel { centroids, weights: Vec::new(), measure: self.measure }.with_weights(weights)
    }

    /// One row for each cluster.
    pub fn centroids(&self) -> &Matrix {
        &self.centroids
    }

    /// Points of each cluster in the last round of training.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// The cluster of each row.
    ///
    /// # Errors
    /// The points have another number of columns than the centroids.
    pub fn predict(&self, points: &Matrix) -> Result<Vec<usize>> {
        check_columns(points, self.centroids.columns())?;
        let nearest = Nearest::new(&self.centroids, self.measure);
        let mut clusters = Vec::with_capacity(points.rows());
        nearest.of_each(points, |_point, cluster| clusters.push(cluster));
        Ok(clusters)
    }

    /// Adds up points by cluster.
    pub(crate) fn sums<'a>(&self, blocks: impl IntoIterator<Item = &'a Matrix>) -> Result<ClusterSums> {
        let nearest = Nearest::new(&self.centroids, self.measure);
        let mut sums = ClusterSums::new(&self.centroids);
        blocks.into_iter().try_for_each(|block| sums.add(block, &nearest))?;
        Ok(sums)
    }

    /// The clusters of all blocks of a stream, block by block.
    #[track_caller]
    pub fn transform<'s>(&self, points: DataStream<'s, Matrix>) -> DataStream<'s, Vec<usize>> {
        let model = self.clone();
        points.try_map(move |block| model.predict(&block))
    }
}

/// The model after a round.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Step {
    model: KMeansModel,
    is_last: bool,
}

/// What one worker's points come to in a round.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Part {
    /// Candidates for the first centroids.
    Start(Sample),
    /// By worker.
    Sums(usize, ClusterSums),
}

/// Adds up the points that are nearest to each centroid, on every worker.
struct Assign {
    sample: Sample,
    model: Option<KMeansModel>,
    blocks: Vec<Matrix>,
}

impl Assign {
    fn new(kmeans: &KMeans) -> Self {
        let sample = Sample::new(kmeans.k, kmeans.seed);
        Assign { sample, model: None, blocks: Vec::new() }
    }

    fn part(&self, worker: usize) -> Result<Part> {
        let Some(model) = &self.model else {
            let mut sample = self.sample.clone();
            self.blocks.iter().flat_map(Matrix::iter).for_each(|point| sample.add(point));
            return Ok(Part::Start(sample));
        };
        Ok(Part::Sums(worker, model.sums(&self.blocks)?))
    }
}

impl IterationListener for Assign {
    type Out = Part;

    fn on_epoch_watermark_incremented(
        &mut self,
        _epoch: Round,
        context: &mut EpochContext,
        out: &mut Collector<Part>,
    ) -> Result<()> {
        if !self.blocks.is_empty() {
            out.emit(self.part(context.worker_index())?);
        }
        Ok(())
    }

    /// Nothing: the model comes with the next step.
    fn snapshot(&self, _state: &mut StateWriter) -> Result<()> {
        Ok(())
    }

    fn snapshot_data(&self, data: &mut StateWriter) -> Result<()> {
        self.blocks.iter().try_for_each(|block| data.put(block))
    }

    fn restore_data(&mut self, data: &mut StateReader) -> Result<()> {
        while let Some(block) = data.next_item()? {
            self.blocks.push(block);
        }
        Ok(())
    }
}

impl EpochCoProcessFunction<Step, Matrix> for Assign {
    fn process1(
        &mut self,
        step: Step,
        _context: &mut EpochContext,
        _out: &mut Collector<Part>,
    ) -> Result<()> {
        self.model = Some(step.model);
        Ok(())
    }

    fn process2(
        &mut self,
        block: Matrix,
        _context: &mut EpochContext,
        _out: &mut Collector<Part>,
    ) -> Result<()> {
        let expected = self.blocks.first().map_or(block.columns(), Matrix::columns);
        check_columns(&block, expected)?;
        if block.rows() > 0 {
            self.blocks.push(block);
        }
        Ok(())
    }
}

/// Takes the means, on worker 0.
struct Means {
    max_iter: u64,
    measure: DistanceMeasure,
    centroids: Option<Matrix>,
    rounds: u64,
    parts: Vec<(usize, ClusterSums)>,
    sample: Sample,
    started: bool,
}

impl Means {
    fn new(kmeans: &KMeans) -> Self {
        let (max_iter, measure, centroids) = (kmeans.max_iter, kmeans.measure, kmeans.initial.clone());
        let sample = Sample::new(kmeans.k, kmeans.seed);
        Means { max_iter, measure, centroids, rounds: 0, parts: Vec::new(), sample, started: false }
    }

    /// The first centroids, if this is where they come from.
    fn start(&mut self) -> Result<Option<Step>> {
        let sample = std::mem::replace(&mut self.sample, Sample::new(0, 0));
        let mut points = sample.into_points();
        let Some(first) = points.next() else { return Ok(None) };
        let mut centroids = Matrix::new(first.len(), first)?;
        for point in points {
            if point.len() != centroids.columns() {
                let (found, expected) = (point.len(), centroids.columns());
                return Err(Error::data(format!("points have {found} columns, expected {expected}")));
            }
            centroids.push(&point);
        }
        self.centroids = Some(centroids.clone());
        let model = KMeansModel { centroids, weights: Vec::new(), measure: self.measure };
        Ok(Some(Step { model, is_last: false }))
    }

    /// The means of the clusters.
    fn step(&mut self) -> Result<Option<Step>> {
        self.parts.sort_by_key(|(worker, _)| *worker);
        let mut parts = std::mem::take(&mut self.parts).into_iter();
        let (Some((_, mut sums)), Some(centroids)) = (parts.next(), &mut self.centroids) else {
            return Ok(None);
        };
        parts.for_each(|(_, more)| sums.merge(&more));
        let before = centroids.clone();
        for (cluster, count, sum) in sums.of_clusters() {
            centroids.row_mut(cluster).iter_mut().zip(sum).for_each(|(mean, sum)| *mean = sum / count);
        }
        let weights = sums.counts().to_vec();
        self.rounds += 1;
        let is_last = self.rounds >= self.max_iter || before == *centroids;
        let model = KMeansModel { centroids: centroids.clone(), weights, measure: self.measure };
        Ok(Some(Step { model, is_last }))
    }
}

impl IterationListener for Means {
    type Out = Step;

    fn on_epoch_watermark_incremented(
        &mut self,
        _epoch: Round,
        _context: &mut EpochContext,
        out: &mut Collector<Step>,
    ) -> Result<()> {
        let step = if std::mem::take(&mut self.started) { self.start()? } else { self.step()? };
        step.into_iter().for_each(|step| out.emit(step));
        Ok(())
    }

    /// Parts and the sample are used up when a round is over.
    fn snapshot(&self, state: &mut StateWriter) -> Result<()> {
        state.put(&(&self.centroids, self.rounds))
    }

    fn restore(&mut self, state: &mut StateReader) -> Result<()> {
        while let Some((centroids, rounds)) = state.next_item::<(Option<Matrix>, u64)>()? {
            if centroids.is_some() {
                (self.centroids, self.rounds) = (centroids, rounds);
            }
        }
        Ok(())
    }
}

impl EpochProcessFunction<Part> for Means {
    fn process(&mut self, part: Part, _context: &mut EpochContext, _out: &mut Collector<Step>) -> Result<()> {
        match part {
            Part::Start(sample) => {
                self.sample.merge(sample);
                self.started = true;
            }
            Part::Sums(worker, sums) => self.parts.push((worker, sums)),
        }
        Ok(())
    }
}
