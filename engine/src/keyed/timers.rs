//! Timers of keys, by the clock of the machine.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::checkpoint::{Entries, Saved, Written};
use crate::error::Result;
use crate::hash::{Key, key_group};
use crate::machine;
use crate::runtime::config::MAX_PARALLELISM;

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
    /// What the timers of this worker begin with, so that those of all workers and of all runs are different.
    worker: u64,
}

/// Timers count in steps of this, above the number of their worker.
const STEP: u64 = (MAX_PARALLELISM * MAX_PARALLELISM) as u64;

#[derive(Debug)]
enum Asked {
    Register(ProcessingTimer, Instant),
    Delete(ProcessingTimer),
}

impl KeyedContext {
    pub(crate) fn new(worker: usize) -> Self {
        KeyedContext { worker: worker as u64, ..Self::default() }
    }

    /// Asks for a call of [`on_timer`](crate::KeyedProcessFunction::on_timer) with the key at hand, `delay` from now on
    /// the clock of the machine. Each call makes a timer of its own.
    pub fn register_processing_time_timer(&mut self, delay: Duration) -> ProcessingTimer {
        let timer = ProcessingTimer(self.next_timer * STEP + self.worker);
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

    /// Writes how many timers there were, for a checkpoint.
    pub(crate) fn write(&self, to: &mut Written) -> Result<()> {
        if self.next_timer > 0 { to.pooled().put(&self.next_timer) } else { Ok(()) }
    }

    /// Goes on counting behind all timers that there ever were.
    pub(crate) fn restore(&mut self, from: &Saved<'_>) -> Result<()> {
        let mut counts = from.pooled()?;
        while let Some(n) = counts.next_item::<u64>()? {
            self.next_timer = self.next_timer.max(n);
        }
        Ok(())
    }
}

/// Longer than any run.
const FAR: Duration = Duration::from_secs(1 << 32);

/// Their kind in checkpoints.
const TIMERS: &str = "timers";
/// Timers that are written in one slice.
const SLICE: usize = 512;

/// The timers of one worker's keys.
pub(crate) struct Timers<K> {
    /// In the order in which they are called.
    keys: BTreeMap<(Instant, ProcessingTimer), K>,
    due: FxHashMap<ProcessingTimer, Instant>,
    /// Those that are still to be written for a checkpoint. They go back to the others when they are written, in slices or
    /// before they are called or deleted.
    aside: Aside<K>,
}

/// What is still to be written of the timers.
struct Aside<K> {
    keys: BTreeMap<(Instant, ProcessingTimer), K>,
    /// When they were put aside; from then on their delays count.
    at: Instant,
    written: Entries,
    /// The first that could not be written.
    failure: Result<()>,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        let (keys, written) = (BTreeMap::new(), Entries::default());
        let aside = Aside { keys, at: machine::now(), written, failure: Ok(()) };
        Timers { keys: BTreeMap::new(), due: FxHashMap::default(), aside }
    }
}

impl<K: Key> Timers<K> {
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
                        self.remove(due, timer);
                    }
                }
            }
        }
    }

    /// Takes the next timer that is due at `now` and was there when the context had made `n` timers: one that a timer
    /// asks for is called in the next turn, or a function that always asks for another would never end.
    pub(crate) fn next_due(&mut self, now: Instant, n: TimersMade) -> Option<(K, ProcessingTimer)> {
        let (due, timer) = self.first()?;
        if due > now || timer.0 / STEP >= n.0 {
            return None;
        }
        self.due.remove(&timer);
        self.remove(due, timer).map(|key| (key, timer))
    }

    /// When the next timer is due, if there is one.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.first().map(|(due, _timer)| due)
    }

    fn first(&self) -> Option<(Instant, ProcessingTimer)> {
        let firsts = [self.keys.keys().next(), self.aside.keys.keys().next()];
        firsts.into_iter().flatten().min().copied()
    }

    fn remove(&mut self, due: Instant, timer: ProcessingTimer) -> Option<K> {
        if let Some(key) = self.aside.keys.remove(&(due, timer)) {
            self.aside.write(due, timer, &key);
            return Some(key);
        }
        self.keys.remove(&(due, timer))
    }

    /// Marks the timers for a checkpoint.
    pub(crate) fn mark(&mut self) {
        self.keys.append(&mut self.aside.keys);
        std::mem::swap(&mut self.keys, &mut self.aside.keys);
        self.aside.at = machine::now();
    }

    /// Writes some of what was marked; whether there is more. An entry is the key, the timer and its remaining delay.
    pub(crate) fn sweep(&mut self, to: &mut Written) -> Result<bool> {
        for _ in 0..SLICE {
            let Some(((due, timer), key)) = self.aside.keys.pop_first() else { break };
            self.aside.write(due, timer, &key);
            self.keys.insert((due, timer), key);
        }
        let more = !self.aside.keys.is_empty();
        self.aside.written.hand_over(to.entries(TIMERS), !more);
        std::mem::replace(&mut self.aside.failure, Ok(()))?;
        Ok(more)
    }

    /// Takes over the timers of this worker's key groups. Time in which the job did not run does not count.
    pub(crate) fn restore(&mut self, from: &Saved<'_>) -> Result<()> {
        let now = machine::now();
        from.entries(TIMERS, |mut timers| {
            while let Some((key, timer, delay)) = timers.next_item::<(K, ProcessingTimer, Duration)>()? {
                let due = now.checked_add(delay).unwrap_or(now + FAR);
                self.due.insert(timer, due);
                self.keys.insert((due, timer), key);
            }
            Ok(())
        })
    }
}

impl<K: Key> Aside<K> {
    fn write(&mut self, due: Instant, timer: ProcessingTimer, key: &K) {
        let delay = due.saturating_duration_since(self.at);
        let outcome = self.written.put(key_group(key), &(key, timer, delay));
        if self.failure.is_ok() {
            self.failure = outcome;
        }
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
