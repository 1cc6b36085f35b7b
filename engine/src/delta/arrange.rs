//! Collections indexed by key, each on the worker that owns the key.

use std::panic::Location;
use std::rc::Rc;

use differential_dataflow::operators::arrange::TraceAgent;
use differential_dataflow::operators::arrange::arrangement::{Arranged, arrange_core};
use differential_dataflow::trace::implementations::{KeyBatcher, KeySpine, ValBatcher, ValSpine};
use timely::dataflow::channels::pact::Exchange;

use crate::delta::clock::{BatchClock, DeltaClock};
use crate::delta::collection::{Collection, Context, Diff};
use crate::exchange::{Channel, Counted};
use crate::hash::{Key, key_owner};

/// A collection of pairs, indexed by the first half.
pub(crate) type ByKey<'s, K, V, T> = Arranged<'s, TraceAgent<ValSpine<K, V, T, Diff>>>;

/// A collection, indexed by the record.
pub(crate) type BySelf<'s, K, T> = Arranged<'s, TraceAgent<KeySpine<K, T, Diff>>>;

/// A collection of pairs, indexed by the first half: what joins and reductions read. Made by
/// [`arrange_by_key`](Collection::arrange_by_key) to be made once and used by several of them.
///
/// It holds the pairs that are there, and the changes of times that are not complete; inside loops, those of each
/// round.
pub struct Arrangement<'s, K: Key, V: Key, T: DeltaClock = BatchClock> {
    pub(crate) arranged: ByKey<'s, K, V, T>,
    pub(crate) context: Context<'s, T>,
}

impl<K: Key, V: Key, T: DeltaClock> Clone for Arrangement<'_, K, V, T> {
    fn clone(&self) -> Self {
        Arrangement { arranged: self.arranged.clone(), context: self.context.clone() }
    }
}

impl<K: Key, V: Key, T: DeltaClock> std::fmt::Debug for Arrangement<'_, K, V, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let operator = self.context.origin.site().operator;
        f.debug_struct("Arrangement").field("operator", &operator).finish_non_exhaustive()
    }
}

impl<'s, K: Key, V: Key, T: DeltaClock> Arrangement<'s, K, V, T> {
    /// Names the arrangement, for errors.
    #[must_use]
    pub fn name(self, name: &str) -> Self {
        self.context.origin.rename(name);
        self
    }

    /// Gives the arrangement a stable identity; see [`DataStream::uid`](crate::DataStream::uid).
    #[must_use]
    pub fn uid(self, uid: &str) -> Self {
        self.context.origin.set_uid(uid);
        self
    }

    /// The pairs.
    pub fn into_collection(self) -> Collection<'s, (K, V), T> {
        let pairs = self.arranged.as_collection(|key: &K, value: &V| (key.clone(), value.clone()));
        Collection::consolidated(pairs.inner, self.context)
    }
}

impl<'s, K: Key, V: Key, T: DeltaClock> Collection<'s, (K, V), T> {
    /// Indexes the pairs by the first half, on the worker that owns it; see [`hash`](crate::hash).
    #[track_caller]
    pub fn arrange_by_key(self) -> Arrangement<'s, K, V, T> {
        self.arrange_by_key_at("arrange_by_key", Location::caller())
    }

    pub(crate) fn arrange_by_key_at(
        self,
        name: &str,
        location: &'static Location<'static>,
    ) -> Arrangement<'s, K, V, T> {
        let (stream, context) = self.into_parts();
        let context = Context { settles: true, ..context.after(name, location) };
        let workers = context.place.workers();
        let route = move |update: &((K, V), T, Diff)| key_owner(&update.0.0, workers) as u64;
        let pact = counted(Exchange::new(route), &context);
        let arranged = arrange_core(stream, pact, name, ValBatcher::new);
        Arrangement { arranged, context }
    }
}

impl<'s, K: Key, T: DeltaClock> Collection<'s, K, T> {
    /// Indexes the records themselves.
    pub(crate) fn arrange_by_self_at(
        self,
        name: &str,
        location: &'static Location<'static>,
    ) -> (BySelf<'s, K, T>, Context<'s, T>) {
        let keyed = self.unary(name, location, |token, batch, out| {
            out.send_iter(token, batch.drain(..).map(|(record, time, diff)| ((record, ()), time, diff)));
        });
        let (stream, mut context) = keyed.into_parts();
        context.settles = true;
        let workers = context.place.workers();
        let route = move |update: &((K, ()), T, Diff)| key_owner(&update.0.0, workers) as u64;
        let pact = counted(Exchange::new(route), &context);
        (arrange_core(stream, pact, name, KeyBatcher::new), context)
    }

    /// Brings the changes of one record and time together, as soon as the time is complete.
    #[must_use]
    #[track_caller]
    pub fn consolidate(self) -> Self {
        self.consolidate_at(Location::caller())
    }

    pub(crate) fn consolidate_at(self, location: &'static Location<'static>) -> Self {
        if self.is_consolidated() {
            return self;
        }
        let (arranged, context) = self.arrange_by_self_at("consolidate", location);
        let records = arranged.as_collection(|record: &K, ()| record.clone());
        Collection::consolidated(records.inner, context)
    }
}

/// `pact`, whose records in flight hold the sources of what it carries.
fn counted<P, T: DeltaClock>(pact: P, context: &Context<'_, T>) -> Counted<P> {
    let (reader, lineage) = (Rc::clone(&context.origin), Rc::clone(&context.lineage));
    Counted { pact, reader, lineage, may_wait: false, channel: Channel::Exchange }
}
