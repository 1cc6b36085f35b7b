//! Side outputs: records of other types that an operator emits beside its results.

mod lanes;

use std::marker::PhantomData;
use std::panic::Location;
use std::rc::Rc;

use crate::checkpoint::State;
use crate::clock::{Clock, Epoch};
use crate::edge::Edge;
use crate::error::Result;
use crate::hash::Key;
use crate::keyed::{KeyedContext, KeyedProcessFunction, KeyedStream};
use crate::operator::{Input, OperatorBuilder, Promise, Token, WakeOn};
use crate::process::{self, BatchFunction, Beside, Collector, ForRound, PerRecord, ProcessFunction};
use crate::record::Record;
use crate::stream::DataStream;

pub use lanes::SideOutputs;
use lanes::{SideBatch, SideSender};

/// The name and the record type of a side output. Tags with the same name and type are the same.
pub struct OutputTag<X> {
    name: &'static str,
    records: PhantomData<fn(X)>,
}

impl<X> OutputTag<X> {
    /// The tag called `name`; may be a constant.
    pub const fn new(name: &'static str) -> Self {
        OutputTag { name, records: PhantomData }
    }

    /// The name.
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

impl<X> Clone for OutputTag<X> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<X> Copy for OutputTag<X> {}

impl<X> std::fmt::Debug for OutputTag<X> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("OutputTag").field(&self.name).finish()
    }
}

/// The results of an operator and its side outputs.
pub struct SideOutputStream<'s, E, T: Clock = Epoch> {
    main: DataStream<'s, E, T>,
    side: SideOutputs,
    edge: Edge<'s, SideBatch, T>,
}

impl<E, T: Clock> std::fmt::Debug for SideOutputStream<'_, E, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SideOutputStream").field("main", &self.main).finish_non_exhaustive()
    }
}

impl<'s, E: 'static, T: Clock> SideOutputStream<'s, E, T> {
    /// The records that the operator emits to `tag`, which may be none. May be called many times.
    #[track_caller]
    pub fn side_output<X: Clone + 'static>(&self, tag: &OutputTag<X>) -> DataStream<'s, X, T> {
        let mine = self.side.add_reader(tag);
        let mut op = OperatorBuilder::made_at(&self.edge.place(), "side_output", Location::caller());
        let input = op.input(self.edge.clone(), WakeOn::Records);
        op.finish_unary(input, move |token, batch: &mut SideBatch, out| {
            if let Some(mut records) = batch.read(mine) {
                out.send_batch(token, &mut records);
            }
            Ok(())
        })
    }

    /// Names the operator, for its errors.
    #[must_use]
    pub fn name(self, name: &str) -> Self {
        SideOutputStream { main: self.main.name(name), ..self }
    }

    /// Gives the operator a stable identity; see [`DataStream::uid`].
    #[must_use]
    pub fn uid(self, uid: &str) -> Self {
        SideOutputStream { main: self.main.uid(uid), ..self }
    }

    /// The results.
    pub fn into_main(self) -> DataStream<'s, E, T> {
        self.main
    }
}

impl<'s, D: 'static, T: Clock> DataStream<'s, D, T> {
    /// As [`process`](Self::process), with side outputs: records of other types, read from the result with
    /// [`side_output`](SideOutputStream::side_output).
    ///
    /// # Examples
    /// ```
    /// # use waterwheel_engine::{OutputTag, RuntimeConfig, execute};
    /// const BAD: OutputTag<String> = OutputTag::new("bad");
    /// let parsed = execute(RuntimeConfig::threads(1), |env| {
    ///     let parsed = env.from_iter(["1", "x", "3"]).process_with_side_outputs(|text, out, side| {
    ///         match text.parse::<u32>() {
    ///             Ok(number) => out.emit(number),
    ///             Err(error) => side.emit(&BAD, format!("{text}: {error}")),
    ///         }
    ///     });
    ///     let bad = parsed.side_output(&BAD);
    ///     Ok((parsed.into_main().collect(), bad.collect()))
    /// })?;
    /// assert_eq!(parsed[0].0, [1, 3]);
    /// assert_eq!(parsed[0].1, ["x: invalid digit found in string"]);
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    #[track_caller]
    pub fn process_with_side_outputs<E: 'static>(
        self,
        f: impl FnMut(D, &mut Collector<E>, &mut SideOutputs) + 'static,
    ) -> SideOutputStream<'s, E, T> {
        self.process_function_with_side_outputs(|side| EachRecord { f, side, results: PhantomData })
    }

    /// As [`process_function`](Self::process_function), for the function that `make` returns; it keeps the
    /// [`SideOutputs`] that `make` gets.
    #[track_caller]
    pub fn process_function_with_side_outputs<F: ProcessFunction<D> + 'static>(
        self,
        make: impl FnOnce(SideOutputs) -> F,
    ) -> SideOutputStream<'s, F::Out, T> {
        let edge = self.into_edge();
        let mut op = OperatorBuilder::made_at(&edge.place(), "process", Location::caller());
        let input = op.input(edge, WakeOn::end(F::WAITS_FOR_END));
        run(op, input, |side| PerRecord::new(make(side)))
    }
}

