//! The hash of all sketches.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::generate::sm;

/// The hash of an item.
#[inline]
pub(super) fn hash(seed: u64, item: &[u8]) -> u64 {
    xxh3_64_with_seed(item, seed)
}

/// Function `i` of an item by its hash.
#[inline]
pub(super) fn function(hash: u64, i: usize) -> u64 {
    sm(hash, i as u64)
}

/// Function `i` of an item as a position below `n`: the high word of a product, which is even for every `n`.
#[inline]
pub(super) fn position(hash: u64, i: usize, n: usize) -> usize {
    ((u128::from(function(hash, i)) * n as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with other implementations of XXH3 and splitmix64: these values are in every sketch that was ever saved.
    #[test]
    fn hash_has_its_golden_values() {
        assert_eq!(hash(1, &42u64.to_le_bytes()), 0x6757_2691_c5ab_fc9c);
        let hash = hash(7, b"waterwheel");
        assert_eq!((hash, function(hash, 1)), (0x1326_8370_77ef_8104, 0x0f87_394d_485b_8861));
        assert_eq!([0, 1, 2].map(|i| position(hash, i, 1_000)), [533, 60, 166]);
    }
}
