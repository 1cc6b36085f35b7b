//! Inserts into a count-min sketch, and into the others, beside one increment of an array at the place that the same hash
//! says.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods)]

mod common;

use common::{Bench, Figure, medians, ns_per};
use waterwheel::ml::generate::Words;
use waterwheel::ml::sketch::{
    Bloom, BloomShape, CountMin, CountMinShape, HyperLogLog, MinHash, Sketch, TugOfWar,
};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Nanoseconds to add each item to an empty sketch.
fn add_all<S: Sketch + Clone>(empty: &S, items: &[[u8; 8]]) -> f64 {
    let mut sketch = empty.clone();
    ns_per(items.len(), || items.iter().for_each(|item| sketch.add(item)))
}

/// What any table of counts by hash costs: one hash and one increment.
fn array(counters: usize, items: &[[u8; 8]]) -> f64 {
    let mut counts = vec![0u64; counters];
    ns_per(items.len(), || {
        for item in items {
            let hash = xxh3_64_with_seed(item, 1);
            counts[((u128::from(hash) * counters as u128) >> 64) as usize] += 1;
        }
        counts[0]
    })
}

fn report(bench: &Bench, case: &str, counters: usize, items: &[[u8; 8]], ours: &mut dyn FnMut() -> f64) {
    let runs = if bench.quick { 3 } else { 7 };
    let [ours, floor] = medians(runs, [ours, &mut || array(counters, items)]);
    let (floor_name, unit) = ("array increment", "ns/insert");
    bench.report(&Figure { case, workers: 1, processes: 1, ours, floor, floor_name, unit });
}

fn main() {
    let bench = Bench::from_args("sketch");
    let n = if bench.quick { 1_000_000 } else { 10_000_000 };
    // Words as a text has them: a few often, most seldom.
    let words = Words::new(n, 1_000_000).unwrap();
    let items: Vec<[u8; 8]> = (0..n).map(|idx| u64::from(words.id(idx)).to_le_bytes()).collect();
    for (width, depth) in [(1 << 12, 4), (1 << 16, 4), (1 << 20, 4), (1 << 20, 8)] {
        let sketch = CountMin::new(CountMinShape { width, depth }, 1).unwrap();
        let case = format!("count-min {width} x {depth}");
        report(&bench, &case, width * depth, &items, &mut || add_all(&sketch, &items));
    }
    let bloom = Bloom::new(BloomShape { bits: 1 << 24, hashes: 7 }, 1).unwrap();
    report(&bench, "bloom 2 MiB, 7 hashes", 1 << 18, &items, &mut || add_all(&bloom, &items));
    let hll = HyperLogLog::new(14, 1).unwrap();
    report(&bench, "hyperloglog 14", 1 << 14, &items, &mut || add_all(&hll, &items));
    let few = &items[..items.len() / 20];
    let min_hash = MinHash::new(128, 1).unwrap();
    report(&bench, "minhash 128", 128, few, &mut || add_all(&min_hash, few));
    let tug_of_war = TugOfWar::new(128, 1).unwrap();
    report(&bench, "tug-of-war 128", 128, few, &mut || add_all(&tug_of_war, few));
}
