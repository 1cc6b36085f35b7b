//! Windows that are the same for all keys: tumbling, sliding and global ones.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::checkpoint::{Saved, Written};
use crate::clock::EventTime;
use crate::error::Result;
use crate::event::driver::{EventLogic, EventOut};
use crate::event::stream::Timed;
use crate::event::trigger::{TriggerContext, TriggerResult};
use crate::event::window::TimeWindow;
use crate::event::window_function::{WindowFunction, WindowOut};
use crate::event::windowed::WindowSettings;
use crate::hash::{Key, key_group};
use crate::keyed::{CowTable, KeySelector};
use crate::metrics::StateSize;
use crate::process::{Collector, ForRound, Renewable};

/// Windows, and in each the accumulators of its keys: a window fires and goes as a whole.
pub(crate) struct Panes<K, D, F: WindowFunction<K, D>> {
    key: Rc<dyn KeySelector<Timed<D>, K>>,
    settings: WindowSettings,
    function: F,
    /// Keys of the batch at hand; empty between two batches.
    keys: Vec<K>,
    /// Windows of the record at hand.
    assigned: Vec<TimeWindow>,
}

/// The windows that are open.
pub(crate) struct OpenPanes<K, A> {
    /// Where the pane of each window is.
    open: BTreeMap<TimeWindow, usize>,
    panes: Vec<Pane<K, A>>,
    /// Panes of no window, empty.
    free: Vec<usize>,
    /// The window of the last record, and its pane: mostly that of the next record too.
    last: Option<(TimeWindow, usize)>,
    /// Panes before this one are in the checkpoint that is being written.
    written: usize,
    /// Keys in all panes.
    n_cells: usize,
}

impl<K, A> Default for OpenPanes<K, A> {
    fn default() -> Self {
        let (open, panes, free) = (BTreeMap::new(), Vec::new(), Vec::new());
        OpenPanes { open, panes, free, last: None, written: 0, n_cells: 0 }
    }
}

impl<K: Key, A> OpenPanes<K, A> {
    /// The pane of a window, a new one if need be.
    #[inline]
    fn pane_of(&mut self, window: TimeWindow) -> Option<&mut Pane<K, A>> {
        let OpenPanes { open, panes, free, last, .. } = self;
        if let Some((_, index)) = last.filter(|(last, _)| *last == window) {
            return panes.get_mut(index);
        }
        let index = *open.entry(window).or_insert_with(|| {
            let index = free.pop().unwrap_or(panes.len());
            if index == panes.len() {
                panes.push(Pane { cells: CowTable::default(), fired_to: EventTime::MIN });
            }
            index
        });
        *last = Some((window, index));
        panes.get_mut(index)
    }
}

struct Pane<K, A> {
    cells: CowTable<K, Cell<A>>,
    /// The event time up to which it was evaluated.
    fired_to: EventTime,
}

/// Panes that keep their memory for the windows to come.
const SPARE_PANES: usize = 2;

impl<K: Key, A> Pane<K, A> {
    /// Empties it for another window.
    fn retire(&mut self, keeps_memory: bool) {
        if keeps_memory {
            self.cells.empty();
        } else {
            self.cells.clear();
        }
        self.fired_to = EventTime::MIN;
    }
}

/// The kind of windows in checkpoints. An entry is the window, the event time up to which it was evaluated, the key, the
/// records since then, and what they came to.
pub(crate) const WINDOWS: &str = "windows";

/// A key's part of a window.
pub(crate) struct Cell<A> {
    pub(crate) acc: A,
    /// Records since the last evaluation.
    pub(crate) count: u64,
}

impl<A> Cell<A> {
    /// Evaluates and empties the cell as a trigger has decided; whether it is to go.
    pub(crate) fn apply<K, D, F: WindowFunction<K, D, Acc = A>>(
        &mut self,
        result: TriggerResult,
        function: &mut F,
        (key, window): (&K, TimeWindow),
        results: &mut Collector<Timed<F::Out>>,
    ) -> bool {
        if matches!(result, TriggerResult::Fire | TriggerResult::FireAndPurge) {
            let mut out = WindowOut { timestamp: window.max_timestamp(), results };
            function.fire(key, window, &self.acc, &mut out);
            self.count = 0;
        }
        matches!(result, TriggerResult::Purge | TriggerResult::FireAndPurge)
    }
}

