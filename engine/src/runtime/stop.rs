//! Stopping runs from outside.

use std::sync::{Arc, Mutex, Weak};

use crate::error::{Error, ErrorKind};
use crate::runtime::state::{RunState, lock};

/// Stops runs from another thread, for example on Ctrl-C.
///
/// Clones stop the same runs. A run that starts after the stop ends at once.
///
/// # Examples
/// A run that would never end, stopped by its own tenth record:
/// ```
/// use waterwheel_engine::{ErrorKind, RuntimeConfig, StopHandle, execute};
///
/// let stop = StopHandle::new();
/// let inside = stop.clone();
/// let done = execute(RuntimeConfig::threads(2).stop_handle(stop), move |env| {
///     let inside = inside.clone();
///     env.from_iter(0u64..).sink(move |x| {
///         if x == 10 { inside.stop() }
///         Ok(())
///     });
///     Ok(())
/// });
/// assert_eq!(done.unwrap_err().kind(), ErrorKind::Interrupted);
/// ```
#[derive(Clone, Default)]
pub struct StopHandle {
    shared: Arc<Mutex<StopState>>,
}

#[derive(Default)]
struct StopState {
    stopped: bool,
    runs: Vec<Weak<RunState>>,
}

impl StopHandle {
    /// A handle that stops nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends every run that was started with this handle; each returns [`ErrorKind::Interrupted`].
    pub fn stop(&self) {
        let runs = {
            let mut state = lock(&self.shared);
            state.stopped = true;
            std::mem::take(&mut state.runs)
        };
        for run in runs.iter().filter_map(Weak::upgrade) {
            run.fail(interrupted());
        }
    }

    /// Whether runs are stopped.
    pub(crate) fn is_stopped(&self) -> bool {
        lock(&self.shared).stopped
    }

    pub(crate) fn watch(&self, run: &Arc<RunState>) {
        let mut state = lock(&self.shared);
        if state.stopped {
            run.fail(interrupted());
        }
        state.runs.push(Arc::downgrade(run));
    }
}

fn interrupted() -> Error {
    Error::new(ErrorKind::Interrupted, "the run was stopped on request")
}

impl std::fmt::Debug for StopHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StopHandle").field("stopped", &lock(&self.shared).stopped).finish_non_exhaustive()
    }
}
