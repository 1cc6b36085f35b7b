//! K-means and full-batch logistic regression: time per round beside a loop written by hand over the same matrix, by
//! one thread. A round's time is the difference of a long and a short training, so that it holds neither the start nor
//! the making of the data.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods)]

mod common;

use std::time::Instant;

use common::{Bench, Figure, medians};
use waterwheel::ml::clustering::KMeans;
use waterwheel::ml::linear::LogisticRegression;
use waterwheel::ml::{Examples, Matrix};
use waterwheel::prelude::*;

const K: usize = 10;

/// Rounds of the short and the long training.
const ROUNDS: [u64; 2] = [2, 12];

/// Rows of a block.
const BLOCK: usize = 4_096;

#[derive(Clone, Copy)]
struct Shape {
    rows: usize,
    dim: usize,
}

impl Shape {
    /// Uniform numbers from 0 to 1, for block `block`.
    fn features(self, block: usize) -> Vec<f64> {
        let rows = (self.rows - block * BLOCK).min(BLOCK);
        let first = (block * BLOCK * self.dim) as u64;
        (0..(rows * self.dim) as u64).map(|i| generate::unit(7, first + i)).collect()
    }

    fn labels(self, block: usize) -> Vec<f64> {
        let rows = (self.rows - block * BLOCK).min(BLOCK);
        (0..rows)
            .map(|i| if generate::unit(8, (block * BLOCK + i) as u64) < 0.5 { 0.0 } else { 1.0 })
            .collect()
    }

    fn blocks(self) -> usize {
        self.rows.div_ceil(BLOCK)
    }

    fn start(self) -> Matrix {
        Matrix::new(self.dim, self.features(0)[..K * self.dim].to_vec()).unwrap()
    }

    /// Blocks in turn, so that every worker has as many.
    fn stream<'s, B: 'static>(
        self,
        env: &Env<'s>,
        block: impl Fn(usize) -> B + Clone + 'static,
    ) -> DataStream<'s, B> {
        let splits = env.workers();
        env.from_splits(splits, move |split| (split..self.blocks()).step_by(splits).map(block.clone()))
    }
}

/// Milliseconds a round: of `run`, which is told how many rounds, and tells how long they took.
fn per_round(mut run: impl FnMut(u64) -> f64) -> f64 {
    let [short, long] = ROUNDS;
    (run(long) - run(short)) / (long - short) as f64
}

fn timed(run: impl FnOnce()) -> f64 {
    let start = Instant::now();
    run();
    start.elapsed().as_secs_f64() * 1e3
}

fn kmeans(shape: Shape, workers: usize) -> f64 {
    per_round(|rounds| {
        timed(|| {
            let models = execute(RuntimeConfig::threads(workers), move |env| {
                let points = shape.stream(env, move |i| Matrix::new(shape.dim, shape.features(i)).unwrap());
                Ok(KMeans::new().initial_centroids(shape.start()).max_iter(rounds).fit(points)?.collect())
            });
            assert_eq!(models.unwrap()[0][0].weights().iter().sum::<f64>(), shape.rows as f64);
        })
    })
}

fn logistic(shape: Shape, workers: usize) -> f64 {
    per_round(|rounds| {
        timed(|| {
            let models = execute(RuntimeConfig::threads(workers), move |env| {
                let block = move |i| Examples::dense(shape.dim, shape.features(i), shape.labels(i)).unwrap();
                let trainer =
                    LogisticRegression::new().global_batch_size(usize::MAX).tol(0.0).max_iter(rounds);
                Ok(trainer.fit(shape.stream(env, block))?.collect())
            });
            assert_eq!(models.unwrap()[0][0].linear.steps(), rounds);
        })
    })
}

/// Sum of products in four lanes.
#[inline]
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0; 4];
    let (a4, b4) = (a.chunks_exact(4), b.chunks_exact(4));
    let rest: f64 = a4.remainder().iter().zip(b4.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a4.zip(b4) {
        (0..4).for_each(|i| lanes[i] += a[i] * b[i]);
    }
    lanes.iter().sum::<f64>() + rest
}

