//! One stratum at a time: which cells are trained, and the item rows that they wait for.

use rustc_hash::FxHashMap;
use waterwheel_engine::{Error, Result};
use waterwheel_ps::ParameterServerClient;

use crate::generate::sm;
use crate::mf::MatrixFactorization;
use crate::mf::cells::{Cell, Cells};
use crate::mf::kernel::{Step, with_constant_rank};
use crate::mf::offline::OfflineMf;

/// The state of the present stratum on one worker.
#[derive(Default)]
pub(crate) struct Stratum {
    /// Index within the pass.
    index: u32,
    width: usize,
    active: Vec<ActiveCell>,
    /// Where the row of an item goes: active cell and place in it.
    places: FxHashMap<u64, (u32, u32)>,
    ready: Vec<usize>,
    left: usize,
}

/// A cell that is trained in this stratum.
#[derive(Default)]
pub(crate) struct ActiveCell {
    pub(crate) at: (u32, u32),
    slot: usize,
    /// Rows of the cell's items, one after another.
    pub(crate) rows: Vec<f32>,
    missing: usize,
}

impl Stratum {
    /// Makes the cells of this stratum active.
    pub(crate) fn start(&mut self, cells: &Cells, blocks: u32, width: usize) {
        self.width = width;
        self.places.clear();
        self.ready.clear();
        self.active.resize_with(cells.user_blocks().len(), ActiveCell::default);
        let mut slot = 0;
        for user_block in cells.user_blocks() {
            let at = (*user_block, (user_block + self.index) % blocks);
            let Some(cell) = cells.cell(at) else { continue };
            for (place, item) in cell.items.iter().enumerate() {
                self.places.insert(*item, (slot as u32, place as u32));
            }
            let active = &mut self.active[slot];
            (active.at, active.slot, active.missing) = (at, slot, cell.items.len());
            active.rows.resize(cell.items.len() * width, 0.0);
            slot += 1;
        }
        self.active.truncate(slot);
        self.left = slot;
    }

    /// The items that the active cells need, cell by cell.
    pub(crate) fn missing_items(&self, cells: &Cells) -> Vec<u64> {
        let items = |active: &ActiveCell| cells.cell(active.at).map(|cell| cell.items.clone());
        self.active.iter().filter_map(items).flatten().collect()
    }

    /// Takes the row of an item; true if it was the last that some cell waited for.
    pub(crate) fn take_row(&mut self, item: u64, row: &[f32]) -> Result<bool> {
        let Some((slot, place)) = self.places.get(&item) else {
            return Err(Error::internal(format!("answer for item {item}, which was not pulled")));
        };
        let active = &mut self.active[*slot as usize];
        let start = *place as usize * self.width;
        active.rows[start..start + self.width].copy_from_slice(row);
        active.missing -= 1;
        if active.missing == 0 {
            self.ready.push(*slot as usize);
        }
        Ok(active.missing == 0)
    }

    /// A cell whose rows are all here; to be given back by [`finish`](Self::finish).
    pub(crate) fn take_ready(&mut self) -> Option<ActiveCell> {
        self.ready.pop().map(|slot| std::mem::take(&mut self.active[slot]))
    }

    /// Ends a cell; its memory serves the next stratum.
    pub(crate) fn finish(&mut self, active: ActiveCell) {
        self.left -= 1;
        let slot = active.slot;
        self.active[slot] = active;
    }

    /// Whether every cell of the stratum is trained.
    pub(crate) fn is_done(&self) -> bool {
        self.left == 0
    }

    /// Index of this stratum in its pass.
    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    /// Goes on with stratum `index` of a pass.
    pub(crate) fn go_to(&mut self, index: u32) {
        self.index = index;
    }

    /// Goes to the next stratum; false if the pass is over and it begins anew.
    pub(crate) fn next_in_pass(&mut self, blocks: u32) -> bool {
        self.index = (self.index + 1) % blocks;
        self.index != 0
    }
}

impl ActiveCell {
    /// Trains (or only measures) all ratings of the cell, chunk by chunk in `order`; returns the sum of
    /// squared errors.
    pub(crate) fn train(
        &mut self,
        cell: &Cell,
        users: &mut [f32],
        order: &[u32],
        step: &Step,
        (rank, learns): (usize, bool),
    ) -> f64 {
        let rows = &mut self.rows;
        with_constant_rank!(
            rank,
            match (learns, step.mean.is_some()) {
                (true, true) => train::<true>(cell, users, rows, order, step, (rank, rank + 1)),
                (true, false) => train::<true>(cell, users, rows, order, step, (rank, rank)),
                (false, _) => {
                    let width = rank + usize::from(step.mean.is_some());
                    train::<false>(cell, users, rows, order, step, (rank, width))
                }
            }
        )
    }

    /// Pushes what training has changed, item by item.
    pub(crate) fn push_differences(
        &self,
        cell: &Cell,
        before: &[f32],
        width: usize,
        ps: &mut ParameterServerClient<OfflineMf>,
    ) -> Result<()> {
        let rows = self.rows.chunks_exact(width).zip(before.chunks_exact(width));
        for (item, (new, old)) in cell.items.iter().zip(rows) {
            ps.push(*item, new.iter().zip(old).map(|(new, old)| new - old))?;
        }
        Ok(())
    }
}

/// The loop over the ratings of a cell. `rank` and `width` are constants after inlining.
#[inline(always)]
fn train<const LEARNS: bool>(
    cell: &Cell,
    users: &mut [f32],
    rows: &mut [f32],
    order: &[u32],
    step: &Step,
    (rank, width): (usize, usize),
) -> f64 {
    let mut sum = 0.0f64;
    for at in order {
        for entry in cell.chunk(*at as usize) {
            let (start, item_start) = (entry.user as usize * width, entry.item as usize * width);
            let user = &mut users[start..start + width];
            let item = &mut rows[item_start..item_start + width];
            let error = if LEARNS {
                step.learn(user, item, rank, entry.rating)
            } else {
                entry.rating - step.predict(user, item, rank)
            };
            sum += f64::from(error) * f64::from(error);
        }
    }
    sum
}

/// The order of a cell's `n` chunks in an epoch: a permutation drawn from the seed, the cell and the epoch
/// (Fisher and Yates).
pub(crate) fn chunk_order(mf: &MatrixFactorization, at: (u32, u32), epoch: u32, n: usize) -> Vec<u32> {
    let own = sm(mf.seed() ^ 0x6f72_6465_7200, u64::from(at.0) << 32 | u64::from(at.1));
    let draw = sm(own, u64::from(epoch));
    let mut order: Vec<u32> = (0..n as u32).collect();
    for i in (1..n).rev() {
        let j = (u128::from(sm(draw, i as u64)) * (i as u128 + 1)) >> 64;
        order.swap(i, j as usize);
    }
    order
}
