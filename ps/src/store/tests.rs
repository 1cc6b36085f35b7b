//! The store against maps.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::partition::Partitioning;

fn part(first: u64, len: u64) -> Part {
    Part { first, step: 1, len }
}

fn rows<E: Element>(store: &RowStore<u64, E>) -> Vec<(u64, Vec<E>)> {
    let mut rows = Vec::new();
    store.for_each(|key, row| rows.push((*key, row.to_vec())));
    rows
}

#[test]
fn hashed_and_dense_rows_are_made_once_and_visited_in_order_of_key() {
    for mut store in [RowStore::hashed(2), RowStore::dense(2, part(10, 5), 0)] {
        for key in [13u64, 10, 13] {
            store.row(&key, |row| row.extend([key as i32, 1])).unwrap().unwrap()[1] += 1;
        }
        assert_eq!(rows(&store), [(10, vec![10, 2]), (13, vec![13, 3])]);
        assert_eq!(store.len(), 2);
    }
}

#[test]
fn row_of_wrong_width_is_refused_and_leaves_no_trace() {
    let eviction = Eviction::new().max_rows(1);
    let stores = [RowStore::hashed(2), RowStore::dense(2, part(0, 5), 0), RowStore::evicting(2, eviction)];
    for mut store in stores {
        let error = store.row(&3u64, |row| row.push(1)).unwrap_err();
        assert_eq!(error.message(), "row of key 3 has 1 elements, expected 2");
        assert_eq!(rows(&store), []);
        store.row(&3u64, |row| row.extend([1, 2])).unwrap();
        assert!(store.row(&4u64, |row| row.clear()).is_err());
        assert_eq!(rows(&store), [(3, vec![1, 2])]);
    }
}

#[test]
fn slots_stand_behind_their_row_and_a_wrong_width_is_told_without_them() {
    let stores: [RowStore<u64, i32>; 2] = [RowStore::hashed(2), RowStore::dense(2, part(0, 5), 0)];
    for mut store in stores.map(|store| store.with_slots(vec![7, 8])) {
        assert_eq!(store.row(&3, |row| row.extend([1, 2])).unwrap().unwrap(), [1, 2, 7, 8]);
        let error = store.row(&4, |row| row.push(1)).unwrap_err();
        assert_eq!(error.message(), "row of key 4 has 1 elements, expected 2");
    }
}

#[test]
fn key_of_another_range_is_refused() {
    let mut store = RowStore::dense(1, part(10, 5), 0);
    assert!(store.row(&9u64, |row| row.push(0)).is_err());
    assert!(store.row(&15u64, |row| row.push(0)).is_err());
}

#[test]
fn range_of_all_keys_takes_no_memory_before_it_is_used() {
    for len in [1 << 37, u64::MAX] {
        let mut store = RowStore::dense(1, part(0, len), 0i64);
        store.row(&(len - 1), |row| row.push(7)).unwrap();
        assert_eq!(rows(&store).len(), 1);
        assert!(store.bytes() < 16 << 20, "{}", store.bytes());
    }
}

#[test]
fn values_of_any_type_are_kept_by_hash() {
    let mut store = RowStore::hashed(1);
    for key in [2u64, 1, 2] {
        let row = store.row(&key, |row| row.push(vec!["new".to_string()])).unwrap().unwrap();
        row[0].push(key.to_string());
    }
    let words = |words: &[&str]| vec![words.iter().map(|word| word.to_string()).collect::<Vec<_>>()];
    assert_eq!(rows(&store), [(1, words(&["new", "1"])), (2, words(&["new", "2", "2"]))]);
}

#[test]
fn memory_of_a_million_rows_is_theirs_and_that_of_their_index() {
    let mut store = RowStore::hashed(4);
    for key in 0..1_000_000u64 {
        store.row(&key, |row| row.extend([0.0f32; 4])).unwrap();
    }
    let bytes = store.bytes();
    assert!((16_000_000..80_000_000).contains(&bytes), "{bytes}");
}

