//! One value per key that grows with every record: reduce, fold, sum, minimum, count.

use std::marker::PhantomData;
use std::ops::Add;
use std::panic::Location;

use serde::{Serialize, de::DeserializeOwned};

use crate::clock::{Clock, Epoch};
use crate::error::Result;
use crate::hash::Key;
use crate::keyed::{KeyedContext, KeyedProcessFunction, KeyedStream};
use crate::process::{Collector, ForRound};
use crate::record::Record;
use crate::stream::DataStream;

/// How records are summed up: an accumulator that takes them one by one, and a result of it.
///
/// # Examples
/// ```
/// # use waterwheel_engine::{AggregateFunction, RuntimeConfig, execute};
/// struct Mean;
/// impl AggregateFunction for Mean {
///     type In = f64;
///     type Acc = (f64, u64);
///     type Out = f64;
///     fn create_accumulator(&self) -> (f64, u64) { (0.0, 0) }
///     fn add(&self, (sum, n): &mut (f64, u64), x: f64) { *sum += x; *n += 1; }
///     fn result(&self, (sum, n): &(f64, u64)) -> f64 { sum / *n as f64 }
///     fn merge(&self, a: (f64, u64), b: (f64, u64)) -> (f64, u64) { (a.0 + b.0, a.1 + b.1) }
/// }
/// let means = execute(RuntimeConfig::threads(2), |env| {
///     let numbers = env.from_iter([1.0, 2.0, -3.0, 6.0]);
///     Ok(numbers.key_by(|x| *x > 0.0).at_end().aggregate(Mean).collect())
/// })?;
/// let mut means = means.concat();
/// means.sort_by(|a, b| a.0.cmp(&b.0));
/// assert_eq!(means, [(false, -3.0), (true, 3.0)]);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
pub trait AggregateFunction: 'static {
    /// What is summed up.
    type In;
    /// What is kept between records.
    type Acc: Serialize + DeserializeOwned + 'static;
    /// What comes out.
    type Out: 'static;

    /// The accumulator of no records.
    fn create_accumulator(&self) -> Self::Acc;

    /// Adds one record.
    fn add(&self, accumulator: &mut Self::Acc, record: Self::In);

    /// The result of what was added so far.
    fn result(&self, accumulator: &Self::Acc) -> Self::Out;

    /// The accumulator of all records of both.
    fn merge(&self, a: Self::Acc, b: Self::Acc) -> Self::Acc;
}

/// A keyed stream whose aggregates come out once per key, when the input has ended; see
/// [`KeyedStream::at_end`].
pub struct KeyedAtEnd<'s, K, D, T: Clock = Epoch> {
    keyed: KeyedStream<'s, K, D, T>,
}

impl<K, D, T: Clock> std::fmt::Debug for KeyedAtEnd<'_, K, D, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("KeyedAtEnd").field(&self.keyed).finish()
    }
}

impl<'s, K: Key, D: Record, T: Clock> KeyedStream<'s, K, D, T> {
    /// Aggregates of this stream come out once per key, in order of key on each worker, when the input has
    /// ended, as in a batch job; without this they come out anew for every record. Not for what is fed back
    /// into this stream: see [`WAITS_FOR_END`](KeyedProcessFunction::WAITS_FOR_END).
    ///
    /// # Examples
    /// ```
    /// # use waterwheel_engine::{execute, RuntimeConfig};
    /// let totals = execute(RuntimeConfig::threads(1), |env| {
    ///     let sales = env.from_iter([("tea", 2), ("milk", 1), ("tea", 3)].map(|(k, n)| (k.to_string(), n)));
    ///     Ok(sales.key_by(|sale| sale.0.clone()).at_end().sum(|sale| sale.1).collect())
    /// })?;
    /// assert_eq!(totals.concat(), [("milk".to_string(), 1), ("tea".to_string(), 5)]);
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    #[must_use]
    pub fn at_end(self) -> KeyedAtEnd<'s, K, D, T> {
        KeyedAtEnd { keyed: self }
    }

    fn accumulate<A: Serialize + DeserializeOwned + 'static, E: 'static>(
        self,
        name: &str,
        location: &'static Location<'static>,
        step: impl Fn(Option<A>, D) -> A + 'static,
        result: impl Fn(&K, &A) -> E + 'static,
    ) -> DataStream<'s, E, T> {
        self.run(name, location, Accumulating::<_, _, _, _, false> { step, result, types: PhantomData })
    }
}

impl<'s, K: Key, D: Record, T: Clock> KeyedAtEnd<'s, K, D, T> {
    fn accumulate<A: Serialize + DeserializeOwned + 'static, E: 'static>(
        self,
        name: &str,
        location: &'static Location<'static>,
        step: impl Fn(Option<A>, D) -> A + 'static,
        result: impl Fn(&K, &A) -> E + 'static,
    ) -> DataStream<'s, E, T> {
        let logic = Accumulating::<_, _, _, _, true> { step, result, types: PhantomData };
        self.keyed.run(name, location, logic)
    }
}

