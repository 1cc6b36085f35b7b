//! Files of ratings: every form, good and bad.

use std::fmt::Write;

use super::fixture::{Dir, assert_no_panic, assert_refused, json_lines};

/// The rows of `ratings.csv` as text fields.
fn rows(dir: &Dir) -> Vec<[String; 3]> {
    let text = std::fs::read_to_string(dir.path("ratings.csv")).unwrap();
    let row = |line: &str| -> [String; 3] {
        let fields: Vec<_> = line.split(',').map(String::from).collect();
        fields.try_into().unwrap()
    };
    text.lines().skip(1).map(row).collect()
}

#[test]
fn every_form_of_a_file_makes_the_same_model() {
    let dir = Dir::new();
    dir.generate_ratings(1000);
    let rows = rows(&dir);
    let form = |header: &str, end: &str, line: &dyn Fn(&[String; 3]) -> String| {
        let mut text = header.to_string();
        rows.iter().for_each(|row| write!(text, "{}{end}", line(row)).unwrap());
        text
    };
    let plain = form("user,item,rating\n", "\n", &|[u, i, r]| format!("{u},{i},{r}"));
    let forms = [
        ("plain", plain.clone()),
        ("without_final_newline", plain.trim_end().into()),
        ("without_header", form("", "\n", &|[u, i, r]| format!("{u},{i},{r}"))),
        ("other_order", form("rating,when,item,user\n", "\n", &|[u, i, r]| format!("{r},7,{i},{u}"))),
        ("movielens", form("", "\n", &|[u, i, r]| format!("{u}::{i}::{r}::964982703"))),
        (
            "movielens_csv",
            form("userId,movieId,rating,timestamp\n", "\n", &|[u, i, r]| format!("{u},{i},{r},9")),
        ),
        ("tabs", form("", "\n", &|[u, i, r]| format!("{u}\t{i}\t{r}\t964982703"))),
        ("crlf", form("user,item,rating\r\n", "\r\n", &|[u, i, r]| format!("{u},{i},{r}"))),
        ("crlf_colons", form("", "\r\n", &|[u, i, r]| format!("{u}::{i}::{r}"))),
        ("byte_order_mark", format!("\u{feff}{plain}")),
        (
            "quotes",
            form("\"user\";\"item\";\"rating\"\n", "\n", &|[u, i, r]| format!("\"{u}\";\"{i}\";\"{r}\"")),
        ),
        ("blank_lines", form("\n\nuser,item,rating\n\n", "\n\n", &|[u, i, r]| format!("{u},{i},{r}"))),
        ("spaces", form("", "\n", &|[u, i, r]| format!("{u} {i} {r}"))),
    ];
    let mut first = None;
    for (name, text) in &forms {
        dir.write(&format!("{name}.csv"), text);
        for workers in [1, 3] {
            let args = format!(
                "train mf --input {name}.csv --epochs 2 --biases -w {workers} --output {name} --json"
            );
            let summary = dir.summary(&args);
            assert_eq!(summary["ratings"], 1000, "{name}: {summary}");
            let model = dir.model_bytes(name);
            assert!(first.get_or_insert_with(|| model.clone()) == &model, "{name} at {workers} workers");
        }
    }
}

#[test]
fn several_files_are_read_however_they_are_given() {
    let dir = Dir::new();
    dir.generate_ratings(1000);
    let rows = rows(&dir);
    let part = |rows: &[[String; 3]], separator: &str| -> String {
        rows.iter().map(|row| row.join(separator) + "\n").collect()
    };
    dir.write("a.csv", part(&rows[..300], ","));
    dir.write("b.csv", format!("item,user,rating\n{}", part(&rows[300..], ",").replace("x", "")));
    dir.write("b.tsv", part(&rows[300..], "\t"));
    let together = dir.summary("train mf --input a.csv b.tsv --epochs 2 --output together --json");
    let apart = dir.summary("train mf --input a.csv --input b.tsv --epochs 2 --output apart --json -w 2");
    assert_eq!((&together["ratings"], &apart["ratings"]), (&1000.into(), &1000.into()));
    assert!(dir.model_bytes("together") == dir.model_bytes("apart"));
    let twice = dir.summary("train mf --input a.csv a.csv --epochs 1 --json");
    assert_eq!(twice["ratings"], 600);
}

