//! Mistakes in functions on two streams, in broadcast state, side outputs, aggregates, timers and bad-record policies.

use std::time::Duration;

use waterwheel::prelude::*;

use super::fixture::{Numbered, Trap, by_worker, data, jobs_that_fail, key_of};

jobs_that_fail! {
    co_map_that_panics_on_the_first_stream_ends_the_run: "co_map", "panicked: boom", |env, trap| {
        data(env).connect(data(env)).map(move |record| trap.panic_at(&record), |_| ()).collect();
        Ok(())
    };
    co_flat_map_that_panics_on_the_second_stream_ends_the_run: "co_flat_map", "panicked: boom", |env, trap| {
        let second = move |record| { trap.panic_at(&record); [record] };
        data(env).connect(data(env)).flat_map(|record| [record], second).collect();
        Ok(())
    };
    co_process_that_panics_ends_the_run: "co_process", "panicked: boom", |env, trap| {
        data(env).connect(data(env)).process_function(Faulty::new(env, trap, At::First, true)).collect();
        Ok(())
    };
    co_process_that_fails_on_the_second_stream_ends_the_run: "co_process", "boom: powder", |env, trap| {
        data(env).connect(data(env)).process_function(Faulty::new(env, trap, At::Second, false)).collect();
        Ok(())
    };
    co_process_that_fails_at_the_end_of_the_first_stream_ends_the_run: "co_process", "boom: powder", |env, trap| {
        data(env).connect(data(env)).process_function(Faulty::new(env, trap, At::EndOfFirst, false)).collect();
        Ok(())
    };
    co_process_that_panics_at_the_end_of_the_second_stream_ends_the_run: "co_process", "boom", |env, trap| {
        data(env).connect(data(env)).process_function(Faulty::new(env, trap, At::EndOfSecond, true)).collect();
        Ok(())
    };
    co_process_with_side_outputs_that_fails_ends_the_run: "co_process", "boom: powder", |env, trap| {
        let both = data(env).connect(data(env));
        let faulty = Faulty::new(env, trap, At::Second, false);
        both.process_function_with_side_outputs(move |_side| faulty).into_main().collect();
        Ok(())
    };
    keyed_co_process_that_panics_ends_the_run: "keyed_co_process", "panicked: boom", |env, trap| {
        let both = by_worker(env).connect(by_worker(env));
        both.process_function(Faulty::new(env, trap, At::Second, true)).collect();
        Ok(())
    };
    keyed_co_process_that_fails_at_the_end_of_the_first_stream_ends_the_run:
        "keyed_co_process", "boom: powder", |env, trap| {
        let both = by_worker(env).connect(by_worker(env));
        both.process_function(Faulty::new(env, trap, At::EndOfFirst, false)).collect();
        Ok(())
    };
    broadcast_process_that_fails_on_a_record_ends_the_run: "broadcast_process", "boom: powder", |env, trap| {
        let both = data(env).connect_broadcast(data(env));
        both.process_function(Faulty::new(env, trap, At::First, false)).collect();
        Ok(())
    };
    broadcast_process_that_panics_on_a_broadcast_record_ends_the_run: "broadcast_process", "boom", |env, trap| {
        let both = data(env).connect_broadcast(data(env));
        both.process_function(Faulty::new(env, trap, At::Second, true)).collect();
        Ok(())
    };
    broadcast_process_that_fails_at_the_end_of_the_broadcast_ends_the_run:
        "broadcast_process", "boom: powder", |env, trap| {
        let both = data(env).connect_broadcast(data(env));
        both.process_function(Faulty::new(env, trap, At::EndOfSecond, false)).collect();
        Ok(())
    };
    keyed_broadcast_process_that_panics_ends_the_run: "keyed_broadcast_process", "panicked: boom", |env, trap| {
        let both = by_worker(env).connect_broadcast(data(env));
        both.process_function(Faulty::new(env, trap, At::First, true)).collect();
        Ok(())
    };
    keyed_broadcast_process_that_fails_at_the_end_of_input_ends_the_run:
        "keyed_broadcast_process", "boom: powder", |env, trap| {
        let both = by_worker(env).connect_broadcast(data(env));
        both.process_function(Faulty::new(env, trap, At::EndOfFirst, false)).collect();
        Ok(())
    };
    process_with_side_outputs_that_panics_ends_the_run: "process", "panicked: boom", |env, trap| {
        let divided = data(env).process_with_side_outputs(move |record, _out: &mut Collector<()>, side| {
            trap.panic_at(&record);
            side.emit(&SIDE, record);
        });
        divided.side_output(&SIDE).collect();
        Ok(())
    };
    keyed_process_with_side_outputs_that_panics_ends_the_run: "keyed_process", "panicked: boom", |env, trap| {
        let divided = by_worker(env).process_with_side_outputs(
            move |_, _: &mut (), record, _out: &mut Collector<()>, side| {
                trap.panic_at(&record);
                side.emit(&SIDE, record);
            },
        );
        divided.side_output(&SIDE).collect();
        Ok(())
    };
    reader_of_a_side_output_that_panics_ends_the_run: "map", "panicked: boom", |env, trap| {
        let divided = data(env).process_with_side_outputs(|record, _out: &mut Collector<()>, side| {
            side.emit(&SIDE, record);
        });
        divided.side_output(&SIDE).map(move |record| trap.panic_at(&record)).collect();
        Ok(())
    };
    reduce_that_panics_ends_the_run: "reduce", "panicked: boom", |env, trap| {
        by_worker(env).reduce(move |_, record| { trap.panic_at(&record); record }).collect();
        Ok(())
    };
    fold_that_panics_ends_the_run: "fold", "panicked: boom", |env, trap| {
        by_worker(env).fold(0u64, move |n, record| { trap.panic_at(&record); n + 1 }).collect();
        Ok(())
    };
    value_of_a_maximum_that_panics_at_the_end_ends_the_run: "max", "panicked: boom", |env, trap| {
        by_worker(env).at_end().max(move |record| { trap.panic_at(record); record.1 }).collect();
        Ok(())
    };
    sum_that_overflows_ends_the_run: "sum", "attempt to add with overflow", |env, trap| {
        let some = data(env).filter(move |record| record.0 == trap.worker as u64 && record.1 < 2);
        let workers = env.workers();
        some.key_by(move |record| key_of(record.0, workers)).sum(|_| u8::MAX).collect();
        Ok(())
    };
    map_partition_that_panics_ends_the_run: "map_partition", "panicked: boom", |env, trap| {
        data(env).map_partition(move |records| { records.iter().for_each(|x| trap.panic_at(x)); records }).collect();
        Ok(())
    };
    timer_that_panics_ends_the_run: "keyed_process", "panicked: boom", |env, trap| {
        by_worker(env).process_function(Ticking { faulty: Faulty::new(env, trap, At::Timer, true) }).collect();
        Ok(())
    };
    timer_that_fails_ends_the_run: "keyed_process", "boom: powder", |env, trap| {
        by_worker(env).process_function(Ticking { faulty: Faulty::new(env, trap, At::Timer, false) }).collect();
        Ok(())
    };
    bad_record_that_panics_ends_the_run_whatever_the_policy_is: "try_map_with", "panicked: boom", |env, trap| {
        data(env).try_map_with(BadRecordPolicy::Skip, move |record| { trap.panic_at(record); Ok(()) }).0.collect();
        Ok(())
    };
    bad_record_of_a_keyed_stream_ends_the_run_by_default: "try_process_with", "boom: powder", |env, trap| {
        let checked = move |_: &u64, _: &mut (), record: &Numbered, _: &mut Collector<()>| trap.fail_at(record);
        by_worker(env).try_process_with(BadRecordPolicy::Fail, checked).0.collect();
        Ok(())
    };
}

