//! The loops that one would write for one thread.

use std::collections::hash_map::Entry;
use std::hash::Hash;

use rustc_hash::FxHashMap;

use crate::work::{Case, Run, Work, digest_of, step, window_digest, window_end, words};
use waterwheel::prelude::Key;

pub fn run(work: &Work) -> Run {
    work.time(|| match work.case {
        Case::Words => digest(count(work.lines(0, 1).flat_map(words))),
        Case::Keys => digest(count(work.numbers(0, 1))),
        Case::Windows => windows(work.timed(0, 1)),
        Case::Maps => work.numbers(0, 1).map(|x| (0..10).fold(x, |x, _| step(x))).fold(0, u64::wrapping_add),
    })
}

/// One window after the other: times are in order.
fn windows(records: impl Iterator<Item = (u64, u64)>) -> u64 {
    let (mut total, mut now, mut counts) = (0u64, 0, FxHashMap::default());
    for (key, time_ms) in records {
        let end = window_end(time_ms);
        if end != now {
            total = total.wrapping_add(pane_digests(now, &counts).fold(0, u64::wrapping_add));
            counts.clear();
            now = end;
        }
        add(&mut counts, key);
    }
    total.wrapping_add(pane_digests(now, &counts).fold(0, u64::wrapping_add))
}

/// The digests of the counts of a window.
pub fn pane_digests(end_ms: u64, counts: &FxHashMap<u64, u64>) -> impl Iterator<Item = u64> {
    counts.iter().map(move |(key, count)| window_digest(*key, end_ms, *count))
}

fn count<K: Hash + Eq>(keys: impl Iterator<Item = K>) -> FxHashMap<K, u64> {
    let mut counts = FxHashMap::default();
    keys.for_each(|key| add(&mut counts, key));
    counts
}

/// Counts one key; also what raw timely's operator does.
#[inline]
pub fn add<K: Hash + Eq>(counts: &mut FxHashMap<K, u64>, key: K) {
    match counts.entry(key) {
        Entry::Occupied(mut count) => *count.get_mut() += 1,
        Entry::Vacant(count) => {
            count.insert(1);
        }
    }
}

pub fn digest<K: Key>(counts: FxHashMap<K, u64>) -> u64 {
    counts.iter().map(|(key, count)| digest_of(key, *count)).fold(0, u64::wrapping_add)
}
