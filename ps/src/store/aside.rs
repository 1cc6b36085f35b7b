//! Writing the rows of a store as they were at one moment, bit by bit, while they change.

use serde::{Deserialize, Serialize};
use waterwheel_engine::checkpoint::{Entries, Touched};
use waterwheel_engine::hash::key_group;
use waterwheel_engine::{Error, Key, Result};

use crate::dense::dense_key;
use crate::element::{self, Element};
use crate::partition::Part;
use crate::prefetch;
use crate::snapshot::{LogicReader, LogicWriter};
use crate::store::index::{Bucket, Index, SEGMENTS};
use crate::store::recency::Moment;
use crate::store::slab::Slab;
use crate::store::{Places, RowStore};

/// Places that are looked at in one slice, and buckets whose rows are asked for before one of them is written: they lie far
/// apart.
const SLICE: usize = 2048;
const AHEAD: usize = 64;

/// A copy of the rows that is being written. A row is written when the slices come to it, or before it is used.
pub(crate) struct Aside<E> {
    /// A bit per place that there was: whether its row is written, or there was none.
    written: Vec<u64>,
    places: usize,
    /// Rows that are not written yet.
    due: usize,
    /// Where the slices have come to: a segment and a bucket of the index, or a place.
    next: (usize, usize),
    /// What was written out of turn.
    entries: Entries,
    /// What keys are told apart by, where several stores are written together.
    table: Option<TableId>,
    row: Vec<E>,
    bytes: Vec<u8>,
    failure: Result<()>,
}

/// What a checkpoint has of a key.
#[derive(Serialize, Deserialize)]
pub(crate) enum Saved {
    /// Elements and slots of its row: numbers as they lie in memory, little-endian; others in their encoding. And where
    /// the row is in an order, in a store that has one.
    Row(Bytes, Option<RowOrder>),
    /// How often it was used, without a row.
    Uses(u32),
}

/// Which of several stores: a model and a part of it.
pub(crate) type TableId = (u32, u32);

/// Place and last use of a row, where it matters: place, operation and clock.
type RowOrder = (u32, u64, u64);

/// Bytes in one piece.
pub(crate) struct Bytes(Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: serde::Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        // The same on the wire.
        Vec::deserialize(from).map(Bytes)
    }
}

impl<E: Element> Aside<E> {
    fn new(places: usize, due: usize, table: Option<TableId>) -> Self {
        Aside {
            written: vec![0; places.div_ceil(64)],
            places,
            due,
            next: (0, 0),
            entries: Entries::default(),
            table,
            row: Vec::new(),
            bytes: Vec::new(),
            failure: Ok(()),
        }
    }

    /// Notes that the row at `place` is written now; whether it has to be.
    #[inline]
    fn take(&mut self, place: usize) -> bool {
        if place >= self.places {
            return false;
        }
        let (word, bit) = (&mut self.written[place / 64], 1 << (place % 64));
        let was_due = *word & bit == 0;
        *word |= bit;
        self.due -= usize::from(was_due);
        was_due
    }

    /// Notes that the row of the last place is at `place` now; both were taken or are new, or the last one was not.
    fn moved(&mut self, last: usize, place: usize) {
        let is_due = last < self.places && self.written[last / 64] & (1 << (last % 64)) == 0;
        if last < self.places {
            self.written[last / 64] |= 1 << (last % 64);
        }
        if is_due {
            self.written[place / 64] &= !(1 << (place % 64));
        }
    }

    /// Leaves out the pages of 64 places that are untouched; `n_rows` are in a page.
    fn leave_out(&mut self, untouched: &[u64], n_rows: impl Fn(usize) -> usize) {
        for (page, (written, bits)) in self.written.iter_mut().zip(untouched).enumerate() {
            if *bits == u64::MAX {
                *written = u64::MAX;
                self.due -= n_rows(page);
            }
        }
    }

    fn write<K: Key>(&mut self, key: &K, row: &[E], at: Option<RowOrder>) {
        self.row.clear();
        self.row.extend_from_slice(row);
        self.bytes.clear();
        element::encode(&self.row, &mut self.bytes);
        let saved = Saved::Row(Bytes(std::mem::take(&mut self.bytes)), at);
        let outcome = match self.table {
            None => self.entries.put(key_group(key), &(key, &saved)),
            Some(table) => self.entries.put(key_group(key), &((table, key), &saved)),
        };
        if let Saved::Row(Bytes(bytes), _) = saved {
            self.bytes = bytes;
        }
        if self.failure.is_ok() {
            self.failure = outcome;
        }
    }
}

