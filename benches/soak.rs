//! Sources at full speed before consumers a hundred times slower, for a minute (`--quick`: ten seconds) each:
//! prints memory every second and fails (exit code 1) if it is not flat once the job has warmed up.
//!
//! Each case runs in processes of its own, so that none finds memory which another has left.
//! `WATERWHEEL_SOAK_LIMIT` sets the records in flight; with 0, no limit, the program must fail.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods)]

mod common;

use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use common::{Bench, Figure};
use waterwheel::iteration::feedback_loop;
use waterwheel::prelude::*;

/// Names the case that a process runs; without it the program runs all, each in a process.
const CASE: &str = "WATERWHEEL_SOAK_CASE";
const LIMIT: &str = "WATERWHEEL_SOAK_LIMIT";

/// What a slow operator takes for a record; a source makes one in about a hundredth of it.
const SLOW: Duration = Duration::from_micros(2);

/// Memory counts as flat when it has grown by no more than this share and this much, in MB.
const MAY_GROW: (f64, f64) = (0.10, 8.0);

type Graph = fn(&Env<'_>, &Arc<AtomicBool>) -> Result<()>;

struct Case {
    name: &'static str,
    threads: usize,
    processes: usize,
    graph: Graph,
}

const CASES: [Case; 5] = [
    Case { name: "slow worker", threads: 2, processes: 1, graph: slow_worker },
    Case { name: "skewed key", threads: 4, processes: 1, graph: skewed_key },
    Case { name: "slow process", threads: 1, processes: 2, graph: slow_worker },
    Case { name: "feedback loop", threads: 2, processes: 1, graph: three_laps },
    Case { name: "slow server", threads: 2, processes: 1, graph: slow_server },
];

/// Counts up until it is told to end.
struct FullSpeed {
    next: u64,
    over: Arc<AtomicBool>,
}

impl Source for FullSpeed {
    type Item = u64;

    fn read(&mut self, limit: usize, out: &mut Vec<u64>) -> Result<SourceStatus> {
        out.extend(self.next..self.next + limit as u64);
        self.next += limit as u64;
        Ok(if self.over.load(Ordering::Relaxed) { SourceStatus::Done } else { SourceStatus::Ready })
    }
}

fn numbers<'s>(env: &Env<'s>, over: &Arc<AtomicBool>) -> DataStream<'s, u64> {
    let over = Arc::clone(over);
    let open = move |split: usize| Ok(FullSpeed { next: (split as u64) << 40, over: Arc::clone(&over) });
    env.source("full speed", env.workers(), open)
}

fn work() {
    let start = Instant::now();
    while start.elapsed() < SLOW {
        std::hint::spin_loop();
    }
}

/// The last worker is slow.
fn slowly<'s, T: Clock>(records: DataStream<'s, u64, T>) -> DataStream<'s, u64, T> {
    let slow = records.worker_index() + 1 == records.workers();
    records.inspect(move |_record| {
        if slow {
            work();
        }
    })
}

fn slow_worker(env: &Env<'_>, over: &Arc<AtomicBool>) -> Result<()> {
    slowly(numbers(env, over).rebalance()).sink(|_record| Ok(()));
    Ok(())
}

fn skewed_key(env: &Env<'_>, over: &Arc<AtomicBool>) -> Result<()> {
    let one_key = numbers(env, over).key_by(|_record| 7u64);
    let counted = one_key.process(|_key, n: &mut u64, _record, out| {
        work();
        *n += 1;
        out.emit(*n);
    });
    counted.sink(|_n| Ok(()));
    Ok(())
}

/// Every record passes an exchange and a slow operator three times.
fn three_laps(env: &Env<'_>, over: &Arc<AtomicBool>) -> Result<()> {
    let entering = numbers(env, over).map(|record| record * 4 + 2).into_edge();
    let left = feedback_loop::<_, Round, _, _>(env.place(), "three laps", |it, fed_back| {
        let all = DataStream::from_edge(it.enter(entering)).union(DataStream::from_edge(fed_back));
        let worked = slowly(all.rebalance());
        let more = worked.clone().filter(|record| record % 4 > 0).map(|record| record - 1);
        let done = worked.filter(|record| record % 4 == 0);
        (more.into_edge(), it.leave(done.into_edge()))
    });
    DataStream::from_edge(left).sink(|_record| Ok(()));
    Ok(())
}

