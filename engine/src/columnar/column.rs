//! A column that is being filled with the values of records.

use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, BooleanBuilder, PrimitiveBuilder, StringBuilder};
use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow_array::{ArrayRef, ListArray, RecordBatch, StructArray};
use arrow_buffer::{NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, FieldRef, Fields, Schema};
use serde::Serialize;
use serde::ser::{
    Impossible, SerializeSeq, SerializeStruct, SerializeTuple, SerializeTupleStruct, Serializer,
};

use super::ColumnError;

/// Values of one type, as many as there are rows.
pub(super) enum Column {
    Bool(BooleanBuilder),
    I8(PrimitiveBuilder<Int8Type>),
    I16(PrimitiveBuilder<Int16Type>),
    I32(PrimitiveBuilder<Int32Type>),
    I64(PrimitiveBuilder<Int64Type>),
    U8(PrimitiveBuilder<UInt8Type>),
    U16(PrimitiveBuilder<UInt16Type>),
    U32(PrimitiveBuilder<UInt32Type>),
    U64(PrimitiveBuilder<UInt64Type>),
    F32(PrimitiveBuilder<Float32Type>),
    F64(PrimitiveBuilder<Float64Type>),
    Text(StringBuilder),
    Bytes(BinaryBuilder),
    List(Box<Lists>),
    Rows(Rows),
}

/// Records that are being gathered into a batch.
pub(super) struct Batch(Column);

impl Batch {
    pub(super) fn new(fields: &Fields) -> Result<Self, ColumnError> {
        Rows::new(fields).map(Column::Rows).map(Batch)
    }

    pub(super) fn len(&self) -> usize {
        if let Column::Rows(rows) = &self.0 { rows.len } else { 0 }
    }

    /// Adds a record.
    pub(super) fn push<R: Serialize>(&mut self, record: &R) -> Result<(), ColumnError> {
        record.serialize(&mut self.0)
    }

    /// The records so far; there are none afterwards.
    pub(super) fn take(&mut self) -> Result<RecordBatch, ColumnError> {
        let Column::Rows(rows) = &mut self.0 else { return Err(ColumnError::new("no rows")) };
        let arrays = rows.take()?;
        let schema = Arc::new(Schema::new(arrays.fields().clone()));
        RecordBatch::try_new(schema, arrays.into_parts().1).map_err(ColumnError::new)
    }
}

/// Lists of items, which lie one behind the other.
pub(super) struct Lists {
    item: FieldRef,
    items: Column,
    n_items: usize,
    /// Where each list ends, behind a 0.
    ends: Vec<i32>,
    nulls: NullBufferBuilder,
}

/// Values of several columns.
pub(super) struct Rows {
    fields: Fields,
    columns: Vec<Column>,
    len: usize,
    nulls: NullBufferBuilder,
}

impl Rows {
    fn new(fields: &Fields) -> Result<Self, ColumnError> {
        let columns = fields.iter().map(|field| Column::new(field.data_type())).collect::<Result<_, _>>()?;
        Ok(Rows { fields: fields.clone(), columns, len: 0, nulls: NullBufferBuilder::new(0) })
    }

    /// The rows so far; there are none afterwards.
    fn take(&mut self) -> Result<StructArray, ColumnError> {
        let arrays = self.columns.iter_mut().map(Column::take).collect::<Result<_, _>>()?;
        let (len, nulls) = (std::mem::take(&mut self.len), self.nulls.finish());
        StructArray::try_new_with_length(self.fields.clone(), arrays, nulls, len).map_err(ColumnError::new)
    }

    fn push_null(&mut self) {
        self.columns.iter_mut().for_each(Column::push_null);
        self.nulls.append_null();
        self.len += 1;
    }
}

macro_rules! each_leaf {
    ($column:expr, $builder:ident => $leaf:expr, $lists:ident => $list:expr, $rows:ident => $row:expr) => {
        match $column {
            Column::Bool($builder) => $leaf,
            Column::I8($builder) => $leaf,
            Column::I16($builder) => $leaf,
            Column::I32($builder) => $leaf,
            Column::I64($builder) => $leaf,
            Column::U8($builder) => $leaf,
            Column::U16($builder) => $leaf,
            Column::U32($builder) => $leaf,
            Column::U64($builder) => $leaf,
            Column::F32($builder) => $leaf,
            Column::F64($builder) => $leaf,
            Column::Text($builder) => $leaf,
            Column::Bytes($builder) => $leaf,
            Column::List($lists) => $list,
            Column::Rows($rows) => $row,
        }
    };
}

