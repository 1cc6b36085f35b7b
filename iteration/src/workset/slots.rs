//! States by key, each with its work of the round.

use rustc_hash::FxHashMap;
use waterwheel_engine::hash::Key;

/// One key.
pub(super) struct Slot<K, W, S> {
    pub(super) key: K,
    pub(super) state: S,
    /// Its work of this round. Keeps its memory from round to round.
    pub(super) work: Vec<W>,
    /// Whether it has had work at this time.
    pub(super) is_touched: bool,
}

/// The keys of one worker. A slot keeps its place until it is removed.
pub(super) struct Slots<K, W, S> {
    by_key: FxHashMap<K, usize>,
    slots: Vec<Option<Slot<K, W, S>>>,
    free: Vec<usize>,
}

impl<K: Key, W, S: Default> Slots<K, W, S> {
    pub(super) fn new() -> Self {
        Slots { by_key: FxHashMap::default(), slots: Vec::new(), free: Vec::new() }
    }

    /// Adds `work` for `key`; its place, if that is its first work of the round.
    pub(super) fn add(&mut self, key: K, work: W) -> Option<usize> {
        let place = match self.by_key.get(&key) {
            Some(place) => *place,
            None => self.insert(key),
        };
        let slot = self.slots[place].as_mut()?;
        slot.work.push(work);
        (slot.work.len() == 1).then_some(place)
    }

    #[cold]
    fn insert(&mut self, key: K) -> usize {
        let slot = Slot { key: key.clone(), state: S::default(), work: Vec::new(), is_touched: false };
        let place = self.free.pop().unwrap_or(self.slots.len());
        match self.slots.get_mut(place) {
            Some(free) => *free = Some(slot),
            None => self.slots.push(Some(slot)),
        }
        self.by_key.insert(key, place);
        place
    }

    pub(super) fn at(&mut self, place: usize) -> Option<&mut Slot<K, W, S>> {
        self.slots[place].as_mut()
    }

    pub(super) fn remove(&mut self, place: usize) {
        if let Some(slot) = self.slots[place].take() {
            self.by_key.remove(&slot.key);
            self.free.push(place);
        }
    }
}
