//! How much memory a batch takes, as far as serde shows it.

use serde::Serialize;
use serde::ser::{
    SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use crate::wire::WireError;

/// What the allocator adds to a piece of memory, and rounds it up by.
const ALLOCATION: u64 = 16;
/// A text or a list, without what is in it.
const LIST: u64 = size_of::<Vec<u8>>() as u64;

/// Bytes of memory of a batch: never 0.
pub(super) fn of<D: Serialize>(batch: &Vec<D>) -> u64 {
    let mut bytes = LIST + ALLOCATION + (batch.capacity() * size_of::<D>()) as u64;
    // What needs no drop owns nothing.
    if std::mem::needs_drop::<D>() {
        for record in batch {
            // A record that can not be visited to its end is an error where it is written, not where it is counted.
            let _ = record.serialize(Owned::<false>(&mut bytes));
        }
    }
    bytes
}

/// Adds up what a record owns. Its own fields count for nothing, they are in the list of records; what is `LISTED`
/// lies in a list that the record owns, and counts with its fields.
struct Owned<'a, const LISTED: bool>(&'a mut u64);

impl<const LISTED: bool> Owned<'_, LISTED> {
    #[inline]
    fn field(&mut self, bytes: u64) {
        if LISTED {
            *self.0 += bytes;
        }
    }

    #[inline]
    fn text(mut self, bytes: usize) -> Result<(), WireError> {
        self.field(LIST);
        if bytes > 0 {
            *self.0 += ALLOCATION + bytes as u64;
        }
        Ok(())
    }
}

macro_rules! numbers {
    ($($method:ident, $type:ty;)*) => {$(
        #[inline]
        fn $method(mut self, _value: $type) -> Result<(), WireError> {
            self.field(size_of::<$type>() as u64);
            Ok(())
        }
    )*};
}

impl<'a, const LISTED: bool> Serializer for Owned<'a, LISTED> {
    type Ok = ();
    type Error = WireError;
    type SerializeSeq = Owned<'a, true>;
    type SerializeMap = Owned<'a, true>;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    numbers! {
        serialize_bool, bool;
        serialize_i8, i8;
        serialize_i16, i16;
        serialize_i32, i32;
        serialize_i64, i64;
        serialize_i128, i128;
        serialize_u8, u8;
        serialize_u16, u16;
        serialize_u32, u32;
        serialize_u64, u64;
        serialize_u128, u128;
        serialize_f32, f32;
        serialize_f64, f64;
        serialize_char, char;
    }

    #[inline]
    fn serialize_str(self, text: &str) -> Result<(), WireError> {
        self.text(text.len())
    }

    #[inline]
    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), WireError> {
        self.text(bytes.len())
    }

    fn serialize_none(mut self) -> Result<(), WireError> {
        self.field(1);
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(mut self, value: &T) -> Result<(), WireError> {
        self.field(1);
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), WireError> {
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), WireError> {
        Ok(())
    }

    fn serialize_unit_variant(mut self, _: &'static str, _: u32, _: &'static str) -> Result<(), WireError> {
        self.field(1);
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), WireError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), WireError> {
        self.serialize_some(value)
    }

    fn serialize_seq(mut self, len: Option<usize>) -> Result<Owned<'a, true>, WireError> {
        self.field(LIST);
        if len != Some(0) {
            *self.0 += ALLOCATION;
        }
        Ok(Owned(self.0))
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Owned<'a, true>, WireError> {
        self.serialize_seq(len)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, WireError> {
        Ok(self)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, WireError> {
        Ok(self)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, WireError> {
        Ok(self)
    }

    fn serialize_tuple_variant(
        mut self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, WireError> {
        self.field(1);
        Ok(self)
    }

    fn serialize_struct_variant(
        mut self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, WireError> {
        self.field(1);
        Ok(self)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

macro_rules! parts {
    ($($trait:ident, $($method:ident $(($name:ident))?),+;)*) => {$(
        impl<const LISTED: bool> $trait for Owned<'_, LISTED> {
            type Ok = ();
            type Error = WireError;

            $(#[inline]
            fn $method<T: Serialize + ?Sized>(
                &mut self,
                $($name: &'static str,)?
                value: &T,
            ) -> Result<(), WireError> {
                value.serialize(Owned::<LISTED>(self.0))
            })+

            #[inline]
            fn end(self) -> Result<(), WireError> {
                Ok(())
            }
        }
    )*};
}
parts! {
    SerializeSeq, serialize_element;
    SerializeMap, serialize_key, serialize_value;
    SerializeTuple, serialize_element;
    SerializeTupleStruct, serialize_field;
    SerializeTupleVariant, serialize_field;
    SerializeStruct, serialize_field(_name);
    SerializeStructVariant, serialize_field(_name);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Of the list of records itself.
    const BATCH: u64 = 24 + 16;

    #[test]
    fn footprint_of_plain_records_is_that_of_their_list() {
        let mut numbers = Vec::with_capacity(10);
        numbers.extend([1u64, 2]);
        assert_eq!(of(&numbers), BATCH + 80);
        assert_eq!(of(&vec![(1u32, 2.0f64, Some('x')); 3]), BATCH + 3 * 16);
        assert_eq!(of(&vec![(); 5]), BATCH);
    }

    #[test]
    fn footprint_has_what_records_own() {
        let record = ("four".to_string(), 7u64);
        assert_eq!(of(&vec![record]), BATCH + 32 + 16 + 4);
        assert_eq!(of(&vec![String::new()]), BATCH + 24);
        assert_eq!(of(&vec![Vec::<u8>::new()]), BATCH + 24);
        assert_eq!(of(&vec![vec![1.0f64; 100]]), BATCH + 24 + 16 + 800);
        let nested = vec![vec!["ab".to_string(), "cde".to_string()]];
        assert_eq!(of(&nested), BATCH + 24 + 16 + 2 * (24 + 16) + 5);
        let map = BTreeMap::from([(1u8, Some("x".to_string()))]);
        assert_eq!(of(&vec![map]), BATCH + 24 + 16 + 1 + 1 + 24 + 16 + 1);
    }
}
