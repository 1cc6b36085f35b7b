//! Data that are read again in every round: from memory and from disk, by a cache alone and in a loop, beside cloning
//! batches that lie in a list.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods)]

#[path = "common/mod.rs"]
mod common;

use std::path::Path;

use common::{Bench, Figure, medians, ns_per};
use waterwheel::prelude::*;

/// Records of a batch, as sources make them of numbers.
const BATCH: usize = 1024;

fn main() {
    let bench = Bench::from_args("cache");
    let (numbers, strings) = if bench.quick { (2_000_000, 200_000) } else { (10_000_000, 1_000_000) };
    let directory = std::env::temp_dir().join(format!("waterwheel-bench-cache-{}", std::process::id()));
    measure(&bench, &directory, "u64", numbers, |i| i as u64, |number| *number);
    measure(&bench, &directory, "strings", strings, |i| format!("user {i:08}"), |text| text.len() as u64);
    std::fs::remove_dir_all(&directory).unwrap();
}

/// One kind of records: what the cache and the loop take for one of them and one round, from memory and from disk.
fn measure<D: Record + Sync>(
    bench: &Bench,
    directory: &Path,
    what: &str,
    n: usize,
    make: fn(usize) -> D,
    value: fn(&D) -> u64,
) {
    let (rounds, repeats) = if bench.quick { (3, 3) } else { (5, 5) };
    let records: Vec<D> = (0..n).map(make).collect();
    let batches: Vec<Vec<D>> = records.chunks(BATCH).map(<[D]>::to_vec).collect();
    drop(records);
    let mut caches = [u64::MAX, 0].map(|memory| {
        let mut cache = DataCache::new(&CacheShare::alone(memory, directory));
        batches.iter().for_each(|batch| cache.append(batch.clone()).unwrap());
        cache
    });
    let [in_memory, on_disk] = &mut caches;
    let expected = batches.iter().flatten().map(value).fold(0, u64::wrapping_add);
    let pass = |batches: &mut dyn Iterator<Item = Vec<D>>| {
        let sum = batches.map(|batch| batch.iter().map(value).fold(0, u64::wrapping_add));
        assert_eq!(sum.fold(0, u64::wrapping_add), expected);
    };
    let looped = |memory| {
        let time = |rounds| ns_per(n, || replay(memory, directory, n, rounds, (make, value)));
        let (first, all) = (time(1), time(1 + rounds));
        (all - first) / rounds as f64
    };
    let [floor, cache_memory, cache_disk, loop_memory, loop_disk] = medians(
        repeats,
        [
            &mut || ns_per(n, || pass(&mut batches.iter().cloned())),
            &mut || ns_per(n, || pass(&mut in_memory.reader().unwrap().map(Result::unwrap))),
            &mut || ns_per(n, || pass(&mut on_disk.reader().unwrap().map(Result::unwrap))),
            &mut || looped(u64::MAX),
            &mut || looped(0),
        ],
    );
    let cases = [
        ("cache, memory", cache_memory),
        ("cache, disk", cache_disk),
        ("replay, memory", loop_memory),
        ("replay, disk", loop_disk),
    ];
    for (case, ours) in cases {
        let case = format!("{what}: {case}");
        let (workers, processes, floor_name, unit) = (1, 1, "clone of a list", "ns/record");
        bench.report(&Figure { case: &case, workers, processes, ours, floor, floor_name, unit });
    }
}

/// Replays so many records in a loop, and adds up something of each.
fn replay<D: Record>(
    memory: u64,
    directory: &Path,
    n: usize,
    rounds: u64,
    (make, value): (fn(usize) -> D, fn(&D) -> u64),
) {
    let config = RuntimeConfig::threads(1).cache_memory_bytes(memory).cache_dir(directory);
    let done = execute(config, move |env| {
        let (x, data) = (env.from_iter([0u64]), env.from_iter((0..n).map(make)));
        let config = IterationConfig::new().max_rounds(rounds);
        Iterations::iterate_bounded((x,), (data.replay(),), config, |_it, (x,), (data,)| {
            let mut sum = Sum(0);
            data.inspect(move |record| sum.0 = sum.0.wrapping_add(value(record)));
            IterationBodyResult::new((x,), ())
        });
        Ok(())
    });
    done.unwrap();
}

/// A sum that somebody wants to know.
struct Sum(u64);

impl Drop for Sum {
    fn drop(&mut self) {
        std::hint::black_box(self.0);
    }
}