impl<K: Key, E: Element> RowStore<K, E> {
    /// Begins to write the rows as they are now; a copy that is not complete is given up.
    pub(crate) fn mark(&mut self, table: Option<TableId>) {
        self.aside = Some(Box::new(Aside::new(self.n_places(), self.len(), table)));
    }

    /// As [`mark`](Self::mark), of the rows that may have changed since the copy before if `may_be_changes` allows that;
    /// whether it is these and no more. It is all where rows are evicted, where there was no copy before, or where most have
    /// changed.
    fn mark_changes(&mut self, may_be_changes: bool) -> bool {
        self.mark(None);
        if self.evicting.is_some() {
            return false;
        }
        let untouched = self.touched.untouched();
        let are_changes = may_be_changes && self.touched.is_on() && Touched::are_few_of(untouched.iter());
        if are_changes && let Some(aside) = &mut self.aside {
            let places = aside.places;
            aside.leave_out(&untouched, |page| match &self.places {
                Places::Hashed(_) => places.saturating_sub(64 * page).min(64),
                Places::Dense { filled, .. } => {
                    filled.get(page).map_or(0, |word| word[0].count_ones() as usize)
                }
            });
        }
        self.touched.begin(self.n_places());
        are_changes
    }

    fn n_places(&self) -> usize {
        match &self.places {
            Places::Hashed(_) => self.rows.len(),
            Places::Dense { part, filled, .. } => (64 * filled.end()).min(part.len as usize),
        }
    }

    /// Writes some of the rows; whether there are more.
    pub(crate) fn sweep(&mut self, to: &mut Entries) -> Result<bool> {
        let Some(mut aside) = self.aside.take() else { return Ok(false) };
        match &self.places {
            Places::Hashed(index) => self.sweep_hashed(index, &mut aside),
            Places::Dense { part, filled, .. } => self.sweep_dense(part, filled, &mut aside),
        }
        let more = aside.due > 0;
        aside.entries.hand_over(to, !more);
        std::mem::replace(&mut aside.failure, Ok(()))?;
        self.aside = Some(aside).filter(|_| more);
        Ok(more)
    }

    fn sweep_hashed(&self, index: &Index<K>, aside: &mut Aside<E>) {
        for at in 0..SLICE {
            let (segment, bucket) = aside.next;
            if at % AHEAD == 0 {
                self.prefetch_from(index, segment, bucket);
            }
            aside.next = match index.in_bucket(segment, bucket) {
                Bucket::Entry(key, place) => {
                    if aside.take(place as usize) {
                        self.write_row(aside, key, place as usize);
                    }
                    (segment, bucket + 1)
                }
                Bucket::Empty => (segment, bucket + 1),
                Bucket::BehindLast if aside.due == 0 => return,
                // Entries that have moved to other buckets meanwhile are met in another pass.
                Bucket::BehindLast => ((segment + 1) % SEGMENTS, 0),
            };
        }
    }

    fn prefetch_from(&self, index: &Index<K>, segment: usize, bucket: usize) {
        for bucket in bucket..bucket + AHEAD {
            match index.in_bucket(segment, bucket) {
                Bucket::Entry(_, place) => self.rows.get(place as usize).into_iter().for_each(prefetch::read),
                Bucket::Empty => {}
                Bucket::BehindLast => return,
            }
        }
    }

    fn sweep_dense(&self, part: &Part, filled: &Slab<u64>, aside: &mut Aside<E>) {
        let (end, mut left) = (aside.places.min(aside.next.1 + 64 * SLICE), SLICE);
        while aside.next.1 < end && left > 0 {
            let at = aside.next.1;
            let made = filled.get(at / 64).map_or(0, |word| word[0]);
            for place in (0..64).filter(|bit| made & (1 << bit) != 0).map(|bit| at + bit) {
                left = left.saturating_sub(1);
                if aside.take(place)
                    && let Some(key) = dense_key::<K>(part.key(place as u64))
                {
                    self.write_row(aside, &key, place);
                }
            }
            aside.next.1 += 64;
        }
    }

    fn write_row(&self, aside: &mut Aside<E>, key: &K, place: usize) {
        let used = self.evicting.as_ref().and_then(|evicting| evicting.used(place as u32));
        let Moment { operation, clock, .. } = used.unwrap_or_default();
        let at = (self.keys.is_some() || used.is_some()).then_some((place as u32, operation, clock));
        if let Some(row) = self.rows.get(place) {
            aside.write(key, row, at);
        }
    }