impl<'s, K: Key, D: Record, T: Clock> KeyedStream<'s, K, D, T> {
    /// As [`process`](Self::process), with side outputs: records of other types, read from the result with
    /// [`side_output`](SideOutputStream::side_output).
    #[track_caller]
    pub fn process_with_side_outputs<S: State, E: 'static>(
        self,
        f: impl FnMut(&K, &mut S, D, &mut Collector<E>, &mut SideOutputs) + 'static,
    ) -> SideOutputStream<'s, E, T> {
        self.process_function_with_side_outputs(|side| EachRecord { f, side, results: PhantomData::<(S, E)> })
    }

    /// As [`process_function`](Self::process_function), for the function that `make` returns; it keeps the
    /// [`SideOutputs`] that `make` gets.
    #[track_caller]
    pub fn process_function_with_side_outputs<F: KeyedProcessFunction<K, D> + 'static>(
        self,
        make: impl FnOnce(SideOutputs) -> F,
    ) -> SideOutputStream<'s, F::Out, T> {
        let (key, ttl) = (Rc::clone(&self.key), self.ttl.clone());
        let (op, input) =
            self.partitioned("keyed_process", Location::caller(), WakeOn::end(F::WAITS_FOR_END));
        let worker = op.worker_index();
        run(op, input, |side| crate::keyed::Keyed::new(make(side), key, ttl, worker))
    }
}

/// Finishes an operator with side outputs; `make` gets what takes their records.
pub(crate) fn run<'s, D: 'static, T: Clock, F: BatchFunction<D>>(
    mut op: OperatorBuilder<'s, T>,
    input: Input<Vec<D>, T>,
    make: impl FnOnce(SideOutputs) -> F,
) -> SideOutputStream<'s, F::Out, T> {
    let (side, readers) = op.side_port();
    let f = make(side.outputs());
    readers.beside(process::run_beside(op, input, f, side))
}

/// The sending side of an operator's side outputs, for the layers above.
pub struct SidePort<T: Clock> {
    sender: SideSender<T>,
}

/// The reading side of a [`SidePort`].
pub struct SideReaders<'s, T: Clock> {
    side: SideOutputs,
    edge: Edge<'s, SideBatch, T>,
}

impl<'s, T: Clock> OperatorBuilder<'s, T> {
    /// Adds an output for side outputs.
    pub fn side_port(&mut self) -> (SidePort<T>, SideReaders<'s, T>) {
        let side = SideOutputs::new();
        let (out, edge) = self.output::<SideBatch>();
        (SidePort { sender: SideSender { side: side.share(), out } }, SideReaders { side, edge })
    }
}

impl<T: Clock> SidePort<T> {
    /// What takes the records.
    pub fn outputs(&self) -> SideOutputs {
        self.sender.side.share()
    }

    /// Sends all that waits at the token's time.
    pub fn send(&mut self, token: &Token<T>) {
        self.sender.send(token);
    }

    /// Sends all that waits at the promise's time.
    pub fn send_promised(&mut self, promise: &Promise<T>) {
        self.sender.send_promised(promise);
    }
}

impl<T: Clock> Beside<T> for SidePort<T> {
    fn send(&mut self, token: &Token<T>) {
        self.sender.send(token);
    }

    fn send_promised(&mut self, promise: &Promise<T>) {
        self.sender.send_promised(promise);
    }
}

impl<'s, T: Clock> SideReaders<'s, T> {
    /// The operator's results together with its side outputs.
    pub fn beside<E>(self, main: DataStream<'s, E, T>) -> SideOutputStream<'s, E, T> {
        SideOutputStream { main, side: self.side, edge: self.edge }
    }
}

impl<T: Clock> std::fmt::Debug for SidePort<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SidePort").field(&self.sender.side).finish()
    }
}

impl<T: Clock> std::fmt::Debug for SideReaders<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SideReaders").field(&self.side).finish()
    }
}

/// A closure as a function with side outputs.
struct EachRecord<F, P> {
    f: F,
    side: SideOutputs,
    results: PhantomData<P>,
}

impl<D, E: 'static, F> ProcessFunction<D> for EachRecord<F, E>
where
    F: FnMut(D, &mut Collector<E>, &mut SideOutputs),
{
    type Out = E;
    const WAITS_FOR_END: bool = false;

    fn process(&mut self, record: D, out: &mut Collector<E>) -> Result<()> {
        (self.f)(record, out, &mut self.side);
        Ok(())
    }

    fn for_next_round(&self) -> ForRound<Self> {
        ForRound::Same
    }
}

impl<K, D, S, E, F> KeyedProcessFunction<K, D> for EachRecord<F, (S, E)>
where
    S: State,
    E: 'static,
    F: FnMut(&K, &mut S, D, &mut Collector<E>, &mut SideOutputs),
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
        (self.f)(key, state, record, out, &mut self.side);
        Ok(())
    }

    fn for_next_round(&self) -> ForRound<Self> {
        ForRound::Same
    }
}
