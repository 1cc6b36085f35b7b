//! Lines of fields as serde reads them.
//!
//! As the `csv` crate does, which is the reference of the tests, but where the fields are in the block that was read from
//! the file: that crate copies each line first. And every error knows its field, also those of the record's own types.

use std::fmt::Display;
use std::str::{Utf8Error, from_utf8};

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, Expected, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};

use crate::source::csv::fields::Fields;

/// Why the fields of a line make no value.
#[derive(Debug)]
pub(super) struct FieldError(Box<Mistake>);

/// A field, from 0, where one is known, and what is wrong.
#[derive(Debug)]
pub(super) struct Mistake {
    pub(super) field: Option<usize>,
    pub(super) problem: Problem,
}

/// What is wrong with a field or a line.
#[derive(Debug, PartialEq)]
pub(super) enum Problem {
    NoNumber,
    NoWholeNumber,
    NoBool,
    NoText(Utf8Error),
    /// There is none any more.
    EndOfLine,
    /// The header does not have it.
    Missing(&'static str),
    /// The line has too few fields for what was expected.
    TooFew(String),
    Other(String),
}

impl FieldError {
    #[cold]
    fn new(field: Option<usize>, problem: Problem) -> Self {
        FieldError(Box::new(Mistake { field, problem }))
    }

    pub(super) fn into_mistake(self) -> Mistake {
        *self.0
    }

    /// What a type says of the field that it was given last.
    #[cold]
    fn at(mut self, field: usize) -> Self {
        if matches!(self.0.problem, Problem::Other(_)) {
            self.0.field.get_or_insert(field);
        }
        self
    }
}

impl Display for FieldError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl std::error::Error for FieldError {}

impl Error for FieldError {
    fn custom<T: Display>(message: T) -> Self {
        FieldError::new(None, Problem::Other(message.to_string()))
    }

    fn missing_field(field: &'static str) -> Self {
        FieldError::new(None, Problem::Missing(field))
    }

    fn invalid_length(_len: usize, expected: &dyn Expected) -> Self {
        FieldError::new(None, Problem::TooFew(expected.to_string()))
    }
}

/// The value that `seed` makes of the fields of a line: by name with a header, in order without one. `memory` is for
/// fields with quotes inside.
///
/// # Errors
/// They make none.
#[inline]
pub(super) fn deserialize<R, S: for<'de> DeserializeSeed<'de, Value = R>>(
    seed: S,
    fields: Fields<'_>,
    header: Option<&[String]>,
    memory: &mut Vec<u8>,
) -> Result<R, FieldError> {
    seed.deserialize(&mut Reader { fields, header, next: 0, named: 0, memory })
}

/// Reads one field after the other.
struct Reader<'a> {
    fields: Fields<'a>,
    header: Option<&'a [String]>,
    /// Index of the next field.
    next: usize,
    /// Index of the next field whose name is asked for.
    named: usize,
    memory: &'a mut Vec<u8>,
}

impl Reader<'_> {
    /// The next field, whatever bytes it is.
    #[inline]
    fn bytes(&mut self) -> Result<&[u8], FieldError> {
        let field = self.fields.get(self.next, self.memory);
        self.next += 1;
        field.ok_or_else(|| FieldError::new(None, Problem::EndOfLine))
    }

    #[inline]
    fn text(&mut self) -> Result<&str, FieldError> {
        let index = self.next;
        from_utf8(self.bytes()?).map_err(|error| FieldError::new(Some(index), Problem::NoText(error)))
    }

    /// What `parse` makes of the text of the next field.
    #[inline]
    fn parsed<T>(
        &mut self,
        parse: impl FnOnce(&str) -> Option<T>,
        problem: Problem,
    ) -> Result<T, FieldError> {
        let index = self.next;
        match parse(self.text()?) {
            Some(value) => Ok(value),
            None => Err(FieldError::new(Some(index), problem)),
        }
    }

    /// Index of the field that was read last.
    fn last(&self) -> usize {
        self.next.saturating_sub(1)
    }
}

