//! Commits: one for each epoch, by the attempt whose turn it is, of the parts of all workers.

use super::*;

#[test]
fn committed_checkpoint_is_found_by_another_handle() {
    let fixture = Fixture::new();
    assert!(matches!(fixture.store.newest().unwrap(), Newest::Never));
    assert_eq!(fixture.store.next_epoch().unwrap(), 0);
    commit_two(&fixture.store, 0, 4).unwrap();
    commit_two(&fixture.store, 0, 11).unwrap();
    let other = open(fixture.directory.path());
    let (checkpoint, passed_over) = found(&other);
    assert_two(&checkpoint, 11);
    assert!(passed_over.is_empty());
    assert_two(&other.checkpoint(4).unwrap(), 4);
    assert_eq!((other.epochs().unwrap(), other.next_epoch().unwrap()), (vec![4, 11], 12));
    let meta = (checkpoint.attempt(), checkpoint.program(), checkpoint.fingerprint(), checkpoint.savepoint());
    assert_eq!(meta, (0, "1.2.0", 0xfeed_0000_0000_0001, None));
    assert_eq!((checkpoint.workers(), checkpoint.keys()), (2, vec![state(), position()]));
    assert!(checkpoint.created_by().starts_with("waterwheel "));
}

#[test]
fn parts_without_a_manifest_are_no_checkpoint() {
    let fixture = Fixture::new();
    write_two(&fixture.store, 0, 1).unwrap();
    assert!(matches!(fixture.store.newest().unwrap(), Newest::Never));
}

#[test]
fn jobs_in_one_directory_do_not_see_each_other() {
    let fixture = Fixture::new();
    let location = fixture.directory.path().to_str().unwrap();
    let other = CheckpointStore::open(location, "other-job").unwrap();
    commit_two(&fixture.store, 0, 1).unwrap();
    assert!(matches!(other.newest().unwrap(), Newest::Never));
    std::fs::create_dir(fixture.directory.path().join("unrelated")).unwrap();
    assert_eq!(CheckpointStore::jobs(location).unwrap(), ["job"]);
    commit_two(&other, 0, 1).unwrap();
    assert_eq!(CheckpointStore::jobs(location).unwrap(), ["job", "other-job"]);
}

#[test]
fn sections_of_a_range_are_those_in_it() {
    let store = CheckpointStore::in_memory("job").unwrap();
    commit_two(&store, 0, 1).unwrap();
    let checkpoint = store.checkpoint(1).unwrap();
    let groups = |range| -> Vec<_> {
        checkpoint.read(&state(), range).map(|section| section.unwrap().key_group.unwrap()).collect()
    };
    assert_eq!(groups(0..64), [0, 63]);
    assert_eq!(groups(63..65), [63, 64]);
    assert_eq!(groups(1..63), [0; 0]);
    assert_eq!(groups(128..1000), [0; 0]);
    #[expect(clippy::reversed_empty_ranges, reason = "a caller may compute one")]
    let reversed = groups(64..0);
    assert_eq!(reversed, [0; 0]);
    assert_eq!(checkpoint.read(&SectionKey::new("count", "timers"), 0..128).count(), 0);
    assert_eq!(checkpoint.read_ungrouped(&state()).count(), 0);
}

#[test]
fn sections_of_one_key_and_group_come_back_in_order() {
    let store = CheckpointStore::in_memory("job").unwrap();
    let mut part = store.writer(0, 1, 0);
    for (group, bytes) in [(Some(5), "a"), (Some(2), "b"), (Some(5), ""), (None, "c"), (Some(5), "d")] {
        part.put(&state(), group, bytes.as_bytes()).unwrap();
    }
    store.commit(1, &[part.finish().unwrap().0], meta(0)).unwrap();
    let checkpoint = store.verify(1).unwrap();
    let read: Vec<_> = checkpoint.read(&state(), 0..128).map(|section| section.unwrap().bytes).collect();
    assert_eq!(read, [&b"b"[..], b"a", b"", b"d"]);
}

