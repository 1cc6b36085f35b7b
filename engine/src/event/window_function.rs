//! What is computed of a window's records.

use serde::{Serialize, de::DeserializeOwned};

use crate::clock::EventTime;
use crate::event::stream::Timed;
use crate::event::window::TimeWindow;
use crate::event::windowed::WindowResult;
use crate::hash::Key;
use crate::keyed::AggregateFunction;
use crate::process::Collector;
use crate::record::Record;

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
    /// Stored in checkpoints.
    type Acc: Serialize + DeserializeOwned + 'static;
    type Out: 'static;

    fn create(&self) -> Self::Acc;
    fn add(&mut self, acc: &mut Self::Acc, record: D);
    fn merge(&mut self, acc: Self::Acc, other: Self::Acc) -> Self::Acc;
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

    fn merge(&mut self, acc: G::Acc, other: G::Acc) -> G::Acc {
        self.0.merge(acc, other)
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
    D: Record,
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

    fn merge(&mut self, mut acc: Vec<D>, mut other: Vec<D>) -> Vec<D> {
        acc.append(&mut other);
        acc
    }

    fn fire(&mut self, key: &K, window: TimeWindow, acc: &Vec<D>, out: &mut WindowOut<'_, R>) {
        (self.f)(key, window, acc, &mut self.collector);
        self.collector.batch().drain(..).for_each(|value| out.emit(value));
    }
}

/// An aggregate of three functions: the first accumulator, how a record is added, how two are merged.
pub(crate) struct Folded<C, A, M> {
    pub(crate) create: C,
    pub(crate) add: A,
    pub(crate) merge: M,
}

impl<K: Key, D, S, C, A, M> WindowFunction<K, D> for Folded<C, A, M>
where
    S: Clone + Serialize + DeserializeOwned + 'static,
    C: Fn() -> S + 'static,
    A: Fn(&mut S, D) + 'static,
    M: Fn(S, S) -> S + 'static,
{
    type Acc = S;
    type Out = WindowResult<K, S>;

    fn create(&self) -> S {
        (self.create)()
    }

    #[inline]
    fn add(&mut self, acc: &mut S, record: D) {
        (self.add)(acc, record);
    }

    fn merge(&mut self, acc: S, other: S) -> S {
        (self.merge)(acc, other)
    }

    fn fire(&mut self, key: &K, window: TimeWindow, acc: &S, out: &mut WindowOut<'_, Self::Out>) {
        out.emit(WindowResult { key: key.clone(), window, value: acc.clone() });
    }
}
