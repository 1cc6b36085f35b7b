//! Two keyed streams with one state per key.

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
use crate::process::{Collector, ForRound, Renewable, keeps_nothing, swap_function};
use crate::record::Record;
use crate::side_output::{SideOutputStream, SideOutputs};
use crate::stream::DataStream;

/// Two keyed streams on their way into one function; see [`KeyedStream::connect`].
pub struct KeyedConnectedStreams<'s, K, A, B, T: Clock = Epoch> {
    first: KeyedStream<'s, K, A, T>,
    second: KeyedStream<'s, K, B, T>,
}

impl<K, A, B, T: Clock> std::fmt::Debug for KeyedConnectedStreams<'_, K, A, B, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = f.debug_struct("KeyedConnectedStreams");
        text.field("first", &self.first).field("second", &self.second).finish()
    }
}

/// A function on the records of two keyed streams, with one state `S` per key that both share.
///
/// Every key hears of the end of each stream exactly once: a key that is there when the stream ends, in order
/// of key; one that comes later, before its first record.
///
/// # Examples
/// Each click with the name of who clicked, whichever comes first:
/// ```
/// use serde::{Deserialize, Serialize};
/// use waterwheel_engine::{Collector, KeyedCoProcessFunction, Result, RuntimeConfig, execute};
///
/// #[derive(Default, Serialize, Deserialize)]
/// struct Visitor { name: Option<String>, waiting: Vec<u32> }
///
/// struct NameClicks;
/// impl KeyedCoProcessFunction<u32, (u32, String), (u32, u32)> for NameClicks {
///     type State = Visitor;
///     type Out = (String, u32);
///
///     fn process1(
///         &mut self, _id: &u32, visitor: &mut Visitor, (_, name): (u32, String), out: &mut Collector<(String, u32)>,
///     ) -> Result<()> {
///         visitor.waiting.drain(..).for_each(|page| out.emit((name.clone(), page)));
///         visitor.name = Some(name);
///         Ok(())
///     }
///
///     fn process2(
///         &mut self, _id: &u32, visitor: &mut Visitor, (_, page): (u32, u32), out: &mut Collector<(String, u32)>,
///     ) -> Result<()> {
///         match &visitor.name {
///             Some(name) => out.emit((name.clone(), page)),
///             None => visitor.waiting.push(page),
///         }
///         Ok(())
///     }
/// }
///
/// let named = execute(RuntimeConfig::threads(2), |env| {
///     let names = env.from_iter([(7, "ada".to_string())]).key_by(|(id, _)| *id);
///     let clicks = env.from_iter([(7, 1), (7, 2), (9, 1)]).key_by(|(id, _)| *id);
///     Ok(names.connect(clicks).process_function(NameClicks).collect())
/// })?;
/// let mut named = named.concat();
/// named.sort();
/// assert_eq!(named, [("ada".to_string(), 1), ("ada".to_string(), 2)]);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
pub trait KeyedCoProcessFunction<K, A, B> {
    /// State of one key; made by `Default` at the key's first record.
    type State: State;
    /// What it emits.
    type Out: 'static;

    /// Whether the function is to be told of the end of its input. Default `true`.
    ///
    /// Waiting for the end keeps a loop alive: a function whose results are fed back into its own input must
    /// say `false`, or the loop never ends.
    const WAITS_FOR_END: bool = true;

    /// Handles one record of the first stream.
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn process1(
        &mut self,
        key: &K,
        state: &mut Self::State,
        record: A,
        out: &mut Collector<Self::Out>,
    ) -> Result<()>;

    /// Handles one record of the second stream.
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn process2(
        &mut self,
        key: &K,
        state: &mut Self::State,
        record: B,
        out: &mut Collector<Self::Out>,
    ) -> Result<()>;

    /// Called once per key when the first stream has ended.
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn end_of_input1(
        &mut self,
        _key: &K,
        _state: &mut Self::State,
        _out: &mut Collector<Self::Out>,
    ) -> Result<()> {
        Ok(())
    }

