//! Which clocks are complete, and what waits for them.

use std::collections::{BTreeMap, VecDeque};

/// A clock within a time of the surroundings.
pub(crate) type At<T> = (T, u64);

/// Lets operations of a clock through when clocks before it are complete.
///
/// It is told what may still come: the frontier, a time `(t, (clock, hop))` of the loop. A clock is complete
/// when the frontier is behind it: then nobody can send in it any more, and what was sent has been read.
pub(crate) struct ClockGate<T, W> {
    /// How many clocks before its own a pull may miss; `None` if it waits for none.
    staleness: Option<u64>,
    /// The least clock that is not complete; `None` when all are.
    open: Option<At<T>>,
    /// What waits, by the clock before which all must be complete.
    waiting: BTreeMap<At<T>, VecDeque<W>>,
}

impl<T: Ord + Clone, W> ClockGate<T, W> {
    /// A gate in a loop that begins at time `start`.
    pub(crate) fn new(staleness: Option<u64>, start: T) -> Self {
        ClockGate { staleness, open: Some((start, 0)), waiting: BTreeMap::new() }
    }

    /// The clock before which all must be complete for operations of `at`; `None` if there is none.
    fn needed(&self, at: &At<T>, exactly: bool) -> Option<At<T>> {
        let staleness = if exactly { Some(0) } else { self.staleness };
        staleness.map(|staleness| (at.0.clone(), at.1.saturating_sub(staleness)))
    }

    /// Whether `at` is complete.
    pub(crate) fn is_complete(&self, at: &At<T>) -> bool {
        self.open.as_ref().is_none_or(|open| at < open)
    }

    /// How many clocks before `at` are not complete; those of times of the surroundings before its own not counted.
    pub(crate) fn missing(&self, at: &At<T>) -> u64 {
        self.open.as_ref().filter(|open| open.0 <= at.0).map_or(0, |open| at.1.saturating_sub(open.1))
    }

    /// Whether operations of `at` may go on now. With `exactly` they wait for all clocks before theirs, whatever
    /// the staleness.
    #[inline]
    pub(crate) fn lets_pass(&self, at: &At<T>, exactly: bool) -> bool {
        let needed = self.needed(at, exactly);
        needed.is_none_or(|needed| self.open.as_ref().is_none_or(|open| needed <= *open))
    }

    /// Keeps operations of `at` that may not go on yet.
    pub(crate) fn wait(&mut self, at: &At<T>, exactly: bool, what: W) {
        let needed = self.needed(at, exactly).unwrap_or_else(|| at.clone());
        self.waiting.entry(needed).or_default().push_back(what);
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Notes the least clock that may still come; `None` if none will.
    pub(crate) fn advance(&mut self, open: Option<At<T>>) {
        self.open = open;
    }

    /// What may go on and has waited longest, clock by clock.
    pub(crate) fn next_ready(&mut self) -> Option<W> {
        let mut first = self.waiting.first_entry()?;
        if self.open.as_ref().is_some_and(|open| first.key() > open) {
            return None;
        }
        let what = first.get_mut().pop_front();
        if first.get().is_empty() {
            first.remove();
        }
        what
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn gate_lets_pulls_of_a_clock_pass_when_those_before_it_are_complete() {
        let mut gate = ClockGate::new(Some(0), 0u64);
        assert!(gate.lets_pass(&(0, 0), false));
        assert!(!gate.lets_pass(&(0, 1), false));
        gate.wait(&(0, 1), false, "b");
        assert_eq!(gate.next_ready(), None);
        gate.advance(Some((0, 1)));
        assert!(gate.is_complete(&(0, 0)) && !gate.is_complete(&(0, 1)));
        assert_eq!(gate.next_ready(), Some("b"));
        assert!(!gate.lets_pass(&(1, 2), false), "a later epoch comes after all clocks of this one");
        gate.wait(&(1, 2), false, "c");
        gate.advance(None);
        assert_eq!((gate.next_ready(), gate.next_ready()), (Some("c"), None));
    }

    proptest! {
        /// Of the clocks before `t - s`, none is open when operations of `t` pass; and those that fit pass.
        #[test]
        fn operations_pass_exactly_when_the_staleness_allows(
            staleness in prop::option::of(0u64..4),
            ops in prop::collection::vec((0u64..12, any::<bool>()), 1..60),
        ) {
            let mut gate = ClockGate::new(staleness, 0u64);
            for open in 0..14 {
                gate.advance(Some((0, open)));
                while let Some((clock, exactly)) = gate.next_ready() {
                    let staleness = if exactly { 0 } else { staleness.unwrap() };
                    prop_assert_eq!(open, clock - staleness, "it waited no longer than it had to");
                }
                for (clock, exactly) in ops.iter().filter(|(clock, _)| *clock >= open) {
                    let allowed = if *exactly { Some(0) } else { staleness };
                    let fits = allowed.is_none_or(|s| clock.saturating_sub(s) <= open);
                    prop_assert_eq!(gate.lets_pass(&(0, *clock), *exactly), fits);
                    if !fits {
                        gate.wait(&(0, *clock), *exactly, (*clock, *exactly));
                    }
                }
            }
        }
    }
}
