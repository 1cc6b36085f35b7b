//! Random histories of a store beside a map that cannot fail.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// What one worker does in one epoch: groups that it writes, each with a few sections; all others are taken over.
type Changes = Vec<(u32, Vec<Vec<u8>>)>;
type Groups = BTreeMap<u32, Vec<Vec<u8>>>;

fn changes() -> impl Strategy<Value = Changes> {
    let section = vec(0u8..4, 0..300);
    vec((0u32..128, vec(section, 1..3)), 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn store_is_a_map_whose_past_can_be_read(
        epochs in vec((1usize..4, changes(), any::<bool>()), 1..12),
        keep in 1usize..4,
        cut in 0u32..128,
    ) {
        let store = CheckpointStore::in_memory("job").unwrap();
        let attempt = store.claim_attempt(0).unwrap();
        let (mut groups, mut past) = (Groups::new(), BTreeMap::<u64, Groups>::new());
        let mut base = SectionTable::default();
        for (epoch, (workers, changes, fails)) in (0..).zip(epochs) {
            let changed: Groups = changes.into_iter().collect();
            let mut after = groups.clone();
            after.extend(changed.clone());
            let parts: Vec<_> = (0..workers)
                .map(|worker| write(&store, (attempt, epoch, worker, workers), &after, &changed, &base))
                .collect();
            if fails {
                continue;
            }
            store.commit(epoch, &parts, meta(attempt)).unwrap();
            groups = after;
            past.insert(epoch, groups.clone());
            base = store.checkpoint(epoch).unwrap().sections();
            store.remove(&store.garbage(Some(keep), GarbageScope::Attempt(attempt)).unwrap()).unwrap();
        }
        let kept: Vec<_> = past.keys().rev().take(keep).rev().copied().collect();
        prop_assert_eq!(&store.epochs().unwrap(), &kept);
        for epoch in kept {
            let checkpoint = store.verify(epoch).unwrap();
            for range in [0..cut, cut..128] {
                prop_assert_eq!(read(&checkpoint, range.clone()), slice(&past[&epoch], range));
            }
        }
    }
}

fn write(
    store: &CheckpointStore,
    (attempt, epoch, worker, workers): (u64, u64, usize, usize),
    all: &Groups,
    changed: &Groups,
    base: &SectionTable,
) -> PartInfo {
    let mut part = store.writer(attempt, epoch, worker as u32);
    let mine = |group: u32| crate::hash::group_owner(u64::from(group), workers) == worker;
    for (group, sections) in all.iter().filter(|(group, _)| mine(**group)) {
        if changed.contains_key(group) || !base.contains(&state(), Some(*group)) {
            sections.iter().for_each(|section| part.put(&state(), Some(*group), section).unwrap());
        } else {
            part.carry(base, &state(), Some(*group)).unwrap();
        }
    }
    part.finish().unwrap().0
}

fn read(checkpoint: &Checkpoint, range: std::ops::Range<u32>) -> Groups {
    let mut groups = Groups::new();
    for section in checkpoint.read(&state(), range) {
        let section = section.unwrap();
        groups.entry(section.key_group.unwrap()).or_default().push(section.bytes);
    }
    groups
}

fn slice(groups: &Groups, range: std::ops::Range<u32>) -> Groups {
    groups.range(range).map(|(group, sections)| (*group, sections.clone())).collect()
}