impl<K: Key, D: Clone + 'static, F: WindowFunction<K, D>> Panes<K, D, F> {
    pub(crate) fn new(key: Rc<dyn KeySelector<Timed<D>, K>>, settings: WindowSettings, function: F) -> Self {
        Panes { key, settings, function, keys: Vec::new(), assigned: Vec::new() }
    }

    /// Adds records that are in one window, which does not fire for them. Most are, so this is the short way.
    fn add_run(
        &mut self,
        open: &mut OpenPanes<K, F::Acc>,
        window: TimeWindow,
        mut made: impl Iterator<Item = K>,
        records: impl Iterator<Item = Timed<D>>,
    ) {
        let Panes { key: selector, function, .. } = self;
        let Some(Pane { cells, .. }) = open.pane_of(window) else { return };
        cells.cut_if_large();
        let before = cells.len();
        for record in records {
            let key = made.next().unwrap_or_else(|| selector.key(&record));
            let (_key, cell, _is_new) = cells.state_or(&key, || Cell { acc: function.create(), count: 0 });
            function.add(&mut cell.acc, record.value);
            cell.count += 1;
        }
        open.n_cells += cells.len() - before;
    }

    /// Adds a record to all of its windows.
    fn add(
        &mut self,
        open: &mut OpenPanes<K, F::Acc>,
        key: &K,
        record: Timed<D>,
        watermark: EventTime,
        out: &mut EventOut<F::Out, D>,
    ) {
        match self
            .settings
            .windows
            .only_window(record.timestamp)
            .filter(|window| !self.settings.is_gone(window, watermark))
        {
            Some(window) => self.add_to(open, (key, window), record, watermark, &mut out.results),
            None => self.add_to_several(open, key, record, watermark, out),
        }
    }

    fn add_to_several(
        &mut self,
        open: &mut OpenPanes<K, F::Acc>,
        key: &K,
        record: Timed<D>,
        watermark: EventTime,
        out: &mut EventOut<F::Out, D>,
    ) {
        let mut assigned = std::mem::take(&mut self.assigned);
        assigned.clear();
        self.settings.windows.assign(record.timestamp, &mut assigned);
        let outside = assigned.is_empty();
        assigned.retain(|window| !self.settings.is_gone(window, watermark));
        match assigned.split_last() {
            Some((last, others)) => {
                for window in others {
                    self.add_to(open, (key, *window), record.clone(), watermark, &mut out.results);
                }
                self.add_to(open, (key, *last), record, watermark, &mut out.results);
            }
            // Between windows that leave gaps a record is not late: it is in none.
            None if outside => {}
            None => out.late.emit(record),
        }
        self.assigned = assigned;
    }

    /// Adds a record to one of its windows.
    fn add_to(
        &mut self,
        open: &mut OpenPanes<K, F::Acc>,
        (key, window): (&K, TimeWindow),
        record: Timed<D>,
        watermark: EventTime,
        results: &mut Collector<Timed<F::Out>>,
    ) {
        let Panes { settings, function, .. } = self;
        let Some(Pane { cells, .. }) = open.pane_of(window) else { return };
        let before = cells.len();
        let (key, cell, _is_new) = cells.state_or(key, || Cell { acc: function.create(), count: 0 });
        let Timed { timestamp, value } = record;
        function.add(&mut cell.acc, value);
        cell.count += 1;
        if settings.may_fire_on_element(&window, watermark) {
            let context = TriggerContext { window, timestamp, watermark, count: cell.count };
            let result = settings.trigger.on_element(&context);
            if cell.apply(result, function, (key, window), results) {
                let key = key.clone();
                cells.remove(&key);
            }
        }
        let after = cells.len();
        open.n_cells = open.n_cells + after - before;
    }

    /// Evaluates, in order of key, what has changed in a window since its last evaluation.
    fn fire(
        pane: &mut Pane<K, F::Acc>,
        window: TimeWindow,
        result: TriggerResult,
        function: &mut F,
        results: &mut Collector<Timed<F::Out>>,
    ) {
        let changed = pane.cells.iter_mut().filter(|(_, cell)| cell.count > 0);
        // Keys that are plain data are sorted as such, the others where they are.
        let purged = if std::mem::needs_drop::<K>() {
            apply_in_order(changed, window, result, function, results)
        } else {
            let changed = changed.map(|(key, cell)| (key.clone(), cell));
            apply_in_order(changed, window, result, function, results)
        };
        if purged {
            pane.cells.empty();
        }
    }
}

