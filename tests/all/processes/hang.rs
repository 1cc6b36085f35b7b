//! Processes that stand still: hung ones are found, slow ones are left alone.

use std::time::Duration;

use waterwheel::engine::machine;

use super::fixture::{outcome, start};
use crate::failures::process::{Running, free_addresses, report_time, send_signal};

const COUNT: &str = "count 800";

/// Two processes of the paced job, both of which have begun.
fn start_two(heartbeat: &str) -> ([Running; 2], Vec<String>) {
    let addresses = free_addresses(2);
    let running = [0, 1].map(|index| start("paced", index, &addresses, &[("heartbeat", heartbeat)]));
    running.iter().for_each(|running| running.wait_for_output("the job has begun"));
    (running, addresses)
}

/// Suspends processes for a while.
fn suspend(running: &[&Running], time: Duration) {
    running.iter().for_each(|running| running.signal("STOP"));
    let since = machine::now();
    while since.elapsed() < time {
        std::thread::park_timeout(Duration::from_millis(5));
    }
    running.iter().for_each(|running| running.signal("CONT"));
}

#[test]
fn process_that_is_stopped_is_named_by_the_other_within_the_timeout() {
    for victim in [0, 1] {
        let (running, addresses) = start_two("1");
        let pid = running[victim].pid().to_string();
        let [first, second] = running;
        let (stopped, survivor) = if victim == 0 { (first, second) } else { (second, first) };
        let since = machine::now();
        stopped.signal("STOP");
        survivor.wait_for_output("outcome: ");
        let took = report_time("SIGSTOP of a process until the other has ended", since);
        let said = outcome(&survivor.finish());
        let expected =
            format!("error: process {victim} ({}) has given no sign of life for 1s", addresses[victim]);
        assert!(said.starts_with(&expected), "{said}");
        assert!(took > Duration::from_millis(600) && took < Duration::from_secs(20), "{took:?}");
        send_signal("CONT", &pid);
        let late = outcome(&stopped.finish());
        assert!(late.starts_with("error: "), "the one that was stopped ends too: {late}");
    }
}

#[test]
fn process_that_is_stopped_for_less_than_the_timeout_goes_on() {
    let (running, _) = start_two("8");
    suspend(&[&running[1]], Duration::from_secs(2));
    assert_eq!(running.map(|running| outcome(&running.finish())), [COUNT, COUNT]);
}

#[test]
fn process_that_is_stopped_without_a_timeout_is_awaited() {
    let (running, _) = start_two("0");
    suspend(&[&running[0]], Duration::from_secs(3));
    assert_eq!(running.map(|running| outcome(&running.finish())), [COUNT, COUNT]);
}

/// As with Ctrl-Z and `fg`: the time in which nobody could speak is nobody's silence.
#[test]
fn run_that_is_suspended_as_a_whole_goes_on() {
    let (running, _) = start_two("2");
    suspend(&[&running[0], &running[1]], Duration::from_secs(4));
    assert_eq!(running.map(|running| outcome(&running.finish())), [COUNT, COUNT]);
}

#[test]
fn operator_that_stands_still_for_longer_than_the_timeout_is_no_hang() {
    let addresses = free_addresses(2);
    let running = [0, 1].map(|index| start("slow", index, &addresses, &[("heartbeat", "1")]));
    assert_eq!(running.map(|running| outcome(&running.finish())), ["count 20", "count 20"]);
}