fn kmeans_by_hand(shape: Shape, points: &[f64]) -> f64 {
    let mut centroids = shape.start().values().to_vec();
    let rounds = ROUNDS[1];
    let took = timed(|| {
        for _ in 0..rounds {
            let halves: Vec<f64> = centroids.chunks_exact(shape.dim).map(|c| dot(c, c) / 2.0).collect();
            let (mut sums, mut counts) = (vec![0.0; centroids.len()], [0.0; K]);
            for point in points.chunks_exact(shape.dim) {
                let (mut nearest, mut least) = (0, f64::INFINITY);
                for (i, (centroid, half)) in centroids.chunks_exact(shape.dim).zip(&halves).enumerate() {
                    let score = half - dot(point, centroid);
                    if score < least {
                        (nearest, least) = (i, score);
                    }
                }
                counts[nearest] += 1.0;
                let sums = &mut sums[nearest * shape.dim..(nearest + 1) * shape.dim];
                sums.iter_mut().zip(point).for_each(|(sum, x)| *sum += x);
            }
            for (i, centroid) in centroids.iter_mut().enumerate() {
                *centroid = sums[i] / counts[i / shape.dim];
            }
        }
    });
    assert!(std::hint::black_box(&centroids).iter().all(|x| x.is_finite()));
    took / rounds as f64
}

fn logistic_by_hand(shape: Shape, features: &[f64], labels: &[f64]) -> f64 {
    let mut w = vec![0.0; shape.dim];
    let rounds = ROUNDS[1];
    let took = timed(|| {
        for _ in 0..rounds {
            let mut gradient = vec![0.0; shape.dim];
            for (x, label) in features.chunks_exact(shape.dim).zip(labels) {
                let slope = 1.0 / (1.0 + (-dot(x, &w)).exp()) - label;
                gradient.iter_mut().zip(x).for_each(|(sum, x)| *sum += slope * x);
            }
            w.iter_mut().zip(&gradient).for_each(|(w, g)| *w -= 0.1 / shape.rows as f64 * g);
        }
    });
    assert!(std::hint::black_box(&w).iter().all(|x| x.is_finite()));
    took / rounds as f64
}

fn main() {
    let bench = Bench::from_args("ml");
    let (shapes, rounds) = match bench.quick {
        true => ([Shape { rows: 100_000, dim: 10 }, Shape { rows: 10_000, dim: 100 }], 3),
        false => ([Shape { rows: 1_000_000, dim: 10 }, Shape { rows: 100_000, dim: 100 }], 5),
    };
    for shape in shapes {
        let features: Vec<f64> = (0..shape.blocks()).flat_map(|i| shape.features(i)).collect();
        let labels: Vec<f64> = (0..shape.blocks()).flat_map(|i| shape.labels(i)).collect();
        let [hand, one, two] = medians(
            rounds,
            [&mut || kmeans_by_hand(shape, &features), &mut || kmeans(shape, 1), &mut || kmeans(shape, 2)],
        );
        report(&bench, "k-means", shape, [hand, one, two]);
        let [hand, one, two] = medians(
            rounds,
            [&mut || logistic_by_hand(shape, &features, &labels), &mut || logistic(shape, 1), &mut || {
                logistic(shape, 2)
            }],
        );
        report(&bench, "logistic regression", shape, [hand, one, two]);
    }
}

fn report(bench: &Bench, name: &str, shape: Shape, [hand, one, two]: [f64; 3]) {
    let (case, unit) = (format!("{name} {}x{}", shape.rows, shape.dim), "ms/round");
    for (workers, ours, floor, floor_name) in
        [(1, one, hand, "by hand"), (2, two, hand, "by hand"), (2, two, one, "ours, 1 worker")]
    {
        bench.report(&Figure { case: &case, workers, processes: 1, ours, floor, floor_name, unit });
    }
}
