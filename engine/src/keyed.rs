//! Keyed streams: state per key, on the worker that owns the key.

mod aggregate;
mod cow;
mod run;
mod selector;
mod states;
mod table;
mod timers;

use std::panic::Location;
use std::rc::Rc;

use crate::checkpoint::{State, StateReader, StateWriter};
use crate::clock::{Clock, Epoch};
use crate::edge::{Edge, Place};
use crate::error::Result;
use crate::hash::Key;
use crate::operator::{Input, OperatorBuilder, WakeOn};
use crate::process::{self, Collector, ForRound};
use crate::record::Record;
use crate::stream::DataStream;

pub use aggregate::{AggregateFunction, KeyedAtEnd};
pub(crate) use cow::CowTable;
pub(crate) use run::Keyed;
pub(crate) use selector::{KeySelector, Made, Part};
pub use states::StateTtl;
pub(crate) use states::{KeyStates, STATES};
pub use timers::{KeyedContext, ProcessingTimer};

/// A stream partitioned by key; see [`DataStream::key_by`].
pub struct KeyedStream<'s, K, D, T: Clock = Epoch> {
    pub(crate) edge: Edge<'s, Vec<D>, T>,
    pub(crate) key: Rc<dyn KeySelector<D, K>>,
    pub(crate) ttl: Option<StateTtl>,
    location: &'static Location<'static>,
}

impl<K, D, T: Clock> std::fmt::Debug for KeyedStream<'_, K, D, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("KeyedStream").field(&self.edge).finish()
    }
}

/// A function on the records of a keyed stream, with a state per key, and timers.
///
/// # Examples
/// The sum of each key's numbers, each time that the key has had none for ten milliseconds:
/// ```
/// use std::time::Duration;
/// use serde::{Deserialize, Serialize};
/// use waterwheel_engine::{
///     Collector, KeyedContext, KeyedProcessFunction, ProcessingTimer, Result, RuntimeConfig, execute,
/// };
///
/// #[derive(Default, Serialize, Deserialize)]
/// struct Burst { sum: u64, timer: Option<ProcessingTimer> }
///
/// struct SumOfBurst;
/// impl KeyedProcessFunction<u64, u64> for SumOfBurst {
///     type State = Burst;
///     type Out = (u64, u64);
///
///     fn process(
///         &mut self, _: &u64, burst: &mut Burst, x: u64, context: &mut KeyedContext, _: &mut Collector<(u64, u64)>,
///     ) -> Result<()> {
///         burst.sum += x;
///         burst.timer.take().map(|timer| context.delete_processing_time_timer(timer));
///         burst.timer = Some(context.register_processing_time_timer(Duration::from_millis(10)));
///         Ok(())
///     }
///
///     fn on_timer(
///         &mut self, key: &u64, burst: &mut Burst, _: ProcessingTimer, _: &mut KeyedContext,
///         out: &mut Collector<(u64, u64)>,
///     ) -> Result<()> {
///         out.emit((*key, std::mem::take(burst).sum));
///         Ok(())
///     }
///
///     // What is left when the input ends: its timers are not called any more.
///     fn end_of_input(&mut self, key: &u64, burst: &mut Burst, out: &mut Collector<(u64, u64)>) -> Result<()> {
///         if burst.sum > 0 { out.emit((*key, burst.sum)) }
///         Ok(())
///     }
/// }
///
/// let sums = execute(RuntimeConfig::threads(2), |env| {
///     Ok(env.from_iter(1..=4).key_by(|x| x % 2).process_function(SumOfBurst).collect())
/// })?;
/// assert_eq!(sums.concat().iter().map(|(_, sum)| sum).sum::<u64>(), 10);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
pub trait KeyedProcessFunction<K, D> {
    /// State of one key; made by `Default` at the key's first record, and stored in checkpoints by serde.
    type State: State;
    /// What it emits.
    type Out: 'static;

    /// Whether the function is to be told of the end of its input. Default `true`.
    ///
    /// Waiting for the end keeps a loop alive: a function whose results are fed back into its own input must
    /// say `false`, or the loop never ends.
    const WAITS_FOR_END: bool = true;

