//! What operators keep, as checkpoints hold it: items of functions, and entries by key group.
//!
//! Everything is written as *items*: their length (4 bytes, little-endian) and their postcard encoding, one behind the
//! other. The length finds a type that has changed, which its bytes alone might not.

mod decode;

use serde::{Serialize, de::DeserializeOwned};

use self::decode::decode;
use crate::error::{Error, Result};
use crate::hash::KEY_GROUPS;

/// State that can be kept per key: it begins as its default, and is stored by serde.
///
/// Implemented for every type that has the listed traits.
pub trait State: Default + Serialize + DeserializeOwned + 'static {}

impl<S: Default + Serialize + DeserializeOwned + 'static> State for S {}

/// Takes what a function keeps between records; see [`ProcessFunction::snapshot`](crate::ProcessFunction::snapshot).
#[derive(Debug, Default)]
pub struct StateWriter {
    bytes: Vec<u8>,
}

impl StateWriter {
    /// Adds one item.
    ///
    /// # Errors
    /// It can not be encoded.
    pub fn put<V: Serialize + ?Sized>(&mut self, item: &V) -> Result<()> {
        put_item(&mut self.bytes, item)
    }

    pub(crate) fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Bytes that an item is thought to fit in at first.
const ROOM: usize = 128;

/// Appends an item.
///
/// # Errors
/// It can not be encoded; nothing is appended then.
pub(crate) fn put_item<V: Serialize + ?Sized>(bytes: &mut Vec<u8>, item: &V) -> Result<()> {
    let start = bytes.len();
    let mut room = ROOM;
    // Into room that is there: byte by byte behind a vector, a list of bytes takes several times as long.
    loop {
        bytes.resize(start + 4 + room, 0);
        match postcard::to_slice(item, &mut bytes[start + 4..]).map(|encoded| encoded.len()) {
            Ok(len) => {
                bytes[start..start + 4].copy_from_slice(&(len as u32).to_le_bytes());
                bytes.truncate(start + 4 + len);
                return Ok(());
            }
            Err(postcard::Error::SerializeBufferFull) => room *= 2,
            Err(error) => {
                bytes.truncate(start);
                return Err(Error::operator("its state can not be encoded for a checkpoint").caused_by(error));
            }
        }
    }
}

/// Gives back what [`StateWriter`] has taken.
#[derive(Debug, Default)]
pub struct StateReader {
    bytes: Vec<u8>,
    next: usize,
}

impl StateReader {
    /// A reader of items that were written one behind the other.
    pub fn new(bytes: Vec<u8>) -> Self {
        StateReader { bytes, next: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.next == self.bytes.len()
    }

    /// Adds items behind those that are there.
    pub(crate) fn append(&mut self, items: &[u8]) {
        self.bytes.extend_from_slice(items);
    }

    /// The next item, in the order in which they were put; `None` behind the last. Fields that a struct has got since, at
    /// its end, have their `#[serde(default)]`, where the struct is the last of what was put.
    ///
    /// # Errors
    /// It is of another type than the one that was put.
    pub fn next_item<V: DeserializeOwned>(&mut self) -> Result<Option<V>> {
        let rest = &self.bytes[self.next..];
        if rest.is_empty() {
            return Ok(None);
        }
        let (head, rest) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
        let len = u32::from_le_bytes(*head) as usize;
        let item = rest.get(..len).ok_or_else(cut)?;
        self.next += 4 + len;
        decode(item).map(Some).map_err(|error| another_type::<V>().caused_by(error))
    }
}

fn cut() -> Error {
    Error::data("its state in the checkpoint ends in the middle of an item")
}

fn another_type<V>() -> Error {
    let expected = std::any::type_name::<V>();
    Error::config(format!(
        "its state in the checkpoint can not be read as {expected}: the type has changed since, or another operator \
         has taken its place; give operators a uid"
    ))
}

/// Bytes of a key group from which they are handed over before all of it is written.
pub(super) const SECTION_BYTES: usize = 64 << 10;

/// Entries of a keyed state, by key group.
#[derive(Debug, Default)]
pub struct Entries {
    groups: Vec<Vec<u8>>,
}

impl Entries {
    /// Adds an entry to a [key group](crate::hash::key_group). Valid: below [`KEY_GROUPS`].
    ///
    /// # Errors
    /// It can not be encoded.
    pub fn put<V: Serialize>(&mut self, group: u64, entry: &V) -> Result<()> {
        if self.groups.is_empty() {
            self.groups.resize_with(KEY_GROUPS as usize, Vec::new);
        }
        put_item(&mut self.groups[group as usize], entry)
    }

