//! The states of one worker's keys, with or without a time to live.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::checkpoint::{Entries, Saved, State, Written};
use crate::error::{Error, Result};
use crate::hash::{Key, key_group};
use crate::keyed::cow::CowTable;
use crate::machine;

/// How long the state of a key is kept after the key's last record; see
/// [`KeyedStream::state_ttl`](crate::KeyedStream::state_ttl).
///
/// Made from a [`Duration`], by the clock of the machine.
#[derive(Clone)]
pub struct StateTtl {
    after: Duration,
    clock: Rc<dyn Fn() -> Instant>,
}

impl StateTtl {
    /// State is dropped once it has not been touched for `after`, which must be above zero.
    pub fn new(after: Duration) -> Self {
        StateTtl { after, clock: Rc::new(machine::now) }
    }

    /// Reads the time from `clock` instead, for tests. It must not run backwards.
    #[must_use]
    pub fn clock(mut self, clock: impl Fn() -> Instant + 'static) -> Self {
        self.clock = Rc::new(clock);
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        match self.after.is_zero() {
            true => Err(Error::config("state_ttl is 0, expected a time above zero")),
            false => Ok(()),
        }
    }

    fn has_passed(&self, touched: Instant, now: Instant) -> bool {
        now.saturating_duration_since(touched) >= self.after
    }
}

impl From<Duration> for StateTtl {
    fn from(after: Duration) -> Self {
        StateTtl::new(after)
    }
}

impl std::fmt::Debug for StateTtl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StateTtl").field("after", &self.after).finish_non_exhaustive()
    }
}

/// Entries of a checkpoint that are taken over in one go.
const RESTORED_AT_ONCE: usize = 256;

/// Their kind in checkpoints.
pub(crate) const STATES: &str = "states";

/// The states of one worker's keys.
pub(crate) enum KeyStates<K, S> {
    /// Kept to the end.
    Lasting(CowTable<K, S>),
    /// Dropped some time after the last touch.
    Expiring(Expiring<K, S>),
}

impl<K: Key, S: State> KeyStates<K, S> {
    pub(crate) fn new(ttl: Option<StateTtl>) -> Self {
        match ttl {
            None => KeyStates::Lasting(CowTable::default()),
            Some(ttl) => {
                KeyStates::Expiring(Expiring { ttl, entries: CowTable::default(), queue: VecDeque::new() })
            }
        }
    }

    /// Number of keys that have a state; one that has timed out counts until it is dropped.
    pub(crate) fn len(&self) -> usize {
        match self {
            KeyStates::Lasting(states) => states.len(),
            KeyStates::Expiring(states) => states.entries.len(),
        }
    }

    /// States of no keys, with the same time to live.
    pub(crate) fn fresh(&self) -> Self {
        Self::new(match self {
            KeyStates::Lasting(_) => None,
            KeyStates::Expiring(states) => Some(states.ttl.clone()),
        })
    }

    /// Runs `f` on the state of `key`, and tells it whether the state was made for this call.
    #[inline]
    pub(crate) fn with<R>(&mut self, key: &K, f: impl FnOnce(&mut S, bool) -> R) -> R {
        match self {
            KeyStates::Lasting(states) => {
                states.cut_if_large();
                let (_key, state, is_new) = states.state_or(key, S::default);
                f(state, is_new)
            }
            KeyStates::Expiring(states) => states.with(key, f),
        }
    }

    /// Runs `f` on every state that has not timed out, in order of key, up to the first error.
    pub(crate) fn for_each(&mut self, mut f: impl FnMut(&K, &mut S) -> Result<()>) -> Result<()> {
        let mut entries: Vec<(&K, &mut S)> = match self {
            KeyStates::Lasting(states) => states.iter_mut().collect(),
            KeyStates::Expiring(states) => states.live().collect(),
        };
        entries.sort_by(|a, b| a.0.cmp(b.0));
        entries.into_iter().try_for_each(|(key, state)| f(key, state))
    }

    /// Drops all states, and their memory.
    pub(crate) fn clear(&mut self) {
        match self {
            KeyStates::Lasting(states) => states.clear(),
            KeyStates::Expiring(states) => {
                states.entries.clear();
                states.queue = VecDeque::new();
            }
        }
    }

