//! Where a server keeps its rows: side by side in slabs, found by hash or by position.

pub(crate) mod aside;
mod evicting;
mod index;
mod many;
mod recency;
mod slab;

use std::sync::Arc;

use waterwheel_engine::checkpoint::Touched;
use waterwheel_engine::random::below;
use waterwheel_engine::{Error, Key, Result};

use crate::dense::{dense_index, dense_key};
use crate::element::Element;
use crate::eviction::Eviction;
use crate::partition::Part;
use crate::prefetch;
use crate::state::Figures;
use aside::Aside;
use evicting::Evicting;
use index::Index;
use slab::Slab;

/// Rows of `width` elements and the slots behind them, made on first use.
pub(crate) struct RowStore<K, E> {
    rows: Slab<E>,
    width: usize,
    /// The first slots of each row.
    slots: Vec<E>,
    places: Places<K, E>,
    /// The key of each row, where rows are drawn.
    keys: Option<Slab<K>>,
    evicting: Option<Evicting<K, E>>,
    /// Clock of the worker whose operations come.
    clock: u64,
    figures: Option<Arc<Figures>>,
    /// The row that is being made.
    fresh: Vec<E>,
    /// A copy of the rows that is being written.
    aside: Option<Box<Aside<E>>>,
    /// Which rows have been used since the last copy.
    touched: Touched,
}

/// How the place of a row is found.
enum Places<K, E> {
    Hashed(Index<K>),
    /// The keys of a part, each at its own place.
    Dense {
        part: Part,
        /// A bit per key: whether its row was made.
        filled: Slab<u64>,
        made: usize,
        /// Fills rows that were not made yet.
        blank: E,
    },
}

/// Rows by position reserve no more than this; beyond, rows are found by hash.
const DENSE_BYTES: u128 = 1 << 40;

impl<K: Key, E: Element> RowStore<K, E> {
    /// Rows that are found by hash.
    pub(crate) fn hashed(width: usize) -> Self {
        Self::with_places(width, Places::Hashed(Index::new()))
    }

    /// Rows for the keys of a part, found by position where that is possible: `blank` fills rows that were not made yet.
    pub(crate) fn dense(width: usize, part: Part, blank: E) -> Self {
        if u128::from(part.len) * (width * size_of::<E>()).max(1) as u128 > DENSE_BYTES {
            return Self::hashed(width);
        }
        Self::with_places(width, Places::Dense { part, filled: Slab::new(1), made: 0, blank })
    }

    /// Rows that are found by hash and evicted by these limits.
    pub(crate) fn evicting(width: usize, limits: Eviction) -> Self {
        Self::with_evicting(width, Evicting::new(limits))
    }

    fn with_evicting(width: usize, evicting: Evicting<K, E>) -> Self {
        RowStore { evicting: Some(evicting), ..Self::hashed(width) }
    }

    /// Remembers the keys of rows, so that they can be drawn; of rows that are found by hash, of which there are none
    /// yet.
    pub(crate) fn with_keys(self) -> Self {
        RowStore { keys: Some(Slab::new(1)), ..self }
    }

    fn with_places(width: usize, places: Places<K, E>) -> Self {
        let rows = Slab::new(width);
        RowStore {
            rows,
            width,
            slots: Vec::new(),
            places,
            keys: None,
            evicting: None,
            clock: 0,
            figures: None,
            fresh: Vec::new(),
            aside: None,
            touched: Touched::default(),
        }
    }

    /// Keeps these slots behind each row, of which there are none yet.
    pub(crate) fn with_slots(self, slots: Vec<E>) -> Self {
        RowStore { rows: Slab::new(self.width + slots.len()), slots, ..self }
    }

    /// Writes its size there from now on.
    pub(crate) fn report_to(&mut self, figures: Arc<Figures>) {
        self.figures = Some(figures);
        self.report();
    }

    /// Notes the clock of the worker whose operations come.
    #[inline]
    pub(crate) fn at_clock(&mut self, clock: u64) {
        self.clock = clock;
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        match &self.places {
            Places::Hashed(index) => index.len(),
            Places::Dense { made, .. } => *made,
        }
    }

    /// Memory of rows and index, used or not.
    pub(crate) fn bytes(&self) -> usize {
        let index = match &self.places {
            Places::Hashed(index) => index.bytes(),
            Places::Dense { filled, .. } => filled.bytes(),
        };
        let keys = self.keys.as_ref().map_or(0, Slab::bytes);
        self.rows.bytes() + index + keys + self.evicting.as_ref().map_or(0, Evicting::bytes)
    }

