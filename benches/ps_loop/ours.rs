//! The parameter server.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use waterwheel::prelude::*;

use crate::common::median;
use crate::work::{KEYS, Model, Op, Shape, Work};

/// Keys of a request of the first pass.
const FIRST_PASS: u64 = 1_000;

/// What a worker does next.
#[derive(Clone, Copy, serde::Serialize, serde::Deserialize)]
enum Step {
    /// Makes the rows of these keys.
    Touch(u64),
    /// Makes the request with this number.
    Ask(u32),
    /// Goes on when all workers have done what is before it.
    Meet,
}

/// All steps of one worker: a pass over all rows, then the repetitions.
fn steps(work: Work, worker: usize, workers: usize) -> impl Iterator<Item = Step> {
    let touches = generate::split_range(KEYS / FIRST_PASS, worker, workers).map(Step::Touch);
    let repetition = move |_| work.requests(worker, workers).map(|i| Step::Ask(i as u32)).chain([Step::Meet]);
    touches.chain([Step::Meet]).chain((0..work.repetitions).flat_map(repetition))
}

/// Makes the requests; what an answer holds is looked at, so that nobody can leave it out.
struct Requests {
    work: Work,
    keys: Arc<Vec<u32>>,
    deltas: Vec<f32>,
    since_clock: usize,
    /// Clocks that are left until workers have met.
    clocks_to_meet: u64,
    /// When they met, on the first worker.
    met: Option<Arc<Mutex<Vec<Instant>>>>,
    seen: f32,
}

impl Requests {
    fn ask(&mut self, request: usize, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        let keys = &self.keys[self.work.range(request)];
        match (self.work.op, keys) {
            (Op::Pull, [key]) => ps.pull(*key)?,
            (Op::Pull, _) => ps.pull_many(keys)?,
            (Op::Push, [key]) => ps.push(*key, self.deltas.iter().copied())?,
            (Op::Push, _) => ps.push_many(keys, &self.deltas)?,
            (Op::PushPull, [key]) => ps.push_pull(*key, self.deltas.iter().copied())?,
            (Op::PushPull, _) => ps.push_pull_many(keys, &self.deltas)?,
        }
        self.since_clock += 1;
        if self.work.model != Model::Asynchronous && self.since_clock == self.work.per_clock() {
            self.since_clock = 0;
            ps.advance_clock();
        }
        Ok(())
    }
}

impl WorkerLogic for Requests {
    type In = Step;
    type Key = u32;
    type Pull = f32;
    type Push = f32;
    type Out = f32;

    #[inline]
    fn on_recv(&mut self, step: Step, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        match step {
            Step::Ask(request) => self.ask(request as usize, ps),
            Step::Touch(chunk) => {
                let first = chunk * FIRST_PASS;
                ps.pull_many((first..first + FIRST_PASS).map(|key| key as u32).collect::<Vec<_>>())
            }
            Step::Meet => {
                self.clocks_to_meet = match self.work.model {
                    Model::Asynchronous => 1,
                    // So many until a pull waits for the others, and one until that is answered.
                    Model::Bounded(staleness) => staleness + 2,
                };
                ps.advance_clock();
                Ok(())
            }
        }
    }

    #[inline]
    fn on_pull_recv(&mut self, _key: &u32, row: &[f32], _ps: &mut ParameterServerClient<Self>) -> Result<()> {
        self.seen += row[0];
        Ok(())
    }

    #[inline]
    fn on_pull_many_recv(
        &mut self,
        _keys: &[u32],
        rows: &[f32],
        _ps: &mut ParameterServerClient<Self>,
    ) -> Result<()> {
        self.seen += rows.iter().step_by(self.work.width).sum::<f32>();
        Ok(())
    }

    fn on_clock(&mut self, _clock: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        if self.clocks_to_meet == 0 {
            return Ok(());
        }
        self.clocks_to_meet -= 1;
        match (self.clocks_to_meet, &self.met) {
            (0, Some(met)) => met.lock().unwrap().push(Instant::now()),
            (0, None) => {}
            (1, _) => {
                // A key of every server.
                ps.pull_many(
                    (0..KEYS).step_by(FIRST_PASS as usize).map(|key| key as u32).collect::<Vec<_>>(),
                )?;
                ps.advance_clock();
            }
            _ => ps.advance_clock(),
        }
        Ok(())
    }

    fn close(&mut self, out: &mut Collector<f32>) -> Result<()> {
        out.emit(self.seen);
        Ok(())
    }
}

/// Nanoseconds per key: the median of the repetitions, each from when all workers have met until they meet again.
pub fn run(work: &Work, shape: Shape) -> f64 {
    let mut config = RuntimeConfig::threads(shape.workers);
    if shape.processes > 1 {
        let args = ["--child".into(), "ours".into()].into_iter().chain(work.args());
        config = config.processes(shape.processes).child_args(args);
    }
    let met = Arc::new(Mutex::new(Vec::new()));
    let (job, told) = (*work, Arc::clone(&met));
    // Drawn before the clock runs.
    drop(job.keys());
    let run = execute(config, move |env| {
        let workers = env.workers();
        let data = env.from_splits(workers, move |split| steps(job, split, workers));
        let add = |row: &mut [f32], delta: &[f32]| row.iter_mut().zip(delta).for_each(|(v, d)| *v += d);
        let width = job.width;
        let init = move |_: &u32, row: &mut Vec<f32>| row.extend(std::iter::repeat_n(0.0, width));
        let server = SimpleServer::new(init, add).emit(Emit::Never);
        let config = PsConfig::new().width(width).placement(Placement::Range(KEYS)).credit(65_536);
        let config = match job.model {
            Model::Asynchronous => config,
            Model::Bounded(staleness) => config.consistency(Consistency::Bounded(staleness)),
        };
        let requests = Requests {
            work: job,
            keys: job.keys(),
            deltas: vec![0.5; job.batch * width],
            since_clock: 0,
            clocks_to_meet: 0,
            met: (env.worker_index() == 0).then(|| Arc::clone(&told)),
            seen: 0.0,
        };
        let seen = ps::transform(data, requests, server, &config)?.output;
        Ok(seen.map(std::hint::black_box).collect_local())
    });
    run.unwrap();
    let met = met.lock().unwrap();
    let took = met.windows(2).map(|pair| (pair[1] - pair[0]).as_nanos() as f64 / work.n as f64);
    median(took.collect())
}