    /// Marks the states for a checkpoint: where they last, what has changed since the one before, if that can be added to.
    /// An entry is the key, the time since its last touch, which is 0 where states last, and the state.
    pub(crate) fn mark(&mut self, to: &mut Written) {
        match self {
            KeyStates::Lasting(states) => {
                let encode =
                    Box::new(|key: &K, state: &S, to: &mut Entries| put(key, Duration::ZERO, state, to));
                if states.mark_changes(to.may_add(), encode) {
                    to.add_to(STATES);
                }
            }
            KeyStates::Expiring(states) => {
                let (now, ttl) = ((states.ttl.clock)(), states.ttl.clone());
                states.entries.mark(Box::new(move |key, Touched { state, at }, to| {
                    match ttl.has_passed(*at, now) {
                        true => Ok(()),
                        false => put(key, now.saturating_duration_since(*at), state, to),
                    }
                }));
            }
        }
    }

    /// Writes some of what was marked; whether there is more.
    pub(crate) fn sweep(&mut self, to: &mut Written) -> Result<bool> {
        match self {
            KeyStates::Lasting(states) => states.sweep(to.entries(STATES)),
            KeyStates::Expiring(states) => states.entries.sweep(to.entries(STATES)),
        }
    }

    /// Takes over the states of this worker's key groups. Time in which the job did not run does not count.
    pub(crate) fn restore(&mut self, from: &Saved<'_>) -> Result<()> {
        let mut some: Vec<(K, Duration, S)> = Vec::with_capacity(RESTORED_AT_ONCE);
        from.entries(STATES, |mut entries| {
            loop {
                // First read, then put in their places: there, several are waited for at once.
                while some.len() < RESTORED_AT_ONCE
                    && let Some(entry) = entries.next_item()?
                {
                    some.push(entry);
                }
                if some.is_empty() {
                    return Ok(());
                }
                self.take_over(some.drain(..));
            }
        })?;
        if let KeyStates::Expiring(states) = self {
            states.queue.make_contiguous().sort_by_key(|(at, _key)| *at);
        }
        Ok(())
    }

    fn take_over(&mut self, entries: impl Iterator<Item = (K, Duration, S)>) {
        match self {
            KeyStates::Lasting(states) => {
                states.cut_if_large();
                entries.for_each(|(key, _age, state)| states.put(&key, state));
            }
            KeyStates::Expiring(states) => {
                entries.for_each(|(key, age, state)| states.take_over(key, age, state));
            }
        }
    }
}

fn put<K: Key, S: State>(key: &K, age: Duration, state: &S, to: &mut Entries) -> Result<()> {
    to.put(key_group(key), &(key, age, state))
}

/// A state and when it was last touched.
struct Touched<S> {
    state: S,
    at: Instant,
}

/// States that time out.
pub(crate) struct Expiring<K, S> {
    ttl: StateTtl,
    entries: CowTable<K, Touched<S>>,
    /// Every key once, with the time of a touch: not of each, so that a touch costs no move in the queue.
    queue: VecDeque<(Instant, K)>,
}

/// Keys looked at per touch: every touch causes one look at most, so with more than one none piles up.
const LOOKS_PER_TOUCH: usize = 2;

impl<K: Key, S: State> Expiring<K, S> {
    pub(crate) fn with<R>(&mut self, key: &K, f: impl FnOnce(&mut S, bool) -> R) -> R {
        let now = (self.ttl.clock)();
        self.sweep(now);
        if let Some(entry) = self.entries.get_mut(key) {
            let is_new = self.ttl.has_passed(entry.at, now);
            if is_new {
                entry.state = S::default();
            }
            entry.at = now;
            return f(&mut entry.state, is_new);
        }
        self.queue.push_back((now, key.clone()));
        self.entries.cut_if_large();
        let (_key, entry, _is_new) = self.entries.state_or(key, || Touched { state: S::default(), at: now });
        f(&mut entry.state, true)
    }

    /// Takes over a state that was last touched so long ago.
    fn take_over(&mut self, key: K, age: Duration, state: S) {
        let now = (self.ttl.clock)();
        let at = now.checked_sub(age).unwrap_or(now);
        self.queue.push_back((at, key.clone()));
        self.entries.state_or(&key, || Touched { state, at });
    }

    /// Drops a few states that have timed out. A key that was touched since it was queued is queued again.
    fn sweep(&mut self, now: Instant) {
        for _ in 0..LOOKS_PER_TOUCH {
            if self.queue.front().is_none_or(|(at, _)| !self.ttl.has_passed(*at, now)) {
                return;
            }
            let Some((_, key)) = self.queue.pop_front() else { return };
            let Some(touched) = self.entries.get_mut(&key).map(|entry| entry.at) else { continue };
            if self.ttl.has_passed(touched, now) {
                self.entries.remove(&key);
            } else {
                self.queue.push_back((touched, key));
            }
        }
    }