    fn report(&self) {
        if let Some(figures) = &self.figures {
            let evicted = self.evicting.as_ref().map_or(0, |evicting| evicting.count);
            figures.write(self.len(), self.bytes(), evicted);
        }
    }

    /// Brings the rows of `keys` near, those that exist: many at once cost little more than one.
    pub(crate) fn prefetch(&self, keys: &[K]) {
        for key in keys {
            if let Some(row) = self.find(key).ok().flatten().and_then(|place| self.rows.get(place)) {
                prefetch::read(row);
            }
        }
    }

    /// Place of a row that was made.
    #[inline]
    fn find(&self, key: &K) -> Result<Option<usize>> {
        match &self.places {
            Places::Hashed(index) => Ok(index.get(key).map(|place| place as usize)),
            Places::Dense { part, filled, .. } => {
                let Some(place) = dense_index(key).and_then(|key| part.place(key)) else {
                    return Err(not_here(key));
                };
                let place = place as usize;
                let made = filled.get(place / 64).is_some_and(|word| word[0] & (1 << (place % 64)) != 0);
                Ok(made.then_some(place))
            }
        }
    }

    /// The row of `key` with its slots; `init` appends its elements where it must be made. `None` if the key gets no
    /// row yet.
    #[inline]
    pub(crate) fn row(&mut self, key: &K, init: impl FnOnce(&mut Vec<E>)) -> Result<Option<&mut [E]>> {
        if self.evicting.is_some() {
            self.expire();
        }
        match self.find(key)? {
            Some(place) => self.touch(key, place),
            None if self.evicting.as_mut().is_some_and(|evicting| !evicting.admits(key)) => return Ok(None),
            None => {
                let place = self.make(key, init)?;
                self.made(place)
            }
        }
        .map(Some)
    }

    /// As [`row`](Self::row), and the key gets its row whatever the limits say.
    pub(crate) fn loaded_row(&mut self, key: &K, init: impl FnOnce(&mut Vec<E>)) -> Result<&mut [E]> {
        match self.find(key)? {
            Some(place) => self.touch(key, place),
            None => {
                let place = self.make(key, init)?;
                self.made(place)
            }
        }
    }

    /// The row at a place, as the one used last.
    #[inline]
    fn touch(&mut self, key: &K, place: usize) -> Result<&mut [E]> {
        if self.aside.is_some() {
            self.write_before_use(key, place);
        }
        self.touched.note(place);
        if let Some(evicting) = &mut self.evicting {
            evicting.touch(place as u32);
        }
        self.made(place)
    }

    /// The row at a place, which was made.
    #[inline]
    fn made(&mut self, place: usize) -> Result<&mut [E]> {
        self.rows.get_mut(place).ok_or_else(not_there)
    }

    /// Makes the row of a key that has none, and returns its place.
    #[cold]
    fn make(&mut self, key: &K, init: impl FnOnce(&mut Vec<E>)) -> Result<usize> {
        self.fresh.clear();
        init(&mut self.fresh);
        if self.fresh.len() != self.width {
            return Err(wrong_width(key, self.fresh.len(), self.width));
        }
        self.fresh.extend_from_slice(&self.slots);
        while self.evicting.as_ref().is_some_and(Evicting::is_full) {
            self.evict_oldest();
        }
        let place = match &mut self.places {
            Places::Hashed(index) => {
                let place = u32::try_from(self.rows.len()).ok().filter(|place| *place < u32::MAX);
                let place = place.ok_or_else(too_many_rows)?;
                index.insert(key.clone(), place);
                if let Some(evicting) = &mut self.evicting {
                    evicting.push(key.clone());
                }
                if let Some(keys) = &mut self.keys {
                    keys.push([key.clone()]);
                }
                self.rows.push(self.fresh.drain(..))
            }
            Places::Dense { part, filled, made, blank } => {
                let place = dense_index(key).and_then(|key| part.place(key)).ok_or_else(|| not_here(key))?;
                let (place, total) = (place as usize, part.len as usize);
                filled.make(place / 64, total.div_ceil(64), &0);
                if let Some([word]) = filled.get_mut(place / 64) {
                    *word |= 1 << (place % 64);
                }
                *made += 1;
                self.rows.make(place, total, blank);
                if let Some(row) = self.rows.get_mut(place) {
                    row.iter_mut().zip(self.fresh.drain(..)).for_each(|(place, element)| *place = element);
                }
                place
            }
        };
        self.report();
        self.note_made(place);
        Ok(place)
    }

