//! A process that is killed: the others end soon and say whom they have lost.

use std::time::Duration;

use waterwheel::engine::machine;

use super::fixture::{Dir, assert_no_panic};
use crate::failures::process::{Running, free_addresses, report_time, send_signal};

/// How long a survivor may take.
const SOON: Duration = Duration::from_secs(5);

/// A run that would take days.
const ENDLESS: &str = "train mf --input ratings.csv --epochs 100000000 --json --output model";

fn big() -> Dir {
    let dir = Dir::new();
    dir.generate_ratings(50_000);
    dir
}

/// Starts the processes of a run one by one; they train when this returns.
fn start_by_hand(dir: &Dir, n: usize) -> (Vec<Running>, Vec<String>) {
    let addresses = free_addresses(n as u16);
    dir.hostfile(&addresses);
    let start = |process| dir.start(&format!("{ENDLESS} --hostfile hosts -n {n} -p {process}"));
    let running: Vec<_> = (0..n).map(start).collect();
    running[0].wait_for_output("\"epoch\":2");
    (running, addresses)
}

#[test]
fn process_that_was_started_by_hand_and_is_killed_is_named_by_the_survivors() {
    let dir = big();
    for (n, victim) in [(2, 1), (2, 0), (3, 1), (3, 0)] {
        let (running, addresses) = start_by_hand(&dir, n);
        let since = machine::now();
        running[victim].signal("KILL");
        for (process, running) in running.into_iter().enumerate() {
            let finished = running.finish();
            if process == victim {
                assert_eq!(finished.signal(), Some(9));
                continue;
            }
            let what =
                format!("kill -9 of process {victim} of {n}, started by hand, until process {process} ended");
            assert!(report_time(&what, since) < SOON);
            assert_eq!(finished.code(), Some(1), "{finished:?}");
            let lost = format!("lost process {victim} ({})", addresses[victim]);
            assert!(finished.err.contains(&lost), "expected {lost}: {finished:?}");
            assert_no_panic(&finished);
        }
        dir.assert_no_model("model");
    }
}

#[test]
fn child_that_is_killed_is_named_by_its_parent() {
    let dir = big();
    for n in [2, 3] {
        let running = dir.start(&format!("{ENDLESS} -n {n}"));
        running.wait_for_output("\"epoch\":2");
        let children = running.children(n - 1);
        let since = machine::now();
        send_signal("KILL", &children[0].to_string());
        let finished = running.finish();
        assert!(
            report_time(&format!("kill -9 of a child of {n} processes until all had ended"), since) < SOON
        );
        assert_eq!(finished.code(), Some(1), "{finished:?}");
        let error = finished.err.lines().find(|line| line.starts_with("error: ")).unwrap();
        assert!(error.contains("lost process ") && error.contains(" (127.0.0.1:"), "{finished:?}");
        assert_no_panic(&finished);
        dir.assert_no_model("model");
    }
}

/// The pipe to the test is closed only when every process has ended.
#[test]
fn parent_that_is_killed_is_named_by_its_children() {
    let dir = big();
    for n in [2, 3] {
        let running = dir.start(&format!("{ENDLESS} -n {n}"));
        running.wait_for_output("\"epoch\":2");
        running.children(n - 1);
        let since = machine::now();
        running.signal("KILL");
        let finished = running.finish();
        assert!(
            report_time(&format!("kill -9 of the parent of {n} processes until all had ended"), since) < SOON
        );
        assert_eq!(finished.signal(), Some(9));
        for process in 1..n {
            let error = format!("error in process {process}: lost process 0 (127.0.0.1:");
            assert!(finished.err.contains(&error), "{finished:?}");
        }
        assert_no_panic(&finished);
    }
}

/// Between the start of a child and the first epoch there is no good moment to be killed either.
#[test]
fn child_or_parent_that_is_killed_early_leaves_nobody_waiting() {
    let dir = big();
    for step in 0..24 {
        let running = dir.start(&format!("{ENDLESS} -n 2"));
        let child = running.children(1)[0];
        let begun = machine::now();
        let pause = Duration::from_millis(step / 2 * 2);
        while begun.elapsed() < pause {
            std::hint::spin_loop();
        }
        let victim = if step % 2 == 0 { child } else { running.pid() };
        let since = machine::now();
        send_signal("KILL", &victim.to_string());
        let finished = running.finish();
        let took = report_time(&format!("kill -9 {pause:?} after the start, until all had ended"), since);
        assert!(!finished.status.success());
        assert!(took < SOON, "killed {pause:?} after the start, waited {took:?}: {finished:?}");
        assert_no_panic(&finished);
    }
}

#[test]
fn process_that_is_terminated_is_lost_to_the_others() {
    let dir = big();
    let running = dir.start(&format!("{ENDLESS} -n 2"));
    running.wait_for_output("\"epoch\":2");
    running.signal("TERM");
    let finished = running.finish();
    assert!(!finished.status.success());
    dir.assert_no_model("model");
    assert_no_panic(&finished);
}
