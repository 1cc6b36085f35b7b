//! User functions that can fail on a record, and where the records go on which they did.

use std::fmt;
use std::panic::Location;

use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::operator::{OperatorBuilder, WakeOn};
use crate::source::BadRecordPolicy;
use crate::stream::DataStream;

/// Results are sent on once this many are waiting.
const SEND_AT: usize = 1024;

/// A record on which a user function failed, and why. Displays as `worker n: message`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DeadLetter<D> {
    /// The record, as it was given to the function.
    pub record: D,
    /// Index of the worker that saw it, among all workers of the job.
    pub worker: usize,
    /// What the function said, with its causes.
    pub message: String,
}

impl<D> fmt::Display for DeadLetter<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "worker {}: {}", self.worker, self.message)
    }
}

/// The two streams of [`DataStream::try_map_with`]: results, and records on which the function failed.
pub type MappedStreams<'s, E, D, T> = (DataStream<'s, E, T>, DataStream<'s, DeadLetter<D>, T>);

impl<'s, D: 'static, T: Clock> DataStream<'s, D, T> {
    /// As [`try_map`](Self::try_map), with a stream of the records on which `f` fails.
    ///
    /// With [`BadRecordPolicy::Fail`] the first error ends the run, naming this operator, and the second
    /// stream is empty. With [`BadRecordPolicy::Skip`] the record goes to the second stream, with the message,
    /// and the job goes on: the records of the input are those of both streams together. Both carry the time
    /// of the input. The stream of dead letters can be stored, counted, or just dropped.
    ///
    /// A panic of `f` ends the run whatever the policy is: it is a mistake in the program, not in a record.
    ///
    /// # Examples
    /// ```
    /// use waterwheel_engine::{BadRecordPolicy, Error, RuntimeConfig, execute};
    ///
    /// let workers = execute(RuntimeConfig::threads(1), |env| {
    ///     let words = env.from_iter(["1", "two", "3"].map(String::from));
    ///     let (numbers, dead) = words.try_map_with(BadRecordPolicy::Skip, |word| {
    ///         word.parse::<u64>().map_err(|_| Error::data(format!("found {word:?}, expected a number")))
    ///     });
    ///     Ok((numbers.collect(), dead.map(|letter| letter.message).collect()))
    /// })?;
    /// let (numbers, dead) = workers.into_iter().next().unwrap();
    /// assert_eq!(numbers, [1, 3]);
    /// assert_eq!(dead, ["found \"two\", expected a number"]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn try_map_with<E: 'static>(
        self,
        policy: BadRecordPolicy,
        mut f: impl FnMut(&D) -> Result<E> + 'static,
    ) -> MappedStreams<'s, E, D, T> {
        let (worker, edge) = (self.worker_index(), self.into_edge());
        let mut op = OperatorBuilder::made_at(&edge.place(), "try_map_with", Location::caller());
        let mut input = op.input(edge, WakeOn::Records);
        let (mut good_out, good_edge) = op.output();
        let (mut dead_out, dead_edge) = op.output();
        op.keep_nothing();
        op.build(move |_promises, _activation| {
            let (mut good, mut dead) = (Vec::new(), Vec::new());
            move |_frontiers| {
                input.try_for_each(|token, batch| {
                    for record in batch.drain(..) {
                        match f(&record) {
                            Ok(result) => good.push(result),
                            Err(error) if policy == BadRecordPolicy::Fail => return Err(error),
                            Err(error) => dead.push(DeadLetter::new(record, worker, &error)),
                        }
                        if good.len() >= SEND_AT {
                            good_out.send(&token, [&mut good]);
                            good.clear();
                        }
                    }
                    good_out.send(&token, [&mut good]);
                    dead_out.send(&token, [&mut dead]);
                    good.clear();
                    dead.clear();
                    Ok(())
                })
            }
        });
        (DataStream::from_edge(good_edge), DataStream::from_edge(dead_edge))
    }
}

impl<D> DeadLetter<D> {
    #[cold]
    fn new(record: D, worker: usize, error: &Error) -> Self {
        DeadLetter { record, worker, message: error.full_message() }
    }
}
