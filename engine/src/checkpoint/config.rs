//! When checkpoints are made, and where they are.

use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};

use crate::checkpoint::migration::Migration;
use crate::checkpoint::progress::CheckpointState;
use crate::checkpoint::state::{StateReader, StateWriter};
use crate::checkpoint::store::{CheckpointStore, Storage};
use crate::error::{Error, Result};
use crate::hash::Key;

/// What to do where there is no checkpoint to go on from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnMissingCheckpoint {
    /// Begin anew only where the job never had a checkpoint; where there was one, and none can be used any more, refuse.
    #[default]
    Fail,
    /// Begin anew.
    Fresh,
}

/// Checkpoints of a job: a consistent state of all of it, written now and then, from which it goes on when it is
/// started again with the same directory and name; see
/// [`RuntimeConfig::checkpoints`](crate::RuntimeConfig::checkpoints).
///
/// | setting | flag | environment | default | valid |
/// |---|---|---|---|---|
/// | directory or URL | `--checkpoint-dir` | `WATERWHEEL_CHECKPOINT_DIR` | none: no checkpoints | one that all processes share |
/// | time from one to the next, seconds | `--checkpoint-interval` | `WATERWHEEL_CHECKPOINT_INTERVAL` | 10 | above 0 |
/// | checkpoints that are kept | `--checkpoint-retain` | `WATERWHEEL_CHECKPOINT_RETAIN` | 2 | 1 or more |
/// | none to go on from | `--on-missing-checkpoint` | `WATERWHEEL_ON_MISSING_CHECKPOINT` | fail | fail, fresh |
/// | where to go on from, instead of the newest | `--from-checkpoint` | `WATERWHEEL_FROM_CHECKPOINT` | the newest | an epoch, or the name of a savepoint |
/// | state that no operator takes | `--allow-unmatched-state` | `WATERWHEEL_ALLOW_UNMATCHED_STATE` | false | true, false |
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use waterwheel_engine::{CheckpointConfig, RuntimeConfig, execute};
///
/// let dir = tempfile::tempdir()?;
/// let checkpoints = CheckpointConfig::new(dir.path().display().to_string()).interval(Duration::from_secs(1));
/// let run = || {
///     let config = RuntimeConfig::threads(2).checkpoints(checkpoints.clone());
///     execute(config, |env| Ok(env.from_iter(0..100u64).key_by(|x| x % 7).count().collect()))
/// };
/// let counts = run()?.concat();
/// // The job has ended; started again, it finds that out, and has the same result.
/// assert_eq!(run()?.concat(), counts);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct CheckpointConfig {
    location: Location,
    pub(crate) interval: Duration,
    pub(crate) retain: usize,
    pub(crate) on_missing: OnMissingCheckpoint,
    pub(crate) allow_unmatched: bool,
    pub(crate) allow_rereading: bool,
    pub(crate) from: Option<String>,
    pub(crate) state: CheckpointState,
    pub(crate) state_version: u64,
    pub(crate) migrations: Vec<Migration>,
}

/// Where checkpoints are.
#[derive(Clone, Debug)]
enum Location {
    Named(String),
    Given(Arc<dyn Storage>),
}

impl CheckpointConfig {
    /// Default of [`interval`](Self::interval).
    pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(10);
    /// Default of [`retain`](Self::retain).
    pub const DEFAULT_RETAIN: usize = 2;

    /// Checkpoints in a directory, or below a URL, that all processes of the job share.
    pub fn new(location: impl Into<String>) -> Self {
        Self::at(Location::Named(location.into()))
    }

    /// Checkpoints in a storage of your own, which all threads of the job share; such as one that fails on purpose,
    /// [`FaultyStorage`](crate::checkpoint::FaultyStorage), in tests.
    pub fn on(storage: Arc<dyn Storage>) -> Self {
        Self::at(Location::Given(storage))
    }

    fn at(location: Location) -> Self {
        CheckpointConfig {
            location,
            interval: Self::DEFAULT_INTERVAL,
            retain: Self::DEFAULT_RETAIN,
            on_missing: OnMissingCheckpoint::default(),
            allow_unmatched: false,
            allow_rereading: false,
            from: None,
            state: CheckpointState::default(),
            state_version: 0,
            migrations: Vec::new(),
        }
    }

    /// Sets the time from the end of one checkpoint to the beginning of the next. Default 10 s. Valid: above zero.
    ///
    /// Sources wait at each until what they have read is handled, which takes about a millisecond; the state is then
    /// written while they go on. What sinks commit with checkpoints is seen so late.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Sets how many checkpoints are kept, the newest ones. Default 2. Valid: 1 or more.
    #[must_use]
    pub fn retain(mut self, n: usize) -> Self {
        self.retain = n;
        self
    }

    /// Sets what to do where there is no checkpoint to go on from. Default [`OnMissingCheckpoint::Fail`].
    #[must_use]
    pub fn on_missing(mut self, what: OnMissingCheckpoint) -> Self {
        self.on_missing = what;
        self
    }

    /// Sets whether the state of operators that the job no longer has may be dropped. Default false: it is an error
    /// that names them.
    #[must_use]
    pub fn allow_unmatched_state(mut self, allow: bool) -> Self {
        self.allow_unmatched = allow;
        self
    }

    /// Sets whether sources may be used that can not go back to a position: after a restart they begin anew, and what
    /// they read twice is handled twice. Default false: they are refused by name.
    #[must_use]
    pub fn allow_rereading(mut self, allow: bool) -> Self {
        self.allow_rereading = allow;
        self
    }

