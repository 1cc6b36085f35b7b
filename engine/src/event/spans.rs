//! What functions with event time keep between records, where operators begin anew in each round.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::clock::Clock;
use crate::error::Result;
use crate::process::{Renewable, SpanOf, state};

/// A function that begins anew in each span of time, if its place says so.
pub(crate) struct Renewed<T: Clock, L: Renewable> {
    logic: L,
    spans: Option<Spans<T, L::State>>,
}

struct Spans<T, S> {
    last_of: SpanOf<T>,
    /// By the last time of the span.
    open: BTreeMap<T, S>,
}

impl<T: Clock, L: Renewable> Renewed<T, L> {
    /// `spans` tells the last time of the span that a time is in; `None` if there is one for all times.
    pub(crate) fn new(logic: L, spans: Option<SpanOf<T>>) -> Self {
        Renewed { logic, spans: spans.map(|last_of| Spans { last_of, open: BTreeMap::new() }) }
    }

    /// The function, where it keeps its state over all rounds.
    pub(crate) fn kept(&mut self) -> Option<&mut L> {
        self.spans.is_none().then_some(&mut self.logic)
    }

    /// The function as it is at `time`, handed to `f`.
    #[inline]
    pub(crate) fn at<R>(&mut self, time: &T, f: impl FnOnce(&mut L) -> Result<R>) -> Result<R> {
        let Renewed { logic, spans } = self;
        let Some(Spans { last_of, open }) = spans else { return f(logic) };
        let kept = match open.entry(last_of(time)) {
            Entry::Occupied(kept) => kept.into_mut(),
            Entry::Vacant(vacant) => vacant.insert(state(logic.fresh())?),
        };
        logic.swap(kept);
        let outcome = f(logic);
        logic.swap(kept);
        outcome
    }

    /// Drops what was kept for spans that are no longer open; `is_open` is asked about their last time.
    pub(crate) fn forget(&mut self, is_open: impl Fn(&T) -> bool) {
        if let Some(spans) = &mut self.spans {
            spans.open.retain(|last, _| is_open(last));
        }
    }
}
