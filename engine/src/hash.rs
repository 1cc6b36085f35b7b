//! Placement of keys: a fixed hash, key groups, and the worker that owns a group.
//!
//! This is part of the checkpoint format and never changes within a format version:
//!
//! * `hash(key)` is XXH3 (64 bits, seed 0) over the key's bytes. An integer of up to 64 bits is its
//!   value as 8 little-endian bytes, sign-extended; any other key is its postcard encoding.
//! * `key_group(key) = hash(key) mod 128`.
//! * `owner(group, n) = group * n / 128`, for `n` workers or servers.

use std::any::Any;

use serde::{Serialize, de::DeserializeOwned};
use xxhash_rust::xxh3::xxh3_64;

/// Number of key groups: the unit in which keyed state moves between workers.
pub const KEY_GROUPS: u64 = 128;

/// A key of keyed state: comparable, hashable, and with stable bytes.
///
/// Implemented for every type that has the listed traits; derive `Serialize` and `Deserialize`.
pub trait Key:
    Serialize + DeserializeOwned + std::hash::Hash + Ord + Clone + std::fmt::Debug + Send + 'static
{
}

impl<K> Key for K where
    K: Serialize + DeserializeOwned + std::hash::Hash + Ord + Clone + std::fmt::Debug + Send + 'static
{
}

/// The fixed hash of a key, as the [module](self) documents it.
///
/// Constant time for integers, linear in the encoded length otherwise.
#[inline]
pub fn key_hash<K: Key>(key: &K) -> u64 {
    match as_integer(key) {
        Some(value) => xxh3_64(&value.to_le_bytes()),
        None => hash_encoded(key),
    }
}

/// The key group of a key, in `0..KEY_GROUPS`.
#[inline]
pub fn key_group<K: Key>(key: &K) -> u64 {
    key_hash(key) % KEY_GROUPS
}

/// The worker (or server) that owns a key group when there are `n` of them; `n` is 1 or more.
#[inline]
pub fn group_owner(group: u64, n: usize) -> usize {
    (group * n as u64 / KEY_GROUPS) as usize
}

/// The worker (or server) that owns a key when there are `n` of them; `n` is 1 or more.
#[inline]
pub fn key_owner<K: Key>(key: &K, n: usize) -> usize {
    if n == 1 { 0 } else { group_owner(key_group(key), n) }
}

/// The value of an integer key, sign-extended to 64 bits. The type tests fold away at compile time.
#[inline]
fn as_integer<K: 'static>(key: &K) -> Option<u64> {
    let key = key as &dyn Any;
    macro_rules! first_of {
        ($($int:ty),*) => {
            $(if let Some(value) = key.downcast_ref::<$int>() { return Some(*value as i64 as u64); })*
        };
    }
    first_of!(u64, u32, i64, i32, usize, isize, u16, i16, u8, i8);
    None
}

fn hash_encoded<K: Key>(key: &K) -> u64 {
    let mut small = [0u8; 64];
    if let Ok(bytes) = postcard::to_slice(key, &mut small) {
        return xxh3_64(bytes);
    }
    match postcard::to_stdvec(key) {
        Ok(bytes) => xxh3_64(&bytes),
        // Only a hand-written Serialize can fail here; the operator's guard names the operator.
        Err(error) => panic!("key {key:?} can not be encoded: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Golden values, computed with another implementation of XXH3: they are in every checkpoint that exists, so a change here is a new format.
    #[test]
    fn key_hash_has_its_golden_values() {
        assert_eq!(key_hash(&0u64), 0xc77b3abb6f87acd9);
        assert_eq!(key_hash(&1u32), key_hash(&1i64));
        assert_eq!(key_hash(&-1i32), key_hash(&u64::MAX));
        assert_eq!(key_hash(&"waterwheel".to_string()), 0xccff8a38ba1862ff);
        assert_eq!(key_hash(&(3u32, "a".to_string())), 0x7972deda02a4d26e);
    }

    #[test]
    fn key_owner_of_extreme_keys_is_in_range() {
        for n in 1..=9 {
            for key in [i64::MIN, i64::from(i32::MIN), -1, 0, 7, i64::MAX] {
                assert!(key_owner(&key, n) < n);
            }
        }
    }

    proptest! {
        #[test]
        fn every_group_has_one_owner_and_owners_ascend(n in 1usize..200) {
            let owners: Vec<_> = (0..KEY_GROUPS).map(|group| group_owner(group, n)).collect();
            prop_assert!(owners.windows(2).all(|pair| pair[0] <= pair[1]));
            prop_assert!(owners.iter().all(|owner| *owner < n));
            if n as u64 <= KEY_GROUPS {
                prop_assert!((0..n).all(|worker| owners.contains(&worker)));
            }
        }

        #[test]
        fn long_keys_hash_like_their_encoding(text in ".{0,200}") {
            let encoded = postcard::to_stdvec(&text).unwrap();
            prop_assert_eq!(key_hash(&text), xxh3_64(&encoded));
        }
    }
}
