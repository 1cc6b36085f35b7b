//! Answers from what each server has found.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use waterwheel_engine::{Collector, DataStream, Error, ProcessFunction, Result, StateWriter};

use super::server::keep_best;
use super::{SimilarWord, SimilarWords};

/// The best words of one server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) number: (u32, u64),
    pub(super) id: u64,
    pub(super) word: String,
    pub(super) best: Vec<(Option<i64>, Vec<SimilarWord>)>,
}

/// An answer of which parts are missing.
#[derive(Default)]
struct Open {
    parts: usize,
    best: BTreeMap<Option<i64>, Vec<SimilarWord>>,
}

/// Puts the parts of all servers together.
pub(super) fn merge(parts: DataStream<'_, Part>, servers: usize, top: usize) -> DataStream<'_, SimilarWords> {
    let by_number = parts.partition_custom(|part, workers| (part.number.1 % workers as u64) as usize);
    by_number.process_function(Merge { servers, top, open: FxHashMap::default() })
}

struct Merge {
    servers: usize,
    top: usize,
    open: FxHashMap<(u32, u64), Open>,
}

impl ProcessFunction<Part> for Merge {
    type Out = SimilarWords;
    const WAITS_FOR_END: bool = false;

    fn process(&mut self, part: Part, out: &mut Collector<SimilarWords>) -> Result<()> {
        let Part { number, id, word, best } = part;
        let answer = self.open.entry(number).or_default();
        answer.parts += 1;
        best.into_iter().for_each(|(slot, words)| answer.best.entry(slot).or_default().extend(words));
        if answer.parts == self.servers
            && let Some(mut answer) = self.open.remove(&number)
        {
            answer.best.values_mut().for_each(|words| keep_best(words, self.top));
            out.emit(SimilarWords { id, word, best: answer.best.into_iter().collect() });
        }
        Ok(())
    }

    /// All servers have compared for the queries of an epoch when it ends.
    fn snapshot(&self, _state: &mut StateWriter) -> Result<()> {
        match self.open.len() {
            0 => Ok(()),
            n => Err(Error::internal(format!("{n} answers are not whole at the end of a checkpoint epoch"))),
        }
    }
}
