//! Delta iteration and the graph algorithms on it: answers follow insertions and deletions.

mod batches;
mod delta;
mod history;
mod naive;
mod panics;
mod reference;
mod updates;

use std::collections::BTreeMap;

use waterwheel::prelude::*;

/// What the changes up to each of `n` batches sum up to. Every record must occur once or not at all, and no batch
/// may change a record twice or by nothing.
pub(crate) fn as_of_each<D: Ord + Clone + std::fmt::Debug>(
    changes: &[Change<D>],
    n: usize,
    context: &str,
) -> Vec<Vec<D>> {
    let mut by_batch: Vec<BTreeMap<D, i64>> = vec![BTreeMap::new(); n];
    for Change { batch, record, diff } in changes {
        assert_ne!(*diff, 0, "{context}: {record:?} in batch {batch}");
        let before = by_batch[*batch as usize].insert(record.clone(), *diff);
        assert_eq!(before, None, "{context}: {record:?} is changed twice in batch {batch}");
    }
    let mut now: BTreeMap<D, i64> = BTreeMap::new();
    let sums = by_batch.into_iter().enumerate().map(|(batch, changes)| {
        for (record, diff) in changes {
            *now.entry(record).or_default() += diff;
        }
        now.retain(|_, n| *n != 0);
        assert!(now.values().all(|n| *n == 1), "{context}: batch {batch}: {now:?}");
        now.keys().cloned().collect()
    });
    sums.collect()
}

/// All changes that the workers gathered.
pub(crate) fn all<D>(values: Vec<Vec<D>>) -> Vec<D> {
    values.into_iter().flatten().collect()
}
