//! Hints to the processor that memory will be read soon.
//!
//! Unsafe because the only stable way is an intrinsic. It pays: random rows of a table beyond the caches are
//! pulled and pushed up to twice as fast (`docs/benchmarks.md`).

#![allow(unsafe_code, reason = "the prefetch intrinsic takes a raw pointer")]

/// Asks for the first and the last cache line of `row`, which is what rows up to two lines need.
#[inline]
pub(crate) fn read<T>(row: &[T]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let ends = row.as_ptr_range();
        // SAFETY: a prefetch reads nothing that the program can see and never faults, whatever the address.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(ends.start.cast());
            _mm_prefetch::<_MM_HINT_T0>(ends.end.cast::<i8>().wrapping_sub(1));
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = row;
}
