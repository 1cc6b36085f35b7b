//! Pulls of many keys: their rows are put together in the order of the keys, whichever server answers first.

use waterwheel_engine::{Error, Key, Result};

use crate::placement::Route;

/// The pulls of many keys of one worker that are under way. They are known by a number from 1.
pub(crate) struct Groups<K, E> {
    width: usize,
    groups: Vec<Group<K, E>>,
    free: Vec<u32>,
    /// Groups under way whose rows are all of one version.
    snapshots: usize,
}

/// One pull of many keys.
#[derive(Debug)]
pub(crate) struct Group<K, E> {
    pub(crate) keys: Vec<K>,
    /// Whether all its rows are of one version.
    snapshot: bool,
    /// Rows in the order of the keys: as many as have come so far, or all, where the missing ones are not yet theirs.
    pub(crate) rows: Vec<E>,
    /// The keys of each server that are not answered yet.
    missing: Vec<Missing>,
    n_missing: usize,
}

/// Positions of keys, in order, of which the first `next` are answered.
#[derive(Debug, Default)]
struct Missing {
    positions: Vec<u32>,
    next: usize,
}

impl<K, E> Default for Group<K, E> {
    fn default() -> Self {
        Group { keys: Vec::new(), snapshot: false, rows: Vec::new(), missing: Vec::new(), n_missing: 0 }
    }
}

impl<K: Key, E: Clone> Groups<K, E> {
    /// For rows of `width` elements.
    pub(crate) fn new(width: usize) -> Self {
        Groups { width, groups: Vec::new(), free: Vec::new(), snapshots: 0 }
    }

    /// Whether snapshots are under way.
    pub(crate) fn has_snapshots(&self) -> bool {
        self.snapshots > 0
    }

    /// Begins a group of these keys, which go that way to `servers` servers, and returns its number.
    pub(crate) fn begin(&mut self, keys: &[K], route: &Route, servers: usize, snapshot: bool) -> u32 {
        let number = self.free.pop().unwrap_or_else(|| {
            self.groups.push(Group::default());
            self.groups.len() as u32
        });
        let group = &mut self.groups[number as usize - 1];
        group.missing.resize_with(servers, Missing::default);
        let positions = 0..keys.len() as u32;
        match route {
            Route::One(server) => group.missing[*server].positions.extend(positions),
            Route::Each(servers) => positions.zip(servers).for_each(|(position, server)| {
                group.missing[*server as usize].positions.push(position);
            }),
        }
        group.n_missing = keys.len();
        group.keys.extend_from_slice(keys);
        group.snapshot = snapshot;
        self.snapshots += usize::from(snapshot);
        number
    }

    /// Whether these are all keys of a group, in order, and none of its rows has come.
    pub(crate) fn is_whole(&self, number: u32, keys: &[K]) -> bool {
        let group = (number as usize).checked_sub(1).and_then(|at| self.groups.get(at));
        group.is_some_and(|group| group.n_missing == keys.len() && group.keys == keys)
    }

    /// Takes rows that `server` answered for `keys`, and returns whether they were the last ones.
    ///
    /// # Errors
    /// The group has no such keys without a row.
    pub(crate) fn take(&mut self, number: u32, server: usize, keys: &[K], rows: &[E]) -> Result<bool> {
        let unknown = || Error::internal(format!("rows of {keys:?} for pull of many keys {number}"));
        let group = (number as usize).checked_sub(1).and_then(|at| self.groups.get_mut(at));
        let group = group.filter(|group| server < group.missing.len()).ok_or_else(unknown)?;
        if !group.take_in_order(server, keys, rows, self.width) {
            // A server logic answers later what came first.
            for (key, row) in keys.iter().zip(rows.chunks_exact(self.width)) {
                group.take_one(server, key, row).ok_or_else(unknown)?;
            }
        }
        group.n_missing -= keys.len();
        Ok(group.n_missing == 0)
    }

    /// Takes a complete group out.
    pub(crate) fn finish(&mut self, number: u32) -> Group<K, E> {
        let group = std::mem::take(&mut self.groups[number as usize - 1]);
        self.snapshots -= usize::from(group.snapshot);
        group
    }

    /// Takes a group back that has served, for its memory.
    pub(crate) fn recycle(&mut self, number: u32, mut group: Group<K, E>) {
        group.keys.clear();
        group.rows.clear();
        for missing in &mut group.missing {
            missing.positions.clear();
            missing.next = 0;
        }
        self.groups[number as usize - 1] = group;
        self.free.push(number);
    }
}

