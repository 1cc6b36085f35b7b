//! Functions on two streams that are told of epochs, beside a sequential evaluation; and time to live of their state.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use waterwheel::engine::machine;
use waterwheel::prelude::*;

use crate::cluster::{everywhere, test_path};

/// Who tells (a key, or a worker as -1), in which epoch, and two sums of all that came so far.
type Told = (i64, Round, u64, u64);

const ROUNDS: Round = 4;
const KEYS: u64 = 5;

fn firsts() -> impl Iterator<Item = u64> {
    0..40
}

fn seconds() -> impl Iterator<Item = u64> {
    100..130
}

/// What of the first stream comes in the next epoch.
fn next_first(x: u64) -> Option<u64> {
    (!x.is_multiple_of(4)).then_some(x + 1)
}

/// The same, of the second one.
fn next_second(y: u64) -> Option<u64> {
    (!y.is_multiple_of(3)).then_some(y + 2)
}

/// Tells the sums of each key, and of the broadcast records that this worker has applied.
#[derive(Default)]
struct Tally {
    applied: u64,
}

impl IterationListener for Tally {
    type Out = Told;

    fn on_epoch_watermark_incremented(
        &mut self,
        epoch: Round,
        _: &mut EpochContext,
        out: &mut Collector<Told>,
    ) -> Result<()> {
        out.emit((-1, epoch, self.applied, 0));
        Ok(())
    }

    fn on_iteration_terminated(&mut self, _: &mut EpochContext, out: &mut Collector<Told>) -> Result<()> {
        out.emit((-1, END_EPOCH, self.applied, 0));
        Ok(())
    }
}

impl KeyedIterationListener<u64> for Tally {
    type State = (u64, u64);
    const VISITS_KEYS: bool = true;

    fn on_key_epoch(
        &mut self,
        key: &u64,
        sums: &mut (u64, u64),
        epoch: Round,
        _: &mut EpochContext,
        out: &mut Collector<Told>,
    ) -> Result<()> {
        out.emit((*key as i64, epoch, sums.0, sums.1));
        Ok(())
    }

    fn on_key_terminated(
        &mut self,
        key: &u64,
        sums: &mut (u64, u64),
        context: &mut EpochContext,
        out: &mut Collector<Told>,
    ) -> Result<()> {
        assert_eq!(context.epoch(), END_EPOCH);
        out.emit((*key as i64, END_EPOCH, sums.0, sums.1));
        Ok(())
    }
}

impl KeyedEpochCoProcessFunction<u64, u64, u64> for Tally {
    fn process1(
        &mut self,
        _: &u64,
        sums: &mut (u64, u64),
        record: u64,
        _: &mut EpochContext,
        _: &mut Collector<Told>,
    ) -> Result<()> {
        sums.0 += record;
        Ok(())
    }

    fn process2(
        &mut self,
        _: &u64,
        sums: &mut (u64, u64),
        record: u64,
        _: &mut EpochContext,
        _: &mut Collector<Told>,
    ) -> Result<()> {
        sums.1 += record;
        Ok(())
    }
}

const SEEN: OutputTag<u64> = OutputTag::new("seen");

impl EpochBroadcastProcessFunction<u64, u64> for Tally {
    type Broadcast = u64;

    fn process(
        &mut self,
        broadcast: &u64,
        record: u64,
        context: &mut EpochContext,
        _: &mut Collector<Told>,
    ) -> Result<()> {
        assert_eq!(*broadcast, self.applied);
        context.output(&SEEN, record);
        Ok(())
    }

    fn process_broadcast(
        &mut self,
        broadcast: &mut u64,
        record: u64,
        _: &mut EpochContext,
        _: &mut Collector<Told>,
    ) -> Result<()> {
        *broadcast += record;
        self.applied += record;
        Ok(())
    }
}

impl KeyedEpochBroadcastProcessFunction<u64, u64, u64> for Tally {
    type Broadcast = u64;

    fn process(
        &mut self,
        _: &u64,
        (sums, broadcast): (&mut (u64, u64), &u64),
        record: u64,
        _: &mut EpochContext,
        _: &mut Collector<Told>,
    ) -> Result<()> {
        assert_eq!(*broadcast, self.applied);
        sums.0 += record;
        Ok(())
    }

    fn process_broadcast(
        &mut self,
        broadcast: &mut u64,
        record: u64,
        _: &mut EpochContext,
        _: &mut Collector<Told>,
    ) -> Result<()> {
        *broadcast += record;
        self.applied += record;
        Ok(())
    }
}

/// What three functions tell, and the records that one of them has seen.
struct Expected {
    keyed_co: Vec<Told>,
    broadcast: Vec<Told>,
    keyed_broadcast: Vec<Told>,
    seen: Vec<u64>,
}

