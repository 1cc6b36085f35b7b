//! Online learning on sparse rows, 30 features of 99,990 each: nanoseconds of a core per example, beside a hand-written
//! loop of one thread over the same rows with the same updates.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods)]

mod common;

use std::sync::Arc;

use common::{Bench, Figure, medians, ns_per};
use waterwheel::ml::sparse::{
    PaUpdate, PassiveAggressive, SparseExample, SparseLogisticRegression, SparseTraining, SparseVector,
};
use waterwheel::prelude::*;
use waterwheel::ps::optimizer::Sgd;

const RATE: f64 = 0.1;
const C: f64 = 0.1;
/// Weights that a worker may wait for: more than by default, so that two workers are not held up by each other's threads.
const CREDIT: usize = 8_192;
const FIELDS: usize = generate::Sparse::DEFAULT_FIELDS as usize;

/// Rows as a loop would have them: the features of all, one row after the other, and the labels.
struct Rows {
    features: Vec<u32>,
    labels: Vec<bool>,
    dim: u32,
}

impl Rows {
    fn generate(n: u64) -> Self {
        let sparse = generate::Sparse::new(n);
        let mut rows = Rows { features: Vec::new(), labels: Vec::new(), dim: sparse.dim() };
        for row in sparse.iter() {
            rows.features.extend(row.features);
            rows.labels.push(row.label);
        }
        rows
    }

    fn example(&self, row: usize) -> SparseExample<bool> {
        let features = self.features[row * FIELDS..(row + 1) * FIELDS].to_vec();
        let features = SparseVector::ones(features).unwrap();
        SparseExample { id: row as u64, features, label: Some(self.labels[row]) }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Learner {
    Logistic,
    Pa,
}

/// Nanoseconds of a core per example, and how many predictions were right.
fn ours(rows: &Arc<Rows>, learner: Learner, workers: usize) -> (f64, u64) {
    let (n, shared) = (rows.labels.len(), Arc::clone(rows));
    let mut correct = 0;
    let time = ns_per(n, || {
        let counts = execute(RuntimeConfig::threads(workers), move |env| {
            let (rows, splits) = (Arc::clone(&shared), env.workers());
            let examples = env.from_splits(splits, move |split| {
                let (range, rows) = (generate::split_range(n as u64, split, splits), Arc::clone(&rows));
                range.map(move |row| rows.example(row as usize))
            });
            let training = SparseTraining::new().features(shared.dim).credit(CREDIT);
            let fit = match learner {
                Learner::Logistic => SparseLogisticRegression.fit(Sgd::new(RATE)?, examples, &training),
                Learner::Pa => PassiveAggressive::new(PaUpdate::Pa1 { c: C })?.fit(examples, &training),
            }?;
            let right = fit.predictions.map(|new| u64::from(new.label == Some(new.predicted)));
            Ok(right.reduce(|a, b| a + b).collect())
        });
        correct = counts.unwrap().concat().into_iter().sum();
    });
    (time * workers as f64, correct)
}

/// The same by hand.
fn by_hand(rows: &Rows, learner: Learner) -> (f64, u64) {
    let mut correct = 0;
    let time = ns_per(rows.labels.len(), || {
        let mut weights = vec![0.0f64; rows.dim as usize];
        for (features, label) in rows.features.chunks_exact(FIELDS).zip(&rows.labels) {
            let score: f64 = features.iter().map(|feature| weights[*feature as usize]).sum();
            correct += u64::from((score > 0.0) == *label);
            let y = if *label { 1.0 } else { -1.0 };
            let step = match learner {
                Learner::Logistic => RATE * y / (1.0 + (y * score).exp()),
                Learner::Pa => y * C.min((1.0 - y * score).max(0.0) / FIELDS as f64),
            };
            if step != 0.0 {
                features.iter().for_each(|feature| weights[*feature as usize] += step);
            }
        }
        weights
    });
    (time, correct)
}

fn main() {
    let bench = Bench::from_args("online");
    let (n, runs) = if bench.quick { (100_000, 3) } else { (1_000_000, 5) };
    let rows = Arc::new(Rows::generate(n));
    for (name, learner) in [("logistic", Learner::Logistic), ("pa1", Learner::Pa)] {
        for workers in [1, 2] {
            let (mut right, mut right_by_hand) = (0, 0);
            let [ours, floor] = medians(
                runs,
                [
                    &mut || {
                        let (time, correct) = ours(&rows, learner, workers);
                        right = correct;
                        time
                    },
                    &mut || {
                        let (time, correct) = by_hand(&rows, learner);
                        right_by_hand = correct;
                        time
                    },
                ],
            );
            let (floor_name, unit) = ("loop by hand", "ns/example");
            bench.report(&Figure { case: name, workers, processes: 1, ours, floor, floor_name, unit });
            let (ours, floor, unit) =
                (right as f64 * 100.0 / n as f64, right_by_hand as f64 * 100.0 / n as f64, "%");
            let case = &format!("{name} correct");
            bench.report(&Figure { case, workers, processes: 1, ours, floor, floor_name, unit });
        }
    }
}
