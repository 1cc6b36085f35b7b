//! Reading records from lanes.

use serde::de::value::U32Deserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

use crate::wire::encode::LONG_VARIANT;
use crate::wire::lanes::Reading;
use crate::wire::{WireError, plain};

/// Reads a batch; `bytes` may have padding behind it.
pub(crate) fn read<D: DeserializeOwned + 'static>(bytes: &[u8]) -> Result<Vec<D>, WireError> {
    let mut reading = Reading::new(bytes)?;
    let records = match plain::read(&mut reading) {
        Some(numbers) => numbers,
        None => one_by_one(&mut reading, bytes.len())?,
    };
    if records.len() != reading.records || !reading.is_done() {
        let (found, expected) = (records.len(), reading.records);
        return Err(WireError::new(format!(
            "its bytes are not those of {expected} records, but {found} were read"
        )));
    }
    Ok(records)
}

fn one_by_one<D: DeserializeOwned>(reading: &mut Reading<'_>, bytes: usize) -> Result<Vec<D>, WireError> {
    // Records without bytes are as many as the header says; of others there are no more than bytes.
    let mut records = Vec::with_capacity(reading.records.min(bytes));
    for _ in 0..reading.records {
        records.push(D::deserialize(Decoder(reading))?);
    }
    Ok(records)
}

struct Decoder<'r, 'a>(&'r mut Reading<'a>);

fn short() -> WireError {
    WireError::new("it ends within a record")
}

macro_rules! lanes {
    ($($next:ident, $lane:ident, $type:ty;)*) => {$(
        #[inline]
        fn $next(&mut self) -> Result<$type, WireError> {
            let (first, rest) = self.0.$lane.split_first().ok_or_else(short)?;
            self.0.$lane = rest;
            Ok(<$type>::from_le_bytes(*first))
        }
    )*};
}

impl<'a> Decoder<'_, 'a> {
    lanes! {
        eight, eights, u64;
        four, fours, u32;
        two, twos, u16;
    }

    #[inline]
    fn one(&mut self) -> Result<u8, WireError> {
        let (first, rest) = self.0.ones.split_first().ok_or_else(short)?;
        self.0.ones = rest;
        Ok(*first)
    }

    #[inline]
    fn length(&mut self) -> Result<usize, WireError> {
        usize::try_from(self.four()?).map_err(|error| WireError::new(error.to_string()))
    }

    #[inline]
    fn bytes(&mut self) -> Result<&'a [u8], WireError> {
        let (bytes, rest) = self.length().map(|len| self.0.ones.split_at_checked(len))?.ok_or_else(short)?;
        self.0.ones = rest;
        Ok(bytes)
    }

    #[inline]
    fn text(&mut self) -> Result<&'a str, WireError> {
        std::str::from_utf8(self.bytes()?)
            .map_err(|error| WireError::new(format!("a text is not UTF-8: {error}")))
    }

    fn variant_index(&mut self) -> Result<u32, WireError> {
        match self.one()? {
            LONG_VARIANT => self.four(),
            index => Ok(index.into()),
        }
    }

    fn wide(&mut self) -> Result<u128, WireError> {
        let (low, high) = (self.eight()?, self.eight()?);
        Ok(u128::from(high) << 64 | u128::from(low))
    }
}

macro_rules! numbers {
    ($($method:ident, $visit:ident, $next:ident, $as:ty;)*) => {$(
        #[inline]
        fn $method<V: Visitor<'a>>(mut self, visitor: V) -> Result<V::Value, WireError> {
            visitor.$visit(self.$next()? as $as)
        }
    )*};
}

impl<'a> Deserializer<'a> for Decoder<'_, 'a> {
    type Error = WireError;

