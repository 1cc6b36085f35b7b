//! Answers from what each server has found.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use waterwheel_engine::{Collector, DataStream};

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
    let mut open: FxHashMap<(u32, u64), Open> = FxHashMap::default();
    let by_number = parts.partition_custom(|part, workers| (part.number.1 % workers as u64) as usize);
    by_number.process(move |part: Part, out: &mut Collector<SimilarWords>| {
        let Part { number, id, word, best } = part;
        let answer = open.entry(number).or_default();
        answer.parts += 1;
        best.into_iter().for_each(|(slot, words)| answer.best.entry(slot).or_default().extend(words));
        if answer.parts == servers
            && let Some(mut answer) = open.remove(&number)
        {
            answer.best.values_mut().for_each(|words| keep_best(words, top));
            out.emit(SimilarWords { id, word, best: answer.best.into_iter().collect() });
        }
    })
}
