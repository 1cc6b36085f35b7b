//! Mistakes inside loops: the error names the loops around the operator, and functions that are told of epochs.

use waterwheel::prelude::*;

use super::fixture::{Numbered, Trap, boom, data, jobs_that_fail, key_of};

jobs_that_fail! {
    map_in_two_nested_loops_that_panics_is_named_by_its_path: "train/inner/map", "panicked: boom", |env, trap| {
        let config = IterationConfig::new().name("train").max_rounds(2);
        let (all,) = Iterations::iterate_bounded((data(env),), (), config, |_it, (x,), ()| {
            let config = IterationConfig::new().name("inner").max_rounds(3);
            let (y,) = Iterations::iterate_bounded((x,), (), config, |_it, (y,), ()| {
                let y = y.map(move |record| { trap.panic_at(&record); record });
                IterationBodyResult::new((y.clone(),), (y,))
            });
            IterationBodyResult::new((y.clone(),), (y,))
        });
        all.sink(|_| Ok(()));
        Ok(())
    };
    sink_behind_two_loops_that_fails_is_named_without_them: "sink", "boom: powder", |env, trap| {
        let config = IterationConfig::new().name("train").max_rounds(2);
        let (all,) = Iterations::iterate_bounded((data(env),), (), config, |_it, (x,), ()| {
            IterationBodyResult::new((x.clone(),), (x,))
        });
        all.sink(move |record| trap.fail_at(&record));
        Ok(())
    };
    operator_of_an_unbounded_loop_with_a_name_is_named_by_it: "halve/my map", "boom", |env, trap| {
        let (all,) = Iterations::iterate_unbounded_named("halve", (data(env),), (), |_it, (x,), ()| {
            let next = x.clone().map(move |record| { trap.panic_at(&record); record }).name("my map");
            IterationBodyResult::new((next.filter(|_| false),), (x,))
        });
        all.sink(|_| Ok(()));
        Ok(())
    };
    workset_function_that_fails_is_named_by_its_loop: "spread/workset", "boom: powder", |env, trap| {
        let workers = env.workers();
        let work = data(env).filter(|record| record.1 > 1400).map(move |record| (key_of(record.0, workers), record));
        iterate_workset_named("spread", work, Spread(trap)).collect();
        Ok(())
    };
    process_epochs_that_panics_on_a_record_ends_the_run: "loop/process_epochs", "panicked: boom", |env, trap| {
        in_loop(env, |x, me| x.process_epochs(Listening::new(me, trap, At::Record, true)));
        Ok(())
    };
    process_epochs_that_fails_when_told_of_an_epoch_ends_the_run: "loop/process_epochs", "boom: powder", |env, trap| {
        in_loop(env, |x, me| x.process_epochs(Listening::new(me, trap, At::Epoch, false)));
        Ok(())
    };
    process_epochs_that_panics_at_the_termination_ends_the_run: "loop/process_epochs", "boom", |env, trap| {
        in_loop(env, |x, me| x.process_epochs(Listening::new(me, trap, At::Termination, true)));
        Ok(())
    };
    co_process_epochs_that_fails_on_a_record_ends_the_run: "loop/co_process_epochs", "boom: powder", |env, trap| {
        in_loop(env, |x, me| x.clone().connect(x).process_epochs(Listening::new(me, trap, At::Record, false)));
        Ok(())
    };
    keyed_process_epochs_that_panics_for_a_key_ends_the_run: "loop/keyed_process_epochs", "boom", |env, trap| {
        let workers = env.workers();
        in_loop(env, |x, me| {
            let keyed = x.key_by(move |record| key_of(record.0, workers));
            keyed.process_epochs(Listening::new(me, trap, At::Key, true))
        });
        Ok(())
    };
    keyed_co_process_epochs_that_fails_for_a_key_at_the_termination_ends_the_run:
        "loop/keyed_co_process_epochs", "boom: powder", |env, trap| {
        let workers = env.workers();
        in_loop(env, |x, me| {
            let first = x.clone().key_by(move |record| key_of(record.0, workers));
            let both = first.connect(x.key_by(move |record| key_of(record.0, workers)));
            both.process_epochs(Listening::new(me, trap, At::KeyTermination, false))
        });
        Ok(())
    };
    broadcast_process_epochs_that_panics_on_a_record_ends_the_run:
        "loop/broadcast_process_epochs", "panicked: boom", |env, trap| {
        in_loop(env, |x, me| {
            x.clone().connect_broadcast(x).process_epochs(Listening::new(me, trap, At::Record, true))
        });
        Ok(())
    };
    keyed_broadcast_process_epochs_that_fails_when_told_of_an_epoch_ends_the_run:
        "loop/keyed_broadcast_process_epochs", "boom: powder", |env, trap| {
        let workers = env.workers();
        in_loop(env, |x, me| {
            let keyed = x.clone().key_by(move |record| key_of(record.0, workers));
            keyed.connect_broadcast(x).process_epochs(Listening::new(me, trap, At::Epoch, false))
        });
        Ok(())
    };
}

/// The records inside the loop.
type Inner<'i> = DataStream<'i, Numbered, (Epoch, Round)>;

/// Puts an operator on records that go round three times.
fn in_loop(
    env: &Env<'_>,
    operator: impl for<'i> FnOnce(Inner<'i>, usize) -> DataStream<'i, (), (Epoch, Round)>,
) {
    let (me, config) = (env.worker_index(), IterationConfig::new().name("loop").max_rounds(3));
    let (all,) = Iterations::iterate_bounded((data(env),), (), config, |_it, (x,), ()| {
        let out = operator(x.clone(), me);
        IterationBodyResult::new((x,), (out,))
    });
    all.sink(|()| Ok(()));
}

