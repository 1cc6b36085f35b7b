//! What can go wrong around a job: while it is built, before it begins, and behind its back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use waterwheel::prelude::*;

use super::fixture::{
    Expected, Numbered, Trap, boom, check, data, jobs_that_fail, outcomes_in_processes, outcomes_of_two_runs,
};
use super::process::{free_addresses, report_time, wait_until, within_limit};

use waterwheel::engine::machine;

jobs_that_fail! {
    failure_in_one_of_three_processes_reaches_all: "sink", "boom: powder", |env, trap| {
        data(env).rebalance().map(|record| record).rebalance().collect();
        data(env).sink(move |record| trap.fail_at(&record));
        Ok(())
    };
}

#[test]
fn failure_in_any_of_four_processes_names_the_one_that_failed() {
    let job = "failure_in_one_of_three_processes_reaches_all";
    let expected = Expected { operator: "sink", message: "boom: powder", job, file: file!() };
    for explicit in [true, false] {
        for worker in 0..4 {
            check(&outcomes_in_processes(job, 4, worker, explicit), expected);
        }
    }
}

/// A program that starts its processes can run one job. The first run waits for the other process to end, and
/// that one fails when it comes to the second.
#[test]
fn second_run_of_a_program_that_starts_its_processes_is_refused_in_each() {
    let (first, second) = outcomes_of_two_runs("failure_in_one_of_three_processes_reaches_all");
    assert!(first.is_some_and(|text| text.contains("process 1 ended after the run")));
    assert!(second.as_ref().is_some_and(|text| text.contains("one job only")), "{second:?}");
}

/// A source that has something now and then and never ends.
struct Endless {
    next: u64,
    seen: Arc<AtomicBool>,
}

impl Source for Endless {
    type Item = Numbered;

    fn read(&mut self, _limit: usize, out: &mut Vec<Numbered>) -> Result<SourceStatus> {
        self.next += 1;
        out.push((0, self.next));
        self.seen.store(true, Ordering::SeqCst);
        let pauses = self.next.is_multiple_of(16);
        Ok(if pauses { SourceStatus::Idle(Duration::from_millis(1)) } else { SourceStatus::Ready })
    }
}