#[test]
fn file_that_is_missing_or_none_is_named() {
    let dir = Dir::new();
    dir.generate_ratings(10);
    assert_refused(&dir.run("train mf --input no-such.csv"), 1, &["no-such.csv", "No such file"]);
    assert_refused(&dir.run("train mf --input ratings.csv no-such.csv"), 1, &["no-such.csv"]);
    assert_refused(&dir.run("train mf --input ."), 1, &["can not open .", "regular file"]);
    assert_refused(&dir.run("train mf --input no-such.csv -n 2"), 1, &["no-such.csv"]);
    assert_refused(&dir.run("train mf --input /dev/null"), 1, &["/dev/null"]);
}

/// A file of four rows whose third line (second row) is `line`.
fn with_line(dir: &Dir, line: &str) {
    dir.write("bad.csv", format!("user,item,rating\n1,1,5\n{line}\n2,1,4\n2,2,3\n"));
}

/// Checks that `line` stops training with file, line and `reason`, or is skipped and counted.
#[track_caller]
fn assert_bad_line(line: &str, reason: &str) {
    let dir = Dir::new();
    with_line(&dir, line);
    for workers in ["-w 1", "-w 3", "-n 2"] {
        let args = format!("train mf --input bad.csv --epochs 1 --output model {workers}");
        assert_refused(&dir.run(&args), 1, &["bad.csv:3:", reason]);
        dir.assert_no_model("model");
        let args = format!("train mf --input bad.csv --epochs 1 --json --on-bad-record skip {workers}");
        let finished = dir.run(&args);
        assert_eq!(finished.code(), Some(0), "{line:?} {workers}: {finished:?}");
        let summary = json_lines(&finished).pop().unwrap();
        assert_eq!(
            (&summary["ratings"], &summary["bad_records"]),
            (&3.into(), &1.into()),
            "{line:?} {workers}"
        );
        assert!(finished.err.contains("bad.csv:3:"), "{line:?} {workers}: {finished:?}");
    }
}

#[test]
fn line_with_a_rating_that_is_no_number_is_named_or_skipped() {
    assert_bad_line("2,1,abc", "field \"rating\": found \"abc\", expected a number");
    assert_bad_line("2,1,", "field \"rating\": found \"\"");
}

#[test]
fn line_with_a_missing_field_is_named_or_skipped() {
    assert_bad_line("2,1", "field \"rating\" is missing");
    assert_bad_line("2", "field \"item\" is missing");
}

#[test]
fn line_with_a_user_that_is_none_is_named_or_skipped() {
    assert_bad_line(",1,4", "field \"user\": found \"\"");
    assert_bad_line("-2,1,4", "field \"user\": found \"-2\"");
    assert_bad_line("1.5,1,4", "field \"user\": found \"1.5\"");
    assert_bad_line("18446744073709551616,1,4", "field \"user\": found \"18446744073709551616\"");
    assert_bad_line("\u{fffd}\u{0},1,4", "field \"user\"");
}

#[test]
fn line_with_a_rating_that_is_not_finite_is_named_or_skipped() {
    assert_bad_line("2,1,nan", "rating");
}

#[test]
fn line_with_a_rating_that_is_infinite_is_named_or_skipped() {
    assert_bad_line("2,1,inf", "rating");
    assert_bad_line("2,1,1e39", "rating");
}

#[test]
fn test_row_with_a_rating_that_is_not_finite_is_an_error() {
    let dir = Dir::new();
    dir.write("bad.csv", "1,1,nan\n1,2,3\n2,1,4\n");
    let finished = dir.run("train mf --input bad.csv --epochs 1 --holdout-every 10 --json");
    assert_refused(&finished, 1, &["bad.csv:1"]);
}

#[test]
fn rating_that_is_huge_is_an_error_that_tells_the_user_what_to_do() {
    let dir = Dir::new();
    dir.write("huge.csv", "1,1,3e38\n1,2,3e38\n2,1,4\n");
    for biases in ["", "--biases"] {
        let finished = dir.run(&format!("train mf --input huge.csv --epochs 1 {biases}"));
        assert_ne!(finished.code(), Some(0));
        assert_no_panic(&finished);
    }
}

