//! Times the activations of one worker, one after the other, with few readings of the clock.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::machine;

thread_local! {
    /// When the last activation on this thread ended, while nothing but the next one can have come since. A worker is a
    /// thread, and its operators run one by one: what ends one begins the next.
    static ENDED: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Forgets when the last activation ended: the worker may wait for work now.
#[inline]
pub(crate) fn break_off() {
    ENDED.set(None);
}

/// When an activation begins, that of the end of the one before.
#[inline]
pub(crate) fn begin() -> Instant {
    ENDED.get().unwrap_or_else(machine::now)
}

/// How long an activation took that began then.
#[inline]
pub(crate) fn lap(since: Instant) -> Duration {
    let now = machine::now();
    ENDED.set(Some(now));
    now.duration_since(since)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn activation_begins_where_the_one_before_ended_unless_the_worker_may_have_waited() {
        break_off();
        let first = begin();
        lap(first);
        let second = begin();
        assert!(second >= first);
        assert_eq!(begin(), second);
        break_off();
        while machine::now() == second {}
        assert!(begin() > second);
    }
}
