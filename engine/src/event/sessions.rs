//! Session windows: each key has its own, and they grow and merge.

use std::collections::BTreeMap;
use std::rc::Rc;

use rustc_hash::FxHashMap;

use crate::checkpoint::{Saved, Written};
use crate::clock::EventTime;
use crate::error::Result;
use crate::event::driver::{EventLogic, EventOut};
use crate::event::panes::{Cell, WINDOWS};
use crate::event::stream::Timed;
use crate::event::trigger::TriggerContext;
use crate::event::window::TimeWindow;
use crate::event::window_function::WindowFunction;
use crate::event::windowed::WindowSettings;
use crate::hash::{Key, key_group};
use crate::metrics::StateSize;
use crate::process::{Collector, ForRound, Renewable};

/// Session windows, and what is computed of them.
pub(crate) struct Sessions<K, D, F: WindowFunction<K, D>> {
    key: Rc<dyn Fn(&D) -> K>,
    settings: WindowSettings,
    function: F,
}

/// The sessions that are open.
pub(crate) struct OpenSessions<K, A> {
    sessions: FxHashMap<K, Vec<Session<A>>>,
    /// Keys to look at when the watermark has come so far: one entry per session, which is moved on only when it
    /// is looked at, however many records the session has grown by in the meantime.
    due: BTreeMap<EventTime, Vec<K>>,
}

impl<K, A> Default for OpenSessions<K, A> {
    fn default() -> Self {
        OpenSessions { sessions: FxHashMap::default(), due: BTreeMap::new() }
    }
}

struct Session<A> {
    window: TimeWindow,
    cell: Cell<A>,
    /// The event time up to which it was evaluated.
    fired_to: EventTime,
    /// The time of its entry among those that are due.
    noted: EventTime,
}

impl<K: Key, D: Clone + 'static, F: WindowFunction<K, D>> Sessions<K, D, F> {
    pub(crate) fn new(key: Rc<dyn Fn(&D) -> K>, settings: WindowSettings, function: F) -> Self {
        Sessions { key, settings, function }
    }

    /// Takes the sessions of `key` that `window` joins together out, and returns them as one with it.
    fn joined(
        &mut self,
        all: &mut OpenSessions<K, F::Acc>,
        key: &K,
        of_record: TimeWindow,
    ) -> Session<F::Acc> {
        let function = &mut self.function;
        let mut window = of_record;
        let mut cell: Option<Cell<F::Acc>> = None;
        let (mut fired_to, mut noted) = (EventTime::MIN, EventTime::MAX);
        if let Some(open) = all.sessions.get_mut(key) {
            // No two open sessions touch each other, so none but those that the record touches are joined.
            for session in open.extract_if(.., |session| session.window.touches(&of_record)) {
                window = window.cover(&session.window);
                fired_to = fired_to.max(session.fired_to);
                noted = noted.min(session.noted);
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
        Session { window, cell, fired_to, noted }
    }

    /// When the session is to be looked at: to be evaluated, or else because it is gone.
    fn next_look(&self, session: &Session<F::Acc>) -> EventTime {
        let fires = self.settings.trigger.next_event_time(&session.window, session.fired_to);
        fires.unwrap_or_else(|| session.window.end.saturating_add(self.settings.lateness))
    }

    /// Evaluates the sessions of `key` that are due, and drops those that are gone.
    fn visit(
        &mut self,
        all: &mut OpenSessions<K, F::Acc>,
        key: &K,
        watermark: EventTime,
        results: &mut Collector<Timed<F::Out>>,
    ) {
        let Some(mut open) = all.sessions.remove(key) else { return };
        open.sort_unstable_by_key(|session| session.window);
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
            }
            !purged && !self.settings.is_gone(&window, watermark)
        });
        for session in open.iter_mut().filter(|session| session.noted <= watermark) {
            session.noted = self.next_look(session);
            // Nothing comes after the end of time, not even for a session that reaches to it.
            if session.noted > watermark {
                all.due.entry(session.noted).or_default().push(key.clone());
            }
        }
        if !open.is_empty() {
            all.sessions.insert(key.clone(), open);
        }
    }
}

/// The function keeps nothing between sessions, and each round has its own.
impl<K: Key, D, F: WindowFunction<K, D>> Renewable for Sessions<K, D, F> {
    type State = ();

    fn fresh(&self) -> ForRound<()> {
        ForRound::Same
    }

    fn swap(&mut self, (): &mut ()) {}
}

