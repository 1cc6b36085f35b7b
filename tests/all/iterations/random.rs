//! Random loop bodies beside a sequential interpreter of the epoch rules.

mod interpreter;
mod program;

use std::collections::BTreeMap;

use waterwheel::prelude::*;

use interpreter::interpret;
use program::{Ending, Op, Program};

use crate::cluster::{everywhere, test_path};

type Stream<'i, U> = DataStream<'i, u64, (U, Round)>;

/// Records by epoch and stream, sorted.
type Found = BTreeMap<(Round, usize), Vec<u64>>;

/// Programs of one job: many, so that starting and ending jobs is not what takes the time.
const PER_JOB: usize = 50;

/// Random programs that are small enough to interpret, with what the rules say of each.
///
/// Runs of an inner loop overlap where the outer round does not wait for them, so a function of its body that keeps
/// something over all of its rounds meets them in any order: such programs have no one result.
fn programs(seeds: std::ops::Range<u64>) -> Vec<(u64, Program, Found)> {
    let program = |seed| {
        let program = Program::random(seed);
        if program.keeps_state_over_runs() {
            return None;
        }
        let expected = interpret(&program)?;
        Some((seed, program, expected))
    };
    seeds.filter_map(program).collect()
}

fn check(programs: &[(u64, Program, Found)], found: &[Found], shape: &str) {
    assert_eq!(programs.len(), found.len(), "{shape}");
    for ((seed, program, expected), found) in programs.iter().zip(found) {
        assert_eq!(found, expected, "seed {seed}, {shape}: {program:#?}");
    }
}

#[test]
fn random_loops_are_what_the_epoch_rules_say_at_any_number_of_workers() {
    let programs = programs(0..5_000);
    let mut n_rounds = [0usize; 8];
    for (_, _, expected) in &programs {
        n_rounds[expected.keys().map(|(epoch, _)| *epoch).max().unwrap_or(0) as usize] += 1;
    }
    for programs in programs.chunks(PER_JOB) {
        for workers in [1, 2, 4] {
            let found = run(RuntimeConfig::threads(workers), programs).unwrap_or_else(|error| {
                let seeds = (programs[0].0, programs[programs.len() - 1].0);
                panic!("seeds {seeds:?}, {workers} workers: {error}")
            });
            check(programs, &found, &format!("{workers} workers"));
        }
    }
    println!("{} programs; by last round with a record: {n_rounds:?}", programs.len());
    assert!(programs.len() > 2_000 && n_rounds[1..].iter().sum::<usize>() > 1_000, "{n_rounds:?}");
}

#[test]
fn random_loops_are_what_the_epoch_rules_say_in_two_processes() {
    let path = test_path!(random_loops_are_what_the_epoch_rules_say_in_two_processes);
    let programs = programs(10_000..10_150);
    everywhere(
        path,
        |config| run(config, &programs).unwrap(),
        |found, shape| check(&programs, &found, shape),
    );
}

/// Runs the programs on the engine, all in one job.
fn run(config: RuntimeConfig, programs: &[(u64, Program, Found)]) -> Result<Vec<Found>> {
    let (n, programs) =
        (programs.len(), programs.iter().map(|(_, program, _)| program.clone()).collect::<Vec<_>>());
    let found = execute(config, move |env| {
        let numbered = programs.iter().enumerate();
        let streams = numbered.map(|(number, program)| build(env, program).map(move |row| (number, row)));
        Ok(streams.reduce(DataStream::union).unwrap().collect())
    });
    let mut by_epoch = vec![Found::new(); n];
    for (number, (epoch, stream, record)) in found?.concat() {
        by_epoch[number].entry((epoch, stream)).or_default().push(record);
    }
    by_epoch.iter_mut().flat_map(BTreeMap::values_mut).for_each(|records| records.sort());
    Ok(by_epoch)
}

/// The records of all streams of a program, with epoch and number of the stream.
fn build<'s>(env: &Env<'s>, program: &Program) -> DataStream<'s, (Round, usize, u64)> {
    let [x, once, replayed] = [0, 1, 2].map(|i| env.from_iter(program.inputs[i].clone()).rebalance());
    let config = IterationConfig::new().max_rounds(program.max_rounds);
    let data = (once.no_replay(), replayed.replay());
    let found = Iterations::iterate_bounded((x,), data, config, |it, (x,), (once, replayed)| {
        let mut streams = vec![x, once, replayed];
        for op in &program.ops {
            let next = match op {
                Op::Nested(i, inner) => nested(streams[*i].clone(), inner),
                op => apply(it, op, &streams),
            };
            streams.push(next);
        }
        let tagged = streams.iter().enumerate().map(|(i, stream)| stream.clone().process_epochs(Tag(i)));
        let found = tagged.reduce(DataStream::union).unwrap();
        let result = IterationBodyResult::new((feedback(&streams, program.feedback),), (found,));
        match program.ending {
            Ending::Feedback => result,
            Ending::Criteria(i) => result.termination_criteria(streams[i].clone().filter(|x| x % 3 > 0)),
        }
    });
    found.0
}

