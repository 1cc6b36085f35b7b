//! Sections that are taken over from earlier parts.

use super::*;

/// One worker whose groups 0 to 7 hold 1 KB each, of bytes that do not shrink.
fn noise(epoch: u64, group: u32) -> Vec<u8> {
    let word =
        |at: u64| xxhash_rust::xxh3::xxh3_64(&[epoch, u64::from(group), at].map(u64::to_le_bytes).concat());
    (0..128).flat_map(|at| word(at).to_le_bytes()).collect()
}

/// Commits an epoch in which so many groups have changed. Returns the table and the length of its part.
fn commit(
    store: &CheckpointStore,
    epoch: u64,
    changed: u32,
    base: &SectionTable,
) -> (SectionTable, PartInfo) {
    let mut part = store.writer(0, epoch, 0);
    for group in 0..8 {
        if group < changed {
            part.put(&state(), Some(group), &noise(epoch, group)).unwrap();
        } else {
            part.carry(base, &state(), Some(group)).unwrap();
        }
    }
    let (info, table) = part.finish().unwrap();
    store.commit(epoch, std::slice::from_ref(&info), meta(0)).unwrap();
    (table, info)
}

#[track_caller]
fn assert_groups(checkpoint: &Checkpoint, epoch_of: impl Fn(u32) -> u64) {
    let sections: Vec<_> = checkpoint.read(&state(), 0..128).map(Result::unwrap).collect();
    let expected: Vec<_> = (0..8)
        .map(|group| Section { worker: 0, key_group: Some(group), bytes: noise(epoch_of(group), group) })
        .collect();
    assert!(sections == expected);
}

#[test]
fn unchanged_sections_are_not_written_again() {
    let store = CheckpointStore::in_memory("job").unwrap();
    let (first, full) = commit(&store, 1, 8, &SectionTable::default());
    let (second, small) = commit(&store, 2, 2, &first);
    assert!(small.part.length < full.part.length / 2, "{small:?} of {full:?}");
    assert_eq!(small.refers_to, [full.part]);
    assert_groups(&store.verify(2).unwrap(), |group| if group < 2 { 2 } else { 1 });
    // What was taken over is taken over again, from where it is.
    let (_, third) = commit(&store, 3, 1, &second);
    assert_eq!(third.refers_to.len(), 2);
    let checkpoint = store.verify(3).unwrap();
    assert_groups(&checkpoint, |group| [3, 2].get(group as usize).copied().unwrap_or(1));
    assert_eq!(checkpoint.refers_to(), [full.part, small.part]);
}

#[test]
fn sections_of_a_restored_checkpoint_are_taken_over_by_other_workers() {
    let store = CheckpointStore::in_memory("job").unwrap();
    commit_two(&store, 0, 1).unwrap();
    let base = found(&store).0.sections();
    assert_eq!((base.len(), base.is_empty(), base.keys()), (6, false, vec![&state(), &position()]));
    // Two workers become one.
    let mut part = store.writer(1, 2, 0);
    for group in [0, 63, 64, 127] {
        part.carry(&base, &state(), Some(group)).unwrap();
    }
    part.put(&position(), None, b"2000").unwrap();
    store.commit(2, &[part.finish().unwrap().0], meta(1)).unwrap();
    let (checkpoint, _) = found(&store);
    assert_eq!((checkpoint.workers(), checkpoint.epoch()), (1, 2));
    let sections: Vec<_> = checkpoint.read(&state(), 64..128).map(Result::unwrap).collect();
    assert_eq!(sections.iter().map(|section| section.worker).collect::<Vec<_>>(), [0, 0]);
    assert_eq!(sections[1].bytes, content(1, 1, 127));
}

#[test]
fn parts_that_stay_in_use_stay_until_they_are_not() {
    let store = CheckpointStore::in_memory("job").unwrap();
    store.claim_attempt(0).unwrap();
    let mut table = commit(&store, 1, 8, &SectionTable::default()).0;
    for epoch in 2..=20 {
        table = commit(&store, epoch, 3, &table).0;
        store.remove(&store.garbage(Some(1), GarbageScope::Attempt(0)).unwrap()).unwrap();
        assert_eq!(store.epochs().unwrap(), [epoch]);
        assert_groups(&store.verify(epoch).unwrap(), |group| if group < 3 { epoch } else { 1 });
        let parts = store.shared_storage().list(&store.layout().parts_of(0)).unwrap().objects;
        assert_eq!(parts.len(), 2, "{parts:?}");
    }
    commit(&store, 21, 8, &table);
    store.remove(&store.garbage(Some(1), GarbageScope::Attempt(0)).unwrap()).unwrap();
    let parts = store.shared_storage().list(&store.layout().parts_of(0)).unwrap().objects;
    assert_eq!(parts.len(), 1, "{parts:?}");
}

