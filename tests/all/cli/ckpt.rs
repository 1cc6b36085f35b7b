//! `ckpt`: on checkpoints that were written through the public interface of the store.

use serde_json::{Value, json};
use waterwheel::engine::checkpoint::{CheckpointMeta, CheckpointStore, SectionKey, SectionTable};

use super::fixture::{Dir, assert_no_panic, assert_refused, json_lines};
use crate::failures::process::Finished;

/// Opens the checkpoints of a job in the directory `state`.
fn store(dir: &Dir, job: &str) -> CheckpointStore {
    CheckpointStore::open(dir.path("state").to_str().unwrap(), job).unwrap()
}

/// Commits a checkpoint of two workers, the second of which takes its state over where there is one.
fn commit(
    store: &CheckpointStore,
    attempt: u64,
    epoch: u64,
    savepoint: Option<&str>,
    base: &SectionTable,
) -> SectionTable {
    let counts = SectionKey::new("count", "state");
    let mut tables = Vec::new();
    let mut parts = Vec::new();
    for worker in 0..2 {
        let mut part = store.writer(attempt, epoch, worker);
        let group = Some(worker * 64);
        if worker == 1 && base.contains(&counts, group) {
            part.carry(base, &counts, group).unwrap();
        } else {
            part.put(&counts, group, format!("counts of epoch {epoch} ").repeat(50).as_bytes()).unwrap();
        }
        part.put(&SectionKey::new("lines", "position"), None, &epoch.to_le_bytes()).unwrap();
        let (info, table) = part.finish().unwrap();
        parts.push(info);
        tables.push(table);
    }
    let program = "1.2.0".to_owned();
    let meta = CheckpointMeta {
        attempt,
        program,
        fingerprint: 0xabc,
        savepoint: savepoint.map(str::to_owned),
        state_version: 0,
    };
    store.commit(epoch, &parts, meta).unwrap();
    tables.pop().unwrap()
}

/// Epochs 1 to 4 of a job, of which 2 is a savepoint.
fn words() -> Dir {
    let dir = Dir::new();
    let store = store(&dir, "words");
    let attempt = store.claim_attempt(0).unwrap();
    let table = commit(&store, attempt, 1, None, &SectionTable::default());
    commit(&store, attempt, 2, Some("before-upgrade"), &table);
    commit(&store, attempt, 3, None, &table);
    commit(&store, attempt, 4, None, &table);
    dir
}

/// The path of the only file below the state of `words` whose name has all these parts.
fn file(dir: &Dir, parts: &[&str]) -> std::path::PathBuf {
    let mut files = Vec::new();
    let mut directories = vec![dir.path("state")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { directories.push(path) } else { files.push(path) }
        }
    }
    files.retain(|path| parts.iter().all(|part| path.to_str().unwrap().contains(part)));
    assert_eq!(files.len(), 1, "{files:?}");
    files.pop().unwrap()
}

#[track_caller]
fn assert_code(finished: &Finished, code: i32) {
    assert_eq!(finished.code(), Some(code), "{finished:?}");
    assert_no_panic(finished);
}

/// Lines of JSON, after an end with this code.
#[track_caller]
fn lines(dir: &Dir, args: &str, code: i32) -> Vec<Value> {
    let finished = dir.run(&format!("ckpt {args} --json"));
    assert_code(&finished, code);
    json_lines(&finished)
}

fn field(lines: &[Value], name: &str) -> Vec<Value> {
    lines.iter().map(|line| line[name].clone()).collect()
}

