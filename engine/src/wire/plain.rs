//! Records that are numbers: their lane is a copy of them.

use std::any::{Any, TypeId};

use crate::wire::lanes::{Lanes, Reading};

macro_rules! plain {
    ($($number:ty, $lane:ident, $width:ty;)*) => {
        /// Appends the records to the lane of their width, if they are numbers; whether they are.
        #[expect(clippy::ptr_arg, reason = "the type of the list is asked for")]
        pub(super) fn write<D: 'static>(records: &Vec<D>, lanes: &mut Lanes) -> bool {
            $(if let Some(numbers) = (records as &dyn Any).downcast_ref::<Vec<$number>>() {
                lanes.$lane.extend_from_slice(bytemuck::cast_slice::<$number, $width>(numbers));
                return true;
            })*
            false
        }

        /// Takes the records from the lane of their width, if they are numbers.
        pub(super) fn read<D: 'static>(reading: &mut Reading<'_>) -> Option<Vec<D>> {
            $(if TypeId::of::<D>() == TypeId::of::<$number>() {
                let numbers = std::mem::take(&mut reading.$lane);
                let numbers: Box<dyn Any> = Box::new(bytemuck::pod_collect_to_vec::<_, $number>(numbers));
                return numbers.downcast().ok().map(|records| *records);
            })*
            None
        }
    };
}

#[cfg(target_endian = "little")]
plain! {
    u64, eights, u64;
    i64, eights, u64;
    f64, eights, u64;
    u32, fours, u32;
    i32, fours, u32;
    f32, fours, u32;
    u16, twos, u16;
    i16, twos, u16;
    u8, ones, u8;
    i8, ones, u8;
}

#[cfg(target_endian = "big")]
plain! {}
