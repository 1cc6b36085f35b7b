//! Points added up by cluster: what workers send each other in place of points.

use serde::{Deserialize, Serialize};
use waterwheel_engine::{Error, Result};

use crate::Matrix;
use crate::clustering::nearest::Nearest;

/// Sum and number of the points of each cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ClusterSums {
    sums: Matrix,
    counts: Vec<f64>,
}

impl ClusterSums {
    /// Nothing, for the clusters of `centroids`.
    pub(crate) fn new(centroids: &Matrix) -> Self {
        let (k, columns) = (centroids.rows(), centroids.columns());
        ClusterSums { sums: Matrix::zeros(k, columns), counts: vec![0.0; k] }
    }

    /// Adds each point to the cluster whose centroid is nearest.
    ///
    /// # Errors
    /// The points have another number of columns than the centroids.
    pub(crate) fn add(&mut self, points: &Matrix, nearest: &Nearest<'_>) -> Result<()> {
        check_columns(points, self.sums.columns())?;
        nearest.of_each(points, |point, cluster| {
            self.counts[cluster] += 1.0;
            self.sums.row_mut(cluster).iter_mut().zip(point).for_each(|(sum, x)| *sum += x);
        });
        Ok(())
    }

    /// Adds what another worker has added up for the same clusters.
    pub(crate) fn merge(&mut self, other: &ClusterSums) {
        self.sums.add(&other.sums);
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, more)| *count += more);
    }

    /// Number of points of each cluster.
    pub(crate) fn counts(&self) -> &[f64] {
        &self.counts
    }

    /// Clusters that have points, how many, and their sum.
    pub(crate) fn of_clusters(&self) -> impl Iterator<Item = (usize, f64, &[f64])> {
        let sums = self.counts.iter().zip(self.sums.iter()).enumerate();
        sums.filter(|(_, (count, _))| **count > 0.0).map(|(cluster, (count, sum))| (cluster, *count, sum))
    }
}

/// Refuses points that do not fit.
pub(crate) fn check_columns(points: &Matrix, expected: usize) -> Result<()> {
    match points.columns() {
        found if found == expected => Ok(()),
        found => Err(Error::data(format!("points have {found} columns, expected {expected}"))),
    }
}
