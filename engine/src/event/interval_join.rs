//! Joins of records that are near each other in event time.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::panic::Location;
use std::rc::Rc;

use rustc_hash::FxHashMap;

use crate::checkpoint::{Entries, Saved, Written};
use crate::clock::{Clock, Epoch, EventTime};
use crate::error::{Error, Result};
use crate::event::driver::{EventLogic, EventOut};
use crate::event::keyed::KeyedEventStream;
use crate::event::stream::Timed;
use crate::event::window_join::{JoinedResults, Side};
use crate::hash::{Key, key_group};
use crate::metrics::StateSize;
use crate::process::{Collector, ForRound, Renewable};
use crate::record::Record;

/// A join between times; see [`JoinedStreams::between`](crate::JoinedStreams::between).
pub struct IntervalJoin<'s, K, L, R, T: Clock = Epoch> {
    sides: KeyedEventStream<'s, K, Side<L, R>, T>,
    lower: i64,
    upper: i64,
}

impl<K, L, R, T: Clock> std::fmt::Debug for IntervalJoin<'_, K, L, R, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let IntervalJoin { sides, lower, upper } = self;
        f.debug_struct("IntervalJoin").field("sides", sides).field("between", &(lower, upper)).finish()
    }
}

impl<'s, K: Key, L: Record, R: Record, T: Clock> IntervalJoin<'s, K, L, R, T> {
    pub(crate) fn new(sides: KeyedEventStream<'s, K, Side<L, R>, T>, lower: i64, upper: i64) -> Result<Self> {
        if lower > upper {
            return Err(Error::config(format!(
                "interval join: lower bound is {lower} ms, expected at most the upper bound, {upper} ms"
            )));
        }
        Ok(IntervalJoin { sides, lower, upper })
    }

    /// Calls `f` with every pair of a left and a right record of the same key that are near enough.
    #[track_caller]
    pub fn apply<O: 'static>(self, f: impl FnMut(&L, &R) -> O + 'static) -> JoinedResults<'s, O, L, R, T> {
        let IntervalJoin { sides, lower, upper } = self;
        let key = Rc::clone(&sides.key);
        let logic = Intervals { key, f, lower, upper, of: PhantomData };
        let joined = sides.run("interval_join", Location::caller(), logic);
        JoinedResults::of(joined)
    }
}

/// The records of a key that may still find a partner, by timestamp.
struct Buffers<L, R> {
    left: BTreeMap<EventTime, Vec<L>>,
    right: BTreeMap<EventTime, Vec<R>>,
}

struct Intervals<K, L, R, F> {
    key: Rc<dyn Fn(&Side<L, R>) -> K>,
    f: F,
    lower: i64,
    upper: i64,
    of: PhantomData<(L, R)>,
}

/// What may still be joined.
struct Buffered<K, L, R> {
    buffers: FxHashMap<K, Buffers<L, R>>,
    /// Keys that have something to drop when the watermark has come so far.
    due: BTreeMap<EventTime, Vec<K>>,
}

impl<K, L, R> Default for Buffered<K, L, R> {
    fn default() -> Self {
        Buffered { buffers: FxHashMap::default(), due: BTreeMap::new() }
    }
}

/// The function keeps nothing between pairs, and each round has its own.
impl<K, L, R, F> Renewable for Intervals<K, L, R, F> {
    type State = ();

    fn fresh(&self) -> ForRound<()> {
        ForRound::Same
    }

    fn swap(&mut self, (): &mut ()) {}
}

