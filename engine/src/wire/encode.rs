//! Writing records to lanes: a serializer that knows widths only.

use serde::Serialize;
use serde::ser::{
    self, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant,
};

use crate::wire::lanes::Lanes;
use crate::wire::{WireError, plain};

/// Variants below are written in one byte.
pub(super) const LONG_VARIANT: u8 = u8::MAX;

/// Writes records to `lanes`, in place of what is there.
pub(crate) fn write<D: Serialize + 'static>(records: &Vec<D>, lanes: &mut Lanes) -> Result<(), WireError> {
    lanes.clear();
    if plain::write(records, lanes) {
        return Ok(());
    }
    let mut records = records.iter();
    if let Some(first) = records.next() {
        first.serialize(Encoder(lanes))?;
        // The others are mostly as long as the first.
        let more = records.len();
        lanes.eights.reserve(lanes.eights.len() * more);
        lanes.fours.reserve(lanes.fours.len() * more);
        lanes.twos.reserve(lanes.twos.len() * more);
        lanes.ones.reserve(lanes.ones.len().saturating_mul(more).min(MAX_RESERVED));
    }
    records.try_for_each(|record| record.serialize(Encoder(lanes)))
}

/// No more is reserved for bytes after the first record than this.
const MAX_RESERVED: usize = 1 << 16;

/// The number of items of a sequence, as it is written.
fn length(len: usize) -> Result<u32, WireError> {
    u32::try_from(len).map_err(|_| WireError::new(format!("{len} items or bytes, at most {} fit", u32::MAX)))
}

struct Encoder<'a>(&'a mut Lanes);

impl Encoder<'_> {
    fn variant(&mut self, index: u32) {
        match u8::try_from(index) {
            Ok(short) if short != LONG_VARIANT => self.0.ones.push(short),
            _ => {
                self.0.ones.push(LONG_VARIANT);
                self.0.fours.push(index.to_le());
            }
        }
    }
}

macro_rules! numbers {
    ($($method:ident, $type:ty, $lane:ident, $as:ty;)*) => {$(
        #[inline]
        fn $method(self, value: $type) -> Result<(), WireError> {
            self.0.$lane.push((value as $as).to_le());
            Ok(())
        }
    )*};
}

impl<'a> ser::Serializer for Encoder<'a> {
    type Ok = ();
    type Error = WireError;
    type SerializeSeq = Items<'a>;
    type SerializeTuple = Fields<'a>;
    type SerializeTupleStruct = Fields<'a>;
    type SerializeTupleVariant = Fields<'a>;
    type SerializeMap = Items<'a>;
    type SerializeStruct = Fields<'a>;
    type SerializeStructVariant = Fields<'a>;

    numbers! {
        serialize_bool, bool, ones, u8;
        serialize_i8, i8, ones, u8;
        serialize_i16, i16, twos, u16;
        serialize_i32, i32, fours, u32;
        serialize_i64, i64, eights, u64;
        serialize_u8, u8, ones, u8;
        serialize_u16, u16, twos, u16;
        serialize_u32, u32, fours, u32;
        serialize_u64, u64, eights, u64;
        serialize_char, char, fours, u32;
    }

    fn serialize_i128(self, value: i128) -> Result<(), WireError> {
        self.serialize_u128(value as u128)
    }

    fn serialize_u128(self, value: u128) -> Result<(), WireError> {
        self.0.eights.extend([(value as u64).to_le(), ((value >> 64) as u64).to_le()]);
        Ok(())
    }

    #[inline]
    fn serialize_f32(self, value: f32) -> Result<(), WireError> {
        self.serialize_u32(value.to_bits())
    }

    #[inline]
    fn serialize_f64(self, value: f64) -> Result<(), WireError> {
        self.serialize_u64(value.to_bits())
    }

    #[inline]
    fn serialize_str(self, text: &str) -> Result<(), WireError> {
        self.serialize_bytes(text.as_bytes())
    }

