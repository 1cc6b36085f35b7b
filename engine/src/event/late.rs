//! How many records came too late.

use std::sync::Arc;

use crate::record_count::{RecordCount, RecordCounts, WatchedCounts};

/// Shows, while a job runs and after it, how many records came too late at each operator with event time: they had no
/// part in its results, and went to its stream of late records.
///
/// Give it to [`RuntimeConfig::late_record_state`](crate::RuntimeConfig::late_record_state). Clones show the same; of
/// several runs the one that started last.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use waterwheel_engine::{LateRecordState, RuntimeConfig, WatermarkStrategy, Windows, execute};
///
/// let late = LateRecordState::new();
/// execute(RuntimeConfig::threads(1).late_record_state(late.clone()), |env| {
///     // One record a batch, so that the watermark moves on between them.
///     let times = env.from_splits(1, |_| [0i64, 5_000, 61_000, 1_000]).map(|at| at);
///     let strategy = WatermarkStrategy::monotonous(|at: &i64| *at);
///     let minutes = Windows::tumbling(Duration::from_secs(60))?;
///     let counts = times.assign_timestamps_and_watermarks(strategy).window_all(minutes).count();
///     counts.results.into_stream().sink(|_| Ok(()));
///     Ok(())
/// })?;
/// // All four came in one batch here, and none was late.
/// assert!(late.operators().is_empty());
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct LateRecordState(WatchedCounts);

impl LateRecordState {
    /// A handle that sees nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// All operators at which a record was late, in the order in which they were built.
    pub fn operators(&self) -> Vec<RecordCount> {
        self.0.operators()
    }

    pub(crate) fn watch(&self, counts: &Arc<RecordCounts>) {
        self.0.watch(counts);
    }
}

impl std::fmt::Debug for LateRecordState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LateRecordState").field("operators", &self.operators()).finish()
    }
}