    /// Goes on from this checkpoint, an epoch or the name of a savepoint, instead of the newest one. Sinks take back what
    /// they have written since if they can, as [`write_files`](crate::DataStream::write_files) does. Default: the newest.
    ///
    /// Holds for the first [attempt](crate::RuntimeConfig::attempt): one that a supervisor starts later goes on from the
    /// newest, or it would begin there again and again.
    #[must_use]
    pub fn from_checkpoint(mut self, epoch_or_name: impl Into<String>) -> Self {
        self.from = Some(epoch_or_name.into());
        self
    }

    /// Lets `state` show how checkpoints go while the job runs.
    #[must_use]
    pub fn state(mut self, state: CheckpointState) -> Self {
        self.state = state;
        self
    }

    /// Sets the version of what the operators of the program keep. Default 0. It is stored with each checkpoint; what older
    /// ones hold is turned into it by migrations.
    ///
    /// Not needed where a struct has only got fields with `#[serde(default)]` at its end, if the struct is the state of a
    /// key itself or the last field of it.
    ///
    /// # Examples
    /// A count that becomes a count and a sum:
    /// ```
    /// use waterwheel_engine::{CheckpointConfig, RuntimeConfig, execute};
    ///
    /// let dir = tempfile::tempdir()?;
    /// let dir = dir.path().display().to_string();
    /// let first = RuntimeConfig::threads(1).checkpoints(CheckpointConfig::new(&dir));
    /// execute(first, |env| {
    ///     let counts = env.from_splits(1, |_| 0..10u64).uid("numbers").key_by(|x| x % 2);
    ///     counts.process(|_, n: &mut u32, _, _: &mut waterwheel_engine::Collector<()>| *n += 1).uid("counts").sink(|_| Ok(()));
    ///     Ok(())
    /// })?;
    ///
    /// let checkpoints = CheckpointConfig::new(&dir).state_version(1);
    /// let checkpoints = checkpoints.migrate_states("counts", 1, |key: &u64, n: u32| Ok((n, *key * u64::from(n))));
    /// execute(RuntimeConfig::threads(1).checkpoints(checkpoints), |env| {
    ///     let counts = env.from_splits(1, |_| 0..10u64).uid("numbers").key_by(|x| x % 2);
    ///     let add = |_: &u64, state: &mut (u32, u64), x, _: &mut waterwheel_engine::Collector<()>| {
    ///         *state = (state.0 + 1, state.1 + x);
    ///     };
    ///     counts.process(add).uid("counts").sink(|_| Ok(()));
    ///     Ok(())
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn state_version(mut self, version: u64) -> Self {
        self.state_version = version;
        self
    }

    /// Turns the state of each key of the operator with this uid into what version `version` of the program keeps, where a
    /// checkpoint is of an earlier one. Several migrations of one operator follow each other in order of version.
    #[must_use]
    pub fn migrate_states<K: Key, Old: DeserializeOwned, New: Serialize>(
        mut self,
        uid: impl Into<String>,
        version: u64,
        f: impl Fn(&K, Old) -> Result<New> + Send + Sync + 'static,
    ) -> Self {
        self.migrations.push(Migration::of_keys(uid.into(), version, f));
        self
    }

    /// As [`migrate_states`](Self::migrate_states), of what a function has put in its `snapshot`: `f` reads what an earlier
    /// version has put, on one worker or several, and puts what `restore` is to read.
    #[must_use]
    pub fn migrate_function(
        mut self,
        uid: impl Into<String>,
        version: u64,
        f: impl Fn(&mut StateReader, &mut StateWriter) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.migrations.push(Migration::of_function(uid.into(), version, f));
        self
    }

    /// What turns state of this kind, of an earlier version, into that of the program; in order.
    pub(crate) fn migrations<'a>(
        &'a self,
        operator: &str,
        kind: &str,
        from_version: u64,
    ) -> impl Iterator<Item = &'a Migration> {
        let mut migrations: Vec<_> = self.migrations.iter().collect();
        migrations.retain(|one| one.operator == operator && one.kind == kind && one.version > from_version);
        migrations.sort_by_key(|one| one.version);
        migrations.into_iter()
    }

    pub(crate) fn open(&self, job: &str) -> Result<CheckpointStore> {
        match &self.location {
            Location::Named(location) => CheckpointStore::open(location, job),
            Location::Given(storage) => CheckpointStore::on(Arc::clone(storage), job),
        }
    }

    /// The place, for people.
    pub(crate) fn place(&self) -> String {
        match &self.location {
            Location::Named(location) => location.clone(),
            Location::Given(storage) => format!("{storage:?}"),
        }
    }

    pub(crate) fn validate(&self) -> Result<()> {
        if matches!(&self.location, Location::Named(location) if location.is_empty()) {
            return Err(Error::config("checkpoint directory: found nothing, expected a path or a URL"));
        }
        if self.interval.is_zero() {
            return Err(Error::config("checkpoint interval: found 0, expected a time above zero"));
        }
        let newest = self.migrations.iter().map(|migration| migration.version).max().unwrap_or(0);
        if newest > self.state_version {
            let version = self.state_version;
            return Err(Error::config(format!(
                "state version of the program: found {version}, expected {newest} or more, for which there is a migration"
            )));
        }
        if self.retain == 0 {
            return Err(Error::config("checkpoints that are kept: found 0, expected 1 or more"));
        }
        Ok(())
    }
}
