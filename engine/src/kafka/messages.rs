//! The messages of a transaction, side by side in memory as in checkpoints.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, SeqAccess, Visitor};
use serde::{Serialize, Serializer};

use super::KafkaMessage;

/// Messages, in order.
///
/// Each is its key and its payload, each of which is its length (4 bytes, little-endian; all ones for none) and its bytes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Messages {
    bytes: Vec<u8>,
    len: usize,
}

/// A message that is kept by [`Messages`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MessageRef<'a> {
    pub(super) key: Option<&'a [u8]>,
    pub(super) payload: Option<&'a [u8]>,
}

/// The length of what is not there.
const NONE: u32 = u32::MAX;

impl Messages {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Adds one whose key and payload are shorter than 4 GiB.
    pub(super) fn push(&mut self, message: &KafkaMessage) {
        for part in [&message.key, &message.payload] {
            let len = part.as_ref().map_or(NONE, |part| part.len() as u32);
            self.bytes.extend_from_slice(&len.to_le_bytes());
            self.bytes.extend_from_slice(part.as_deref().unwrap_or_default());
        }
        self.len += 1;
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = MessageRef<'_>> {
        let mut rest = &self.bytes[..];
        std::iter::from_fn(move || take_message(&mut rest))
    }

    /// `None` where the bytes are no messages.
    fn of_bytes(bytes: Vec<u8>) -> Option<Self> {
        let (mut rest, mut len) = (&bytes[..], 0);
        while !rest.is_empty() {
            take_message(&mut rest)?;
            len += 1;
        }
        Some(Messages { bytes, len })
    }
}

fn take_message<'a>(rest: &mut &'a [u8]) -> Option<MessageRef<'a>> {
    Some(MessageRef { key: take_part(rest)?, payload: take_part(rest)? })
}

fn take_part<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let (len, behind) = rest.split_first_chunk()?;
    *rest = behind;
    match u32::from_le_bytes(*len) {
        NONE => Some(None),
        len => {
            let (part, behind) = rest.split_at_checked(len as usize)?;
            *rest = behind;
            Some(Some(part))
        }
    }
}

/// As bytes, at once and not one by one.
impl Serialize for Messages {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.bytes)
    }
}

impl<'de> Deserialize<'de> for Messages {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = deserializer.deserialize_byte_buf(Bytes)?;
        Messages::of_bytes(bytes).ok_or_else(|| D::Error::custom("a message is cut"))
    }
}

/// Messages that are shared, as part of what serde knows.
pub(super) mod shared {
    use std::sync::Arc;

    use super::{Deserialize, Deserializer, Messages, Serialize, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(
        messages: &Arc<Messages>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        Messages::serialize(messages, serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arc<Messages>, D::Error> {
        Messages::deserialize(deserializer).map(Arc::new)
    }
}

struct Bytes;

impl<'de> Visitor<'de> for Bytes {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
        Ok(bytes)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut bytes: A) -> Result<Vec<u8>, A::Error> {
        let mut all = Vec::new();
        while let Some(byte) = bytes.next_element()? {
            all.push(byte);
        }
        Ok(all)
    }
}
