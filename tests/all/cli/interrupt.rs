//! Ctrl-C: a clean end at any moment.

use std::time::Duration;

use waterwheel::engine::machine;

use super::fixture::{Dir, assert_no_panic};
use crate::failures::process::{Finished, free_addresses, report_time, send_signal, wait_until};

/// How long an end may take.
const SOON: Duration = Duration::from_secs(5);

/// A run that would take days.
const ENDLESS: &str = "train mf --input ratings.csv --epochs 100000000 --json --output model";

fn big() -> Dir {
    let dir = Dir::new();
    dir.generate_ratings(50_000);
    dir
}

/// Checks for the code of Ctrl-C, one message that says so, and no model.
#[track_caller]
fn assert_interrupted(dir: &Dir, finished: &Finished) {
    assert_eq!(finished.code(), Some(130), "{finished:?}");
    assert!(
        finished.err.contains("interrupted") || finished.err.contains("stopped on request"),
        "{finished:?}"
    );
    // A process of another test may call here, where a peer of its own has listened before, and is dropped.
    let said = finished.err.lines().filter(|line| !line.contains(" dropped 127.0.0.1: "));
    assert_eq!(said.count(), 1, "{finished:?}");
    assert!(!finished.out.contains("train_rmse\":null"), "{finished:?}");
    assert_no_panic(finished);
    dir.assert_no_model("model");
}

#[test]
fn interrupt_of_a_run_ends_it_with_code_130() {
    let dir = big();
    for shape in ["-w 1", "-w 4", "-n 2", "-n 3 -w 2"] {
        let running = dir.start(&format!("{ENDLESS} {shape}"));
        running.wait_for_output("\"epoch\":2");
        let since = machine::now();
        running.signal_group("INT");
        let finished = running.finish();
        assert!(report_time(&format!("Ctrl-C at {shape} until all had ended"), since) < SOON);
        assert_interrupted(&dir, &finished);
    }
}

/// Chance decides which process hears of it first.
#[test]
fn interrupt_of_one_of_two_processes_ends_both_with_code_130() {
    let dir = big();
    for round in 0..20 {
        let running = dir.start(&format!("{ENDLESS} -n 2"));
        running.wait_for_output("\"epoch\":1");
        let victim = if round % 2 == 0 { running.children(1)[0] } else { running.pid() };
        send_signal("INT", &victim.to_string());
        assert_interrupted(&dir, &running.finish());
    }
}

#[test]
fn interrupt_of_a_process_that_was_started_by_hand_ends_both_with_code_130() {
    let dir = big();
    for victim in [0, 1] {
        dir.hostfile(&free_addresses(2));
        let start = |process| dir.start(&format!("{ENDLESS} --hostfile hosts -n 2 -p {process}"));
        let running = [start(0), start(1)];
        running[0].wait_for_output("\"epoch\":2");
        running[victim].signal("INT");
        running.into_iter().for_each(|running| assert_interrupted(&dir, &running.finish()));
    }
}

#[test]
fn interrupt_while_a_process_is_awaited_ends_the_wait() {
    let dir = big();
    let addresses = free_addresses(2);
    dir.hostfile(&addresses);
    for me in [0, 1] {
        let running = dir.start(&format!("{ENDLESS} --hostfile hosts -n 2 -p {me}"));
        wait_until("the listener", || std::net::TcpStream::connect(&addresses[me]).ok());
        let since = machine::now();
        running.signal("INT");
        let finished = running.finish();
        let took = report_time("Ctrl-C while a process is awaited until the end", since);
        assert!(took < SOON, "{took:?}: {finished:?}");
        assert_eq!(finished.code(), Some(130), "{finished:?}");
    }
}

/// From the first moment on: either the signal ends the process, or the process ends the run.
#[test]
fn interrupt_at_any_moment_leaves_nobody_behind() {
    let dir = big();
    for step in 0..40 {
        let shape = if step % 2 == 0 { "-w 2" } else { "-n 2" };
        let running = dir.start(&format!("{ENDLESS} {shape}"));
        let begun = machine::now();
        let pause = Duration::from_millis(step / 2 * 2);
        while begun.elapsed() < pause {
            std::hint::spin_loop();
        }
        let since = machine::now();
        running.signal_group("INT");
        let finished = running.finish();
        let took = report_time(&format!("Ctrl-C {pause:?} after the start at {shape}"), since);
        assert!(took < SOON, "{shape}: Ctrl-C {pause:?} after the start, ended {took:?} later: {finished:?}");
        let ended = finished.code() == Some(130) || finished.signal() == Some(2);
        assert!(ended, "{shape}: Ctrl-C {pause:?} after the start: {finished:?}");
        assert_no_panic(&finished);
        dir.assert_no_model("model");
    }
}

#[test]
fn model_from_before_survives_an_interrupt() {
    let dir = Dir::new();
    dir.generate_ratings(1000);
    dir.run("train mf --input ratings.csv --epochs 1 --output model");
    let before = dir.model_bytes("model");
    let running = dir.start(ENDLESS);
    running.wait_for_output("\"epoch\":2");
    running.signal_group("INT");
    assert_eq!(running.finish().code(), Some(130));
    assert!(dir.model_bytes("model") == before);
}