fn expected(workers: usize) -> Expected {
    let (mut xs, mut ys): (Vec<u64>, Vec<u64>) = (firsts().collect(), seconds().collect());
    let mut sums = BTreeMap::<u64, (u64, u64)>::new();
    let (mut applied, mut seen) = (0, Vec::new());
    let mut all = Expected { keyed_co: vec![], broadcast: vec![], keyed_broadcast: vec![], seen: vec![] };
    for epoch in (0..ROUNDS).chain([END_EPOCH]) {
        if epoch != END_EPOCH {
            xs.iter().for_each(|x| sums.entry(x % KEYS).or_default().0 += x);
            ys.iter().for_each(|y| sums.entry(y % KEYS).or_default().1 += y);
            applied += ys.iter().sum::<u64>();
            seen.extend_from_slice(&xs);
            xs = xs.into_iter().filter_map(next_first).collect();
            ys = ys.into_iter().filter_map(next_second).collect();
        }
        let workers = || std::iter::repeat_n((-1, epoch, applied, 0), workers);
        all.keyed_co.extend(sums.iter().map(|(key, sums)| (*key as i64, epoch, sums.0, sums.1)));
        all.keyed_co.extend(workers().map(|(worker, epoch, ..)| (worker, epoch, 0, 0)));
        all.keyed_broadcast.extend(sums.iter().map(|(key, sums)| (*key as i64, epoch, sums.0, 0)));
        all.keyed_broadcast.extend(workers());
        all.broadcast.extend(workers());
    }
    for told in [&mut all.keyed_co, &mut all.broadcast, &mut all.keyed_broadcast] {
        told.sort();
    }
    seen.sort_unstable();
    all.seen = seen;
    all
}

#[test]
fn functions_on_two_streams_see_all_of_an_epoch_before_they_are_told_of_it() {
    let job = |config| {
        let workers = execute(config, |env| {
            let (x, y) = (env.from_iter(firsts()).rebalance(), env.from_iter(seconds()).rebalance());
            let config = IterationConfig::new().max_rounds(ROUNDS);
            let outputs = Iterations::iterate_bounded((x, y), (), config, |_it, (x, y), ()| {
                let keyed = x.clone().key_by(|x| x % KEYS);
                let keyed_co = keyed.connect(y.clone().key_by(|y| y % KEYS)).process_epochs(Tally::default());
                let beside = x.clone().connect_broadcast(y.clone());
                let broadcast = beside.process_epochs_with_side_outputs(Tally::default());
                let seen = broadcast.side_output(&SEEN);
                let keyed = x.clone().key_by(|x| x % KEYS).connect_broadcast(y.clone());
                let keyed_broadcast = keyed.process_epochs(Tally::default());
                let feedback = (x.flat_map(next_first), y.flat_map(next_second));
                IterationBodyResult::new(feedback, (keyed_co, broadcast.into_main(), keyed_broadcast, seen))
            });
            let (keyed_co, broadcast, keyed_broadcast, seen) = outputs;
            let told = vec![keyed_co.collect(), broadcast.collect(), keyed_broadcast.collect()];
            Ok((told, seen.collect(), env.from_iter([env.workers()]).collect()))
        });
        workers.unwrap().into_iter().next().unwrap()
    };
    let path = test_path!(functions_on_two_streams_see_all_of_an_epoch_before_they_are_told_of_it);
    everywhere(path, job, |(mut told, mut seen, workers), shape| {
        told.iter_mut().for_each(|told| told.sort());
        seen.sort_unstable();
        let expected = expected(workers[0]);
        assert_eq!(told[0], expected.keyed_co, "{shape}");
        assert_eq!(told[1], expected.broadcast, "{shape}");
        assert_eq!(told[2], expected.keyed_broadcast, "{shape}");
        assert_eq!(seen, expected.seen, "{shape}");
    });
}

/// Counts records in the state of the key. Six seconds go by with each epoch.
struct Count(Rc<Cell<u64>>);

impl IterationListener for Count {
    type Out = (u64, Round, u64);

    fn on_epoch_watermark_incremented(
        &mut self,
        _: Round,
        _: &mut EpochContext,
        _: &mut Collector<Self::Out>,
    ) -> Result<()> {
        self.0.set(self.0.get() + 6);
        Ok(())
    }
}

impl KeyedIterationListener<u64> for Count {
    type State = u64;
}

impl KeyedEpochProcessFunction<u64, u64> for Count {
    fn process(
        &mut self,
        key: &u64,
        n: &mut u64,
        _: u64,
        context: &mut EpochContext,
        out: &mut Collector<Self::Out>,
    ) -> Result<()> {
        *n += 1;
        out.emit((*key, context.epoch(), *n));
        Ok(())
    }
}

#[test]
fn state_of_a_function_that_is_told_of_epochs_has_the_time_to_live_of_its_stream() {
    let job = |config| {
        let counts = execute(config, |env| {
            let (start, secs) = (machine::now(), Rc::new(Cell::new(0)));
            let read = Rc::clone(&secs);
            let ttl =
                StateTtl::new(Duration::from_secs(10)).clock(move || start + Duration::from_secs(read.get()));
            // 0 comes in each round; 10 becomes 11, 12 and 13, which have the keys 1, 2, 1 and 2.
            let (x, config) = (env.from_iter([0u64, 10]), IterationConfig::new().max_rounds(4));
            let (counts,) = Iterations::iterate_bounded((x,), (), config, move |_it, (x,), ()| {
                let keyed = x.clone().key_by(|x| if *x == 0 { 0 } else { 1 + x % 2 }).state_ttl(ttl);
                let counts = keyed.process_epochs(Count(secs));
                IterationBodyResult::new((x.map(|x| if x == 0 { 0 } else { x + 1 }),), (counts,))
            });
            Ok(counts.collect())
        });
        counts.unwrap().concat()
    };
    let path = test_path!(state_of_a_function_that_is_told_of_epochs_has_the_time_to_live_of_its_stream);
    everywhere(path, job, |mut counts, shape| {
        counts.sort_unstable();
        // Six seconds after the last record there is the same state, twelve seconds after it a new one.
        let expected =
            [(0, 0, 1), (0, 1, 2), (0, 2, 3), (0, 3, 4), (1, 0, 1), (1, 2, 1), (2, 1, 1), (2, 3, 1)];
        assert_eq!(counts, expected, "{shape}");
    });
}