    /// Hands over to `to` what is there of the groups that are worth a section of their own, or of all: behind what is
    /// there, where that is any.
    pub fn hand_over(&mut self, to: &mut Entries, all: bool) {
        if to.groups.len() < self.groups.len() {
            to.groups.resize_with(self.groups.len(), Vec::new);
        }
        let from = if all { 1 } else { SECTION_BYTES };
        for (bytes, to) in self.groups.iter_mut().zip(&mut to.groups).filter(|(bytes, _)| bytes.len() >= from)
        {
            if to.is_empty() {
                // What comes next is about as much, if more is to come.
                let next = Vec::with_capacity(if all { 0 } else { bytes.len() });
                *to = std::mem::replace(bytes, next);
            } else {
                to.append(bytes);
            }
        }
    }

    /// Takes all entries of the groups that have at least `from` bytes of them: the group, and items for a
    /// [`StateReader`].
    pub fn take(&mut self, from: usize) -> impl Iterator<Item = (u32, Vec<u8>)> {
        let full = self.groups.iter_mut().zip(0u32..).filter(move |(bytes, _)| bytes.len() >= from.max(1));
        full.map(|(bytes, group)| (group, std::mem::take(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Golden bytes of docs/formats/checkpoint-state.md: they are in every checkpoint.
    #[test]
    fn items_have_their_golden_bytes() {
        let mut writer = StateWriter::default();
        writer.put(&(300u32, "ab")).unwrap();
        writer.put(&()).unwrap();
        assert_eq!(writer.into_bytes(), [5, 0, 0, 0, 0xac, 0x02, 2, b'a', b'b', 0, 0, 0, 0]);
    }

    #[test]
    fn item_of_another_type_is_refused() {
        let mut writer = StateWriter::default();
        writer.put(&(1u8, 2u8)).unwrap();
        let bytes = writer.into_bytes();
        let error = StateReader::new(bytes.clone()).next_item::<u8>().unwrap_err();
        assert!(error.full_message().ends_with("give operators a uid: 1 bytes are left over"), "{error:?}");
        assert!(StateReader::new(bytes.clone()).next_item::<Vec<String>>().is_err());
        assert!(StateReader::new(bytes[..5].to_vec()).next_item::<(u8, u8)>().is_err());
    }

    #[test]
    fn entries_are_taken_by_group_from_a_size_on() {
        let mut entries = Entries::default();
        assert_eq!(entries.take(0).count(), 0);
        entries.put(3, &7u8).unwrap();
        entries.put(127, &(7u8, 7u8)).unwrap();
        assert_eq!(Vec::from_iter(entries.take(6)), [(127, vec![2, 0, 0, 0, 7, 7])]);
        assert_eq!(Vec::from_iter(entries.take(0)), [(3, vec![1, 0, 0, 0, 7])]);
        assert_eq!(entries.take(0).count(), 0);
    }

    #[test]
    fn entries_are_handed_over_behind_those_that_are_there() {
        let (mut from, mut to) = (Entries::default(), Entries::default());
        from.hand_over(&mut to, true);
        assert_eq!(to.take(0).count(), 0);
        let large = vec![5u8; SECTION_BYTES];
        to.put(3, &1u8).unwrap();
        from.put(3, &2u8).unwrap();
        from.put(9, &large).unwrap();
        from.hand_over(&mut to, false);
        assert_eq!(Vec::from_iter(from.take(0)), [(3, vec![1, 0, 0, 0, 2])]);
        from.put(3, &4u8).unwrap();
        from.hand_over(&mut to, true);
        let mut handed = to.take(0);
        assert_eq!(handed.next(), Some((3, vec![1, 0, 0, 0, 1, 1, 0, 0, 0, 4])));
        let (group, bytes) = handed.next().unwrap();
        assert_eq!((group, StateReader::new(bytes).next_item::<Vec<u8>>().unwrap()), (9, Some(large)));
        assert_eq!(handed.next(), None);
    }

    proptest! {
        #[test]
        fn items_come_back_in_order(items in prop::collection::vec((any::<i64>(), ".{0,9}|z{100,140}|y{1000}"), 0..50)) {
            let mut writer = StateWriter::default();
            items.iter().for_each(|item| writer.put(item).unwrap());
            let mut reader = StateReader::new(writer.into_bytes());
            for item in items {
                prop_assert_eq!(reader.next_item::<(i64, String)>().unwrap(), Some(item));
            }
            prop_assert_eq!(reader.next_item::<u8>().unwrap(), None);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut reader = StateReader::new(bytes);
            while let Ok(Some(_)) = reader.next_item::<(u32, String)>() {}
        }
    }
}
