//! Damage of any file in any way, also of what later checkpoints have taken over: what is found is right, or nothing is.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;

use super::*;

/// Three checkpoints of two workers: the third has taken over the first half of what the first one holds.
fn three_checkpoints() -> Fixture {
    let fixture = Fixture::new();
    let store = &fixture.store;
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
    fixture
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
    let expected =
        [(1, 0, 0), (3, 0, 63), (1, 1, 64), (3, 1, 127)].map(|(epoch, worker, group)| content(epoch, worker, group));
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

/// The epochs of checkpoints that stand on a file: damage of all others is none to them.
fn standing_on(file: &Path) -> &'static [u64] {
    let name = file.file_name().unwrap().to_str().unwrap();
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
    let fixture = three_checkpoints();
    let mut flipped = [0; 2];
    for file in fixture.files() {
        let good = std::fs::read(&file).unwrap();
        let standing = standing_on(&file);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            std::fs::write(&file, &bad).unwrap();
            let found = checked(&fixture.store);
            // A byte of an earlier part that was not taken over is nothing to the third.
            let expected = if standing == [3] { Some(2) } else { Some(3) };
            let taken_over = standing == [1, 3] && found == Some(2);
            assert!(found == expected || taken_over, "{file:?}, byte {at}: {found:?}");
            flipped[usize::from(taken_over)] += 1;
            if standing.contains(&1) {
                assert_eq!(fixture.store.verify(1).unwrap_err().kind(), ErrorKind::Data, "{file:?}, byte {at}");
            }
        }
        std::fs::write(&file, &good).unwrap();
    }
    assert!(flipped[0] > 1000 && flipped[1] > 50, "{flipped:?}");
}

#[test]
fn bytes_in_files_that_are_empty_have_no_effect() {
    let fixture = three_checkpoints();
    let empty: Vec<_> =
        fixture.files().into_iter().filter(|file| std::fs::metadata(file).unwrap().len() == 0).collect();
    assert_eq!(empty.len(), 3, "a claim, a mark and a request: {empty:?}");
    for file in empty {
        std::fs::write(file, "bytes").unwrap();
    }
    assert_eq!(checked(&fixture.store), Some(3));
    assert_eq!(fixture.store.newest_attempt().unwrap(), Some(0));
    assert_eq!(fixture.store.savepoint_requests().unwrap(), ["later"]);
}

/// Damage of one file.
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
    fn apply(&self, file: &Path, all: &[PathBuf]) {
        let Ok(mut bytes) = std::fs::read(file) else { return };
        let len = bytes.len();
        match self {
            Damage::Removed => return std::fs::remove_file(file).unwrap(),
            Damage::Replaced(other) => bytes = std::fs::read(other.get(all)).unwrap_or_default(),
            Damage::Grown(more) => bytes.extend(more),
            _ if len == 0 => {}
            Damage::Flipped(flips) => flips.iter().for_each(|(at, mask)| bytes[at.index(len)] ^= mask),
            Damage::Overwritten(at, with) => {
                bytes.iter_mut().skip(at.index(len)).zip(with).for_each(|(byte, with)| *byte = *with);
            }
            Damage::Cut(at) => bytes.truncate(at.index(len)),
            Damage::Zeroed(from, to) => bytes[from.index(len)..].iter_mut().take(to.index(len)).for_each(|byte| *byte = 0),
        }
        std::fs::write(file, bytes).unwrap();
    }
}

/// The files of [`three_checkpoints`], in a place of their own.
fn copied(files: &[(PathBuf, Vec<u8>)]) -> Fixture {
    let fixture = Fixture::new();
    for (path, bytes) in files {
        let path = fixture.directory.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    fixture
}

fn files_of(fixture: &Fixture) -> Vec<(PathBuf, Vec<u8>)> {
    let relative = |path: &PathBuf| path.strip_prefix(fixture.directory.path()).unwrap().to_path_buf();
    fixture.files().iter().map(|path| (relative(path), std::fs::read(path).unwrap())).collect()
}

/// Whatever has happened to some of the files: nothing panics, what is found is right, and the job goes on from there.
#[test]
fn what_is_found_among_damaged_files_is_right() {
    let files = files_of(&three_checkpoints());
    let damages = vec((any::<Index>(), damage()), 1..5);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(300));
    let outcome = runner.run(&damages, |damages| {
        let fixture = copied(&files);
        let paths: Vec<PathBuf> = fixture.files();
        for (file, damage) in damages {
            let file: &PathBuf = file.get(&paths);
            damage.apply(file, &paths);
        }
        let store = &fixture.store;
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
