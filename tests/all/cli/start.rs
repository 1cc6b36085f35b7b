//! Processes that do not find each other, or do not fit.

use std::net::TcpListener;
use std::time::Duration;

use waterwheel::engine::machine;

use super::fixture::{Dir, assert_no_panic, assert_refused};
use crate::failures::process::{Finished, free_addresses};

fn dir() -> Dir {
    let dir = Dir::new();
    dir.generate_ratings(500);
    dir
}

const TRAIN: &str = "train mf --input ratings.csv --epochs 2 --biases";

/// Runs two processes, started by hand, each with arguments of its own.
fn run_both(dir: &Dir, args: [&str; 2]) -> [Finished; 2] {
    dir.hostfile(&free_addresses(2));
    let start = |me: usize| dir.start(&format!("{TRAIN} -n 2 -p {me} --hostfile hosts {}", args[me]));
    [start(0), start(1)].map(|running| running.finish())
}

#[test]
fn processes_started_by_hand_make_the_model_of_one() {
    let dir = dir();
    let both = run_both(&dir, ["--output two", "--output other"]);
    assert!(both.iter().all(|finished| finished.code() == Some(0)), "{both:?}");
    dir.run(&format!("{TRAIN} --output one"));
    assert!(dir.model_bytes("one") == dir.model_bytes("two"));
    dir.assert_no_model("other");
    assert!(both[1].out.is_empty(), "only the first process prints: {both:?}");
}

#[test]
fn process_that_does_not_come_is_named_with_its_address_when_time_is_up() {
    let dir = dir();
    for me in [0, 1] {
        let addresses = free_addresses(2);
        dir.hostfile(&addresses);
        let start = machine::now();
        let finished = dir.run(&format!("{TRAIN} -n 2 -p {me} --hostfile hosts --connect-timeout 0.3"));
        let missing = format!("process {} ({})", 1 - me, addresses[1 - me]);
        assert_refused(&finished, 1, &["no connection to", &missing]);
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    }
}

#[test]
fn connect_timeout_that_is_no_time_is_refused_with_the_value() {
    let dir = dir();
    for (value, shown) in [("nan", "NaN"), ("inf", "inf"), ("1e300", "1000"), ("x", "'x'")] {
        let finished = dir.run(&format!("{TRAIN} --connect-timeout {value}"));
        assert_refused(&finished, 2, &["--connect-timeout", shown]);
    }
    assert_refused(&dir.run(&format!("{TRAIN} --connect-timeout=-1")), 2, &["--connect-timeout", "-1"]);
    assert_refused(&dir.run(&format!("{TRAIN} --connect-timeout -1")), 2, &["-1", "0 or more"]);
}

#[test]
fn hostfile_that_is_missing_too_short_or_garbage_is_refused() {
    let dir = dir();
    assert_refused(&dir.run(&format!("{TRAIN} -n 2 -p 0 --hostfile none")), 2, &["none"]);
    dir.hostfile(&["127.0.0.1:1".into()]);
    let short = dir.run(&format!("{TRAIN} -n 2 -p 0 --hostfile hosts"));
    assert_refused(&short, 2, &["2 addresses", "found 1"]);
    dir.write("hosts", "# only a comment\n\n");
    let empty = dir.run(&format!("{TRAIN} -n 2 -p 0 --hostfile hosts --connect-timeout 1"));
    assert_refused(&empty, 2, &["hosts", "host:port"]);
}

#[test]
fn hostfile_line_without_a_port_is_refused_with_what_is_expected() {
    let dir = dir();
    dir.write("hosts", "machine\n127.0.0.1:99999\n");
    for me in [0, 1] {
        let start = machine::now();
        let finished = dir.run(&format!("{TRAIN} -n 2 -p {me} --hostfile hosts --connect-timeout 10"));
        assert_refused(&finished, 2, &["host:port"]);
        assert!(start.elapsed() < Duration::from_secs(5), "process {me} took {:?}", start.elapsed());
    }
}

/// Without an index all processes start here, and the file is not used: nobody wants that.
#[test]
fn hostfile_without_an_index_is_refused() {
    let dir = dir();
    dir.hostfile(&free_addresses(2));
    assert_refused(&dir.run(&format!("{TRAIN} -n 2 --hostfile hosts")), 2, &["-p"]);
}

#[test]
fn address_that_is_taken_is_named() {
    let dir = dir();
    let addresses = free_addresses(2);
    let _taken = TcpListener::bind(&addresses[0]).unwrap();
    dir.hostfile(&addresses);
    let finished = dir.run(&format!("{TRAIN} -n 2 -p 0 --hostfile hosts"));
    assert!(!finished.status.success());
    assert!(finished.err.contains(&addresses[0]) && finished.err.contains("in use"), "{finished:?}");
    assert_no_panic(&finished);
}

#[test]
fn two_processes_with_one_index_are_an_error_of_the_second() {
    let dir = dir();
    let addresses = free_addresses(2);
    dir.hostfile(&addresses);
    let args = format!("{TRAIN} -n 2 -p 0 --hostfile hosts");
    let first = dir.start(&args);
    crate::failures::process::wait_until("the listener", || std::net::TcpStream::connect(&addresses[0]).ok());
    let second = dir.run(&args);
    assert!(!second.status.success());
    assert!(second.err.contains("in use"), "{second:?}");
    drop(first);
}

/// Each process has its own command line, so they can be different by mistake.
#[test]
fn failure_in_a_child_is_an_error_of_the_parent_with_its_reason() {
    let dir = dir();
    let bad: String =
        (0..1000).map(|row| format!("{row},1,{}\n", if row == 990 { "x" } else { "3" })).collect();
    dir.write("bad.csv", bad);
    for _ in 0..10 {
        let finished = dir.run("train mf --input bad.csv --epochs 1 -n 2");
        assert_refused(&finished, 1, &["error: operator \"read_csv\"", "worker 1): bad.csv:991:7: "]);
    }
}

#[test]
fn process_with_another_number_of_threads_is_told_so() {
    let dir = dir();
    let [first, second] = run_both(&dir, ["-w 1 --connect-timeout 1", "-w 2"]);
    assert_refused(&second, 2, &["refused by process 0", "2 processes of 2 threads, expected 2 of 1"]);
    assert_refused(&first, 1, &["no connection to process 1", "2 processes of 2 threads, expected 2 of 1"]);
}
