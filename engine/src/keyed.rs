//! Keyed streams: state per key, on the worker that owns the key.

mod aggregate;
mod cow;
mod selector;
mod states;
mod table;

use std::panic::Location;
use std::rc::Rc;

use crate::checkpoint::{Saved, Snapshot, State, StateReader, StateWriter, Written};
use crate::clock::{Clock, Epoch};
use crate::edge::{Edge, Place};
use crate::error::{Error, Result};
use crate::hash::Key;
use crate::operator::{Input, OperatorBuilder, WakeOn};
use crate::process::{
    self, BatchFunction, Collector, ForRound, Renewable, Results, keeps_nothing, swap_function,
};
use crate::record::Record;
use crate::stream::DataStream;

pub use aggregate::{AggregateFunction, KeyedAtEnd};
pub(crate) use selector::{KeySelector, Made, Part};
pub(crate) use states::KeyStates;
pub use states::StateTtl;
pub(crate) use table::KeyTable;

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

/// A function on the records of a keyed stream, with a state `S` per key.
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
        out: &mut Collector<Self::Out>,
    ) -> Result<()>;

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
        keeps_nothing(&self.for_next_round())
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

    /// Drops the state of a key that has had no record for so long, by the clock of the machine; the key's
    /// next record finds a new one, made by `Default`.
    ///
    /// State that has timed out is never seen again, not even by
    /// [`end_of_input`](KeyedProcessFunction::end_of_input). Its memory is given back while other records
    /// arrive, about one time to live later. Default: state is kept to the end. Valid: above zero; zero ends
    /// the run with an [`ErrorKind::Config`](crate::ErrorKind::Config) error.
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
        let logic = Keyed::new(f, Rc::clone(&self.key), self.ttl.clone());
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
    pub(crate) fn parallelism(&self) -> usize {
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

    fn process(&mut self, key: &K, state: &mut S, record: D, out: &mut Collector<E>) -> Result<()> {
        (self.0)(key, state, record, out);
        Ok(())
    }

    fn for_next_round(&self) -> ForRound<Self> {
        ForRound::Same
    }
}

/// Runs a keyed function with the states of this worker's keys.
pub(crate) struct Keyed<F: KeyedProcessFunction<K, D>, K, D> {
    f: F,
    key: Rc<dyn KeySelector<D, K>>,
    /// The keys of the batch at hand, unless they are parts of its records; empty between two batches.
    keys: Vec<K>,
    states: KeyStates<K, F::State>,
}

impl<K: Key, D, F: KeyedProcessFunction<K, D>> Keyed<F, K, D> {
    pub(crate) fn new(f: F, key: Rc<dyn KeySelector<D, K>>, ttl: Option<StateTtl>) -> Self {
        Keyed { f, key, keys: Vec::new(), states: KeyStates::new(ttl) }
    }
}

impl<K: Key, D: 'static, F: KeyedProcessFunction<K, D> + 'static> Renewable for Keyed<F, K, D> {
    type State = (Option<F>, KeyStates<K, F::State>);

    fn fresh(&self) -> ForRound<Self::State> {
        self.f.for_next_round().with(|| self.states.fresh())
    }

    fn swap(&mut self, (f, states): &mut Self::State) {
        swap_function(&mut self.f, f);
        std::mem::swap(&mut self.states, states);
    }
}

impl<K: Key, D: 'static, F: KeyedProcessFunction<K, D> + 'static> Snapshot for Keyed<F, K, D> {
    fn check(&self) -> Result<()> {
        self.f.snapshot(&mut StateWriter::default())
    }

    fn mark(&mut self, to: &mut Written) -> Result<()> {
        self.f.snapshot(&mut to.items)?;
        self.states.mark();
        Ok(())
    }

    fn sweep(&mut self, to: &mut Written) -> Result<bool> {
        self.states.sweep(to)
    }

    fn restore(&mut self, from: &Saved<'_>) -> Result<()> {
        self.f.restore(&mut from.items()?)?;
        self.states.restore(from)
    }
}

impl<K: Key, D: 'static, F: KeyedProcessFunction<K, D> + 'static> BatchFunction<D> for Keyed<F, K, D> {
    type Out = F::Out;
    const WAITS_FOR_END: bool = F::WAITS_FOR_END;

    fn process_batch<T: Clock>(
        &mut self,
        batch: &mut Vec<D>,
        out: &mut Results<'_, F::Out, T>,
    ) -> Result<()> {
        let Keyed { f, key: selector, keys, states } = self;
        let settled = match states {
            KeyStates::Lasting(states) => states.settled(),
            KeyStates::Expiring(_) => None,
        };
        let Some(settled) = settled else {
            for record in batch.drain(..) {
                let key = selector.key(&record);
                states.with(&key, |state, _is_new| f.process(&key, state, record, out.collector()))?;
                out.send_full();
            }
            return Ok(());
        };
        selector.keys(batch, keys);
        let mut made = keys.drain(..);
        for record in batch.drain(..) {
            let (key, state, _is_new) = match (made.next(), &record) {
                (Some(key), _) => settled.state_of(&key),
                (None, record) => match selector.part(record) {
                    Some(part) => settled.state_of(part),
                    None => return Err(Error::internal("a record has no key")),
                },
            };
            f.process(key, state, record, out.collector())?;
            out.send_full();
        }
        Ok(())
    }

    fn end_of_input(&mut self, out: &mut Collector<F::Out>) -> Result<()> {
        let outcome = self.states.for_each(|key, state| self.f.end_of_input(key, state, out));
        self.states.clear();
        outcome
    }
}
