//! The frontier of several inputs.

use waterwheel_engine::Clock;
use waterwheel_engine::operator::Frontiers;

/// The least time that may still arrive on any of the first `n` inputs; `None` when nothing will.
#[inline]
pub(crate) fn least<T: Clock>(frontiers: &Frontiers<'_, T>, n: usize) -> Option<T> {
    (0..n).filter_map(|port| frontiers.next(port)).min()
}
