//! A parameter server of one's own: linear regression by asynchronous gradient descent. Each worker pulls the
//! weights, computes the gradient of one example, and pushes it; the servers add.
//!
//! `cargo run --example parameter_server -- -w 2`

use std::collections::VecDeque;

use waterwheel::prelude::*;

/// One example: features and target.
type Example = (Vec<f32>, f32);

/// Pulls one row of weights per example.
struct Regression {
    waiting: VecDeque<Example>,
}

impl WorkerLogic for Regression {
    type In = Example;
    type Key = u32;
    type Pull = f32;
    type Push = f32;
    type Out = f32;

    fn on_recv(&mut self, example: Example, ps: &mut ParameterServerClient<Self>) -> Result<()> {
        self.waiting.push_back(example);
        ps.pull(0)
    }

    fn on_pull_recv(&mut self, _: &u32, weights: &[f32], ps: &mut ParameterServerClient<Self>) -> Result<()> {
        let Some((x, y)) = self.waiting.pop_front() else { return Ok(()) };
        let predicted: f32 = weights.iter().zip(&x).map(|(w, x)| w * x).sum();
        let error = y - predicted;
        ps.output(error * error);
        ps.push(0, x.into_iter().map(|x| 0.02 * error * x))
    }
}

fn main() -> Result<()> {
    let (config, _rest) = RuntimeConfig::from_args(std::env::args().skip(1))?;
    let learned = execute(config, |env| {
        let examples = env.from_splits(4, |split| {
            (0..5_000u64).map(move |i| {
                let draw = |n| 2.0 * generate::unit(split as u64, 2 * i + n) as f32 - 1.0;
                let x = vec![draw(0), draw(1), 1.0];
                let y = 3.0 * x[0] - 2.0 * x[1] + 0.5;
                (x, y)
            })
        });
        let zero = |_: &u32, row: &mut Vec<f32>| row.extend([0.0; 3]);
        let add = |row: &mut [f32], step: &[f32]| row.iter_mut().zip(step).for_each(|(w, d)| *w += d);
        // A small credit bounds how old the pulled weights can be.
        let config = PsConfig::new().width(3).credit(16);
        let worker = Regression { waiting: VecDeque::new() };
        Ok(ps::transform(examples, worker, SimpleServer::new(zero, add), &config)?.model.collect())
    })?;
    for (_key, weights) in learned.concat() {
        eprintln!("weights {weights:.3?}, expected [3.000, -2.000, 0.500]");
    }
    Ok(())
}
