//! A record, read from the columns of a batch.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Date64Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, StructArray};
use arrow_schema::{DataType, TimeUnit};
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::ColumnError;

/// The cells of a row, from the first column on.
struct Cells<'a> {
    rows: &'a StructArray,
    row: usize,
    next: usize,
}

impl<'a> Cells<'a> {
    fn new(rows: &'a StructArray, row: usize) -> Self {
        Cells { rows, row, next: 0 }
    }

    fn read<'de, S: DeserializeSeed<'de>>(&mut self, seed: S, at: usize) -> Result<S::Value, ColumnError> {
        let cell = Cell { array: self.rows.column(at).as_ref(), row: self.row };
        seed.deserialize(cell).map_err(|error| error.within(self.rows.fields()[at].name()))
    }
}

impl<'de> MapAccess<'de> for Cells<'_> {
    type Error = ColumnError;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, ColumnError> {
        let Some(field) = self.rows.fields().get(self.next) else { return Ok(None) };
        self.next += 1;
        seed.deserialize(field.name().as_str().into_deserializer()).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, ColumnError> {
        self.read(seed, self.next - 1)
    }
}

impl<'de> SeqAccess<'de> for Cells<'_> {
    type Error = ColumnError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, ColumnError> {
        if self.next == self.rows.num_columns() {
            return Ok(None);
        }
        self.next += 1;
        self.read(seed, self.next - 1).map(Some)
    }
}

/// One value of a column; of a batch as a whole, one of its records.
#[derive(Clone, Copy)]
pub(super) struct Cell<'a> {
    array: &'a dyn Array,
    row: usize,
}

impl<'a> Cell<'a> {
    /// A record of a batch.
    pub(super) fn record(rows: &'a StructArray, row: usize) -> Self {
        Cell { array: rows, row }
    }

    fn number<T: ArrowPrimitiveType>(&self) -> T::Native {
        self.array.as_primitive::<T>().value(self.row)
    }

    fn text(&self) -> Option<&str> {
        match self.array.data_type() {
            DataType::Utf8 => Some(self.array.as_string::<i32>().value(self.row)),
            DataType::LargeUtf8 => Some(self.array.as_string::<i64>().value(self.row)),
            DataType::Utf8View => Some(self.array.as_string_view().value(self.row)),
            _ => None,
        }
    }

    fn items(&self) -> Option<ArrayRef> {
        match self.array.data_type() {
            DataType::List(_) => Some(self.array.as_list::<i32>().value(self.row)),
            DataType::LargeList(_) => Some(self.array.as_list::<i64>().value(self.row)),
            DataType::FixedSizeList(..) => Some(self.array.as_fixed_size_list().value(self.row)),
            _ => None,
        }
    }
}

impl<'de> Deserializer<'de> for Cell<'_> {
    type Error = ColumnError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ColumnError> {
        if self.array.is_null(self.row) {
            return visitor.visit_unit();
        }
        if let Some(text) = self.text() {
            return visitor.visit_str(text);
        }
        match self.array.data_type() {
            DataType::Boolean => visitor.visit_bool(self.array.as_boolean().value(self.row)),
            DataType::Int8 => visitor.visit_i8(self.number::<Int8Type>()),
            DataType::Int16 => visitor.visit_i16(self.number::<Int16Type>()),
            DataType::Int32 => visitor.visit_i32(self.number::<Int32Type>()),
            DataType::Int64 => visitor.visit_i64(self.number::<Int64Type>()),
            DataType::UInt8 => visitor.visit_u8(self.number::<UInt8Type>()),
            DataType::UInt16 => visitor.visit_u16(self.number::<UInt16Type>()),
            DataType::UInt32 => visitor.visit_u32(self.number::<UInt32Type>()),
            DataType::UInt64 => visitor.visit_u64(self.number::<UInt64Type>()),
            DataType::Float32 => visitor.visit_f32(self.number::<Float32Type>()),
            DataType::Float64 => visitor.visit_f64(self.number::<Float64Type>()),
            DataType::Date32 => visitor.visit_i32(self.number::<Date32Type>()),
            DataType::Date64 => visitor.visit_i64(self.number::<Date64Type>()),
            DataType::Timestamp(unit, _) => visitor.visit_i64(match unit {
                TimeUnit::Second => self.number::<TimestampSecondType>(),
                TimeUnit::Millisecond => self.number::<TimestampMillisecondType>(),
                TimeUnit::Microsecond => self.number::<TimestampMicrosecondType>(),
                TimeUnit::Nanosecond => self.number::<TimestampNanosecondType>(),
            }),
            DataType::Binary => visitor.visit_bytes(self.array.as_binary::<i32>().value(self.row)),
            DataType::LargeBinary => visitor.visit_bytes(self.array.as_binary::<i64>().value(self.row)),
            DataType::Struct(_) => visitor.visit_map(Cells::new(self.array.as_struct(), self.row)),
            other => match self.items() {
                Some(items) => visitor.visit_seq(ItemsOf { items, next: 0 }),
                None => Err(ColumnError::new(format!("a column of the type {other} can not be read"))),
            },
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ColumnError> {
        if self.array.is_null(self.row) { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ColumnError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ColumnError> {
        match self.text().filter(|_| !self.array.is_null(self.row)) {
            Some(text) => visitor.visit_enum(StrDeserializer::<ColumnError>::new(text)),
            None => Err(ColumnError::new("expected the name of a variant")),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, ColumnError> {
        match self.array.data_type() {
            DataType::Struct(_) if !self.array.is_null(self.row) => {
                visitor.visit_seq(Cells::new(self.array.as_struct(), self.row))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, ColumnError> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ColumnError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq map
        struct identifier
    }
}

/// The items of a list.
struct ItemsOf {
    items: ArrayRef,
    next: usize,
}

impl<'de> SeqAccess<'de> for ItemsOf {
    type Error = ColumnError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, ColumnError> {
        if self.next == self.items.len() {
            return Ok(None);
        }
        self.next += 1;
        seed.deserialize(Cell { array: self.items.as_ref(), row: self.next - 1 }).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len() - self.next)
    }
}
