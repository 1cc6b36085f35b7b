//! Sections: the pieces of state in a part, and how their bytes are stored.
//!
//! A section is stored as blocks of at most 1 MiB before compression. Each begins with two `u32`: its number of bytes,
//! and its number of stored bytes, with the highest bit set where the block is stored as it is because LZ4 would not
//! shrink it.

use serde::{Deserialize, Serialize};

/// Bytes of a block before compression, at most.
const BLOCK: usize = 1 << 20;
/// Marks a block that is not compressed.
const AS_IS: u32 = 1 << 31;

/// Whose state a section is, and which of it.
///
/// # Examples
/// ```
/// use waterwheel_engine::checkpoint::SectionKey;
///
/// let key = SectionKey::new("count-words", "state");
/// assert_eq!(key.to_string(), "count-words/state");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SectionKey {
    /// The `uid` of the operator.
    pub operator: String,
    /// Which state of the operator, such as `state`, `timers`, `position`.
    pub kind: String,
}

impl SectionKey {
    /// The key of a state of an operator.
    pub fn new(operator: impl Into<String>, kind: impl Into<String>) -> Self {
        SectionKey { operator: operator.into(), kind: kind.into() }
    }
}

impl std::fmt::Display for SectionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.operator, self.kind)
    }
}

/// Appends the stored form of a section; `packed` is for it to work in.
pub(super) fn store(bytes: &[u8], packed: &mut Vec<u8>, stored: &mut Vec<u8>) {
    for block in bytes.chunks(BLOCK) {
        packed.resize(packed.len().max(lz4_flex::block::get_maximum_output_size(block.len())), 0);
        let len = lz4_flex::block::compress_into(block, packed).ok();
        let (mark, kept) = match len.filter(|len| *len < block.len()) {
            Some(len) => (0, &packed[..len]),
            None => (AS_IS, block),
        };
        stored.extend((block.len() as u32).to_le_bytes());
        stored.extend((kept.len() as u32 | mark).to_le_bytes());
        stored.extend_from_slice(kept);
    }
}

/// The bytes of a section from its stored form; or what is wrong with that.
pub(super) fn restore(mut stored: &[u8], length: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    while !stored.is_empty() {
        let cut = || format!("it ends in the middle of a block, {} bytes in", bytes.len());
        let (head, rest) = stored.split_first_chunk::<8>().ok_or_else(cut)?;
        let [a, b, c, d, e, f, g, h] = *head;
        let (len, mark) = (u32::from_le_bytes([a, b, c, d]) as usize, u32::from_le_bytes([e, f, g, h]));
        if len > BLOCK {
            return Err(format!("a block of {len} bytes, at most {BLOCK} fit"));
        }
        let (packed, rest) = rest.split_at_checked((mark & !AS_IS) as usize).ok_or_else(cut)?;
        restore_block(packed, len, mark & AS_IS != 0, &mut bytes)?;
        stored = rest;
    }
    if bytes.len() as u64 != length {
        return Err(format!("{} bytes in its blocks, expected {length}", bytes.len()));
    }
    Ok(bytes)
}

fn restore_block(packed: &[u8], len: usize, as_is: bool, bytes: &mut Vec<u8>) -> Result<(), String> {
    let at = bytes.len();
    if as_is {
        bytes.extend_from_slice(packed);
    } else {
        bytes.resize(at + len, 0);
        let unpacked = lz4_flex::block::decompress_into(packed, &mut bytes[at..]);
        let unpacked = unpacked.map_err(|error| format!("a block can not be decompressed: {error}"))?;
        bytes.truncate(at + unpacked);
    }
    let found = bytes.len() - at;
    if found == len { Ok(()) } else { Err(format!("{found} bytes in a block, expected {len}")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stored(bytes: &[u8]) -> Vec<u8> {
        let mut stored = Vec::new();
        store(bytes, &mut Vec::new(), &mut stored);
        stored
    }

    /// Bytes that repeat, and bytes that do not.
    fn mixed(n: usize) -> Vec<u8> {
        let noise = |at: usize| xxhash_rust::xxh3::xxh3_64(&at.to_le_bytes()) as u8;
        (0..n).map(|at| if at % 4096 < 2048 { 7 } else { noise(at) }).collect()
    }

    #[test]
    fn section_of_many_blocks_comes_back() {
        for n in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5] {
            let bytes = mixed(n);
            let stored = stored(&bytes);
            assert!(n < 4096 || stored.len() < n * 3 / 4, "{} of {n}", stored.len());
            assert!(restore(&stored, n as u64).unwrap() == bytes, "{n}");
        }
    }

    #[test]
    fn bytes_that_lz4_would_not_shrink_are_stored_as_they_are() {
        let noise: Vec<u8> = mixed(4096).split_off(2048);
        assert_eq!(stored(&noise).len(), noise.len() + 8);
    }

    proptest! {
        #[test]
        fn section_comes_back(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            prop_assert_eq!(restore(&stored(&bytes), bytes.len() as u64).unwrap(), bytes);
        }

        /// What passes the checksums was written by us; but a reader must survive anything.
        #[test]
        fn any_bytes_are_restored_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = restore(&bytes, 10);
        }

        #[test]
        fn section_that_was_cut_is_refused(
            bytes in prop::collection::vec(any::<u8>(), 1..500),
            at in any::<prop::sample::Index>(),
        ) {
            let stored = stored(&bytes);
            let cut = &stored[..at.index(stored.len())];
            prop_assert!(restore(cut, bytes.len() as u64).is_err());
        }
    }
}
