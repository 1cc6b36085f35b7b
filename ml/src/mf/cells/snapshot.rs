//! Ratings and user rows in checkpoints, by user block.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use waterwheel_engine::{Error, Result};
use waterwheel_ps::{LogicReader, LogicWriter};

use super::{Cells, Kept};
use crate::mf::factors::{Side, block_of};

/// What belongs to a user block.
#[derive(Serialize, Deserialize)]
enum Saved {
    /// Users, and their rows side by side.
    Users(Vec<u64>, Vec<f32>),
    /// Ratings on an item block: item, order in the cell, user and rating.
    Cell(u32, Vec<(u64, u64, u64, f32)>),
}

impl Cells {
    /// Writes all ratings and rows.
    pub(crate) fn snapshot(&self, to: &mut LogicWriter<'_>) -> Result<()> {
        for (block, users) in self.users_by_block() {
            let width = self.mf.width();
            let rows = users.iter().flat_map(|at| &self.users[at * width..(at + 1) * width]).copied();
            let ids = users.iter().map(|at| self.user_ids[*at]).collect();
            to.put_keyed(&u64::from(block), &Saved::Users(ids, rows.collect()))?;
        }
        let user = |at: u32| self.user_ids[at as usize];
        for ((block, items), kept) in &self.incoming {
            let ratings = kept.iter().map(|kept| (kept.item, kept.order, user(kept.user), kept.rating));
            to.put_keyed(&u64::from(*block), &Saved::Cell(*items, ratings.collect()))?;
        }
        for ((block, items), cell) in &self.cells {
            let item = |place: u32| cell.items[place as usize];
            let in_order = cell.entries.iter().zip(0..);
            let ratings =
                in_order.map(|(entry, order)| (item(entry.item), order, user(entry.user), entry.rating));
            to.put_keyed(&u64::from(*block), &Saved::Cell(*items, ratings.collect()))?;
        }
        Ok(())
    }

    /// Takes over the user blocks that `is_mine`; they are brought into their order if they were.
    pub(crate) fn restore(
        &mut self,
        from: &LogicReader<'_>,
        is_mine: impl Fn(u64) -> bool,
        is_built: bool,
    ) -> Result<()> {
        let mut cells = Vec::new();
        let width = self.mf.width();
        from.for_each_keyed_where(
            |block: &u64| is_mine(*block),
            |block, saved: Saved| {
                match saved {
                    Saved::Users(ids, rows) if rows.len() == ids.len() * width => {
                        for id in &ids {
                            self.user_index.insert(*id, self.user_ids.len() as u32);
                            self.user_ids.push(*id);
                        }
                        self.users.extend(rows);
                    }
                    Saved::Users(ids, rows) => {
                        let found = rows.len() / ids.len().max(1);
                        return Err(Error::config(format!(
                            "rows of users have {found} values in the checkpoint, expected {width}: rank or biases have \
                             changed since"
                        )));
                    }
                    Saved::Cell(items, ratings) => cells.push(((block as u32, items), ratings)),
                }
                Ok(())
            },
        )?;
        for (at, ratings) in cells {
            let kept = ratings.into_iter().map(|(item, order, user, rating)| {
                let user = self.user_index.get(&user).copied().ok_or_else(|| {
                    Error::data(format!("user {user} of a rating has no row in the checkpoint"))
                })?;
                Ok(Kept { item, order, user, rating })
            });
            self.incoming.entry(at).or_default().extend(kept.collect::<Result<Vec<_>>>()?);
        }
        if is_built {
            self.build();
        }
        Ok(())
    }

    fn users_by_block(&self) -> FxHashMap<u32, Vec<usize>> {
        let mut by_block: FxHashMap<u32, Vec<usize>> = FxHashMap::default();
        for (at, id) in self.user_ids.iter().enumerate() {
            by_block.entry(block_of(&self.mf, Side::User, *id)).or_default().push(at);
        }
        by_block
    }
}