const SIDE: OutputTag<Numbered> = OutputTag::new("side");

/// Where a function makes its mistake.
#[derive(Clone, Copy, PartialEq)]
enum At {
    First,
    Second,
    EndOfFirst,
    EndOfSecond,
    Timer,
}

/// A function on two streams with a mistake, which is a panic or an error.
struct Faulty {
    at: At,
    panics: bool,
    trap: Trap,
    worker: usize,
}

impl Faulty {
    fn new(env: &Env<'_>, trap: Trap, at: At, panics: bool) -> Self {
        Faulty { at, panics, trap, worker: env.worker_index() }
    }

    fn record(&self, at: At, record: &Numbered) -> Result<()> {
        match self.at == at && self.worker == self.trap.worker {
            true if self.panics => {
                self.trap.panic_at(record);
                Ok(())
            }
            true => self.trap.fail_at(record),
            false => Ok(()),
        }
    }

    fn event(&self, at: At) -> Result<()> {
        self.record(at, &(self.trap.worker as u64, 1500))
    }
}

impl CoProcessFunction<Numbered, Numbered> for Faulty {
    type Out = Numbered;

    fn process1(&mut self, record: Numbered, out: &mut Collector<Numbered>) -> Result<()> {
        out.emit(record);
        self.record(At::First, &record)
    }

