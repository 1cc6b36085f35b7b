//! The loops that one would write for one thread.

use std::collections::hash_map::Entry;
use std::hash::Hash;

use rustc_hash::FxHashMap;

use crate::work::{Case, Run, Work, digest_of, step, words};
use waterwheel::prelude::Key;

pub fn run(work: &Work) -> Run {
    work.time(|| match work.case {
        Case::Words => digest(count(work.lines(0, 1).flat_map(words))),
        Case::Keys => digest(count(work.numbers(0, 1))),
        Case::Maps => work.numbers(0, 1).map(|x| (0..10).fold(x, |x, _| step(x))).fold(0, u64::wrapping_add),
    })
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
