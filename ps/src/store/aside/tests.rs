use std::collections::BTreeMap;

use proptest::prelude::*;
use waterwheel_engine::StateReader;

use super::*;
use crate::eviction::Eviction;
use crate::partition::Partitioning;

/// Golden bytes of docs/formats/checkpoint-state.md: they are in every checkpoint.
#[test]
fn entries_of_keys_have_their_golden_bytes() {
    let row = |at| Saved::Row(Bytes([1.5f32.to_le_bytes(), 2.0f32.to_le_bytes()].concat()), at);
    let bytes = postcard::to_stdvec(&(7u64, row(None))).unwrap();
    assert_eq!(bytes, [7, 0, 8, 0, 0, 0xc0, 0x3f, 0, 0, 0, 0x40, 0]);
    let bytes = postcard::to_stdvec(&(7u64, row(Some((3, 300, 2))))).unwrap();
    assert_eq!(bytes, [7, 0, 8, 0, 0, 0xc0, 0x3f, 0, 0, 0, 0x40, 1, 3, 0xac, 2, 2]);
    let bytes = postcard::to_stdvec(&((1u32, 0u32), 7u64, Saved::Uses(5))).unwrap();
    assert_eq!(bytes, [1, 0, 7, 1, 5]);
}

type Model = BTreeMap<u64, u32>;

/// What is written, which has each key once.
fn decoded(mut entries: Entries) -> Model {
    let mut all = Model::new();
    for (group, bytes) in entries.take(0) {
        let mut reader = StateReader::new(bytes);
        while let Some((key, saved)) = reader.next_item::<(u64, Saved)>().unwrap() {
            let Saved::Row(Bytes(bytes), _) = saved else { panic!("no row") };
            assert_eq!(key_group(&key), u64::from(group));
            let row = element::decode::<u32>(&bytes, 1).unwrap();
            assert!(all.insert(key, row[0]).is_none(), "key {key} is written twice");
        }
    }
    all
}

fn rows(store: &RowStore<u64, u32>) -> Model {
    let mut all = Model::new();
    store.for_each(|key, row| assert!(all.insert(*key, row[0]).is_none()));
    all
}

/// Whatever is done to the store while a copy is written, the copy is that of the moment it was taken.
fn copies_are_those_of_their_moment(mut store: RowStore<u64, u32>, steps: &[(u8, u64)]) {
    let mut copy: Option<(Entries, Model)> = None;
    for (step, key) in steps {
        match (step % 10, &mut copy) {
            (0, None) => {
                store.mark(None);
                copy = Some((Entries::default(), rows(&store)));
            }
            (1, Some((written, expected))) => {
                if !store.sweep(written).unwrap() {
                    assert_eq!(&decoded(std::mem::take(written)), expected);
                    copy = None;
                }
            }
            (2, _) => {
                let keys: Vec<u64> = (*key..(key + 40).min(KEYS)).collect();
                if store.evicting.is_none() {
                    let init = |_: &u64, row: &mut Vec<u32>| row.push(0);
                    store
                        .each_row(&keys, init, |_key, row, _slots| {
                            row[0] += 7;
                            Ok(())
                        })
                        .unwrap();
                }
            }
            _ => {
                if let Some(row) = store.row(key, |row| row.push(0)).unwrap() {
                    row[0] += 1;
                }
            }
        }
    }
    if let Some((mut written, expected)) = copy {
        while store.sweep(&mut written).unwrap() {}
        assert_eq!(decoded(written), expected);
    }
}

const KEYS: u64 = 6_000;

fn filled(mut store: RowStore<u64, u32>) -> RowStore<u64, u32> {
    for key in (0..KEYS).step_by(2) {
        store.row(&key, |row| row.push(key as u32)).unwrap();
    }
    store
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn copy_of_a_store_is_that_of_the_moment_it_was_taken(
        steps in prop::collection::vec((any::<u8>(), 0..KEYS), 0..800),
    ) {
        copies_are_those_of_their_moment(filled(RowStore::hashed(1)), &steps);
        let part = Partitioning::Range.part(0, KEYS, 1);
        copies_are_those_of_their_moment(filled(RowStore::dense(1, part, 0)), &steps);
        let limits = Eviction::new().max_rows(2_000).idle_operations(1_500);
        copies_are_those_of_their_moment(filled(RowStore::evicting(1, limits)), &steps);
    }
}

/// A copy of all, and what has changed since in each copy behind it, is the rows at the last of them.
fn copies_of_changes_add_up(mut store: RowStore<u64, u32>, steps: &[(u8, u64)]) {
    let (mut durable, mut copy): (Option<Model>, Option<(Entries, bool, Model)>) = (None, None);
    let mut n_changes = 0;
    for (step, key) in steps {
        match (step % 16, &mut copy) {
            (0 | 1, None) => {
                // One in four has not become durable.
                durable = durable.filter(|_| key % 4 > 0);
                let are_changes = store.mark_changes(durable.is_some());
                copy = Some((Entries::default(), are_changes, rows(&store)));
            }
            (2..8, Some((written, are_changes, expected))) => {
                if !store.sweep(written).unwrap() {
                    let mut all = durable.take().filter(|_| *are_changes).unwrap_or_default();
                    n_changes += u32::from(*are_changes);
                    all.extend(decoded(std::mem::take(written)));
                    assert_eq!(&all, expected);
                    (durable, copy) = (Some(all), None);
                }
            }
            (8, _) => {
                let keys: Vec<u64> = (*key..(key + 40).min(KEYS)).collect();
                let init = |_: &u64, row: &mut Vec<u32>| row.push(0);
                let add = |_: &u64, row: &mut [u32], _: &mut [u32]| {
                    row[0] += 7;
                    Ok(())
                };
                store.each_row(&keys, init, add).unwrap();
            }
            _ => store.row(key, |row| row.push(0)).unwrap().unwrap()[0] += 1,
        }
    }
    assert!(n_changes > 0 || steps.len() < 300, "all copies were whole");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn copies_of_changes_of_a_store_add_up_to_its_rows(
        steps in prop::collection::vec((any::<u8>(), 0..KEYS), 0..800),
    ) {
        copies_of_changes_add_up(filled(RowStore::hashed(1)), &steps);
        copies_of_changes_add_up(filled(RowStore::hashed(1).with_keys()), &steps);
        let part = Partitioning::Range.part(0, KEYS, 1);
        copies_of_changes_add_up(filled(RowStore::dense(1, part, 0)), &steps);
    }
}
