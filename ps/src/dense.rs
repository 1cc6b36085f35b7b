//! Keys that are small integers, for storage without a hash map.

use std::any::Any;

/// The value of an integer key that is not negative. The type tests fold away at compile time.
#[inline]
pub(crate) fn dense_index<K: 'static>(key: &K) -> Option<u64> {
    let key = key as &dyn Any;
    macro_rules! first_of {
        ($($int:ty),*) => {
            $(if let Some(value) = key.downcast_ref::<$int>() { return u64::try_from(*value).ok(); })*
        };
    }
    first_of!(u64, u32, i64, i32, usize, isize, u16, i16, u8, i8);
    None
}
