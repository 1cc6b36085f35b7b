//! The baseline: what most have used.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use rustc_hash::FxHashMap;
use waterwheel_engine::{Collector, DataStream, ProcessFunction, Result, StateReader, StateWriter};

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
    let memory = UserMemory::new(user_memory.max(1));
    interactions.global().process_function(Popular {
        top,
        memory,
        number: 0,
        counts: FxHashMap::default(),
        by_count: BTreeSet::new(),
    })
}

/// What has been used how often; on one worker.
struct Popular {
    top: usize,
    memory: UserMemory,
    number: u64,
    counts: FxHashMap<u64, u64>,
    by_count: BTreeSet<(Reverse<u64>, u64)>,
}

impl Popular {
    fn count(&mut self, item: u64, more: u64) {
        let count = self.counts.entry(item).or_default();
        self.by_count.remove(&(Reverse(*count), item));
        *count += more;
        self.by_count.insert((Reverse(*count), item));
    }
}

impl ProcessFunction<Interaction> for Popular {
    type Out = Recommendation;
    const WAITS_FOR_END: bool = false;

    fn process(&mut self, interaction: Interaction, out: &mut Collector<Recommendation>) -> Result<()> {
        let Interaction { user, item, .. } = interaction;
        let used = self.memory.of(user);
        let unused = self.by_count.iter().filter(|(_, item)| !used.has(*item)).take(self.top);
        let best =
            unused.map(|(Reverse(count), item)| Scored { item: *item, score: *count as f32 }).collect();
        out.emit(Recommendation { number: self.number, interaction, best });
        self.number += 1;
        self.memory.add(user, item);
        self.count(item, 1);
        Ok(())
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<()> {
        let counts: Vec<(u64, u64)> = self.by_count.iter().map(|(Reverse(n), item)| (*item, *n)).collect();
        let used: Vec<(u64, Vec<u64>)> = self.memory.iter().collect();
        state.put(&(self.number, counts, used))
    }

    /// The workers beside the one have counted nothing.
    fn restore(&mut self, state: &mut StateReader) -> Result<()> {
        while let Some((number, counts, used)) =
            state.next_item::<(u64, Vec<(u64, u64)>, Vec<(u64, Vec<u64>)>)>()?
        {
            self.number += number;
            counts.into_iter().for_each(|(item, n)| self.count(item, n));
            for (user, items) in used {
                items.into_iter().for_each(|item| self.memory.add(user, item));
            }
        }
        Ok(())
    }
}
