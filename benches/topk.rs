//! Exact top-100 of a million vectors of rank 32 by inner product, beside a vectorised scan of all of them.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods)]

mod common;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use common::{Bench, Figure};
use waterwheel::ml::generate::unit;
use waterwheel::ml::retrieval::{InnerProductIndex, Pruning};

const RANK: usize = 32;
const K: usize = 100;
const BATCH: usize = 64;

/// A nearly normal number: the sum of twelve uniform ones, less their mean.
fn normal(seed: u64, n: u64) -> f64 {
    (0..12).map(|i| unit(seed, 12 * n + i)).sum::<f64>() - 6.0
}

/// Vectors in random directions. Lengths are nearly the same, or log-normal with so much deviation.
fn vectors(n: usize, seed: u64, deviation: f64) -> Vec<[f32; RANK]> {
    let row = |id: u64| {
        let length = (deviation * normal(seed + 1, id)).exp();
        std::array::from_fn(|f| (length * normal(seed, id * RANK as u64 + f as u64)) as f32)
    };
    (0..n as u64).map(row).collect()
}

/// The product of two rows in eight lanes.
#[inline(always)]
fn product(a: &[f32; RANK], b: &[f32; RANK]) -> f32 {
    let mut lanes = [0.0f32; 8];
    for (a, b) in a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0) {
        for lane in 0..8 {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + e) + (b + f)) + ((c + g) + (d + h))
}

/// What one writes without an index: all scores, and a heap of the best. Scores are bits in the order of the numbers.
fn scan(rows: &[[f32; RANK]], query: &[f32; RANK]) -> Vec<u32> {
    let ordered = |score: f32| {
        let bits = score.to_bits();
        if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
    };
    let mut heap = BinaryHeap::with_capacity(K + 1);
    let mut least = f32::NEG_INFINITY;
    for (id, row) in rows.iter().enumerate() {
        let score = product(row, query);
        if score > least || heap.len() < K {
            heap.push(Reverse((ordered(score), score.to_bits(), id as u32)));
            if heap.len() > K {
                heap.pop();
            }
            least = heap.peek().map_or(least, |Reverse((_, bits, _))| f32::from_bits(*bits));
        }
    }
    heap.into_sorted_vec().into_iter().map(|Reverse((_, _, id))| id).collect()
}

/// Microseconds of each query.
fn times<R>(queries: &[[f32; RANK]], mut run: impl FnMut(&[f32; RANK]) -> R) -> Vec<f64> {
    let time = |query| {
        let start = Instant::now();
        std::hint::black_box(run(query));
        start.elapsed().as_nanos() as f64 / 1e3
    };
    let mut times: Vec<_> = queries.iter().map(time).collect();
    times.sort_by(f64::total_cmp);
    times
}

fn at(times: &[f64], percent: usize) -> f64 {
    times[(times.len() * percent / 100).min(times.len() - 1)]
}

fn report(bench: &Bench, case: &str, ours: f64, floor: f64, unit: &str) {
    bench.report(&Figure { case, workers: 1, processes: 1, ours, floor, floor_name: "scan of all", unit });
}

fn measure(bench: &Bench, name: &str, rows: &[[f32; RANK]], queries: &[[f32; RANK]]) {
    let start = Instant::now();
    let mut index = InnerProductIndex::new(RANK).unwrap();
    for (id, row) in rows.iter().enumerate() {
        index.insert(id as u64, row).unwrap();
    }
    let per_insert = start.elapsed().as_nanos() as f64 / rows.len() as f64;
    let floor = common::ns_per(rows.len(), || rows.to_vec());
    let (processes, workers, unit) = (1, 1, "ns/insert");
    let case = &format!("{name} insert");
    bench.report(&Figure { case, workers, processes, ours: per_insert, floor, floor_name: "copy", unit });

    let scanned = times(queries, |query| scan(rows, query));
    for text in ["length", "coord", "incr:8", "incr:16", "lc:1.5", "li:16:1.5"] {
        let pruning: Pruning = text.parse().unwrap();
        let mut scored = 0;
        let ours = times(queries, |query| {
            let found = index.top_k(query, K, pruning, |_| false).unwrap();
            scored += found.scored;
            found
        });
        let flat = queries.as_flattened();
        let batches = common::ns_per(1_000 * queries.len(), || {
            let batch = |queries| index.top_k_batch(queries, K, pruning, |_, _| false).unwrap();
            flat.chunks(RANK * BATCH).map(batch).collect::<Vec<_>>()
        });
        report(bench, &format!("{name} {text} p50"), at(&ours, 50), at(&scanned, 50), "us/query");
        report(bench, &format!("{name} {text} p99"), at(&ours, 99), at(&scanned, 99), "us/query");
        report(bench, &format!("{name} {text} batches"), batches, at(&scanned, 50), "us/query");
        let share = 100.0 * scored as f64 / (queries.len() * rows.len()) as f64;
        report(bench, &format!("{name} {text} scored"), share, 100.0, "% of all");
    }
}

fn main() {
    let bench = Bench::from_args("topk");
    let (n, n_queries) = if bench.quick { (100_000, 64) } else { (1_000_000, 256) };
    let queries = vectors(n_queries, 1_000, 0.0);
    for (name, deviation) in [("like lengths", 0.0), ("log-normal", 0.5)] {
        measure(&bench, name, &vectors(n, 1, deviation), &queries);
    }
}
