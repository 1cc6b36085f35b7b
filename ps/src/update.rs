//! What a push does to a row.

use waterwheel_engine::{Error, Result};

use crate::algebra::{Algebra, Max, Min, Sum};
use crate::server::{Combiner, Replay};

/// How a [`SimpleServer`](crate::SimpleServer) applies a push: a function of the row and the delta, a declared
/// algebra ([`Sum`], [`Max`], [`Min`]), or an [optimizer](crate::optimizer).
///
/// An update may keep state of its own behind every row, in the same memory: its *slots*, which are never pulled and
/// never output.
///
/// # Examples
/// A mean that keeps its count in a slot:
/// ```
/// use waterwheel_ps::Update;
/// use waterwheel_engine::Result;
///
/// struct Mean;
/// impl Update<f64, f64> for Mean {
///     fn init_slots(&self, _width: usize, slots: &mut Vec<f64>) {
///         slots.push(0.0);
///     }
///     fn apply(&self, row: &mut [f64], slots: &mut [f64], delta: &[f64]) -> Result<()> {
///         slots[0] += 1.0;
///         row.iter_mut().zip(delta).for_each(|(mean, x)| *mean += (x - *mean) / slots[0]);
///         Ok(())
///     }
/// }
/// # let _ = waterwheel_ps::SimpleServer::with_update(|_: &u64, row: &mut Vec<f64>| row.push(0.0), Mean);
/// ```
pub trait Update<E, D>: 'static {
    /// Checks that it can apply deltas of `push_width` elements to rows of `pull_width`. Any widths by default.
    ///
    /// # Errors
    /// The widths do not fit; ends the run, naming the server operator.
    fn check_widths(&self, _pull_width: usize, _push_width: usize) -> Result<()> {
        Ok(())
    }

    /// Appends the first slots of a row of `width` elements: for the same width the same ones. None by default.
    fn init_slots(&self, _width: usize, _slots: &mut Vec<E>) {}

    /// How two pushes become one, where that is exactly the same as applying both, in any order. `None` by default.
    fn combiner(&self) -> Option<Combiner<D>> {
        None
    }

    /// The update as a plain function, if it is one and keeps no slots; see
    /// [`ServerLogic::replay`](crate::ServerLogic::replay). `None` by default.
    fn replay(&self) -> Option<Replay<E, D>> {
        None
    }

    /// Applies `delta` to the row and its slots. One that fails must leave both as they were.
    ///
    /// # Errors
    /// The delta can not be applied; ends the run, naming the server operator and the key.
    fn apply(&self, row: &mut [E], slots: &mut [E], delta: &[D]) -> Result<()>;
}

impl<E, D, F: Fn(&mut [E], &[D]) + 'static> Update<E, D> for F {
    #[inline]
    fn apply(&self, row: &mut [E], _slots: &mut [E], delta: &[D]) -> Result<()> {
        self(row, delta);
        Ok(())
    }
}

/// Implements it for algebras.
macro_rules! algebras {
    ($($algebra:ty)*) => { $(
        impl<E> Update<E, E> for $algebra
        where
            $algebra: Algebra<E>,
        {
            fn check_widths(&self, pull_width: usize, push_width: usize) -> Result<()> {
                equal_widths(pull_width, push_width)
            }

            fn combiner(&self) -> Option<Combiner<E>> {
                <$algebra>::EXACT.then_some(<$algebra>::combine)
            }

            fn replay(&self) -> Option<Replay<E, E>> {
                Some(<$algebra>::combine)
            }

            #[inline]
            fn apply(&self, row: &mut [E], _slots: &mut [E], delta: &[E]) -> Result<()> {
                <$algebra>::combine(row, delta);
                Ok(())
            }
        }
    )* };
}
algebras!(Sum Max Min);

/// Refuses deltas that have not an element for each element of the row.
pub(crate) fn equal_widths(pull_width: usize, push_width: usize) -> Result<()> {
    if pull_width == push_width {
        return Ok(());
    }
    Err(Error::config(format!(
        "push_width is {push_width}, expected the pull_width {pull_width}: the update works element by element"
    )))
}
