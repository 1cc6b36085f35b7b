//! Which keys are pulled most, from a sample of the pulls.
//!
//! Frequent keys by Misra and Gries (*Finding repeated elements*, 1982): as many counters as are kept, of which each is
//! too low by no more than the sample over their number. Counts are halved at every review, so that old ones fade.

use rustc_hash::FxHashMap;
use waterwheel_engine::Key;

use crate::block::Run;
use crate::core::replicas::RENEWED;

/// One pull in so many is counted: fewer than the operations of most blocks, so that a count costs little.
const STRIDE: usize = 8;
/// Counted pulls between two reviews.
const REVIEW: u32 = 512;
/// A key is hot if it was counted so often, halved counts of before included: about one pull in 128.
const LEAST: u32 = 4;
/// Counters at least: with so many, one is too low by less than one in a review.
const COUNTERS: usize = 2 * REVIEW as usize;

/// Counts pulls, and says now and then which keys are hot.
pub(crate) struct HotKeys<K> {
    rows: usize,
    counts: FxHashMap<K, u32>,
    /// Pulls to let pass before the next is counted.
    skip: usize,
    counted: u32,
    /// The hot keys of the last review, the hottest first.
    hot: Vec<(K, u32)>,
    /// Reviews that have changed which keys are hot.
    version: u64,
    /// The last of these that each worker was told of.
    told: Vec<u64>,
}

impl<K: Key> HotKeys<K> {
    /// Finds up to `rows` hot keys, for as many workers.
    pub(crate) fn new(rows: usize, workers: usize) -> Self {
        let (counts, hot, told) = (FxHashMap::default(), Vec::new(), vec![0; workers]);
        HotKeys { rows, counts, skip: 0, counted: 0, hot, version: 0, told }
    }

    /// Counts the pulls of a request. Returns whether the hot keys were reviewed.
    pub(crate) fn count(&mut self, runs: &[Run], keys: &[K]) -> bool {
        let mut start = 0;
        let before = self.counted;
        for run in runs {
            let end = start + run.n as usize;
            if run.group == RENEWED {
                // Each stands for many pulls that a copy has answered: a copy in use stays hot.
                keys[start..end].iter().for_each(|key| self.add(key, LEAST));
            } else if run.op.pulls() {
                self.count_some(&keys[start..end]);
            }
            start = end;
        }
        let is_due = self.counted >= REVIEW && self.counted > before;
        if is_due {
            self.review();
        }
        is_due
    }

    fn count_some(&mut self, keys: &[K]) {
        while let Some(key) = keys.get(self.skip) {
            self.add(key, 1);
            self.counted += 1;
            self.skip += STRIDE;
        }
        self.skip -= keys.len();
    }

    fn add(&mut self, key: &K, n: u32) {
        if let Some(count) = self.counts.get_mut(key) {
            *count += n;
        } else if self.counts.len() < COUNTERS.max(2 * self.rows) {
            self.counts.insert(key.clone(), n);
        } else {
            // What it takes from all counters was added to them one by one.
            self.counts.retain(|_, count| {
                *count = count.saturating_sub(n);
                *count > 0
            });
        }
    }

    fn review(&mut self) {
        let mut hot: Vec<_> = self.counts.iter().filter(|(_, n)| **n >= LEAST).collect();
        hot.sort_unstable_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
        hot.truncate(self.rows);
        let hot: Vec<_> = hot.into_iter().map(|(key, n)| (key.clone(), *n)).collect();
        let is_new = hot.len() != self.hot.len() || hot.iter().any(|(key, _)| !self.is_hot(key));
        self.version += u64::from(is_new);
        self.hot = hot;
        self.counts.retain(|_, count| {
            *count /= 2;
            *count > 0
        });
        self.counted = 0;
    }

    fn is_hot(&self, key: &K) -> bool {
        self.hot.iter().any(|(hot, _)| hot == key)
    }

    /// The hot keys, the hottest first, and how often each was counted.
    pub(crate) fn hottest(&self) -> &[(K, u32)] {
        &self.hot
    }

    /// The hot keys, if `worker` was not told of them.
    pub(crate) fn news(&mut self, worker: usize) -> Option<Vec<K>> {
        if self.told[worker] == self.version {
            return None;
        }
        self.told[worker] = self.version;
        Some(self.hot.iter().map(|(key, _)| key.clone()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::Op;

    fn pulls(n: usize, group: u32) -> [Run; 1] {
        [Run { op: Op::Pull, n: n as u32, group }]
    }

    /// Three keys in four pulls, in turn, and others that come once.
    fn skewed(from: u64, n: u64) -> Vec<u64> {
        (from..from + n).map(|i| if i % 13 < 9 { i % 3 } else { 1_000 + i }).collect()
    }

    #[test]
    fn keys_that_many_pulls_ask_for_are_hot_and_told_once() {
        let mut hot = HotKeys::new(4, 2);
        assert_eq!(hot.news(0), None);
        for block in 0..50 {
            let keys = skewed(block * 100, 100);
            hot.count(&pulls(100, 0), &keys);
        }
        let mut found: Vec<_> = hot.news(0).unwrap();
        found.sort_unstable();
        assert_eq!(found, [0, 1, 2]);
        assert_eq!((hot.news(0), hot.news(1).map(|keys| keys.len())), (None, Some(3)));
    }

    #[test]
    fn pushes_are_not_counted_and_uniform_pulls_make_no_key_hot() {
        let mut hot = HotKeys::new(16, 1);
        let pushes = [Run { op: Op::Push, n: 100, group: 0 }];
        for i in 0..500u64 {
            hot.count(&pushes, &[7; 100]);
            let keys: Vec<_> = (0..100).map(|j| (i * 100 + j) * 7 % 9_973).collect();
            hot.count(&pulls(100, 0), &keys);
        }
        assert_eq!(hot.hottest(), []);
    }

    #[test]
    fn key_stays_hot_while_its_copies_are_renewed_and_cools_down_after() {
        let mut hot = HotKeys::new(4, 1);
        let mut from = 1_000_000;
        let mut cold = |hot: &mut HotKeys<u64>, n| {
            let keys: Vec<_> = (from..from + n).collect();
            from += n;
            hot.count(&pulls(n as usize, 0), &keys);
        };
        hot.count(&pulls(4_096, 0), &[5; 4_096]);
        assert_eq!(hot.news(0), Some(vec![5]));
        for _ in 0..40 {
            hot.count(&pulls(1, RENEWED), &[5]);
            cold(&mut hot, 4_096);
        }
        assert_eq!((hot.hottest().len(), hot.news(0)), (1, None));
        (0..40).for_each(|_| cold(&mut hot, 4_096));
        assert_eq!(hot.news(0), Some(vec![]));
    }
}
