//! What it costs to keep connected components up to date: a random graph of 1 M nodes and 5 M edges, then 1,000
//! changes of one edge each, in turn an insertion and a deletion, each sent when the one before is answered. Beside it,
//! union-find over all edges, which is what one would run anew for each change.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods)]

mod common;

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::{Bench, Figure};
use waterwheel::ml::graph::connected_components;
use waterwheel::prelude::*;

type Edge = (u32, u32);

/// The graph and what happens to it.
struct Case {
    nodes: u32,
    first: Vec<Edge>,
    changes: Vec<(Edge, i64)>,
}

/// splitmix64.
fn draw(state: &mut u64, below: u32) -> u32 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((((z ^ (z >> 31)) >> 32) * u64::from(below)) >> 32) as u32
}

impl Case {
    fn new(nodes: u32, edges: usize, changes: usize) -> Self {
        let mut state = 7;
        let mut edge = || (draw(&mut state, nodes), draw(&mut state, nodes));
        let first: Vec<Edge> = (0..edges).map(|_| edge()).collect();
        // Deletions take the first edges one after the other.
        let change = |i: usize| if i.is_multiple_of(2) { (edge(), 1) } else { (first[i / 2], -1) };
        let changes = (0..changes).map(change).collect();
        Case { nodes, first, changes }
    }

    /// The edges as of the last change.
    fn last(&self) -> Vec<Edge> {
        let gone = self.changes.len() / 2;
        let added = self.changes.iter().filter(|(_, diff)| *diff > 0).map(|(edge, _)| *edge);
        self.first[gone..].iter().copied().chain(added).collect()
    }
}

/// Number of components of the nodes that have an edge: union-find with path halving, from scratch.
fn union_find(nodes: u32, edges: &[Edge]) -> i64 {
    let mut parents: Vec<u32> = (0..nodes).collect();
    let mut has_edge = vec![false; nodes as usize];
    let mut root = |mut node: u32, parents: &mut Vec<u32>| {
        has_edge[node as usize] = true;
        while parents[node as usize] != node {
            parents[node as usize] = parents[parents[node as usize] as usize];
            node = parents[node as usize];
        }
        node
    };
    for (a, b) in edges {
        let (a, b) = (root(*a, &mut parents), root(*b, &mut parents));
        parents[a.max(b) as usize] = a.min(b);
    }
    (0..nodes as usize).filter(|node| has_edge[*node] && parents[*node] as usize == *node).count() as i64
}

/// What the source and the end of the graph know of each other.
#[derive(Default)]
struct Clockwork {
    /// Batches that are answered.
    answered: AtomicU64,
    sent: Mutex<Option<Instant>>,
    times: Mutex<Vec<Duration>>,
    components: AtomicI64,
}

/// Sends the graph as one batch, and then each change as one, when the one before is answered.
struct OneByOne {
    case: Arc<Case>,
    clockwork: Arc<Clockwork>,
    batch: u64,
    read: usize,
}

impl BatchSource for OneByOne {
    type Item = (Edge, i64);

    fn read(&mut self, limit: usize, out: &mut Vec<(Edge, i64)>) -> Result<BatchStatus> {
        if self.clockwork.answered.load(Ordering::Acquire) < self.batch {
            return Ok(BatchStatus::Ready);
        }
        if self.read == 0 || self.batch > 0 {
            *self.clockwork.sent.lock().unwrap() = Some(Instant::now());
        }
        if self.batch == 0 {
            let until = self.case.first.len().min(self.read + limit);
            out.extend(self.case.first[self.read..until].iter().map(|edge| (*edge, 1)));
            self.read = until;
            if until < self.case.first.len() {
                return Ok(BatchStatus::Ready);
            }
        } else {
            out.push(self.case.changes[self.batch as usize - 1]);
        }
        self.batch += 1;
        let is_last = self.batch as usize > self.case.changes.len();
        Ok(if is_last { BatchStatus::Done } else { BatchStatus::Complete })
    }
}

/// Times of the batches, the first of which is the graph; and the number of components at the end.
fn ours(case: &Arc<Case>, workers: usize) -> (Vec<Duration>, i64) {
    let clockwork = Arc::new(Clockwork::default());
    let (case, shared) = (Arc::clone(case), Arc::clone(&clockwork));
    execute(RuntimeConfig::threads(workers), move |env| {
        let source = {
            let (case, shared) = (Arc::clone(&case), Arc::clone(&shared));
            move |_split| {
                let (case, clockwork) = (Arc::clone(&case), Arc::clone(&shared));
                Ok(OneByOne { case, clockwork, batch: 0, read: 0 })
            }
        };
        let edges = env.batches("changes", 1, source).into_collection();
        let (is_first, ends) = (env.worker_index() == 0, Arc::clone(&shared));
        let changes = connected_components(edges).changes_with_progress(move |next| {
            if is_first {
                let sent = ends.sent.lock().unwrap().take();
                ends.times.lock().unwrap().extend(sent.map(|sent| sent.elapsed()));
                ends.answered.store(next.unwrap_or(u64::MAX), Ordering::Release);
            }
        });
        let sums = Arc::clone(&shared);
        changes.filter(|change| change.record.0 == change.record.1).sink(move |change| {
            sums.components.fetch_add(change.diff, Ordering::Relaxed);
            Ok(())
        });
        Ok(())
    })
    .unwrap();
    let times = std::mem::take(&mut *clockwork.times.lock().unwrap());
    (times, clockwork.components.load(Ordering::Relaxed))
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn main() {
    let bench = Bench::from_args("delta");
    let (nodes, edges) = if bench.quick { (100_000, 500_000) } else { (1_000_000, 5_000_000) };
    let case = Arc::new(Case::new(nodes, edges, 1000));
    let last = case.last();
    for workers in [1, 2] {
        let (mut times, components) = ours(&case, workers);
        let mut floors: Vec<Duration> = Vec::new();
        for _ in 0..5 {
            let start = Instant::now();
            assert_eq!(std::hint::black_box(union_find(case.nodes, &last)), components);
            floors.push(start.elapsed());
        }
        floors.sort();
        let (initial, changes) = times.split_first_mut().unwrap();
        assert_eq!(changes.len(), case.changes.len());
        changes.sort();
        let at = |percent: usize| changes[(changes.len() - 1) * percent / 100];
        for (case, time) in [
            ("initial", *initial),
            ("change, p50", at(50)),
            ("change, p99", at(99)),
            ("change, worst", at(100)),
        ] {
            let (ours, floor) = (millis(time), millis(floors[2]));
            let (floor_name, unit) = ("union-find from scratch", "ms");
            bench.report(&Figure { case, workers, processes: 1, ours, floor, floor_name, unit });
        }
        if !bench.json {
            let per_change = millis(floors[2]) / millis(at(50));
            println!("{workers} workers: from scratch costs as much as {per_change:.0} changes (p50)");
        }
    }
}
