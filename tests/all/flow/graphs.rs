//! Random graphs with tiny limits and slow operators: every record arrives, and nothing waits for ever.

use waterwheel::engine::operator::{OperatorBuilder, WakeOn};
use waterwheel::iteration::feedback_loop;
use waterwheel::prelude::*;

use super::plan::{Move, Plan, Step, kept, leaves, mapped, next_lap, numbers};
use super::{operators, work};
use crate::cluster::{everywhere, test_path};
use crate::failures::process::within_limit;

type Stream<'s, T = Epoch> = DataStream<'s, u64, T>;

fn moved<'s, T: Clock>(stream: Stream<'s, T>, how: Move) -> Stream<'s, T> {
    let (me, workers) = (stream.worker_index() as u64, stream.parallelism() as u64);
    match how {
        Move::Evenly => stream.rebalance(),
        Move::ToFirst => stream.partition_custom(|_record, _workers| 0),
        Move::ByKey => stream.key_by(|record| record % 5).into_stream(),
        Move::ToAll => stream.broadcast().filter(move |record| record % workers == me),
        Move::Near => stream.rescale(),
        Move::AtRandom => stream.shuffle(7),
        Move::Global => stream.global(),
        Move::ToFew => few(stream, true),
        Move::Stay => stream,
    }
}

/// On half of the workers, if `it_is`.
fn few<'s, T: Clock>(stream: Stream<'s, T>, it_is: bool) -> Stream<'s, T> {
    let n = stream.workers().div_ceil(2);
    if it_is { stream.set_parallelism(n) } else { stream }
}

/// Some records take their time on one worker.
fn slowly<'s, T: Clock>(stream: Stream<'s, T>, slow: bool) -> Stream<'s, T> {
    let here = slow && stream.worker_index() + 1 == stream.workers();
    stream.inspect(move |record| work(if here && record % 4 == 0 { 30 } else { 0 }))
}

fn looped<'s>(env: &Env<'s>, stream: Stream<'s>, how: [Move; 2], slow: bool) -> Stream<'s> {
    let entering = stream.into_edge();
    let left = feedback_loop::<_, Round, _, _>(env.place(), "laps", |it, fed_back| {
        let fed_back = moved(DataStream::from_edge(fed_back), how[1]);
        let all = DataStream::from_edge(it.enter(entering)).union(fed_back);
        let all = slowly(moved(all, how[0]), slow);
        let more = all.clone().filter(|record| !leaves(*record)).map(next_lap);
        let done = all.filter(|record| leaves(*record));
        (more.into_edge(), it.leave(done.into_edge()))
    });
    DataStream::from_edge(left)
}

/// All of `first`, then all of `second`, which waits unread.
fn in_turn<'s>(env: &Env<'s>, first: Stream<'s>, second: Stream<'s>) -> Stream<'s> {
    let (first, second) = (first.into_edge(), second.into_edge());
    let mut op = OperatorBuilder::new(env.place(), "in turn");
    let awaited = first.sources();
    let mut first = op.input_routed(first, WakeOn::Progress, |record| *record);
    op.spare(&awaited);
    let mut second = op.input_routed(second, WakeOn::Progress, |record| *record);
    let (mut out, edge) = op.output();
    op.build(move |_promises, _activation| {
        move |frontiers| {
            first.for_each(|token, batch| out.send(&token, [batch]));
            if frontiers.is_done(0) {
                second.for_each(|token, batch| out.send(&token, [batch]));
            }
            Ok(())
        }
    });
    DataStream::from_edge(edge)
}

fn apply<'s>(env: &Env<'s>, step: Step, taken: Vec<Stream<'s>>) -> Vec<Stream<'s>> {
    let mut taken = taken.into_iter();
    let mut next = || taken.next().unwrap();
    match step {
        Step::Source { records, splits } => {
            vec![env.from_splits(splits, move |split| numbers(records, split as u64))]
        }
        Step::Map { moved: how, slow } => vec![slowly(moved(next(), how), slow).map(mapped)],
        Step::Filter => vec![next().filter(|record| kept(*record))],
        Step::Copy => {
            let stream = next();
            vec![stream.clone(), stream]
        }
        Step::Union => vec![next().union(next())],
        Step::Loop { moved, feedback_moved, slow } => {
            vec![looped(env, next(), [moved, feedback_moved], slow)]
        }
        Step::Await => vec![in_turn(env, next(), next())],
        Step::ByKey(aggregate) => vec![operators::aggregated(next(), aggregate)],
        Step::Connect { few: is_few } => {
            vec![few(next(), is_few).connect(next()).map(mapped, next_lap)]
        }
        Step::ConnectKeyed { few: is_few } => vec![operators::counted_by_key(few(next(), is_few), next())],
        Step::Broadcast { few: is_few } => vec![operators::beside(few(next(), is_few), next())],
        Step::Sides => operators::divided(next()),
        Step::AsyncMap { ordered, few: is_few } => vec![operators::requested(few(next(), is_few), ordered)],
        Step::MapPartition => vec![next().map_partition(|records| records.into_iter().rev())],
    }
}

