//! User functions that can fail on a record, and where the records go on which they did.

use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::bad_record::{BadRecordPolicy, Judge};
use crate::checkpoint::State;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::hash::Key;
use crate::keyed::{Keyed, KeyedContext, KeyedProcessFunction, KeyedStream};
use crate::operator::{OperatorBuilder, WakeOn};
use crate::process::{Collector, ForRound};
use crate::record::Record;
use crate::side_output::{self, OutputTag, SideOutputs};
use crate::stream::DataStream;

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

/// The two streams of an operator with a [`BadRecordPolicy`]: results, and the records on which its function failed.
pub type MappedStreams<'s, E, D, T> = (DataStream<'s, E, T>, DataStream<'s, DeadLetter<D>, T>);

impl<'s, D: 'static, T: Clock> DataStream<'s, D, T> {
    /// As [`try_map`](Self::try_map), with a policy for the records on which `f` fails, and a stream of them.
    ///
    /// With [`BadRecordPolicy::Fail`] the first error ends the run, naming this operator. With
    /// [`BadRecordPolicy::Skip`] the record is dropped and counted. With [`BadRecordPolicy::DeadLetter`] it is counted
    /// and goes to the second stream, with the message: the records of the input are those of both streams together.
    /// Otherwise the second stream is empty. Both carry the time of the input.
    ///
    /// A panic of `f` ends the run whatever the policy is: it is a mistake in the program, not in a record.
    ///
    /// # Examples
    /// ```
    /// use waterwheel_engine::{BadRecordPolicy, Error, RuntimeConfig, execute};
    ///
    /// let workers = execute(RuntimeConfig::threads(1), |env| {
    ///     let words = env.from_iter(["1", "two", "3"].map(String::from));
    ///     let (numbers, dead) = words.try_map_with(BadRecordPolicy::DeadLetter, |word| {
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
        self.judged("try_map_with", Location::caller(), policy, move |record, good| match f(&record) {
            Ok(result) => {
                good.emit(result);
                None
            }
            Err(error) => Some((record, error)),
        })
    }

    /// As [`filter`](Self::filter), for a function that can fail on a record; see
    /// [`try_map_with`](Self::try_map_with).
    #[track_caller]
    pub fn try_filter_with(
        self,
        policy: BadRecordPolicy,
        mut keep: impl FnMut(&D) -> Result<bool> + 'static,
    ) -> MappedStreams<'s, D, D, T> {
        self.judged("try_filter_with", Location::caller(), policy, move |record, good| match keep(&record) {
            Ok(true) => {
                good.emit(record);
                None
            }
            Ok(false) => None,
            Err(error) => Some((record, error)),
        })
    }

    /// As [`flat_map`](Self::flat_map), for a function that can fail on a record; see
    /// [`try_map_with`](Self::try_map_with).
    #[track_caller]
    pub fn try_flat_map_with<I: IntoIterator<Item: 'static>>(
        self,
        policy: BadRecordPolicy,
        mut f: impl FnMut(&D) -> Result<I> + 'static,
    ) -> MappedStreams<'s, I::Item, D, T> {
        self.judged("try_flat_map_with", Location::caller(), policy, move |record, good| match f(&record) {
            Ok(results) => {
                good.batch().extend(results);
                None
            }
            Err(error) => Some((record, error)),
        })
    }

    /// As [`process`](Self::process), for a function that can fail on a record; see
    /// [`try_map_with`](Self::try_map_with). What it has emitted for that record is dropped.
    #[track_caller]
    pub fn try_process_with<E: 'static>(
        self,
        policy: BadRecordPolicy,
        mut f: impl FnMut(&D, &mut Collector<E>) -> Result<()> + 'static,
    ) -> MappedStreams<'s, E, D, T> {
        self.judged("try_process_with", Location::caller(), policy, move |record, good| {
            let before = good.batch().len();
            let error = f(&record, good).err()?;
            good.batch().truncate(before);
            Some((record, error))
        })
    }

    /// An operator of two outputs; `f` gives a record back with the error if it fails on it.
    fn judged<E: 'static>(
        self,
        name: &str,
        location: &'static Location<'static>,
        policy: BadRecordPolicy,
        mut f: impl FnMut(D, &mut Collector<E>) -> Option<(D, Error)> + 'static,
    ) -> MappedStreams<'s, E, D, T> {
        let (worker, edge) = (self.worker_index(), self.into_edge());
        let mut op = OperatorBuilder::made_at(&edge.place(), name, location);
        let judge = op.judge(policy);
        let mut input = op.input(edge, WakeOn::Records);
        let (mut good_out, good_edge) = op.output();
        let (mut dead_out, dead_edge) = op.output();
        // What it counts is in checkpoints.
        let mut part = op.part(&());
        op.build(move |_promises, _activation| {
            let (mut good, mut dead) = (Collector::default(), Vec::new());
            move |frontiers| {
                part.begin(&mut ())?;
                input.try_for_each(|token, batch| {
                    for record in batch.drain(..) {
                        if let Some((record, error)) = f(record, &mut good) {
                            let error = judge.judge(error)?;
                            dead.extend(error.map(|error| DeadLetter::new(record, worker, &error)));
                        }
                        good.send_full(&token, &mut good_out);
                    }
                    good.send(&token, &mut good_out);
                    dead_out.send(&token, [&mut dead]);
                    dead.clear();
                    Ok(())
                })?;
                part.be_waited_for(frontiers)
            }
        });
        (DataStream::from_edge(good_edge), DataStream::from_edge(dead_edge))
    }
}

