//! The same programs on raw timely: the same exchange by the same hash, the same map of counts.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::hash::Hash;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;
use timely::WorkerConfig;
use timely::dataflow::channels::pact::{Exchange, ParallelizationContract, Pipeline};
use timely::dataflow::operators::generic::operator::source;
use timely::dataflow::operators::vec::Map;
use timely::dataflow::operators::{Operator, Probe, ToStream};
use timely::dataflow::{Scope, StreamVec};
use waterwheel::engine::hash::key_owner;
use waterwheel::prelude::Key;

use crate::by_hand::{add, digest, pane_digests};
use crate::timely_workers::{Workers, first, second, threads};
use crate::work::{Case, Run, Shape, Side, Work, step, window_end, words};

pub fn run(work: &Work, shape: Shape) -> Run {
    match shape.processes {
        1 => run_on(work, threads(shape.workers)),
        _ => first(|address| work.child_args(Side::Raw(address)), |workers| run_on(work, workers)),
    }
}

/// The part of the second process.
pub fn run_second(work: &Work, address: &str) {
    run_on(work, second(address));
}

fn run_on(work: &Work, (builders, guard): Workers) -> Run {
    let job = *work;
    let guards = timely::execute::execute_from(builders, guard, WorkerConfig::default(), move |worker| {
        let (start, digest) = (Instant::now(), Rc::new(Cell::new(0u64)));
        let (index, peers, total) = (worker.index(), worker.peers(), Rc::clone(&digest));
        let probe = worker.dataflow::<u64, _, _>(|scope| {
            let digests = build(scope, job, index, peers);
            let sums = fold(digests, "sum", Exchange::new(|_: &u64| 0), 0, sum, |sum| sum);
            let add = move |digest: u64| total.set(total.get().wrapping_add(digest));
            sums.map(add).probe().0
        });
        while !probe.done() {
            worker.step_or_park(None);
        }
        (start.elapsed(), digest.get())
    });
    let runs: Vec<(Duration, u64)> = guards.unwrap().join().into_iter().map(Result::unwrap).collect();
    let digest = runs.iter().map(|(_, digest)| *digest).fold(0, u64::wrapping_add);
    work.run(runs[0].0, digest)
}

fn build(scope: Scope<'_, u64>, work: Work, index: usize, peers: usize) -> StreamVec<'_, u64, u64> {
    let digests = match work.case {
        Case::Words => {
            let lines: StreamVec<_, _> = work.lines(index, peers).to_stream(scope);
            counts(lines.flat_map(words), peers)
        }
        Case::Keys => {
            let numbers: StreamVec<_, _> = work.numbers(index, peers).to_stream(scope);
            counts(numbers, peers)
        }
        Case::Windows => windows(timed(scope, work, index, peers), peers),
        Case::Maps => {
            let numbers: StreamVec<_, _> = work.numbers(index, peers).to_stream(scope);
            (0..10).fold(numbers, |numbers, _| numbers.map(step))
        }
    };
    fold(digests, "sum", Pipeline, 0, sum, |sum| sum)
}

/// Numbers and times; the timestamps of timely follow the times batch by batch.
fn timed(scope: Scope<'_, u64>, work: Work, index: usize, peers: usize) -> StreamVec<'_, u64, (u64, u64)> {
    source(scope, "timed", move |capability, info| {
        let activator = scope.activator_for(info.address);
        let (mut capability, mut records) = (Some(capability), work.timed(index, peers));
        move |output| {
            let batch: Vec<_> = records.by_ref().take(1024).collect();
            let (Some(now), Some((_, latest))) = (&mut capability, batch.last().copied()) else {
                capability = None;
                return;
            };
            output.session(now).give_iterator(batch.into_iter());
            now.downgrade(&latest);
            activator.activate();
        }
    })
    .container::<Vec<_>>()
}

/// The digest of each key and window, sent when the frontier has passed the end of the window.
fn windows(records: StreamVec<'_, u64, (u64, u64)>, peers: usize) -> StreamVec<'_, u64, u64> {
    let exchange = Exchange::new(move |record: &(u64, u64)| key_owner(&record.0, peers) as u64);
    records
        .unary_frontier(exchange, "windows", move |capability, _info| {
            let (mut capability, mut panes) = (Some(capability), BTreeMap::<u64, FxHashMap<u64, u64>>::new());
            move |(input, frontier), output| {
                input.for_each(|_, batch| {
                    for (key, time_ms) in batch.drain(..) {
                        add(panes.entry(window_end(time_ms)).or_default(), key);
                    }
                });
                let Some(now) = &mut capability else { return };
                let passed = frontier.frontier().first().copied();
                let is_over = |end: u64| passed.is_none_or(|passed| end <= passed);
                while let Some(pane) = panes.first_entry().filter(|pane| is_over(*pane.key())) {
                    let (end, counts) = pane.remove_entry();
                    output.session(now).give_iterator(pane_digests(end, &counts));
                }
                match passed {
                    Some(passed) => now.downgrade(&passed),
                    None => capability = None,
                }
            }
        })
        .container::<Vec<_>>()
}

fn sum(sum: &mut u64, digest: u64) {
    *sum = sum.wrapping_add(digest);
}

/// The digest of the counts of each worker's keys.
fn counts<K: Key + Hash>(keys: StreamVec<'_, u64, K>, peers: usize) -> StreamVec<'_, u64, u64> {
    let exchange = Exchange::new(move |key: &K| key_owner(key, peers) as u64);
    fold(keys, "count", exchange, FxHashMap::default(), add, digest)
}

/// Folds a worker's records into one, sent at the end of the input.
fn fold<'s, D: 'static, S: 'static, P>(
    stream: StreamVec<'s, u64, D>,
    name: &str,
    pact: P,
    state: S,
    mut add: impl FnMut(&mut S, D) + 'static,
    mut finish: impl FnMut(S) -> u64 + 'static,
) -> StreamVec<'s, u64, u64>
where
    P: ParallelizationContract<u64, Vec<D>>,
{
    stream
        .unary_frontier(pact, name, move |capability, _info| {
            let mut last = Some((capability, state));
            move |(input, frontier), output| {
                input.for_each(|_, batch| {
                    if let Some((_, state)) = &mut last {
                        batch.drain(..).for_each(|record| add(state, record));
                    }
                });
                if frontier.frontier().is_empty()
                    && let Some((capability, state)) = last.take()
                {
                    output.session(&capability).give(finish(state));
                }
            }
        })
        .container::<Vec<_>>()
}
