//! The parameter server.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use waterwheel::prelude::*;

use crate::work::{KEYS, Model, Op, Shape, Work};

/// Sends the requests; what an answer holds is looked at, so that nobody can leave it out.
struct Requests {
    work: Work,
    keys: Arc<Vec<u32>>,
    deltas: Vec<f32>,
    since_clock: usize,
    seen: f32,
}

impl WorkerLogic for Requests {
    type In = u32;
    type Key = u32;
    type Pull = f32;
    type Push = f32;
    type Out = f32;

    #[inline]
    fn on_recv(&mut self, request: u32, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        let keys = &self.keys[self.work.range(request as usize)];
        match self.work.op {
            Op::Pull if keys.len() == 1 => ps.pull(keys[0])?,
            Op::Pull => ps.pull_many(keys)?,
            Op::Push => {
                for (key, delta) in keys.iter().zip(self.deltas.chunks_exact(self.work.width)) {
                    ps.push(*key, delta.iter().copied())?;
                }
            }
            Op::PushPull => {
                for (key, delta) in keys.iter().zip(self.deltas.chunks_exact(self.work.width)) {
                    ps.push_pull(*key, delta.iter().copied())?;
                }
            }
        }
        self.since_clock += 1;
        if self.work.model != Model::Asynchronous && self.since_clock == self.work.per_clock() {
            self.since_clock = 0;
            ps.advance_clock();
        }
        Ok(())
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

    fn close(&mut self, out: &mut Collector<f32>) -> Result<()> {
        out.emit(self.seen);
        Ok(())
    }
}

/// Nanoseconds per key, from the first request until the loop has ended everywhere.
pub fn run(work: &Work, shape: Shape) -> f64 {
    let mut config = RuntimeConfig::threads(shape.workers);
    if shape.processes > 1 {
        let args = ["--child".into(), "ours".into()].into_iter().chain(work.args());
        config = config.processes(shape.processes).child_args(args);
    }
    let took = Arc::new(Mutex::new(Duration::ZERO));
    let (job, told) = (*work, Arc::clone(&took));
    // Drawn before the clock runs.
    drop(job.keys());
    let run = execute(config, move |env| {
        let splits = env.workers();
        let data = env.from_splits(splits, move |split| job.requests(split, splits).map(|i| i as u32));
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
            seen: 0.0,
        };
        let trained = ps::transform(data, requests, server, &config)?;
        let (start, told, first) = (Instant::now(), Arc::clone(&told), env.worker_index() == 0);
        let done = Done { start, took: first.then_some(told) };
        Ok(trained.output.global().process_function(done).collect_local())
    });
    run.unwrap();
    let took = *took.lock().unwrap();
    took.as_nanos() as f64 / work.n as f64
}

/// Takes the time on worker 0, when no worker has anything left.
struct Done {
    start: Instant,
    took: Option<Arc<Mutex<Duration>>>,
}

impl ProcessFunction<f32> for Done {
    type Out = f32;

    fn process(&mut self, seen: f32, _out: &mut Collector<f32>) -> Result<()> {
        std::hint::black_box(seen);
        Ok(())
    }

    fn end_of_input(&mut self, _out: &mut Collector<f32>) -> Result<()> {
        if let Some(took) = &self.took {
            *took.lock().unwrap() = self.start.elapsed();
        }
        Ok(())
    }
}
