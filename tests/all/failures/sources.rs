//! Mistakes in sources.

use waterwheel::prelude::*;

use super::fixture::{Expected, Trap, boom, check, jobs_that_fail, outcomes_in_two};

jobs_that_fail! {
    source_that_panics_when_opened_ends_the_run: "numbers", "panicked: boom (at ", |env, trap| {
        let open = move |split| {
            assert!(split != trap.worker, "boom");
            Ok(Numbers::new(split, trap, At::Nowhere))
        };
        env.source("numbers", env.workers(), open).collect();
        Ok(())
    };
    source_that_fails_when_opened_ends_the_run: "numbers", "boom: powder", |env, trap| {
        let open = move |split| {
            if split == trap.worker { Err(boom()) } else { Ok(Numbers::new(split, trap, At::Nowhere)) }
        };
        env.source("numbers", env.workers(), open).collect();
        Ok(())
    };
    source_that_panics_when_read_ends_the_run: "numbers", "panicked: boom", |env, trap| {
        env.source("numbers", env.workers(), move |split| Ok(Numbers::new(split, trap, At::Panic))).collect();
        Ok(())
    };
    source_that_fails_when_read_ends_the_run: "numbers", "boom: powder", |env, trap| {
        env.source("numbers", env.workers(), move |split| Ok(Numbers::new(split, trap, At::Fail))).collect();
        Ok(())
    };
    source_that_fails_beside_others_that_never_end_ends_the_run: "numbers", "boom: powder", |env, trap| {
        let open = move |split| {
            let worker = split / 2;
            let mut numbers = Numbers::new(worker, trap, if split % 2 == 0 { At::Fail } else { At::Nowhere });
            numbers.ends = split % 2 == 0 && worker == trap.worker;
            Ok(numbers)
        };
        let workers = env.workers();
        let splits = env.source("numbers", 2 * workers, move |i| open(2 * (i % workers) + i / workers));
        splits.collect();
        Ok(())
    };
    iterator_that_panics_ends_the_run: "from_splits", "boom", |env, trap| {
        let items = move |split| (0..5000).inspect(move |i| assert!((split, *i) != (trap.worker, 1500), "boom"));
        env.from_splits(env.workers(), items).collect();
        Ok(())
    };
    iterator_that_panics_when_made_ends_the_run: "from_splits", "boom", |env, trap| {
        let items = move |split| {
            assert!(split != trap.worker, "boom");
            0..10
        };
        env.from_splits(env.workers(), items).collect();
        Ok(())
    };
    source_that_fails_is_not_taken_for_one_that_has_ended: "numbers", "boom: powder", |env, trap| {
        let late_or_short = move |split| {
            let numbers = Numbers::new(split, trap, At::Fail);
            Ok(if split == trap.worker { numbers } else { Numbers { next: 99, ..numbers } })
        };
        let numbers = env.source("numbers", env.workers(), late_or_short).rebalance();
        numbers.process_function(Commits).sink(|()| Ok(()));
        Ok(())
    };
    operator_that_fails_on_the_last_record_is_not_taken_for_one_that_has_ended:
        "try_map", "boom: powder", |env, trap| {
        let numbers = move |split| 0..if split == trap.worker { 3000 } else { 1 };
        let numbers = env.from_splits(env.workers(), numbers);
        let checked = numbers.try_map(|number: u64| if number == 2999 { Err(boom()) } else { Ok(number) });
        checked.rebalance().process_function(Commits).sink(|()| Ok(()));
        Ok(())
    };
}

/// Chance decides whether progress or failure is heard of first.
#[track_caller]
fn never_commits(job: &'static str, operator: &'static str) {
    let outcomes: Vec<_> = (0..20).flat_map(|_| outcomes_in_two(job)).collect();
    check(&outcomes, Expected { operator, message: "boom: powder", job, file: file!() });
}

#[test]
fn source_that_fails_in_one_of_two_processes_is_never_taken_for_one_that_has_ended() {
    never_commits("source_that_fails_is_not_taken_for_one_that_has_ended", "numbers");
}

#[test]
fn operator_that_fails_in_one_of_two_processes_is_never_taken_for_one_that_has_ended() {
    never_commits("operator_that_fails_on_the_last_record_is_not_taken_for_one_that_has_ended", "try_map");
}

/// Stands for what a program does when its input is complete, such as to rename its output into place.
struct Commits;

impl ProcessFunction<u64> for Commits {
    type Out = ();

    fn process(&mut self, _record: u64, _out: &mut Collector<()>) -> Result<()> {
        Ok(())
    }

    fn end_of_input(&mut self, _out: &mut Collector<()>) -> Result<()> {
        Err(Error::data("committed half of the input"))
    }
}

/// Where a source makes its mistake.
#[derive(Clone, Copy)]
enum At {
    Nowhere,
    Panic,
    Fail,
}

/// Reads numbers, a few at a time.
struct Numbers {
    next: u64,
    fails: bool,
    at: At,
    ends: bool,
}

impl Numbers {
    fn new(split: usize, trap: Trap, at: At) -> Self {
        Numbers { next: 0, fails: split == trap.worker, at, ends: true }
    }
}

impl Source for Numbers {
    type Item = u64;

    fn read(&mut self, _limit: usize, out: &mut Vec<u64>) -> Result<SourceStatus> {
        if self.next == 30 && self.fails {
            match self.at {
                At::Nowhere => {}
                At::Panic => panic!("boom"),
                At::Fail => return Err(boom()),
            }
        }
        if self.next == 100 {
            let pause = std::time::Duration::from_millis(1);
            return Ok(if self.ends { SourceStatus::Done } else { SourceStatus::Idle(pause) });
        }
        out.push(self.next);
        self.next += 1;
        Ok(SourceStatus::Ready)
    }
}
