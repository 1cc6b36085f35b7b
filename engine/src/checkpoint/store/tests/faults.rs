//! Disks that fail: a checkpoint fails with them, and the next one does not.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

/// A store whose disk does as it is told, and one beside it on the same disk.
fn faulty(
    seed: u64,
    rates: &[(StorageFault, u64)],
) -> (Arc<FaultyStorage>, CheckpointStore, CheckpointStore) {
    let healthy = CheckpointStore::in_memory("job").unwrap();
    let storage = Arc::new(FaultyStorage::with_rates(healthy.shared_storage(), seed, rates));
    let store = CheckpointStore::on(storage.clone(), "job").unwrap();
    (storage, store, healthy)
}

#[test]
fn checkpoint_fails_with_its_disk_and_the_next_succeeds() {
    use StorageFault::{FailedWrite, FullDisk, PermissionLost, TimeOut, TornWrite};
    for (fault, cause) in [
        (FailedWrite, "other error"),
        (TornWrite, "write zero"),
        (FullDisk, "no storage space"),
        (PermissionLost, "permission denied"),
        (TimeOut, "timed out"),
    ] {
        let (storage, store, healthy) = faulty(1, &[]);
        let attempt = store.claim_attempt(0).unwrap();
        commit_two(&store, attempt, 1).unwrap();
        // In the middle of the parts, and between them and the manifest.
        storage.fail_with(fault);
        let error = commit_two(&store, attempt, 2).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Storage, "{error}");
        assert!(error.full_message().contains(cause), "{fault:?}: {}", error.full_message());
        storage.mend();
        let parts = write_two(&store, attempt, 3).unwrap();
        storage.fail_with(fault);
        let error = store.commit(3, &parts, meta(attempt)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Storage, "{error}");
        storage.mend();
        let (checkpoint, passed_over) = found(&healthy);
        // After a time-out nobody can know.
        assert_two(&checkpoint, if fault == TimeOut { 3 } else { 1 });
        assert_eq!(passed_over.len(), usize::from(fault == TornWrite), "{passed_over:?}");
        commit_two(&store, attempt, 4).unwrap();
        assert_two(&found(&healthy).0, 4);
        assert!(storage.injected() >= 2);
    }
}

#[test]
fn disk_that_can_not_be_read_is_no_reason_for_an_older_checkpoint() {
    let (storage, store, _) = faulty(1, &[]);
    commit_two(&store, 0, 1).unwrap();
    storage.fail_with(StorageFault::PermissionLost);
    let error = store.newest().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
    assert!(error.full_message().contains("permission denied"), "{}", error.full_message());
    assert!(store.garbage(Some(1), GarbageScope::Stopped).is_err());
    storage.mend();
    assert_two(&found(&store).0, 1);
}

#[test]
fn byte_that_the_disk_got_wrong_in_silence_is_detected() {
    let (storage, store, _) = faulty(1, &[]);
    commit_two(&store, 0, 1).unwrap();
    storage.fail_with(StorageFault::CorruptByte);
    commit_two(&store, 0, 2).unwrap();
    storage.mend();
    let (checkpoint, passed_over) = found(&store);
    assert_two(&checkpoint, 1);
    assert_eq!(passed_over.len(), 1);
}

#[test]
fn part_that_failed_can_not_be_finished() {
    let (storage, store, healthy) = faulty(1, &[]);
    let noise: Vec<u8> = (0..CHUNK as u64 / 4)
        .flat_map(|n| xxhash_rust::xxh3::xxh3_64(&n.to_le_bytes()).to_le_bytes())
        .collect();
    let mut part = store.writer(0, 1, 0);
    storage.fail_with(StorageFault::FullDisk);
    assert_eq!(part.put(&state(), Some(0), &noise).unwrap_err().kind(), ErrorKind::Storage);
    storage.mend();
    let error = part.put(&state(), Some(1), &noise).and_then(|()| part.finish()).unwrap_err();
    assert!(error.message().contains("has failed before"), "{error}");
    assert_eq!(healthy.shared_storage().list(&store.layout().parts_of(0)).unwrap(), Listing::default());
}

#[test]
fn slow_disk_is_waited_for() {
    let (storage, store, _) = faulty(1, &[(StorageFault::Slow(Duration::from_millis(1)), 1000)]);
    commit_two(&store, 0, 1).unwrap();
    assert_two(&found(&store).0, 1);
    assert_eq!(storage.injected(), 4, "two parts, the manifest, the mark");
    // It ends when the disk is mended, however long it was meant to take.
    let (storage, store, _) = faulty(1, &[]);
    storage.fail_with(StorageFault::Slow(Duration::from_secs(3600)));
    std::thread::scope(|scope| {
        let written = scope.spawn(|| commit_two(&store, 0, 1));
        while !written.is_finished() {
            storage.mend();
            std::thread::yield_now();
        }
        written.join().unwrap().unwrap();
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever fails whenever: a restart finds the newest checkpoint of which it was said that it is there, or a newer
    /// one, with the right state.
    #[test]
    fn commits_that_were_confirmed_are_found(seed in any::<u64>()) {
        use StorageFault::{FailedWrite, FullDisk, TimeOut, TornWrite};
        let rates = [(FailedWrite, 80), (TornWrite, 80), (FullDisk, 80), (TimeOut, 80)];
        let (_, store, healthy) = faulty(seed, &rates);
        let mut confirmed = None;
        for epoch in 0..20 {
            match commit_two(&store, 0, epoch) {
                Ok(()) => confirmed = Some(epoch),
                Err(error) => prop_assert_eq!(error.kind(), ErrorKind::Storage, "{}", error),
            }
            let mut restored = None;
            if let Newest::Found { checkpoint, .. } = healthy.newest().unwrap() {
                assert_two(&checkpoint, checkpoint.epoch());
                restored = Some(checkpoint.epoch());
            }
            prop_assert!(restored >= confirmed, "restored {:?}, confirmed {:?}", restored, confirmed);
        }
    }

    #[test]
    fn one_seed_is_one_schedule(seed in any::<u64>()) {
        let outcomes = || {
            let (storage, store, _) = faulty(seed, &[(StorageFault::FailedWrite, 300)]);
            let outcomes: Vec<_> = (0..20).map(|epoch| commit_two(&store, 0, epoch).is_ok()).collect();
            (outcomes, storage.injected())
        };
        prop_assert_eq!(outcomes(), outcomes());
    }
}