impl<K: Key, D: Clone + 'static, F: WindowFunction<K, D>> EventLogic<D> for Sessions<K, D, F> {
    type Out = F::Out;
    type Pending = OpenSessions<K, F::Acc>;

    fn on_record(
        &mut self,
        all: &mut OpenSessions<K, F::Acc>,
        record: Timed<D>,
        watermark: EventTime,
        out: &mut EventOut<F::Out, D>,
    ) -> Result<()> {
        let Some(window) = self.settings.windows.only_window(record.timestamp) else { return Ok(()) };
        let key = (self.key)(&record.value);
        let mut session = self.joined(all, &key, window);
        let window = session.window;
        if self.settings.is_gone(&window, watermark) {
            out.late.emit(record);
            return Ok(());
        }
        let Timed { timestamp, value } = record;
        self.function.add(&mut session.cell.acc, value);
        session.cell.count += 1;
        let context = TriggerContext { window, timestamp, watermark, count: session.cell.count };
        if self.settings.may_fire_on_element(&window, watermark)
            && let result = self.settings.trigger.on_element(&context)
            && session.cell.apply(result, &mut self.function, (&key, window), &mut out.results)
        {
            return Ok(());
        }
        let next = self.next_look(&session);
        if next < session.noted {
            session.noted = next;
            all.due.entry(next).or_default().push(key.clone());
        }
        all.sessions.entry(key).or_default().push(session);
        Ok(())
    }

    fn on_watermark(
        &mut self,
        all: &mut OpenSessions<K, F::Acc>,
        watermark: EventTime,
        out: &mut EventOut<F::Out, D>,
    ) -> Result<()> {
        while let Some(entry) = all.due.first_entry().filter(|entry| *entry.key() <= watermark) {
            let mut keys = entry.remove();
            keys.sort_unstable();
            keys.dedup();
            keys.iter().for_each(|key| self.visit(all, key, watermark, &mut out.results));
        }
        Ok(())
    }

    fn pending_size(all: &OpenSessions<K, F::Acc>) -> Option<StateSize> {
        Some(StateSize::of::<(K, Session<F::Acc>)>(all.sessions.len()))
    }

    fn write(&mut self, all: Option<&mut OpenSessions<K, F::Acc>>, to: &mut Written) -> Result<()> {
        let Some(all) = all else { return Ok(()) };
        let entries = to.entries(WINDOWS);
        all.sessions.iter().try_for_each(|(key, sessions)| {
            sessions.iter().try_for_each(|Session { window, cell: Cell { acc, count }, fired_to, .. }| {
                entries.put(key_group(key), &(window, fired_to, key, count, acc))
            })
        })
    }

    fn read(&mut self, all: Option<&mut OpenSessions<K, F::Acc>>, from: &Saved<'_>) -> Result<()> {
        let Some(all) = all else { return Ok(()) };
        from.entries(WINDOWS, |mut windows| {
            while let Some((window, fired_to, key, count, acc)) = windows.next_item::<(_, _, K, _, _)>()? {
                let cell = Cell { acc, count };
                let mut session = Session { window, cell, fired_to, noted: EventTime::MAX };
                session.noted = self.next_look(&session);
                all.due.entry(session.noted).or_default().push(key.clone());
                all.sessions.entry(key).or_default().push(session);
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::event::window::Windows;
    use crate::event::window_function::Folded;

    /// An entry per record once filled the memory until the watermark came.
    #[test]
    fn session_that_grows_by_many_records_is_due_once_and_fires_once() {
        let add = |n: &mut u64, _record: i64| *n += 1;
        let count = Folded { create: || 0u64, add, merge: |a: u64, b: u64| a + b };
        let settings = WindowSettings::new(Windows::session(Duration::from_millis(10)).unwrap());
        let mut sessions = Sessions::new(Rc::new(|_: &i64| 0u8), settings, count);
        let (mut all, mut out) = (OpenSessions::default(), EventOut::new());
        for timestamp in (0..1000).chain(2000..2005) {
            sessions.on_record(&mut all, Timed { timestamp, value: timestamp }, 0, &mut out).unwrap();
        }
        assert_eq!(all.due.values().map(Vec::len).sum::<usize>(), 2);
        let mut fired_at = |watermark| {
            sessions.on_watermark(&mut all, watermark, &mut out).unwrap();
            let results = out.results.drain().into_iter();
            results.map(|r| (r.value.window.start, r.value.window.end, r.value.value)).collect::<Vec<_>>()
        };
        assert_eq!(fired_at(1008), []);
        assert_eq!(fired_at(1009), [(0, 1009, 1000)]);
        assert_eq!(fired_at(EventTime::MAX), [(2000, 2014, 5)]);
        assert!(all.sessions.is_empty() && all.due.is_empty());
    }
}