macro_rules! aggregates {
    ($stream:ident, $at_end:literal, $when:literal) => {
        impl<'s, K: Key, D: Record, T: Clock> $stream<'s, K, D, T> {
            /// Combines the records of each key, in order of arrival, into one of the same type.
            #[doc = $when]
            ///
            /// # Examples
            /// ```
            /// # use waterwheel_engine::{execute, RuntimeConfig};
            /// let found = execute(RuntimeConfig::threads(2), |env| {
            ///     let sales = env.from_iter([(1u32, 2u64), (2, 1), (1, 3)]).key_by(|(customer, _)| *customer);
            #[doc = concat!("    Ok(sales", $at_end, ".reduce(|a, b| (a.0, a.1.max(b.1))).collect())")]
            /// })?;
            /// assert!(found.concat().contains(&(1, 3)));
            /// # Ok::<(), waterwheel_engine::Error>(())
            /// ```
            #[track_caller]
            pub fn reduce(self, f: impl Fn(D, D) -> D + 'static) -> DataStream<'s, D, T> {
                let step = move |so_far, record| match so_far {
                    Some(so_far) => f(so_far, record),
                    None => record,
                };
                self.accumulate("reduce", Location::caller(), step, |_key, so_far| D::clone(so_far))
            }

            /// Adds each record to a value that starts as `init` for every key.
            #[doc = $when]
            ///
            /// # Examples
            /// ```
            /// # use waterwheel_engine::{execute, RuntimeConfig};
            /// let found = execute(RuntimeConfig::threads(2), |env| {
            ///     let sales = env.from_iter([(1u32, 2u64), (2, 1), (1, 3)]).key_by(|(customer, _)| *customer);
            #[doc = concat!("    Ok(sales", $at_end, ".fold(String::new(), |all, (_, n)| all + &n.to_string()).collect())")]
            /// })?;
            /// assert!(found.concat().contains(&(1, "23".to_string())));
            /// # Ok::<(), waterwheel_engine::Error>(())
            /// ```
            #[track_caller]
            pub fn fold<A: Record>(
                self,
                init: A,
                f: impl Fn(A, D) -> A + 'static,
            ) -> DataStream<'s, (K, A), T> {
                let step = move |so_far: Option<A>, record| f(so_far.unwrap_or_else(|| init.clone()), record);
                self.accumulate("fold", Location::caller(), step, with_key)
            }

            /// Sums up the records of each key with an [`AggregateFunction`].
            #[doc = $when]
            #[track_caller]
            pub fn aggregate<F: AggregateFunction<In = D>>(self, f: F) -> DataStream<'s, (K, F::Out), T> {
                let f = std::rc::Rc::new(f);
                let results = std::rc::Rc::clone(&f);
                let step = move |so_far: Option<F::Acc>, record| {
                    let mut so_far = so_far.unwrap_or_else(|| f.create_accumulator());
                    f.add(&mut so_far, record);
                    so_far
                };
                let result = move |key: &K, so_far: &F::Acc| (key.clone(), results.result(so_far));
                self.accumulate("aggregate", Location::caller(), step, result)
            }

            /// The sum of a value of each record, with the key. As `+` adds: integers of the result's type
            /// must not overflow.
            #[doc = $when]
            ///
            /// # Examples
            /// ```
            /// # use waterwheel_engine::{execute, RuntimeConfig};
            /// let found = execute(RuntimeConfig::threads(2), |env| {
            ///     let sales = env.from_iter([(1u32, 2u64), (2, 1), (1, 3)]).key_by(|(customer, _)| *customer);
            #[doc = concat!("    Ok(sales", $at_end, ".sum(|(_, n)| *n).collect())")]
            /// })?;
            /// assert!(found.concat().contains(&(1, 5)));
            /// # Ok::<(), waterwheel_engine::Error>(())
            /// ```
            #[track_caller]
            pub fn sum<V: Record + Add<Output = V>>(
                self,
                value: impl Fn(&D) -> V + 'static,
            ) -> DataStream<'s, (K, V), T> {
                let step = move |so_far: Option<V>, record| match so_far {
                    Some(so_far) => so_far + value(&record),
                    None => value(&record),
                };
                self.accumulate("sum", Location::caller(), step, with_key)
            }

            /// The least value of all records, with the key. One that compares with nothing, such as NaN,
            /// gives way to any that does.
            #[doc = $when]
            #[track_caller]
            pub fn min<V: Record + PartialOrd>(
                self,
                value: impl Fn(&D) -> V + 'static,
            ) -> DataStream<'s, (K, V), T> {
                let step = move |so_far, record| best(so_far, value(&record), V::clone, V::lt);
                self.accumulate("min", Location::caller(), step, with_key)
            }

            /// The greatest value of all records, with the key. One that compares with nothing, such as NaN,
            /// gives way to any that does.
            #[doc = $when]
            #[track_caller]
            pub fn max<V: Record + PartialOrd>(
                self,
                value: impl Fn(&D) -> V + 'static,
            ) -> DataStream<'s, (K, V), T> {
                let step = move |so_far, record| best(so_far, value(&record), V::clone, V::gt);
                self.accumulate("max", Location::caller(), step, with_key)
            }

            /// The record with the least value; the first one of those that are equal.
            #[doc = $when]
            #[track_caller]
            pub fn min_by<V: PartialOrd + 'static>(
                self,
                value: impl Fn(&D) -> V + 'static,
            ) -> DataStream<'s, D, T> {
                let step = move |so_far, record| best(so_far, record, &value, V::lt);
                self.accumulate("min_by", Location::caller(), step, |_key, record| D::clone(record))
            }

            /// The record with the greatest value; the first one of those that are equal.
            #[doc = $when]
            #[track_caller]
            pub fn max_by<V: PartialOrd + 'static>(
                self,
                value: impl Fn(&D) -> V + 'static,
            ) -> DataStream<'s, D, T> {
                let step = move |so_far, record| best(so_far, record, &value, V::gt);
                self.accumulate("max_by", Location::caller(), step, |_key, record| D::clone(record))
            }

            /// The number of records, with the key.
            #[doc = $when]
            ///
            /// # Examples
            /// ```
            /// # use waterwheel_engine::{execute, RuntimeConfig};
            /// let found = execute(RuntimeConfig::threads(2), |env| {
            ///     let sales = env.from_iter([(1u32, 2u64), (2, 1), (1, 3)]).key_by(|(customer, _)| *customer);
            #[doc = concat!("    Ok(sales", $at_end, ".count().collect())")]
            /// })?;
            /// assert!(found.concat().contains(&(1, 2)));
            /// # Ok::<(), waterwheel_engine::Error>(())
            /// ```
            #[track_caller]
            pub fn count(self) -> DataStream<'s, (K, u64), T> {
                let step = |so_far: Option<u64>, _record| so_far.unwrap_or(0) + 1;
                self.accumulate("count", Location::caller(), step, with_key)
            }
        }
    };
}
aggregates! { KeyedStream, "", "\n\nThe result so far comes out for every record." }
aggregates! { KeyedAtEnd, ".at_end()", "\n\nThe result comes out once per key, when the input has ended." }

