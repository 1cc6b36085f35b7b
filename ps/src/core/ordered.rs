//! The pushes of a clock, applied in an order that does not depend on when they came.

use std::cmp::Ordering;

use waterwheel_engine::Key;

use crate::consistency::PushOrder;
use crate::element::{self, Element, append_row};

/// Pushes in the order in which they came.
pub(crate) struct Pushes<K, D> {
    keys: Vec<K>,
    deltas: Vec<D>,
    /// Runs of pushes of one worker: the worker, and where its run ends.
    runs: Vec<(usize, usize)>,
}

impl<K, D> Default for Pushes<K, D> {
    fn default() -> Self {
        Pushes { keys: Vec::new(), deltas: Vec::new(), runs: Vec::new() }
    }
}

impl<K: Key, D: Element> Pushes<K, D> {
    pub(crate) fn add(&mut self, worker: usize, keys: &[K], deltas: &[D]) {
        self.keys.extend_from_slice(keys);
        self.deltas.extend_from_slice(deltas);
        let end = self.keys.len();
        match self.runs.last_mut() {
            Some((last, last_end)) if *last == worker => *last_end = end,
            _ => self.runs.push((worker, end)),
        }
    }

    /// Keys and rows of `width` elements in order of key, and for each key in `order`.
    pub(crate) fn into_order(self, order: PushOrder, width: usize) -> (Vec<K>, Vec<D>) {
        let workers = if order == PushOrder::ByWorker { self.workers() } else { Vec::new() };
        let Pushes { keys, deltas, .. } = self;
        let row = |i: usize| &deltas[i * width..(i + 1) * width];
        // Keys beside their places: sorting looks at rows only where keys are equal.
        let mut sequence: Vec<(K, usize)> = keys.into_iter().zip(0..).collect();
        sequence.sort_unstable_by(|(a, i), (b, j)| {
            a.cmp(b).then_with(|| match order {
                PushOrder::ByValue => compare_rows(row(*i), row(*j)),
                PushOrder::ByWorker => (workers[*i], i).cmp(&(workers[*j], j)),
            })
        });
        let mut ordered = Vec::with_capacity(deltas.len());
        sequence.iter().for_each(|(_, i)| append_row(&mut ordered, row(*i)));
        (sequence.into_iter().map(|(key, _)| key).collect(), ordered)
    }

    /// The worker of each push.
    fn workers(&self) -> Vec<usize> {
        let mut workers = Vec::with_capacity(self.keys.len());
        self.runs.iter().for_each(|(worker, end)| workers.resize(*end, *worker));
        workers
    }
}

fn compare_rows<D: Element>(a: &[D], b: &[D]) -> Ordering {
    let differ = a.iter().zip(b).map(|(a, b)| element::compare(a, b)).find(|order| order.is_ne());
    differ.unwrap_or(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ordered(pushes: &[(usize, u32, f32)], order: PushOrder) -> Vec<(u32, f32)> {
        let mut all = Pushes::default();
        pushes.iter().for_each(|(worker, key, value)| all.add(*worker, &[*key], &[*value]));
        let (keys, deltas) = all.into_order(order, 1);
        keys.into_iter().zip(deltas).collect()
    }

    #[test]
    fn pushes_by_worker_keep_the_order_of_issue() {
        let pushes = [(1, 7, 3.0), (0, 7, 9.0), (1, 5, 0.0), (1, 7, 1.0), (0, 7, 2.0)];
        let expected = [(5, 0.0), (7, 9.0), (7, 2.0), (7, 3.0), (7, 1.0)];
        assert_eq!(ordered(&pushes, PushOrder::ByWorker), expected);
    }

    proptest! {
        /// Neither who pushed nor when changes the order by value.
        #[test]
        fn pushes_by_value_come_in_one_order_whoever_made_them(
            pushes in prop::collection::vec((0u32..5, -2.0f32..2.0), 0..40),
            workers in prop::collection::vec(0usize..4, 40),
            shuffle in prop::collection::vec(any::<u32>(), 40),
        ) {
            let alone: Vec<_> = pushes.iter().map(|(key, value)| (0, *key, *value)).collect();
            let spread = pushes.iter().zip(workers).map(|((key, value), worker)| (worker, *key, *value));
            let mut spread: Vec<_> = spread.zip(shuffle).collect();
            spread.sort_by_key(|(_, at)| *at);
            let spread: Vec<_> = spread.into_iter().map(|(push, _)| push).collect();
            prop_assert_eq!(ordered(&alone, PushOrder::ByValue), ordered(&spread, PushOrder::ByValue));
        }
    }
}