    fn process2(&mut self, record: Numbered, _out: &mut Collector<Numbered>) -> Result<()> {
        self.record(At::Second, &record)
    }

    fn end_of_input1(&mut self, _out: &mut Collector<Numbered>) -> Result<()> {
        self.event(At::EndOfFirst)
    }

    fn end_of_input2(&mut self, _out: &mut Collector<Numbered>) -> Result<()> {
        self.event(At::EndOfSecond)
    }
}

impl KeyedCoProcessFunction<u64, Numbered, Numbered> for Faulty {
    type State = u64;
    type Out = Numbered;

    fn process1(
        &mut self,
        _: &u64,
        n: &mut u64,
        record: Numbered,
        out: &mut Collector<Numbered>,
    ) -> Result<()> {
        *n += 1;
        out.emit(record);
        self.record(At::First, &record)
    }

    fn process2(
        &mut self,
        _: &u64,
        _: &mut u64,
        record: Numbered,
        _: &mut Collector<Numbered>,
    ) -> Result<()> {
        self.record(At::Second, &record)
    }

    fn end_of_input1(&mut self, _: &u64, _: &mut u64, _: &mut Collector<Numbered>) -> Result<()> {
        self.event(At::EndOfFirst)
    }
}

impl BroadcastProcessFunction<Numbered, Numbered> for Faulty {
    type Broadcast = u64;
    type Out = Numbered;

    fn process(&mut self, _: &u64, record: Numbered, out: &mut Collector<Numbered>) -> Result<()> {
        out.emit(record);
        self.record(At::First, &record)
    }

    fn process_broadcast(
        &mut self,
        n: &mut u64,
        record: Numbered,
        _: &mut Collector<Numbered>,
    ) -> Result<()> {
        *n += 1;
        self.record(At::Second, &record)
    }

    fn end_of_broadcast(&mut self, _: &mut u64, _: &mut Collector<Numbered>) -> Result<()> {
        self.event(At::EndOfSecond)
    }
}

impl KeyedBroadcastProcessFunction<u64, Numbered, Numbered> for Faulty {
    type State = u64;
    type Broadcast = u64;
    type Out = Numbered;

    fn process(
        &mut self,
        _: &u64,
        _: &mut u64,
        _: &u64,
        record: Numbered,
        out: &mut Collector<Numbered>,
    ) -> Result<()> {
        out.emit(record);
        self.record(At::First, &record)
    }

    fn process_broadcast(&mut self, n: &mut u64, _: Numbered, _: &mut Collector<Numbered>) -> Result<()> {
        *n += 1;
        Ok(())
    }

    fn end_of_input(&mut self, _: &u64, _: &mut u64, _: &u64, _: &mut Collector<Numbered>) -> Result<()> {
        self.event(At::EndOfFirst)
    }
}

/// A function with a timer for each record, whose calls go wrong.
struct Ticking {
    faulty: Faulty,
}

impl KeyedProcessFunction<u64, Numbered> for Ticking {
    type State = ();
    type Out = Numbered;

    fn process(
        &mut self,
        _: &u64,
        (): &mut (),
        _: Numbered,
        context: &mut KeyedContext,
        _: &mut Collector<Numbered>,
    ) -> Result<()> {
        context.register_processing_time_timer(Duration::ZERO);
        Ok(())
    }

    fn on_timer(
        &mut self,
        _: &u64,
        (): &mut (),
        _: ProcessingTimer,
        _: &mut KeyedContext,
        _: &mut Collector<Numbered>,
    ) -> Result<()> {
        self.faulty.event(At::Timer)
    }
}
