//! A keyed stream beside one that every worker has a copy of.

use std::marker::PhantomData;
use std::panic::Location;
use std::rc::Rc;

use crate::checkpoint::{Saved, Snapshot, State, StateReader, StateWriter, Written};
use crate::clock::{Clock, Epoch};
use crate::connect::{CoProcessFunction, Inputs};
use crate::error::Result;
use crate::hash::Key;
use crate::keyed::{KeySelector, KeyStates, KeyedStream, StateTtl};
use crate::operator::{OperatorBuilder, WakeOn};
use crate::process::{Collector, ForRound, Renewable, swap_function};
use crate::record::Record;
use crate::side_output::{SideOutputStream, SideOutputs};
use crate::stream::DataStream;

/// A keyed stream and one that every worker gets, on their way into one function; see
/// [`KeyedStream::connect_broadcast`].
pub struct KeyedBroadcastConnectedStreams<'s, K, A, B, T: Clock = Epoch> {
    main: KeyedStream<'s, K, A, T>,
    broadcast: DataStream<'s, B, T>,
}

impl<K, A, B, T: Clock> std::fmt::Debug for KeyedBroadcastConnectedStreams<'_, K, A, B, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = f.debug_struct("KeyedBroadcastConnectedStreams");
        text.field("main", &self.main).field("broadcast", &self.broadcast).finish()
    }
}

/// As [`BroadcastProcessFunction`](crate::BroadcastProcessFunction), on a keyed main stream with a state per key.
pub trait KeyedBroadcastProcessFunction<K, A, B> {
    /// State of one key; made by `Default` at the key's first record.
    type State: State;
    /// The broadcast state; made by `Default` on every worker.
    type Broadcast: State;
    /// What it emits.
    type Out: 'static;

    /// Whether the function is to be told of the end of its input. Default `true`.
    ///
    /// Waiting for the end keeps a loop alive: a function whose results are fed back into its own input must
    /// say `false`, or the loop never ends.
    const WAITS_FOR_END: bool = true;

    /// Handles one record of the main stream.
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn process(
        &mut self,
        key: &K,
        state: &mut Self::State,
        broadcast: &Self::Broadcast,
        record: A,
        out: &mut Collector<Self::Out>,
    ) -> Result<()>;

    /// Applies one broadcast record; called on every worker.
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn process_broadcast(
        &mut self,
        broadcast: &mut Self::Broadcast,
        record: B,
        out: &mut Collector<Self::Out>,
    ) -> Result<()>;

    /// Called once per key, in order of key, when the main stream has ended.
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn end_of_input(
        &mut self,
        _key: &K,
        _state: &mut Self::State,
        _broadcast: &Self::Broadcast,
        _out: &mut Collector<Self::Out>,
    ) -> Result<()> {
        Ok(())
    }

    /// Called when the broadcast stream has ended: once per key that is there, in order of key, and for one
    /// that comes later before its first record.
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn end_of_broadcast(
        &mut self,
        _key: &K,
        _state: &mut Self::State,
        _broadcast: &Self::Broadcast,
        _out: &mut Collector<Self::Out>,
    ) -> Result<()> {
        Ok(())
    }

    /// What serves the next round, where operators begin anew in each round of a loop; the states that it is
    /// handed do by themselves. Default: nothing can.
    fn for_next_round(&self) -> ForRound<Self>
    where
        Self: Sized,
    {
        ForRound::Refused
    }

    /// Writes what the function keeps beside the states of keys and the broadcast state, for a checkpoint.
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

impl<'s, K: Key, A: Record, T: Clock> KeyedStream<'s, K, A, T> {
    /// Brings `other` into the same function on every worker: its records change a broadcast state that the
    /// records of this stream read beside the state of their key.
    ///
    /// # Examples
    /// ```
    /// # use waterwheel_engine::{execute, RuntimeConfig};
    /// let counts = execute(RuntimeConfig::threads(2), |env| {
    ///     let words = env.from_iter(["a", "b", "a"].map(String::from)).key_by(String::clone);
    ///     let counted = words.connect_broadcast(env.from_iter([10u64])).process(
    ///         |word, n: &mut u64, offset: &u64, _word, out| {
    ///             *n += 1;
    ///             out.emit((word.clone(), *n, *offset));
    ///         },
    ///         |offset, x, _out| *offset = x,
    ///     );
    ///     Ok(counted.collect())
    /// })?;
    /// let counts = counts.concat();
    /// // What was read before the offset arrived has none.
    /// assert!(counts.iter().any(|(word, n, offset)| (word.as_str(), *n) == ("a", 2) && [0, 10].contains(offset)));
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    #[must_use]
    pub fn connect_broadcast<B: Record>(
        self,
        other: DataStream<'s, B, T>,
    ) -> KeyedBroadcastConnectedStreams<'s, K, A, B, T> {
        KeyedBroadcastConnectedStreams { main: self, broadcast: other }
    }
}