/// Fails on one piece of work.
struct Spread(Trap);

impl WorksetFunction<u64, Numbered> for Spread {
    type State = u64;
    type Out = u64;

    fn step(
        &mut self,
        _key: &u64,
        work: &mut Vec<Numbered>,
        _state: &mut u64,
        _next: &mut Workset<u64, Numbered>,
    ) -> Result<()> {
        work.iter().try_for_each(|record| self.0.fail_at(record))
    }

    fn settled(&mut self, _key: &u64, state: &mut u64, out: &mut Vec<u64>) -> Result<bool> {
        out.push(*state);
        Ok(true)
    }
}

/// Where a function makes its mistake.
#[derive(Clone, Copy, PartialEq)]
enum At {
    Record,
    Epoch,
    Termination,
    Key,
    KeyTermination,
}

/// A function that is told of epochs, with a mistake, which is a panic or an error.
struct Listening {
    at: At,
    panics: bool,
    trap: Trap,
    worker: usize,
}

impl Listening {
    fn new(worker: usize, trap: Trap, at: At, panics: bool) -> Self {
        Listening { at, panics, trap, worker }
    }

    fn at(&self, at: At, is_it: bool) -> Result<()> {
        match is_it && self.at == at && self.worker == self.trap.worker {
            true if self.panics => panic!("boom"),
            true => Err(boom()),
            false => Ok(()),
        }
    }

    fn record(&self, record: &Numbered) -> Result<()> {
        self.at(At::Record, self.trap.is_at(record))
    }
}

impl IterationListener for Listening {
    type Out = ();

    fn on_epoch_watermark_incremented(
        &mut self,
        epoch: Round,
        _: &mut EpochContext,
        _: &mut Collector<()>,
    ) -> Result<()> {
        self.at(At::Epoch, epoch == 1)
    }

    fn on_iteration_terminated(&mut self, _: &mut EpochContext, _: &mut Collector<()>) -> Result<()> {
        self.at(At::Termination, true)
    }
}

impl EpochProcessFunction<Numbered> for Listening {
    fn process(&mut self, record: Numbered, _: &mut EpochContext, _: &mut Collector<()>) -> Result<()> {
        self.record(&record)
    }
}

impl EpochCoProcessFunction<Numbered, Numbered> for Listening {
    fn process1(&mut self, _: Numbered, _: &mut EpochContext, _: &mut Collector<()>) -> Result<()> {
        Ok(())
    }

    fn process2(&mut self, record: Numbered, _: &mut EpochContext, _: &mut Collector<()>) -> Result<()> {
        self.record(&record)
    }
}

impl EpochBroadcastProcessFunction<Numbered, Numbered> for Listening {
    type Broadcast = u64;

    fn process(
        &mut self,
        _: &u64,
        record: Numbered,
        _: &mut EpochContext,
        _: &mut Collector<()>,
    ) -> Result<()> {
        self.record(&record)
    }

    fn process_broadcast(
        &mut self,
        n: &mut u64,
        _: Numbered,
        _: &mut EpochContext,
        _: &mut Collector<()>,
    ) -> Result<()> {
        *n += 1;
        Ok(())
    }
}

impl KeyedIterationListener<u64> for Listening {
    type State = u64;
    const VISITS_KEYS: bool = true;

    fn on_key_epoch(
        &mut self,
        _: &u64,
        _: &mut u64,
        epoch: Round,
        _: &mut EpochContext,
        _: &mut Collector<()>,
    ) -> Result<()> {
        self.at(At::Key, epoch == 1)
    }

    fn on_key_terminated(
        &mut self,
        _: &u64,
        _: &mut u64,
        _: &mut EpochContext,
        _: &mut Collector<()>,
    ) -> Result<()> {
        self.at(At::KeyTermination, true)
    }
}

impl KeyedEpochProcessFunction<u64, Numbered> for Listening {
    fn process(
        &mut self,
        _: &u64,
        n: &mut u64,
        _: Numbered,
        _: &mut EpochContext,
        _: &mut Collector<()>,
    ) -> Result<()> {
        *n += 1;
        Ok(())
    }
}

impl KeyedEpochCoProcessFunction<u64, Numbered, Numbered> for Listening {
    fn process1(
        &mut self,
        _: &u64,
        n: &mut u64,
        _: Numbered,
        _: &mut EpochContext,
        _: &mut Collector<()>,
    ) -> Result<()> {
        *n += 1;
        Ok(())
    }

    fn process2(
        &mut self,
        _: &u64,
        _: &mut u64,
        _: Numbered,
        _: &mut EpochContext,
        _: &mut Collector<()>,
    ) -> Result<()> {
        Ok(())
    }
}

impl KeyedEpochBroadcastProcessFunction<u64, Numbered, Numbered> for Listening {
    type Broadcast = u64;

    fn process(
        &mut self,
        _: &u64,
        _: (&mut u64, &u64),
        record: Numbered,
        _: &mut EpochContext,
        _: &mut Collector<()>,
    ) -> Result<()> {
        self.record(&record)
    }

    fn process_broadcast(
        &mut self,
        n: &mut u64,
        _: Numbered,
        _: &mut EpochContext,
        _: &mut Collector<()>,
    ) -> Result<()> {
        *n += 1;
        Ok(())
    }
}
