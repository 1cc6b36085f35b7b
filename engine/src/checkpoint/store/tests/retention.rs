//! What is removed, and what never is.

use super::*;

/// Removes all but so many checkpoints.
#[track_caller]
fn sweep(store: &CheckpointStore, keep: usize, scope: GarbageScope) -> Garbage {
    let garbage = store.garbage(Some(keep), scope).unwrap();
    store.remove(&garbage).unwrap();
    let again = store.garbage(Some(keep), scope).unwrap();
    assert_eq!(again, Garbage::default());
    garbage
}

#[test]
fn newest_checkpoints_are_kept_and_savepoints_beside_them() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    store.claim_attempt(0).unwrap();
    commit_two(store, 0, 1).unwrap();
    let parts = write_two(store, 0, 2).unwrap();
    let savepoint = CheckpointMeta { savepoint: Some("before-upgrade".into()), ..meta(0) };
    store.commit(2, &parts, savepoint).unwrap();
    for epoch in 3..=6 {
        commit_two(store, 0, epoch).unwrap();
    }
    let garbage = sweep(store, 2, GarbageScope::Attempt(0));
    assert_eq!(garbage.checkpoints, [1, 3, 4]);
    assert_eq!(store.epochs().unwrap(), [2, 5, 6]);
    for epoch in [2, 5, 6] {
        assert_two(&store.verify(epoch).unwrap(), epoch);
    }
    assert_eq!(store.verify(2).unwrap().savepoint(), Some("before-upgrade"));
    assert_eq!(fixture.files().len(), 1 + 1 + 3 + 6, "mark, attempt, manifests, parts");
    // Until it is removed by name.
    let garbage = store.garbage_without(2, GarbageScope::Stopped).unwrap();
    assert_eq!((garbage.checkpoints.clone(), garbage.objects.len()), (vec![2], 3));
    assert!(garbage.bytes > 100);
    store.remove(&garbage).unwrap();
    store.remove(&garbage).unwrap();
    assert_eq!(store.epochs().unwrap(), [5, 6]);
    let error = store.garbage_without(2, GarbageScope::Stopped).unwrap_err();
    assert!(error.message().contains("no checkpoint of epoch 2, there are [5, 6]"), "{error}");
    assert!(store.garbage(Some(0), GarbageScope::Stopped).is_err());
}

#[test]
fn crashed_attempts_leave_garbage_and_live_ones_do_not() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let crashed = store.claim_attempt(0).unwrap();
    commit_two(store, crashed, 1).unwrap();
    write_two(store, crashed, 2).unwrap();
    leave_unfinished(store, crashed, 3);
    let manifests = fixture.directory.path().join(store.layout().manifests());
    std::fs::write(manifests.join("00000000000000000000.json#1"), "half").unwrap();
    std::fs::write(manifests.join("00000000000000000009.json#1"), "half").unwrap();
    // It may be alive still.
    assert_eq!(sweep(store, 9, GarbageScope::Beside).objects.len(), 1, "the manifest that came too late");

    let live = store.claim_attempt(0).unwrap();
    write_two(store, live, 2).unwrap();
    leave_unfinished(store, live, 2);
    let before = fixture.files().len();
    let garbage = sweep(store, 9, GarbageScope::Beside);
    // Two parts, an unfinished one, and the claim of the attempt.
    assert_eq!(garbage.objects.len(), 4, "{garbage:?}");
    assert_eq!(fixture.files().len(), before - 4);
    assert!(garbage.objects.iter().all(|name| !name.contains(&store.layout().parts_of(live))), "{garbage:?}");
    assert_two(&found(store).0, 1);
    assert_eq!(store.claim_attempt(0).unwrap(), live + 1);
}

#[test]
fn failed_epochs_of_the_own_attempt_go_with_the_next_commit() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let attempt = store.claim_attempt(0).unwrap();
    write_two(store, attempt, 1).unwrap();
    leave_unfinished(store, attempt, 1);
    assert_eq!(sweep(store, 2, GarbageScope::Attempt(attempt)), Garbage::default());
    commit_two(store, attempt, 2).unwrap();
    write_two(store, attempt, 3).unwrap();
    assert_eq!(sweep(store, 2, GarbageScope::Attempt(attempt)).objects.len(), 2, "both parts of epoch 1");
    assert_eq!(sweep(store, 2, GarbageScope::Stopped).objects.len(), 3, "epoch 3, and what was unfinished");
    assert_two(&found(store).0, 2);
}

#[test]
fn damaged_checkpoints_do_not_count_as_kept() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    store.claim_attempt(0).unwrap();
    for epoch in 1..=5 {
        commit_two(store, 0, epoch).unwrap();
    }
    std::fs::write(fixture.directory.path().join(store.layout().manifest(5)), "torn").unwrap();
    std::fs::remove_file(fixture.directory.path().join(store.layout().part(0, 4, 1))).unwrap();
    sweep(store, 2, GarbageScope::Attempt(0));
    assert_eq!(store.epochs().unwrap(), [2, 3, 4, 5]);
    let (checkpoint, passed_over) = found(store);
    assert_eq!((checkpoint.epoch(), passed_over.len()), (3, 2));
    // The parts of the torn one are there for whoever wants to save them.
    assert!(fixture.directory.path().join(store.layout().part(0, 5, 0)).exists());
    for epoch in [6, 7] {
        commit_two(store, 0, epoch).unwrap();
    }
    sweep(store, 2, GarbageScope::Attempt(0));
    assert_eq!(store.epochs().unwrap(), [6, 7]);
}

/// Leaves what a process that is killed in the middle of a large part leaves.
fn leave_unfinished(store: &CheckpointStore, attempt: u64, epoch: u64) {
    let mut upload = store.shared_storage().upload(&store.layout().part(attempt, epoch, 7)).unwrap();
    upload.write(vec![1; 100]).unwrap();
    std::mem::forget(upload);
}
