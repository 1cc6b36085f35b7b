//! Arguments: help, and values that can not be.

use super::fixture::{Dir, assert_no_panic, assert_refused};

#[test]
fn help_is_printed_for_every_command() {
    let dir = Dir::new();
    let commands = [
        "",
        "train",
        "train mf",
        "train pa",
        "train logistic",
        "train fm",
        "train lda",
        "train word2vec",
        "topics",
        "neighbours",
        "recommend",
        "generate",
        "generate ratings",
        "generate points",
        "generate labels",
        "generate sparse",
        "generate words",
        "generate graph",
        "run",
        "graph",
        "config",
        "config show",
        "config check",
        "ckpt",
        "ckpt ls",
        "ckpt inspect",
        "ckpt verify",
        "ckpt gc",
        "ckpt rm",
    ];
    for command in commands {
        for flag in ["--help", "-h"] {
            let finished = dir.run(&format!("{command} {flag}"));
            assert_eq!(finished.code(), Some(0), "{command} {flag}: {finished:?}");
            assert!(finished.out.contains("Usage: waterwheel"), "{command} {flag}: {finished:?}");
            assert!(finished.err.is_empty(), "{command} {flag}: {finished:?}");
        }
    }
}

#[test]
fn version_is_printed() {
    let finished = Dir::new().run("--version");
    assert_eq!(
        (finished.code(), finished.out.trim()),
        (Some(0), concat!("waterwheel ", env!("CARGO_PKG_VERSION")))
    );
}

#[test]
fn command_that_is_missing_or_unknown_is_wrong_usage() {
    let dir = Dir::new();
    for command in
        ["", "train", "generate", "trane", "train als", "train mf", "recommend", "recommend --user 1"]
    {
        assert_refused(&dir.run(command), 2, &["Usage"]);
    }
}

/// Runs `train mf` with arguments on a good file and expects wrong usage.
#[track_caller]
fn assert_wrong(args: &str, parts: &[&str]) {
    let dir = Dir::new();
    dir.generate_ratings(100);
    assert_refused(&dir.run(&format!("train mf --input ratings.csv --output model {args}")), 2, parts);
    dir.assert_no_model("model");
}

#[test]
fn rank_out_of_range_is_refused_with_the_value_and_the_range() {
    assert_wrong("--rank 0", &["rank", "found 0", "1 to 4096"]);
    assert_wrong("--rank 4097", &["rank", "found 4097", "1 to 4096"]);
    assert_wrong("--rank abc", &["--rank", "'abc'"]);
    assert_wrong("--rank 99999999999999999999999", &["--rank", "99999999999999999999999"]);
}

#[test]
fn learning_rate_that_is_no_rate_is_refused_with_the_value_and_the_range() {
    for (value, shown) in [("nan", "NaN"), ("inf", "inf"), ("0", "0"), ("1e99", "inf")] {
        assert_wrong(
            &format!("--learning-rate {value}"),
            &["learning rate", shown, "a finite number above 0"],
        );
    }
    assert_wrong("--learning-rate=-1", &["learning rate", "-1", "a finite number above 0"]);
    assert_wrong("--learning-rate x", &["--learning-rate", "'x'"]);
}

#[test]
fn negative_value_behind_a_flag_is_refused_with_the_value_and_the_range() {
    assert_wrong("--learning-rate -1", &["learning rate", "found -1", "a finite number above 0"]);
    assert_wrong("--reg -0.5", &["reg", "found -0.5", "0 or more"]);
}

#[test]
fn other_parameters_out_of_range_are_refused_with_the_value_and_the_range() {
    assert_wrong("--epochs 0", &["epochs", "found 0", "1 or more"]);
    assert_wrong("--reg nan", &["reg", "found NaN", "0 or more"]);
    assert_wrong("--blocks 0", &["blocks", "found 0", "1 to 1024"]);
    assert_wrong("--blocks 1025", &["blocks", "found 1025", "1 to 1024"]);
    assert_wrong("--holdout-every 0", &["--holdout-every", "0", "2.."]);
    assert_wrong("--holdout-every 1", &["--holdout-every", "1", "2.."]);
    assert_wrong("--seed -1", &["-1"]);
    assert_wrong("--delimiter x", &["--delimiter", "'x'", "tab"]);
    assert_wrong("--header maybe", &["--header", "'maybe'", "auto, yes, no"]);
    assert_wrong("--on-bad-record ignore", &["--on-bad-record", "'ignore'", "fail, skip"]);
    assert_wrong("--bogus 1", &["--bogus"]);
    assert_wrong("--rank 1 --rank 2", &["--rank"]);
}

