//! How the checkpoints of a run go, for whoever watches it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::runtime::state::lock;

/// What has become of the checkpoints of a run so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointCounts {
    /// Checkpoints that are durable.
    pub completed: u64,
    /// Checkpoints that could not be written; the job went on without them.
    pub failed: u64,
    /// Why the last of those failed.
    pub last_failure: Option<String>,
    /// The epoch of the newest one.
    pub newest: Option<u64>,
    /// When the newest one was durable, as time since 1970.
    pub newest_at: Option<Duration>,
    /// From the beginning of the newest one until it was durable.
    pub duration: Duration,
    /// The longest time for which sources were held, until all operators had marked their state.
    pub longest_pause: Duration,
    /// Bytes of state that this process has handed to storage, before compression.
    pub bytes: u64,
}

/// Shows how the checkpoints of a run go; see [`CheckpointConfig::state`](crate::CheckpointConfig::state). Clones see the
/// same.
///
/// # Examples
/// ```
/// use waterwheel_engine::checkpoint::CheckpointStore;
/// use waterwheel_engine::{CheckpointConfig, CheckpointState, RuntimeConfig, execute};
///
/// let state = CheckpointState::new();
/// let storage = CheckpointStore::in_memory("job")?.shared_storage();
/// let config = RuntimeConfig::threads(2).checkpoints(CheckpointConfig::on(storage).state(state.clone()));
/// execute(config, |env| Ok(env.from_iter(0..100).key_by(|x| x % 7).count().collect()))?;
/// // There is one at the end of every job.
/// assert!(state.counts().completed >= 1 && state.counts().failed == 0);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct CheckpointState(Arc<Mutex<CheckpointCounts>>);

impl CheckpointState {
    /// Of no checkpoints yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What there was so far.
    pub fn counts(&self) -> CheckpointCounts {
        lock(&self.0).clone()
    }

    pub(crate) fn note(&self, change: impl FnOnce(&mut CheckpointCounts)) {
        change(&mut lock(&self.0));
    }
}