    /// Called once per key when the second stream has ended. Of two streams that end together, the first is
    /// told first.
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn end_of_input2(
        &mut self,
        _key: &K,
        _state: &mut Self::State,
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

impl<'s, K: Key, A: Record, T: Clock> KeyedStream<'s, K, A, T> {
    /// Brings another stream with keys of the same type into the same function: records of both with one key
    /// meet in one state.
    ///
    /// A [`state_ttl`](Self::state_ttl) is that of this stream, or else that of the other.
    ///
    /// # Examples
    /// ```
    /// # use waterwheel_engine::{execute, RuntimeConfig};
    /// let visits = execute(RuntimeConfig::threads(2), |env| {
    ///     let names = env.from_iter([(1, "ada".to_string())]).key_by(|(id, _)| *id);
    ///     let clicks = env.from_iter([1, 1, 1]).key_by(|id| *id);
    ///     let sizes = names.connect(clicks).process(
    ///         |_id, letters: &mut usize, (_, name), _out| *letters += name.len(),
    ///         |_id, letters, _click, out| out.emit(*letters),
    ///     );
    ///     Ok(sizes.collect())
    /// })?;
    /// assert_eq!(visits.concat().len(), 3);
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    #[must_use]
    pub fn connect<B: Record>(
        self,
        other: KeyedStream<'s, K, B, T>,
    ) -> KeyedConnectedStreams<'s, K, A, B, T> {
        KeyedConnectedStreams { first: self, second: other }
    }
}

impl<'s, K: Key, A: Record, B: Record, T: Clock> KeyedConnectedStreams<'s, K, A, B, T> {
    /// Handles records of the first stream with `first` and those of the second with `second`, both with the
    /// state of the record's key.
    #[track_caller]
    pub fn process<S: State, E: 'static>(
        self,
        first: impl FnMut(&K, &mut S, A, &mut Collector<E>) + 'static,
        second: impl FnMut(&K, &mut S, B, &mut Collector<E>) + 'static,
    ) -> DataStream<'s, E, T> {
        self.process_function(EachOfTwo(first, second, PhantomData))
    }

    /// Handles records with a [`KeyedCoProcessFunction`], which is also told of the end of each stream.
    #[track_caller]
    pub fn process_function<F: KeyedCoProcessFunction<K, A, B> + 'static>(
        self,
        f: F,
    ) -> DataStream<'s, F::Out, T> {
        let (keys, ttl) = (self.keys(), self.ttl());
        let (op, inputs) = self.inputs(Location::caller(), WakeOn::end(F::WAITS_FOR_END));
        super::run(op, inputs, KeyedCo::new(f, keys, ttl))
    }

    /// As [`process_function`](Self::process_function), for the function that `make` returns; it keeps the
    /// [`SideOutputs`] that `make` gets.
    #[track_caller]
    pub fn process_function_with_side_outputs<F: KeyedCoProcessFunction<K, A, B> + 'static>(
        self,
        make: impl FnOnce(SideOutputs) -> F,
    ) -> SideOutputStream<'s, F::Out, T> {
        let (keys, ttl) = (self.keys(), self.ttl());
        let (op, inputs) = self.inputs(Location::caller(), WakeOn::end(F::WAITS_FOR_END));
        super::run_with_side_outputs(op, inputs, |side| KeyedCo::new(make(side), keys, ttl))
    }

    /// The two streams, for the layers that build their own operators.
    pub fn into_parts(self) -> (KeyedStream<'s, K, A, T>, KeyedStream<'s, K, B, T>) {
        (self.first, self.second)
    }

    fn keys(&self) -> KeysOf<K, A, B> {
        (Rc::clone(&self.first.key), Rc::clone(&self.second.key))
    }

    pub(crate) fn ttl(&self) -> Option<StateTtl> {
        self.first.ttl.clone().or_else(|| self.second.ttl.clone())
    }

    fn inputs(
        self,
        location: &'static Location<'static>,
        wake: WakeOn,
    ) -> (OperatorBuilder<'s, T>, Inputs<A, B, T>) {
        let (first, second) = (self.first, self.second);
        let n = first.parallelism().max(second.parallelism());
        let mut op = OperatorBuilder::made_at(&first.edge.place(), "keyed_co_process", location);
        let inputs = (first.routed_input(&mut op, wake, n), second.routed_input(&mut op, wake, n));
        op.set_parallelism(n);
        (op, inputs)
    }
}

/// A closure per stream as a [`KeyedCoProcessFunction`].
struct EachOfTwo<F, G, S, E>(F, G, PhantomData<(S, E)>);