impl Column {
    fn new(kind: &DataType) -> Result<Self, ColumnError> {
        Ok(match kind {
            DataType::Boolean => Column::Bool(BooleanBuilder::new()),
            DataType::Int8 => Column::I8(PrimitiveBuilder::new()),
            DataType::Int16 => Column::I16(PrimitiveBuilder::new()),
            DataType::Int32 => Column::I32(PrimitiveBuilder::new()),
            DataType::Int64 => Column::I64(PrimitiveBuilder::new()),
            DataType::UInt8 => Column::U8(PrimitiveBuilder::new()),
            DataType::UInt16 => Column::U16(PrimitiveBuilder::new()),
            DataType::UInt32 => Column::U32(PrimitiveBuilder::new()),
            DataType::UInt64 => Column::U64(PrimitiveBuilder::new()),
            DataType::Float32 => Column::F32(PrimitiveBuilder::new()),
            DataType::Float64 => Column::F64(PrimitiveBuilder::new()),
            DataType::Utf8 => Column::Text(StringBuilder::new()),
            DataType::Binary => Column::Bytes(BinaryBuilder::new()),
            DataType::List(item) => Column::List(Box::new(Lists {
                item: Arc::clone(item),
                items: Column::new(item.data_type())?,
                n_items: 0,
                ends: vec![0],
                nulls: NullBufferBuilder::new(0),
            })),
            DataType::Struct(fields) => Column::Rows(Rows::new(fields)?),
            other => {
                return Err(ColumnError::new(format!("a column of the type {other} can not be written")));
            }
        })
    }

    fn push_null(&mut self) {
        each_leaf!(self, builder => builder.append_null(), lists => lists.close(false), rows => rows.push_null());
    }

    fn take(&mut self) -> Result<ArrayRef, ColumnError> {
        Ok(each_leaf!(
            self,
            builder => Arc::new(builder.finish()) as ArrayRef,
            lists => Arc::new(lists.take()?),
            rows => Arc::new(rows.take()?)
        ))
    }

    fn mismatch<T>(&self, found: &str) -> Result<T, ColumnError> {
        Err(ColumnError::new(format!("found {found}, which is not what the type is read from")))
    }
}

impl Lists {
    /// Ends a list behind what was added to it.
    fn close(&mut self, is_there: bool) {
        // Too many items are found out when they are taken.
        self.ends.push(i32::try_from(self.n_items).unwrap_or(i32::MAX));
        self.nulls.append(is_there);
    }

    fn take(&mut self) -> Result<ListArray, ColumnError> {
        if i32::try_from(self.n_items).is_err() {
            return Err(ColumnError::new("lists are too long"));
        }
        self.n_items = 0;
        let ends = std::mem::replace(&mut self.ends, vec![0]);
        let ends = OffsetBuffer::new(ScalarBuffer::from(ends));
        let (items, nulls) = (self.items.take()?, self.nulls.finish());
        ListArray::try_new(Arc::clone(&self.item), ends, items, nulls).map_err(ColumnError::new)
    }
}

macro_rules! values {
    ($($method:ident $type:ty, $column:ident;)*) => {$(
        fn $method(self, value: $type) -> Result<(), ColumnError> {
            match self {
                Column::$column(builder) => builder.append_value(value),
                other => return other.mismatch(stringify!($type)),
            }
            Ok(())
        }
    )*};
}

impl<'c> Serializer for &'c mut Column {
    type Ok = ();
    type Error = ColumnError;
    type SerializeSeq = ListWriter<'c>;
    type SerializeTuple = RowsWriter<'c>;
    type SerializeTupleStruct = RowsWriter<'c>;
    type SerializeTupleVariant = Impossible<(), ColumnError>;
    type SerializeMap = Impossible<(), ColumnError>;
    type SerializeStruct = RowsWriter<'c>;
    type SerializeStructVariant = Impossible<(), ColumnError>;

