//! The best of what is offered.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use serde::{Deserialize, Serialize};

/// An item with its score.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// The item.
    pub item: u64,
    /// How well it fits: a predicted rating, or an inner product.
    pub score: f32,
}

impl Scored {
    /// Best first: the highest score, and of equal scores the lowest item.
    fn order(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then(self.item.cmp(&other.item))
    }
}

/// The `k` best of all offered, whatever order they come in. Logarithmic time for one that is among the best so far.
#[derive(Clone, Debug)]
pub(crate) struct TopK {
    k: usize,
    /// The worst on top.
    heap: BinaryHeap<Ranked>,
}

impl TopK {
    pub(crate) fn new(k: usize) -> Self {
        TopK { k, heap: BinaryHeap::new() }
    }

    #[inline]
    pub(crate) fn offer(&mut self, scored: Scored) {
        if self.heap.len() < self.k {
            self.heap.push(Ranked(scored));
        } else if let Some(mut worst) = self.heap.peek_mut()
            && scored.order(&worst.0).is_lt()
        {
            worst.0 = scored;
        }
    }

    /// The worst score among `k`; nothing below it can be among the best. `None` while there is room.
    #[inline]
    pub(crate) fn threshold(&self) -> Option<f32> {
        let worst = self.heap.peek()?;
        (self.heap.len() == self.k).then_some(worst.0.score)
    }

    /// Best first.
    pub(crate) fn into_best(self) -> Vec<Scored> {
        self.heap.into_sorted_vec().into_iter().map(|ranked| ranked.0).collect()
    }
}

/// Greater is worse.
#[derive(Clone, Copy, Debug)]
struct Ranked(Scored);

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.order(&other.0)
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn top_k_keeps_the_best_and_the_lowest_of_equals() {
        let best = |k, offers: &[(u64, f32)]| {
            let mut top = TopK::new(k);
            offers.iter().for_each(|(item, score)| top.offer(Scored { item: *item, score: *score }));
            (top.threshold(), top.into_best().iter().map(|scored| scored.item).collect::<Vec<_>>())
        };
        let offers = [(5, 1.0), (9, 2.0), (3, 1.0), (4, -7.0), (1, 1.0)];
        assert_eq!(best(2, &offers), (Some(1.0), vec![9, 1]));
        assert_eq!(best(9, &offers), (None, vec![9, 1, 3, 5, 4]));
        assert_eq!(best(0, &offers), (None, vec![]));
    }
}
