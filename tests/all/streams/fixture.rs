//! Random records, the same in every process.

use waterwheel::prelude::generate::sm;
use waterwheel::prelude::*;

/// A key and a value.
pub(super) type Pair = (u64, i64);

/// Random pairs with keys below `keys`; every third is of key 0, and values repeat.
pub(super) fn pairs(seed: u64, n: u64, keys: u64) -> Vec<Pair> {
    let pair = |i| {
        let (key, value) = (sm(seed, 2 * i), sm(seed, 2 * i + 1));
        (if key % 3 == 0 { 0 } else { key % keys }, (value % 201) as i64 - 100)
    };
    (0..n).map(pair).collect()
}

pub(super) fn sorted<X: Ord>(mut items: Vec<X>) -> Vec<X> {
    items.sort();
    items
}

/// A stream of `records` that come after the end of `stream`: the first partitions end on each worker when it
/// hears of it, and the second ones after all of the first.
pub(super) fn after_end<'s, D: Record, X: Record>(
    stream: DataStream<'s, D>,
    mut records: Vec<X>,
) -> DataStream<'s, X> {
    let is_first = stream.worker_index() == 0;
    let ended = stream.map_partition(|_| [()]).rebalance();
    ended.map_partition(move |_| if is_first { std::mem::take(&mut records) } else { Vec::new() })
}