impl<K, L, R, O, F> EventLogic<Side<L, R>> for Intervals<K, L, R, F>
where
    K: Key,
    L: Record,
    R: Record,
    O: 'static,
    F: FnMut(&L, &R) -> O + 'static,
{
    type Out = O;
    type Pending = Buffered<K, L, R>;

    fn on_record(
        &mut self,
        buffered: &mut Buffered<K, L, R>,
        record: Timed<Side<L, R>>,
        watermark: EventTime,
        out: &mut EventOut<O, Side<L, R>>,
    ) -> Result<()> {
        if record.timestamp < watermark {
            out.late.emit(record);
            return Ok(());
        }
        let (lower, upper, f) = (self.lower, self.upper, &mut self.f);
        let (key, at) = ((self.key)(&record.value), record.timestamp);
        let buffers = buffered.of_key(key.clone());
        let results: &mut Collector<_> = &mut out.results;
        // A record may go when no partner can come any more.
        let (needed_to, is_first) = match record.value {
            Side::Left(left) => {
                for (time, right) in
                    within(&buffers.right, at.saturating_add(lower), at.saturating_add(upper))
                {
                    results.emit(Timed { timestamp: at.max(time), value: f(&left, right) });
                }
                let same = buffers.left.entry(at).or_default();
                same.push(left);
                (at.saturating_add(upper), same.len() == 1)
            }
            Side::Right(right) => {
                for (time, left) in within(&buffers.left, at.saturating_sub(upper), at.saturating_sub(lower))
                {
                    results.emit(Timed { timestamp: at.max(time), value: f(left, &right) });
                }
                let same = buffers.right.entry(at).or_default();
                same.push(right);
                (at.saturating_sub(lower), same.len() == 1)
            }
        };
        if is_first {
            buffered.needed_to(needed_to, &key);
        }
        Ok(())
    }

    fn on_watermark(
        &mut self,
        buffered: &mut Buffered<K, L, R>,
        watermark: EventTime,
        _out: &mut EventOut<O, Side<L, R>>,
    ) -> Result<()> {
        while let Some(entry) = buffered.due.first_entry().filter(|entry| *entry.key() <= watermark) {
            for key in entry.remove() {
                let Some(buffers) = buffered.buffers.get_mut(&key) else { continue };
                buffers.left = buffers.left.split_off(&watermark.saturating_sub(self.upper));
                buffers.right = buffers.right.split_off(&watermark.saturating_add(self.lower));
                if buffers.left.is_empty() && buffers.right.is_empty() {
                    buffered.buffers.remove(&key);
                }
            }
        }
        Ok(())
    }

    fn pending_size(buffered: &Buffered<K, L, R>) -> Option<StateSize> {
        Some(StateSize::of::<(K, Buffers<L, R>)>(buffered.buffers.len()))
    }

    fn write(&mut self, buffered: Option<&mut Buffered<K, L, R>>, to: &mut Written) -> Result<()> {
        let Some(buffered) = buffered else { return Ok(()) };
        buffered.buffers.iter().try_for_each(|(key, Buffers { left, right })| {
            put(key, left, to.entries(LEFT))?;
            put(key, right, to.entries(RIGHT))
        })
    }

    fn read(&mut self, buffered: Option<&mut Buffered<K, L, R>>, from: &Saved<'_>) -> Result<()> {
        let Some(buffered) = buffered else { return Ok(()) };
        from.entries(LEFT, |mut entries| {
            while let Some((key, at, records)) = entries.next_item::<(K, EventTime, _)>()? {
                buffered.needed_to(at.saturating_add(self.upper), &key);
                buffered.of_key(key).left.insert(at, records);
            }
            Ok(())
        })?;
        from.entries(RIGHT, |mut entries| {
            while let Some((key, at, records)) = entries.next_item::<(K, EventTime, _)>()? {
                buffered.needed_to(at.saturating_sub(self.lower), &key);
                buffered.of_key(key).right.insert(at, records);
            }
            Ok(())
        })
    }
}

/// The kinds of buffered records in checkpoints. An entry is the key, the timestamp, and the records.
const LEFT: &str = "left";
const RIGHT: &str = "right";

fn put<K: Key, D: Record>(key: &K, records: &BTreeMap<EventTime, Vec<D>>, to: &mut Entries) -> Result<()> {
    records.iter().try_for_each(|(at, records)| to.put(key_group(key), &(key, at, records)))
}

impl<K: Key, L, R> Buffered<K, L, R> {
    fn of_key(&mut self, key: K) -> &mut Buffers<L, R> {
        self.buffers.entry(key).or_insert_with(|| Buffers { left: BTreeMap::new(), right: BTreeMap::new() })
    }

    /// Notes that `key` has a record that may find partners up to `last`.
    fn needed_to(&mut self, last: EventTime, key: &K) {
        self.due.entry(last.saturating_add(1)).or_default().push(key.clone());
    }
}

/// The records with timestamps from `first` to `last`, both included.
fn within<D>(
    buffer: &BTreeMap<EventTime, Vec<D>>,
    first: EventTime,
    last: EventTime,
) -> impl Iterator<Item = (EventTime, &D)> {
    let range = (first <= last).then(|| buffer.range(first..=last));
    range.into_iter().flatten().flat_map(|(time, records)| records.iter().map(move |record| (*time, record)))
}