#[test]
fn part_larger_than_a_chunk_comes_back() {
    let noise: Vec<u8> = (0..2 * CHUNK as u64 / 8 + 1000)
        .flat_map(|n| xxhash_rust::xxh3::xxh3_64(&n.to_le_bytes()).to_le_bytes())
        .collect();
    let fixture = Fixture::new();
    for store in [&fixture.store, &CheckpointStore::in_memory("job").unwrap()] {
        let mut part = store.writer(0, 1, 0);
        for (group, bytes) in noise.chunks(CHUNK / 3).enumerate() {
            part.put(&state(), Some(group as u32), bytes).unwrap();
        }
        part.put(&position(), None, &noise).unwrap();
        let (info, _) = part.finish().unwrap();
        assert!(info.part.length > 4 * CHUNK as u64);
        store.commit(1, &[info], meta(0)).unwrap();
        let checkpoint = store.verify(1).unwrap();
        let read: Vec<u8> =
            checkpoint.read(&state(), 0..128).flat_map(|section| section.unwrap().bytes).collect();
        assert!(read == noise);
        assert!(checkpoint.read_ungrouped(&position()).next().unwrap().unwrap().bytes == noise);
    }
}

/// A number of an attempt that was used twice must not damage what was committed under it.
#[test]
fn part_is_written_once() {
    let fixture = Fixture::new();
    commit_two(&fixture.store, 0, 1).unwrap();
    let files = fixture.files();
    let small = write_two(&fixture.store, 0, 1).unwrap_err();
    let noise: Vec<u8> = (0..CHUNK as u64 / 4)
        .flat_map(|n| xxhash_rust::xxh3::xxh3_64(&n.to_le_bytes()).to_le_bytes())
        .collect();
    let large = fixture.store.writer(0, 1, 0).put(&state(), Some(0), &noise).unwrap_err();
    for error in [small, large] {
        assert_eq!(error.kind(), ErrorKind::Storage);
        assert!(error.message().contains("00000000000000000001-0000000000.part"), "{error}");
    }
    assert_eq!(fixture.files(), files);
    assert_two(&found(&fixture.store).0, 1);
}