/// A loop inside of a round.
fn nested<'i, U: Clock>(init: Stream<'i, U>, program: &Program) -> Stream<'i, U> {
    let config = IterationConfig::new().max_rounds(program.max_rounds);
    let (result,) = Iterations::iterate_bounded((init,), (), config, |it, (x,), ()| {
        let mut streams = vec![x];
        for op in &program.ops {
            let next = apply(it, op, &streams);
            streams.push(next);
        }
        let last = streams[streams.len() - 1].clone();
        IterationBodyResult::new((feedback(&streams, program.feedback),), (last,))
    });
    result
}

fn feedback<'i, U: Clock>(streams: &[Stream<'i, U>], i: usize) -> Stream<'i, U> {
    streams[i].clone().filter(|x| x % 4 > 0).map(|x| x / 2).rebalance()
}

/// The stream that an operation makes.
fn apply<'i, U: Clock>(it: &Iteration<'i, '_, U>, op: &Op, streams: &[Stream<'i, U>]) -> Stream<'i, U> {
    let stream = |i: &usize| streams[*i].clone();
    match op {
        Op::Map(i, add) => {
            let add = *add;
            stream(i).map(move |x| (3 * x + add) % 64)
        }
        Op::Filter(i, modulus) => {
            let modulus = *modulus;
            stream(i).filter(move |x| x % modulus == 0)
        }
        Op::Union(i, j) => stream(i).union(stream(j)),
        Op::Hold(i) => stream(i).process_epochs(Hold(Vec::new())),
        Op::Sum(i) => stream(i).set_parallelism(1).process_epochs(Sum(0)),
        Op::Count(i, modulus) => {
            let modulus = *modulus;
            stream(i).key_by(move |x| x % modulus).process_epochs(Count)
        }
        Op::CountPerRound(i, modulus) => {
            let modulus = *modulus;
            let (counts,) = it.for_each_round((stream(i),), |(x,)| {
                (x.key_by(move |x| x % modulus).count().map(|(key, n)| (key + 8 * n) % 64),)
            });
            counts
        }
        Op::SumPerRound(i) => {
            let (sums,) = it.for_each_round((stream(i).set_parallelism(1),), |(x,)| {
                (x.map_partition(|records| [records.iter().sum::<u64>() % 64]),)
            });
            sums
        }
        Op::Nested(..) => unreachable!("loops nest twice"),
    }
}

/// Emits each record with its epoch and the number of its stream.
struct Tag(usize);

impl IterationListener for Tag {
    type Out = (Round, usize, u64);
}

impl EpochProcessFunction<u64> for Tag {
    fn process(
        &mut self,
        record: u64,
        context: &mut EpochContext,
        out: &mut Collector<Self::Out>,
    ) -> Result<()> {
        out.emit((context.epoch(), self.0, record));
        Ok(())
    }
}

/// Passes the records of an epoch on when it is complete.
struct Hold(Vec<u64>);

impl IterationListener for Hold {
    type Out = u64;

    fn on_epoch_watermark_incremented(
        &mut self,
        _epoch: Round,
        _context: &mut EpochContext,
        out: &mut Collector<u64>,
    ) -> Result<()> {
        out.batch().append(&mut self.0);
        Ok(())
    }
}

impl EpochProcessFunction<u64> for Hold {
    fn process(&mut self, record: u64, _context: &mut EpochContext, _out: &mut Collector<u64>) -> Result<()> {
        self.0.push(record);
        Ok(())
    }
}

/// Emits the sum of all records so far when an epoch is complete.
struct Sum(u64);

impl IterationListener for Sum {
    type Out = u64;

    fn on_epoch_watermark_incremented(
        &mut self,
        _epoch: Round,
        _context: &mut EpochContext,
        out: &mut Collector<u64>,
    ) -> Result<()> {
        out.emit(self.0 % 64);
        Ok(())
    }
}

impl EpochProcessFunction<u64> for Sum {
    fn process(&mut self, record: u64, _context: &mut EpochContext, _out: &mut Collector<u64>) -> Result<()> {
        self.0 += record;
        Ok(())
    }
}

/// Counts the records of each key over all epochs.
struct Count;

impl IterationListener for Count {
    type Out = u64;
}

impl KeyedIterationListener<u64> for Count {
    type State = u64;
}

impl KeyedEpochProcessFunction<u64, u64> for Count {
    fn process(
        &mut self,
        key: &u64,
        n: &mut u64,
        _record: u64,
        _context: &mut EpochContext,
        out: &mut Collector<u64>,
    ) -> Result<()> {
        *n += 1;
        out.emit((key + 8 * *n) % 64);
        Ok(())
    }
}