impl<'s, K: Key, A: Record, B: Record, T: Clock> KeyedBroadcastConnectedStreams<'s, K, A, B, T> {
    /// Handles records of the main stream with `main`, and applies broadcast ones with `apply`.
    #[track_caller]
    pub fn process<S: State, R: State, E: 'static>(
        self,
        main: impl FnMut(&K, &mut S, &R, A, &mut Collector<E>) + 'static,
        apply: impl FnMut(&mut R, B, &mut Collector<E>) + 'static,
    ) -> DataStream<'s, E, T> {
        self.process_function(ReadAndApply(main, apply, PhantomData))
    }

    /// Handles records with a [`KeyedBroadcastProcessFunction`], which is also told of the end of each stream.
    #[track_caller]
    pub fn process_function<F: KeyedBroadcastProcessFunction<K, A, B> + 'static>(
        self,
        f: F,
    ) -> DataStream<'s, F::Out, T> {
        let (key, ttl) = (Rc::clone(&self.main.key), self.main.ttl.clone());
        let (op, inputs) = self.inputs(Location::caller(), WakeOn::end(F::WAITS_FOR_END));
        super::run(op, inputs, KeyedWithBroadcast::new(f, key, ttl))
    }

    /// As [`process_function`](Self::process_function), for the function that `make` returns; it keeps the
    /// [`SideOutputs`] that `make` gets.
    #[track_caller]
    pub fn process_function_with_side_outputs<F: KeyedBroadcastProcessFunction<K, A, B> + 'static>(
        self,
        make: impl FnOnce(SideOutputs) -> F,
    ) -> SideOutputStream<'s, F::Out, T> {
        let (key, ttl) = (Rc::clone(&self.main.key), self.main.ttl.clone());
        let (op, inputs) = self.inputs(Location::caller(), WakeOn::end(F::WAITS_FOR_END));
        super::run_with_side_outputs(op, inputs, |side| KeyedWithBroadcast::new(make(side), key, ttl))
    }

    /// The main stream, and a copy of the broadcast one on each of its workers, for the layers that build their own
    /// operators.
    #[track_caller]
    pub fn into_parts(self) -> (KeyedStream<'s, K, A, T>, DataStream<'s, B, T>) {
        let n = self.main.parallelism();
        (self.main, self.broadcast.broadcast_to(n, Location::caller()))
    }

    fn inputs(
        self,
        location: &'static Location<'static>,
        wake: WakeOn,
    ) -> (OperatorBuilder<'s, T>, Inputs<A, B, T>) {
        let n = self.main.parallelism();
        let broadcast = self.broadcast.broadcast_to(n, location).into_edge();
        let mut op = OperatorBuilder::made_at(&broadcast.place(), "keyed_broadcast_process", location);
        let inputs = (self.main.routed_input(&mut op, wake, n), op.input(broadcast, wake));
        op.set_parallelism(n);
        (op, inputs)
    }
}

/// Two closures as a [`KeyedBroadcastProcessFunction`].
struct ReadAndApply<F, G, S, R, E>(F, G, PhantomData<(S, R, E)>);

impl<K, A, B, S, R, E, F, G> KeyedBroadcastProcessFunction<K, A, B> for ReadAndApply<F, G, S, R, E>
where
    S: State,
    R: State,
    E: 'static,
    F: FnMut(&K, &mut S, &R, A, &mut Collector<E>),
    G: FnMut(&mut R, B, &mut Collector<E>),
{
    type State = S;
    type Broadcast = R;
    type Out = E;
    const WAITS_FOR_END: bool = false;

    fn process(
        &mut self,
        key: &K,
        state: &mut S,
        broadcast: &R,
        record: A,
        out: &mut Collector<E>,
    ) -> Result<()> {
        (self.0)(key, state, broadcast, record, out);
        Ok(())
    }

    fn process_broadcast(&mut self, broadcast: &mut R, record: B, out: &mut Collector<E>) -> Result<()> {
        (self.1)(broadcast, record, out);
        Ok(())
    }

    fn for_next_round(&self) -> ForRound<Self> {
        ForRound::Same
    }
}

