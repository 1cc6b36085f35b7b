//! Points around hidden centres, for clustering.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use waterwheel_engine::Result;

use super::table::Table;
use super::{cell, check_sizes, clamp, sm, unit};

/// Points around hidden centres in `[0, 10)`, each with triangular noise of width 8 on either side.
///
/// The clusters overlap, so that k-means needs many rounds.
///
/// # Examples
/// ```
/// use waterwheel_ml::generate::Points;
///
/// let points = Points::new(1_000, 3, 10)?;
/// let point = points.row(7);
/// let centre = points.centre(point.cluster);
/// assert!(point.features.iter().zip(&centre).all(|(x, c)| (x - c).abs() <= 8.0));
/// assert_eq!(points.iter().count(), 1_000);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Points {
    rows: u64,
    dim: u32,
    clusters: u32,
    centres: Table<f64>,
}

/// A point and the centre it was drawn around; the row type of [`Points`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClusterPoint {
    /// The coordinates, each in `[-8, 18)`.
    pub features: Vec<f64>,
    /// The number of the centre, from 0.
    pub cluster: u32,
}

impl Points {
    /// `rows` points of `dim` coordinates around `clusters` centres.
    ///
    /// # Errors
    /// A config error where `dim` or `clusters` is 0.
    pub fn new(rows: u64, dim: u32, clusters: u32) -> Result<Self> {
        check_sizes("points", &[("dim", dim), ("clusters", clusters)])?;
        let n_coordinates = u64::from(clusters) * u64::from(dim);
        Ok(Points { rows, dim, clusters, centres: Table::new(n_coordinates, |idx| 10.0 * unit(4, idx)) })
    }

    /// How many points there are.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// How many coordinates a point has.
    pub fn dim(&self) -> u32 {
        self.dim
    }

    /// How many centres there are.
    pub fn clusters(&self) -> u32 {
        self.clusters
    }

    /// The coordinates of a hidden centre, for comparison with those that a program learns.
    pub fn centre(&self, cluster: u32) -> Vec<f64> {
        (0..self.dim).map(|column| self.centres.get(cell(cluster.into(), self.dim, column))).collect()
    }

    /// Point `idx`.
    pub fn row(&self, idx: u64) -> ClusterPoint {
        let mut features = Vec::with_capacity(self.dim as usize);
        let cluster = self.append(idx, &mut features);
        ClusterPoint { features, cluster }
    }

    /// Puts the coordinates of point `idx` behind a row-major block and returns its cluster.
    pub fn append(&self, idx: u64, block: &mut Vec<f64>) -> u32 {
        // Below `clusters`, so it fits.
        let cluster = (sm(5, idx) % u64::from(self.clusters)) as u32;
        block.extend((0..self.dim).map(|column| {
            let first = cell(idx, self.dim, column).wrapping_mul(2);
            let noise = unit(6, first) + unit(6, first.wrapping_add(1)) - 1.0;
            self.centres.get(cell(cluster.into(), self.dim, column)) + 8.0 * noise
        }));
        cluster
    }

    /// The points of `range`, as far as there are any; keeps its own handle to the centres.
    pub fn range(&self, range: Range<u64>) -> impl Iterator<Item = ClusterPoint> + Send + use<> {
        let points = self.clone();
        clamp(range, self.rows).map(move |idx| points.row(idx))
    }

    /// All points.
    pub fn iter(&self) -> impl Iterator<Item = ClusterPoint> + Send + use<> {
        self.range(0..self.rows)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{PROBES, digest};
    use super::*;

    #[test]
    fn points_rows_are_golden() {
        let points = Points::new(10, 2, 10).unwrap();
        let expected = [
            ([7.567584269108643, -5.015039330549429], 8),
            ([4.813299400933789, 0.538950845271537], 4),
            ([9.41978046573961, 1.4674479502155897], 3),
            ([8.305239415936622, -3.1096878789068843], 9),
            ([1.3857539713522344, 10.001371776500928], 0),
            ([3.82899457402916, 12.378435934863356], 0),
            ([-2.100016669102347, 6.987283988577809], 4),
        ];
        let rows = expected.map(|(x, cluster)| ClusterPoint { features: x.to_vec(), cluster });
        assert_eq!(PROBES.map(|idx| points.row(idx)), rows);
        assert_eq!(points.centre(2), [3.9458048917319664, 5.867183433069445]);
    }

    #[test]
    fn points_digest_is_golden() {
        let bytes = |row: ClusterPoint| {
            row.features.iter().flat_map(|x| x.to_le_bytes()).chain(row.cluster.to_le_bytes()).collect()
        };
        let points = Points::new(1_000, 3, 7).unwrap();
        assert_eq!(digest(points.iter().map(bytes)), 0x37c9_06ce_2432_6682);
    }

    #[test]
    fn points_range_equals_rows() {
        let points = Points::new(100, 2, 5).unwrap();
        let rows: Vec<_> = (90..100).map(|idx| points.row(idx)).collect();
        assert_eq!(points.range(90..200).collect::<Vec<_>>(), rows);
        assert_eq!(points.iter().skip(90).collect::<Vec<_>>(), rows);
    }
}