#[test]
fn checkpoints_are_listed_with_savepoints() {
    let dir = words();
    let listed = lines(&dir, "ls state", 0);
    assert_eq!(field(&listed, "epoch"), [1, 2, 3, 4]);
    assert_eq!(field(&listed, "savepoint"), [json!(null), json!("before-upgrade"), json!(null), json!(null)]);
    for line in &listed {
        assert_eq!(
            (&line["job"], &line["attempt"], &line["workers"]),
            (&json!("words"), &json!(0), &json!(2))
        );
        assert_eq!((&line["program"], &line["damage"]), (&json!("1.2.0"), &json!(null)));
        assert!(
            line["bytes"].as_u64().unwrap() > 0 && line["written"].as_str().unwrap().ends_with('Z'),
            "{line}"
        );
    }
    assert_eq!(listed[0]["shared_bytes"], 0);
    assert!(listed[1]["shared_bytes"].as_u64().unwrap() > 0);
    let table = dir.run("ckpt ls state");
    assert_code(&table, 0);
    let rows: Vec<Vec<&str>> = table.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows.len(), 5);
    assert_eq!(rows[0][..4], ["JOB", "EPOCH", "KIND", "ATTEMPT"]);
    assert_eq!(rows[2][..4], ["words", "2", "savepoint", "before-upgrade"]);
    assert!(rows[1..].iter().all(|row| row.last() == Some(&"whole")), "{table:?}");
}

#[test]
fn damage_is_listed_by_name_and_ends_with_1() {
    let dir = words();
    std::fs::write(file(&dir, &["manifests", "03.json"]), "torn").unwrap();
    std::fs::remove_file(file(&dir, &["parts", "04-0000000001"])).unwrap();
    for command in ["ls state", "verify state"] {
        let listed = lines(&dir, command, 1);
        assert_eq!(field(&listed, "epoch"), [1, 2, 3, 4]);
        assert!(listed[..2].iter().all(|line| line["damage"].is_null()), "{listed:?}");
        assert!(listed[2]["damage"].as_str().unwrap().contains("03.json"), "{listed:?}");
        assert!(
            listed[3]["damage"].as_str().unwrap().contains("04-0000000001.part: it is missing"),
            "{listed:?}"
        );
        let table = dir.run(&format!("ckpt {command}"));
        assert_code(&table, 1);
        assert_eq!(table.out.matches("damaged: words/").count(), 2, "{table:?}");
    }
}

#[test]
fn verify_reads_what_a_list_does_not() {
    let dir = words();
    assert_code(&dir.run("ckpt verify state"), 0);
    let path = file(&dir, &["parts", "01-0000000001"]);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[30] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert_code(&dir.run("ckpt ls state"), 0);
    let verified = lines(&dir, "verify state", 1);
    // All of them stand on the section.
    assert!(
        verified.iter().all(|line| line["damage"].as_str().unwrap().contains("01-0000000001.part")),
        "{verified:?}"
    );
    assert_eq!(lines(&dir, "verify state --epoch 3", 1).len(), 1);
    assert_eq!(
        lines(&dir, "verify state --epoch 9", 1)[0]["damage"].as_str().unwrap().matches("missing").count(),
        1
    );
}

#[test]
fn verify_of_a_job_that_has_lost_its_checkpoints_ends_with_1() {
    let dir = words();
    std::fs::remove_dir_all(dir.path("state/words/manifests")).unwrap();
    let verified = lines(&dir, "verify state", 1);
    assert_eq!(field(&verified, "epoch"), [json!(null)]);
    assert!(verified[0]["damage"].as_str().unwrap().contains("none is left"), "{verified:?}");
}

#[test]
fn inspect_shows_parts_and_the_state_of_each_operator() {
    let dir = words();
    let shown = lines(&dir, "inspect state", 0).pop().unwrap();
    assert_eq!((&shown["epoch"], &shown["fingerprint"]), (&json!(4), &json!("0000000000000abc")));
    assert_eq!(
        (shown["parts"].as_array().unwrap().len(), shown["refers_to"][0]["epoch"].clone()),
        (2, json!(1))
    );
    let states = shown["states"].as_array().unwrap();
    let names: Vec<_> = states
        .iter()
        .map(|state| (state["operator"].as_str().unwrap(), state["kind"].as_str().unwrap()))
        .collect();
    assert_eq!(names, [("count", "state"), ("lines", "position")]);
    assert_eq!((&states[0]["sections"], &states[0]["key_groups"]), (&json!(2), &json!(2)));
    assert_eq!((&states[1]["bytes"], &states[1]["key_groups"]), (&json!(16), &json!(0)));
    assert!(states[0]["stored_bytes"].as_u64().unwrap() < states[0]["bytes"].as_u64().unwrap());
    let text = dir.run("ckpt inspect state --epoch 2");
    assert_code(&text, 0);
    for part in ["savepoint before-upgrade", "OPERATOR", "count", "position", "earlier"] {
        assert!(text.out.contains(part), "no {part}: {text:?}");
    }
    std::fs::write(file(&dir, &["manifests", "04.json"]), "").unwrap();
    assert_refused(&dir.run("ckpt inspect state"), 1, &["04.json"]);
}

