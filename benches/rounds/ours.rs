//! The loops on Waterwheel.

use std::sync::{Arc, Mutex};

use waterwheel::prelude::*;

use crate::work::{Case, Rounds, Run, Shape, Side, Work};

pub fn run(work: &Work, shape: Shape) -> Run {
    let config = RuntimeConfig::threads(shape.workers).processes(shape.processes);
    let config = config.child_args(work.child_args(&Side::Ours));
    let (job, result) = (*work, Arc::new(Mutex::new(Run::default())));
    let at_end = Arc::clone(&result);
    execute(config, move |env| {
        let times = Times {
            rounds: Rounds::new(job.rounds),
            result: Arc::clone(&at_end),
            is_first: env.worker_index() == 0,
        };
        match job.case {
            Case::Pass => pass(env, job.rounds, times),
            Case::Epochs => epochs(env, job.rounds, times),
            Case::Reduce(d) => reduce(env, job.rounds, d, times),
        }
        Ok(())
    })
    .unwrap();
    *result.lock().unwrap()
}

/// Notes rounds on worker 0, and hands the figures over when it is dropped.
struct Times {
    rounds: Rounds,
    result: Arc<Mutex<Run>>,
    is_first: bool,
}

impl Times {
    fn note(&mut self) {
        if self.is_first {
            self.rounds.note();
        }
    }
}

impl Drop for Times {
    fn drop(&mut self) {
        if self.is_first {
            *self.result.lock().unwrap() = self.rounds.run();
        }
    }
}

fn pass(env: &Env<'_>, rounds: u64, mut times: Times) {
    let start = env.from_splits(env.workers(), |split| [split as u64]);
    let config = IterationConfig::new().max_rounds(rounds);
    Iterations::iterate_bounded((start,), (), config, |_it, (x,), ()| {
        IterationBodyResult::new((x.inspect(move |_| times.note()),), ())
    });
}

/// Passes records on when their epoch is complete.
struct Hold(Vec<u64>, Times);

impl IterationListener for Hold {
    type Out = u64;

    fn on_epoch_watermark_incremented(
        &mut self,
        _epoch: Round,
        _context: &mut EpochContext,
        out: &mut Collector<u64>,
    ) -> Result<()> {
        self.1.note();
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

fn epochs(env: &Env<'_>, rounds: u64, times: Times) {
    let start = env.from_splits(env.workers(), |split| [split as u64]);
    let config = IterationConfig::new().max_rounds(rounds);
    Iterations::iterate_bounded((start,), (), config, |_it, (x,), ()| {
        IterationBodyResult::new((x.process_epochs(Hold(Vec::new(), times)),), ())
    });
}

fn reduce(env: &Env<'_>, rounds: u64, d: usize, mut times: Times) {
    let workers = env.workers();
    let start = env.from_splits(workers, move |_| [vec![1.0f64; d]]);
    let config = IterationConfig::new().max_rounds(rounds);
    Iterations::iterate_bounded((start,), (), config, |_it, (x,), ()| {
        let (mut sum, mut n) = (Vec::<f64>::new(), 0);
        let sums = x.global().process(move |part, out| {
            n += 1;
            match sum.is_empty() {
                true => sum = part,
                false => sum.iter_mut().zip(part).for_each(|(sum, x)| *sum = 0.5 * (*sum + x)),
            }
            if n == workers {
                n = 0;
                out.emit(std::mem::take(&mut sum));
            }
        });
        IterationBodyResult::new((sums.broadcast().inspect(move |_| times.note()),), ())
    });
}