/// A parameter server whose only server is slow.
fn slow_server(env: &Env<'_>, over: &Arc<AtomicBool>) -> Result<()> {
    struct Touch;
    impl WorkerLogic for Touch {
        type In = u64;
        type Key = u64;
        type Pull = f32;
        type Push = f32;
        type Out = ();

        fn on_recv(&mut self, record: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
            ps.pull(record % 10_000)
        }

        fn on_pull_recv(
            &mut self,
            key: &u64,
            row: &[f32],
            ps: &mut ParameterServerClient<Self>,
        ) -> Result<()> {
            ps.push(*key, row.iter().copied())
        }
    }
    let init = |_: &u64, row: &mut Vec<f32>| row.extend([0.5; 10]);
    let add = |row: &mut [f32], delta: &[f32]| {
        work();
        row.iter_mut().zip(delta).for_each(|(value, delta)| *value += 0.01 * delta);
    };
    let server = SimpleServer::new(init, add).emit(Emit::Never);
    ps::transform(numbers(env, over), Touch, server, &PsConfig::new().width(10).servers(1))?;
    Ok(())
}

/// Memory in MB, every second until `over`, which is set after `seconds`.
fn watch(
    bench: &Bench,
    name: &str,
    seconds: usize,
    over: &AtomicBool,
    flow: &FlowState,
    ended: &Receiver<()>,
) -> Vec<f64> {
    let me = started_as().unwrap_or(0);
    let mut series = Vec::new();
    for second in 1..=seconds {
        if ended.recv_timeout(Duration::from_secs(1)) != Err(RecvTimeoutError::Timeout) {
            break;
        }
        let rss = machine::rss_bytes().unwrap_or(0) as f64 / (1 << 20) as f64;
        series.push(rss);
        if !bench.json {
            let fullest = flow.exchanges().into_iter().max_by_key(|exchange| exchange.in_flight);
            let fullest = fullest.map_or(String::new(), |exchange| {
                let ExchangeFlow { operator, in_flight, times_held, time_held, .. } = exchange;
                format!("   {operator}: {in_flight} in flight, held {times_held} times, {time_held:.1?}")
            });
            println!("{name} (process {me}) {second:>3} s   {rss:>7.1} MB{fullest}");
        }
    }
    over.store(true, Ordering::Relaxed);
    series
}

/// Runs one case in this process (and those it starts); whether memory was flat.
fn soak(bench: &Bench, case: &Case) -> bool {
    let (over, flow, seconds) =
        (Arc::new(AtomicBool::new(false)), FlowState::new(), if bench.quick { 10 } else { 60 });
    let mut config = RuntimeConfig::threads(case.threads).processes(case.processes).flow_state(flow.clone());
    if let Ok(limit) = std::env::var(LIMIT) {
        config = config.max_in_flight_records(limit.parse().unwrap());
    }
    let (end, ended) = std::sync::mpsc::channel();
    let (told, graph) = (Arc::clone(&over), case.graph);
    let (over, flow) = (&over, &flow);
    let series = std::thread::scope(|scope| {
        let watch = scope.spawn(move || watch(bench, case.name, seconds, over, flow, &ended));
        let outcome = execute(config, move |env| graph(env, &told));
        let _ = end.send(());
        outcome.unwrap();
        watch.join().unwrap()
    });
    let most = |part: &[f64]| part.iter().copied().fold(0.0, f64::max);
    // A fifth is warm-up; the last two fifths are held against the two before.
    let (early, late) = series[series.len() / 5..].split_at(series.len() * 2 / 5);
    let (before, after) = (most(early), most(late));
    let name = &format!("{}, process {}", case.name, started_as().unwrap_or(0));
    bench.report(&Figure {
        case: name,
        workers: case.threads,
        processes: case.processes,
        ours: after,
        floor: before,
        floor_name: "after warm-up",
        unit: "MB",
    });
    let flat = series.len() == seconds && after <= before * (1.0 + MAY_GROW.0) + MAY_GROW.1;
    if !flat {
        eprintln!("{name}: memory is not flat: {series:.1?} MB");
    }
    flat
}

fn main() -> ExitCode {
    let bench = Bench::from_args("soak");
    let all_flat = match std::env::var(CASE) {
        Ok(name) => CASES.iter().filter(|case| case.name == name).all(|case| soak(&bench, case)),
        Err(_) => CASES.iter().fold(true, |flat, case| {
            let program = std::env::current_exe().unwrap();
            let status = Command::new(program).args(std::env::args().skip(1)).env(CASE, case.name).status();
            status.unwrap().success() && flat
        }),
    };
    if all_flat { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
