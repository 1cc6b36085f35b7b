//! Two streams of different records, handled by one function.

mod broadcast;
mod keyed;
mod keyed_broadcast;
mod run;

use std::marker::PhantomData;
use std::panic::Location;

pub use broadcast::{BroadcastConnectedStreams, BroadcastProcessFunction};
pub use keyed::{KeyedCoProcessFunction, KeyedConnectedStreams};
pub use keyed_broadcast::{KeyedBroadcastConnectedStreams, KeyedBroadcastProcessFunction};

use crate::checkpoint::{Saved, Snapshot, StateReader, StateWriter, Written};
use crate::clock::{Clock, Epoch};
use crate::error::Result;
use crate::operator::{Input, OperatorBuilder, WakeOn};
use crate::process::{Collector, ForRound, Renewable, swap_function};
use crate::side_output::{SideOutputStream, SideOutputs};
use crate::stream::DataStream;
use run::{run, run_with_side_outputs};

/// Two streams on their way into one function; see [`DataStream::connect`].
pub struct ConnectedStreams<'s, A, B, T: Clock = Epoch> {
    first: DataStream<'s, A, T>,
    second: DataStream<'s, B, T>,
}

impl<A, B, T: Clock> std::fmt::Debug for ConnectedStreams<'_, A, B, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectedStreams").field("first", &self.first).field("second", &self.second).finish()
    }
}

/// A function on the records of two streams, one instance per worker.
///
/// # Examples
/// Numbers times a factor, which they wait for:
/// ```
/// use waterwheel_engine::{CoProcessFunction, Collector, Result, RuntimeConfig, execute};
///
/// #[derive(Default)]
/// struct Scale { factor: Option<u64>, waiting: Vec<u64> }
///
/// impl CoProcessFunction<u64, u64> for Scale {
///     type Out = u64;
///     fn process1(&mut self, number: u64, out: &mut Collector<u64>) -> Result<()> {
///         match self.factor {
///             Some(factor) => out.emit(number * factor),
///             None => self.waiting.push(number),
///         }
///         Ok(())
///     }
///     fn process2(&mut self, factor: u64, out: &mut Collector<u64>) -> Result<()> {
///         self.factor = Some(factor);
///         self.waiting.drain(..).for_each(|number| out.emit(number * factor));
///         Ok(())
///     }
/// }
///
/// let scaled = execute(RuntimeConfig::threads(1), |env| {
///     let both = env.from_iter([1, 2, 3]).connect(env.from_iter([10]));
///     Ok(both.process_function(Scale::default()).collect())
/// })?;
/// assert_eq!(scaled.concat(), [10, 20, 30]);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
pub trait CoProcessFunction<A, B> {
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
    fn process1(&mut self, record: A, out: &mut Collector<Self::Out>) -> Result<()>;

    /// Handles one record of the second stream.
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn process2(&mut self, record: B, out: &mut Collector<Self::Out>) -> Result<()>;

    /// Called once per worker when the first stream has ended, even if this worker saw no record.
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn end_of_input1(&mut self, _out: &mut Collector<Self::Out>) -> Result<()> {
        Ok(())
    }

    /// Called once per worker when the second stream has ended, even if this worker saw no record. Of two
    /// streams that end together, the first is told first.
    ///
    /// # Errors
    /// Ends the run, naming this operator.
    fn end_of_input2(&mut self, _out: &mut Collector<Self::Out>) -> Result<()> {
        Ok(())
    }

    /// What serves the next round, where operators begin anew in each round of a loop. Default: nothing can.
    fn for_next_round(&self) -> ForRound<Self>
    where
        Self: Sized,
    {
        ForRound::Refused
    }