#[test]
fn gc_keeps_the_newest_and_savepoints_and_what_they_need() {
    let dir = words();
    let planned = lines(&dir, "gc state --keep 1 --stopped --dry-run", 0);
    assert_eq!((&planned[0]["checkpoints"], &planned[0]["removed"]), (&json!([1, 3]), &json!(false)));
    assert_eq!(lines(&dir, "ls state", 0).len(), 4);
    let removed = lines(&dir, "gc state --keep 1 --stopped", 0);
    assert_eq!((&removed[0]["objects"], &removed[0]["removed"]), (&planned[0]["objects"], &json!(true)));
    assert_eq!(field(&lines(&dir, "verify state", 0), "epoch"), [2, 4]);
    let again = dir.run("ckpt gc state --keep 1 --stopped");
    assert_code(&again, 0);
    assert_eq!(again.out, "words: removed 0 checkpoints, 0 files, 0 B\n");
}

#[test]
fn gc_leaves_the_newest_attempt_alone_unless_it_is_stopped() {
    let dir = words();
    let store = store(&dir, "words");
    store.writer(0, 5, 0).finish().unwrap();
    assert_eq!(lines(&dir, "gc state", 0)[0]["objects"], json!([]));
    let next = store.claim_attempt(0).unwrap();
    store.writer(next, 5, 0).finish().unwrap();
    let removed = lines(&dir, "gc state", 0);
    assert_eq!(removed[0]["objects"].as_array().unwrap().len(), 2, "its part and its claim: {removed:?}");
    assert_eq!(lines(&dir, "gc state --stopped", 0)[0]["objects"].as_array().unwrap().len(), 1);
    assert_eq!(lines(&dir, "verify state", 0).len(), 4);
}

#[test]
fn rm_takes_one_and_the_newest_by_force_only() {
    let dir = words();
    assert_eq!(lines(&dir, "rm state --epoch 2 --stopped", 0)[0]["checkpoints"], json!([2]));
    assert_eq!(field(&lines(&dir, "verify state", 0), "epoch"), [1, 3, 4]);
    assert_refused(&dir.run("ckpt rm state --epoch 4"), 2, &["epoch 4", "--force"]);
    assert_refused(&dir.run("ckpt rm state --epoch 9"), 2, &["epoch 9", "[1, 3, 4]"]);
    assert_code(&dir.run("ckpt rm state --epoch 4 --force"), 0);
    assert_eq!(field(&lines(&dir, "verify state", 0), "epoch"), [1, 3]);
}

#[test]
fn jobs_of_one_location_are_told_apart() {
    let dir = words();
    let other = store(&dir, "clicks");
    commit(&other, 0, 7, None, &SectionTable::default());
    assert_eq!(field(&lines(&dir, "ls state", 0), "job"), ["clicks", "words", "words", "words", "words"]);
    assert_eq!(field(&lines(&dir, "verify state --job clicks", 0), "epoch"), [7]);
    assert_refused(&dir.run("ckpt inspect state"), 2, &["--job", "clicks", "words"]);
    assert_refused(&dir.run("ckpt ls state --job click"), 2, &["\"click\"", "clicks"]);
    assert_code(&dir.run("ckpt inspect state --job clicks"), 0);
}

#[test]
fn location_that_is_missing_or_unknown_is_wrong_usage() {
    let dir = Dir::new();
    dir.write("file", "");
    for (args, part) in [
        ("ls none", "none"),
        ("verify file", "file"),
        ("gc s4://bucket/x", "s4://"),
        ("inspect .", "no checkpoints"),
        ("ls", "LOCATION"),
        ("rm .", "--epoch"),
        ("gc . --keep 0", "--keep"),
    ] {
        assert_refused(&dir.run(&format!("ckpt {args}")), 2, &[part]);
    }
    assert!(!dir.path("none").exists());
    assert!(lines(&dir, "ls .", 0).is_empty());
}
