//! The same programs on raw timely: the same exchange by the same hash, the same map of counts.

use std::cell::Cell;
use std::hash::Hash;
use std::net::TcpListener;
use std::process::{Child, Command};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;
use timely::dataflow::channels::pact::{Exchange, ParallelizationContract, Pipeline};
use timely::dataflow::operators::vec::Map;
use timely::dataflow::operators::{Operator, Probe, ToStream};
use timely::dataflow::{Scope, StreamVec};
use waterwheel::engine::hash::key_owner;
use waterwheel::prelude::Key;

use crate::by_hand::{add, digest};
use crate::work::{Case, Run, Shape, Side, Work, step, words};

pub fn run(work: &Work, shape: Shape) -> Run {
    match (shape.processes, shape.workers) {
        (1, 1) => run_config(work, timely::Config::thread()),
        (1, workers) => run_config(work, timely::Config::process(workers)),
        _ => {
            let addresses = addresses();
            let mut child = start_child(work, &addresses);
            let run = run_process(work, 0, addresses);
            assert!(child.wait().unwrap().success());
            run
        }
    }
}

/// Two free ports of this machine. Both are bound before either is given back.
fn addresses() -> Vec<String> {
    let ports = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    ports.map(|port| port.local_addr().unwrap().to_string()).to_vec()
}

fn start_child(work: &Work, addresses: &[String]) -> Child {
    let args = work.child_args(Side::Raw(addresses.to_vec()));
    Command::new(std::env::current_exe().unwrap()).args(args).spawn().unwrap()
}

/// Runs process `process` of two, of one worker each.
pub fn run_process(work: &Work, process: usize, addresses: Vec<String>) -> Run {
    let mut config = timely::Config::thread();
    config.communication = timely::CommunicationConfig::Cluster {
        threads: 1,
        process,
        addresses,
        report: false,
        zerocopy: false,
    };
    run_config(work, config)
}

fn run_config(work: &Work, config: timely::Config) -> Run {
    let job = *work;
    let guards = timely::execute(config, move |worker| {
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
        Case::Maps => {
            let numbers: StreamVec<_, _> = work.numbers(index, peers).to_stream(scope);
            (0..10).fold(numbers, |numbers, _| numbers.map(step))
        }
    };
    fold(digests, "sum", Pipeline, 0, sum, |sum| sum)
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
