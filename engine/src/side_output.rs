//! Side outputs: records of other types that an operator emits beside its results.

use std::any::{Any, TypeId};
use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::panic::Location;
use std::rc::Rc;

use crate::clock::{Clock, Epoch};
use crate::edge::Edge;
use crate::error::Result;
use crate::hash::Key;
use crate::keyed::{KeyedProcessFunction, KeyedStream};
use crate::operator::{Input, OperatorBuilder, Output, Promise, Token, WakeOn};
use crate::process::{self, BatchFunction, Beside, Collector, PerRecord, ProcessFunction};
use crate::record::Record;
use crate::stream::DataStream;

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

/// Takes the records of an operator's side outputs. What nobody reads is dropped at once.
pub struct SideOutputs {
    lanes: Rc<RefCell<Vec<Lane>>>,
}

/// The records of one tag that wait to be sent.
struct Lane {
    name: &'static str,
    waiting: Box<dyn Waiting>,
    readers: usize,
}

impl SideOutputs {
    /// Emits one record to the side output of `tag`.
    #[inline]
    pub fn emit<X: 'static>(&mut self, tag: &OutputTag<X>, record: X) {
        let mut lanes = self.lanes.borrow_mut();
        // An operator has a handful of tags: faster searched than hashed.
        if let Some(waiting) = lanes.iter_mut().find_map(|lane| lane.records_of(tag)) {
            waiting.push(record);
        }
    }

    fn share(&self) -> Self {
        SideOutputs { lanes: Rc::clone(&self.lanes) }
    }
}

impl std::fmt::Debug for SideOutputs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tags: Vec<_> = self.lanes.borrow().iter().map(|lane| lane.name).collect();
        f.debug_struct("SideOutputs").field("read", &tags).finish()
    }
}

impl Lane {
    fn records_of<X: 'static>(&mut self, tag: &OutputTag<X>) -> Option<&mut Vec<X>> {
        if self.name == tag.name { self.waiting.as_any_mut().downcast_mut() } else { None }
    }
}

/// Hides the record type of a lane.
trait Waiting: 'static {
    fn as_any_mut(&mut self) -> &mut dyn Any;
    fn records(&self) -> TypeId;
    /// What waits, as one batch for so many readers.
    fn take(&mut self, lane: usize, readers: usize) -> SideBatch;
}

impl<X: 'static> Waiting for Vec<X> {
    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn records(&self) -> TypeId {
        TypeId::of::<X>()
    }

    fn take(&mut self, lane: usize, readers: usize) -> SideBatch {
        let records = std::mem::take(self);
        let n_records = records.len();
        let shared = Shared { records: Cell::new(records), readers: Cell::new(readers) };
        SideBatch { lane, n_records, records: Some(Rc::new(shared)) }
    }
}

/// A batch that all readers of a tag get; the last one takes it, the others clone it.
struct Shared<X> {
    records: Cell<Vec<X>>,
    readers: Cell<usize>,
}

impl<X: Clone> Shared<X> {
    fn read(&self) -> Vec<X> {
        let records = self.records.take();
        let left = self.readers.get().saturating_sub(1);
        self.readers.set(left);
        if left > 0 {
            self.records.set(records.clone());
        }
        records
    }
}

/// A batch of one side output on its way to its readers, which are on the same worker.
#[derive(Clone, Default)]
struct SideBatch {
    lane: usize,
    n_records: usize,
    records: Option<Rc<dyn Any>>,
}

impl timely::Accountable for SideBatch {
    fn record_count(&self) -> i64 {
        self.n_records as i64
    }
}

/// Sends what waits in the lanes of an operator.
struct SideSender<T: Clock> {
    side: SideOutputs,
    out: Output<SideBatch, T>,
}

impl<T: Clock> SideSender<T> {
    fn send_with(&mut self, send: impl Fn(&mut Output<SideBatch, T>, &mut SideBatch)) {
        for (index, lane) in self.side.lanes.borrow_mut().iter_mut().enumerate() {
            send(&mut self.out, &mut lane.waiting.take(index, lane.readers));
        }
    }
}

impl<T: Clock> Beside<T> for SideSender<T> {
    fn send(&mut self, token: &Token<T>) {
        self.send_with(|out, batch| out.send(token, [batch]));
    }

    fn send_promised(&mut self, promise: &Promise<T>) {
        self.send_with(|out, batch| out.send_promised(promise, [batch]));
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
        let mine = self.add_reader(tag);
        let mut op = OperatorBuilder::made_at(&self.edge.place(), "side_output", Location::caller());
        let input = op.input(self.edge.clone(), WakeOn::Records);
        op.finish_unary(input, move |token, batch: &mut SideBatch, out| {
            if batch.lane == mine
                && let Some(shared) = batch.records.as_ref().and_then(|any| any.downcast_ref::<Shared<X>>())
            {
                out.send_batch(token, &mut shared.read());
            }
            Ok(())
        })
    }

    /// The results.
    pub fn into_main(self) -> DataStream<'s, E, T> {
        self.main
    }

    /// Index of the tag's lane, which has one reader more.
    fn add_reader<X: 'static>(&self, tag: &OutputTag<X>) -> usize {
        let mut lanes = self.side.lanes.borrow_mut();
        let is_it = |lane: &Lane| lane.name == tag.name && lane.waiting.records() == TypeId::of::<X>();
        let index = lanes.iter().position(is_it).unwrap_or(lanes.len());
        if index == lanes.len() {
            lanes.push(Lane { name: tag.name, waiting: Box::new(Vec::<X>::new()), readers: 0 });
        }
        lanes[index].readers += 1;
        index
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
        let input = op.input(edge, WakeOn::Progress);
        run(op, input, |side| PerRecord(make(side)))
    }
}

impl<'s, K: Key, D: Record, T: Clock> KeyedStream<'s, K, D, T> {
    /// As [`process`](Self::process), with side outputs: records of other types, read from the result with
    /// [`side_output`](SideOutputStream::side_output).
    #[track_caller]
    pub fn process_with_side_outputs<S: Default + 'static, E: 'static>(
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
        let (op, input) = self.partitioned("keyed_process", Location::caller());
        run(op, input, |side| crate::keyed::Keyed::new(make(side), key, ttl))
    }
}

fn run<'s, D: 'static, T: Clock, F: BatchFunction<D>>(
    mut op: OperatorBuilder<'s, T>,
    input: Input<Vec<D>, T>,
    make: impl FnOnce(SideOutputs) -> F,
) -> SideOutputStream<'s, F::Out, T> {
    let side = SideOutputs { lanes: Rc::default() };
    let (out, edge) = op.output::<SideBatch>();
    let sender = SideSender { side: side.share(), out };
    let main = process::run_beside(op, input, make(side.share()), sender);
    SideOutputStream { main, side, edge }
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

    fn process(&mut self, record: D, out: &mut Collector<E>) -> Result<()> {
        (self.f)(record, out, &mut self.side);
        Ok(())
    }
}

impl<K, D, S, E, F> KeyedProcessFunction<K, D> for EachRecord<F, (S, E)>
where
    S: Default + 'static,
    E: 'static,
    F: FnMut(&K, &mut S, D, &mut Collector<E>, &mut SideOutputs),
{
    type State = S;
    type Out = E;

    fn process(&mut self, key: &K, state: &mut S, record: D, out: &mut Collector<E>) -> Result<()> {
        (self.f)(key, state, record, out, &mut self.side);
        Ok(())
    }
}
