//! The ratings that a worker keeps, divided into cells of one user block and one item block, in an order that
//! depends on seed and positions alone.

mod snapshot;

use rustc_hash::FxHashMap;

use crate::generate::sm;
use crate::mf::factors::{Side, block_of, init_row};
use crate::mf::{MatrixFactorization, Rating};

/// A rating on its way into a cell.
struct Kept {
    item: u64,
    /// Place in the order of training.
    order: u64,
    user: u32,
    rating: f32,
}

/// A rating as it is trained: the user's row on this worker, the item's place in the cell, and the value.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) user: u32,
    pub(crate) item: u32,
    pub(crate) rating: f32,
}

/// The ratings of one user block and one item block, in an order drawn from the seed.
///
/// Not item by item: consecutive steps on one item would each wait for the one before, while steps on
/// different items overlap in the processor.
#[derive(Default)]
pub(crate) struct Cell {
    /// Ids of the items, ascending.
    pub(crate) items: Vec<u64>,
    entries: Vec<Entry>,
}

/// Ratings that stay together when the order of an epoch is drawn.
const CHUNK: usize = 1024;

impl Cell {
    fn new(mut kept: Vec<Kept>) -> Self {
        let mut items: Vec<u64> = kept.iter().map(|kept| kept.item).collect();
        items.sort_unstable();
        items.dedup();
        let places: FxHashMap<u64, u32> = items.iter().copied().zip(0..).collect();
        kept.sort_unstable_by_key(|kept| (kept.order, kept.item, kept.rating.to_bits()));
        let entry = |kept: &Kept| Entry { user: kept.user, item: places[&kept.item], rating: kept.rating };
        let entries = kept.iter().map(entry).collect();
        Cell { items, entries }
    }

    /// Number of chunks.
    pub(crate) fn chunks(&self) -> usize {
        self.entries.len().div_ceil(CHUNK)
    }

    /// The ratings of one chunk.
    #[inline]
    pub(crate) fn chunk(&self, at: usize) -> &[Entry] {
        &self.entries[at * CHUNK..((at + 1) * CHUNK).min(self.entries.len())]
    }

    /// Number of ratings.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

/// The users and cells of one worker.
pub(crate) struct Cells {
    mf: MatrixFactorization,
    user_index: FxHashMap<u64, u32>,
    user_ids: Vec<u64>,
    /// Rows of all users, one after another.
    pub(crate) users: Vec<f32>,
    incoming: FxHashMap<(u32, u32), Vec<Kept>>,
    cells: FxHashMap<(u32, u32), Cell>,
    /// User blocks with a rating here, ascending.
    user_blocks: Vec<u32>,
}

impl Cells {
    pub(crate) fn new(mf: MatrixFactorization) -> Self {
        Cells {
            mf,
            user_index: FxHashMap::default(),
            user_ids: Vec::new(),
            users: Vec::new(),
            incoming: FxHashMap::default(),
            cells: FxHashMap::default(),
            user_blocks: Vec::new(),
        }
    }

    /// Keeps a rating.
    pub(crate) fn add(&mut self, rating: &Rating) {
        let (mf, ids, users) = (&self.mf, &mut self.user_ids, &mut self.users);
        let user = *self.user_index.entry(rating.user).or_insert_with(|| {
            ids.push(rating.user);
            init_row(mf, Side::User, rating.user, users);
            ids.len() as u32 - 1
        });
        let cell = (block_of(mf, Side::User, rating.user), block_of(mf, Side::Item, rating.item));
        let order = sm(mf.seed(), rating.position);
        let kept = Kept { item: rating.item, order, user, rating: rating.rating };
        self.incoming.entry(cell).or_default().push(kept);
    }

    /// Brings the cells into their order; call once, after the last rating.
    pub(crate) fn build(&mut self) {
        self.user_index = FxHashMap::default();
        for (at, kept) in std::mem::take(&mut self.incoming) {
            self.user_blocks.push(at.0);
            self.cells.insert(at, Cell::new(kept));
        }
        self.user_blocks.sort_unstable();
        self.user_blocks.dedup();
    }

    /// User blocks with a rating here, ascending.
    pub(crate) fn user_blocks(&self) -> &[u32] {
        &self.user_blocks
    }

    /// A cell, if it has ratings.
    pub(crate) fn cell(&self, at: (u32, u32)) -> Option<&Cell> {
        self.cells.get(&at)
    }

    /// A cell together with the rows of all users.
    pub(crate) fn cell_and_users(&mut self, at: (u32, u32)) -> Option<(&Cell, &mut [f32])> {
        self.cells.get(&at).map(|cell| (cell, self.users.as_mut_slice()))
    }

    /// Calls `visit` with every user's id and row, in order of id.
    pub(crate) fn for_each_user(&self, mut visit: impl FnMut(u64, &[f32])) {
        let width = self.mf.width();
        let mut order: Vec<usize> = (0..self.user_ids.len()).collect();
        order.sort_unstable_by_key(|at| self.user_ids[*at]);
        for at in order {
            visit(self.user_ids[at], &self.users[at * width..(at + 1) * width]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mf::MfParams;

    fn cells(order: impl Iterator<Item = u64>) -> Cells {
        let mut cells = Cells::new(MfParams::new().rank(1).blocks(1).build().unwrap());
        order.for_each(|position| {
            let (user, item) = (position % 3, position % 2);
            cells.add(&Rating { user, item, rating: position as f32, position });
        });
        cells.build();
        cells
    }

    #[test]
    fn order_in_a_cell_does_not_depend_on_arrival() {
        let ratings = |cells: &Cells| -> Vec<f32> {
            cells.cell((0, 0)).unwrap().chunk(0).iter().map(|entry| entry.rating).collect()
        };
        let (forth, back) = (cells(0..20), cells((0..20).rev()));
        assert_eq!(ratings(&forth), ratings(&back));
        assert_eq!(forth.cell((0, 0)).unwrap().items, [0, 1]);
        assert_eq!(forth.cell((0, 0)).unwrap().len(), 20);
        let mut users = Vec::new();
        back.for_each_user(|id, _row| users.push(id));
        assert_eq!(users, [0, 1, 2]);
    }
}
