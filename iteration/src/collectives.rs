//! Operations on all records of a stream together: of the whole stream, or of each round where operators begin anew in
//! each.

mod all_reduce;
mod fold;
mod group;

use waterwheel_engine::hash::key_hash;
use waterwheel_engine::{AggregateFunction, Clock, DataStream, Key, Record};

use all_reduce::{Assemble, Chunk, Split, SumChunks};
use fold::{CountWindow, Fold};
use group::{CoGroup, WithBroadcast};

/// Operations on all records of a stream together.
///
/// Results come when the input has ended: in [`for_each_round`](crate::Iteration::for_each_round) once in each round.
///
/// # Examples
/// ```
/// use waterwheel_engine::{RuntimeConfig, execute};
/// use waterwheel_iteration::{Collectives, IterationBodyResult, IterationConfig, Iterations};
///
/// let largest = execute(RuntimeConfig::threads(2), |env| {
///     let (x, config) = (env.from_iter(0..20u64).rebalance(), IterationConfig::new().max_rounds(3));
///     let (largest,) = Iterations::iterate_bounded((x,), (), config, |it, (x,), ()| {
///         let (largest,) = it.for_each_round((x.clone(),), |(x,)| (x.reduce(u64::max),));
///         IterationBodyResult::new((x.map(|x| x + 100),), (largest,))
///     });
///     Ok(largest.collect())
/// })?;
/// assert_eq!(largest.concat(), [19, 119, 219]);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
pub trait Collectives<'s, D, T: Clock>: Sized {
    /// Combines all records into one: those of each worker first, in order of arrival. None comes of none.
    #[track_caller]
    fn reduce(self, f: impl Fn(D, D) -> D + 'static) -> DataStream<'s, D, T>
    where
        D: Record;

    /// Sums all records up: an accumulator on each worker that has records, then these together. Nothing comes of
    /// no records.
    #[track_caller]
    fn aggregate<F: AggregateFunction<In = D>>(self, f: F) -> DataStream<'s, F::Out, T>
    where
        F::Acc: Record;

    /// Up to `n` records, each with the same chance; all of them if there are no more. Which ones depends on
    /// `seed` and on the order of arrival.
    ///
    /// # Examples
    /// ```
    /// use waterwheel_engine::{RuntimeConfig, execute};
    /// use waterwheel_iteration::Collectives;
    ///
    /// let sample = execute(RuntimeConfig::threads(2), |env| Ok(env.from_iter(0..1000u32).sample(10, 42).collect()))?;
    /// let mut sample = sample.concat();
    /// sample.sort();
    /// sample.dedup();
    /// assert_eq!(sample.len(), 10);
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    #[track_caller]
    fn sample(self, n: usize, seed: u64) -> DataStream<'s, D, T>
    where
        D: Record;

    /// Batches of `n` records, on one worker and in order of arrival, each sent when it is full. What is left at
    /// the end is dropped. Valid: `n` is 1 or more; 0 counts as 1.
    #[track_caller]
    fn count_window_all(self, n: usize) -> DataStream<'s, Vec<D>, T>
    where
        D: Record;

    /// All records of both streams that have the same key, as `f` wants them.
    ///
    /// # Examples
    /// ```
    /// use waterwheel_engine::{RuntimeConfig, execute};
    /// use waterwheel_iteration::Collectives;
    ///
    /// let pairs = execute(RuntimeConfig::threads(2), |env| {
    ///     let (names, sales) = (env.from_iter([(1u32, 'a'), (2, 'b')]), env.from_iter([(1u32, 5u64), (1, 6), (3, 7)]));
    ///     let keys = (|name: &(u32, char)| name.0, |sale: &(u32, u64)| sale.0);
    ///     Ok(names.co_group(sales, keys, |key, names, sales| [(*key, names.len(), sales.len())]).collect())
    /// })?;
    /// let mut pairs = pairs.concat();
    /// pairs.sort();
    /// assert_eq!(pairs, [(1, 1, 2), (2, 1, 0), (3, 0, 1)]);
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    #[track_caller]
    fn co_group<B: Record, K: Key, I: IntoIterator<Item: 'static>>(
        self,
        other: DataStream<'s, B, T>,
        keys: (impl Fn(&D) -> K + 'static, impl Fn(&B) -> K + 'static),
        f: impl Fn(&K, Vec<D>, Vec<B>) -> I + 'static,
    ) -> DataStream<'s, I::Item, T>
    where
        D: Record;

    /// Replaces each record by `f` of it and of all records of `broadcast`, which every worker gets. Records wait
    /// until these are complete.
    ///
    /// # Examples
    /// ```
    /// use waterwheel_engine::{RuntimeConfig, execute};
    /// use waterwheel_iteration::Collectives;
    ///
    /// let scaled = execute(RuntimeConfig::threads(2), |env| {
    ///     let (numbers, factors) = (env.from_iter([1u64, 2, 3]), env.from_iter([10u64]));
    ///     Ok(numbers.with_broadcast(factors, |x, factors| x * factors[0]).collect())
    /// })?;
    /// let mut scaled = scaled.concat();
    /// scaled.sort();
    /// assert_eq!(scaled, [10, 20, 30]);
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    #[track_caller]
    fn with_broadcast<B: Record, E: 'static>(
        self,
        broadcast: DataStream<'s, B, T>,
        f: impl Fn(D, &[B]) -> E + 'static,
    ) -> DataStream<'s, E, T>;
}