    /// Writes the row of `key` before it is used, if a copy is being written that has not come to it.
    #[cold]
    #[inline(never)]
    pub(super) fn write_before_use(&mut self, key: &K, place: usize) {
        let Some(mut aside) = self.aside.take() else { return };
        if aside.take(place) {
            self.write_row(&mut aside, key, place);
        }
        self.aside = Some(aside);
    }

    /// Notes that `place` has a new row, which is no part of the copy.
    pub(super) fn note_made(&mut self, place: usize) {
        self.touched.note(place);
        if let Some(aside) = &mut self.aside
            && let Some(word) = aside.written.get_mut(place / 64)
        {
            *word |= 1 << (place % 64);
        }
    }

    /// Notes that the row of the last place has moved to that of a row that is gone.
    pub(super) fn note_moved(&mut self, last: usize, place: usize) {
        if let Some(aside) = &mut self.aside {
            aside.moved(last, place);
        }
    }

    /// Begins to write the rows and all that evicts them. Keys that are counted and have no row yet are written at once.
    pub(crate) fn snapshot(&mut self, to: &mut LogicWriter<'_>) -> Result<()> {
        if self.mark_changes(to.may_add()) {
            to.add_to_entries();
        }
        let Some(evicting) = &self.evicting else { return Ok(()) };
        to.put(&evicting.now())?;
        evicting.uses().try_for_each(|(key, uses)| to.put_keyed(key, &Saved::Uses(*uses)))
    }

    /// Takes over one row of a store that has no order.
    pub(crate) fn restore_row(&mut self, key: &K, saved: &Saved) -> Result<()> {
        match saved {
            Saved::Row(Bytes(bytes), _) => {
                let row = self.decoded(key, bytes)?;
                self.take_over(key, row)
            }
            Saved::Uses(_) => Ok(()),
        }
    }

    /// Takes over what was written, of a store with the same elements and slots.
    pub(crate) fn restore(&mut self, from: &mut LogicReader<'_>) -> Result<()> {
        let mut ordered = Vec::new();
        from.for_each_keyed(|key: K, saved: Saved| {
            match saved {
                Saved::Row(Bytes(bytes), at) => {
                    let row = self.decoded(&key, &bytes)?;
                    match at.filter(|_| self.evicting.is_some() || self.keys.is_some()) {
                        Some(at) => ordered.push((at, key, row)),
                        None => self.take_over(&key, row)?,
                    }
                }
                Saved::Uses(uses) => {
                    if let Some(evicting) = &mut self.evicting {
                        evicting.take_over_uses(key, uses);
                    }
                }
            }
            Ok(())
        })?;
        self.restore_in_order(ordered)?;
        while let Some((operation, clock, evicted)) = from.next_item::<(u64, u64, u64)>()? {
            if let Some(evicting) = &mut self.evicting {
                evicting.go_to(operation, clock);
                evicting.count += evicted;
            }
        }
        self.report();
        Ok(())
    }

    fn restore_in_order(&mut self, mut ordered: Vec<(RowOrder, K, Vec<E>)>) -> Result<()> {
        let evicts = self.evicting.is_some();
        ordered.sort_by(|((a_place, a_used, _), a, _), ((b_place, b_used, _), b, _)| {
            let by_use = if evicts { a_used.cmp(b_used) } else { std::cmp::Ordering::Equal };
            by_use.then(a_place.cmp(b_place)).then(a.cmp(b))
        });
        for ((_, operation, clock), key, row) in ordered {
            if let Some(evicting) = &mut self.evicting {
                evicting.go_to(operation, clock);
            }
            self.take_over(&key, row)?;
        }
        Ok(())
    }

    fn decoded(&self, key: &K, bytes: &[u8]) -> Result<Vec<E>> {
        let expected = self.width + self.slots.len();
        match element::decode(bytes, expected) {
            Ok(row) if row.len() == expected => Ok(row),
            Ok(row) => Err(Error::config(format!(
                "row of {key:?} in the checkpoint has {} elements with its slots, expected {expected}: the width or the \
                 optimizer has changed since",
                row.len()
            ))),
            Err(error) => Err(Error::config(format!(
                "row of {key:?} in the checkpoint can not be read, expected {expected} elements with its slots: the \
                 width, the type or the optimizer has changed since"
            ))
            .caused_by(error)),
        }
    }

    fn take_over(&mut self, key: &K, row: Vec<E>) -> Result<()> {
        let width = self.width;
        let place = self.loaded_row(key, |fresh| fresh.extend_from_slice(&row[..width]))?;
        place.iter_mut().zip(row).for_each(|(place, element)| *place = element);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
