//! Elements of parameter rows, and their bytes.

use std::any::Any;
use std::cmp::Ordering;

use safetensors::tensor::Dtype;
use serde::{Serialize, de::DeserializeOwned};
use waterwheel_engine::{Error, Result};

/// An element of a parameter: anything that can be cloned, sent and serialised.
///
/// A parameter is a row of a fixed number of elements. Numbers (`f32`, `f64` and the integers) travel
/// between processes as their bytes; other types, which usually stand alone in rows of width 1, by serde.
pub trait Element: Clone + Send + Serialize + DeserializeOwned + 'static {}

impl<E: Clone + Send + Serialize + DeserializeOwned + 'static> Element for E {}

#[cfg(target_endian = "big")]
compile_error!("the wire format is little-endian and numbers are copied as they lie in memory");

/// Runs `$then` with the number type that `$element` is, if it is one.
macro_rules! if_number {
    ($element:ty, $number:ident => $then:expr) => {
        if_number!(@each $element, $number => $then; f32 f64 u64 i64 u32 i32 u16 i16 u8 i8)
    };
    (@each $element:ty, $number:ident => $then:expr; $($candidate:ty)*) => {
        $( if std::any::TypeId::of::<$element>() == std::any::TypeId::of::<$candidate>() {
            type $number = $candidate;
            $then
        } )*
    };
}

/// The elements as bytes, if they are numbers. (A slice of unsized type can not be asked for its type.)
#[expect(clippy::ptr_arg, reason = "`Any` needs a sized type")]
fn number_bytes<E: 'static>(elements: &Vec<E>) -> Option<&[u8]> {
    let any: &dyn Any = elements;
    if_number!(E, N => return any.downcast_ref::<Vec<N>>().map(|numbers| bytemuck::cast_slice(numbers)));
    None
}

/// The elements in `bytes`, if they are numbers.
fn numbers_from<E: 'static>(bytes: &[u8]) -> Option<Vec<E>> {
    fn same<A: 'static, B: 'static>(vec: Vec<A>) -> Option<Vec<B>> {
        let boxed: Box<dyn Any> = Box::new(vec);
        boxed.downcast::<Vec<B>>().ok().map(|vec| *vec)
    }
    if_number!(E, N => return same::<N, E>(bytemuck::pod_collect_to_vec(bytes)));
    None
}

fn is_number<E: 'static>() -> bool {
    if_number!(E, N => return size_of::<N>() > 0);
    false
}

/// What safetensors calls elements of this type, if they are numbers.
pub(crate) fn number_type<E: 'static>() -> Option<Dtype> {
    use std::any::TypeId;
    let names = [
        (TypeId::of::<f32>(), Dtype::F32),
        (TypeId::of::<f64>(), Dtype::F64),
        (TypeId::of::<u64>(), Dtype::U64),
        (TypeId::of::<i64>(), Dtype::I64),
        (TypeId::of::<u32>(), Dtype::U32),
        (TypeId::of::<i32>(), Dtype::I32),
        (TypeId::of::<u16>(), Dtype::U16),
        (TypeId::of::<i16>(), Dtype::I16),
        (TypeId::of::<u8>(), Dtype::U8),
        (TypeId::of::<i8>(), Dtype::I8),
    ];
    names.into_iter().find(|(number, _)| *number == TypeId::of::<E>()).map(|(_, dtype)| dtype)
}

/// The number zero, where elements are numbers.
pub(crate) fn zero<E: 'static>() -> Option<E> {
    let mut zero: Option<E> = None;
    let place = &mut zero as &mut dyn Any;
    if_number!(E, N => if let Some(place) = place.downcast_mut::<Option<N>>() { *place = Some(N::default()); });
    zero
}

/// Appends a row. Most rows that are many are of one element, for which no memory need be copied by a call.
#[inline]
pub(crate) fn append_row<E: Clone>(rows: &mut Vec<E>, row: &[E]) {
    match row {
        [element] => rows.push(element.clone()),
        row => rows.extend_from_slice(row),
    }
}

/// A total order of elements that depends on their bytes alone: numbers by their bits, others by their encoding.
pub(crate) fn compare<E: Element>(a: &E, b: &E) -> Ordering {
    macro_rules! by_bits {
        ($($number:ty),*) => {
            $(if let (Some(a), Some(b)) = ((a as &dyn Any).downcast_ref::<$number>(), (b as &dyn Any).downcast_ref::<$number>()) {
                return a.to_le_bytes().cmp(&b.to_le_bytes());
            })*
        };
    }
    by_bits!(f32, f64, u64, i64, u32, i32, u16, i16, u8, i8);
    let encoded = |element: &E| postcard::to_stdvec(element).unwrap_or_else(unserialisable);
    encoded(a).cmp(&encoded(b))
}

/// Length of [`encode`]'s result in bytes.
pub(crate) fn encoded_len<E: Element>(elements: &Vec<E>) -> usize {
    match number_bytes(elements) {
        Some(bytes) => bytes.len(),
        None => postcard::experimental::serialized_size(elements).unwrap_or_else(unserialisable),
    }
}

/// Appends the bytes of `elements`.
pub(crate) fn encode<E: Element>(elements: &Vec<E>, out: &mut Vec<u8>) {
    match number_bytes(elements) {
        Some(bytes) => out.extend_from_slice(bytes),
        None => {
            postcard::to_io(elements, out).unwrap_or_else(unserialisable);
        }
    }
}

/// Only a hand-written `Serialize` can fail; the operator's guard turns this into its error.
fn unserialisable<T>(error: postcard::Error) -> T {
    panic!("a key or an element can not be serialised: {error}")
}

/// Reads `count` elements from exactly `bytes`.
pub(crate) fn decode<E: Element>(bytes: &[u8], count: usize) -> Result<Vec<E>> {
    let elements: Vec<E> = if is_number::<E>() {
        if count.checked_mul(size_of::<E>()) != Some(bytes.len()) {
            let (len, size) = (bytes.len(), size_of::<E>());
            return Err(Error::data(format!("{len} bytes for {count} numbers of {size} bytes")));
        }
        numbers_from(bytes).unwrap_or_default()
    } else {
        postcard::from_bytes(bytes)
            .map_err(|error| Error::data("elements that can not be read").caused_by(error))?
    };
    if elements.len() == count {
        return Ok(elements);
    }
    Err(Error::data(format!("found {} elements, expected {count}", elements.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip<E: Element + PartialEq + std::fmt::Debug>(elements: Vec<E>) {
        let mut bytes = Vec::new();
        encode(&elements, &mut bytes);
        assert_eq!(bytes.len(), encoded_len(&elements));
        assert_eq!(decode::<E>(&bytes, elements.len()).unwrap(), elements);
        assert!(decode::<E>(&bytes, elements.len() + 1).is_err());
    }

    #[test]
    fn elements_of_every_kind_survive_the_wire() {
        round_trip(vec![1.5f32, -0.0, f32::MAX]);
        round_trip(vec![u64::MAX, 0, 7]);
        round_trip(vec![i8::MIN, 3]);
        round_trip(vec!["a".to_string(), String::new()]);
        round_trip(vec![(true, vec![1, 2]), (false, vec![])]);
        round_trip(Vec::<f64>::new());
    }

    #[test]
    fn numbers_travel_as_their_own_bytes() {
        let mut bytes = Vec::new();
        encode(&vec![1u32, 258], &mut bytes);
        assert_eq!(bytes, [1, 0, 0, 0, 2, 1, 0, 0]);
    }
}