    /// Writes what the function keeps between records, for a checkpoint.
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
    /// Brings another stream, of records of any type, into the same function. Nothing moves between workers,
    /// and the records of the two arrive in any order.
    ///
    /// # Examples
    /// ```
    /// # use waterwheel_engine::{execute, RuntimeConfig};
    /// let lines = execute(RuntimeConfig::threads(1), |env| {
    ///     let (numbers, words) = (env.from_iter([1, 2]), env.from_iter(["a", "b"]));
    ///     let lines = numbers.connect(words).map(|n| format!("number {n}"), |w| format!("word {w}"));
    ///     Ok(lines.collect())
    /// })?;
    /// let mut lines = lines.concat();
    /// lines.sort();
    /// assert_eq!(lines, ["number 1", "number 2", "word a", "word b"]);
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    #[must_use]
    pub fn connect<B: 'static>(self, other: DataStream<'s, B, T>) -> ConnectedStreams<'s, A, B, T> {
        ConnectedStreams { first: self, second: other }
    }
}

impl<'s, A: 'static, B: 'static, T: Clock> ConnectedStreams<'s, A, B, T> {
    /// The two streams, for the layers that build their own operators.
    pub fn into_parts(self) -> (DataStream<'s, A, T>, DataStream<'s, B, T>) {
        (self.first, self.second)
    }

    /// Replaces each record of the first stream by `first` of it and each of the second by `second` of it.
    #[track_caller]
    pub fn map<E: 'static>(
        self,
        mut first: impl FnMut(A) -> E + 'static,
        mut second: impl FnMut(B) -> E + 'static,
    ) -> DataStream<'s, E, T> {
        let first = move |record, out: &mut Collector<E>| out.emit(first(record));
        let second = move |record, out: &mut Collector<E>| out.emit(second(record));
        self.run("co_map", Location::caller(), EachOfTwo(first, second, PhantomData))
    }

    /// Replaces each record by all items of `first` or `second` of it.
    #[track_caller]
    pub fn flat_map<E: 'static, I: IntoIterator<Item = E>, J: IntoIterator<Item = E>>(
        self,
        mut first: impl FnMut(A) -> I + 'static,
        mut second: impl FnMut(B) -> J + 'static,
    ) -> DataStream<'s, E, T> {
        let first = move |record, out: &mut Collector<E>| out.batch().extend(first(record));
        let second = move |record, out: &mut Collector<E>| out.batch().extend(second(record));
        self.run("co_flat_map", Location::caller(), EachOfTwo(first, second, PhantomData))
    }

    /// Handles records with a [`CoProcessFunction`], which is also told of the end of each stream.
    #[track_caller]
    pub fn process_function<F: CoProcessFunction<A, B> + 'static>(self, f: F) -> DataStream<'s, F::Out, T> {
        self.run("co_process", Location::caller(), f)
    }

    /// As [`process_function`](Self::process_function), for the function that `make` returns; it keeps the
    /// [`SideOutputs`] that `make` gets.
    ///
    /// # Examples
    /// ```
    /// use waterwheel_engine::{
    ///     CoProcessFunction, Collector, OutputTag, Result, RuntimeConfig, SideOutputs, execute,
    /// };
    ///
    /// const WORDS: OutputTag<&str> = OutputTag::new("words");
    ///
    /// struct Divide(SideOutputs);
    /// impl CoProcessFunction<u32, &'static str> for Divide {
    ///     type Out = u32;
    ///     fn process1(&mut self, number: u32, out: &mut Collector<u32>) -> Result<()> { Ok(out.emit(number)) }
    ///     fn process2(&mut self, word: &'static str, _out: &mut Collector<u32>) -> Result<()> {
    ///         Ok(self.0.emit(&WORDS, word))
    ///     }
    /// }
    ///
    /// let workers = execute(RuntimeConfig::threads(1), |env| {
    ///     let both = env.from_iter([1, 2]).connect(env.from_iter(["a"]));
    ///     let divided = both.process_function_with_side_outputs(Divide);
    ///     let words = divided.side_output(&WORDS).map(String::from);
    ///     Ok((divided.into_main().collect(), words.collect()))
    /// })?;
    /// assert_eq!(workers[0], (vec![1, 2], vec!["a".to_string()]));
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    #[track_caller]
    pub fn process_function_with_side_outputs<F: CoProcessFunction<A, B> + 'static>(
        self,
        make: impl FnOnce(SideOutputs) -> F,
    ) -> SideOutputStream<'s, F::Out, T> {
        let (op, inputs) = self.inputs("co_process", Location::caller(), WakeOn::end(F::WAITS_FOR_END));
        run_with_side_outputs(op, inputs, |side| Plain(make(side), PhantomData))
    }

    fn run<F: CoProcessFunction<A, B> + 'static>(
        self,
        name: &str,
        location: &'static Location<'static>,
        f: F,
    ) -> DataStream<'s, F::Out, T> {
        let (op, inputs) = self.inputs(name, location, WakeOn::end(F::WAITS_FOR_END));
        run(op, inputs, Plain(f, PhantomData))
    }

    fn inputs(
        self,
        name: &str,
        location: &'static Location<'static>,
        wake: WakeOn,
    ) -> (OperatorBuilder<'s, T>, Inputs<A, B, T>) {
        let (first, second) = (self.first.into_edge(), self.second.into_edge());
        let mut op = OperatorBuilder::made_at(&first.place(), name, location);
        let inputs = (op.input(first, wake), op.input(second, wake));
        (op, inputs)
    }
}

