//! Mistakes in the functions of stream operators.

use std::cell::Cell;

use serde::{Deserialize, Serialize};
use waterwheel::prelude::*;

use super::fixture::{Numbered, Trap, boom, by_worker, data, jobs_that_fail, key_of};
use super::process::within_limit;

jobs_that_fail! {
    map_that_panics_ends_the_run: "map", "panicked: boom 1500 (at ", |env, trap| {
        data(env).map(move |record| trap.panic_at(&record)).sink(|()| Ok(()));
        Ok(())
    };
    map_with_a_name_that_panics_is_named_by_it: "my map", "boom", |env, trap| {
        data(env).map(move |record| trap.panic_at(&record)).name("my map").collect();
        Ok(())
    };
    map_behind_an_exchange_that_panics_ends_the_run: "map", "boom", |env, trap| {
        data(env).map(move |record| { trap.panic_at(&record); record }).rebalance().broadcast().collect();
        Ok(())
    };
    map_whose_panic_has_no_text_ends_the_run: "map", "panicked: no message", |env, trap| {
        data(env).map(move |record| if trap.is_at(&record) { std::panic::panic_any(7u32) }).collect();
        Ok(())
    };
    filter_that_panics_ends_the_run: "filter", "boom", |env, trap| {
        data(env).filter(move |record| { trap.panic_at(record); true }).collect();
        Ok(())
    };
    try_map_that_panics_ends_the_run: "try_map", "boom", |env, trap| {
        data(env).try_map(move |record| { trap.panic_at(&record); Ok(record) }).collect();
        Ok(())
    };
    try_map_that_fails_ends_the_run: "try_map", "boom: powder", |env, trap| {
        data(env).try_map(move |record| trap.fail_at(&record)).collect();
        Ok(())
    };
    flat_map_that_panics_ends_the_run: "flat_map", "boom", |env, trap| {
        data(env).flat_map(move |record| { trap.panic_at(&record); Some(record) }).collect();
        Ok(())
    };
    flat_map_whose_iterator_panics_ends_the_run: "flat_map", "boom", |env, trap| {
        data(env).flat_map(move |record| (0..2).map(move |_| trap.panic_at(&record))).collect();
        Ok(())
    };
    inspect_that_panics_ends_the_run: "inspect", "boom", |env, trap| {
        data(env).inspect(move |record| trap.panic_at(record)).collect();
        Ok(())
    };
    process_that_panics_ends_the_run: "process", "boom", |env, trap| {
        let checked = move |record, out: &mut Collector<Numbered>| {
            trap.panic_at(&record);
            out.emit(record);
        };
        data(env).process(checked).collect();
        Ok(())
    };
    process_function_that_panics_ends_the_run: "process", "boom", |env, trap| {
        data(env).process_function(Faulty::new(env, trap, At::RecordPanics)).collect();
        Ok(())
    };
    process_function_that_fails_ends_the_run: "process", "boom: powder", |env, trap| {
        data(env).process_function(Faulty::new(env, trap, At::RecordFails)).collect();
        Ok(())
    };
    process_function_that_panics_at_the_end_of_input_ends_the_run: "process", "boom", |env, trap| {
        data(env).process_function(Faulty::new(env, trap, At::EndPanics)).collect();
        Ok(())
    };
    process_function_that_fails_at_the_end_of_input_ends_the_run: "process", "boom: powder", |env, trap| {
        data(env).process_function(Faulty::new(env, trap, At::EndFails)).collect();
        Ok(())
    };
    keyed_process_that_panics_ends_the_run: "keyed_process", "boom", |env, trap| {
        let checked = move |_: &u64, n: &mut u64, record: Numbered, out: &mut Collector<u64>| {
            trap.panic_at(&record);
            *n += 1;
            out.emit(*n);
        };
        by_worker(env).process(checked).collect();
        Ok(())
    };
    keyed_function_that_panics_ends_the_run: "keyed_process", "boom", |env, trap| {
        by_worker(env).process_function(Faulty::new(env, trap, At::RecordPanics)).collect();
        Ok(())
    };
    keyed_function_that_fails_ends_the_run: "keyed_process", "boom: powder", |env, trap| {
        by_worker(env).process_function(Faulty::new(env, trap, At::RecordFails)).collect();
        Ok(())
    };
    keyed_function_that_panics_at_the_end_of_input_ends_the_run: "keyed_process", "boom", |env, trap| {
        by_worker(env).process_function(Faulty::new(env, trap, At::EndPanics)).collect();
        Ok(())
    };
    keyed_function_that_fails_at_the_end_of_input_ends_the_run: "keyed_process", "boom: powder", |env, trap| {
        by_worker(env).process_function(Faulty::new(env, trap, At::EndFails)).collect();
        Ok(())
    };
    keyed_state_whose_default_panics_ends_the_run: "keyed_process", "boom", |env, trap| {
        let workers = env.workers();
        let some = data(env).filter(move |record| trap.is_at(record));
        let keyed = some.key_by(move |record| key_of(record.0, workers));
        keyed.process(|_, _state: &mut NoDefault, _, _: &mut Collector<()>| ()).collect();
        Ok(())
    };
    key_function_that_panics_on_a_record_ends_the_run: "keyed_process", "boom", |env, trap| {
        let workers = env.workers();
        let keyed = data(env).key_by(move |record| { trap.panic_at(record); key_of(record.0, workers) });
        keyed.process(|_, _: &mut (), _, _: &mut Collector<()>| ()).collect();
        Ok(())
    };
    key_function_that_panics_on_every_record_ends_the_run: "keyed_process", "boom", |env, trap| {
        let worker = env.worker_index();
        let key = move |record: &Numbered| -> u64 {
            if worker == trap.worker { panic!("boom at {record:?}") } else { 0 }
        };
        let keyed = data(env).filter(move |_| worker == trap.worker).key_by(key);
        keyed.process(|_, _: &mut (), _, _: &mut Collector<()>| ()).collect();
        Ok(())
    };
    partition_function_that_panics_ends_the_run: "partition_custom", "boom", |env, trap| {
        data(env).partition_custom(move |record, _| { trap.panic_at(record); 0 }).collect();
        Ok(())
    };
    partition_function_that_panics_on_every_record_ends_the_run: "partition_custom", "boom", |env, trap| {
        let worker = env.worker_index();
        let here = data(env).filter(move |_| worker == trap.worker);
        here.partition_custom(|_, _| panic!("boom")).collect();
        Ok(())
    };
    partition_function_with_an_index_out_of_range_ends_the_run:
        "partition_custom", "of a record, expected 0 to ", |env, trap| {
        let checked = move |record: &Numbered, workers| if trap.is_at(record) { workers } else { 0 };
        data(env).partition_custom(checked).collect();
        Ok(())
    };
    sink_that_panics_ends_the_run: "sink", "boom", |env, trap| {
        data(env).sink(move |record| { trap.panic_at(&record); Ok(()) });
        Ok(())
    };
    sink_that_fails_ends_the_run: "sink", "boom: powder", |env, trap| {
        data(env).sink(move |record| trap.fail_at(&record));
        Ok(())
    };
    clone_that_panics_in_a_broadcast_ends_the_run: "broadcast", "boom", |env, trap| {
        let fragile = data(env).map(move |record| Fragile { breaks: trap.is_at(&record) });
        fragile.broadcast().collect();
        Ok(())
    };
    panic_with_a_very_long_text_ends_the_run: "map", "panicked: xxxxxxxx", |env, trap| {
        data(env).map(move |record| if trap.is_at(&record) { panic!("{}", "x".repeat(3 << 20)) }).collect();
        Ok(())
    };
    error_with_quotes_and_newlines_ends_the_run: "sink", "a \"b\"", |env, trap| {
        let checked = move |record| {
            if trap.is_at(&record) { Err(Error::operator("a \"b\"\n\u{1b}[31m\0é")) } else { Ok(()) }
        };
        data(env).sink(checked);
        Ok(())
    };
    clone_that_panics_for_the_second_reader_ends_the_run: "map", "boom", |env, trap| {
        let fragile = data(env).map(move |record| Fragile { breaks: trap.is_at(&record) });
        fragile.clone().collect_local();
        fragile.collect_local();
        Ok(())
    };
    clones_that_all_panic_end_the_run: "map", "boom", |env, trap| {
        let worker = env.worker_index();
        let fragile = data(env).map(move |_| Fragile { breaks: worker == trap.worker });
        fragile.clone().collect_local();
        fragile.collect_local();
        Ok(())
    };
    record_whose_drop_panics_ends_the_run: "sink", "boom in drop", |env, trap| {
        let breaking = data(env).map(move |record| DropPanics(Cell::new(trap.is_at(&record))));
        breaking.sink(|_| Ok(()));
        Ok(())
    };

    @between_processes
    record_that_can_not_be_written_ends_the_run: "map", "boom", |env, trap| {
        let worker = env.worker_index();
        let odd = data(env).map(move |_| Odd::<true>(worker == trap.worker));
        odd.partition_custom(move |_, workers| workers - 1 - trap.worker).sink(|_| Ok(()));
        Ok(())
    };
    record_that_can_not_be_read_ends_the_run: "partition_custom", "boom", |env, trap| {
        let worker = env.worker_index();
        let odd = data(env).map(move |_| Odd::<false>(worker != trap.worker));
        odd.partition_custom(move |_, _| trap.worker).sink(|_| Ok(()));
        Ok(())
    };
}

