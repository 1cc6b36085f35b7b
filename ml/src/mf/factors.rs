//! First values of factors, and the division of users and items into blocks: functions of seed and id alone.

use waterwheel_engine::hash::key_hash;

use crate::generate::{sm, unit};
use crate::mf::MatrixFactorization;

/// Whose row it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    User,
    Item,
}

impl Side {
    /// Seeds of the two sides never meet.
    fn seed(self, seed: u64) -> u64 {
        match self {
            Side::User => sm(seed, 0),
            Side::Item => sm(seed, 1),
        }
    }
}

/// Appends the first row of `id`: uniform factors in the range, then a bias of 0 if there are biases.
pub(crate) fn init_row(mf: &MatrixFactorization, side: Side, id: u64, row: &mut Vec<f32>) {
    let (low, high) = mf.init();
    let own = sm(side.seed(mf.seed()), id);
    row.extend((0..mf.rank() as u64).map(|f| low + (high - low) * unit(own, f) as f32));
    if mf.biases() {
        row.push(0.0);
    }
}

/// The block of a user or item, below `blocks`. Independent of the placement on servers.
pub(crate) fn block_of(mf: &MatrixFactorization, side: Side, id: u64) -> u32 {
    (sm(side.seed(mf.seed()), key_hash(&id)) % u64::from(mf.blocks())) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mf::MfParams;

    #[test]
    fn first_rows_depend_on_seed_side_and_id() {
        let row = |seed, side, id| {
            let mut row = Vec::new();
            let mf = MfParams::new().seed(seed).biases(true).init(0.0, 1.0).build().unwrap();
            init_row(&mf, side, id, &mut row);
            row
        };
        let base = row(1, Side::User, 7);
        assert_eq!(base, row(1, Side::User, 7));
        assert_eq!((base.len(), base[10]), (11, 0.0));
        assert!(base[..10].iter().all(|factor| (0.0..1.0).contains(factor)));
        for other in [row(2, Side::User, 7), row(1, Side::Item, 7), row(1, Side::User, 8)] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn blocks_share_users_evenly() {
        let mf = MfParams::new().build().unwrap();
        let mut sizes = [0; 8];
        (0..8000).for_each(|id| sizes[block_of(&mf, Side::User, id) as usize] += 1);
        assert!(sizes.iter().all(|size| (900..1100).contains(size)), "{sizes:?}");
    }
}
