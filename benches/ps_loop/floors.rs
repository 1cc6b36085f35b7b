//! What a parameter server can not be faster than: one array and one thread, and the same bytes over the exchanges of
//! raw timely.

use std::time::Instant;

use timely::WorkerConfig;
use timely::dataflow::operators::{Exchange, Probe, ToStream};

use crate::common::median;
use crate::timely_workers::{Workers, first, second, threads};
use crate::work::{KEYS, Op, Shape, Work};

/// Nanoseconds per key on one array, by one thread.
pub fn array(work: &Work) -> f64 {
    let keys = work.keys();
    // All of it written, as the rows of the parameter server are before the clock runs.
    let mut table: Vec<f32> = (0..KEYS as usize * work.width).map(|i| (i % 7) as f32).collect();
    let pass = |_| {
        let start = Instant::now();
        pass_over(&mut table, work, &keys);
        start.elapsed().as_nanos() as f64 / work.n as f64
    };
    median((0..work.repetitions).map(pass).collect())
}

fn pass_over(table: &mut [f32], work: &Work, keys: &[u32]) {
    let width = work.width;
    let mut answer = vec![0.0f32; work.batch * width];
    let deltas = vec![0.5f32; work.batch * width];
    let mut seen = 0.0;
    for request in work.requests(0, 1) {
        for (i, key) in keys[work.range(request)].iter().enumerate() {
            let row = &mut table[*key as usize * width..(*key as usize + 1) * width];
            let place = i * width..(i + 1) * width;
            if work.op != Op::Pull {
                row.iter_mut().zip(&deltas[place.clone()]).for_each(|(value, delta)| *value += delta);
            }
            if work.op != Op::Push {
                answer[place].copy_from_slice(row);
            }
        }
        seen += answer[0];
    }
    std::hint::black_box((seen, table));
}

/// Nanoseconds per key for the bytes alone on raw timely: every key to the worker that owns it and back, with a row
/// where the operation has one (both ways for push+pull).
pub fn raw_timely(work: &Work, shape: Shape) -> f64 {
    match shape.processes {
        1 => run_on(work, threads(shape.workers)),
        _ => {
            let args =
                |address| ["--child".to_string(), address].into_iter().chain(work.args()).collect::<Vec<_>>();
            first(args, |workers| run_on(work, workers))
        }
    }
}

/// The part of the second process.
pub fn run_second(work: &Work, address: &str) {
    run_on(work, second(address));
}

fn run_on(work: &Work, workers: Workers) -> f64 {
    match work.width {
        1 => exchanged::<1>(work, workers),
        10 => exchanged::<10>(work, workers),
        _ => exchanged::<100>(work, workers),
    }
}

/// A row of floats that travels as its bytes would.
#[derive(Clone, Copy)]
struct Row<const N: usize>([f32; N]);

impl<const N: usize> serde::Serialize for Row<N> {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeTuple;
        let mut tuple = to.serialize_tuple(N)?;
        self.0.iter().try_for_each(|x| tuple.serialize_element(x))?;
        tuple.end()
    }
}

impl<'de, const N: usize> serde::Deserialize<'de> for Row<N> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Floats<const N: usize>;
        impl<'de, const N: usize> serde::de::Visitor<'de> for Floats<N> {
            type Value = Row<N>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{N} floats")
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Row<N>, A::Error> {
                let mut row = [0.0; N];
                for x in &mut row {
                    *x = seq.next_element()?.unwrap_or_default();
                }
                Ok(Row(row))
            }
        }
        from.deserialize_tuple(N, Floats::<N>)
    }
}

fn exchanged<const N: usize>(work: &Work, (builders, guard): Workers) -> f64 {
    let job = *work;
    let guards = timely::execute::execute_from(builders, guard, WorkerConfig::default(), move |worker| {
        let (keys, peers, me) = (job.keys(), worker.peers(), worker.index());
        let start = Instant::now();
        let probe = worker.dataflow::<u64, _, _>(|scope| {
            let per_worker = KEYS.div_ceil(peers as u64);
            let requests = job.requests(me, peers);
            let operations = requests.flat_map(move |request| job.range(request)).map({
                let keys = keys.clone();
                move |at| keys[at]
            });
            let owner = move |key: u32| u64::from(key) / per_worker;
            let (there, back) = (job.op != Op::Pull, job.op != Op::Push);
            let me = me as u32;
            // The row travels on the ways on which the operation has one.
            match (there, back) {
                (true, true) => {
                    operations
                        .map(move |key| (key, me, Row([0.5f32; N])))
                        .to_stream(scope)
                        .container::<Vec<_>>()
                        .exchange(move |row| owner(row.0))
                        .exchange(|row| u64::from(row.1))
                        .probe()
                        .0
                }
                (true, false) => {
                    operations
                        .map(move |key| (key, me, Row([0.5f32; N])))
                        .to_stream(scope)
                        .container::<Vec<_>>()
                        .exchange(move |row| owner(row.0))
                        .probe()
                        .0
                }
                _ => {
                    use timely::dataflow::operators::vec::Map;
                    operations
                        .map(move |key| (key, me))
                        .to_stream(scope)
                        .container::<Vec<_>>()
                        .exchange(move |row| owner(row.0))
                        .map(|(key, from)| (key, from, Row([0.5f32; N])))
                        .exchange(|row| u64::from(row.1))
                        .probe()
                        .0
                }
            }
        });
        while !probe.done() {
            worker.step_or_park(None);
        }
        start.elapsed()
    });
    let took: Vec<_> = guards.unwrap().join().into_iter().map(Result::unwrap).collect();
    took[0].as_nanos() as f64 / work.n as f64
}