/// The one of the two with the better value; the first if they are equal. A value that is not comparable even
/// with itself gives way.
fn best<X, V: PartialOrd>(
    so_far: Option<X>,
    next: X,
    value: impl Fn(&X) -> V,
    is_better: impl Fn(&V, &V) -> bool,
) -> X {
    let Some(so_far) = so_far else { return next };
    let (old, new) = (value(&so_far), value(&next));
    let gives_way = old.partial_cmp(&old).is_none();
    if gives_way || is_better(&new, &old) { next } else { so_far }
}

fn with_key<K: Clone, A: Clone>(key: &K, value: &A) -> (K, A) {
    (key.clone(), value.clone())
}

/// A value per key that `step` grows and `result` looks at: for every record, or at the end.
struct Accumulating<A, E, S, R, const AT_END: bool> {
    step: S,
    result: R,
    types: PhantomData<(A, E)>,
}

impl<K, D, A, E, S, R, const AT_END: bool> KeyedProcessFunction<K, D> for Accumulating<A, E, S, R, AT_END>
where
    A: Serialize + DeserializeOwned + 'static,
    E: 'static,
    S: Fn(Option<A>, D) -> A,
    R: Fn(&K, &A) -> E,
{
    type State = Option<A>;
    type Out = E;
    const WAITS_FOR_END: bool = AT_END;

    fn process(
        &mut self,
        key: &K,
        state: &mut Option<A>,
        record: D,
        _context: &mut KeyedContext,
        out: &mut Collector<E>,
    ) -> Result<()> {
        let grown = (self.step)(state.take(), record);
        let so_far = state.insert(grown);
        if !AT_END {
            out.emit((self.result)(key, so_far));
        }
        Ok(())
    }

    fn end_of_input(&mut self, key: &K, state: &mut Option<A>, out: &mut Collector<E>) -> Result<()> {
        out.batch().extend(state.take().map(|so_far| (self.result)(key, &so_far)));
        Ok(())
    }

    fn for_next_round(&self) -> ForRound<Self> {
        ForRound::Same
    }
}
