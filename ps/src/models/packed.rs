//! Numbers as their bytes, for serde: a list of numbers is one byte string, little-endian.

use std::fmt;
use std::marker::PhantomData;

use bytemuck::Pod;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserializer, Serializer};

/// Writes the numbers as one byte string.
pub(crate) fn serialize<N: Pod, S: Serializer>(numbers: &[N], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytemuck::cast_slice(numbers))
}

/// Reads a byte string of whole numbers.
pub(crate) fn deserialize<'de, N: Pod, D: Deserializer<'de>, L: From<Vec<N>>>(
    deserializer: D,
) -> Result<L, D::Error> {
    deserializer.deserialize_bytes(Numbers(PhantomData)).map(L::from)
}

struct Numbers<N>(PhantomData<N>);

impl<'de, N: Pod> Visitor<'de> for Numbers<N> {
    type Value = Vec<N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bytes of whole numbers of {} bytes each", size_of::<N>())
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<N>, E> {
        if !bytes.len().is_multiple_of(size_of::<N>()) {
            return Err(E::invalid_length(bytes.len(), &self));
        }
        Ok(bytemuck::pod_collect_to_vec(bytes))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<N>, A::Error> {
        let mut bytes: Vec<u8> = Vec::new();
        while let Some(byte) = seq.next_element()? {
            bytes.push(byte);
        }
        self.visit_bytes(&bytes)
    }
}