/// A number of a few decimal digits: what most are.
#[inline]
fn short_number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 18 {
        return None;
    }
    text.iter().try_fold(0, |number: u64, byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit < 10).then(|| number * 10 + u64::from(digit))
    })
}

/// The number that a few decimal digits make, with a point or without one, and how many stand behind it.
#[inline]
fn short_decimal(digits: &[u8]) -> Option<(u64, usize)> {
    // So few that the number is exact as `f64`, and so is the power of ten that it is divided by.
    if digits.len() > 16 {
        return None;
    }
    let (mut number, mut n_digits, mut behind) = (0u64, 0, None);
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        match (digit, behind) {
            (0..=9, _) => {
                number = number * 10 + u64::from(digit);
                n_digits += 1;
                behind = behind.map(|behind| behind + 1);
            }
            _ if *byte == b'.' && behind.is_none() => behind = Some(0),
            _ => return None,
        }
    }
    (1..=15).contains(&n_digits).then_some((number, behind.unwrap_or(0)))
}

macro_rules! number {
    ($method:ident, $visit:ident, $number:ty, $exact:expr, [$($power:literal),*]) => {
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
            const POWERS: &[$number] = &[$($power),*];
            let (index, field) = (self.next, self.bytes()?);
            let (is_negative, digits) = field.strip_prefix(b"-").map_or((false, field), |digits| (true, digits));
            // The quotient of two exact numbers is the nearest number there is: what the standard library finds too.
            if let Some((number, behind)) = short_decimal(digits)
                && number <= $exact
                && let Some(power) = POWERS.get(behind)
            {
                let number = number as $number / power;
                return visitor.$visit(if is_negative { -number } else { number });
            }
            self.next = index;
            visitor.$visit(self.parsed(|text| text.parse().ok(), Problem::NoNumber)?)
        }
    };
}

macro_rules! whole_number {
    ($method:ident, $visit:ident, $number:ty) => {
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
            let index = self.next;
            let short = short_number(self.bytes()?).and_then(|number| number.try_into().ok());
            if let Some(number) = short {
                return visitor.$visit(number);
            }
            // Signs, numbers that are out of range, and what is none.
            self.next = index;
            let parse = |text: &str| match text.strip_prefix("0x") {
                Some(digits) => <$number>::from_str_radix(digits, 16).ok(),
                None => text.parse().ok(),
            };
            visitor.$visit(self.parsed(parse, Problem::NoWholeNumber)?)
        }
    };
}

