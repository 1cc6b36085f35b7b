//! The same loops on raw timely.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::operator::Operator;
use timely::dataflow::operators::vec::Broadcast;
use timely::dataflow::operators::{Concat, ConnectLoop, Enter, Exchange, Feedback, ToStream};
use timely::dataflow::{Scope, StreamVec};
use timely::{ExchangeData, WorkerConfig};

use crate::timely_workers::{Workers, first, second, threads};
use crate::work::{Case, Rounds, Run, Shape, Side, Work};

type Time = (u64, u64);

pub fn run(work: &Work, shape: Shape) -> Run {
    match shape.processes {
        1 => run_on(work, threads(shape.workers)),
        _ => first(|address| work.child_args(&Side::Raw(address)), |workers| run_on(work, workers)),
    }
}

/// The part of the second process.
pub fn run_second(work: &Work, address: &str) {
    run_on(work, second(address));
}

fn run_on(work: &Work, (builders, guard): Workers) -> Run {
    let (job, times) = (*work, Arc::new(Mutex::new(Rounds::new(work.rounds))));
    let noted = Arc::clone(&times);
    let guards = timely::execute::execute_from(builders, guard, WorkerConfig::default(), move |worker| {
        let (index, peers, times) = (worker.index(), worker.peers(), Arc::clone(&noted));
        let note = move || {
            if index == 0 {
                times.lock().unwrap().note();
            }
        };
        worker.dataflow::<u64, _, _>(|scope| match job.case {
            Case::Pass => looped(scope, vec![index as u64], |x| limited(x, job.rounds, note)),
            Case::Epochs => looped(scope, vec![index as u64], |x| held(x, job.rounds, note)),
            Case::Reduce(d) => {
                looped(scope, vec![vec![1.0; d]], |x| limited(reduced(x, peers), job.rounds, note));
            }
        });
        while worker.has_dataflows() {
            worker.step_or_park(None);
        }
    });
    drop(guards.unwrap().join());
    times.lock().unwrap().run()
}

/// A loop that ends when `body` lets nothing pass.
fn looped<D: ExchangeData>(
    scope: Scope<'_, u64>,
    start: Vec<D>,
    body: impl for<'i> FnOnce(StreamVec<'i, Time, D>) -> StreamVec<'i, Time, D>,
) {
    let start = start.to_stream(scope).container::<Vec<_>>();
    scope.scoped::<Time, _, _>("loop", |inner| {
        let (handle, fed_back) = inner.feedback::<Vec<D>>((0, 1));
        body(start.enter(inner).concat(fed_back)).connect_loop(handle);
    });
}

/// Notes each record, and lets it pass in so many rounds.
fn limited<'i, D: 'static>(
    x: StreamVec<'i, Time, D>,
    rounds: u64,
    mut note: impl FnMut() + 'static,
) -> StreamVec<'i, Time, D> {
    let passed = x.unary(Pipeline, "limited", move |_capability, _info| {
        move |input, output| {
            input.for_each(|capability, batch: &mut Vec<D>| {
                batch.iter().for_each(|_| note());
                if capability.least().is_some_and(|time| time.1 + 1 < rounds) {
                    output.session(&capability).give_container(batch);
                }
            });
        }
    });
    passed.container::<Vec<D>>()
}

/// Holds records until the round is complete.
fn held<'i>(
    x: StreamVec<'i, Time, u64>,
    rounds: u64,
    mut note: impl FnMut() + 'static,
) -> StreamVec<'i, Time, u64> {
    x.unary_frontier(Pipeline, "hold", move |_capability, _info| {
        let mut held = BTreeMap::new();
        move |(input, frontier), output| {
            input.for_each(|capability, batch| {
                if let (Some(time), Some(right)) = (capability.least(), capability.retain_least(0)) {
                    held.entry(*time).or_insert_with(|| (right, Vec::new())).1.append(batch);
                }
            });
            while let Some(first) = held.first_entry().filter(|first| !frontier.less_equal(first.key())) {
                note();
                let (right, mut batch) = first.remove();
                if right.time().1 + 1 < rounds {
                    output.session(&right).give_container(&mut batch);
                }
            }
        }
    })
    .container::<Vec<u64>>()
}

/// Adds vectors up on worker 0 and sends the sum to all.
fn reduced<'i>(x: StreamVec<'i, Time, Vec<f64>>, peers: usize) -> StreamVec<'i, Time, Vec<f64>> {
    let sums = x.exchange(|_| 0).unary(Pipeline, "sum", move |_capability, _info| {
        let (mut sum, mut n) = (Vec::<f64>::new(), 0);
        move |input, output| {
            input.for_each(|capability, batch: &mut Vec<Vec<f64>>| {
                for part in batch.drain(..) {
                    n += 1;
                    match sum.is_empty() {
                        true => sum = part,
                        false => sum.iter_mut().zip(part).for_each(|(sum, x)| *sum = 0.5 * (*sum + x)),
                    }
                    if n == peers {
                        n = 0;
                        output.session(&capability).give(std::mem::take(&mut sum));
                    }
                }
            });
        }
    });
    sums.container::<Vec<Vec<f64>>>().broadcast()
}