/// Applies the result to cells in order of key; whether they are to go.
fn apply_in_order<'c, K: Key, Q: Borrow<K>, D, F: WindowFunction<K, D>>(
    cells: impl Iterator<Item = (Q, &'c mut Cell<F::Acc>)>,
    window: TimeWindow,
    result: TriggerResult,
    function: &mut F,
    results: &mut Collector<Timed<F::Out>>,
) -> bool {
    let mut cells: Vec<_> = cells.collect();
    cells.sort_unstable_by(|(a, _), (b, _)| a.borrow().cmp(b.borrow()));
    let mut purged = false;
    for (key, cell) in cells {
        purged |= cell.apply(result, function, (key.borrow(), window), results);
    }
    purged
}

/// The function keeps nothing between windows, and each round has its own.
impl<K: Key, D, F: WindowFunction<K, D>> Renewable for Panes<K, D, F> {
    type State = ();

    fn fresh(&self) -> ForRound<()> {
        ForRound::Same
    }

    fn swap(&mut self, (): &mut ()) {}
}

impl<K: Key, D: Clone + 'static, F: WindowFunction<K, D>> EventLogic<D> for Panes<K, D, F> {
    type Out = F::Out;
    type Pending = OpenPanes<K, F::Acc>;

    fn on_record(
        &mut self,
        open: &mut OpenPanes<K, F::Acc>,
        record: Timed<D>,
        watermark: EventTime,
        out: &mut EventOut<F::Out, D>,
    ) -> Result<()> {
        let key = self.key.key(&record);
        self.add(open, &key, record, watermark, out);
        Ok(())
    }

    fn on_batch(
        &mut self,
        open: &mut OpenPanes<K, F::Acc>,
        batch: &mut Vec<Timed<D>>,
        watermark: EventTime,
        out: &mut EventOut<F::Out, D>,
        mut full: impl FnMut(&mut EventOut<F::Out, D>),
    ) -> Result<()> {
        let mut keys = std::mem::take(&mut self.keys);
        self.key.keys(batch, &mut keys);
        let (mut made, mut records) = (keys.drain(..), batch.drain(..));
        while let Some(first) = records.as_slice().first() {
            if let Some(window) = self.settings.quiet_window(first.timestamp, watermark) {
                let same = records.as_slice().iter().take_while(|record| window.contains(record.timestamp));
                let run = same.count();
                self.add_run(open, window, made.by_ref(), records.by_ref().take(run));
            } else if let Some(record) = records.next() {
                let key = made.next().unwrap_or_else(|| self.key.key(&record));
                self.add(open, &key, record, watermark, out);
                full(out);
            }
        }
        drop((made, records));
        self.keys = keys;
        Ok(())
    }

    fn on_watermark(
        &mut self,
        open: &mut OpenPanes<K, F::Acc>,
        watermark: EventTime,
        out: &mut EventOut<F::Out, D>,
    ) -> Result<()> {
        let Panes { settings, function, .. } = self;
        let OpenPanes { open, panes, free, last, n_cells, .. } = open;
        open.retain(|window, index| {
            let Some(pane) = panes.get_mut(*index) else { return false };
            *n_cells -= pane.cells.len();
            let due = settings.trigger.next_event_time(window, pane.fired_to);
            if due.is_some_and(|due| due <= watermark) {
                Self::fire(pane, *window, settings.trigger.on_event_time(), function, &mut out.results);
                pane.fired_to = watermark;
            }
            let stays = !pane.cells.is_empty() && !settings.is_gone(window, watermark);
            if !stays {
                pane.retire(free.len() < SPARE_PANES);
                free.push(*index);
                last.take_if(|(last, _)| last == window);
            }
            *n_cells += pane.cells.len();
            stays
        });
        Ok(())
    }

    fn pending_size(open: &OpenPanes<K, F::Acc>) -> Option<StateSize> {
        Some(StateSize::of::<(K, Cell<F::Acc>)>(open.n_cells))
    }

    fn write(&mut self, open: Option<&mut OpenPanes<K, F::Acc>>, _to: &mut Written) -> Result<()> {
        let Some(OpenPanes { open, panes, written, .. }) = open else { return Ok(()) };
        *written = 0;
        for (window, index) in open {
            let Some(Pane { cells, fired_to }) = panes.get_mut(*index) else { continue };
            let (window, fired_to) = (*window, *fired_to);
            cells.mark(Box::new(move |key, Cell { acc, count }, to| {
                to.put(key_group(key), &(window, fired_to, key, count, acc))
            }));
        }
        Ok(())
    }

    fn sweep(&mut self, open: Option<&mut OpenPanes<K, F::Acc>>, to: &mut Written) -> Result<bool> {
        let Some(OpenPanes { panes, written, .. }) = open else { return Ok(false) };
        // Also those that are of no window any more: they have been emptied since.
        while panes.get(*written).is_some_and(|pane| pane.cells.is_settled()) {
            *written += 1;
        }
        let Some(Pane { cells, .. }) = panes.get_mut(*written) else { return Ok(false) };
        cells.sweep(to.entries(WINDOWS))?;
        Ok(true)
    }

    /// A window that workers have evaluated up to different times is due at the earliest of them.
    fn read(&mut self, open: Option<&mut OpenPanes<K, F::Acc>>, from: &Saved<'_>) -> Result<()> {
        let Some(open) = open else { return Ok(()) };
        from.entries(WINDOWS, |mut windows| {
            while let Some((window, fired_to, key, count, acc)) = windows.next_item()? {
                let Some(pane) = open.pane_of(window) else { continue };
                let is_new = pane.cells.is_empty();
                pane.fired_to = if is_new { fired_to } else { EventTime::min(pane.fired_to, fired_to) };
                let (_key, _cell, is_new) = pane.cells.state_or(&key, || Cell { acc, count });
                open.n_cells += usize::from(is_new);
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::event::trigger::{CountTrigger, PurgingTrigger};
    use crate::event::window::Windows;
    use crate::event::window_function::Folded;
    use crate::keyed::Made;

    proptest! {
        /// Batches of keys and times in turn with watermarks, through windows that fire at their end or for every third
        /// record of a key, and drop what they have fired.
        #[test]
        fn keys_are_counted_in_each_window_that_is_open(
            steps in prop::collection::vec((prop::collection::vec((0u8..5, 0i64..60), 0..20), 0i64..15), 1..20),
            (slide, by_count) in (1u64..12, any::<bool>()),
        ) {
            let add = |n: &mut u64, _record: (u8, i64)| *n += 1;
            let count = Folded { create: || 0u64, add, merge: |a: u64, b: u64| a + b };
            let windows = Windows::sliding(Duration::from_millis(10), Duration::from_millis(slide)).unwrap();
            let mut settings = WindowSettings::new(windows);
            if by_count {
                settings.set_trigger(PurgingTrigger::of(CountTrigger::of(3)));
            }
            let key = Rc::new(Made(|record: &Timed<(u8, i64)>| record.value.0));
            let mut panes = Panes::new(key, settings, count);
            let (mut open, mut out, mut watermark) = (OpenPanes::default(), EventOut::new(), 0);
            for (records, ahead) in steps {
                let timed = |(key, at)| Timed { timestamp: watermark + at - 10, value: (key, at) };
                let mut batch = records.into_iter().map(timed).collect();
                panes.on_batch(&mut open, &mut batch, watermark, &mut out, |_| {}).unwrap();
                let keys = |open: &OpenPanes<u8, u64>| open.panes.iter().map(|pane| pane.cells.len()).sum::<usize>();
                prop_assert_eq!(open.n_cells, keys(&open));
                watermark += ahead;
                panes.on_watermark(&mut open, watermark, &mut out).unwrap();
                prop_assert_eq!(open.n_cells, keys(&open));
            }
        }
    }
}