    /// Evicts what was idle for too long, before the next operation.
    fn expire(&mut self) {
        if let Some(evicting) = &mut self.evicting {
            evicting.next_operation(self.clock);
        }
        while self.evicting.as_ref().is_some_and(Evicting::has_expired) {
            self.evict_oldest();
            self.report();
        }
    }

    #[cold]
    fn evict_oldest(&mut self) {
        if self.aside.is_some()
            && let Some((key, place)) = self.evicting.as_ref().and_then(Evicting::oldest)
        {
            self.write_before_use(&key, place as usize);
        }
        let (Some(evicting), Places::Hashed(index)) = (&mut self.evicting, &mut self.places) else { return };
        let last = (self.rows.len() - 1) as u32;
        let Some((key, place)) = evicting.pop_oldest(&self.rows) else { return };
        index.remove(&key);
        self.rows.swap_remove(place as usize);
        if let Some(keys) = &mut self.keys {
            keys.swap_remove(place as usize);
        }
        if place != last
            && let Some(moved) = evicting.key(place)
            && let Some(number) = index.get_mut(moved)
        {
            *number = place;
        }
        self.note_moved(last as usize, place as usize);
    }

    /// A row that is chosen by the number `draw`, all with the same chance, and its key; `None` if there are none, or
    /// keys are not remembered.
    pub(crate) fn drawn(&self, draw: u64) -> Option<(&K, &[E])> {
        let keys = self.keys.as_ref().filter(|keys| keys.len() > 0)?;
        let place = below(keys.len() as u64, draw) as usize;
        keys.get(place)?.first().zip(self.rows.get(place))
    }

    /// All rows with their keys, in the order of their places, where keys are remembered.
    pub(crate) fn drawable(&self) -> impl Iterator<Item = (&K, &[E])> {
        let n = self.keys.as_ref().map_or(0, Slab::len);
        (0..n).filter_map(|place| self.drawable_at(place))
    }

    /// The row at a place with its key.
    pub(crate) fn drawable_at(&self, place: usize) -> Option<(&K, &[E])> {
        self.keys.as_ref()?.get(place)?.first().zip(self.rows.get(place))
    }

    /// Takes what was evicted and is to be output.
    pub(crate) fn take_evicted(&mut self) -> impl Iterator<Item = (K, Vec<E>)> {
        self.evicting.iter_mut().flat_map(|evicting| evicting.evicted.drain(..))
    }

    /// Calls `visit` with every row, in order of key.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&K, &[E])) {
        match &self.places {
            Places::Hashed(index) => {
                let mut entries: Vec<&(K, u32)> = index.iter().collect();
                entries.sort_by(|a, b| a.0.cmp(&b.0));
                for (key, place) in entries {
                    self.rows.get(*place as usize).into_iter().for_each(|row| visit(key, row));
                }
            }
            Places::Dense { part, filled, .. } => {
                for place in set_bits(filled) {
                    let key = dense_key::<K>(part.key(place));
                    if let (Some(key), Some(row)) = (key, self.rows.get(place as usize)) {
                        visit(&key, row);
                    }
                }
            }
        }
    }
}

/// Positions of the bits that are set.
fn set_bits(words: &Slab<u64>) -> impl Iterator<Item = u64> {
    words.iter().flat_map(|(at, word)| {
        (0..64).filter(move |bit| word[0] & (1 << bit) != 0).map(move |bit| 64 * at as u64 + bit)
    })
}

#[cold]
fn not_here<K: std::fmt::Debug>(key: &K) -> Error {
    Error::operator(format!("key {key:?} does not belong to this server's range"))
}

#[cold]
fn not_there() -> Error {
    Error::internal("a row that was made is not there")
}

#[cold]
fn too_many_rows() -> Error {
    Error::operator("one server can hold at most 2^32 - 1 rows; use more servers")
}

fn wrong_width<K: std::fmt::Debug>(key: &K, found: usize, expected: usize) -> Error {
    Error::operator(format!("row of key {key:?} has {found} elements, expected {expected}"))
}

#[cfg(test)]
mod tests;