impl<K: Key, E: Clone> Group<K, E> {
    /// Takes rows if they are the next ones of their server.
    fn take_in_order(&mut self, server: usize, keys: &[K], rows: &[E], width: usize) -> bool {
        let Missing { positions, next } = &mut self.missing[server];
        let Some(positions @ [first, .., last] | positions @ [first @ last]) =
            positions.get(*next..*next + keys.len())
        else {
            return keys.is_empty();
        };
        let (first, last) = (*first as usize, *last as usize);
        let contiguous = last - first + 1 == keys.len();
        if contiguous && self.keys[first..=last] == *keys && self.rows.len() == first * width {
            self.rows.extend_from_slice(rows);
        } else if positions.iter().zip(keys).all(|(at, key)| self.keys[*at as usize] == *key) {
            make_room(&mut self.rows, self.keys.len() * width, rows);
            for (at, row) in positions.iter().zip(rows.chunks_exact(width)) {
                let at = *at as usize * width;
                self.rows[at..at + width].clone_from_slice(row);
            }
        } else {
            return false;
        }
        *next += keys.len();
        true
    }

    /// Takes the row of one key of a server, which need not be its next.
    fn take_one(&mut self, server: usize, key: &K, row: &[E]) -> Option<()> {
        let Missing { positions, next } = &mut self.missing[server];
        let at = positions[*next..].iter().position(|at| self.keys[*at as usize] == *key)?;
        let at = positions.remove(*next + at) as usize * row.len();
        make_room(&mut self.rows, self.keys.len() * row.len(), row);
        self.rows[at..at + row.len()].clone_from_slice(row);
        Some(())
    }
}

/// Makes room for all rows, filled with an element for want of a better one.
fn make_room<E: Clone>(all: &mut Vec<E>, len: usize, rows: &[E]) {
    if let Some(element) = rows.first().filter(|_| all.len() < len) {
        all.resize(len, element.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever the servers, the order of their answers and how many come together, rows come out in the order of
        /// the keys.
        #[test]
        fn rows_of_a_group_come_in_the_order_of_its_keys(
            keys in prop::collection::vec(0u32..20, 1..40),
            servers in 1usize..4,
            order in prop::collection::vec(any::<u16>(), 40),
            in_order in any::<bool>(),
            together in prop::collection::vec(1usize..9, 40),
        ) {
            let mut groups = Groups::new(2);
            let server_of = |key: u32| key as usize % servers;
            let route = match servers {
                1 => Route::One(0),
                _ => Route::Each(keys.iter().map(|key| server_of(*key) as u32).collect()),
            };
            let number = groups.begin(&keys, &route, servers, true);
            let mut answers = keys.clone();
            if in_order {
                // By server alone, so that each answers in the order in which it was asked.
                answers.sort_by_key(|key| order[server_of(*key)]);
            } else {
                answers.sort_by_key(|key| order[*key as usize]);
            }
            let (mut rest, mut together) = (&answers[..], together.into_iter());
            while let Some(first) = rest.first() {
                let server = server_of(*first);
                let same = rest.iter().take_while(|key| server_of(**key) == server).count();
                let (now, later) = rest.split_at(same.min(together.next().unwrap()));
                prop_assert_eq!(groups.is_whole(number, now), now.len() == keys.len() && *now == keys);
                let rows: Vec<_> = now.iter().flat_map(|key| [*key, key + 1]).collect();
                prop_assert_eq!(groups.take(number, server, now, &rows).unwrap(), later.is_empty());
                rest = later;
            }
            prop_assert!(groups.has_snapshots());
            let group = groups.finish(number);
            prop_assert!(!groups.has_snapshots());
            let rows: Vec<_> = keys.iter().flat_map(|key| [*key, key + 1]).collect();
            prop_assert_eq!((&group.keys, &group.rows), (&keys, &rows));
            prop_assert!(groups.take(number, 0, &keys[..1], &[0, 0]).is_err());
            groups.recycle(number, group);
            prop_assert_eq!(groups.begin(&[7], &Route::One(0), servers, false), number);
            prop_assert!(groups.take(number, 0, &[8], &[0, 0]).is_err());
            prop_assert!(groups.take(number, servers, &[7], &[0, 0]).is_err());
            prop_assert!(groups.take(number, 0, &[7], &[7, 8]).unwrap());
        }
    }
}