/// A record that may refuse to be written (`WRITING`), or else to be read.
#[derive(Clone)]
struct Odd<const WRITING: bool>(bool);

impl<const WRITING: bool> Serialize for Odd<WRITING> {
    fn serialize<S: serde::Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        if WRITING && self.0 { Err(serde::ser::Error::custom("boom")) } else { self.0.serialize(to) }
    }
}

impl<'de, const WRITING: bool> Deserialize<'de> for Odd<WRITING> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let odd = bool::deserialize(from)?;
        if !WRITING && odd { Err(serde::de::Error::custom("boom")) } else { Ok(Odd(odd)) }
    }
}

/// Where a process function makes its mistake.
#[derive(Clone, Copy, PartialEq)]
enum At {
    RecordPanics,
    RecordFails,
    EndPanics,
    EndFails,
}

/// A process function with a mistake.
struct Faulty {
    at: At,
    trap: Trap,
    worker: usize,
}

impl Faulty {
    fn new(env: &Env<'_>, trap: Trap, at: At) -> Self {
        Faulty { at, trap, worker: env.worker_index() }
    }

    fn record(&self, record: &Numbered) -> Result<()> {
        match self.at {
            At::RecordPanics => self.trap.panic_at(record),
            At::RecordFails => return self.trap.fail_at(record),
            _ => {}
        }
        Ok(())
    }