    /// Handles one record of `key`.
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn process(
        &mut self,
        key: &K,
        state: &mut Self::State,
        record: D,
        context: &mut KeyedContext,
        out: &mut Collector<Self::Out>,
    ) -> Result<()>;

    /// Called when a timer of `key` is due: in order of time, and of timers for the same time in the order in which
    /// they were asked for.
    ///
    /// Like a record, it finds the state of the key or makes one, and prolongs its [time to
    /// live](KeyedStream::state_ttl). What it emits has the least time that may still arrive: in a loop, that of the
    /// round that is not yet complete.
    ///
    /// Timers that are due when the input has ended are called before [`end_of_input`](Self::end_of_input); the others
    /// never are, so a timer holds up neither the end of the job nor that of a loop. Where operators begin anew in each
    /// round, the same holds for the end of the round.
    ///
    /// With [`WAITS_FOR_END`](Self::WAITS_FOR_END) `false` the operator has no right to send of its own, unless it
    /// begins anew in each round: a timer is called no sooner than the next records come, and before these.
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn on_timer(
        &mut self,
        _key: &K,
        _state: &mut Self::State,
        _timer: ProcessingTimer,
        _context: &mut KeyedContext,
        _out: &mut Collector<Self::Out>,
    ) -> Result<()> {
        Ok(())
    }

    /// Called once per key, in order of key, when the input has ended.
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn end_of_input(
        &mut self,
        _key: &K,
        _state: &mut Self::State,
        _out: &mut Collector<Self::Out>,
    ) -> Result<()> {
        Ok(())
    }

    /// What serves the next round, where operators begin anew in each round of a loop; the states of keys do by
    /// themselves. Default: nothing can.
    fn for_next_round(&self) -> ForRound<Self>
    where
        Self: Sized,
    {
        ForRound::Refused
    }

    /// Writes what the function keeps beside the states of keys, for a checkpoint.
    ///
    /// Called when all records before the checkpoint have been handled, and once before the first record. Default:
    /// nothing where [`for_next_round`](Self::for_next_round) says [`ForRound::Same`]; otherwise the function can not
    /// run in a job with checkpoints.
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn snapshot(&self, _state: &mut StateWriter) -> Result<()>
    where
        Self: Sized,
    {
        self.for_next_round().keeps_nothing()
    }

    /// Takes over, before its first record, what was written by [`snapshot`](Self::snapshot); as
    /// [`ProcessFunction::restore`](crate::ProcessFunction::restore).
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn restore(&mut self, _state: &mut StateReader) -> Result<()> {
        Ok(())
    }
}

impl<'s, K: Key, D: Record, T: Clock> KeyedStream<'s, K, D, T> {
    pub(crate) fn new(
        edge: Edge<'s, Vec<D>, T>,
        key: Rc<dyn KeySelector<D, K>>,
        location: &'static Location<'static>,
    ) -> Self {
        KeyedStream { edge, key, ttl: None, location }
    }

