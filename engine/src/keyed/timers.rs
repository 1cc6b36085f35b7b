//! Timers of keys, by the clock of the machine.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::machine;

/// A timer of a key, as [`KeyedContext::register_processing_time_timer`] gives it. It can be kept in the state of the
/// key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProcessingTimer(u64);

/// What a function on a keyed stream can ask for.
#[derive(Debug, Default)]
pub struct KeyedContext {
    asked: Vec<Asked>,
    next_timer: u64,
}

#[derive(Debug)]
enum Asked {
    Register(ProcessingTimer, Instant),
    Delete(ProcessingTimer),
}

impl KeyedContext {
    /// Asks for a call of [`on_timer`](crate::KeyedProcessFunction::on_timer) with the key at hand, `delay` from now on
    /// the clock of the machine. Each call makes a timer of its own.
    pub fn register_processing_time_timer(&mut self, delay: Duration) -> ProcessingTimer {
        let timer = ProcessingTimer(self.next_timer);
        self.next_timer += 1;
        let now = machine::now();
        // What lies behind the end of time never comes, but it counts as a timer.
        let due = now.checked_add(delay).unwrap_or(now + FAR);
        self.asked.push(Asked::Register(timer, due));
        timer
    }

    /// Takes a timer back. Nothing happens if it was called or taken back before.
    pub fn delete_processing_time_timer(&mut self, timer: ProcessingTimer) {
        self.asked.push(Asked::Delete(timer));
    }

    /// Whether there is something to hand to [`Timers::take`].
    #[inline(always)]
    pub(crate) fn has_asked(&self) -> bool {
        !self.asked.is_empty()
    }
}

/// Longer than any run.
const FAR: Duration = Duration::from_secs(1 << 32);

/// The timers of one worker's keys.
pub(crate) struct Timers<K> {
    /// In the order in which they are called.
    keys: BTreeMap<(Instant, ProcessingTimer), K>,
    due: FxHashMap<ProcessingTimer, Instant>,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Timers { keys: BTreeMap::new(), due: FxHashMap::default() }
    }
}

impl<K: Clone> Timers<K> {
    /// Does what a function asked for while it had `key` at hand.
    #[cold]
    pub(crate) fn take(&mut self, key: &K, context: &mut KeyedContext) {
        for asked in context.asked.drain(..) {
            match asked {
                Asked::Register(timer, due) => {
                    self.due.insert(timer, due);
                    self.keys.insert((due, timer), key.clone());
                }
                Asked::Delete(timer) => {
                    if let Some(due) = self.due.remove(&timer) {
                        self.keys.remove(&(due, timer));
                    }
                }
            }
        }
    }

    /// Takes the next timer that is due at `now` and was there when the context had made `n` timers: one that a timer
    /// asks for is called in the next turn, or a function that always asks for another would never end.
    pub(crate) fn next_due(&mut self, now: Instant, n: TimersMade) -> Option<(K, ProcessingTimer)> {
        let first = self.keys.first_entry()?;
        let (due, timer) = *first.key();
        if due > now || timer.0 >= n.0 {
            return None;
        }
        self.due.remove(&timer);
        Some((first.remove(), timer))
    }

    /// When the next timer is due, if there is one.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.keys.keys().next().map(|(due, _)| *due)
    }
}

/// How many timers a context has made.
#[derive(Clone, Copy)]
pub(crate) struct TimersMade(u64);

impl KeyedContext {
    pub(crate) fn timers_made(&self) -> TimersMade {
        TimersMade(self.next_timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against a list that is searched for its least.
        #[test]
        fn timers_come_in_order_of_time_then_of_registration_and_deleted_ones_do_not(
            steps in prop::collection::vec((0u64..50, prop::option::of(0usize..40)), 0..80),
        ) {
            let (mut timers, mut context) = (Timers::default(), KeyedContext::default());
            let mut made = Vec::new();
            let mut expected = Vec::new();
            for (key, (delay, deleted)) in steps.iter().enumerate() {
                let timer = context.register_processing_time_timer(Duration::from_secs(*delay));
                made.push(timer);
                expected.push((*delay, timer));
                timers.take(&key, &mut context);
                if let Some(deleted) = deleted.and_then(|at| made.get(at)) {
                    context.delete_processing_time_timer(*deleted);
                    timers.take(&key, &mut context);
                    expected.retain(|(_, timer)| timer != deleted);
                }
            }
            prop_assert_eq!(timers.due.len(), timers.keys.len());
            // Times are whole seconds apart, unless this loop takes one.
            expected.sort_unstable();
            let (end, n) = (machine::now() + Duration::from_secs(60), context.timers_made());
            let called: Vec<_> = std::iter::from_fn(|| timers.next_due(end, n)).map(|(_, timer)| timer).collect();
            let expected: Vec<_> = expected.into_iter().map(|(_, timer)| timer).collect();
            prop_assert_eq!(called, expected);
            prop_assert!(timers.due.is_empty() && timers.due().is_none());
        }
    }

    #[test]
    fn timer_that_a_timer_asks_for_is_called_in_the_next_turn() {
        let (mut timers, mut context) = (Timers::default(), KeyedContext::default());
        let mut turn = |timers: &mut Timers<u8>| {
            let n = context.timers_made();
            let mut calls = 0;
            while timers.next_due(machine::now() + Duration::from_secs(1), n).is_some() {
                context.register_processing_time_timer(Duration::ZERO);
                timers.take(&0, &mut context);
                calls += 1;
            }
            context.register_processing_time_timer(Duration::ZERO);
            timers.take(&0, &mut context);
            calls
        };
        assert_eq!([turn(&mut timers), turn(&mut timers), turn(&mut timers)], [0, 1, 2]);
    }

    #[test]
    fn timer_behind_the_end_of_time_is_never_due() {
        let (mut timers, mut context) = (Timers::default(), KeyedContext::default());
        context.register_processing_time_timer(Duration::MAX);
        timers.take(&0, &mut context);
        let n = context.timers_made();
        assert!(timers.next_due(machine::now() + Duration::from_secs(1 << 31), n).is_none());
        assert!(timers.due().is_some());
    }
}
