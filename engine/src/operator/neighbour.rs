//! What reaches from one operator to another on the same worker: waking it, and running its functions.

use std::rc::Rc;
use std::time::{Duration, Instant};

use timely::scheduling::Activator;

use crate::error::Result;
use crate::origin::Origin;
use crate::process::Due;

/// Runs functions of one operator inside another: their errors and panics name the one they belong to.
#[derive(Clone)]
pub struct OnBehalf(Rc<Origin>);

impl OnBehalf {
    pub(super) fn new(origin: Rc<Origin>) -> Self {
        OnBehalf(origin)
    }

    /// Runs `f`.
    ///
    /// # Errors
    /// Those of `f`, with the operator and the worker.
    #[inline]
    pub fn call<R>(&self, f: impl FnOnce() -> Result<R>) -> Result<R> {
        self.0.blamed(f).map_err(|error| error.at(self.0.site()))
    }
}

impl std::fmt::Debug for OnBehalf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("OnBehalf").field(&self.0.site().operator).finish()
    }
}

/// Wakes an operator from itself or from others on the same worker.
#[derive(Clone)]
pub struct Activation {
    activator: Activator,
}

impl Activation {
    pub(crate) fn new(activator: Activator) -> Self {
        Activation { activator }
    }

    /// Runs the operator again soon.
    pub fn wake(&self) {
        self.activator.activate();
    }

    /// Runs the operator again after `delay`.
    pub fn wake_after(&self, delay: Duration) {
        self.activator.activate_after(delay);
    }
}

impl std::fmt::Debug for Activation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Activation")
    }
}

/// Wakes an operator at a time that moves. However often it is set, few wake-ups wait in the worker's queue.
pub(crate) struct Alarm {
    activation: Activation,
    /// The earliest wake-up in the queue.
    set_for: Option<Instant>,
}

impl Alarm {
    pub(crate) fn new(activation: Activation) -> Self {
        Alarm { activation, set_for: None }
    }

    /// Runs the operator again when it is time, or soon if that has come.
    pub(crate) fn set(&mut self, due: Due) {
        let Due { at, now } = due;
        if due.has_come() {
            self.activation.wake();
        } else if self.set_for.is_none_or(|set_for| set_for <= now || at < set_for) {
            self.set_for = Some(at);
            self.activation.wake_after(at - now);
        }
    }
}
