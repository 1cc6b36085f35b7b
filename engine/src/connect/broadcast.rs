//! A stream beside one that every worker has a copy of: rules, dimensions, models.

use std::marker::PhantomData;
use std::panic::Location;

use crate::checkpoint::{Saved, Snapshot, State, StateReader, StateWriter, Written};
use crate::clock::{Clock, Epoch};
use crate::connect::{CoProcessFunction, Inputs};
use crate::error::Result;
use crate::operator::{OperatorBuilder, WakeOn};
use crate::process::{Collector, ForRound, Renewable, swap_function};
use crate::record::Record;
use crate::side_output::{SideOutputStream, SideOutputs};
use crate::stream::DataStream;

/// A stream and one that every worker gets, on their way into one function; see
/// [`DataStream::connect_broadcast`].
pub struct BroadcastConnectedStreams<'s, A, B, T: Clock = Epoch> {
    main: DataStream<'s, A, T>,
    broadcast: DataStream<'s, B, T>,
}

impl<A, B, T: Clock> std::fmt::Debug for BroadcastConnectedStreams<'_, A, B, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = f.debug_struct("BroadcastConnectedStreams");
        text.field("main", &self.main).field("broadcast", &self.broadcast).finish()
    }
}

/// A function on a stream and on a broadcast stream, with a state per worker that only the latter changes.
///
/// Every worker gets the same broadcast records, but those of different senders in any order, and each at
/// another time: the state is the same everywhere once the broadcast has ended if the order does not matter
/// to it. To read nothing before that, keep the records of the main stream until
/// [`end_of_broadcast`](Self::end_of_broadcast).
///
/// # Examples
/// Words that are not on a list, which is complete before the first word is looked at:
/// ```
/// use std::collections::BTreeSet;
/// use waterwheel_engine::{BroadcastProcessFunction, Collector, Result, RuntimeConfig, execute};
///
/// #[derive(Default)]
/// struct Unlisted { waiting: Vec<String>, is_complete: bool }
///
/// impl BroadcastProcessFunction<String, String> for Unlisted {
///     type Broadcast = BTreeSet<String>;
///     type Out = String;
///
///     fn process(&mut self, list: &BTreeSet<String>, word: String, out: &mut Collector<String>) -> Result<()> {
///         match self.is_complete {
///             false => self.waiting.push(word),
///             true if !list.contains(&word) => out.emit(word),
///             true => {}
///         }
///         Ok(())
///     }
///
///     fn process_broadcast(&mut self, list: &mut BTreeSet<String>, word: String, _: &mut Collector<String>) -> Result<()> {
///         list.insert(word);
///         Ok(())
///     }
///
///     fn end_of_broadcast(&mut self, list: &mut BTreeSet<String>, out: &mut Collector<String>) -> Result<()> {
///         self.is_complete = true;
///         std::mem::take(&mut self.waiting).into_iter().try_for_each(|word| self.process(list, word, out))
///     }
/// }
///
/// let unlisted = execute(RuntimeConfig::threads(2), |env| {
///     let words = env.from_iter("the wheel turns the water".split(' ').map(String::from)).rebalance();
///     let list = env.from_iter(["the".to_string()]);
///     Ok(words.connect_broadcast(list).process_function(Unlisted::default()).collect())
/// })?;
/// let mut unlisted = unlisted.concat();
/// unlisted.sort();
/// assert_eq!(unlisted, ["turns", "water", "wheel"]);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
pub trait BroadcastProcessFunction<A, B> {
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

    /// Called once per worker when the main stream has ended.
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn end_of_input(&mut self, _broadcast: &Self::Broadcast, _out: &mut Collector<Self::Out>) -> Result<()> {
        Ok(())
    }

    /// Called once per worker when the broadcast stream has ended.
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn end_of_broadcast(
        &mut self,
        _broadcast: &mut Self::Broadcast,
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

    /// Writes what the function keeps beside the broadcast state, for a checkpoint.
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

impl<'s, A: 'static, T: Clock> DataStream<'s, A, T> {
    /// Brings `other` into the same function on every worker: its records change a broadcast state that the
    /// records of this stream read.
    ///
    /// # Examples
    /// ```
    /// # use waterwheel_engine::{execute, RuntimeConfig};
    /// # use std::collections::BTreeSet;
    /// let seen = execute(RuntimeConfig::threads(2), |env| {
    ///     let blocked = env.from_iter([13u32]);
    ///     let passed = env.from_iter(0..100u32).rebalance().connect_broadcast(blocked).process(
    ///         |list: &BTreeSet<u32>, x, out| if !list.contains(&x) { out.emit(x) },
    ///         |list, x, _out| { list.insert(x); },
    ///     );
    ///     Ok(passed.collect())
    /// })?;
    /// // What was read before the list arrived has passed.
    /// assert!([99, 100].contains(&seen.concat().len()));
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    #[must_use]
    pub fn connect_broadcast<B: Record>(
        self,
        other: DataStream<'s, B, T>,
    ) -> BroadcastConnectedStreams<'s, A, B, T> {
        BroadcastConnectedStreams { main: self, broadcast: other }
    }
}

