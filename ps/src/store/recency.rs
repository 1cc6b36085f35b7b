//! Which row was used when: a list through the rows, from the least to the most recently used.

use std::time::Duration;

use crate::store::slab::Slab;

/// No row.
const NONE: u32 = u32::MAX;

/// When a row was last used: operations of the server so far, its clock, and how long it has been there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) operation: u64,
    pub(crate) clock: u64,
    /// Zero where nobody asks.
    pub(crate) time: Duration,
}

#[derive(Clone)]
struct Node<K> {
    key: K,
    used: Moment,
    older: u32,
    newer: u32,
}

/// The keys of rows, numbered as the rows are, in order of use.
pub(crate) struct Recency<K> {
    nodes: Slab<Node<K>>,
    oldest: u32,
    newest: u32,
}

impl<K: Clone> Recency<K> {
    pub(crate) fn new() -> Self {
        Recency { nodes: Slab::new(1), oldest: NONE, newest: NONE }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.nodes.bytes()
    }

    fn node(&mut self, row: u32) -> Option<&mut Node<K>> {
        self.nodes.get_mut(row as usize)?.first_mut()
    }

    /// The row that was not used for the longest time: its number, and when.
    pub(crate) fn oldest(&self) -> Option<(u32, Moment)> {
        let [node] = self.nodes.get(self.oldest as usize)? else { return None };
        Some((self.oldest, node.used))
    }

    /// The key of a row.
    pub(crate) fn key(&self, row: u32) -> Option<&K> {
        self.nodes.get(row as usize)?.first().map(|node| &node.key)
    }

    /// When a row was last used.
    pub(crate) fn used(&self, row: u32) -> Option<Moment> {
        self.nodes.get(row as usize)?.first().map(|node| node.used)
    }

    /// Adds the next row, as the one used last.
    pub(crate) fn push(&mut self, key: K, used: Moment) {
        let row = self.nodes.push([Node { key, used, older: NONE, newer: NONE }]) as u32;
        self.link_newest(row);
    }

    /// Notes that a row is used.
    #[inline]
    pub(crate) fn touch(&mut self, row: u32, used: Moment) {
        if row != self.newest {
            self.unlink(row);
            self.link_newest(row);
        }
        if let Some(node) = self.node(row) {
            node.used = used;
        }
    }

    /// Removes a row; the last one takes its number.
    pub(crate) fn swap_remove(&mut self, row: u32) {
        self.unlink(row);
        let last = (self.nodes.len() - 1) as u32;
        self.nodes.swap_remove(row as usize);
        if row != last {
            let (older, newer) = self.node(row).map_or((NONE, NONE), |node| (node.older, node.newer));
            self.set_newer_of(older, row);
            self.set_older_of(newer, row);
        }
    }

    fn link_newest(&mut self, row: u32) {
        let older = self.newest;
        if let Some(node) = self.node(row) {
            (node.older, node.newer) = (older, NONE);
        }
        self.set_newer_of(older, row);
        self.newest = row;
    }

    fn unlink(&mut self, row: u32) {
        let (older, newer) = self.node(row).map_or((NONE, NONE), |node| (node.older, node.newer));
        self.set_newer_of(older, newer);
        self.set_older_of(newer, older);
    }

    fn set_newer_of(&mut self, row: u32, newer: u32) {
        match self.node(row) {
            Some(node) => node.newer = newer,
            None => self.oldest = newer,
        }
    }

    fn set_older_of(&mut self, row: u32, older: u32) {
        match self.node(row) {
            Some(node) => node.older = older,
            None => self.newest = older,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(operation: u64) -> Moment {
        Moment { operation, ..Moment::default() }
    }

    proptest! {
        /// Against a list of keys in order of use, and a vector of keys by number.
        #[test]
        fn recency_does_what_a_sorted_list_does(ops in prop::collection::vec(any::<u8>(), 1..200)) {
            let mut recency = Recency::new();
            let (mut by_number, mut by_use): (Vec<u64>, Vec<u64>) = (vec![], vec![]);
            for (now, op) in ops.into_iter().enumerate() {
                let now = now as u64;
                let chosen = (!by_number.is_empty()).then(|| op as usize / 4 % by_number.len());
                match (op % 4, chosen) {
                    (0, Some(row)) => {
                        recency.swap_remove(row as u32);
                        let key = by_number.swap_remove(row);
                        by_use.retain(|other| *other != key);
                    }
                    (1, Some(row)) => {
                        recency.touch(row as u32, at(now));
                        let key = by_number[row];
                        by_use.retain(|other| *other != key);
                        by_use.push(key);
                    }
                    _ => {
                        recency.push(now, at(now));
                        by_number.push(now);
                        by_use.push(now);
                    }
                }
                let oldest = recency.oldest().map(|(row, _)| *recency.key(row).unwrap());
                prop_assert_eq!(oldest, by_use.first().copied());
                prop_assert!((0..by_number.len()).all(|row| recency.key(row as u32) == Some(&by_number[row])));
            }
            while let Some((row, _)) = recency.oldest() {
                prop_assert_eq!(*recency.key(row).unwrap(), by_use.remove(0));
                recency.swap_remove(row);
            }
            prop_assert!(by_use.is_empty());
        }
    }
}