    #[inline]
    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), WireError> {
        self.0.fours.push(length(bytes.len())?.to_le());
        self.0.ones.extend_from_slice(bytes);
        Ok(())
    }

    fn serialize_none(self) -> Result<(), WireError> {
        self.serialize_u8(0)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), WireError> {
        self.0.ones.push(1);
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), WireError> {
        Ok(())
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), WireError> {
        Ok(())
    }

    fn serialize_unit_variant(
        mut self,
        _: &'static str,
        index: u32,
        _: &'static str,
    ) -> Result<(), WireError> {
        self.variant(index);
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
        mut self,
        _name: &'static str,
        index: u32,
        _variant: &'static str,
        value: &T,
    ) -> Result<(), WireError> {
        self.variant(index);
        value.serialize(self)
    }

    fn serialize_seq(self, _len: Option<usize>) -> Result<Items<'a>, WireError> {
        Ok(Items::new(self.0))
    }

    fn serialize_map(self, _len: Option<usize>) -> Result<Items<'a>, WireError> {
        Ok(Items::new(self.0))
    }

    fn serialize_tuple(self, _len: usize) -> Result<Fields<'a>, WireError> {
        Ok(Fields(self.0))
    }

    fn serialize_tuple_struct(self, _name: &'static str, _len: usize) -> Result<Fields<'a>, WireError> {
        Ok(Fields(self.0))
    }

    fn serialize_struct(self, _name: &'static str, _len: usize) -> Result<Fields<'a>, WireError> {
        Ok(Fields(self.0))
    }

    fn serialize_tuple_variant(
        mut self,
        _name: &'static str,
        index: u32,
        _variant: &'static str,
        _len: usize,
    ) -> Result<Fields<'a>, WireError> {
        self.variant(index);
        Ok(Fields(self.0))
    }

    fn serialize_struct_variant(
        mut self,
        _name: &'static str,
        index: u32,
        _variant: &'static str,
        _len: usize,
    ) -> Result<Fields<'a>, WireError> {
        self.variant(index);
        Ok(Fields(self.0))
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// Parts of a record whose number is known to both sides.
struct Fields<'a>(&'a mut Lanes);

/// Items of a sequence or map: their number is written before them, once it is known.
struct Items<'a> {
    lanes: &'a mut Lanes,
    /// Where the number is, among the fours.
    number: usize,
    written: usize,
}

impl<'a> Items<'a> {
    #[inline]
    fn new(lanes: &'a mut Lanes) -> Self {
        let number = lanes.fours.len();
        lanes.fours.push(0);
        Items { lanes, number, written: 0 }
    }

    #[inline]
    fn finish(self) -> Result<(), WireError> {
        self.lanes.fours[self.number] = length(self.written)?.to_le();
        Ok(())
    }
}

impl SerializeSeq for Items<'_> {
    type Ok = ();
    type Error = WireError;

    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), WireError> {
        self.written += 1;
        value.serialize(Encoder(self.lanes))
    }

    #[inline]
    fn end(self) -> Result<(), WireError> {
        self.finish()
    }
}

impl SerializeMap for Items<'_> {
    type Ok = ();
    type Error = WireError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), WireError> {
        self.written += 1;
        key.serialize(Encoder(self.lanes))
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), WireError> {
        value.serialize(Encoder(self.lanes))
    }

    fn end(self) -> Result<(), WireError> {
        self.finish()
    }
}

macro_rules! fields {
    ($($trait:ident, $method:ident $(, $name:ident)?;)*) => {$(
        impl $trait for Fields<'_> {
            type Ok = ();
            type Error = WireError;

            #[inline]
            fn $method<T: Serialize + ?Sized>(
                &mut self,
                $($name: &'static str,)?
                value: &T,
            ) -> Result<(), WireError> {
                value.serialize(Encoder(self.0))
            }

            #[inline]
            fn end(self) -> Result<(), WireError> {
                Ok(())
            }
        }
    )*};
}
fields! {
    SerializeTuple, serialize_element;
    SerializeTupleStruct, serialize_field;
    SerializeTupleVariant, serialize_field;
    SerializeStruct, serialize_field, _name;
    SerializeStructVariant, serialize_field, _name;
}
