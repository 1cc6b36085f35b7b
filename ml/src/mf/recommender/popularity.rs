//! The baseline: what most have used.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use rustc_hash::FxHashMap;
use waterwheel_engine::{Collector, DataStream};

use super::memory::UserMemory;
use super::{Interaction, Recommendation};
use crate::mf::Scored;

/// Recommends to everybody the items that were used most often so far, of equal ones the lowest, but for those that the
/// user is remembered to have used: what a [`Recommender`](super::Recommender) must beat. On one worker, in order of
/// arrival there. Scores are counts.
///
/// # Examples
/// ```
/// use waterwheel_engine::{RuntimeConfig, execute};
/// use waterwheel_ml::mf::{Interaction, recommend_popular};
///
/// let found = execute(RuntimeConfig::threads(1), |env| {
///     let used = [(1, 7), (2, 7), (2, 8), (3, 8)].map(|(user, item)| Interaction { user, item, time: 0 });
///     Ok(recommend_popular(env.from_iter(used), 1, 100).collect())
/// })?;
/// let best: Vec<_> = found[0].iter().map(|found| found.best.first().map(|scored| scored.item)).collect();
/// assert_eq!(best, [None, Some(7), None, Some(7)]);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[track_caller]
pub fn recommend_popular(
    interactions: DataStream<'_, Interaction>,
    top: usize,
    user_memory: usize,
) -> DataStream<'_, Recommendation> {
    let mut number = 0;
    let mut memory = UserMemory::new(user_memory.max(1));
    let mut counts: FxHashMap<u64, u64> = FxHashMap::default();
    let mut by_count: BTreeSet<(Reverse<u64>, u64)> = BTreeSet::new();
    let recommend = move |interaction: Interaction, out: &mut Collector<Recommendation>| {
        let Interaction { user, item, .. } = interaction;
        let used = memory.of(user);
        let unused = by_count.iter().filter(|(_, item)| !used.has(*item)).take(top);
        let best =
            unused.map(|(Reverse(count), item)| Scored { item: *item, score: *count as f32 }).collect();
        out.emit(Recommendation { number, interaction, best });
        number += 1;
        memory.add(user, item);
        let count = counts.entry(item).or_default();
        by_count.remove(&(Reverse(*count), item));
        *count += 1;
        by_count.insert((Reverse(*count), item));
    };
    interactions.global().process(recommend)
}
