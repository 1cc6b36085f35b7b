//! Recommendations from what each worker has found among its items.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use waterwheel_engine::{Collector, DataStream};

use super::{Interaction, Recommendation};
use crate::mf::Scored;
use crate::retrieval::TopK;

/// The best items of one worker at an interaction.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) number: u64,
    pub(super) interaction: Interaction,
    pub(super) best: Vec<Scored>,
}

/// Puts the parts of all workers together.
pub(super) fn merge(
    parts: DataStream<'_, Part>,
    workers: usize,
    top: usize,
) -> DataStream<'_, Recommendation> {
    let mut open: FxHashMap<u64, (usize, TopK)> = FxHashMap::default();
    let by_number = parts.partition_custom(|part, workers| (part.number % workers as u64) as usize);
    by_number.process(move |part: Part, out: &mut Collector<Recommendation>| {
        let Part { number, interaction, best } = part;
        let (missing, merged) = open.entry(number).or_insert_with(|| (workers, TopK::new(top)));
        best.into_iter().for_each(|scored| merged.offer(scored));
        *missing -= 1;
        if *missing == 0
            && let Some((_, merged)) = open.remove(&number)
        {
            out.emit(Recommendation { number, interaction, best: merged.into_best() });
        }
    })
}