/// Runs all plans as one job and returns the sorted records of each; empty but on the first process.
fn run(config: RuntimeConfig, limit: usize, plans: &[Plan]) -> Vec<Vec<u64>> {
    let (config, n, what) = (config.max_in_flight_records(limit), plans.len(), format!("{limit}, {plans:?}"));
    let plans = plans.to_vec();
    let job = move |env: &Env<'_>| {
        let mut tagged = env.from_iter(std::iter::empty());
        for (i, plan) in plans.iter().enumerate() {
            let left = plan.run(|step, taken| apply(env, step, taken));
            for stream in left {
                tagged = tagged.union(stream.map(move |record| (i, record)));
            }
        }
        Ok(tagged.collect())
    };
    let all = within_limit(&what, move || execute(config, job)).unwrap().concat();
    let mut sorted = vec![Vec::new(); n];
    all.into_iter().for_each(|(plan, record)| sorted[plan].push(record));
    sorted.iter_mut().for_each(|records| records.sort_unstable());
    sorted
}

fn arrive(path: &str, limit: usize, seeds: std::ops::Range<u64>) {
    let plans: Vec<Plan> = seeds.map(|seed| Plan::random(seed, 12)).collect();
    let expected: Vec<_> = plans.iter().map(Plan::expected).collect();
    everywhere(
        path,
        |config| run(config, limit, &plans),
        |found, shape| {
            for ((found, expected), plan) in found.iter().zip(&expected).zip(&plans) {
                assert!(
                    found == expected,
                    "{shape}, limit {limit}: {} of {}: {plan:?}",
                    found.len(),
                    expected.len()
                );
            }
        },
    );
}

macro_rules! limits {
    ($($name:ident: $limit:expr, $seeds:expr;)+) => { $(
        #[test]
        fn $name() {
            arrive(test_path!($name), $limit, $seeds);
        }
    )+ };
}

limits! {
    random_graphs_with_a_limit_of_1_deliver_every_record: 1, 0..4;
    random_graphs_with_a_limit_of_3_deliver_every_record: 3, 10..14;
    random_graphs_with_a_limit_of_17_deliver_every_record: 17, 20..25;
    random_graphs_with_a_limit_of_100_deliver_every_record: 100, 30..36;
    random_graphs_with_the_default_limit_deliver_every_record: 256 << 10, 30..36;
}

/// Graphs that share a job share its scheduling; alone, each can get stuck in its own way.
#[test]
fn random_graphs_alone_deliver_every_record() {
    for seed in 100..130 {
        let plan = [Plan::random(seed, 16)];
        let (limit, workers) = ([1, 5, 40, 100][seed as usize % 4], [1, 2, 4][seed as usize % 3]);
        let found = run(RuntimeConfig::threads(workers), limit, &plan);
        assert!(found[0] == plan[0].expected(), "limit {limit}, {workers} workers: {plan:?}");
    }
}

/// Each of two operators leaves unread what comes from the source whose end the other one awaits.
#[test]
fn operators_that_await_each_others_sources_end() {
    let job = |env: &Env<'_>| {
        let source =
            |start: u64| env.from_splits(2, move |split| (start..start + 5000).skip(split).step_by(2));
        let (a, b) = (source(0), source(10_000));
        let (a_first, b_first) = (in_turn(env, a.clone(), b.clone()), in_turn(env, b, a));
        Ok(a_first.union(b_first).collect())
    };
    for workers in [1, 2, 4] {
        let config = RuntimeConfig::threads(workers).max_in_flight_records(10);
        let found = within_limit("two that await each other", move || execute(config, job)).unwrap();
        assert_eq!(found.concat().len(), 20_000);
    }
}