impl<K, A, B, S, E, F, G> KeyedCoProcessFunction<K, A, B> for EachOfTwo<F, G, S, E>
where
    S: State,
    E: 'static,
    F: FnMut(&K, &mut S, A, &mut Collector<E>),
    G: FnMut(&K, &mut S, B, &mut Collector<E>),
{
    type State = S;
    type Out = E;
    const WAITS_FOR_END: bool = false;

    fn process1(&mut self, key: &K, state: &mut S, record: A, out: &mut Collector<E>) -> Result<()> {
        (self.0)(key, state, record, out);
        Ok(())
    }

    fn process2(&mut self, key: &K, state: &mut S, record: B, out: &mut Collector<E>) -> Result<()> {
        (self.1)(key, state, record, out);
        Ok(())
    }

    fn for_next_round(&self) -> ForRound<Self> {
        ForRound::Same
    }
}

/// The key functions of two streams.
type KeysOf<K, A, B> = (Rc<dyn KeySelector<A, K>>, Rc<dyn KeySelector<B, K>>);

/// Runs a keyed function on two inputs with the states of this worker's keys.
struct KeyedCo<F: KeyedCoProcessFunction<K, A, B>, K, A, B> {
    f: F,
    keys: KeysOf<K, A, B>,
    states: KeyStates<K, F::State>,
    ended: [bool; 2],
}

impl<K: Key, A, B, F: KeyedCoProcessFunction<K, A, B>> KeyedCo<F, K, A, B> {
    fn new(f: F, keys: KeysOf<K, A, B>, ttl: Option<StateTtl>) -> Self {
        KeyedCo { f, keys, states: KeyStates::new(ttl), ended: [false; 2] }
    }

    /// Runs `handle` on the state of `key`, which hears first of what has ended before it was there.
    fn handle(
        &mut self,
        key: &K,
        out: &mut Collector<F::Out>,
        handle: impl FnOnce(&mut F, &mut F::State, &mut Collector<F::Out>) -> Result<()>,
    ) -> Result<()> {
        let (f, ended) = (&mut self.f, self.ended);
        self.states.with(key, |state, is_new| {
            if is_new && ended[0] {
                f.end_of_input1(key, state, out)?;
            }
            if is_new && ended[1] {
                f.end_of_input2(key, state, out)?;
            }
            handle(f, state, out)
        })
    }
}

impl<K: Key, A, B, F: KeyedCoProcessFunction<K, A, B>> CoProcessFunction<A, B> for KeyedCo<F, K, A, B> {
    type Out = F::Out;
    const WAITS_FOR_END: bool = F::WAITS_FOR_END;

    fn process1(&mut self, record: A, out: &mut Collector<F::Out>) -> Result<()> {
        let key = self.keys.0.key(&record);
        self.handle(&key, out, |f, state, out| f.process1(&key, state, record, out))
    }

    fn process2(&mut self, record: B, out: &mut Collector<F::Out>) -> Result<()> {
        let key = self.keys.1.key(&record);
        self.handle(&key, out, |f, state, out| f.process2(&key, state, record, out))
    }

    fn end_of_input1(&mut self, out: &mut Collector<F::Out>) -> Result<()> {
        self.ended[0] = true;
        self.states.for_each(|key, state| self.f.end_of_input1(key, state, out))
    }

    fn end_of_input2(&mut self, out: &mut Collector<F::Out>) -> Result<()> {
        self.ended[1] = true;
        self.states.for_each(|key, state| self.f.end_of_input2(key, state, out))
    }
}

impl<K: Key, A, B, F: KeyedCoProcessFunction<K, A, B>> Snapshot for KeyedCo<F, K, A, B> {
    fn check(&self) -> Result<()> {
        self.f.snapshot(&mut StateWriter::default())
    }

    fn mark(&mut self, to: &mut Written) -> Result<()> {
        self.f.snapshot(to.items())?;
        self.states.mark();
        Ok(())
    }

    fn sweep(&mut self, to: &mut Written) -> Result<bool> {
        self.states.sweep(to)
    }

    fn restore(&mut self, from: &Saved<'_>) -> Result<()> {
        self.ended = [0, 1].map(|port| from.had_ended(port));
        self.f.restore(&mut from.items()?)?;
        self.states.restore(from)
    }
}

impl<K, A, B, F> Renewable for KeyedCo<F, K, A, B>
where
    K: Key,
    F: KeyedCoProcessFunction<K, A, B> + 'static,
{
    type State = (Option<F>, (KeyStates<K, F::State>, [bool; 2]));

    fn fresh(&self) -> ForRound<Self::State> {
        self.f.for_next_round().with(|| (self.states.fresh(), [false; 2]))
    }

    fn swap(&mut self, (f, (states, ended)): &mut Self::State) {
        swap_function(&mut self.f, f);
        std::mem::swap(&mut self.states, states);
        std::mem::swap(&mut self.ended, ended);
    }
}