/// Sums of arrays.
pub trait AllReduce<'s, T: Clock> {
    /// The sum, element by element, of one array from each worker that has one, on every worker. The same on
    /// every run: arrays are added in order of worker.
    ///
    /// A second array on a worker, or one of another length, ends the run with an
    /// [`ErrorKind::Data`](waterwheel_engine::ErrorKind::Data) error.
    ///
    /// # Examples
    /// ```
    /// use waterwheel_engine::{RuntimeConfig, execute};
    /// use waterwheel_iteration::AllReduce;
    ///
    /// let sums = execute(RuntimeConfig::threads(2), |env| {
    ///     let one_each = env.from_splits(env.workers(), |split| [vec![1.0, split as f64]]);
    ///     Ok(one_each.all_reduce_sum().collect_local())
    /// })?;
    /// assert_eq!(sums, [[[2.0, 1.0]], [[2.0, 1.0]]]);
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    #[must_use]
    #[track_caller]
    fn all_reduce_sum(self) -> DataStream<'s, Vec<f64>, T>;
}

impl<'s, D: 'static, T: Clock> Collectives<'s, D, T> for DataStream<'s, D, T> {
    #[track_caller]
    fn reduce(self, f: impl Fn(D, D) -> D + 'static) -> DataStream<'s, D, T>
    where
        D: Record,
    {
        let step = move |so_far, record| match so_far {
            Some(so_far) => f(so_far, record),
            None => record,
        };
        let fold = Fold::new(step, |so_far| [so_far]);
        self.process_function(fold.clone()).set_parallelism(1).process_function(fold)
    }

    #[track_caller]
    fn aggregate<F: AggregateFunction<In = D>>(self, f: F) -> DataStream<'s, F::Out, T>
    where
        F::Acc: Record,
    {
        let f = std::rc::Rc::new(f);
        let (adds, merges, results) = (f.clone(), f.clone(), f);
        let add = move |so_far: Option<F::Acc>, record| {
            let mut so_far = so_far.unwrap_or_else(|| adds.create_accumulator());
            adds.add(&mut so_far, record);
            so_far
        };
        let merge = move |so_far: Option<F::Acc>, part| match so_far {
            Some(so_far) => merges.merge(so_far, part),
            None => part,
        };
        let parts = self.process_function(Fold::new(add, |part| [part]));
        let result = move |all: F::Acc| [results.result(&all)];
        parts.set_parallelism(1).process_function(Fold::new(merge, result))
    }

    #[track_caller]
    fn sample(self, n: usize, seed: u64) -> DataStream<'s, D, T>
    where
        D: Record,
    {
        // The n least of numbers drawn for all records are those of a sample.
        let worker = self.worker_index() as u64;
        let draw = move |so_far: Option<(u64, Vec<(u64, D)>)>, record| {
            let (at, mut drawn) = so_far.unwrap_or_default();
            insert(&mut drawn, (key_hash(&(seed, worker, at)), record), n);
            (at + 1, drawn)
        };
        let merge = move |so_far: Option<Vec<(u64, D)>>, part| {
            let mut drawn = so_far.unwrap_or_default();
            insert(&mut drawn, part, n);
            drawn
        };
        let parts = self.process_function(Fold::new(draw, |(_, drawn)| drawn));
        let records = |drawn: Vec<(u64, D)>| drawn.into_iter().map(|(_, record)| record);
        parts.set_parallelism(1).process_function(Fold::new(merge, records))
    }

    #[track_caller]
    fn count_window_all(self, n: usize) -> DataStream<'s, Vec<D>, T>
    where
        D: Record,
    {
        self.set_parallelism(1).process_function(CountWindow::new(n.max(1)))
    }

    #[track_caller]
    fn co_group<B: Record, K: Key, I: IntoIterator<Item: 'static>>(
        self,
        other: DataStream<'s, B, T>,
        (first, second): (impl Fn(&D) -> K + 'static, impl Fn(&B) -> K + 'static),
        f: impl Fn(&K, Vec<D>, Vec<B>) -> I + 'static,
    ) -> DataStream<'s, I::Item, T>
    where
        D: Record,
    {
        self.key_by(first).connect(other.key_by(second)).process_function(CoGroup(f))
    }

    #[track_caller]
    fn with_broadcast<B: Record, E: 'static>(
        self,
        broadcast: DataStream<'s, B, T>,
        f: impl Fn(D, &[B]) -> E + 'static,
    ) -> DataStream<'s, E, T> {
        self.connect(broadcast.broadcast()).process_function(WithBroadcast::new(f))
    }
}

impl<'s, T: Clock> AllReduce<'s, T> for DataStream<'s, Vec<f64>, T> {
    #[track_caller]
    fn all_reduce_sum(self) -> DataStream<'s, Vec<f64>, T> {
        let split = Split::new(self.worker_index());
        let chunks = self.process_function(split);
        let spread = chunks.partition_custom(|chunk: &Chunk, n| chunk.index() % n);
        spread.process_function(SumChunks::default()).broadcast().process_function(Assemble::default())
    }
}

/// Keeps the `n` least, in order.
fn insert<D>(drawn: &mut Vec<(u64, D)>, next: (u64, D), n: usize) {
    let at = drawn.partition_point(|(number, _)| *number <= next.0);
    if at < n {
        drawn.insert(at, next);
        drawn.truncate(n);
    }
}
