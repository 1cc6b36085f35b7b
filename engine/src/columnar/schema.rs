//! The columns of a record type, found by the type's own serde code: it is asked to read a record, and what it asks for is
//! noted.

use arrow_schema::{DataType, Field, Fields};
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

use super::ColumnError;

/// Depth beyond which a type is taken for one that contains itself.
const MAX_DEPTH: usize = 32;

/// The columns of `R`.
pub(super) fn columns_of<R: for<'de> Deserialize<'de>>() -> Result<Fields, ColumnError> {
    let mut found = Found::default();
    R::deserialize(Tracer { found: &mut found, depth: 0 })?;
    match found.kind {
        Some(DataType::Struct(fields)) => Ok(fields),
        _ => Err(ColumnError::new("a record of columns is a struct with fields, or a tuple")),
    }
}

/// What was asked for.
#[derive(Default)]
struct Found {
    kind: Option<DataType>,
    may_be_null: bool,
}

impl Found {
    fn into_field(self, name: &str) -> Result<Field, ColumnError> {
        let kind = self.kind.ok_or_else(|| ColumnError::new("nothing is known of its type").within(name))?;
        Ok(Field::new(name, kind, self.may_be_null))
    }
}

struct Tracer<'t> {
    found: &'t mut Found,
    depth: usize,
}

impl Tracer<'_> {
    fn note(&mut self, kind: DataType) {
        self.found.kind = Some(kind);
    }

    /// The tracer of something within.
    fn inner<'i>(&self, found: &'i mut Found) -> Result<Tracer<'i>, ColumnError> {
        if self.depth == MAX_DEPTH {
            return Err(ColumnError::new("a type that contains itself has no columns"));
        }
        Ok(Tracer { found, depth: self.depth + 1 })
    }
}

fn unsupported<T>(what: &str) -> Result<T, ColumnError> {
    Err(ColumnError::new(format!("{what} has no columns")))
}

macro_rules! leaves {
    ($($method:ident $kind:ident $visit:ident $value:expr;)*) => {$(
        fn $method<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, ColumnError> {
            self.note(DataType::$kind);
            visitor.$visit($value)
        }
    )*};
}

macro_rules! refused {
    ($($method:ident $what:literal;)*) => {$(
        fn $method<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, ColumnError> {
            unsupported($what)
        }
    )*};
}

impl<'de> Deserializer<'de> for Tracer<'_> {
    type Error = ColumnError;

    leaves! {
        deserialize_bool Boolean visit_bool false;
        deserialize_i8 Int8 visit_i8 0;
        deserialize_i16 Int16 visit_i16 0;
        deserialize_i32 Int32 visit_i32 0;
        deserialize_i64 Int64 visit_i64 0;
        deserialize_u8 UInt8 visit_u8 0;
        deserialize_u16 UInt16 visit_u16 0;
        deserialize_u32 UInt32 visit_u32 0;
        deserialize_u64 UInt64 visit_u64 0;
        deserialize_f32 Float32 visit_f32 0.0;
        deserialize_f64 Float64 visit_f64 0.0;
        deserialize_char Utf8 visit_char 'a';
        deserialize_str Utf8 visit_str "";
        deserialize_string Utf8 visit_str "";
        deserialize_bytes Binary visit_bytes &[];
        deserialize_byte_buf Binary visit_bytes &[];
    }

    refused! {
        deserialize_any "a value of any type";
        deserialize_unit "a value that is always the same";
        deserialize_map "a map";
        deserialize_identifier "an identifier";
        deserialize_i128 "a number of 128 bits";
        deserialize_u128 "a number of 128 bits";
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ColumnError> {
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ColumnError> {
        self.found.may_be_null = true;
        let inner = Tracer { found: self.found, depth: self.depth + 1 };
        if inner.depth > MAX_DEPTH {
            return Err(ColumnError::new("a type that contains itself has no columns"));
        }
        visitor.visit_some(inner)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: V,
    ) -> Result<V::Value, ColumnError> {
        unsupported(name)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ColumnError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, ColumnError> {
        let mut item = Found::default();
        let value = visitor.visit_seq(OneItem { tracer: Some(self.inner(&mut item)?) })?;
        let item = item.into_field("item")?;
        self.note(DataType::List(item.into()));
        Ok(value)
    }

    fn deserialize_tuple<V: Visitor<'de>>(mut self, len: usize, visitor: V) -> Result<V::Value, ColumnError> {
        let mut items = Vec::new();
        let value = visitor.visit_seq(Items { of: &self, left: len, items: &mut items })?;
        let fields: Vec<Field> = items
            .into_iter()
            .enumerate()
            .map(|(at, item)| item.into_field(&(at + 1).to_string()))
            .collect::<Result<_, _>>()?;
        self.note(DataType::Struct(fields.into()));
        Ok(value)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, ColumnError> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        mut self,
        _name: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ColumnError> {
        let mut fields = Vec::new();
        let value = visitor.visit_map(Members { of: &self, names, fields: &mut fields, item: None })?;
        self.note(DataType::Struct(fields.into()));
        Ok(value)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        mut self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ColumnError> {
        self.note(DataType::Utf8);
        match variants.first() {
            Some(first) => visitor.visit_enum(FirstVariant(first)),
            None => unsupported("a type without values"),
        }
    }
}

/// One item, which stands for all of a list.
struct OneItem<'t> {
    tracer: Option<Tracer<'t>>,
}

impl<'de> SeqAccess<'de> for OneItem<'_> {
    type Error = ColumnError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, ColumnError> {
        self.tracer.take().map(|tracer| seed.deserialize(tracer)).transpose()
    }
}

/// The items of a tuple.
struct Items<'t> {
    of: &'t Tracer<'t>,
    left: usize,
    items: &'t mut Vec<Found>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = ColumnError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, ColumnError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let mut item = Found::default();
        let value = seed.deserialize(self.of.inner(&mut item)?)?;
        self.items.push(item);
        Ok(Some(value))
    }
}

/// The fields of a struct.
struct Members<'t> {
    of: &'t Tracer<'t>,
    names: &'static [&'static str],
    fields: &'t mut Vec<Field>,
    /// The field whose name was told.
    item: Option<&'static str>,
}

impl<'de> MapAccess<'de> for Members<'_> {
    type Error = ColumnError;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, ColumnError> {
        let Some((name, rest)) = self.names.split_first() else { return Ok(None) };
        (self.names, self.item) = (rest, Some(*name));
        seed.deserialize((*name).into_deserializer()).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, ColumnError> {
        let name = self.item.take().unwrap_or_default();
        let mut found = Found::default();
        let value = seed.deserialize(self.of.inner(&mut found)?).map_err(|error| error.within(name))?;
        self.fields.push(found.into_field(name)?);
        Ok(value)
    }
}

/// The first variant of an enum, without data.
struct FirstVariant(&'static str);

impl<'de> EnumAccess<'de> for FirstVariant {
    type Error = ColumnError;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), ColumnError> {
        Ok((seed.deserialize(IntoDeserializer::<ColumnError>::into_deserializer(self.0))?, self))
    }
}

impl<'de> VariantAccess<'de> for FirstVariant {
    type Error = ColumnError;

    fn unit_variant(self) -> Result<(), ColumnError> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, _seed: S) -> Result<S::Value, ColumnError> {
        unsupported("an enum with data")
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, _visitor: V) -> Result<V::Value, ColumnError> {
        unsupported("an enum with data")
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, ColumnError> {
        unsupported("an enum with data")
    }
}