#[test]
fn many_bad_lines_are_counted_and_not_all_shown() {
    let dir = Dir::new();
    let bad: String = (0..5000).map(|i| format!("{i},x,y\n1,{i},3\n")).collect();
    dir.write("bad.csv", format!("user,item,rating\n{bad}"));
    let finished = dir.run("train mf --input bad.csv --epochs 1 --json --on-bad-record skip -w 2");
    let summary = json_lines(&finished).pop().unwrap();
    assert_eq!((&summary["ratings"], &summary["bad_records"]), (&5000.into(), &5000.into()));
    assert!(finished.err.lines().count() < 50, "{}", finished.err.lines().count());
}

#[test]
fn file_without_ratings_is_an_error() {
    let dir = Dir::new();
    for text in ["", "user,item,rating", "user,item,rating\n", "\n\n\r\n", "\u{feff}"] {
        dir.write("empty.csv", text);
        for shape in ["-w 1", "-w 4", "-n 2"] {
            let finished = dir.run(&format!("train mf --input empty.csv --output model {shape}"));
            assert_refused(&finished, 1, &["there are no ratings"]);
            dir.assert_no_model("model");
        }
    }
    dir.write("bad.csv", "user,item,rating\nx,y,z\n");
    assert_refused(&dir.run("train mf --input bad.csv --on-bad-record skip"), 1, &["there are no ratings"]);
}

#[test]
fn header_with_unknown_names_lists_what_was_found() {
    let dir = Dir::new();
    dir.write("odd.csv", "who,what,rating\n1,2,3\n");
    assert_refused(&dir.run("train mf --input odd.csv"), 1, &["odd.csv:2", "\"user\"", "\"who\", \"what\""]);
}

#[test]
fn extreme_data_train() {
    let dir = Dir::new();
    let cases = [
        ("one rating", "7,9,3\n".to_string(), 1, 1),
        ("largest ids", format!("{0},{0},3\n{0},0,2\n0,{0},1\n", u64::MAX), 2, 2),
        ("one user", (0..500).map(|i| format!("1,{i},{}\n", i % 5)).collect(), 1, 500),
        ("one item", (0..500).map(|u| format!("{u},1,{}\n", u % 5)).collect(), 500, 1),
        ("the same rating again and again", "1,2,3\n".repeat(2000), 1, 1),
        ("ratings below zero", "1,2,-3\n2,1,-4.5\n".into(), 2, 2),
    ];
    for (name, text, users, items) in cases {
        dir.write("data.csv", text);
        let mut models = Vec::new();
        for shape in ["-w 1", "-w 4", "-n 2", "-w 16 --blocks 8"] {
            let args = format!("train mf --input data.csv --epochs 2 --biases --output model --json {shape}");
            let summary = dir.summary(&args);
            assert_eq!(
                (&summary["users"], &summary["items"]),
                (&users.into(), &items.into()),
                "{name} {shape}"
            );
            models.push(dir.model_bytes("model"));
        }
        assert!(models.iter().all(|model| *model == models[0]), "{name}");
    }
}

#[test]
fn largest_rank_and_odd_numbers_of_blocks_train() {
    let dir = Dir::new();
    dir.generate_ratings(300);
    for shape in ["--rank 4096 -w 2", "--rank 4096 -n 2", "--blocks 1 -w 4", "--blocks 1024 -w 2 --rank 1"] {
        let summary = dir.summary(&format!("train mf --input ratings.csv --epochs 1 --json {shape}"));
        assert_eq!(summary["ratings"], 300, "{shape}");
    }
}

#[test]
fn training_that_diverges_is_an_error_and_saves_nothing() {
    let dir = Dir::new();
    dir.generate_ratings(1000);
    for shape in ["-w 1", "-w 4", "-n 2"] {
        let args = format!("train mf --input ratings.csv --learning-rate 50 --output model {shape}");
        assert_refused(&dir.run(&args), 1, &["diverged", "lower the learning rate"]);
        dir.assert_no_model("model");
    }
}

