//! Reductions by key, counts and distinct records.

use std::panic::Location;
use std::rc::Rc;

use differential_dataflow::trace::implementations::{KeyBuilder, KeySpine, ValBuilder, ValSpine};

use crate::delta::arrange::Arrangement;
use crate::delta::clock::DeltaClock;
use crate::delta::collection::{Collection, Diff};
use crate::hash::Key;

impl<'s, K: Key, V: Key, T: DeltaClock> Collection<'s, (K, V), T> {
    /// Groups the pairs by key and replaces each group by what `f` makes of it.
    ///
    /// `f` gets the key, its values in ascending order with the number of times each occurs, and puts results with
    /// the number of times each is to occur. It is called when the values of a key have changed and the key still
    /// has some; the old results go in either case.
    ///
    /// # Examples
    /// The least value of each key:
    /// ```
    /// # use waterwheel_engine::{execute, Change, RuntimeConfig};
    /// let least = execute(RuntimeConfig::threads(1), |env| {
    ///     let pairs = env.from_batches([vec![((7u32, 3u32), 1), ((7, 5), 1)], vec![((7, 3), -1)]]);
    ///     let least = pairs.into_collection().reduce(|_key, values, out| out.push((*values[0].0, 1)));
    ///     Ok(least.changes().collect())
    /// })?;
    /// let mut least = least.concat();
    /// least.sort();
    /// let change = |batch, value, diff| Change { batch, record: (7, value), diff };
    /// assert_eq!(least, [change(0, 3, 1), change(1, 3, -1), change(1, 5, 1)]);
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    #[track_caller]
    pub fn reduce<R: Key>(
        self,
        f: impl FnMut(&K, &[(&V, Diff)], &mut Vec<(R, Diff)>) + 'static,
    ) -> Collection<'s, (K, R), T> {
        let location = Location::caller();
        self.arrange_by_key_at("reduce", location).reduce_at(location, f).into_collection()
    }
}

impl<'s, K: Key, V: Key, T: DeltaClock> Arrangement<'s, K, V, T> {
    /// As [`Collection::reduce`]; the results come indexed by the same key.
    #[track_caller]
    pub fn reduce<R: Key>(
        self,
        f: impl FnMut(&K, &[(&V, Diff)], &mut Vec<(R, Diff)>) + 'static,
    ) -> Arrangement<'s, K, R, T> {
        self.reduce_at(Location::caller(), f)
    }

    fn reduce_at<R: Key>(
        self,
        location: &'static Location<'static>,
        mut f: impl FnMut(&K, &[(&V, Diff)], &mut Vec<(R, Diff)>) + 'static,
    ) -> Arrangement<'s, K, R, T> {
        let context = self.context.after("reduce", location);
        let origin = Rc::clone(&context.origin);
        let arranged =
            self.arranged.reduce_abelian::<_, ValBuilder<K, R, T, Diff>, ValSpine<K, R, T, Diff>, _, _>(
                "reduce",
                move |key, values, results| origin.called(|| f(key, values, results)),
                |built, key, updates| {
                    built.clear();
                    built.extend(
                        updates.drain(..).map(|(value, time, diff)| ((key.clone(), value), time, diff)),
                    );
                },
            );
        Arrangement { arranged, context }
    }
}

impl<'s, K: Key, T: DeltaClock> Collection<'s, K, T> {
    /// Each record as often as `f` says of it and the number of times it occurs.
    ///
    /// `f` is not called for records that do not occur, and they stay away.
    #[track_caller]
    pub fn threshold(self, f: impl FnMut(&K, Diff) -> Diff + 'static) -> Self {
        self.threshold_at("threshold", Location::caller(), f)
    }

    /// Each record that occurs, once.
    ///
    /// # Examples
    /// ```
    /// # use waterwheel_engine::{execute, RuntimeConfig};
    /// let parities = execute(RuntimeConfig::threads(2), |env| {
    ///     let numbers = env.from_batches([(0..9u32).map(|x| (x, 1))]).into_collection();
    ///     Ok(numbers.map(|x| x % 2).distinct().changes().map(|change| change.record).collect())
    /// })?;
    /// let mut parities = parities.concat();
    /// parities.sort();
    /// assert_eq!(parities, [0, 1]);
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    #[must_use]
    #[track_caller]
    pub fn distinct(self) -> Self {
        self.threshold_at("distinct", Location::caller(), |_record, occurrences| i64::from(occurrences > 0))
    }

    fn threshold_at(
        self,
        name: &str,
        location: &'static Location<'static>,
        mut f: impl FnMut(&K, Diff) -> Diff + 'static,
    ) -> Self {
        let (arranged, context) = self.arrange_by_self_at(name, location);
        let origin = Rc::clone(&context.origin);
        let reduced = arranged.reduce_abelian::<_, KeyBuilder<K, T, Diff>, KeySpine<K, T, Diff>, _, _>(
            name,
            move |record, occurrences, results| {
                let diff = origin.called(|| f(record, occurrences[0].1));
                results.extend((diff != 0).then_some(((), diff)));
            },
            |built, record, updates| {
                built.clear();
                built.extend(updates.drain(..).map(|((), time, diff)| ((record.clone(), ()), time, diff)));
            },
        );
        let records = reduced.as_collection(|record: &K, ()| record.clone());
        Collection::consolidated(records.inner, context)
    }

    /// Each record that occurs, with the number of times it does; the pair occurs once.
    #[must_use]
    #[track_caller]
    pub fn count(self) -> Collection<'s, (K, Diff), T> {
        let (arranged, context) = self.arrange_by_self_at("count", Location::caller());
        let counted = arranged
            .reduce_abelian::<_, ValBuilder<K, Diff, T, Diff>, ValSpine<K, Diff, T, Diff>, _, _>(
                "count",
                |_record, occurrences, results| results.push((occurrences[0].1, 1)),
                |built, record, updates| {
                    built.clear();
                    built.extend(updates.drain(..).map(|(n, time, diff)| ((record.clone(), n), time, diff)));
                },
            );
        let pairs = counted.as_collection(|record: &K, n: &Diff| (record.clone(), *n));
        Collection::consolidated(pairs.inner, context)
    }
}