    fn deserialize_any<V: Visitor<'a>>(self, _visitor: V) -> Result<V::Value, WireError> {
        Err(WireError::new(
            "its type reads whatever there is (untagged or flattened serde attributes, a JSON value), which needs a \
             format with names; send it as text or give it a plain derive",
        ))
    }

    numbers! {
        deserialize_i8, visit_i8, one, i8;
        deserialize_i16, visit_i16, two, i16;
        deserialize_i32, visit_i32, four, i32;
        deserialize_i64, visit_i64, eight, i64;
        deserialize_i128, visit_i128, wide, i128;
        deserialize_u8, visit_u8, one, u8;
        deserialize_u16, visit_u16, two, u16;
        deserialize_u32, visit_u32, four, u32;
        deserialize_u64, visit_u64, eight, u64;
        deserialize_u128, visit_u128, wide, u128;
    }

    fn deserialize_bool<V: Visitor<'a>>(mut self, visitor: V) -> Result<V::Value, WireError> {
        match self.one()? {
            0 => visitor.visit_bool(false),
            1 => visitor.visit_bool(true),
            other => Err(WireError::new(format!("a truth value is {other}, expected 0 or 1"))),
        }
    }

    #[inline]
    fn deserialize_f32<V: Visitor<'a>>(mut self, visitor: V) -> Result<V::Value, WireError> {
        visitor.visit_f32(f32::from_bits(self.four()?))
    }

    #[inline]
    fn deserialize_f64<V: Visitor<'a>>(mut self, visitor: V) -> Result<V::Value, WireError> {
        visitor.visit_f64(f64::from_bits(self.eight()?))
    }

    fn deserialize_char<V: Visitor<'a>>(mut self, visitor: V) -> Result<V::Value, WireError> {
        let code = self.four()?;
        let found = char::from_u32(code);
        visitor.visit_char(found.ok_or_else(|| WireError::new(format!("{code:#x} is no character")))?)
    }

    #[inline]
    fn deserialize_str<V: Visitor<'a>>(mut self, visitor: V) -> Result<V::Value, WireError> {
        visitor.visit_borrowed_str(self.text()?)
    }

    #[inline]
    fn deserialize_string<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, WireError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'a>>(mut self, visitor: V) -> Result<V::Value, WireError> {
        visitor.visit_borrowed_bytes(self.bytes()?)
    }

    fn deserialize_byte_buf<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, WireError> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'a>>(mut self, visitor: V) -> Result<V::Value, WireError> {
        match self.one()? {
            0 => visitor.visit_none(),
            1 => visitor.visit_some(self),
            other => Err(WireError::new(format!("an option begins with {other}, expected 0 or 1"))),
        }
    }

    fn deserialize_unit<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, WireError> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'a>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, WireError> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'a>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, WireError> {
        visitor.visit_newtype_struct(self)
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'a>>(mut self, visitor: V) -> Result<V::Value, WireError> {
        let left = self.length()?;
        visitor.visit_seq(Items { reading: self.0, left })
    }

    fn deserialize_map<V: Visitor<'a>>(mut self, visitor: V) -> Result<V::Value, WireError> {
        let left = self.length()?;
        visitor.visit_map(Items { reading: self.0, left })
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'a>>(self, len: usize, visitor: V) -> Result<V::Value, WireError> {
        visitor.visit_seq(Items { reading: self.0, left: len })
    }

    fn deserialize_tuple_struct<V: Visitor<'a>>(
        self,
        _name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, WireError> {
        self.deserialize_tuple(len, visitor)
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'a>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, WireError> {
        self.deserialize_tuple(fields.len(), visitor)
    }

    fn deserialize_enum<V: Visitor<'a>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, WireError> {
        visitor.visit_enum(self)
    }

    fn deserialize_identifier<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, WireError> {
        self.deserialize_any(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, WireError> {
        self.deserialize_any(visitor)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// Items of a sequence, entries of a map or fields of a record.
struct Items<'r, 'a> {
    reading: &'r mut Reading<'a>,
    left: usize,
}

impl<'a> SeqAccess<'a> for Items<'_, 'a> {
    type Error = WireError;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'a>>(&mut self, seed: S) -> Result<Option<S::Value>, WireError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(Decoder(self.reading)).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

impl<'a> MapAccess<'a> for Items<'_, 'a> {
    type Error = WireError;

    fn next_key_seed<S: DeserializeSeed<'a>>(&mut self, seed: S) -> Result<Option<S::Value>, WireError> {
        self.next_element_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'a>>(&mut self, seed: S) -> Result<S::Value, WireError> {
        seed.deserialize(Decoder(self.reading))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

impl<'r, 'a> EnumAccess<'a> for Decoder<'r, 'a> {
    type Error = WireError;
    type Variant = Decoder<'r, 'a>;

    fn variant_seed<S: DeserializeSeed<'a>>(
        mut self,
        seed: S,
    ) -> Result<(S::Value, Self::Variant), WireError> {
        let index: U32Deserializer<WireError> = self.variant_index()?.into_deserializer();
        Ok((seed.deserialize(index)?, self))
    }
}

impl<'a> VariantAccess<'a> for Decoder<'_, 'a> {
    type Error = WireError;

    fn unit_variant(self) -> Result<(), WireError> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'a>>(self, seed: S) -> Result<S::Value, WireError> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'a>>(self, len: usize, visitor: V) -> Result<V::Value, WireError> {
        self.deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'a>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, WireError> {
        self.deserialize_tuple(fields.len(), visitor)
    }
}