#[test]
fn numbers_of_workers_and_processes_out_of_range_are_refused_with_the_value_and_the_range() {
    assert_wrong("-w 0", &["worker threads", "found 0", "1 to 1024"]);
    assert_wrong("-w 1025", &["worker threads", "found 1025", "1 to 1024"]);
    assert_wrong("-w two", &["--threads", "'two'"]);
    assert_wrong("-n 0", &["processes", "found 0", "1 to 1024"]);
    assert_wrong("-n 1025", &["processes", "found 1025", "1 to 1024"]);
    assert_wrong("-n 2 -p 2", &["process index", "found 2", "0 to 1"]);
    assert_wrong("-p 1", &["process index", "found 1"]);
}

/// Index 1 without a number of processes is a forgotten `-n`.
#[test]
fn index_without_a_number_of_processes_is_refused_with_a_hint() {
    assert_wrong("-p 1", &["-n"]);
}

#[test]
fn environment_with_garbage_is_refused_with_the_value() {
    let dir = Dir::new();
    dir.generate_ratings(100);
    let refused = |name: &str, value: &str, parts: &[&str]| {
        let mut command = dir.command("train mf --input ratings.csv --epochs 1");
        let finished = crate::failures::process::Running::start(command.env(name, value)).finish();
        assert_refused(&finished, 2, parts);
    };
    refused("WATERWHEEL_THREADS", "many", &["'many'"]);
    refused("WATERWHEEL_THREADS", "0", &["found 0", "1 to 1024"]);
    refused("WATERWHEEL_PROCESSES", "-1", &["'-1'"]);
    refused("WATERWHEEL_PROCESS", "7", &["found 7"]);
    refused("WATERWHEEL_HOSTFILE", "/no/such/file", &["/no/such/file"]);
}

/// As [`RuntimeConfig::from_args`](waterwheel::prelude::RuntimeConfig::from_args) has it.
#[test]
fn flag_wins_over_the_environment() {
    let dir = Dir::new();
    dir.generate_ratings(100);
    let mut command = dir.command("train mf --input ratings.csv --epochs 1 -w 1");
    let finished = crate::failures::process::Running::start(command.env("WATERWHEEL_THREADS", "0")).finish();
    assert_eq!(finished.code(), Some(0), "{finished:?}");
}

/// What a process that starts another tells it is none of a user's business, but may be left over.
#[test]
fn environment_of_a_started_process_with_garbage_is_an_error_and_no_hang() {
    let dir = Dir::new();
    dir.generate_ratings(100);
    let run = |vars: &[(&str, &str)], args: &str| {
        let mut command = dir.command(&format!("train mf --input ratings.csv --epochs 1 {args}"));
        crate::failures::process::Running::start(command.envs(vars.iter().copied())).finish()
    };
    let alone = run(&[("WATERWHEEL_RENDEZVOUS", "garbage")], "-n 2");
    assert_refused(&alone, 2, &["WATERWHEEL_RENDEZVOUS"]);
    let short =
        [("WATERWHEEL_RENDEZVOUS", "x:1"), ("WATERWHEEL_CHILD_INDEX", "1"), ("WATERWHEEL_RUN_TOKEN", "5")];
    assert_refused(&run(&short, "-n 2"), 2, &["WATERWHEEL_RUN_TOKEN"]);
    let token = "5".repeat(64);
    let all = [short[0], short[1], ("WATERWHEEL_RUN_TOKEN", token.as_str())];
    assert_refused(&run(&all, "-n 2"), 1, &["process 0 (x:1)"]);
    let odd = [("WATERWHEEL_CHILD_INDEX", "q"), ("WATERWHEEL_RUN_TOKEN", "")];
    assert_eq!(run(&odd, "-n 2").code(), Some(0));
    assert_no_panic(&run(&all, "-n 1"));
}

#[test]
fn log_filter_with_garbage_does_no_harm() {
    let dir = Dir::new();
    dir.generate_ratings(100);
    let mut command = dir.command("train mf --input ratings.csv --epochs 1");
    let finished = crate::failures::process::Running::start(command.env("RUST_LOG", "!!=,=x=")).finish();
    assert_eq!(finished.code(), Some(0), "{finished:?}");
    assert_no_panic(&finished);
}