impl<'s, K: Key, D: Record, T: Clock> KeyedStream<'s, K, D, T> {
    /// As [`process`](Self::process), for a function that can fail on a record; see
    /// [`DataStream::try_map_with`]. What it has emitted for that record is dropped; what it has changed in the state
    /// stays.
    ///
    /// # Examples
    /// ```
    /// use waterwheel_engine::{BadRecordPolicy, Error, RuntimeConfig, execute};
    ///
    /// let workers = execute(RuntimeConfig::threads(2), |env| {
    ///     let moves = env.from_iter([("ada", 5i64), ("bob", 1), ("ada", -9), ("ada", -2)]);
    ///     let moves = moves.map(|(name, x)| (name.to_string(), x)).key_by(|(name, _)| name.clone());
    ///     let (sums, refused) = moves.try_process_with(BadRecordPolicy::DeadLetter, |name, sum: &mut i64, (_, x), out| {
    ///         if *sum + x < 0 {
    ///             return Err(Error::data(format!("{name} has {sum}")));
    ///         }
    ///         *sum += x;
    ///         Ok(out.emit((name.clone(), *sum)))
    ///     });
    ///     Ok((sums.collect(), refused.map(|letter| letter.message).collect()))
    /// })?;
    /// let (mut sums, refused) = workers.into_iter().next().unwrap();
    /// sums.sort();
    /// assert_eq!(sums, [("ada".to_string(), 3), ("ada".to_string(), 5), ("bob".to_string(), 1)]);
    /// assert_eq!(refused, ["ada has 5"]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn try_process_with<S: State, E: 'static>(
        self,
        policy: BadRecordPolicy,
        f: impl FnMut(&K, &mut S, &D, &mut Collector<E>) -> Result<()> + 'static,
    ) -> MappedStreams<'s, E, D, T> {
        let (key, ttl) = (Rc::clone(&self.key), self.ttl.clone());
        let (op, input) = self.partitioned("try_process_with", Location::caller(), WakeOn::Records);
        let (worker, judge) = (op.worker_index(), op.judge(policy));
        let judged = |dead| Judged { f, judge, worker, dead, types: PhantomData };
        let results = side_output::run(op, input, |side| Keyed::new(judged(side), key, ttl, worker));
        let dead = results.side_output(&dead_letters());
        (results.into_main(), dead)
    }
}

fn dead_letters<D>() -> OutputTag<DeadLetter<D>> {
    OutputTag::new("dead letters")
}

/// A closure that can fail on a record of a keyed stream.
struct Judged<F, S, E> {
    f: F,
    judge: Judge,
    worker: usize,
    dead: SideOutputs,
    types: PhantomData<(S, E)>,
}

impl<K, D, S, E, F> KeyedProcessFunction<K, D> for Judged<F, S, E>
where
    D: 'static,
    S: State,
    E: 'static,
    F: FnMut(&K, &mut S, &D, &mut Collector<E>) -> Result<()>,
{
    type State = S;
    type Out = E;
    const WAITS_FOR_END: bool = false;

    fn process(
        &mut self,
        key: &K,
        state: &mut S,
        record: D,
        _context: &mut KeyedContext,
        out: &mut Collector<E>,
    ) -> Result<()> {
        let before = out.batch().len();
        if let Err(error) = (self.f)(key, state, &record, out) {
            out.batch().truncate(before);
            if let Some(error) = self.judge.judge(error)? {
                self.dead.emit(&dead_letters(), DeadLetter::new(record, self.worker, &error));
            }
        }
        Ok(())
    }

    fn for_next_round(&self) -> ForRound<Self> {
        ForRound::Same
    }
}

impl<D> DeadLetter<D> {
    #[cold]
    fn new(record: D, worker: usize, error: &Error) -> Self {
        DeadLetter { record, worker, message: error.full_message() }
    }
}
