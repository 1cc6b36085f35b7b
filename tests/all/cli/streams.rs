//! Standard output and error: what is printed, and what if nobody reads it.

use super::fixture::{Dir, assert_no_panic, json_lines};

#[test]
fn json_has_one_line_per_epoch_and_a_last_one_with_the_results() {
    let dir = Dir::new();
    dir.generate_ratings(500);
    for shape in ["-w 1", "-w 4", "-n 2"] {
        let finished =
            dir.run(&format!("train mf --input ratings.csv --epochs 4 --holdout-every 10 --json {shape}"));
        let lines = json_lines(&finished);
        assert_eq!(lines.len(), 5, "{shape}: {finished:?}");
        for (at, line) in lines[..4].iter().enumerate() {
            assert_eq!((&line["epoch"], &line["ratings"]), (&(at + 1).into(), &450.into()), "{shape}");
            assert!(line["train_rmse"].as_f64().unwrap() > 0.0, "{shape}: {line}");
        }
        let last = &lines[4];
        assert_eq!(last["epochs"], 4);
        for number in ["train_rmse", "test_rmse", "ratings_per_second", "peak_rss_bytes"] {
            assert!(last[number].as_f64().unwrap() > 0.0, "{shape}: {number} in {last}");
        }
        assert!(finished.err.is_empty(), "{shape}: {finished:?}");
    }
}

#[test]
fn text_for_people_has_no_escape_codes_when_it_is_no_terminal() {
    let dir = Dir::new();
    dir.generate_ratings(100);
    let finished = dir.run("train mf --input ratings.csv --epochs 2 --holdout-every 10");
    assert!(finished.out.starts_with("trained on 90 ratings"), "{finished:?}");
    assert!(finished.err.contains("epoch   2"), "{finished:?}");
    assert_no_panic(&finished);
}

/// Runs a line of shell whose last command ends early; the code of `$W` is in the file `code`.
fn code_of(dir: &Dir, line: &str) -> (String, crate::failures::process::Finished) {
    let finished = dir.shell(line);
    (std::fs::read_to_string(dir.path("code")).unwrap_or_default().trim().to_string(), finished)
}

#[test]
fn reader_of_the_output_that_leaves_early_does_not_undo_the_training() {
    let dir = Dir::new();
    dir.generate_ratings(2000);
    for shape in ["-w 1", "-w 2", "-n 2"] {
        let args = format!("train mf --input ratings.csv --epochs 30 --json --output model {shape}");
        let (code, finished) = code_of(&dir, &format!("($W {args}; echo $? > code) | head -1"));
        assert_eq!((code.as_str(), finished.out.lines().count()), ("0", 1), "{shape}: {finished:?}");
        assert_no_panic(&finished);
        assert!(dir.path("model").join("model.json").exists(), "{shape}");
        std::fs::remove_dir_all(dir.path("model")).unwrap();
    }
}

#[test]
fn reader_of_the_progress_that_leaves_early_does_not_undo_the_training() {
    let dir = Dir::new();
    dir.generate_ratings(2000);
    for shape in ["-w 1", "-w 2", "-n 2"] {
        let args = format!("train mf --input ratings.csv --epochs 30 --output model {shape}");
        let (code, finished) =
            code_of(&dir, &format!("($W {args} 2>&1 >/dev/null; echo $? > code) | head -1"));
        assert_eq!(code, "0", "{shape}: {finished:?}");
        assert!(dir.path("model").join("model.json").exists(), "{shape}");
        std::fs::remove_dir_all(dir.path("model")).unwrap();
    }
}

#[test]
fn reader_of_bad_lines_that_leaves_early_does_not_undo_the_training() {
    let dir = Dir::new();
    let lines: String = (0..300).map(|i| format!("{i},1,3\n{i},x,3\n")).collect();
    dir.write("bad.csv", lines);
    let args = "train mf --input bad.csv --epochs 3 --output model --json --on-bad-record skip";
    let (code, finished) = code_of(&dir, &format!("($W {args} 2>&1 >/dev/null; echo $? > code) | head -1"));
    assert_eq!(code, "0", "{finished:?}");
    assert!(dir.path("model").join("model.json").exists());
}

#[test]
fn closed_streams_do_not_lose_the_model() {
    let dir = Dir::new();
    dir.generate_ratings(1000);
    for closed in [">&-", ">&- 2>&-", ">&- 2>&- <&-"] {
        for shape in ["-w 2", "-n 2"] {
            let args = format!("train mf --input ratings.csv --epochs 3 --output model {shape}");
            let finished = dir.shell(&format!("$W {args} {closed}"));
            assert_eq!(finished.code(), Some(0), "{closed} {shape}: {finished:?}");
            assert!(dir.path("model").join("model.json").exists(), "{closed} {shape}");
            std::fs::remove_dir_all(dir.path("model")).unwrap();
        }
    }
}

/// A broken pipe means that nobody wants the results; a full disk means that somebody misses them.
#[test]
fn results_that_can_not_be_written_to_a_full_disk_are_an_error() {
    let dir = Dir::new();
    dir.generate_ratings(100);
    let finished = dir.shell("$W train mf --input ratings.csv --epochs 1 --json > /dev/full");
    assert_eq!(finished.code(), Some(1), "{finished:?}");
    assert!(finished.err.contains("standard output"), "{finished:?}");
}

#[test]
fn error_that_nobody_reads_still_fails_with_its_code() {
    let dir = Dir::new();
    let (code, _) = code_of(&dir, "($W train mf --input none 2>&1; echo $? > code) | true");
    assert_eq!(code, "1");
    let finished = dir.shell("$W train mf --input none 2>&-");
    assert_eq!(finished.code(), Some(1), "{finished:?}");
}

#[test]
fn generator_whose_reader_leaves_early_ends_at_once_and_in_peace() {
    let dir = Dir::new();
    let (code, finished) =
        code_of(&dir, "($W generate ratings --count 1000000000; echo $? > code) | head -1");
    assert_eq!((code.as_str(), finished.out.trim()), ("0", "user,item,rating"), "{finished:?}");
    assert!(finished.err.is_empty(), "{finished:?}");
}

#[test]
fn generator_on_a_full_disk_is_an_error() {
    let dir = Dir::new();
    for line in ["$W generate ratings --count 10 > /dev/full", "$W generate ratings --count 10 -o /dev/full"]
    {
        let finished = dir.shell(line);
        assert_eq!(finished.code(), Some(1), "{finished:?}");
        assert!(finished.err.contains("No space left"), "{finished:?}");
        assert_no_panic(&finished);
    }
}

#[test]
fn recommendations_whose_reader_leaves_early_end_in_peace() {
    let dir = Dir::new();
    dir.generate_ratings(1000);
    dir.run("train mf --input ratings.csv --epochs 1 --output model");
    for reader in ["head -1", "true"] {
        for form in ["", "--json"] {
            let line =
                format!("($W recommend --model model --user 1 --top 50 {form}; echo $? > code) | {reader}");
            let (code, finished) = code_of(&dir, &line);
            assert_no_panic(&finished);
            assert_eq!((code.as_str(), finished.err.as_str()), ("0", ""), "{line}: {finished:?}");
        }
    }
}