    fn end(&self) -> Result<()> {
        match self.at {
            At::EndPanics if self.worker == self.trap.worker => panic!("boom"),
            At::EndFails if self.worker == self.trap.worker => Err(boom()),
            _ => Ok(()),
        }
    }
}

impl ProcessFunction<Numbered> for Faulty {
    type Out = Numbered;

    fn process(&mut self, record: Numbered, out: &mut Collector<Numbered>) -> Result<()> {
        self.record(&record)?;
        out.emit(record);
        Ok(())
    }

    fn end_of_input(&mut self, _out: &mut Collector<Numbered>) -> Result<()> {
        self.end()
    }
}

impl KeyedProcessFunction<u64, Numbered> for Faulty {
    type State = u64;
    type Out = Numbered;

    fn process(
        &mut self,
        _: &u64,
        n: &mut u64,
        record: Numbered,
        _: &mut KeyedContext,
        _: &mut Collector<Numbered>,
    ) -> Result<()> {
        *n += 1;
        self.record(&record)
    }

    fn end_of_input(&mut self, _: &u64, _: &mut u64, _: &mut Collector<Numbered>) -> Result<()> {
        self.end()
    }
}

/// A state that can not be made.
#[derive(Serialize, Deserialize)]
struct NoDefault;

impl Default for NoDefault {
    fn default() -> Self {
        panic!("boom")
    }
}

/// A record that can be told to break when it is cloned.
#[derive(serde::Serialize, serde::Deserialize)]
struct Fragile {
    breaks: bool,
}

impl Clone for Fragile {
    fn clone(&self) -> Self {
        assert!(!self.breaks, "boom");
        Fragile { breaks: self.breaks }
    }
}

/// A state that panics when it is dropped at the end of a run, on the last worker.
struct DropPanics(Cell<bool>);

impl Drop for DropPanics {
    fn drop(&mut self) {
        if self.0.get() {
            panic!("boom in drop");
        }
    }
}

#[test]
fn state_that_panics_when_it_is_dropped_ends_the_run_with_an_error() {
    for workers in [1, 2, 4] {
        let done = within_limit("a panic in a drop", move || {
            execute(RuntimeConfig::threads(workers), |env| {
                let last = env.worker_index() + 1 == env.workers();
                let state = DropPanics(Cell::new(last));
                data(env).sink(move |_| {
                    state.0.set(state.0.get());
                    Ok(())
                });
                Ok(())
            })
        });
        let error = done.expect_err("a panic in a drop");
        assert!(error.message().contains("boom in drop"), "{workers}: {error}");
    }
}
