//! What a server counts of its requests, if somebody wants to know.

use std::sync::Arc;

use waterwheel_engine::Key;

use crate::block::Run;
use crate::core::hot::HotKeys;
use crate::state::ServerFigures;

/// The counts of one server.
pub(crate) struct Watch<K> {
    hot: Option<HotKeys<K>>,
    figures: Option<Arc<ServerFigures>>,
}

impl<K> Default for Watch<K> {
    fn default() -> Self {
        Watch { hot: None, figures: None }
    }
}

impl<K: Key> Watch<K> {
    pub(crate) fn new(hot: Option<HotKeys<K>>, figures: Option<Arc<ServerFigures>>) -> Self {
        Watch { hot, figures }
    }

    /// Counts a request. Returns its pulls and pushes if they are to be noted when it is served.
    #[inline]
    pub(super) fn count(&mut self, runs: &[Run], keys: &[K]) -> Option<(usize, usize)> {
        if let Some(hot) = &mut self.hot
            && hot.count(runs, keys)
            && let Some(figures) = &self.figures
        {
            figures.set_hot(hot.hottest());
        }
        self.figures.as_ref()?;
        let of = |counts: fn(&Run) -> bool| {
            runs.iter().filter(|run| counts(run)).map(|run| run.n as usize).sum::<usize>()
        };
        Some((of(|run| run.op.pulls()), of(|run| run.op.pushes())))
    }

    /// Notes that a request was served: how many of its pulls were left open, and how many clocks before its own were
    /// not complete.
    pub(super) fn note(&self, (pulls, pushes): (usize, usize), left_open: i32, missing: u64) {
        if let Some(figures) = &self.figures {
            figures.add(pulls, pushes, left_open, missing);
        }
    }

    /// The hot keys, if `worker` is to be told of them.
    #[inline]
    pub(crate) fn news(&mut self, worker: usize) -> Option<Vec<K>> {
        self.hot.as_mut()?.news(worker)
    }
}
