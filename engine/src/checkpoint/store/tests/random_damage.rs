//! Damage of any object in any way, also of what later checkpoints have taken over: what is found is right, or nothing is.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;

use super::*;

/// Three checkpoints of two workers: the third has taken over the first half of what the first one holds.
fn three_checkpoints() -> CheckpointStore {
    let store = &CheckpointStore::in_memory("job").unwrap();
    let attempt = store.claim_attempt(0).unwrap();
    let bases: Vec<SectionTable> = (1..=2u64)
        .map(|epoch| {
            let parts = write_two(store, attempt, epoch).unwrap();
            store.commit(epoch, &parts, meta(attempt)).unwrap();
            store.checkpoint(epoch).unwrap().sections()
        })
        .collect();
    let parts: Vec<_> = (0..2).map(|worker| write_third(store, attempt, worker, &bases[0])).collect();
    assert!(parts.iter().all(|part| part.refers_to.len() == 1), "{parts:?}");
    store.commit(3, &parts, meta(attempt)).unwrap();
    store.request_savepoint("later").unwrap();
    assert_third(&found(store).0);
    store.clone()
}

fn objects(store: &CheckpointStore) -> BTreeMap<String, Vec<u8>> {
    objects_of(store.storage(), "job")
}

fn write_third(store: &CheckpointStore, attempt: u64, worker: u32, base: &SectionTable) -> PartInfo {
    let mut part = store.writer(attempt, 3, worker);
    let [taken_over, changed] = [64 * worker, 64 * worker + 63];
    part.carry(base, &state(), Some(taken_over)).unwrap();
    part.put(&state(), Some(changed), &content(3, worker, changed)).unwrap();
    part.put(&position(), None, &(3000 + u64::from(worker)).to_le_bytes()).unwrap();
    part.finish().unwrap().0
}

#[track_caller]
fn assert_third(checkpoint: &Checkpoint) {
    let sections: Vec<_> = checkpoint.read(&state(), 0..128).map(|section| section.unwrap().bytes).collect();
    let expected = [(1, 0, 0), (3, 0, 63), (1, 1, 64), (3, 1, 127)]
        .map(|(epoch, worker, group)| content(epoch, worker, group));
    assert_eq!(sections, expected);
}

/// Checks that what a restart would take is right, whichever it is. Its epoch; `None` where it refuses, by name.
fn checked(store: &CheckpointStore) -> Option<u64> {
    match store.newest().unwrap() {
        Newest::Found { checkpoint, passed_over } => {
            assert!(passed_over.iter().all(|error| error.kind() == ErrorKind::Data), "{passed_over:?}");
            match checkpoint.epoch() {
                3 => assert_third(&checkpoint),
                epoch => assert_two(&checkpoint, epoch),
            }
            Some(checkpoint.epoch())
        }
        Newest::Lost(error) => {
            assert_eq!(error.kind(), ErrorKind::Data, "{error}");
            assert!(error.message().starts_with("job job had checkpoints here"), "{error}");
            None
        }
        Newest::Never => {
            // Nothing says any more that there was one.
            assert!(store.epochs().unwrap().is_empty());
            None
        }
    }
}

/// The epochs of checkpoints that stand on an object: its damage is none to the others.
fn standing_on(name: &str) -> &'static [u64] {
    let name = name.rsplit('/').next().unwrap();
    match name.trim_start_matches('0').chars().next() {
        // Of the first parts, what was taken over is needed by two.
        Some('1') if name.ends_with(".part") => &[1, 3],
        Some('1') => &[1],
        Some('2') => &[2],
        Some('3') => &[3],
        _ => &[],
    }
}

#[test]
fn every_flipped_byte_is_detected_by_all_checkpoints_that_stand_on_it() {
    let store = three_checkpoints();
    let mut flipped = [0; 2];
    for (name, good) in objects(&store) {
        let standing = standing_on(&name);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            replace(&store, &name, &bad);
            let found = checked(&store);
            // A byte of an earlier part that was not taken over is nothing to the third.
            let taken_over = standing == [1, 3] && found == Some(2);
            let expected = if standing == [3] { Some(2) } else { Some(3) };
            assert!(found == expected || taken_over, "{name}, byte {at}: {found:?}");
            flipped[usize::from(taken_over)] += 1;
            if standing.contains(&1) {
                assert_eq!(store.verify(1).unwrap_err().kind(), ErrorKind::Data, "{name}, byte {at}");
            }
        }
        replace(&store, &name, &good);
    }
    assert!(flipped[0] > 1000 && flipped[1] > 50, "{flipped:?}");
}

