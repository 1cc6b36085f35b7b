//! Keys that are small integers, for storage without a hash map.

use std::any::Any;

/// Calls a macro with the integer types that keys may have; the type tests fold away at compile time.
macro_rules! each_integer {
    ($then:ident) => {
        $then!(u64 u32 i64 i32 usize isize u16 i16 u8 i8)
    };
}

/// The value of an integer key that is not negative.
#[inline]
pub(crate) fn dense_index<K: 'static>(key: &K) -> Option<u64> {
    let key = key as &dyn Any;
    macro_rules! first_of {
        ($($int:ty)*) => {
            $(if let Some(value) = key.downcast_ref::<$int>() { return u64::try_from(*value).ok(); })*
        };
    }
    each_integer!(first_of);
    None
}

/// The integer key of that value: the way back from [`dense_index`].
pub(crate) fn dense_key<K: 'static>(index: u64) -> Option<K> {
    let mut key: Option<K> = None;
    let place = &mut key as &mut dyn Any;
    macro_rules! put {
        ($($int:ty)*) => {
            $(if let Some(place) = place.downcast_mut::<Option<$int>>() { *place = <$int>::try_from(index).ok(); })*
        };
    }
    each_integer!(put);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dense_keys_come_back_from_their_index() {
        assert_eq!((dense_index(&7u8), dense_key::<u8>(7), dense_key::<u8>(256)), (Some(7), Some(7), None));
        assert_eq!((dense_index(&u64::MAX), dense_key::<u64>(u64::MAX)), (Some(u64::MAX), Some(u64::MAX)));
        assert_eq!((dense_index(&i32::MIN), dense_index(&"7".to_string())), (None, None));
        assert_eq!(dense_key::<String>(7), None);
    }
}