impl<'de> Deserializer<'de> for &mut Reader<'_> {
    type Error = FieldError;

    /// What the text of a field looks like.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        let field = self.bytes()?;
        let Ok(text) = from_utf8(field) else { return visitor.visit_bytes(field) };
        if let Ok(truth) = text.parse() {
            visitor.visit_bool(truth)
        } else if let Ok(number) = text.parse() {
            visitor.visit_u64(number)
        } else if let Ok(number) = text.parse() {
            visitor.visit_i64(number)
        } else if let Ok(number) = text.parse() {
            visitor.visit_u128(number)
        } else if let Ok(number) = text.parse() {
            visitor.visit_i128(number)
        } else if let Ok(number) = text.parse() {
            visitor.visit_f64(number)
        } else {
            visitor.visit_str(text)
        }
    }

    #[inline]
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        let index = self.next;
        match self.bytes()? {
            b"true" => visitor.visit_bool(true),
            b"false" => visitor.visit_bool(false),
            _ => {
                self.next = index;
                visitor.visit_bool(self.parsed(|text| text.parse().ok(), Problem::NoBool)?)
            }
        }
    }

    whole_number!(deserialize_u8, visit_u8, u8);
    whole_number!(deserialize_u16, visit_u16, u16);
    whole_number!(deserialize_u32, visit_u32, u32);
    whole_number!(deserialize_u64, visit_u64, u64);
    whole_number!(deserialize_u128, visit_u128, u128);
    whole_number!(deserialize_i8, visit_i8, i8);
    whole_number!(deserialize_i16, visit_i16, i16);
    whole_number!(deserialize_i32, visit_i32, i32);
    whole_number!(deserialize_i64, visit_i64, i64);
    whole_number!(deserialize_i128, visit_i128, i128);

    number!(
        deserialize_f32,
        visit_f32,
        f32,
        1 << 24,
        [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10]
    );
    number!(
        deserialize_f64,
        visit_f64,
        f64,
        1 << 53,
        [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15]
    );

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        let index = self.next;
        let text = self.text()?;
        let mut letters = text.chars();
        match (letters.next(), letters.next()) {
            (Some(letter), None) => visitor.visit_char(letter),
            _ => {
                let problem = format!("expected a single character, not {}", text.chars().count());
                Err(FieldError::new(Some(index), Problem::Other(problem)))
            }
        }
    }

    #[inline]
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        visitor.visit_str(self.text()?)
    }

    #[inline]
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        visitor.visit_str(self.text()?)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        visitor.visit_bytes(self.bytes()?)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        visitor.visit_bytes(self.bytes()?)
    }

    /// A field that is empty is none, and so is one that is not there.
    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        match self.fields.get(self.next, self.memory) {
            None => visitor.visit_none(),
            Some([]) => {
                self.next += 1;
                visitor.visit_none()
            }
            Some(_) => visitor.visit_some(self),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, FieldError> {
        visitor.visit_unit()
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, FieldError> {
        visitor.visit_newtype_struct(self)
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        visitor.visit_seq(self)
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, FieldError> {
        visitor.visit_seq(self)
    }

    #[inline]
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, FieldError> {
        visitor.visit_seq(self)
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        if self.header.is_some() { visitor.visit_map(self) } else { visitor.visit_seq(self) }
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, FieldError> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, FieldError> {
        visitor.visit_enum(self)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        self.deserialize_str(visitor)
    }

    #[inline]
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        self.next += 1;
        visitor.visit_unit()
    }
}

impl<'de> SeqAccess<'de> for &mut Reader<'_> {
    type Error = FieldError;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, FieldError> {
        let index = self.next;
        if index >= self.fields.len() {
            return Ok(None);
        }
        let value = seed.deserialize(&mut **self).map_err(|error| error.at(self.last()))?;
        // Also a value that needs none takes up a field, or a sequence of them would not end.
        self.next = self.next.max(index + 1);
        Ok(Some(value))
    }
}

impl<'de> MapAccess<'de> for &mut Reader<'_> {
    type Error = FieldError;

    /// The name of the next field.
    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, FieldError> {
        let Some(name) = self.header.and_then(|header| header.get(self.named)) else { return Ok(None) };
        self.next = self.named;
        self.named += 1;
        seed.deserialize(StrDeserializer::new(name)).map(Some)
    }

    #[inline]
    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, FieldError> {
        let value = seed.deserialize(&mut **self).map_err(|error| error.at(self.last()))?;
        self.named = self.named.max(self.next);
        Ok(value)
    }
}

/// A field is the name of a variant that has nothing else.
impl<'de> EnumAccess<'de> for &mut Reader<'_> {
    type Error = FieldError;
    type Variant = NoMore;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, NoMore), FieldError> {
        let name: StrDeserializer<'_, FieldError> = self.text()?.into_deserializer();
        Ok((seed.deserialize(name)?, NoMore))
    }
}

/// What a variant has beside its name.
struct NoMore;

impl NoMore {
    fn instead_of<T>(expected: &str) -> Result<T, FieldError> {
        Err(FieldError::invalid_type(Unexpected::UnitVariant, &expected))
    }
}

impl<'de> VariantAccess<'de> for NoMore {
    type Error = FieldError;

    fn unit_variant(self) -> Result<(), FieldError> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, FieldError> {
        NoMore::instead_of("newtype variant")
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, FieldError> {
        NoMore::instead_of("tuple variant")
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, FieldError> {
        NoMore::instead_of("struct variant")
    }
}