#[test]
fn bytes_in_objects_that_are_empty_have_no_effect() {
    let store = three_checkpoints();
    let all = objects(&store);
    let empty: Vec<_> = all.iter().filter(|(_, bytes)| bytes.is_empty()).map(|(name, _)| name).collect();
    assert_eq!(empty.len(), 3, "a claim, a mark and a request: {empty:?}");
    empty.iter().for_each(|name| replace(&store, name, b"bytes"));
    assert_eq!(checked(&store), Some(3));
    assert_eq!(store.newest_attempt().unwrap(), Some(0));
    assert_eq!(store.savepoint_requests().unwrap(), ["later"]);
}

/// Damage of one object.
#[derive(Clone, Debug)]
enum Damage {
    /// Bits are flipped.
    Flipped(Vec<(Index, u8)>),
    /// A run of bytes is something else.
    Overwritten(Index, Vec<u8>),
    Cut(Index),
    Grown(Vec<u8>),
    /// A block of the disk was never written.
    Zeroed(Index, Index),
    Removed,
    /// It is a copy of another one.
    Replaced(Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let bytes = || vec(any::<u8>(), 1..40);
    prop_oneof![
        vec((any::<Index>(), 1u8..), 1..6).prop_map(Damage::Flipped),
        (any::<Index>(), bytes()).prop_map(|(at, bytes)| Damage::Overwritten(at, bytes)),
        any::<Index>().prop_map(Damage::Cut),
        bytes().prop_map(Damage::Grown),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Damage::Zeroed(from, to)),
        Just(Damage::Removed),
        any::<Index>().prop_map(Damage::Replaced),
    ]
}

impl Damage {
    fn apply(&self, name: &str, all: &mut BTreeMap<String, Vec<u8>>) {
        let others: Vec<_> = all.values().cloned().collect();
        let Some(bytes) = all.get_mut(name) else { return };
        let len = bytes.len();
        match self {
            Damage::Removed => drop(all.remove(name)),
            Damage::Replaced(other) => *bytes = other.get(&others).clone(),
            Damage::Grown(more) => bytes.extend(more),
            _ if len == 0 => {}
            Damage::Flipped(flips) => flips.iter().for_each(|(at, mask)| bytes[at.index(len)] ^= mask),
            Damage::Overwritten(at, with) => {
                bytes.iter_mut().skip(at.index(len)).zip(with).for_each(|(byte, with)| *byte = *with);
            }
            Damage::Cut(at) => bytes.truncate(at.index(len)),
            Damage::Zeroed(from, to) => {
                bytes.iter_mut().skip(from.index(len)).take(to.index(len)).for_each(|byte| *byte = 0);
            }
        }
    }
}

/// Whatever has happened to some of the objects: nothing panics, what is found is right, and the job goes on from there.
#[test]
fn what_is_found_among_damaged_objects_is_right() {
    let good = objects(&three_checkpoints());
    let names: Vec<_> = good.keys().cloned().collect();
    let damages = vec((any::<Index>(), damage()), 1..5);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(1000));
    let outcome = runner.run(&damages, |damages| {
        let mut objects = good.clone();
        damages.iter().for_each(|(at, damage)| damage.apply(at.get::<String>(&names), &mut objects));
        let store = &holding(&objects);
        let before = checked(store);
        let (attempt, epoch) = (store.claim_attempt(0).unwrap(), store.next_epoch().unwrap());
        prop_assert!(before < Some(epoch));
        commit_two(store, attempt, epoch).unwrap();
        store.remove(&store.garbage(Some(2), GarbageScope::Attempt(attempt)).unwrap()).unwrap();
        assert_two(&found(store).0, epoch);
        Ok(())
    });
    outcome.unwrap();
}