    /// Handles each record with its key's state and a [`Collector`] for any number of results.
    ///
    /// # Examples
    /// ```
    /// # use waterwheel_engine::{execute, RuntimeConfig};
    /// let counts = execute(RuntimeConfig::threads(2), |env| {
    ///     let words = env.from_iter("a b a".split(' ').map(String::from));
    ///     let counted = words.key_by(|word| word.clone()).process(|word, count: &mut u32, _word, out| {
    ///         *count += 1;
    ///         out.emit((word.clone(), *count));
    ///     });
    ///     Ok(counted.collect())
    /// })?;
    /// let counts = counts.concat();
    /// assert!(counts.contains(&("a".to_string(), 2)) && counts.contains(&("b".to_string(), 1)));
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    #[track_caller]
    pub fn process<S: State, E: 'static>(
        self,
        f: impl FnMut(&K, &mut S, D, &mut Collector<E>) + 'static,
    ) -> DataStream<'s, E, T> {
        self.process_function(EachKeyed(f, std::marker::PhantomData))
    }

    /// Handles records with a [`KeyedProcessFunction`], which is also told of the end of the input.
    #[track_caller]
    pub fn process_function<F: KeyedProcessFunction<K, D> + 'static>(
        self,
        f: F,
    ) -> DataStream<'s, F::Out, T> {
        self.run("keyed_process", Location::caller(), f)
    }

    /// Drops the state of a key that has had no record and no timer for so long, by the clock of the machine; the key's
    /// next record finds a new one, made by `Default`.
    ///
    /// State that has timed out is never seen again, not even by
    /// [`end_of_input`](KeyedProcessFunction::end_of_input). Its memory is given back while other records
    /// arrive, about one time to live later. Default: state is kept to the end. Valid: above zero; zero ends
    /// the run with an [`ErrorKind::Config`](crate::ErrorKind::Config) error.
    ///
    /// # Examples
    /// Clicks of a visit, which ends after half an hour without any:
    /// ```
    /// # use waterwheel_engine::{execute, RuntimeConfig};
    /// use std::time::Duration;
    ///
    /// let counts = execute(RuntimeConfig::threads(2), |env| {
    ///     let visits = env.from_iter([7u32, 7, 9]).key_by(|user| *user).state_ttl(Duration::from_secs(1800));
    ///     Ok(visits.count().collect())
    /// })?;
    /// assert!(counts.concat().contains(&(7, 2)));
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    #[must_use]
    pub fn state_ttl(mut self, ttl: impl Into<StateTtl>) -> Self {
        let ttl = ttl.into();
        if let Err(error) = ttl.check() {
            self.edge.origin.refuse(error);
        }
        self.ttl = Some(ttl);
        self
    }

    /// The dataflow, or the body of a loop, that the stream is in.
    pub fn place(&self) -> Place<'s, T> {
        self.edge.place()
    }

    /// The records, each on the worker that owns its key, without state.
    #[must_use]
    pub fn into_stream(self) -> DataStream<'s, D, T> {
        let location = self.location;
        let (op, input) = self.partitioned("key_by", location, WakeOn::Records);
        op.finish_unary(input, |token, batch, out| {
            out.send_batch(token, batch);
            Ok(())
        })
    }

    /// Runs `f` with the states of this worker's keys.
    pub(crate) fn run<F: KeyedProcessFunction<K, D> + 'static>(
        self,
        name: &str,
        location: &'static Location<'static>,
        f: F,
    ) -> DataStream<'s, F::Out, T> {
        let worker = self.edge.place().worker_index();
        let logic = Keyed::new(f, Rc::clone(&self.key), self.ttl.clone(), worker);
        let (op, input) = self.partitioned(name, location, WakeOn::end(F::WAITS_FOR_END));
        process::run(op, input, logic)
    }

    pub(crate) fn partitioned(
        self,
        name: &str,
        location: &'static Location<'static>,
        wake: WakeOn,
    ) -> (OperatorBuilder<'s, T>, Input<Vec<D>, T>) {
        let n = self.parallelism();
        let mut op = OperatorBuilder::made_at(&self.edge.place(), name, location);
        let input = self.routed_input(&mut op, wake, n);
        op.set_parallelism(n);
        (op, input)
    }

    /// Adds an input of `op` that brings each record to the owner of its key among the first `n` workers.
    pub(crate) fn routed_input(
        self,
        op: &mut OperatorBuilder<'s, T>,
        wake: WakeOn,
        n: usize,
    ) -> Input<Vec<D>, T> {
        let key = self.key;
        let route = move |records: &[D], _workers: usize, to: &mut Vec<usize>| key.owners(records, n, to);
        op.input_by_route(self.edge, wake, route)
    }

    /// Number of workers, from the first, that own keys.
    pub fn parallelism(&self) -> usize {
        self.edge.origin.parallelism().min(self.edge.place().workers())
    }
}

/// A plain closure as a [`KeyedProcessFunction`].
struct EachKeyed<F, S, E>(F, std::marker::PhantomData<(S, E)>);

impl<K, D, S, E, F> KeyedProcessFunction<K, D> for EachKeyed<F, S, E>
where
    S: State,
    E: 'static,
    F: FnMut(&K, &mut S, D, &mut Collector<E>),
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
        (self.0)(key, state, record, out);
        Ok(())
    }

    fn for_next_round(&self) -> ForRound<Self> {
        ForRound::Same
    }
}