#[test]
fn figures_follow_rows_and_evictions() {
    let state = crate::PsState::new();
    let mut store = RowStore::evicting(1, Eviction::new().max_rows(2));
    store.report_to(state.enter(3));
    for key in 0..5u64 {
        store.row(&key, |row| row.push(0i64)).unwrap();
    }
    let servers = state.servers();
    assert_eq!((servers[0].index, servers[0].rows, servers[0].evicted), (3, 2, 3));
    assert!(servers[0].bytes > 0);
}

/// Removing and adding a row must not add up to memory that is not there.
#[test]
fn memory_stays_the_same_while_rows_come_and_go() {
    let mut store = RowStore::evicting(1, Eviction::new().max_rows(1_000));
    let mut use_keys = |keys: std::ops::Range<u64>| {
        for key in keys {
            store.row(&key, |row| row.push(0i64)).unwrap();
        }
        store.bytes()
    };
    let early = use_keys(0..10_000);
    let late = use_keys(10_000..300_000);
    assert!(late < 2 * early, "{early} {late}");
}

#[test]
fn drawn_rows_are_all_those_that_are_there_with_the_same_chance() {
    let mut store = RowStore::evicting(1, Eviction::new().max_rows(5)).with_keys();
    for key in 0..8u64 {
        store.row(&key, |row| row.push(10 * key)).unwrap();
    }
    let mut counts = BTreeMap::new();
    let draw = crate::Draw { rows: 50_000, seed: 3 };
    for (key, row) in draw.numbers().filter_map(|number| store.drawn(number)) {
        assert_eq!(*row, [10 * key]);
        *counts.entry(*key).or_insert(0) += 1;
    }
    assert_eq!(counts.keys().copied().collect::<Vec<_>>(), [3, 4, 5, 6, 7]);
    // Four standard deviations of a binomial distribution are 358.
    assert!(counts.values().all(|n| (9_642..10_358).contains(n)), "{counts:?}");
    assert!(RowStore::<u64, u64>::hashed(1).with_keys().drawn(7).is_none());
}

/// What the limits mean, written down without any of the structures of the store.
#[derive(Default)]
struct Reference {
    /// Row and last use, by key.
    rows: BTreeMap<u64, (i64, (u64, u64))>,
    uses: BTreeMap<u64, u32>,
    /// Operations and clock.
    now: (u64, u64),
    evicted: Vec<(u64, i64)>,
}

impl Reference {
    fn evict_oldest(&mut self) {
        if let Some((key, (value, _))) = self.rows.iter().min_by_key(|(_, (_, used))| *used) {
            let (key, value) = (*key, *value);
            self.rows.remove(&key);
            self.evicted.push((key, value));
        }
    }

    /// Adds 1 to the row of a key, if it has one.
    fn use_key(&mut self, key: u64, clock: u64, limits: &Eviction) {
        self.now = (self.now.0 + 1, self.now.1.max(clock));
        let idle = limits.idle_operations.unwrap_or(u64::MAX);
        let idle_clocks = limits.idle_clocks.unwrap_or(u64::MAX);
        let now = self.now;
        let expired = |used: &(u64, u64)| now.0 - used.0 > idle || now.1 - used.1 > idle_clocks;
        while self.rows.values().any(|(_, used)| expired(used)) {
            self.evict_oldest();
        }
        if !self.rows.contains_key(&key) {
            let uses = self.uses.entry(key).or_default();
            *uses += 1;
            if *uses < limits.min_frequency.unwrap_or(1) {
                return;
            }
            self.uses.remove(&key);
            while self.rows.len() >= limits.max_rows.unwrap_or(usize::MAX) {
                self.evict_oldest();
            }
        }
        let row = self.rows.entry(key).or_insert((100 * key as i64, (0, 0)));
        *row = (row.0 + 1, self.now);
    }
}