    fn live(&mut self) -> impl Iterator<Item = (&K, &mut S)> {
        let now = (self.ttl.clock)();
        let ttl = &self.ttl;
        let live = self.entries.iter_mut().filter(move |(_, entry)| !ttl.has_passed(entry.at, now));
        live.map(|(key, entry)| (key, &mut entry.state))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rustc_hash::FxHashMap;
    use std::cell::Cell;

    fn states(ttl_secs: u64) -> (KeyStates<u64, u64>, Rc<Cell<Instant>>) {
        let now = Rc::new(Cell::new(machine::now()));
        let read = Rc::clone(&now);
        let ttl = StateTtl::new(Duration::from_secs(ttl_secs)).clock(move || read.get());
        (KeyStates::new(Some(ttl)), now)
    }

    proptest! {
        /// Against a list of all touches, searched from its end.
        #[test]
        fn state_counts_the_touches_since_the_last_gap_of_the_time_to_live(
            steps in prop::collection::vec((0u64..6, 0u64..4), 0..400), ttl in 1u64..12,
        ) {
            let (mut states, clock) = states(ttl);
            let mut model: FxHashMap<u64, (u64, u64)> = FxHashMap::default();
            let (start, mut now) = (clock.get(), 0);
            for (key, pause) in steps {
                now += pause;
                clock.set(start + Duration::from_secs(now));
                let count = states.with(&key, |count, is_new| { *count += 1; (*count, is_new) });
                let (last, n) = model.get(&key).copied().unwrap_or((0, 0));
                let n = if n > 0 && now - last < ttl { n + 1 } else { 1 };
                model.insert(key, (now, n));
                prop_assert_eq!(count, (n, n == 1));
            }
            let mut expected: Vec<_> =
                model.into_iter().filter(|(_, (last, _))| now - last < ttl).map(|(k, (_, n))| (k, n)).collect();
            expected.sort_unstable();
            let mut seen = Vec::new();
            states.for_each(|key, count| { seen.push((*key, *count)); Ok(()) }).unwrap();
            prop_assert_eq!(seen, expected);
        }
    }

    /// Golden bytes of docs/formats/checkpoint-state.md.
    #[test]
    fn entries_in_a_checkpoint_have_their_golden_bytes() {
        let mut states: KeyStates<u64, u64> = KeyStates::new(None);
        states.with(&7, |state, _| *state = 9);
        let mut written = Written::default();
        states.mark(&mut written);
        assert!(!states.sweep(&mut written).unwrap());
        let entries = Vec::from_iter(written.entries(STATES).take(0));
        assert_eq!(entries, [(key_group(&7u64) as u32, vec![4, 0, 0, 0, 7, 0, 0, 9])]);
    }

    /// What has timed out is no part of a checkpoint, and the age of the rest is.
    #[test]
    fn entries_with_a_time_to_live_keep_their_age() {
        let (mut states, clock) = states(10);
        let start = clock.get();
        states.with(&1, |state, _| *state = 1);
        clock.set(start + Duration::from_secs(7));
        states.with(&2, |state, _| *state = 2);
        clock.set(start + Duration::from_secs(10));
        let mut written = Written::default();
        states.mark(&mut written);
        // Touched after the mark: written as it was.
        states.with(&2, |state, _| *state = 3);
        while states.sweep(&mut written).unwrap() {}
        let entries = Vec::from_iter(written.entries(STATES).take(0));
        assert_eq!(entries, [(key_group(&2u64) as u32, vec![4, 0, 0, 0, 2, 3, 0, 2])]);
    }

    #[test]
    fn states_of_keys_that_never_come_back_do_not_pile_up() {
        let (mut states, clock) = states(100);
        let start = clock.get();
        for second in 0..100_000u64 {
            clock.set(start + Duration::from_secs(second));
            // One key that stays alive, and one that is never seen again.
            states.with(&u64::MAX, |count, _| *count += 1);
            states.with(&second, |count, _| *count += 1);
            let KeyStates::Expiring(inner) = &states else { panic!("made with a time to live") };
            assert!(inner.entries.len() <= 103 && inner.queue.len() == inner.entries.len());
        }
        assert_eq!(states.with(&u64::MAX, |count, _| *count), 100_000);
    }
}
