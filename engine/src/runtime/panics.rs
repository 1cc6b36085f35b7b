//! Panics of operators become errors: the message and its source line are kept, not printed.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use crate::error::Error;

thread_local! {
    static IS_WORKER: Cell<bool> = const { Cell::new(false) };
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

static HOOK: Once = Once::new();

/// Marks this thread as a worker: its panics are kept for [`catch`] and not printed. Other threads keep the
/// hook that was set before.
pub(crate) fn mark_worker_thread() {
    HOOK.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if IS_WORKER.get() {
                LAST_PANIC.set(info.location().map(ToString::to_string));
            } else {
                previous(info);
            }
        }));
    });
    IS_WORKER.set(true);
}

/// Runs `f`; a panic comes back as an operator error with its message and source line.
pub(crate) fn catch<R>(f: impl FnOnce() -> R) -> Result<R, Error> {
    panic::catch_unwind(AssertUnwindSafe(f)).map_err(|payload| {
        let location = LAST_PANIC.take().map(|at| format!(" (at {at})")).unwrap_or_default();
        let text = describe(payload.as_ref());
        Error::operator(format!("panicked: {text}{location}"))
    })
}

/// Leaves the worker's step after the run was told of a failure. Unwinds to where the worker is driven, past
/// nothing but timely's own frames, which hold no lock then.
pub(crate) fn leave_step() -> ! {
    panic::resume_unwind(Box::new("the run has failed"))
}

fn describe(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
