//! Joins of collections by key.

use std::panic::Location;
use std::rc::Rc;

use differential_dataflow::VecCollection;
use differential_dataflow::operators::arrange::TraceAgent;
use differential_dataflow::operators::arrange::arrangement::Arranged;
use differential_dataflow::trace::implementations::ValSpine;
use differential_dataflow::trace::wrappers::enter::TraceEnter;

use crate::delta::arrange::{Arrangement, ByKey};
use crate::delta::clock::{DeltaClock, InLoop};
use crate::delta::collection::{Collection, Context, Diff};
use crate::hash::Key;
use crate::origin::Origin;

/// An [`Arrangement`] of the surroundings inside a loop; made by
/// [`IterateScope::enter_arranged`](crate::IterateScope::enter_arranged). It is the same index, not a copy.
pub struct EnteredArrangement<'i, K: Key, V: Key, T: DeltaClock> {
    pub(crate) arranged: Entered<'i, K, V, T>,
    pub(crate) context: Context<'i, InLoop<T>>,
}

/// An arrangement of the surroundings of a loop, as differential dataflow has it.
pub(crate) type Entered<'i, K, V, T> =
    Arranged<'i, TraceEnter<TraceAgent<ValSpine<K, V, T, Diff>>, InLoop<T>>>;

impl<K: Key, V: Key, T: DeltaClock> Clone for EnteredArrangement<'_, K, V, T> {
    fn clone(&self) -> Self {
        EnteredArrangement { arranged: self.arranged.clone(), context: self.context.clone() }
    }
}

impl<K: Key, V: Key, T: DeltaClock> std::fmt::Debug for EnteredArrangement<'_, K, V, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let operator = self.context.origin.site().operator;
        f.debug_struct("EnteredArrangement").field("operator", &operator).finish_non_exhaustive()
    }
}

/// What an [`Arrangement`] can be joined with: another one, or one of the surroundings of a loop.
pub trait JoinSide<'s, K: Key, V: Key, T: DeltaClock>: sealed::Side<'s, K, V, T> {}

impl<'s, K: Key, V: Key, T: DeltaClock, S: sealed::Side<'s, K, V, T>> JoinSide<'s, K, V, T> for S {}

mod sealed {
    use super::*;

    pub trait Side<'s, K: Key, V: Key, T: DeltaClock> {
        fn context(&self) -> &Context<'s, T>;

        /// The pairs with equal keys, through `f`.
        fn join<L: Key, D: Ord + Clone + std::fmt::Debug + 'static, I: IntoIterator<Item = D>>(
            self,
            left: ByKey<'s, K, L, T>,
            f: impl FnMut(&K, &L, &V) -> I + 'static,
        ) -> VecCollection<'s, T, D, Diff>;
    }
}

impl<'s, K: Key, V: Key, T: DeltaClock> sealed::Side<'s, K, V, T> for Arrangement<'s, K, V, T> {
    fn context(&self) -> &Context<'s, T> {
        &self.context
    }

    fn join<L: Key, D: Ord + Clone + std::fmt::Debug + 'static, I: IntoIterator<Item = D>>(
        self,
        left: ByKey<'s, K, L, T>,
        mut f: impl FnMut(&K, &L, &V) -> I + 'static,
    ) -> VecCollection<'s, T, D, Diff> {
        left.join_core(self.arranged, move |key: &K, left: &L, right: &V| f(key, left, right))
    }
}

impl<'i, K: Key, V: Key, T: DeltaClock> sealed::Side<'i, K, V, InLoop<T>>
    for EnteredArrangement<'i, K, V, T>
{
    fn context(&self) -> &Context<'i, InLoop<T>> {
        &self.context
    }

    fn join<L: Key, D: Ord + Clone + std::fmt::Debug + 'static, I: IntoIterator<Item = D>>(
        self,
        left: ByKey<'i, K, L, InLoop<T>>,
        mut f: impl FnMut(&K, &L, &V) -> I + 'static,
    ) -> VecCollection<'i, InLoop<T>, D, Diff> {
        left.join_core(self.arranged, move |key: &K, left: &L, right: &V| f(key, left, right))
    }
}