/// Runs a keyed function with the states of this worker's keys and its broadcast state.
struct KeyedWithBroadcast<F: KeyedBroadcastProcessFunction<K, A, B>, K, A, B> {
    f: F,
    key: Rc<dyn KeySelector<A, K>>,
    states: KeyStates<K, F::State>,
    broadcast: F::Broadcast,
    broadcast_ended: bool,
}

impl<K: Key, A, B, F: KeyedBroadcastProcessFunction<K, A, B>> KeyedWithBroadcast<F, K, A, B> {
    fn new(f: F, key: Rc<dyn KeySelector<A, K>>, ttl: Option<StateTtl>) -> Self {
        let (states, broadcast) = (KeyStates::new(ttl), F::Broadcast::default());
        KeyedWithBroadcast { f, key, states, broadcast, broadcast_ended: false }
    }
}

impl<K: Key, A, B, F> CoProcessFunction<A, B> for KeyedWithBroadcast<F, K, A, B>
where
    F: KeyedBroadcastProcessFunction<K, A, B>,
{
    type Out = F::Out;
    const WAITS_FOR_END: bool = F::WAITS_FOR_END;

    fn process1(&mut self, record: A, out: &mut Collector<F::Out>) -> Result<()> {
        let key = self.key.key(&record);
        let (f, broadcast, ended) = (&mut self.f, &self.broadcast, self.broadcast_ended);
        self.states.with(&key, |state, is_new| {
            if is_new && ended {
                f.end_of_broadcast(&key, state, broadcast, out)?;
            }
            f.process(&key, state, broadcast, record, out)
        })
    }

    fn process2(&mut self, record: B, out: &mut Collector<F::Out>) -> Result<()> {
        self.f.process_broadcast(&mut self.broadcast, record, out)
    }

    fn end_of_input1(&mut self, out: &mut Collector<F::Out>) -> Result<()> {
        let (f, broadcast) = (&mut self.f, &self.broadcast);
        self.states.for_each(|key, state| f.end_of_input(key, state, broadcast, out))
    }

    fn end_of_input2(&mut self, out: &mut Collector<F::Out>) -> Result<()> {
        self.broadcast_ended = true;
        let (f, broadcast) = (&mut self.f, &self.broadcast);
        self.states.for_each(|key, state| f.end_of_broadcast(key, state, broadcast, out))
    }
}

impl<K: Key, A, B, F: KeyedBroadcastProcessFunction<K, A, B>> Snapshot for KeyedWithBroadcast<F, K, A, B> {
    fn check(&self) -> Result<()> {
        self.f.snapshot(&mut StateWriter::default())
    }

    fn mark(&mut self, to: &mut Written) -> Result<()> {
        to.copied().put(&self.broadcast)?;
        self.f.snapshot(to.items())?;
        self.states.mark(to);
        Ok(())
    }

    fn sweep(&mut self, to: &mut Written) -> Result<bool> {
        self.states.sweep(to)
    }

    fn restore(&mut self, from: &Saved<'_>) -> Result<()> {
        self.broadcast_ended = from.had_ended(1);
        self.broadcast = from.copied()?.next_item()?.unwrap_or_default();
        self.f.restore(&mut from.items()?)?;
        self.states.restore(from)
    }
}

impl<K, A, B, F> Renewable for KeyedWithBroadcast<F, K, A, B>
where
    K: Key,
    F: KeyedBroadcastProcessFunction<K, A, B> + 'static,
{
    type State = (Option<F>, (KeyStates<K, F::State>, F::Broadcast, bool));

    fn fresh(&self) -> ForRound<Self::State> {
        self.f.for_next_round().with(|| (self.states.fresh(), F::Broadcast::default(), false))
    }

    fn swap(&mut self, (f, (states, broadcast, ended)): &mut Self::State) {
        swap_function(&mut self.f, f);
        std::mem::swap(&mut self.states, states);
        std::mem::swap(&mut self.broadcast, broadcast);
        std::mem::swap(&mut self.broadcast_ended, ended);
    }
}
