//! Which items users have used, as far as it is remembered.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

/// The items that each user has used last, up to a number of different ones.
#[derive(Debug)]
pub(super) struct UserMemory {
    capacity: usize,
    users: FxHashMap<u64, Used>,
}

/// The items of a user, each at the time when it was used last.
#[derive(Debug, Default)]
pub(super) struct Used {
    now: u64,
    by_item: FxHashMap<u64, u64>,
    by_time: BTreeMap<u64, u64>,
}

impl UserMemory {
    pub(super) fn new(capacity: usize) -> Self {
        UserMemory { capacity, users: FxHashMap::default() }
    }

    /// What is remembered of a user.
    pub(super) fn of(&mut self, user: u64) -> &Used {
        self.users.entry(user).or_default()
    }

    /// Every user, and the items that are remembered of them, the one first that was used longest ago; in order of user.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, Vec<u64>)> {
        let mut users: Vec<_> = self.users.iter().map(|(user, used)| (*user, used)).collect();
        users.sort_unstable_by_key(|(user, _)| *user);
        users.into_iter().map(|(user, used)| (user, used.by_time.values().copied().collect()))
    }

    /// Remembers that a user has used an item; of too many the one is forgotten that was used longest ago.
    pub(super) fn add(&mut self, user: u64, item: u64) {
        let used = self.users.entry(user).or_default();
        used.now += 1;
        if let Some(before) = used.by_item.insert(item, used.now) {
            used.by_time.remove(&before);
        }
        used.by_time.insert(used.now, item);
        if used.by_item.len() > self.capacity
            && let Some((_, oldest)) = used.by_time.pop_first()
        {
            used.by_item.remove(&oldest);
        }
    }
}

impl Used {
    pub(super) fn has(&self, item: u64) -> bool {
        self.by_item.contains_key(&item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_forgets_what_was_used_longest_ago() {
        let mut memory = UserMemory::new(2);
        let has = |memory: &mut UserMemory| [1, 2, 3].map(|item| memory.of(7).has(item));
        memory.add(7, 1);
        memory.add(7, 2);
        // Used again: now it is newer than 2, and it takes the place of one.
        memory.add(7, 1);
        memory.add(7, 3);
        assert_eq!(has(&mut memory), [true, false, true]);
        memory.add(8, 2);
        assert_eq!(has(&mut memory), [true, false, true]);
        let used = &memory.users[&7];
        assert_eq!((used.by_item.len(), used.by_time.len()), (2, 2));
    }
}
