//! Windows that are the same for all keys: tumbling, sliding and global ones.

use std::collections::BTreeMap;
use std::rc::Rc;

use rustc_hash::FxHashMap;

use crate::clock::EventTime;
use crate::error::Result;
use crate::event::driver::{EventLogic, EventOut};
use crate::event::stream::Timed;
use crate::event::trigger::{TriggerContext, TriggerResult};
use crate::event::window::TimeWindow;
use crate::event::window_function::{WindowFunction, WindowOut};
use crate::event::windowed::WindowSettings;
use crate::hash::Key;
use crate::process::Collector;

/// Windows, and in each the accumulators of its keys: a window fires and goes as a whole.
pub(crate) struct Panes<K, D, F: WindowFunction<K, D>> {
    key: Rc<dyn Fn(&D) -> K>,
    settings: WindowSettings,
    function: F,
    panes: BTreeMap<TimeWindow, Pane<K, F::Acc>>,
    /// Windows of the record at hand.
    assigned: Vec<TimeWindow>,
}

struct Pane<K, A> {
    cells: FxHashMap<K, Cell<A>>,
    /// The event time up to which it was evaluated.
    fired_to: EventTime,
}

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
    pub(crate) fn new(key: Rc<dyn Fn(&D) -> K>, settings: WindowSettings, function: F) -> Self {
        Panes { key, settings, function, panes: BTreeMap::new(), assigned: Vec::new() }
    }

    /// Adds a record to one of its windows.
    fn add(
        &mut self,
        window: TimeWindow,
        record: Timed<D>,
        watermark: EventTime,
        results: &mut Collector<Timed<F::Out>>,
    ) {
        let Timed { timestamp, value } = record;
        let Panes { key, settings, function, panes, .. } = self;
        let key = key(&value);
        let fresh = || Pane { cells: FxHashMap::default(), fired_to: EventTime::MIN };
        let cells = &mut panes.entry(window).or_insert_with(fresh).cells;
        let put = |function: &mut F, cell: &mut Cell<F::Acc>| {
            function.add(&mut cell.acc, value);
            cell.count += 1;
            let context = TriggerContext { window, timestamp, watermark, count: cell.count };
            let result = settings.on_element(&context);
            cell.apply(result, function, (&key, window), results)
        };
        let purged = if let Some(cell) = cells.get_mut(&key) {
            put(function, cell)
        } else {
            let mut cell = Cell { acc: function.create(), count: 0 };
            let purged = put(function, &mut cell);
            cells.insert(key.clone(), cell);
            purged
        };
        if purged {
            cells.remove(&key);
        }
    }

    /// Evaluates, in order of key, what has changed in a window since its last evaluation.
    fn fire(
        pane: &mut Pane<K, F::Acc>,
        window: TimeWindow,
        result: TriggerResult,
        function: &mut F,
        results: &mut Collector<Timed<F::Out>>,
    ) {
        let mut changed: Vec<_> = pane.cells.iter_mut().filter(|(_, cell)| cell.count > 0).collect();
        changed.sort_unstable_by(|a, b| a.0.cmp(b.0));
        let mut purged = false;
        for (key, cell) in changed {
            purged |= cell.apply(result, function, (key, window), results);
        }
        if purged {
            pane.cells.clear();
        }
    }
}

impl<K: Key, D: Clone + 'static, F: WindowFunction<K, D>> EventLogic<D> for Panes<K, D, F> {
    type Out = F::Out;

    fn on_record(
        &mut self,
        record: Timed<D>,
        watermark: EventTime,
        out: &mut EventOut<F::Out, D>,
    ) -> Result<()> {
        if let Some(window) = self.settings.windows.only_window(record.timestamp)
            && !self.settings.is_gone(&window, watermark)
        {
            self.add(window, record, watermark, &mut out.results);
            return Ok(());
        }
        let mut assigned = std::mem::take(&mut self.assigned);
        assigned.clear();
        self.settings.windows.assign(record.timestamp, &mut assigned);
        let outside = assigned.is_empty();
        assigned.retain(|window| !self.settings.is_gone(window, watermark));
        match assigned.split_last() {
            Some((last, others)) => {
                for window in others {
                    self.add(*window, record.clone(), watermark, &mut out.results);
                }
                self.add(*last, record, watermark, &mut out.results);
            }
            // Between windows that leave gaps a record is not late: it is in none.
            None if outside => {}
            None => out.late.emit(record),
        }
        self.assigned = assigned;
        Ok(())
    }

    fn on_watermark(&mut self, watermark: EventTime, out: &mut EventOut<F::Out, D>) -> Result<()> {
        let Panes { settings, function, panes, .. } = self;
        for (window, pane) in panes.iter_mut() {
            let due = settings.trigger.next_event_time(window, pane.fired_to);
            if due.is_some_and(|due| due <= watermark) {
                Self::fire(pane, *window, settings.trigger.on_event_time(), function, &mut out.results);
                pane.fired_to = watermark;
            }
        }
        panes.retain(|window, pane| !pane.cells.is_empty() && !settings.is_gone(window, watermark));
        Ok(())
    }
}
