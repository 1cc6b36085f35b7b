//! The numbers of an operator that somebody wants to know.

use std::sync::Arc;

use timely::progress::frontier::MutableAntichain;

use crate::clock::AnyClock;
use crate::error::Result;
use crate::metrics::{Gauges, stopwatch};
use crate::origin::Origin;

/// Watches an operator run.
pub(super) struct Watch {
    gauges: Arc<Gauges>,
}

impl Watch {
    pub(super) fn new(gauges: Arc<Gauges>) -> Self {
        Watch { gauges }
    }

    /// Runs one activation, and notes how long it took and how far event time is.
    pub(super) fn run<T: AnyClock>(
        &mut self,
        origin: &Origin,
        frontiers: &[MutableAntichain<T>],
        logic: impl FnOnce() -> Result<()>,
    ) {
        let since = stopwatch::begin();
        origin.guard(logic);
        self.gauges.note_run(stopwatch::lap(since));
        if T::HAS_EVENT_TIME {
            let least =
                |input: &MutableAntichain<T>| input.frontier().iter().filter_map(AnyClock::event_time).min();
            self.gauges.note_watermark(frontiers.iter().filter_map(least).min());
        }
    }
}
