//! The elements of distributed vectors and matrices.

use std::any::Any;

use serde::{Deserialize, Serialize};
use waterwheel_engine::{Error, Result};

use crate::element::Element;
use crate::models::packed;

/// An element of a [`BigVector`](super::BigVector) or [`BigMatrix`](super::BigMatrix): `f32`, `f64`, `i32`, `i64` or
/// `u64`. Integers wrap around at their ends.
pub trait Scalar: Element + Copy + PartialEq + std::fmt::Debug + sealed::Sealed {
    /// Zero.
    const ZERO: Self;
    /// The sum.
    fn plus(self, other: Self) -> Self;
    /// The product.
    fn times(self, other: Self) -> Self;
    /// Name of the type.
    fn name() -> &'static str;
}

mod sealed {
    use super::Values;

    pub trait Sealed: Sized {
        fn into_values(elements: Vec<Self>) -> Values;
    }
}

/// Elements of one of the [`Scalar`] types.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Values {
    /// Of `f32`.
    F32(#[serde(with = "packed")] Vec<f32>),
    /// Of `f64`.
    F64(#[serde(with = "packed")] Vec<f64>),
    /// Of `i32`.
    I32(#[serde(with = "packed")] Vec<i32>),
    /// Of `i64`.
    I64(#[serde(with = "packed")] Vec<i64>),
    /// Of `u64`.
    U64(#[serde(with = "packed")] Vec<u64>),
}

impl Values {
    /// The values of these elements.
    pub fn of<E: Scalar>(elements: Vec<E>) -> Self {
        E::into_values(elements)
    }

    /// The elements, if they are of this type.
    pub fn as_slice<E: Scalar>(&self) -> Option<&[E]> {
        let elements: &dyn Any = match self {
            Values::F32(elements) => elements,
            Values::F64(elements) => elements,
            Values::I32(elements) => elements,
            Values::I64(elements) => elements,
            Values::U64(elements) => elements,
        };
        elements.downcast_ref::<Vec<E>>().map(Vec::as_slice)
    }

    /// The elements, where they must be of this type.
    pub(crate) fn expect<E: Scalar>(&self) -> Result<&[E]> {
        self.as_slice().ok_or_else(|| {
            let found = match self {
                Values::F32(_) => f32::name(),
                Values::F64(_) => f64::name(),
                Values::I32(_) => i32::name(),
                Values::I64(_) => i64::name(),
                Values::U64(_) => u64::name(),
            };
            Error::operator(format!("found elements of {found}, expected {}", E::name()))
        })
    }
}

macro_rules! scalars {
    ($($scalar:ident $variant:ident $plus:expr, $times:expr;)*) => { $(
        impl sealed::Sealed for $scalar {
            fn into_values(elements: Vec<Self>) -> Values {
                Values::$variant(elements)
            }
        }
        impl Scalar for $scalar {
            const ZERO: Self = 0 as $scalar;
            #[inline]
            fn plus(self, other: Self) -> Self {
                $plus(self, other)
            }
            #[inline]
            fn times(self, other: Self) -> Self {
                $times(self, other)
            }
            fn name() -> &'static str {
                stringify!($scalar)
            }
        }
    )* };
}

scalars! {
    f32 F32 std::ops::Add::add, std::ops::Mul::mul;
    f64 F64 std::ops::Add::add, std::ops::Mul::mul;
    i32 I32 i32::wrapping_add, i32::wrapping_mul;
    i64 I64 i64::wrapping_add, i64::wrapping_mul;
    u64 U64 u64::wrapping_add, u64::wrapping_mul;
}