    values! {
        serialize_bool bool, Bool;
        serialize_i8 i8, I8;
        serialize_i16 i16, I16;
        serialize_i32 i32, I32;
        serialize_i64 i64, I64;
        serialize_u8 u8, U8;
        serialize_u16 u16, U16;
        serialize_u32 u32, U32;
        serialize_u64 u64, U64;
        serialize_f32 f32, F32;
        serialize_f64 f64, F64;
        serialize_str &str, Text;
        serialize_bytes &[u8], Bytes;
    }

    fn serialize_char(self, value: char) -> Result<(), ColumnError> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_none(self) -> Result<(), ColumnError> {
        self.push_null();
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), ColumnError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), ColumnError> {
        self.mismatch("nothing")
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<(), ColumnError> {
        self.mismatch(name)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), ColumnError> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), ColumnError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _value: &T,
    ) -> Result<(), ColumnError> {
        self.mismatch(variant)
    }

    fn serialize_seq(self, _len: Option<usize>) -> Result<ListWriter<'c>, ColumnError> {
        match self {
            Column::List(lists) => Ok(ListWriter(lists)),
            other => other.mismatch("a list"),
        }
    }

    fn serialize_tuple(self, _len: usize) -> Result<RowsWriter<'c>, ColumnError> {
        match self {
            Column::Rows(rows) => Ok(RowsWriter { rows, next: 0 }),
            other => other.mismatch("a tuple"),
        }
    }

    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<RowsWriter<'c>, ColumnError> {
        self.serialize_tuple(len)
    }

    fn serialize_struct(self, name: &'static str, _len: usize) -> Result<RowsWriter<'c>, ColumnError> {
        match self {
            Column::Rows(rows) => Ok(RowsWriter { rows, next: 0 }),
            other => other.mismatch(name),
        }
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, ColumnError> {
        self.mismatch(variant)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, ColumnError> {
        self.mismatch("a map")
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, ColumnError> {
        self.mismatch(variant)
    }
}

/// Writes the items of a list.
pub(super) struct ListWriter<'c>(&'c mut Lists);

impl SerializeSeq for ListWriter<'_> {
    type Ok = ();
    type Error = ColumnError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ColumnError> {
        self.0.n_items += 1;
        value.serialize(&mut self.0.items)
    }

    fn end(self) -> Result<(), ColumnError> {
        self.0.close(true);
        Ok(())
    }
}

/// Writes the fields of a row.
pub(super) struct RowsWriter<'c> {
    rows: &'c mut Rows,
    next: usize,
}

impl RowsWriter<'_> {
    fn field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ColumnError> {
        let Some(column) = self.rows.columns.get_mut(self.next) else {
            return Err(ColumnError::new("a record has more fields than its type is read from"));
        };
        value.serialize(column).map_err(|error| error.within(self.rows.fields[self.next].name()))?;
        self.next += 1;
        Ok(())
    }

    /// A field by name: those that were passed over are null.
    fn named<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), ColumnError> {
        let Some(at) = self.rows.fields.iter().skip(self.next).position(|field| field.name() == name) else {
            return Err(ColumnError::new("it is written, and not what the type is read from").within(name));
        };
        self.pass(at);
        self.field(value)
    }

    fn pass(&mut self, n: usize) {
        self.rows.columns.iter_mut().skip(self.next).take(n).for_each(Column::push_null);
        self.next += n;
    }

    fn close(mut self) -> Result<(), ColumnError> {
        self.pass(usize::MAX - self.next);
        self.rows.nulls.append_non_null();
        self.rows.len += 1;
        Ok(())
    }
}

macro_rules! writes_fields {
    ($($trait:ident $method:ident;)*) => {$(
        impl $trait for RowsWriter<'_> {
            type Ok = ();
            type Error = ColumnError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ColumnError> {
                self.field(value)
            }

            fn end(self) -> Result<(), ColumnError> {
                self.close()
            }
        }
    )*};
}

writes_fields! {
    SerializeTuple serialize_element;
    SerializeTupleStruct serialize_field;
}

impl SerializeStruct for RowsWriter<'_> {
    type Ok = ();
    type Error = ColumnError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), ColumnError> {
        self.named(name, value)
    }

    fn end(self) -> Result<(), ColumnError> {
        self.close()
    }
}
