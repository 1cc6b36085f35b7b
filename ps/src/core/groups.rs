//! Pulls of many keys: their rows are put together in the order of the keys, whichever server answers first.

use std::collections::VecDeque;

use waterwheel_engine::{Error, Key, Result};

/// The pulls of many keys of one worker that are under way. They are known by a number from 1.
pub(crate) struct Groups<K, E> {
    width: usize,
    groups: Vec<Group<K, E>>,
    free: Vec<u32>,
}

/// One pull of many keys.
#[derive(Debug)]
pub(crate) struct Group<K, E> {
    pub(crate) keys: Vec<K>,
    /// Whether all its rows are of one version.
    pub(crate) snapshot: bool,
    /// Positions of the keys of each server that are not answered yet, in order.
    missing: Vec<VecDeque<u32>>,
    n_missing: usize,
    /// Rows in the order in which they came.
    arrived: Vec<E>,
    /// Which of them belongs to each key.
    row_of: Vec<u32>,
    /// Rows in the order of the keys, once all are there.
    pub(crate) rows: Vec<E>,
}

impl<K, E> Default for Group<K, E> {
    fn default() -> Self {
        Group {
            keys: Vec::new(),
            snapshot: false,
            missing: Vec::new(),
            n_missing: 0,
            arrived: Vec::new(),
            row_of: Vec::new(),
            rows: Vec::new(),
        }
    }
}

impl<K: Key, E: Clone> Groups<K, E> {
    /// For rows of `width` elements.
    pub(crate) fn new(width: usize) -> Self {
        Groups { width, groups: Vec::new(), free: Vec::new() }
    }

    /// Begins a group of these keys, each with its server, and returns its number.
    pub(crate) fn begin(
        &mut self,
        keys: Vec<K>,
        servers_of: &[usize],
        servers: usize,
        snapshot: bool,
    ) -> u32 {
        let number = self.free.pop().unwrap_or_else(|| {
            self.groups.push(Group::default());
            self.groups.len() as u32
        });
        let group = &mut self.groups[number as usize - 1];
        group.missing.resize_with(servers, VecDeque::new);
        for (position, server) in servers_of.iter().enumerate() {
            group.missing[*server].push_back(position as u32);
        }
        group.n_missing = keys.len();
        group.row_of.resize(keys.len(), 0);
        (group.keys, group.snapshot) = (keys, snapshot);
        number
    }

    /// Takes the row that `server` answered for `key`, and returns whether it was the last one.
    ///
    /// # Errors
    /// The group has no such key without a row.
    pub(crate) fn take(&mut self, number: u32, server: usize, key: &K, row: &[E]) -> Result<bool> {
        let unknown = || Error::internal(format!("a row of {key:?} for pull of many keys {number}"));
        let group = (number as usize).checked_sub(1).and_then(|at| self.groups.get_mut(at));
        let group = group.ok_or_else(unknown)?;
        let (keys, missing) = (&group.keys, group.missing.get_mut(server).ok_or_else(unknown)?);
        // In order, unless a server logic answers later what came first.
        let at = missing.iter().position(|at| keys[*at as usize] == *key).ok_or_else(unknown)?;
        let position = missing.remove(at).ok_or_else(unknown)?;
        group.row_of[position as usize] = (group.arrived.len() / self.width) as u32;
        group.arrived.extend_from_slice(row);
        group.n_missing -= 1;
        Ok(group.n_missing == 0)
    }

    /// Takes a complete group out, with its rows in order.
    pub(crate) fn finish(&mut self, number: u32) -> Group<K, E> {
        let mut group = std::mem::take(&mut self.groups[number as usize - 1]);
        for row in &group.row_of {
            let start = *row as usize * self.width;
            group.rows.extend_from_slice(&group.arrived[start..start + self.width]);
        }
        group
    }

    /// Takes a group back that has served, for its memory.
    pub(crate) fn recycle(&mut self, number: u32, mut group: Group<K, E>) {
        group.keys.clear();
        group.arrived.clear();
        group.row_of.clear();
        group.rows.clear();
        self.groups[number as usize - 1] = group;
        self.free.push(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever the servers and the order of their answers, rows come out in the order of the keys.
        #[test]
        fn rows_of_a_group_come_in_the_order_of_its_keys(
            keys in prop::collection::vec(0u32..20, 1..40),
            servers in 1usize..4,
            order in prop::collection::vec(any::<u16>(), 40),
        ) {
            let mut groups = Groups::new(2);
            let servers_of: Vec<_> = keys.iter().map(|key| *key as usize % servers).collect();
            let number = groups.begin(keys.clone(), &servers_of, servers, false);
            let mut answers = keys.clone();
            answers.sort_by_key(|key| order[*key as usize]);
            for (i, key) in answers.iter().enumerate() {
                let done = groups.take(number, *key as usize % servers, key, &[*key, key + 1]).unwrap();
                prop_assert_eq!(done, i + 1 == keys.len());
            }
            let group = groups.finish(number);
            let rows: Vec<_> = keys.iter().flat_map(|key| [*key, key + 1]).collect();
            prop_assert_eq!((&group.keys, &group.rows), (&keys, &rows));
            prop_assert!(groups.take(number, 0, &keys[0], &[0, 0]).is_err());
            groups.recycle(number, group);
            prop_assert_eq!(groups.begin(vec![7], &[0], servers, true), number);
        }
    }
}
