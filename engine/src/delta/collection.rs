//! Collections and the transformations that need no state.

use std::collections::BTreeMap;
use std::panic::Location;
use std::rc::Rc;

use differential_dataflow::AsCollection;
use timely::dataflow::Stream;

use crate::delta::clock::{BatchClock, DeltaClock};
use crate::edge::{Edge, Place};
use crate::flow::{self, Lineage};
use crate::operator::Token;
use crate::operator::output::RecordOutput;
use crate::origin::Origin;
use crate::stream::DataStream;

/// By how much the number of occurrences of a record changes; negative where it goes.
pub type Diff = i64;

/// A batch of changes as collections send them: record, time, difference.
pub(crate) type Updates<D, T> = Vec<(D, T, Diff)>;

/// Streams without records whose clocks are those of a collection's inputs, by the number of the operator.
pub(crate) type Clocks<'s, T> = BTreeMap<usize, Stream<'s, T, Vec<()>>>;

/// What a collection or an arrangement has beside its updates.
#[allow(unreachable_pub, reason = "a sealed trait that is public names it")]
pub struct Context<'s, T: DeltaClock> {
    pub(crate) place: Place<'s, T>,
    /// The operator that made it.
    pub(crate) origin: Rc<Origin>,
    pub(crate) lineage: Lineage,
    /// The inputs that it descends from.
    pub(crate) clocks: Clocks<'s, T>,
    /// Whether changes that cancel each other meet on every way that leads here from a variable of the loop.
    pub(crate) settles: bool,
}

impl<T: DeltaClock> Clone for Context<'_, T> {
    fn clone(&self) -> Self {
        let (origin, lineage) = (Rc::clone(&self.origin), Rc::clone(&self.lineage));
        Context {
            place: self.place.clone(),
            origin,
            lineage,
            clocks: self.clocks.clone(),
            settles: self.settles,
        }
    }
}

impl<T: DeltaClock> std::fmt::Debug for Context<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("operator", &self.origin.site().operator).finish_non_exhaustive()
    }
}

impl<'s, T: DeltaClock> Context<'s, T> {
    /// The context of what a new operator `name` makes of this.
    pub(crate) fn after(&self, name: &str, location: &'static Location<'static>) -> Self {
        let origin = Origin::new(&self.place, name, location);
        Context { origin, ..self.clone() }
    }

    /// As [`after`](Self::after), of this and `other`.
    pub(crate) fn after_both(&self, other: &Self, name: &str, location: &'static Location<'static>) -> Self {
        let mut both = self.after(name, location);
        both.lineage = flow::both(&self.lineage, &other.lineage);
        both.settles &= other.settles;
        both.clocks.extend(other.clocks.iter().map(|(id, clock)| (*id, clock.clone())));
        both
    }
}

/// A multiset of records that changes with its clock, partitioned over the workers.
///
/// Records may occur any number of times, also less than none: what an operator makes of a collection is defined by
/// the numbers of occurrences, whatever the order in which changes come. Transformations consume the collection;
/// clone it to use it twice. The closures must give equal results for equal arguments, for they are called again
/// when a record goes.
pub struct Collection<'s, D, T: DeltaClock = BatchClock> {
    stream: Stream<'s, T, Updates<D, T>>,
    context: Context<'s, T>,
    /// Whether there is at most one change per record and time.
    is_consolidated: bool,
}

impl<D: Clone + 'static, T: DeltaClock> Clone for Collection<'_, D, T> {
    fn clone(&self) -> Self {
        Collection { stream: self.stream.clone(), context: self.context.clone(), ..*self }
    }
}

impl<D, T: DeltaClock> std::fmt::Debug for Collection<'_, D, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let operator = self.context.origin.site().operator;
        f.debug_struct("Collection").field("operator", &operator).finish_non_exhaustive()
    }
}