#[test]
fn run_that_is_stopped_from_another_thread_is_interrupted() {
    for workers in [1, 2, 4] {
        let (stop, seen) = (StopHandle::new(), Arc::new(AtomicBool::new(false)));
        let (handle, reading) = (stop.clone(), Arc::clone(&seen));
        let stopper = std::thread::Builder::new().spawn(move || {
            wait_until("the first record", || seen.load(Ordering::SeqCst).then_some(()));
            handle.stop();
            machine::now()
        });
        let done = within_limit("a run that is stopped", move || {
            let config = RuntimeConfig::threads(workers).stop_handle(stop);
            execute(config, move |env| {
                let reading = Arc::clone(&reading);
                let open = move |_| Ok(Endless { next: 0, seen: Arc::clone(&reading) });
                env.source("endless", 4, open).rebalance().sink(|_| Ok(()));
                Ok(())
            })
        });
        let took = report_time("end of a run that is stopped", stopper.unwrap().join().unwrap());
        assert_eq!(done.unwrap_err().kind(), ErrorKind::Interrupted);
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
}

#[test]
fn run_that_begins_after_the_stop_is_interrupted() {
    let stop = StopHandle::new();
    stop.stop();
    let done = within_limit("a run that begins after the stop", move || {
        execute(RuntimeConfig::threads(2).stop_handle(stop), |env| Ok(data(env).collect()))
    });
    assert_eq!(done.unwrap_err().kind(), ErrorKind::Interrupted);
}

#[test]
fn missing_process_is_named_with_its_address_when_time_is_up() {
    for me in [0, 1] {
        let addresses = free_addresses(2);
        let missing = format!("no connection to process {} ({}) within", 1 - me, addresses[1 - me]);
        let config = RuntimeConfig::threads(1).processes(2).process(Some(me)).addresses(addresses);
        let start = machine::now();
        let done = within_limit("waiting for a process", move || {
            let config = config.connect_timeout(Duration::from_millis(300));
            execute(config, |env| Ok(data(env).collect()))
        });
        let took = report_time("waiting for a process that does not come", start);
        let error = done.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Peer);
        assert!(error.message().starts_with(&missing), "{error}");
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
}

#[test]
fn stop_while_other_processes_are_awaited_ends_the_wait() {
    for me in [0, 1] {
        let addresses = free_addresses(2);
        let stop = StopHandle::new();
        let config = RuntimeConfig::threads(1).processes(2).process(Some(me)).addresses(addresses.clone());
        let config = config.stop_handle(stop.clone()).connect_timeout(Duration::from_secs(10));
        let stopper = std::thread::Builder::new().spawn(move || {
            // It listens before it calls.
            wait_until("the listener", || std::net::TcpStream::connect(&addresses[me]).ok());
            stop.stop();
            machine::now()
        });
        let done =
            within_limit("a wait that is stopped", move || execute(config, |env| Ok(data(env).collect())));
        let took = report_time("end of a wait that is stopped", stopper.unwrap().join().unwrap());
        assert_eq!(done.unwrap_err().kind(), ErrorKind::Interrupted);
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
}

#[test]
fn address_that_is_taken_is_an_error_that_names_it() {
    let addresses = free_addresses(2);
    let _taken = std::net::TcpListener::bind(&addresses[0]).unwrap();
    let address = addresses[0].clone();
    let done = within_limit("a run on a taken address", move || {
        let config = RuntimeConfig::threads(1).processes(2).process(Some(0)).addresses(addresses);
        execute(config, |env| Ok(data(env).collect()))
    });
    let error = done.unwrap_err();
    assert!(error.message().contains(&address), "{error}");
    assert!(error.full_message().contains("in use"), "{}", error.full_message());
}

#[test]
fn job_that_can_not_be_built_on_one_worker_ends_the_run() {
    for workers in [1, 2, 4] {
        for panics in [false, true] {
            let done = within_limit("a job that can not be built", move || {
                execute(RuntimeConfig::threads(workers), move |env| {
                    let records = data(env).rebalance();
                    if env.worker_index() + 1 == env.workers() {
                        assert!(!panics, "boom");
                        return Err(boom());
                    }
                    Ok(records.collect())
                })
            });
            let error = done.unwrap_err();
            assert!(error.message().contains("boom"), "{workers} workers: {error}");
        }
    }
}

#[test]
fn failed_run_leaves_other_runs_of_the_process_alone() {
    let run = |fails: bool| {
        execute(RuntimeConfig::threads(2), move |env| {
            let trap = Trap { worker: if fails { 1 } else { 9 } };
            Ok(data(env).map(move |record| trap.panic_at(&record)).collect())
        })
    };
    let threads: Vec<_> =
        (0..8).map(|i| std::thread::Builder::new().spawn(move || run(i % 2 == 0)).unwrap()).collect();
    for (i, thread) in threads.into_iter().enumerate() {
        let done = thread.join().unwrap();
        assert_eq!(done.is_err(), i % 2 == 0);
        assert!(done.is_err() || done.unwrap().concat().len() == 10_000);
    }
}

#[test]
fn run_inside_an_operator_of_another_run_works_and_its_failure_is_the_operators() {
    let inner = |fails: bool| {
        execute(RuntimeConfig::threads(2), move |env| {
            let trap = Trap { worker: if fails { 1 } else { 9 } };
            Ok(data(env).map(move |record| trap.panic_at(&record)).collect())
        })
    };
    let outer = move |fails| {
        within_limit("a run inside another", move || {
            execute(RuntimeConfig::threads(1), move |env| {
                let counted = env.from_iter([1]).try_map(move |_| Ok(inner(fails)?.concat().len()));
                Ok(counted.collect())
            })
        })
    };
    assert_eq!(outer(false).unwrap().concat(), [10_000]);
    let error = outer(true).unwrap_err();
    assert!(error.message().contains("boom"), "{error}");
}