/// The inputs of an operator on two streams.
type Inputs<A, B, T> = (Input<Vec<A>, T>, Input<Vec<B>, T>);

/// A closure per stream as a [`CoProcessFunction`].
struct EachOfTwo<F, G, E>(F, G, PhantomData<E>);

impl<A, B, E: 'static, F, G> CoProcessFunction<A, B> for EachOfTwo<F, G, E>
where
    F: FnMut(A, &mut Collector<E>),
    G: FnMut(B, &mut Collector<E>),
{
    type Out = E;
    const WAITS_FOR_END: bool = false;

    fn process1(&mut self, record: A, out: &mut Collector<E>) -> Result<()> {
        (self.0)(record, out);
        Ok(())
    }

    fn process2(&mut self, record: B, out: &mut Collector<E>) -> Result<()> {
        (self.1)(record, out);
        Ok(())
    }

    fn for_next_round(&self) -> ForRound<Self> {
        ForRound::Same
    }
}

/// A function that keeps everything in itself.
struct Plain<F, A, B>(F, PhantomData<fn(A, B)>);

impl<A, B, F: CoProcessFunction<A, B>> CoProcessFunction<A, B> for Plain<F, A, B> {
    type Out = F::Out;
    const WAITS_FOR_END: bool = F::WAITS_FOR_END;

    fn process1(&mut self, record: A, out: &mut Collector<F::Out>) -> Result<()> {
        self.0.process1(record, out)
    }

    fn process2(&mut self, record: B, out: &mut Collector<F::Out>) -> Result<()> {
        self.0.process2(record, out)
    }

    fn end_of_input1(&mut self, out: &mut Collector<F::Out>) -> Result<()> {
        self.0.end_of_input1(out)
    }

    fn end_of_input2(&mut self, out: &mut Collector<F::Out>) -> Result<()> {
        self.0.end_of_input2(out)
    }
}

impl<A, B, F: CoProcessFunction<A, B> + 'static> Renewable for Plain<F, A, B> {
    type State = (Option<F>, ());

    fn fresh(&self) -> ForRound<Self::State> {
        self.0.for_next_round().alone(F::WAITS_FOR_END)
    }

    fn swap(&mut self, (f, ()): &mut Self::State) {
        swap_function(&mut self.0, f);
    }
}

impl<A, B, F: CoProcessFunction<A, B> + 'static> Snapshot for Plain<F, A, B> {
    fn check(&self) -> Result<()> {
        self.0.snapshot(&mut StateWriter::default())
    }

    fn mark(&mut self, to: &mut Written) -> Result<()> {
        self.0.snapshot(to.items())
    }

    fn restore(&mut self, from: &Saved<'_>) -> Result<()> {
        self.0.restore(&mut from.items()?)
    }
}
