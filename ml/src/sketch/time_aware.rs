//! Sketches by window of time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use waterwheel_engine::{Error, Result};

use super::{Bloom, Sketch, check_same};

/// A Bloom filter for each window of time.
pub type TimeAwareBloom = TimeAware<Bloom>;

/// One sketch for each window of time that has items. Two are compared window by window, so that what happens at
/// different times does not count as common.
///
/// The slot of a time is `(time - origin) / window`, rounded down; all three in one unit, for example seconds.
///
/// # Examples
/// ```
/// use waterwheel_ml::sketch::{Bloom, BloomShape, TimeAwareBloom};
///
/// let empty = Bloom::new(BloomShape { bits: 1_000, hashes: 3 }, 1)?;
/// let mut storm = TimeAwareBloom::new(empty, 0, 3_600)?;
/// let mut rain = storm.clone();
/// storm.add_at(10, b"tweet 1");
/// storm.add_at(7_300, b"tweet 2");
/// rain.add_at(20, b"tweet 1");
/// rain.add_at(30, b"tweet 2");
/// let both = rain.common_slots(&storm).map(|(slot, a, b)| Ok((slot, a.estimate_intersection(b)?.round())));
/// assert_eq!(both.collect::<Result<Vec<_>, waterwheel_engine::Error>>()?, [(0, 1.0)]);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeAware<S> {
    origin: i64,
    window: i64,
    /// What a slot begins with.
    empty: S,
    slots: BTreeMap<i64, S>,
}

impl<S: Sketch + Clone> TimeAware<S> {
    /// Slots that begin with `empty`, of `window` each, counted from `origin`.
    ///
    /// # Errors
    /// The window is not 1 or more.
    pub fn new(empty: S, origin: i64, window: i64) -> Result<Self> {
        if window < 1 {
            return Err(Error::config(format!(
                "time-aware sketch: window: found {window}, expected 1 or more"
            )));
        }
        Ok(TimeAware { origin, window, empty, slots: BTreeMap::new() })
    }

    /// Adds an item at a time.
    pub fn add_at(&mut self, time: i64, item: &[u8]) {
        let slot = self.slot_of(time);
        self.slots.entry(slot).or_insert_with(|| self.empty.clone()).add(item);
    }

    /// The slot of a time.
    pub fn slot_of(&self, time: i64) -> i64 {
        // A window that was read from elsewhere may be anything.
        time.saturating_sub(self.origin).div_euclid(self.window.max(1))
    }

    /// The sketch of a slot, if it has items.
    pub fn slot(&self, slot: i64) -> Option<&S> {
        self.slots.get(&slot)
    }

    /// The slots that have items, in order.
    pub fn slots(&self) -> impl Iterator<Item = (i64, &S)> {
        self.slots.iter().map(|(slot, sketch)| (*slot, sketch))
    }

    /// The slots that both have, in order, with our sketch and theirs.
    pub fn common_slots<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = (i64, &'a S, &'a S)> {
        self.slots().filter_map(|(slot, ours)| Some((slot, ours, other.slots.get(&slot)?)))
    }

    /// Adds all that another one was given.
    ///
    /// # Errors
    /// It has another origin or window, or other sketches. This one is as before then.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        check_same("time-aware sketch", (self.origin, self.window), (other.origin, other.window))?;
        other.slots.values().chain([&other.empty]).try_for_each(|theirs| self.empty.check_like(theirs))?;
        self.slots.values().try_for_each(|ours| self.empty.check_like(ours))?;
        for (slot, theirs) in &other.slots {
            self.slots.entry(*slot).or_insert_with(|| self.empty.clone()).merge(theirs)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sketch::{BloomShape, TugOfWar};

    #[test]
    fn slots_are_rounded_down_before_the_origin_too() {
        let sketch = TimeAware::new(TugOfWar::new(64, 1).unwrap(), 100, 10).unwrap();
        assert_eq!([89, 90, 99, 100, 109, 110].map(|time| sketch.slot_of(time)), [-2, -1, -1, 0, 0, 1]);
        assert_eq!(sketch.slot_of(i64::MIN), i64::MIN / 10 - 1);
        assert!(TimeAware::new(TugOfWar::new(64, 1).unwrap(), 0, 0).is_err());
    }

    #[test]
    fn merge_refuses_other_windows_and_other_sketches() {
        let bloom = |bits| Bloom::new(BloomShape { bits, hashes: 2 }, 0).unwrap();
        let mut ours = TimeAware::new(bloom(64), 0, 10).unwrap();
        ours.add_at(5, b"a");
        let before = ours.clone();
        assert!(ours.merge(&TimeAware::new(bloom(64), 0, 20).unwrap()).is_err());
        let mut other = TimeAware::new(bloom(65), 0, 10).unwrap();
        other.add_at(5, b"b");
        assert!(ours.merge(&other).is_err());
        assert_eq!(ours, before);
    }
}