impl<'s, K: Key, L: Key, T: DeltaClock> Arrangement<'s, K, L, T> {
    /// What `f` makes of each pair of values with the same key, all items of it.
    ///
    /// A change of one side is joined with what the other side holds, so the cost is that of the changes.
    #[track_caller]
    pub fn join_flat_map<V: Key, D: Key, I: IntoIterator<Item = D>>(
        self,
        other: impl JoinSide<'s, K, V, T>,
        f: impl FnMut(&K, &L, &V) -> I + 'static,
    ) -> Collection<'s, D, T> {
        self.join_at(Location::caller(), other, f)
    }

    /// What `f` makes of each pair of values with the same key.
    #[track_caller]
    pub fn join_map<V: Key, D: Key>(
        self,
        other: impl JoinSide<'s, K, V, T>,
        mut f: impl FnMut(&K, &L, &V) -> D + 'static,
    ) -> Collection<'s, D, T> {
        self.join_at(Location::caller(), other, move |key, left, right| Some(f(key, left, right)))
    }

    fn join_at<V: Key, D: Key, I: IntoIterator<Item = D>>(
        self,
        location: &'static Location<'static>,
        other: impl JoinSide<'s, K, V, T>,
        mut f: impl FnMut(&K, &L, &V) -> I + 'static,
    ) -> Collection<'s, D, T> {
        let context = self.context.after_both(other.context(), "join", location);
        let origin: Rc<Origin> = Rc::clone(&context.origin);
        let joined = other.join(self.arranged, move |key, left, right| origin.called(|| f(key, left, right)));
        Collection::new(joined.inner, context)
    }
}

impl<'s, K: Key, L: Key, T: DeltaClock> Collection<'s, (K, L), T> {
    /// What `f` makes of each pair of values with the same key. Occurs as often as both of its origins do together.
    ///
    /// # Examples
    /// Paths of two edges:
    /// ```
    /// # use waterwheel_engine::{execute, RuntimeConfig};
    /// let paths = execute(RuntimeConfig::threads(2), |env| {
    ///     let edges = env.from_batches([vec![((1u32, 2u32), 1), ((2, 3), 1), ((2, 4), 1)]]).into_collection();
    ///     let reversed = edges.clone().map(|(from, to)| (to, from));
    ///     let paths = reversed.join_map(edges, |_via, from, to| (*from, *to));
    ///     Ok(paths.changes().map(|change| change.record).collect())
    /// })?;
    /// let mut paths = paths.concat();
    /// paths.sort();
    /// assert_eq!(paths, [(1, 3), (1, 4)]);
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    #[track_caller]
    pub fn join_map<V: Key, D: Key>(
        self,
        other: Collection<'s, (K, V), T>,
        mut f: impl FnMut(&K, &L, &V) -> D + 'static,
    ) -> Collection<'s, D, T> {
        let location = Location::caller();
        let other = other.arrange_by_key_at("join", location);
        let each = move |key: &K, left: &L, right: &V| Some(f(key, left, right));
        self.arrange_by_key_at("join", location).join_at(location, other, each)
    }

    /// Each pair whose key occurs in `keys`, as often as both do together. Take [`distinct`](Collection::distinct)
    /// keys to keep or drop pairs.
    #[must_use]
    #[track_caller]
    pub fn semijoin(self, keys: Collection<'s, K, T>) -> Self {
        let location = Location::caller();
        let keys = keys.map(|key| (key, ())).arrange_by_key_at("semijoin", location);
        let each = |key: &K, left: &L, (): &()| Some((key.clone(), left.clone()));
        self.arrange_by_key_at("semijoin", location).join_at(location, keys, each)
    }
}
