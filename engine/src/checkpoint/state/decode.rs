//! Reads the postcard encoding of values, as of today's type or of one to which fields were added at its end: what is
//! missing there has its `#[serde(default)]`.

use std::fmt;

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess,
    SeqAccess, VariantAccess, Visitor,
};

/// Why bytes are no value of a type.
#[derive(Debug)]
pub(super) struct DecodeError(String);

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DecodeError {}

impl serde::de::Error for DecodeError {
    fn custom<T: fmt::Display>(what: T) -> Self {
        DecodeError(what.to_string())
    }
}

type Decoded<T> = Result<T, DecodeError>;

/// The value that all of `bytes` are.
pub(super) fn decode<V: DeserializeOwned>(bytes: &[u8]) -> Decoded<V> {
    let mut decoder = Decoder { rest: bytes };
    let value = V::deserialize(&mut decoder)?;
    match decoder.rest.len() {
        0 => Ok(value),
        n => Err(DecodeError(format!("{n} bytes are left over"))),
    }
}

struct Decoder<'de> {
    rest: &'de [u8],
}

impl<'de> Decoder<'de> {
    fn take(&mut self, n: usize) -> Decoded<&'de [u8]> {
        let (taken, rest) =
            self.rest.split_at_checked(n).ok_or_else(|| DecodeError("it ends too early".into()))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Decoded<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| DecodeError("it ends too early".into()))
    }

    fn byte(&mut self) -> Decoded<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Seven bits a byte, the lowest first.
    fn varint(&mut self) -> Decoded<u128> {
        let mut value = 0u128;
        for shift in (0..u128::BITS).step_by(7) {
            let byte = self.byte()?;
            value |= u128::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError("a number is too long".into()))
    }

    fn unsigned<N: TryFrom<u128>>(&mut self) -> Decoded<N> {
        N::try_from(self.varint()?).map_err(|_| DecodeError("a number is too large".into()))
    }

    /// Zigzag: the sign is the lowest bit.
    fn signed<N: TryFrom<i128>>(&mut self) -> Decoded<N> {
        let value = self.varint()?;
        let value = (value >> 1) as i128 ^ -((value & 1) as i128);
        N::try_from(value).map_err(|_| DecodeError("a number is too large".into()))
    }

    fn bytes(&mut self) -> Decoded<&'de [u8]> {
        let n = self.unsigned()?;
        self.take(n)
    }

    fn text(&mut self) -> Decoded<&'de str> {
        std::str::from_utf8(self.bytes()?).map_err(DecodeError::custom)
    }
}

macro_rules! numbers {
    ($($method:ident $visit:ident $read:ident;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Decoded<V::Value> {
            visitor.$visit(self.$read()?)
        })*
    };
}

