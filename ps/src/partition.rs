//! Keys `0..n` split into parts: contiguous ranges, or in turn.

use serde::{Deserialize, Serialize};

/// How the keys `0..n` are split into parts.
///
/// | scheme | part of a key | its place there |
/// |---|---|---|
/// | `Range` | parts of `floor(n / parts)` keys, the last `n mod parts` of them one larger, one after the other | key less the first of its part |
/// | `Cyclic` | `key mod parts` | `floor(key / parts)` |
///
/// Neighbouring keys are together in ranges, and apart in turn: of keys in order of frequency every part gets its share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Partitioning {
    /// Contiguous ranges of nearly equal size.
    #[default]
    Range,
    /// In turn.
    Cyclic,
}

/// The keys of one part, each at its own place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) first: u64,
    pub(crate) step: u64,
    pub(crate) len: u64,
}

impl Part {
    /// Place of a key in this part, if it is here.
    #[inline]
    pub(crate) fn place(&self, key: u64) -> Option<u64> {
        let offset = key.checked_sub(self.first)?;
        let place = match self.step {
            1 => offset,
            step if offset % step == 0 => offset / step,
            _ => return None,
        };
        (place < self.len).then_some(place)
    }

    /// The key at a place.
    #[inline]
    pub(crate) fn key(&self, place: u64) -> u64 {
        self.first + place * self.step
    }
}

impl Partitioning {
    /// The part of a key below `n`; of others it says nothing.
    #[inline]
    pub(crate) fn part_of(self, key: u64, n: u64, parts: u64) -> u64 {
        match self {
            Partitioning::Cyclic => key % parts,
            Partitioning::Range => {
                let (small, large) = (n / parts, n % parts);
                let in_small = (parts - large) * small;
                match key.checked_sub(in_small) {
                    None => key / small,
                    Some(beyond) => parts - large + beyond / (small + 1),
                }
            }
        }
    }

    /// The keys of part `part` of `parts`.
    pub(crate) fn part(self, part: u64, n: u64, parts: u64) -> Part {
        match self {
            Partitioning::Cyclic => {
                let len = n.saturating_sub(part).div_ceil(parts);
                Part { first: part, step: parts, len }
            }
            Partitioning::Range => {
                let (small, large) = (n / parts, n % parts);
                let larger_before = part.saturating_sub(parts - large);
                let len = small + u64::from(part >= parts - large);
                Part { first: part * small + larger_before, step: 1, len }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// T-GL-13: every key is in exactly its part, at a place of its own.
    fn assert_splits(scheme: Partitioning, parts: u64, n: u64) {
        let mut places: Vec<Vec<u64>> = vec![vec![]; parts as usize];
        for key in 0..n {
            let of = scheme.part_of(key, n, parts);
            for part in 0..parts {
                let found = scheme.part(part, n, parts);
                let place = found.place(key);
                assert_eq!(place.is_some(), part == of, "{scheme:?} key {key} part {part} of {parts}");
                if let Some(place) = place {
                    assert_eq!(found.key(place), key);
                    places[part as usize].push(place);
                }
            }
        }
        for (part, mut found) in places.into_iter().enumerate() {
            found.sort_unstable();
            let len = scheme.part(part as u64, n, parts).len;
            assert_eq!(found, (0..len).collect::<Vec<_>>(), "{scheme:?} part {part} of {parts}");
            assert!(len == n / parts || len == n.div_ceil(parts));
        }
    }

    #[test]
    fn t_gl_13_every_key_is_in_exactly_its_part_at_a_place_of_its_own() {
        for (parts, n) in [(5, 37), (20, 50), (13, 13), (33, 12), (17, 137)] {
            assert_splits(Partitioning::Cyclic, parts, n);
        }
        for (parts, n) in [(5, 109), (20, 50), (13, 13), (33, 12), (15, 97)] {
            assert_splits(Partitioning::Range, parts, n);
        }
    }

    #[test]
    fn t_gl_13_key_beyond_the_last_is_in_no_part() {
        for (scheme, parts) in [(Partitioning::Cyclic, 13), (Partitioning::Range, 12)] {
            for key in [105, 106, u64::MAX] {
                assert!((0..parts).all(|part| scheme.part(part, 105, parts).place(key).is_none()));
            }
        }
    }

    proptest! {
        #[test]
        fn any_split_has_every_key_once(n in 0u64..200, parts in 1u64..40) {
            assert_splits(Partitioning::Range, parts, n);
            assert_splits(Partitioning::Cyclic, parts, n);
        }

        #[test]
        fn splits_of_all_keys_do_not_overflow(key in any::<u64>(), parts in 1u64..1_000) {
            let n = u64::MAX;
            for scheme in [Partitioning::Range, Partitioning::Cyclic] {
                let part = scheme.part_of(key.min(n - 1), n, parts);
                prop_assert!(part < parts);
                let found = scheme.part(part, n, parts);
                prop_assert_eq!(found.place(key.min(n - 1)).map(|place| found.key(place)), Some(key.min(n - 1)));
            }
        }
    }
}
