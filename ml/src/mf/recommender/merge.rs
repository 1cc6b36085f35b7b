//! Recommendations from what each worker has found among its items.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use waterwheel_engine::{Collector, DataStream, Error, ProcessFunction, Result, StateWriter};

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
    let by_number = parts.partition_custom(|part, workers| (part.number % workers as u64) as usize);
    by_number.process_function(Merge { workers, top, open: FxHashMap::default() })
}

struct Merge {
    workers: usize,
    top: usize,
    /// By number: from how many workers parts are missing, and the best of the others.
    open: FxHashMap<u64, (usize, TopK)>,
}

impl ProcessFunction<Part> for Merge {
    type Out = Recommendation;
    const WAITS_FOR_END: bool = false;

    fn process(&mut self, part: Part, out: &mut Collector<Recommendation>) -> Result<()> {
        let Part { number, interaction, best } = part;
        let (missing, merged) =
            self.open.entry(number).or_insert_with(|| (self.workers, TopK::new(self.top)));
        best.into_iter().for_each(|scored| merged.offer(scored));
        *missing -= 1;
        if *missing == 0
            && let Some((_, merged)) = self.open.remove(&number)
        {
            out.emit(Recommendation { number, interaction, best: merged.into_best() });
        }
        Ok(())
    }

    /// All workers have found theirs for the interactions of an epoch when it ends.
    fn snapshot(&self, _state: &mut StateWriter) -> Result<()> {
        match self.open.len() {
            0 => Ok(()),
            n => Err(Error::internal(format!(
                "{n} recommendations are not whole at the end of a checkpoint epoch"
            ))),
        }
    }
}
