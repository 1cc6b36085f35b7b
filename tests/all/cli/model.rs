//! Saved models, and recommendations from them.

use super::fixture::{Dir, assert_refused, json_lines};

/// A directory with `ratings.csv` and a model of it.
fn trained() -> Dir {
    let dir = Dir::new();
    dir.generate_ratings(1000);
    let finished = dir.run("train mf --input ratings.csv --epochs 5 --biases --output model");
    assert_eq!(finished.code(), Some(0), "{finished:?}");
    dir
}

/// Items and predictions, as they are printed.
fn recommended(dir: &Dir, args: &str) -> Vec<(u64, f64)> {
    let finished = dir.run(&format!("recommend --model model --json {args}"));
    assert_eq!(finished.code(), Some(0), "{finished:?}");
    let lines = json_lines(&finished);
    assert!(lines.iter().enumerate().all(|(at, line)| line["rank"] == at + 1), "{finished:?}");
    lines.iter().map(|line| (line["item"].as_u64().unwrap(), line["prediction"].as_f64().unwrap())).collect()
}

#[test]
fn recommendations_are_as_many_as_asked_for_and_best_first() {
    let dir = trained();
    for (top, n) in [("", 10), ("--top 3", 3), ("--top 1", 1), ("--top 50", 50), ("--top 1000000", 50)] {
        let items = recommended(&dir, &format!("--user 1 {top}"));
        assert_eq!(items.len(), n, "{top}");
        assert!(items.windows(2).all(|pair| pair[0].1 >= pair[1].1), "{items:?}");
    }
    let table = dir.run("recommend --model model --user 1 --top 3");
    assert_eq!(table.out.lines().count(), 4, "{table:?}");
}

#[test]
fn no_recommendations_are_none() {
    let dir = trained();
    assert!(recommended(&dir, "--user 1 --top 0").is_empty());
}

#[test]
fn user_that_the_model_does_not_know_is_named() {
    let dir = trained();
    assert_refused(&dir.run("recommend --model model --user 4711"), 1, &["user 4711"]);
    assert_refused(
        &dir.run("recommend --model model --user 18446744073709551615"),
        1,
        &["18446744073709551615"],
    );
    assert_refused(&dir.run("recommend --model model --user bob"), 2, &["--user", "'bob'"]);
    assert_refused(&dir.run("recommend --model model --user=-1"), 2, &["--user", "'-1'"]);
    assert_refused(&dir.run("recommend --model model --user 1 --top=-1"), 2, &["--top", "'-1'"]);
}

#[test]
fn items_that_were_seen_are_left_out() {
    let dir = trained();
    let text = std::fs::read_to_string(dir.path("ratings.csv")).unwrap();
    let of_user = text.lines().filter_map(|line| line.strip_prefix("1,"));
    let seen: std::collections::BTreeSet<u64> =
        of_user.map(|line| line.split(',').next().unwrap().parse().unwrap()).collect();
    assert!(!seen.is_empty());
    let items = recommended(&dir, "--user 1 --top 50 --seen ratings.csv");
    assert_eq!(items.len(), 50 - seen.len());
    assert!(items.iter().all(|(item, _)| !seen.contains(item)), "{items:?}");
    dir.write("more.csv", format!("1,{},5\n2,3,4\n", items[0].0));
    let fewer = recommended(&dir, "--user 1 --top 50 --seen ratings.csv more.csv");
    assert_eq!(fewer, items[1..]);
}

#[test]
fn file_of_seen_items_with_a_mistake_is_named() {
    let dir = trained();
    assert_refused(&dir.run("recommend --model model --user 1 --seen none.csv"), 1, &["none.csv"]);
    dir.write("bad.csv", "1,2,3\n1,x,3\n");
    assert_refused(&dir.run("recommend --model model --user 1 --seen bad.csv"), 1, &["bad.csv:2", "\"x\""]);
    let skipped = dir.run("recommend --model model --user 1 --seen bad.csv --on-bad-record skip");
    assert_eq!(skipped.code(), Some(0), "{skipped:?}");
    assert!(skipped.err.contains("bad.csv:2"), "skipped in silence: {skipped:?}");
}

#[test]
fn model_that_is_missing_or_damaged_is_refused_by_name() {
    let dir = trained();
    assert_refused(&dir.run("recommend --model none --user 1"), 1, &["none/model.json"]);
    let path = dir.path("model/model.safetensors");
    let good = std::fs::read(&path).unwrap();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    for bad in [&flipped[..], &good[..good.len() / 2], &[], &[good.as_slice(), &[0]].concat()] {
        std::fs::write(&path, bad).unwrap();
        assert_refused(
            &dir.run("recommend --model model --user 1"),
            1,
            &["model/model.safetensors", "checksum"],
        );
    }
    std::fs::remove_file(&path).unwrap();
    assert_refused(&dir.run("recommend --model model --user 1"), 1, &["model/model.safetensors"]);
    std::fs::write(&path, &good).unwrap();
    for bad in ["", "{}", "\u{0}\u{1}", "{\"format\":\"waterwheel-mf\""] {
        dir.write("model/model.json", bad);
        assert_refused(&dir.run("recommend --model model --user 1"), 1, &["model/model.json"]);
    }
}

#[test]
fn output_that_can_not_be_written_is_named() {
    let dir = Dir::new();
    dir.generate_ratings(100);
    dir.write("file", "");
    for (output, shape) in [("/proc/none/model", "-w 1"), ("file", "-w 2"), ("file/model", "-n 2")] {
        let finished = dir.run(&format!("train mf --input ratings.csv --epochs 1 --output {output} {shape}"));
        assert_refused(&finished, 1, &[output]);
    }
}

/// Hours of training should not end in a typing error.
#[test]
fn output_that_can_not_be_written_is_refused_before_training() {
    let dir = Dir::new();
    dir.generate_ratings(100);
    dir.write("file", "");
    let finished = dir.run("train mf --input ratings.csv --epochs 1 --output file");
    assert_refused(&finished, 1, &["file"]);
    assert!(!finished.err.contains("epoch"), "trained first: {finished:?}");
}

#[test]
fn model_replaces_the_one_before_and_leaves_nothing_else() {
    let dir = trained();
    let before = dir.model_bytes("model");
    let finished = dir.run("train mf --input ratings.csv --epochs 1 --rank 3 --output model");
    assert_eq!(finished.code(), Some(0), "{finished:?}");
    assert!(dir.model_bytes("model") != before);
    assert_eq!(recommended(&dir, "--user 1").len(), 10);
    assert_eq!(std::fs::read_dir(dir.path("model")).unwrap().count(), 2);
}
