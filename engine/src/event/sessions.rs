//! Session windows: each key has its own, and they grow and merge.

use std::collections::BTreeMap;
use std::rc::Rc;

use rustc_hash::FxHashMap;

use crate::clock::EventTime;
use crate::error::Result;
use crate::event::driver::{EventLogic, EventOut};
use crate::event::panes::Cell;
use crate::event::stream::Timed;
use crate::event::trigger::TriggerContext;
use crate::event::window::TimeWindow;
use crate::event::window_function::WindowFunction;
use crate::event::windowed::WindowSettings;
use crate::hash::Key;
use crate::process::Collector;

/// The open sessions of each key, and the times at which something is due.
pub(crate) struct Sessions<K, D, F: WindowFunction<K, D>> {
    key: Rc<dyn Fn(&D) -> K>,
    settings: WindowSettings,
    function: F,
    sessions: FxHashMap<K, Vec<Session<F::Acc>>>,
    /// Keys to look at when the watermark has come so far. A key may be here for a session that has grown
    /// since: then nothing happens.
    due: BTreeMap<EventTime, Vec<K>>,
}

struct Session<A> {
    window: TimeWindow,
    cell: Cell<A>,
    /// The event time up to which it was evaluated.
    fired_to: EventTime,
}

impl<K: Key, D: Clone + 'static, F: WindowFunction<K, D>> Sessions<K, D, F> {
    pub(crate) fn new(key: Rc<dyn Fn(&D) -> K>, settings: WindowSettings, function: F) -> Self {
        let (sessions, due) = (FxHashMap::default(), BTreeMap::new());
        Sessions { key, settings, function, sessions, due }
    }

    /// Takes the sessions of `key` that `window` joins together out, and returns them as one with it.
    fn joined(&mut self, key: &K, of_record: TimeWindow) -> Session<F::Acc> {
        let function = &mut self.function;
        let mut window = of_record;
        let mut cell: Option<Cell<F::Acc>> = None;
        let mut fired_to = EventTime::MIN;
        if let Some(open) = self.sessions.get_mut(key) {
            // No two open sessions touch each other, so none but those that the record touches are joined.
            for session in open.extract_if(.., |session| session.window.touches(&of_record)) {
                window = window.cover(&session.window);
                fired_to = fired_to.max(session.fired_to);
                cell = Some(match cell {
                    Some(before) => Cell {
                        acc: function.merge(before.acc, session.cell.acc),
                        count: before.count + session.cell.count,
                    },
                    None => session.cell,
                });
            }
        }
        let cell = cell.unwrap_or_else(|| Cell { acc: function.create(), count: 0 });
        Session { window, cell, fired_to }
    }

    /// Notes when the session is to be looked at again.
    fn note_due(&mut self, key: &K, window: TimeWindow, fired_to: EventTime) {
        let gone = window.end.saturating_add(self.settings.lateness);
        let fires = self.settings.trigger.next_event_time(&window, fired_to);
        for time in fires.into_iter().chain([gone]) {
            self.due.entry(time).or_default().push(key.clone());
        }
    }

    /// Evaluates the sessions of `key` that are due, and drops those that are gone.
    fn visit(&mut self, key: &K, watermark: EventTime, results: &mut Collector<Timed<F::Out>>) {
        let Some(mut open) = self.sessions.remove(key) else { return };
        open.sort_unstable_by_key(|session| session.window);
        let mut again = Vec::new();
        open.retain_mut(|session| {
            let (window, trigger) = (session.window, &self.settings.trigger);
            let due = trigger.next_event_time(&window, session.fired_to);
            let mut purged = false;
            if due.is_some_and(|due| due <= watermark) {
                session.fired_to = watermark;
                if session.cell.count > 0 {
                    let result = trigger.on_event_time();
                    purged = session.cell.apply(result, &mut self.function, (key, window), results);
                }
                again.push((window, watermark));
            }
            !purged && !self.settings.is_gone(&window, watermark)
        });
        again.retain(|(window, _)| open.iter().any(|session| session.window == *window));
        again.into_iter().for_each(|(window, fired_to)| self.note_due(key, window, fired_to));
        if !open.is_empty() {
            self.sessions.insert(key.clone(), open);
        }
    }
}

impl<K: Key, D: Clone + 'static, F: WindowFunction<K, D>> EventLogic<D> for Sessions<K, D, F> {
    type Out = F::Out;

    fn on_record(
        &mut self,
        record: Timed<D>,
        watermark: EventTime,
        out: &mut EventOut<F::Out, D>,
    ) -> Result<()> {
        let mut assigned = Vec::with_capacity(1);
        self.settings.windows.assign(record.timestamp, &mut assigned);
        let key = (self.key)(&record.value);
        for window in assigned {
            let mut session = self.joined(&key, window);
            let window = session.window;
            if self.settings.is_gone(&window, watermark) {
                out.late.emit(record);
                return Ok(());
            }
            self.function.add(&mut session.cell.acc, record.value.clone());
            session.cell.count += 1;
            let (timestamp, count) = (record.timestamp, session.cell.count);
            let context = TriggerContext { window, timestamp, watermark, count };
            let result = self.settings.on_element(&context);
            if !session.cell.apply(result, &mut self.function, (&key, window), &mut out.results) {
                self.note_due(&key, window, session.fired_to);
                self.sessions.entry(key.clone()).or_default().push(session);
            }
        }
        Ok(())
    }

    fn on_watermark(&mut self, watermark: EventTime, out: &mut EventOut<F::Out, D>) -> Result<()> {
        while let Some(entry) = self.due.first_entry().filter(|entry| *entry.key() <= watermark) {
            let mut keys = entry.remove();
            keys.sort_unstable();
            keys.dedup();
            keys.iter().for_each(|key| self.visit(key, watermark, &mut out.results));
        }
        Ok(())
    }
}
