//! What is computed of a window's records.

use std::marker::PhantomData;

use crate::clock::EventTime;
use crate::event::stream::Timed;
use crate::event::window::TimeWindow;
use crate::event::windowed::WindowResult;
use crate::hash::Key;
use crate::process::Collector;

/// An aggregate that is kept up to date record by record, after Flink's `AggregateFunction`.
///
/// `merge` must not depend on order: sessions merge when a record joins them.
pub trait AggregateFunction: 'static {
    /// A record.
    type In;
    /// What is kept.
    type Acc: 'static;
    /// The result.
    type Out: 'static;

    /// The accumulator of no record.
    fn create_accumulator(&self) -> Self::Acc;

    /// Adds a record.
    fn add(&self, acc: &mut Self::Acc, record: Self::In);

    /// The result of what was added so far.
    fn result(&self, acc: &Self::Acc) -> Self::Out;

    /// Adds everything that was added to `other`.
    fn merge(&self, acc: &mut Self::Acc, other: Self::Acc);
}

/// Takes the results of a window.
#[derive(Debug)]
pub(crate) struct WindowOut<'a, R> {
    pub(crate) timestamp: EventTime,
    pub(crate) results: &'a mut Collector<Timed<R>>,
}

impl<R> WindowOut<'_, R> {
    pub(crate) fn emit(&mut self, value: R) {
        self.results.emit(Timed { timestamp: self.timestamp, value });
    }
}

/// A window's computation: how records are kept, and what comes of them.
pub(crate) trait WindowFunction<K, D>: 'static {
    type Acc: 'static;
    type Out: 'static;

    fn create(&self) -> Self::Acc;
    fn add(&mut self, acc: &mut Self::Acc, record: D);
    fn merge(&mut self, acc: &mut Self::Acc, other: Self::Acc);
    fn fire(&mut self, key: &K, window: TimeWindow, acc: &Self::Acc, out: &mut WindowOut<'_, Self::Out>);
}

/// An aggregate, whose result gets its key and window.
pub(crate) struct Aggregated<G>(pub(crate) G);

impl<K: Key, D, G: AggregateFunction<In = D>> WindowFunction<K, D> for Aggregated<G> {
    type Acc = G::Acc;
    type Out = WindowResult<K, G::Out>;

    fn create(&self) -> G::Acc {
        self.0.create_accumulator()
    }

    #[inline]
    fn add(&mut self, acc: &mut G::Acc, record: D) {
        self.0.add(acc, record);
    }

    fn merge(&mut self, acc: &mut G::Acc, other: G::Acc) {
        self.0.merge(acc, other);
    }

    fn fire(&mut self, key: &K, window: TimeWindow, acc: &G::Acc, out: &mut WindowOut<'_, Self::Out>) {
        out.emit(WindowResult { key: key.clone(), window, value: self.0.result(acc) });
    }
}

/// A function of all records of a window.
pub(crate) struct OfRecords<F, R> {
    f: F,
    collector: Collector<R>,
}

impl<F, R> OfRecords<F, R> {
    pub(crate) fn new(f: F) -> Self {
        OfRecords { f, collector: Collector::default() }
    }
}

impl<K, D, R, F> WindowFunction<K, D> for OfRecords<F, R>
where
    D: 'static,
    R: 'static,
    F: FnMut(&K, TimeWindow, &[D], &mut Collector<R>) + 'static,
{
    type Acc = Vec<D>;
    type Out = R;

    fn create(&self) -> Vec<D> {
        Vec::new()
    }

    fn add(&mut self, acc: &mut Vec<D>, record: D) {
        acc.push(record);
    }

    fn merge(&mut self, acc: &mut Vec<D>, mut other: Vec<D>) {
        acc.append(&mut other);
    }

    fn fire(&mut self, key: &K, window: TimeWindow, acc: &Vec<D>, out: &mut WindowOut<'_, R>) {
        (self.f)(key, window, acc, &mut self.collector);
        self.collector.batch().drain(..).for_each(|value| out.emit(value));
    }
}

/// An aggregate of three functions.
pub(crate) struct Folded<C, A, M, D> {
    pub(crate) create: C,
    pub(crate) add: A,
    pub(crate) merge: M,
    pub(crate) of: PhantomData<D>,
}

impl<D: 'static, S, C, A, M> AggregateFunction for Folded<C, A, M, D>
where
    S: Clone + 'static,
    C: Fn() -> S + 'static,
    A: Fn(&mut S, D) + 'static,
    M: Fn(&mut S, S) + 'static,
{
    type In = D;
    type Acc = S;
    type Out = S;

    fn create_accumulator(&self) -> S {
        (self.create)()
    }

    #[inline]
    fn add(&self, acc: &mut S, record: D) {
        (self.add)(acc, record);
    }

    fn result(&self, acc: &S) -> S {
        acc.clone()
    }

    fn merge(&self, acc: &mut S, other: S) {
        (self.merge)(acc, other);
    }
}