impl<'s, D: 'static, T: DeltaClock> Collection<'s, D, T> {
    /// The collection of changes that may still cancel each other.
    pub(crate) fn new(stream: Stream<'s, T, Updates<D, T>>, context: Context<'s, T>) -> Self {
        Collection { stream, context, is_consolidated: false }
    }

    /// The collection of changes of which there is one per record and time.
    pub(crate) fn consolidated(stream: Stream<'s, T, Updates<D, T>>, context: Context<'s, T>) -> Self {
        Collection { stream, context, is_consolidated: true }
    }

    pub(crate) fn into_parts(self) -> (Stream<'s, T, Updates<D, T>>, Context<'s, T>) {
        (self.stream, self.context)
    }

    pub(crate) fn context(&self) -> &Context<'s, T> {
        &self.context
    }

    pub(crate) fn is_consolidated(&self) -> bool {
        self.is_consolidated
    }

    /// Where the collection lives, for the layers that build on it.
    pub fn place(&self) -> Place<'s, T> {
        self.context.place.clone()
    }

    /// Names the operator that made this collection, for its errors.
    #[must_use]
    pub fn name(self, name: &str) -> Self {
        self.context.origin.rename(name);
        self
    }

    /// Gives the operator that made this collection a stable identity; see
    /// [`DataStream::uid`](crate::DataStream::uid).
    #[must_use]
    pub fn uid(self, uid: &str) -> Self {
        self.context.origin.set_uid(uid);
        self
    }

    /// Replaces each record by `f` of it.
    ///
    /// # Examples
    /// ```
    /// # use waterwheel_engine::{execute, Change, RuntimeConfig};
    /// let halves = execute(RuntimeConfig::threads(1), |env| {
    ///     let numbers = env.from_batches([vec![(8u32, 1)], vec![(8, -1), (6, 1)]]).into_collection();
    ///     Ok(numbers.map(|x| x / 2).changes().collect())
    /// })?;
    /// let change = |batch, record, diff| Change { batch, record, diff };
    /// assert_eq!(halves.concat(), [change(0, 4, 1), change(1, 3, 1), change(1, 4, -1)]);
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    #[track_caller]
    pub fn map<E: 'static>(self, mut f: impl FnMut(D) -> E + 'static) -> Collection<'s, E, T> {
        self.unary("map", Location::caller(), move |token, batch, out| {
            out.send_each(token, batch, |updates| {
                updates.map(|(record, time, diff)| (f(record), time, diff))
            });
        })
    }

    /// Keeps the records for which `keep` is true.
    #[track_caller]
    pub fn filter(self, mut keep: impl FnMut(&D) -> bool + 'static) -> Self {
        let is_consolidated = self.is_consolidated;
        let kept = self.unary("filter", Location::caller(), move |token, batch, out| {
            batch.retain(|(record, _, _)| keep(record));
            out.send_batch(token, batch);
        });
        Collection { is_consolidated, ..kept }
    }

    /// Replaces each record by all items of `f` of it.
    #[track_caller]
    pub fn flat_map<I: IntoIterator<Item: 'static>>(
        self,
        mut f: impl FnMut(D) -> I + 'static,
    ) -> Collection<'s, I::Item, T> {
        self.unary("flat_map", Location::caller(), move |token, batch, out| {
            let of_each = batch.drain(..).flat_map(|(record, time, diff)| {
                f(record).into_iter().map(move |item| (item, time.clone(), diff))
            });
            out.send_iter(token, of_each);
        })
    }

    /// Replaces each record by all items of `f` of it, each as often as `f` says for every time that the record
    /// occurs. With [`count`](Self::count) it sums up.
    ///
    /// # Examples
    /// ```
    /// # use waterwheel_engine::{execute, Change, RuntimeConfig};
    /// let total = execute(RuntimeConfig::threads(2), |env| {
    ///     let prices = env.from_batches([vec![(30i64, 1), (12, 1)], vec![(30, -1)]]).into_collection();
    ///     Ok(prices.explode(|price| [((), price)]).count().map(|((), total)| total).changes().collect())
    /// })?;
    /// let mut total = total.concat();
    /// total.sort();
    /// let change = |batch, record, diff| Change { batch, record, diff };
    /// assert_eq!(total, [change(0, 42, 1), change(1, 12, 1), change(1, 42, -1)]);
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    #[track_caller]
    pub fn explode<E: 'static, I: IntoIterator<Item = (E, Diff)>>(
        self,
        mut f: impl FnMut(D) -> I + 'static,
    ) -> Collection<'s, E, T> {
        self.unary("explode", Location::caller(), move |token, batch, out| {
            let of_each = batch.drain(..).flat_map(|(record, time, diff)| {
                f(record).into_iter().map(move |(item, n)| (item, time.clone(), n * diff))
            });
            out.send_iter(token, of_each);
        })
    }

    /// Shows each change to `look`: record, difference. Changes that cancel each other may still be among them.
    #[track_caller]
    pub fn inspect(self, mut look: impl FnMut(&D, Diff) + 'static) -> Self {
        let is_consolidated = self.is_consolidated;
        let seen = self.unary("inspect", Location::caller(), move |token, batch, out| {
            batch.iter().for_each(|(record, _, diff)| look(record, *diff));
            out.send_batch(token, batch);
        });
        Collection { is_consolidated, ..seen }
    }

    /// The same records, as often less as they occur here. With [`concat`](Self::concat) it takes away.
    #[must_use]
    #[track_caller]
    pub fn negate(self) -> Self {
        let is_consolidated = self.is_consolidated;
        let negated = self.unary("negate", Location::caller(), move |token, batch, out| {
            batch.iter_mut().for_each(|(_, _, diff)| *diff = -*diff);
            out.send_batch(token, batch);
        });
        Collection { is_consolidated, ..negated }
    }

    /// The records of both collections, each as often as in both together.
    #[must_use]
    #[track_caller]
    pub fn concat(self, other: Self) -> Self {
        let context = self.context.after_both(&other.context, "concat", Location::caller());
        let all = self.stream.as_collection().concat(other.stream.as_collection());
        Collection::new(all.inner, context)
    }

    /// An operator that makes of each change changes at its time, and keeps nothing.
    pub(crate) fn unary<E: 'static>(
        self,
        name: &str,
        location: &'static Location<'static>,
        mut logic: impl FnMut(&Token<T>, &mut Updates<D, T>, &mut RecordOutput<(E, T, Diff), T>) + 'static,
    ) -> Collection<'s, E, T> {
        let Collection { stream, mut context, .. } = self;
        let edge = Edge {
            stream,
            place: context.place.clone(),
            origin: Rc::clone(&context.origin),
            lineage: Rc::clone(&context.lineage),
        };
        let made = DataStream::from_edge(edge).unary(name, location, move |token, batch, out| {
            logic(token, batch, out);
            Ok(())
        });
        let edge = made.into_edge();
        context.origin = edge.origin;
        Collection::new(edge.stream, context)
    }
}
