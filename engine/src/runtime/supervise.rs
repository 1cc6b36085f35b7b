//! Starting a job again that has failed.

use std::sync::Arc;
use std::time::Duration;

use crate::collect::Outcome;
use crate::env::Env;
use crate::error::{ErrorKind, Result};
use crate::machine;
use crate::runtime::config::RuntimeConfig;
use crate::runtime::run_job;
use crate::runtime::stop::StopHandle;

/// How often the end of a pause is looked for.
const POLL: Duration = Duration::from_millis(50);

/// How often a job that has failed is started again, and how soon; see [`supervise`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restarts {
    max: u64,
    first_pause: Duration,
    longest_pause: Duration,
}

impl Restarts {
    /// At most so many restarts, the first after 1 s, each further one after twice as long, up to 30 s.
    pub fn new(max: u64) -> Self {
        Restarts { max, first_pause: Duration::from_secs(1), longest_pause: Duration::from_secs(30) }
    }

    /// Sets the pause before the first restart, and the longest one. Valid: any.
    #[must_use]
    pub fn pauses(mut self, first: Duration, longest: Duration) -> Self {
        (self.first_pause, self.longest_pause) = (first, longest);
        self
    }

    /// The pause before restart number `n`, from 0.
    fn pause(&self, n: u64) -> Duration {
        let doublings = u32::try_from(n).unwrap_or(u32::MAX).min(30);
        self.first_pause.saturating_mul(1 << doublings).min(self.longest_pause)
    }
}

/// As [`execute`](crate::execute), but starts the job again when it fails, each time as the next
/// [attempt](RuntimeConfig::attempt). With [`checkpoints`](RuntimeConfig::checkpoints) it goes on from the newest one.
///
/// Errors that would come again are not tried again: a setting or a graph that is wrong, a broken promise inside
/// Waterwheel, a stop on request, a later attempt that has taken over. A process that dies can not start itself again:
/// `waterwheel run --supervise` does that.
///
/// # Errors
/// The last error, when there were as many restarts as allowed; or the first one that would come again.
///
/// # Examples
/// ```
/// use std::sync::atomic::{AtomicU32, Ordering};
/// use std::time::Duration;
/// use waterwheel_engine::{CheckpointConfig, Error, Restarts, RuntimeConfig, supervise};
///
/// static FAILURES: AtomicU32 = AtomicU32::new(0);
/// let dir = tempfile::tempdir()?;
/// let config = RuntimeConfig::threads(2).checkpoints(CheckpointConfig::new(dir.path().display().to_string()));
/// let soon = Restarts::new(3).pauses(Duration::from_millis(10), Duration::from_secs(1));
/// let counts = supervise(config, soon, |env| {
///     let numbers = env.from_iter(0..100u64).try_map(|x| match x {
///         50 if FAILURES.fetch_add(1, Ordering::Relaxed) == 0 => Err(Error::operator("a passing trouble")),
///         x => Ok(x),
///     });
///     Ok(numbers.key_by(|x| x % 2).at_end().count().collect())
/// })?;
/// let mut counts = counts.concat();
/// counts.sort();
/// assert_eq!(counts, [(0, 50), (1, 50)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn supervise<O, F>(config: RuntimeConfig, restarts: Restarts, job: F) -> Result<Vec<O::Value>>
where
    O: Outcome,
    F: for<'s> Fn(&Env<'s>) -> Result<O> + Send + Sync + 'static,
{
    let job = Arc::new(job);
    let mut n = 0;
    loop {
        let attempt = config.attempt.saturating_add(n);
        let error = match run_job(config.clone().attempt(attempt), &job) {
            Ok(values) => return Ok(values),
            Err(error) => error,
        };
        if n == restarts.max || !may_pass(error.kind()) {
            return Err(error);
        }
        let pause = restarts.pause(n);
        tracing::warn!(
            "attempt {attempt} has failed; the next one begins in {pause:?}: {}",
            error.full_message()
        );
        if stopped_within(pause, &config.stop) {
            return Err(error);
        }
        n += 1;
    }
}

/// Whether a failure may not come again.
fn may_pass(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Operator | ErrorKind::Data | ErrorKind::Peer | ErrorKind::Storage)
}

fn stopped_within(pause: Duration, stop: &StopHandle) -> bool {
    let since = machine::now();
    while since.elapsed() < pause && !stop.is_stopped() {
        std::thread::park_timeout(POLL.min(pause.saturating_sub(since.elapsed())));
    }
    stop.is_stopped()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let restarts = Restarts::new(9);
        let secs: Vec<u64> = (0..8).map(|n| restarts.pause(n).as_secs()).collect();
        assert_eq!(secs, [1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(restarts.pause(u64::MAX), Duration::from_secs(30));
    }
}
