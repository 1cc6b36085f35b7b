//! What becomes of records on which an operator fails, and how many there were.

use std::rc::Rc;
use std::sync::Arc;

use crate::clock::AnyClock;
use crate::error::{Error, Result};
use crate::operator::OperatorBuilder;
use crate::origin::Origin;
use crate::record_count::{Counter, RecordCount, RecordCounts, WatchedCounts};
use crate::runtime::state::RunState;

/// What to do with a record that can not be read, or on which a user function fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BadRecordPolicy {
    /// It ends the run with an error that names the operator; of a file, with file and line.
    #[default]
    Fail,
    /// It is dropped and counted; [`BadRecordState`] shows the count.
    Skip,
    /// It is counted, and goes to a second stream with the reason.
    DeadLetter,
}

/// Shows, while a job runs and after it, how many bad records each operator has skipped or sent to its dead letters.
///
/// Give it to [`RuntimeConfig::bad_record_state`](crate::RuntimeConfig::bad_record_state). Clones show the same; of
/// several runs the one that started last.
///
/// # Examples
/// ```
/// use waterwheel_engine::{BadRecordPolicy, BadRecordState, Error, RuntimeConfig, execute};
///
/// let bad = BadRecordState::new();
/// execute(RuntimeConfig::threads(2).bad_record_state(bad.clone()), |env| {
///     let words = env.from_iter(["1", "two", "3", "four"]);
///     let (numbers, _none) = words.try_map_with(BadRecordPolicy::Skip, |word| {
///         word.parse::<u64>().map_err(|_| Error::data(format!("found {word:?}, expected a number")))
///     });
///     numbers.name("numbers").sink(|_| Ok(()));
///     Ok(())
/// })?;
/// let counts = bad.operators();
/// assert_eq!((counts[0].operator.as_str(), counts[0].records), ("numbers", 2));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Default)]
pub struct BadRecordState(WatchedCounts);

impl BadRecordState {
    /// A handle that sees nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// All operators that have had a bad record, in the order in which they were built.
    pub fn operators(&self) -> Vec<RecordCount> {
        self.0.operators()
    }

    pub(crate) fn watch(&self, counts: &Arc<RecordCounts>) {
        self.0.watch(counts);
    }
}

impl std::fmt::Debug for BadRecordState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BadRecordState").field("operators", &self.operators()).finish()
    }
}

/// Does what the policy of an operator says, and counts.
pub(crate) struct Judge {
    policy: BadRecordPolicy,
    counter: Counter,
}

impl Judge {
    /// The judge of what `origin` has failed on, known by the number of its operator, or of one beside it.
    pub(crate) fn new(policy: BadRecordPolicy, origin: Rc<Origin>, id: usize) -> Self {
        Judge { policy, counter: Counter::new(RunState::bad_records, origin, id) }
    }

    /// The error again, if the record is to go to the dead letters.
    ///
    /// # Errors
    /// It, if it is to end the run.
    #[cold]
    pub(crate) fn judge(&self, error: Error) -> Result<Option<Error>> {
        match self.policy {
            BadRecordPolicy::Fail => return Err(error),
            BadRecordPolicy::Skip | BadRecordPolicy::DeadLetter => self.count(),
        }
        Ok(Some(error).filter(|_| self.policy == BadRecordPolicy::DeadLetter))
    }

    /// Notes one bad record.
    pub(crate) fn count(&self) {
        self.counter.add(1);
    }
}

impl<T: AnyClock> OperatorBuilder<'_, T> {
    /// What judges the bad records of this operator.
    pub(crate) fn judge(&self, policy: BadRecordPolicy) -> Judge {
        Judge::new(policy, self.origin(), self.id())
    }
}