impl<'de> Deserializer<'de> for &mut Decoder<'de> {
    type Error = DecodeError;

    numbers! {
        deserialize_u8 visit_u8 byte;
        deserialize_u16 visit_u16 unsigned;
        deserialize_u32 visit_u32 unsigned;
        deserialize_u64 visit_u64 unsigned;
        deserialize_u128 visit_u128 unsigned;
        deserialize_i16 visit_i16 signed;
        deserialize_i32 visit_i32 signed;
        deserialize_i64 visit_i64 signed;
        deserialize_i128 visit_i128 signed;
        deserialize_str visit_borrowed_str text;
        deserialize_string visit_borrowed_str text;
        deserialize_bytes visit_borrowed_bytes bytes;
        deserialize_byte_buf visit_borrowed_bytes bytes;
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Decoded<V::Value> {
        Err(DecodeError("the type reads whatever is there, and the bytes do not say what they are".into()))
    }

    fn deserialize_i8<V: Visitor<'de>>(self, visitor: V) -> Decoded<V::Value> {
        visitor.visit_i8(i8::from_le_bytes(self.array()?))
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Decoded<V::Value> {
        visitor.visit_f32(f32::from_le_bytes(self.array()?))
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Decoded<V::Value> {
        visitor.visit_f64(f64::from_le_bytes(self.array()?))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Decoded<V::Value> {
        match self.byte()? {
            0 => visitor.visit_bool(false),
            1 => visitor.visit_bool(true),
            other => Err(DecodeError(format!("found {other}, expected 0 or 1"))),
        }
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Decoded<V::Value> {
        let mut chars = self.text()?.chars();
        match (chars.next(), chars.next()) {
            (Some(char), None) => visitor.visit_char(char),
            _ => Err(DecodeError("expected one character".into())),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Decoded<V::Value> {
        match self.byte()? {
            0 => visitor.visit_none(),
            1 => visitor.visit_some(self),
            other => Err(DecodeError(format!("found {other}, expected 0 or 1"))),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Decoded<V::Value> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Decoded<V::Value> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Decoded<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Decoded<V::Value> {
        let n = self.unsigned()?;
        visitor.visit_seq(Elements { decoder: self, n, may_end: false })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, n: usize, visitor: V) -> Decoded<V::Value> {
        visitor.visit_seq(Elements { decoder: self, n, may_end: false })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        n: usize,
        visitor: V,
    ) -> Decoded<V::Value> {
        visitor.visit_seq(Elements { decoder: self, n, may_end: true })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Decoded<V::Value> {
        let n = self.unsigned()?;
        visitor.visit_map(Elements { decoder: self, n, may_end: false })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Decoded<V::Value> {
        visitor.visit_seq(Elements { decoder: self, n: fields.len(), may_end: true })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Decoded<V::Value> {
        visitor.visit_enum(Variant(self))
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Decoded<V::Value> {
        self.deserialize_any(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Decoded<V::Value> {
        self.deserialize_any(visitor)
    }
}

/// The elements of a sequence, a map or a struct.
struct Elements<'a, 'de> {
    decoder: &'a mut Decoder<'de>,
    n: usize,
    /// Whether the last ones may be missing at the end of all bytes.
    may_end: bool,
}

impl<'de> SeqAccess<'de> for Elements<'_, 'de> {
    type Error = DecodeError;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Decoded<Option<S::Value>> {
        if self.n == 0 {
            return Ok(None);
        }
        self.n -= 1;
        let has_ended = self.may_end && self.decoder.rest.is_empty();
        match seed.deserialize(&mut *self.decoder) {
            // What takes no bytes at all can be read at the end, too.
            Err(_) if has_ended => {
                self.n = 0;
                Ok(None)
            }
            outcome => outcome.map(Some),
        }
    }

    /// No more than there are bytes: a length that is wrong must not take memory.
    fn size_hint(&self) -> Option<usize> {
        Some(self.n.min(self.decoder.rest.len()))
    }
}

impl<'de> MapAccess<'de> for Elements<'_, 'de> {
    type Error = DecodeError;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Decoded<Option<S::Value>> {
        self.next_element_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Decoded<S::Value> {
        seed.deserialize(&mut *self.decoder)
    }

    fn size_hint(&self) -> Option<usize> {
        SeqAccess::size_hint(self)
    }
}

/// The variant of an enum.
struct Variant<'a, 'de>(&'a mut Decoder<'de>);

impl<'de> EnumAccess<'de> for Variant<'_, 'de> {
    type Error = DecodeError;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Decoded<(S::Value, Self)> {
        let number: u32 = self.0.unsigned()?;
        Ok((seed.deserialize(number.into_deserializer())?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, 'de> {
    type Error = DecodeError;

    fn unit_variant(self) -> Decoded<()> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Decoded<S::Value> {
        seed.deserialize(self.0)
    }

    fn tuple_variant<V: Visitor<'de>>(self, n: usize, visitor: V) -> Decoded<V::Value> {
        visitor.visit_seq(Elements { decoder: self.0, n, may_end: true })
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Decoded<V::Value> {
        visitor.visit_seq(Elements { decoder: self.0, n: fields.len(), may_end: true })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Kind {
        Unit,
        New(i32),
        Tuple(u8, String),
        Struct { a: i128, b: Option<char> },
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct All {
        numbers: (u8, i8, u16, i16, u32, i32, u64, i64),
        long: (u128, i128),
        floats: Vec<(f32, f64)>,
        texts: BTreeMap<String, Option<bool>>,
        kinds: Vec<Kind>,
        nothing: (),
    }

    fn kind() -> impl Strategy<Value = Kind> {
        prop_oneof![
            Just(Kind::Unit),
            any::<i32>().prop_map(Kind::New),
            (any::<u8>(), ".{0,5}").prop_map(|(a, b)| Kind::Tuple(a, b)),
            (any::<i128>(), any::<Option<char>>()).prop_map(|(a, b)| Kind::Struct { a, b }),
        ]
    }

    fn all() -> impl Strategy<Value = All> {
        let texts = prop::collection::btree_map(".{0,5}", any::<Option<bool>>(), 0..5);
        let floats = prop::collection::vec((any::<f32>(), any::<f64>()), 0..4);
        (any::<(u8, i8, u16, i16, u32, i32, u64, i64)>(), any::<(u128, i128)>(), floats, texts).prop_flat_map(
            |(numbers, long, floats, texts)| {
                prop::collection::vec(kind(), 0..5).prop_map(move |kinds| All {
                    numbers,
                    long,
                    floats: floats.clone(),
                    texts: texts.clone(),
                    kinds,
                    nothing: (),
                })
            },
        )
    }

    proptest! {
        #[test]
        fn values_are_read_as_postcard_writes_them(value in all()) {
            prop_assert_eq!(decode::<All>(&postcard::to_stdvec(&value).unwrap()).unwrap(), value);
        }

        #[test]
        fn any_bytes_are_a_value_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let ours = decode::<All>(&bytes);
            if let Ok((theirs, [])) = postcard::take_from_bytes::<All>(&bytes) {
                prop_assert!(ours.is_ok(), "{ours:?} is {theirs:?}");
            }
        }
    }

    #[derive(Debug, PartialEq, Serialize)]
    struct Before {
        n: u64,
        names: Vec<String>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Now {
        n: u64,
        names: Vec<String>,
        #[serde(default)]
        sum: f64,
        #[serde(default = "seven")]
        seven: Option<u8>,
    }

    fn seven() -> Option<u8> {
        Some(7)
    }

    #[test]
    fn fields_that_were_added_at_the_end_have_their_default() {
        let before = postcard::to_stdvec(&("key", Before { n: 3, names: vec!["a".into()] })).unwrap();
        let (key, now): (String, Now) = decode(&before).unwrap();
        assert_eq!(key, "key");
        assert_eq!(now, Now { n: 3, names: vec!["a".into()], sum: 0.0, seven: Some(7) });
    }

    #[test]
    fn fields_without_a_default_are_missed_and_what_is_left_over_is_found() {
        let error = decode::<All>(&[1, 2]).unwrap_err().to_string();
        assert!(error.contains("too early") || error.contains("invalid length"), "{error}");
        assert_eq!(decode::<u8>(&[1, 2]).unwrap_err().to_string(), "1 bytes are left over");
        let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
        assert_eq!(decode::<Vec<u64>>(&huge).unwrap_err().to_string(), "it ends too early");
    }
}