#[test]
fn holdout_keeps_every_nth_row_of_each_file_for_the_test() {
    let dir = Dir::new();
    // Only rows 0, 10, 20 have the rating 1: whoever trains on one of them has another mean.
    let text: String =
        (0..25).map(|row| format!("{row},1,{}\n", if row % 10 == 0 { 1 } else { 5 })).collect();
    dir.write("a.csv", &text);
    dir.write("b.csv", format!("user,item,rating\n{text}"));
    for shape in ["-w 1", "-w 4", "-n 2"] {
        let args =
            "train mf --input a.csv b.csv --epochs 1 --biases --holdout-every 10 --output model --json";
        let summary = dir.summary(&format!("{args} {shape}"));
        assert_eq!((&summary["test_ratings"], &summary["ratings"]), (&6.into(), &44.into()), "{shape}");
        assert_eq!(summary["users"], 22, "{shape}: users 0, 10 and 20 are not trained on");
        assert!(summary["test_rmse"].as_f64().unwrap() > 3.5, "{shape}: {summary}");
        assert!(summary["train_rmse"].as_f64().unwrap() < 0.5, "{shape}: {summary}");
    }
}

#[test]
fn model_is_the_same_bytes_on_every_number_of_workers_and_processes() {
    let dir = Dir::new();
    dir.generate_ratings(3000);
    let mut first = None;
    for shape in ["-w 1", "-w 4", "-n 2", "-n 2 -w 2", "-n 3", "-w 16"] {
        let args = "train mf --input ratings.csv --epochs 3 --biases --holdout-every 7 --output model --json";
        let mut summary = dir.summary(&format!("{args} {shape}"));
        for varies in ["ratings_per_second", "peak_rss_bytes"] {
            assert!(summary.as_object_mut().unwrap().remove(varies).is_some());
        }
        let found = (dir.model_bytes("model"), summary);
        assert!(first.get_or_insert_with(|| found.clone()) == &found, "{shape}");
    }
}

#[test]
fn generated_ratings_can_be_trained_on() {
    let dir = Dir::new();
    let finished =
        dir.shell("$W generate ratings --count 1000 > r.csv && $W train mf --input r.csv --epochs 1 --json");
    assert_eq!(json_lines(&finished).pop().unwrap()["ratings"], 1000);
}

#[test]
fn file_that_is_no_text_is_refused_by_name() {
    let dir = Dir::new();
    let mut noise = 1u64;
    let bytes: Vec<u8> = (0..200_000)
        .map(|_| {
            noise = noise.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (noise >> 56) as u8
        })
        .collect();
    dir.write("noise.bin", bytes);
    for shape in ["-w 1", "-w 4", "-n 2"] {
        assert_refused(&dir.run(&format!("train mf --input noise.bin {shape}")), 1, &["noise.bin"]);
        let skipping = dir.run(&format!("train mf --input noise.bin --on-bad-record skip {shape}"));
        assert_refused(&skipping, 1, &["noise.bin", "there are no ratings"]);
    }
}

/// Every worker reads its own part of a file, which a pipe does not have.
#[test]
fn ratings_from_a_pipe_are_trained_on_or_refused_with_a_reason() {
    let dir = Dir::new();
    let finished = dir.shell("$W generate ratings --count 1000 | $W train mf --input /dev/stdin --epochs 1");
    assert_refused(&finished, 1, &["/dev/stdin", "not a regular file"]);
}

/// `generate ratings | waterwheel train mf --input -` is what a user of pipes tries first.
#[test]
fn ratings_from_standard_input_are_refused_with_a_reason() {
    let dir = Dir::new();
    let finished = dir.shell("$W generate ratings --count 1000 | $W train mf --input - --epochs 1");
    assert_refused(&finished, 2, &["standard input"]);
}

#[test]
fn path_with_odd_characters_works() {
    let dir = Dir::new();
    dir.write("a b\n\u{e9}.csv", "1,2,3\n2,3,4\n");
    let mut command = super::fixture::waterwheel();
    command.args([
        "train",
        "mf",
        "--epochs",
        "1",
        "--json",
        "--output",
        "m \u{e9}",
        "--input",
        "a b\n\u{e9}.csv",
    ]);
    let finished = crate::failures::process::Running::start(command.current_dir(dir.root())).finish();
    assert_eq!(finished.code(), Some(0), "{finished:?}");
    assert!(dir.path("m \u{e9}").join("model.json").exists());
}
