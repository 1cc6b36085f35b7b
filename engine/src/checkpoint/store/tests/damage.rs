//! Damage of every kind is found, and named; a restart takes the checkpoint before it or refuses.

use super::*;

/// Two checkpoints, and the files of the second: parts and manifest.
fn two_checkpoints() -> (Fixture, Vec<PathBuf>) {
    let fixture = Fixture::new();
    commit_two(&fixture.store, 0, 1).unwrap();
    let before = fixture.files();
    commit_two(&fixture.store, 0, 2).unwrap();
    let files: Vec<_> = fixture.files().into_iter().filter(|file| !before.contains(file)).collect();
    assert_eq!(files.len(), 3, "{files:?}");
    (fixture, files)
}

/// Checks that a restart takes epoch 1 and says what is wrong with the file of epoch 2.
#[track_caller]
fn assert_falls_back(fixture: &Fixture, file: &Path, what: &str) {
    let (checkpoint, passed_over) = found(&fixture.store);
    assert_two(&checkpoint, 1);
    let name = file.file_name().unwrap().to_str().unwrap();
    let [error] = &passed_over[..] else { panic!("{file:?} {what}: {passed_over:?}") };
    assert!(error.message().contains(name), "{what}: {error}");
    assert_eq!(error.kind(), ErrorKind::Data, "{what}: {error}");
}

#[test]
fn every_flipped_byte_is_detected_and_the_checkpoint_before_is_taken() {
    let (fixture, files) = two_checkpoints();
    for file in files {
        let good = std::fs::read(&file).unwrap();
        for at in 0..good.len() {
            for mask in [0x01, 0xff] {
                let mut bad = good.clone();
                bad[at] ^= mask;
                std::fs::write(&file, &bad).unwrap();
                assert_falls_back(&fixture, &file, &format!("byte {at} ^ {mask:#x}"));
            }
        }
        std::fs::write(&file, &good).unwrap();
    }
    assert_two(&found(&fixture.store).0, 2);
}

#[test]
fn truncation_at_every_length_and_bytes_behind_the_end_are_detected() {
    let (fixture, files) = two_checkpoints();
    for file in files {
        let good = std::fs::read(&file).unwrap();
        for len in 0..good.len() {
            std::fs::write(&file, &good[..len]).unwrap();
            assert_falls_back(&fixture, &file, &format!("cut to {len} bytes"));
        }
        for more in [&b"\0"[..], b"\n", &good] {
            std::fs::write(&file, [&good, more].concat()).unwrap();
            assert_falls_back(&fixture, &file, "bytes behind its end");
        }
        std::fs::remove_file(&file).unwrap();
        // Without its manifest there is no second checkpoint.
        if file.extension().unwrap() == "part" {
            assert_falls_back(&fixture, &file, "removed");
        } else {
            assert_two(&found(&fixture.store).0, 1);
        }
        std::fs::write(&file, &good).unwrap();
    }
    assert_two(&found(&fixture.store).0, 2);
}

/// Flipped bytes that a reader comes to without verifying all first are errors too, and nothing panics.
#[test]
fn every_flipped_byte_is_an_error_or_without_effect_for_who_only_reads() {
    let (fixture, files) = two_checkpoints();
    for file in files {
        let good = std::fs::read(&file).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            std::fs::write(&file, &bad).unwrap();
            let Ok(checkpoint) = fixture.store.checkpoint(2) else { continue };
            let read = checkpoint.read(&state(), 0..128).chain(checkpoint.read_ungrouped(&position()));
            if read.collect::<Result<Vec<_>>>().is_ok() {
                assert_two(&checkpoint, 2);
            }
        }
        std::fs::write(&file, &good).unwrap();
    }
}

#[test]
fn valid_part_of_another_epoch_attempt_or_worker_is_detected() {
    let (fixture, files) = two_checkpoints();
    write_two(&fixture.store, 5, 2).unwrap();
    let part = |attempt, epoch, worker| {
        fixture.directory.path().join(fixture.store.layout().part(attempt, epoch, worker))
    };
    let file = part(0, 2, 0);
    assert!(files.contains(&file));
    for other in [part(0, 1, 0), part(0, 2, 1), part(5, 2, 0)] {
        let good = std::fs::read(&file).unwrap();
        std::fs::copy(&other, &file).unwrap();
        assert_falls_back(&fixture, &file, &format!("replaced by {other:?}"));
        std::fs::write(&file, &good).unwrap();
    }
}

#[test]
fn manifest_under_another_name_is_detected() {
    let (fixture, _) = two_checkpoints();
    let path = |epoch| fixture.directory.path().join(fixture.store.layout().manifest(epoch));
    std::fs::copy(path(2), path(7)).unwrap();
    let (checkpoint, passed_over) = found(&fixture.store);
    assert_two(&checkpoint, 2);
    assert!(
        passed_over[0].message().contains("found epoch 2 of job job, expected epoch 7"),
        "{passed_over:?}"
    );
    // Its epoch is taken.
    assert_eq!(fixture.store.next_epoch().unwrap(), 8);
}

#[test]
fn job_with_damaged_checkpoints_alone_is_no_new_job() {
    let (fixture, _) = two_checkpoints();
    for epoch in [1, 2] {
        let path = fixture.directory.path().join(fixture.store.layout().manifest(epoch));
        std::fs::write(path, "").unwrap();
    }
    let Newest::Lost(error) = fixture.store.newest().unwrap() else { panic!("not lost") };
    assert_eq!(error.kind(), ErrorKind::Data);
    for name in ["job job", "00000000000000000001.json", "00000000000000000002.json"] {
        assert!(error.message().contains(name), "{error}");
    }
}

#[test]
fn job_whose_checkpoints_were_all_removed_is_no_new_job() {
    let (fixture, _) = two_checkpoints();
    std::fs::remove_dir_all(fixture.directory.path().join(fixture.store.layout().manifests())).unwrap();
    let Newest::Lost(error) = fixture.store.newest().unwrap() else { panic!("not lost") };
    assert!(error.message().contains("all were removed"), "{error}");
}

/// A later version is no damage: to pass it over would lose what it holds.
#[test]
fn checkpoint_of_a_later_version_is_refused() {
    let (fixture, _) = two_checkpoints();
    let path = fixture.directory.path().join(fixture.store.layout().manifest(2));
    let text = std::fs::read_to_string(&path).unwrap();
    let body = text.split_once('\n').unwrap().1;
    let sum = xxhash_rust::xxh3::xxh3_64_with_seed(body.as_bytes(), 2);
    let first = format!("{{\"format\":\"waterwheel-checkpoint\",\"version\":2,\"xxh3\":\"{sum:016x}\"}}");
    std::fs::write(&path, format!("{first}\n{body}")).unwrap();
    let error = fixture.store.newest().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.message().contains("version 2, this build reads"), "{error}");
}

#[test]
fn files_that_are_not_ours_are_left_alone() {
    let (fixture, _) = two_checkpoints();
    fixture.store.claim_attempt(0).unwrap();
    let job = fixture.directory.path().join("job");
    for name in ["manifests/notes.txt", "manifests/1.json", "parts/x", "attempts/one", "other"] {
        std::fs::write(job.join(name), "foreign").unwrap();
    }
    let (checkpoint, passed_over) = found(&fixture.store);
    assert_two(&checkpoint, 2);
    assert!(passed_over.is_empty());
    let garbage = fixture.store.garbage(Some(1), GarbageScope::Stopped).unwrap();
    assert_eq!(garbage.objects.len(), 3, "{garbage:?}");
}