#[test]
fn attempts_have_numbers_of_their_own() {
    let fixture = Fixture::new();
    let claims = std::thread::scope(|scope| {
        let claim = || open(fixture.directory.path()).claim_attempt(0).unwrap();
        let claims: Vec<_> = (0..8).map(|_| scope.spawn(claim)).collect();
        let mut claims: Vec<_> = claims.into_iter().map(|claim| claim.join().unwrap()).collect();
        claims.sort();
        claims
    });
    assert_eq!(claims, [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(fixture.store.claim_attempt(20).unwrap(), 20);
    assert_eq!(fixture.store.claim_attempt(3).unwrap(), 21);
    assert_eq!(fixture.store.claim_attempt(u64::MAX).unwrap(), u64::MAX);
    assert_eq!(fixture.store.claim_attempt(0).unwrap_err().kind(), ErrorKind::Config);
}

#[test]
fn attempt_that_was_superseded_can_not_commit() {
    let fixture = Fixture::new();
    let old = fixture.store.claim_attempt(0).unwrap();
    let parts = write_two(&fixture.store, old, 1).unwrap();
    let new = fixture.store.claim_attempt(0).unwrap();
    let error = fixture.store.commit(1, &parts, meta(old)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced);
    assert_eq!(error.message(), "attempt 0 can not commit epoch 1 of job job: attempt 1 has taken over");
    commit_two(&fixture.store, new, 1).unwrap();
    assert_eq!(found(&fixture.store).0.attempt(), new);
}

/// The claim is looked at before the manifest is written; what decides is that it is written once.
#[test]
fn epoch_is_committed_once_whoever_is_faster() {
    for _ in 0..5 {
        let fixture = &Fixture::new();
        let all: Vec<_> = (0..4).map(|attempt| write_two(&fixture.store, attempt, 1).unwrap()).collect();
        let results: Vec<Result<()>> = std::thread::scope(|scope| {
            let commits: Vec<_> = all
                .iter()
                .zip(0..)
                .map(|(parts, attempt)| scope.spawn(move || open_and_commit(fixture, parts, attempt)))
                .collect();
            commits.into_iter().map(|commit| commit.join().unwrap()).collect()
        });
        let winners: Vec<_> = (0..4).filter(|attempt| results[*attempt].is_ok()).collect();
        assert_eq!(winners.len(), 1, "{results:?}");
        assert_eq!(found(&fixture.store).0.attempt(), winners[0] as u64);
        let losers = results.iter().filter_map(|result| result.as_ref().err());
        assert!(losers.into_iter().all(|error| error.kind() == ErrorKind::Fenced), "{results:?}");
    }
}

fn open_and_commit(fixture: &Fixture, parts: &[PartInfo], attempt: u64) -> Result<()> {
    open(fixture.directory.path()).commit(1, parts, meta(attempt))
}

/// The answer to a commit may be lost on its way; so it may be asked for again.
#[test]
fn commit_of_the_same_once_more_does_nothing() {
    let fixture = Fixture::new();
    let parts = write_two(&fixture.store, 0, 1).unwrap();
    fixture.store.commit(1, &parts, meta(0)).unwrap();
    let files = fixture.files();
    fixture.store.commit(1, &parts, meta(0)).unwrap();
    assert_eq!(fixture.files(), files);
    let other = CheckpointMeta { program: "2".into(), ..meta(0) };
    assert_eq!(fixture.store.commit(1, &parts, other).unwrap_err().kind(), ErrorKind::Fenced);
}

#[test]
fn commit_of_the_wrong_parts_is_refused() {
    let store = CheckpointStore::in_memory("job").unwrap();
    let parts = write_two(&store, 0, 1).unwrap();
    let later = write_two(&store, 0, 2).unwrap();
    let (first, second) = (parts[0].clone(), parts[1].clone());
    for (wrong, what) in [
        (vec![], "[]"),
        (vec![second.clone()], "[1]"),
        (vec![first.clone(), first.clone()], "[0, 0]"),
        (vec![first.clone(), later[1].clone()], "epoch 2"),
    ] {
        let error = store.commit(1, &wrong, meta(0)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
        assert!(error.message().contains(what), "{error}");
    }
    let error = store.commit(1, &parts, meta(3)).unwrap_err();
    assert!(error.message().contains("attempt 3"), "{error}");
    assert!(matches!(store.newest().unwrap(), Newest::Never));
    store.commit(1, &[second, first], meta(0)).unwrap();
    assert_two(&store.verify(1).unwrap(), 1);
}

#[test]
fn commit_without_one_of_its_parts_is_refused_by_name() {
    let fixture = Fixture::new();
    let parts = write_two(&fixture.store, 0, 1).unwrap();
    let gone = parts[1].part.name(fixture.store.layout());
    std::fs::remove_file(fixture.directory.path().join(&gone)).unwrap();
    let error = fixture.store.commit(1, &parts, meta(0)).unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Data, format!("{gone}: it is missing").as_str()));
}

#[test]
fn key_group_out_of_range_is_refused() {
    let store = CheckpointStore::in_memory("job").unwrap();
    let mut part = store.writer(0, 1, 0);
    let error = part.put(&state(), Some(128), b"x").unwrap_err();
    assert!(error.message().contains("count/state: key group 128, expected 0..128"), "{error}");
}

#[test]
fn location_that_can_not_be_used_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let below = file.join("below");
    for location in [file.to_str().unwrap(), below.to_str().unwrap(), "s4://bucket/x", ""] {
        let error = CheckpointStore::open(location, "job").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        assert!(error.message().contains(location), "{error}");
    }
    let missing = directory.path().join("none");
    assert!(CheckpointStore::open_existing(missing.to_str().unwrap(), "job").is_err());
    assert!(!missing.exists());
    let error = CheckpointStore::open(directory.path().to_str().unwrap(), "../job").unwrap_err();
    assert!(error.message().contains("../job"), "{error}");
}