impl<'s, A: 'static, B: Record, T: Clock> BroadcastConnectedStreams<'s, A, B, T> {
    /// Handles records of the main stream with `main`, and applies broadcast ones with `apply`.
    #[track_caller]
    pub fn process<S: State, E: 'static>(
        self,
        main: impl FnMut(&S, A, &mut Collector<E>) + 'static,
        apply: impl FnMut(&mut S, B, &mut Collector<E>) + 'static,
    ) -> DataStream<'s, E, T> {
        self.process_function(ReadAndApply(main, apply, PhantomData))
    }

    /// Handles records with a [`BroadcastProcessFunction`], which is also told of the end of each stream.
    #[track_caller]
    pub fn process_function<F: BroadcastProcessFunction<A, B> + 'static>(
        self,
        f: F,
    ) -> DataStream<'s, F::Out, T> {
        let (op, inputs) = self.inputs(Location::caller(), WakeOn::end(F::WAITS_FOR_END));
        super::run(op, inputs, WithBroadcast { f, broadcast: F::Broadcast::default(), inputs: PhantomData })
    }

    /// As [`process_function`](Self::process_function), for the function that `make` returns; it keeps the
    /// [`SideOutputs`] that `make` gets.
    #[track_caller]
    pub fn process_function_with_side_outputs<F: BroadcastProcessFunction<A, B> + 'static>(
        self,
        make: impl FnOnce(SideOutputs) -> F,
    ) -> SideOutputStream<'s, F::Out, T> {
        let (op, inputs) = self.inputs(Location::caller(), WakeOn::end(F::WAITS_FOR_END));
        super::run_with_side_outputs(op, inputs, |side| {
            let (f, broadcast) = (make(side), F::Broadcast::default());
            WithBroadcast { f, broadcast, inputs: PhantomData }
        })
    }

    /// The main stream, and a copy of the broadcast one on each of its workers, for the layers that build their own
    /// operators.
    #[track_caller]
    pub fn into_parts(self) -> (DataStream<'s, A, T>, DataStream<'s, B, T>) {
        let n = self.main.parallelism();
        (self.main, self.broadcast.broadcast_to(n, Location::caller()))
    }

    fn inputs(
        self,
        location: &'static Location<'static>,
        wake: WakeOn,
    ) -> (OperatorBuilder<'s, T>, Inputs<A, B, T>) {
        let n = self.main.parallelism();
        let (main, broadcast) = (self.main.into_edge(), self.broadcast.broadcast_to(n, location).into_edge());
        let mut op = OperatorBuilder::made_at(&main.place(), "broadcast_process", location);
        let inputs = (op.input(main, wake), op.input(broadcast, wake));
        (op, inputs)
    }
}

/// Two closures as a [`BroadcastProcessFunction`].
struct ReadAndApply<F, G, S, E>(F, G, PhantomData<(S, E)>);

impl<A, B, S, E, F, G> BroadcastProcessFunction<A, B> for ReadAndApply<F, G, S, E>
where
    S: State,
    E: 'static,
    F: FnMut(&S, A, &mut Collector<E>),
    G: FnMut(&mut S, B, &mut Collector<E>),
{
    type Broadcast = S;
    type Out = E;
    const WAITS_FOR_END: bool = false;

    fn process(&mut self, broadcast: &S, record: A, out: &mut Collector<E>) -> Result<()> {
        (self.0)(broadcast, record, out);
        Ok(())
    }

    fn process_broadcast(&mut self, broadcast: &mut S, record: B, out: &mut Collector<E>) -> Result<()> {
        (self.1)(broadcast, record, out);
        Ok(())
    }

    fn for_next_round(&self) -> ForRound<Self> {
        ForRound::Same
    }
}

/// Runs a function with this worker's broadcast state.
struct WithBroadcast<F, S, A, B> {
    f: F,
    broadcast: S,
    inputs: PhantomData<fn(A, B)>,
}

impl<A, B, F: BroadcastProcessFunction<A, B>> CoProcessFunction<A, B>
    for WithBroadcast<F, F::Broadcast, A, B>
{
    type Out = F::Out;
    const WAITS_FOR_END: bool = F::WAITS_FOR_END;

    fn process1(&mut self, record: A, out: &mut Collector<F::Out>) -> Result<()> {
        self.f.process(&self.broadcast, record, out)
    }

    fn process2(&mut self, record: B, out: &mut Collector<F::Out>) -> Result<()> {
        self.f.process_broadcast(&mut self.broadcast, record, out)
    }

    fn end_of_input1(&mut self, out: &mut Collector<F::Out>) -> Result<()> {
        self.f.end_of_input(&self.broadcast, out)
    }

    fn end_of_input2(&mut self, out: &mut Collector<F::Out>) -> Result<()> {
        self.f.end_of_broadcast(&mut self.broadcast, out)
    }
}

impl<A, B, F: BroadcastProcessFunction<A, B>> Snapshot for WithBroadcast<F, F::Broadcast, A, B> {
    fn check(&self) -> Result<()> {
        self.f.snapshot(&mut StateWriter::default())
    }

    fn mark(&mut self, to: &mut Written) -> Result<()> {
        to.copied().put(&self.broadcast)?;
        self.f.snapshot(to.items())
    }

    fn restore(&mut self, from: &Saved<'_>) -> Result<()> {
        self.broadcast = from.copied()?.next_item()?.unwrap_or_default();
        self.f.restore(&mut from.items()?)
    }
}

impl<A, B, F: BroadcastProcessFunction<A, B> + 'static> Renewable for WithBroadcast<F, F::Broadcast, A, B> {
    type State = (Option<F>, F::Broadcast);

    fn fresh(&self) -> ForRound<Self::State> {
        self.f.for_next_round().with(F::Broadcast::default)
    }

    fn swap(&mut self, (f, broadcast): &mut Self::State) {
        swap_function(&mut self.f, f);
        std::mem::swap(&mut self.broadcast, broadcast);
    }
}
