//! Which centroid is nearest to a point.

use crate::Matrix;
use crate::clustering::distance::DistanceMeasure;

/// Centroids, laid out so that a point meets all of them at once.
pub(crate) struct Nearest<'c> {
    centroids: &'c Matrix,
    measure: DistanceMeasure,
    /// By coordinate, the centroids' values: `LANES` of them a group, filled up with zeros.
    by_coordinate: Vec<[f64; LANES]>,
    /// Half of each centroid's square, infinite for those that fill up.
    half_squares: Vec<[f64; LANES]>,
}

/// Centroids of a group.
const LANES: usize = 4;
/// Points that meet a group at a time.
const POINTS: usize = 4;

impl<'c> Nearest<'c> {
    pub(crate) fn new(centroids: &'c Matrix, measure: DistanceMeasure) -> Self {
        let (k, dim) = (centroids.rows(), centroids.columns());
        let groups = k.div_ceil(LANES);
        let mut by_coordinate = vec![[0.0; LANES]; groups * dim];
        let mut half_squares = vec![[f64::INFINITY; LANES]; groups];
        for (i, centroid) in centroids.iter().enumerate() {
            let (group, lane) = (i / LANES, i % LANES);
            half_squares[group][lane] = centroid.iter().map(|x| x * x).sum::<f64>() / 2.0;
            for (coordinate, x) in centroid.iter().enumerate() {
                by_coordinate[group * dim + coordinate][lane] = *x;
            }
        }
        Nearest { centroids, measure, by_coordinate, half_squares }
    }

    /// The nearest centroid; the first of those that are equally near.
    #[inline]
    pub(crate) fn of(&self, point: &[f64]) -> usize {
        match self.measure {
            DistanceMeasure::Euclidean => self.euclidean(point.as_chunks::<1>().0)[0],
            measure => {
                let distances = self.centroids.iter().map(|centroid| measure.distance(point, centroid));
                let nearest = distances.enumerate().min_by(|(_, a), (_, b)| a.total_cmp(b));
                nearest.map_or(0, |(i, _)| i)
            }
        }
    }

    /// Calls `found` with each point and its nearest centroid, in order.
    ///
    /// Points meet the centroids several at a time: so many sums at once keep the processor busy, where those of one
    /// point would wait for each other. The numbers are those of one at a time.
    pub(crate) fn of_each<'p>(&self, points: &'p Matrix, mut found: impl FnMut(&'p [f64], usize)) {
        let dim = points.columns();
        let tiles = points.values().chunks_exact(POINTS * dim);
        let rest = tiles.remainder();
        let mut by_coordinate = vec![[0.0; POINTS]; dim];
        for tile in tiles.filter(|_| self.measure == DistanceMeasure::Euclidean) {
            for (i, point) in tile.chunks_exact(dim).enumerate() {
                by_coordinate.iter_mut().zip(point).for_each(|(coordinate, x)| coordinate[i] = *x);
            }
            let nearest = self.euclidean(&by_coordinate);
            tile.chunks_exact(dim).zip(nearest).for_each(|(point, nearest)| found(point, nearest));
        }
        let one_by_one = if self.measure == DistanceMeasure::Euclidean { rest } else { points.values() };
        one_by_one.chunks_exact(dim).for_each(|point| found(point, self.of(point)));
    }

    /// |c|²/2 - p·c is least where |p - c| is. `points` holds some points by coordinate.
    #[inline]
    fn euclidean<const P: usize>(&self, points: &[[f64; P]]) -> [usize; P] {
        let (mut nearest, mut least) = ([0; P], [f64::INFINITY; P]);
        let groups = self.by_coordinate.chunks_exact(points.len()).zip(&self.half_squares);
        for (group, (centroids, half_squares)) in groups.enumerate() {
            let mut scores = [*half_squares; P];
            for (xs, centroids) in points.iter().zip(centroids) {
                for (x, scores) in xs.iter().zip(&mut scores) {
                    for lane in 0..LANES {
                        scores[lane] -= x * centroids[lane];
                    }
                }
            }
            for (point, scores) in scores.iter().enumerate() {
                for (lane, score) in scores.iter().enumerate() {
                    if *score < least[point] {
                        (nearest[point], least[point]) = (group * LANES + lane, *score);
                    }
                }
            }
        }
        nearest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn nearest_is_the_first_of_the_least_distance(
            dim in 1usize..6,
            numbers in prop::collection::vec(-8i32..8, 60),
            k in 1usize..9,
        ) {
            let numbers: Vec<f64> = numbers.into_iter().map(f64::from).collect();
            let (centroids, points) = numbers.split_at(dim * k);
            let centroids = Matrix::new(dim, centroids.to_vec()).unwrap();
            let nearest = Nearest::new(&centroids, DistanceMeasure::Euclidean);
            let mut each = Vec::new();
            let n_points = points.len() / dim;
            let points = Matrix::new(dim, points[..n_points * dim].to_vec()).unwrap();
            nearest.of_each(&points, |_, nearest| each.push(nearest));
            prop_assert_eq!(each.len(), n_points);
            for (point, each) in points.iter().zip(each) {
                // Whole numbers: both ways are exact but for the root, which is monotonous.
                let distances = centroids.iter().map(|c| DistanceMeasure::Euclidean.distance(point, c));
                let expected = distances.enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0;
                prop_assert_eq!((nearest.of(point), each), (expected, expected));
            }
        }
    }
}