proptest! {
    #[test]
    fn evicting_store_does_what_its_limits_say(
        keys in prop::collection::vec((0u64..12, 0u64..3), 1..200),
        max_rows in prop::option::of(1usize..8),
        idle in prop::option::of(1u64..20),
        idle_clocks in prop::option::of(1u64..6),
        frequency in prop::option::of(1u32..4),
    ) {
        let limits =
            Eviction { max_rows, idle_operations: idle, idle_clocks, min_frequency: frequency, emit: true, idle_time: None };
        let (mut store, mut reference) = (RowStore::evicting(2, limits), Reference::default());
        for (at, (key, behind)) in keys.into_iter().enumerate() {
            // Clocks move on, and some workers are behind.
            let clock = (at as u64 / 10).saturating_sub(behind);
            store.at_clock(clock);
            if let Some(row) = store.row(&key, |row| row.extend([100 * key as i64, 0])).unwrap() {
                row[0] += 1;
            }
            reference.use_key(key, clock, &limits);
            let found: Vec<_> = rows(&store).into_iter().map(|(key, row)| (key, row[0])).collect();
            let expected: Vec<_> = reference.rows.iter().map(|(key, (value, _))| (*key, *value)).collect();
            prop_assert_eq!(found, expected);
            let evicted: Vec<_> = store.take_evicted().map(|(key, row)| (key, row[0])).collect();
            prop_assert_eq!(evicted, std::mem::take(&mut reference.evicted));
        }
    }

    #[test]
    fn rows_of_a_part_are_those_of_a_map(
        keys in prop::collection::vec(0u64..300, 1..300),
        parts in 1u64..5,
        cyclic in any::<bool>(),
    ) {
        let scheme = if cyclic { Partitioning::Cyclic } else { Partitioning::Range };
        let part = |part| scheme.part(part, 300, parts);
        let mut stores: Vec<_> = (0..parts).map(|n| RowStore::dense(1, part(n), 0i64)).collect();
        let mut reference = BTreeMap::new();
        for key in keys {
            let store = &mut stores[scheme.part_of(key, 300, parts) as usize];
            store.row(&key, |row| row.push(0)).unwrap().unwrap()[0] += 1;
            *reference.entry(key).or_insert(0) += 1;
        }
        let mut all: Vec<_> = stores.iter().flat_map(rows).map(|(key, row)| (key, row[0])).collect();
        all.sort();
        prop_assert_eq!(all, reference.into_iter().collect::<Vec<_>>());
    }
}

std::thread_local! {
    /// What the clock of the next test shows.
    static TIME: std::cell::Cell<Option<std::time::Instant>> = const { std::cell::Cell::new(None) };
}

fn shown_time() -> std::time::Instant {
    let now = TIME.get().unwrap_or_else(waterwheel_engine::machine::now);
    TIME.set(Some(now));
    now
}

#[test]
fn row_that_was_idle_for_too_long_is_evicted_by_the_clock() {
    use std::time::Duration;
    let limits = Eviction::new().idle_time(Duration::from_secs(60)).emit_evicted();
    let mut store = RowStore::<u64, i64>::with_evicting(1, Evicting::by_time(limits, shown_time));
    let pass = |time: u64| TIME.set(TIME.get().map(|now| now + Duration::from_secs(time)));
    for key in [1, 2] {
        store.row(&key, |row| row.push(10)).unwrap().unwrap()[0] += key as i64;
    }
    pass(40);
    assert_eq!(store.row(&2, |row| row.push(10)).unwrap(), Some(&mut [12i64][..]));
    pass(30);
    assert_eq!(store.row(&3, |row| row.push(10)).unwrap(), Some(&mut [10i64][..]));
    assert_eq!(store.take_evicted().collect::<Vec<_>>(), [(1, vec![11])], "idle for 70 s, and 2 for 30 s");
    pass(61);
    assert_eq!(store.row(&2, |row| row.push(10)).unwrap(), Some(&mut [10i64][..]), "it begins anew");
    assert_eq!((store.take_evicted().count(), store.len()), (2, 1));
}
