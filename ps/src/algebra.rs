//! The declared algebra of pushes: how two updates of one parameter make one.

/// Updates that add up: a commutative semigroup over rows.
///
/// Who declares one says that pushes of a parameter may be joined and reordered: pushing `a` and then `b` is the same
/// as pushing `a` combined with `b`, in any order. A server applies pushes with [`Sum`], [`Max`] and [`Min`] as its
/// [`Update`](crate::Update); workers may combine what they have for one key before they send it, see
/// [`ServerLogic::combiner`](crate::ServerLogic::combiner).
///
/// # Examples
/// The bits of flags, or-ed:
/// ```
/// use waterwheel_ps::Algebra;
///
/// struct Or;
/// impl Algebra<u64> for Or {
///     fn combine(into: &mut [u64], delta: &[u64]) {
///         into.iter_mut().zip(delta).for_each(|(bits, more)| *bits |= more);
///     }
/// }
/// let mut row = [1, 4];
/// Or::combine(&mut row, &[2, 4]);
/// assert_eq!(row, [3, 4]);
/// ```
pub trait Algebra<D>: 'static {
    /// Whether the order in which pushes are combined makes no difference at all. False of sums of floating-point
    /// numbers, which differ by their rounding.
    const EXACT: bool = true;

    /// Makes `into` the combination of itself and `delta`, element by element. Both have the same length.
    fn combine(into: &mut [D], delta: &[D]);
}

/// Adds, element by element. Integers wrap around at their ends.
///
/// ```
/// use waterwheel_ps::{Algebra, Sum};
/// let mut row = [1.0, 2.0];
/// Sum::combine(&mut row, &[0.5, -2.0]);
/// assert_eq!(row, [1.5, 0.0]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum;

/// Keeps the larger, element by element. A number wins over NaN.
///
/// ```
/// use waterwheel_ps::{Algebra, Max};
/// let mut row = [1, 5];
/// Max::combine(&mut row, &[3, 4]);
/// assert_eq!(row, [3, 5]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Max;

/// Keeps the smaller, element by element. A number wins over NaN.
///
/// ```
/// use waterwheel_ps::{Algebra, Min};
/// let mut row = [1, 5];
/// Min::combine(&mut row, &[3, 4]);
/// assert_eq!(row, [1, 4]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Min;

/// Implements the three for a number type, with its addition.
macro_rules! numbers {
    ($($number:ty: $add:expr, $exact:expr;)*) => { $(
        impl Algebra<$number> for Sum {
            const EXACT: bool = $exact;

            #[inline]
            fn combine(into: &mut [$number], delta: &[$number]) {
                into.iter_mut().zip(delta).for_each(|(a, b)| *a = $add(*a, *b));
            }
        }
        impl Algebra<$number> for Max {
            #[inline]
            fn combine(into: &mut [$number], delta: &[$number]) {
                into.iter_mut().zip(delta).for_each(|(a, b)| *a = (*a).max(*b));
            }
        }
        impl Algebra<$number> for Min {
            #[inline]
            fn combine(into: &mut [$number], delta: &[$number]) {
                into.iter_mut().zip(delta).for_each(|(a, b)| *a = (*a).min(*b));
            }
        }
    )* };
}

numbers! {
    f32: std::ops::Add::add, false;
    f64: std::ops::Add::add, false;
    u64: u64::wrapping_add, true;
    i64: i64::wrapping_add, true;
    u32: u32::wrapping_add, true;
    i32: i32::wrapping_add, true;
    u16: u16::wrapping_add, true;
    i16: i16::wrapping_add, true;
    u8: u8::wrapping_add, true;
    i8: i8::wrapping_add, true;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn combined<C: Algebra<i64>>(mut a: Vec<i64>, b: &[i64]) -> Vec<i64> {
        C::combine(&mut a, b);
        a
    }

    /// Commutative and associative.
    fn assert_laws<C: Algebra<i64>>(a: &[i64], b: &[i64], c: &[i64]) {
        assert_eq!(combined::<C>(a.to_vec(), b), combined::<C>(b.to_vec(), a));
        let (ab, bc) = (combined::<C>(a.to_vec(), b), combined::<C>(b.to_vec(), c));
        assert_eq!(combined::<C>(ab, c), combined::<C>(a.to_vec(), &bc));
    }

    #[test]
    fn max_and_min_prefer_numbers_to_nan() {
        let (mut larger, mut smaller) = ([f32::NAN, 1.0], [f32::NAN, 1.0]);
        Max::combine(&mut larger, &[2.0, f32::NAN]);
        Min::combine(&mut smaller, &[2.0, f32::NAN]);
        assert_eq!((larger, smaller), ([2.0, 1.0], [2.0, 1.0]));
    }

    proptest! {
        #[test]
        fn algebras_are_commutative_and_associative_at_the_ends_too(
            rows in prop::collection::vec((any::<i64>(), any::<i64>(), any::<i64>()), 1..8),
        ) {
            let a: Vec<_> = rows.iter().map(|row| row.0).collect();
            let b: Vec<_> = rows.iter().map(|row| row.1).collect();
            let c: Vec<_> = rows.iter().map(|row| row.2).collect();
            assert_laws::<Sum>(&a, &b, &c);
            assert_laws::<Max>(&a, &b, &c);
            assert_laws::<Min>(&a, &b, &c);
        }
    }
}