/// One group that never changes must not keep a large part alive for ever, nor a hundred small ones.
#[test]
fn sparse_and_many_parts_are_copied_together() {
    let store = CheckpointStore::in_memory("job").unwrap();
    let (table, _) = commit(&store, 1, 8, &SectionTable::default());
    let (_, info) = commit(&store, 2, 6, &table);
    assert_eq!(info.refers_to.len(), 1, "a quarter of the earlier part is in use");
    let (_, info) = commit(&store, 3, 7, &table);
    assert_eq!(info.refers_to.len(), 0, "less than an eighth of it is");
    assert_groups(&store.verify(3).unwrap(), |group| if group < 7 { 3 } else { 1 });

    let key = |n: u64| SectionKey::new(format!("op{n:02}"), "state");
    let mut table = SectionTable::default();
    for epoch in 10..60 {
        let mut part = store.writer(0, epoch, 0);
        part.put(&key(epoch), None, &noise(epoch, 0)).unwrap();
        (10..epoch).for_each(|earlier| part.carry(&table, &key(earlier), None).unwrap());
        let (info, next) = part.finish().unwrap();
        assert!(info.refers_to.len() <= 16, "{}", info.refers_to.len());
        store.commit(epoch, &[info], meta(0)).unwrap();
        table = next;
    }
    let checkpoint = store.verify(59).unwrap();
    for epoch in 10..60 {
        let read: Vec<_> =
            checkpoint.read_ungrouped(&key(epoch)).map(|section| section.unwrap().bytes).collect();
        assert!(read == [noise(epoch, 0)], "{epoch}");
    }
}

#[test]
fn section_that_is_not_there_can_not_be_taken_over() {
    let store = CheckpointStore::in_memory("job").unwrap();
    let (table, _) = commit(&store, 1, 8, &SectionTable::default());
    assert!(table.contains(&state(), Some(7)) && !table.contains(&state(), None));
    let error = store.writer(0, 2, 0).carry(&table, &state(), Some(8)).unwrap_err();
    assert!(error.message().contains("count/state of key group Some(8)"), "{error}");
}

#[test]
fn damage_in_an_earlier_part_is_damage_of_those_that_refer_to_it() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let (first, full) = commit(store, 1, 8, &SectionTable::default());
    let (_, _) = commit(store, 2, 8, &SectionTable::default());
    commit(store, 3, 2, &first);
    let path = fixture.directory.path().join(full.part.name(store.layout()));
    let mut bytes = std::fs::read(&path).unwrap();
    // Section of the highest offset: it was taken over.
    let (_, at) =
        first.iter().map(|(_, _, place)| (place.stored, place.offset)).max_by_key(|(_, at)| *at).unwrap();
    bytes[at as usize + 100] ^= 4;
    std::fs::write(&path, bytes).unwrap();
    let (checkpoint, passed_over) = found(store);
    assert_eq!(checkpoint.epoch(), 2);
    assert!(passed_over[0].message().contains(&full.part.name(store.layout())), "{passed_over:?}");
    assert_eq!(store.verify(1).unwrap_err().kind(), ErrorKind::Data);
}

#[test]
fn earlier_part_that_was_cut_or_removed_is_damage() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let (first, full) = commit(store, 1, 8, &SectionTable::default());
    commit(store, 2, 8, &SectionTable::default());
    commit(store, 3, 2, &first);
    let path = fixture.directory.path().join(full.part.name(store.layout()));
    let good = std::fs::read(&path).unwrap();
    for len in [0, 20, good.len() / 2, good.len() - 1] {
        std::fs::write(&path, &good[..len]).unwrap();
        let (checkpoint, passed_over) = found(store);
        assert_eq!((checkpoint.epoch(), passed_over.len()), (2, 1), "cut to {len} bytes");
        assert_eq!(store.checkpoint(3).unwrap_err().kind(), ErrorKind::Data);
    }
    std::fs::remove_file(&path).unwrap();
    assert_eq!(found(store).0.epoch(), 2);
}
