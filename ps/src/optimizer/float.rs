//! The number types of weights.

use std::fmt::Display;
use std::ops::{Add, AddAssign, Div, Mul, Sub, SubAssign};

use crate::element::Element;

/// A weight: `f32` or `f64`.
pub trait Float:
    Element
    + Copy
    + Display
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + AddAssign
    + SubAssign
    + sealed::Sealed
{
    /// The nearest number of this type.
    fn of(value: f64) -> Self;
    /// The square root.
    fn sqrt(self) -> Self;
    /// The absolute value.
    fn abs(self) -> Self;
    /// 1 or -1 by its sign.
    fn signum(self) -> Self;
    /// Neither infinite nor NaN.
    fn is_finite(self) -> bool;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! floats {
    ($($float:ty)*) => { $(
        impl sealed::Sealed for $float {}
        impl Float for $float {
            #[inline]
            fn of(value: f64) -> Self {
                value as $float
            }
            #[inline]
            fn sqrt(self) -> Self {
                <$float>::sqrt(self)
            }
            #[inline]
            fn abs(self) -> Self {
                <$float>::abs(self)
            }
            #[inline]
            fn signum(self) -> Self {
                <$float>::signum(self)
            }
            #[inline]
            fn is_finite(self) -> bool {
                <$float>::is_finite(self)
            }
        }
    )* };
}
floats!(f32 f64);
