//! How long one pull of one key takes, there and back, with nothing else under way.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use waterwheel::prelude::*;

use crate::work::Shape;

/// Asks for a key of the server on another worker when the one before is answered.
struct OneByOne {
    left: usize,
    asked: Instant,
    took: Arc<Mutex<Vec<f64>>>,
}

impl WorkerLogic for OneByOne {
    type In = ();
    type Key = u64;
    type Pull = f32;
    type Push = f32;
    type Out = ();

    fn on_recv(&mut self, (): (), ps: &mut ParameterServerClient<Self>) -> Result<()> {
        self.asked = Instant::now();
        ps.pull(0)
    }

    fn on_pull_recv(&mut self, _key: &u64, _row: &[f32], ps: &mut ParameterServerClient<Self>) -> Result<()> {
        self.took.lock().unwrap().push(self.asked.elapsed().as_secs_f64() * 1e6);
        self.left -= 1;
        if self.left == 0 {
            return Ok(());
        }
        self.asked = Instant::now();
        ps.pull(0)
    }
}

/// Median and 99th percentile, in microseconds; the server is on the other worker, or on the same one if there is one only.
pub fn run(rounds: usize, shape: Shape) -> (f64, f64) {
    let mut config = RuntimeConfig::threads(shape.workers);
    if shape.processes > 1 {
        config = config.processes(shape.processes).child_args([
            "--child".to_string(),
            "round trip".into(),
            rounds.to_string(),
        ]);
    }
    let took = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&took);
    execute(config, move |env| {
        let last = env.workers() - 1;
        let data = env.from_splits(env.workers(), |split| (split == 0).then_some(()));
        let server = SimpleServer::new(|_: &u64, row: &mut Vec<f32>| row.push(0.0), |_, _: &[f32]| ());
        let config = PsConfig::new().placement(Placement::custom(move |_: &u64, _servers| last));
        let logic = OneByOne { left: rounds, asked: Instant::now(), took: Arc::clone(&told) };
        ps::transform(data, logic, server.emit(Emit::Never), &config)?;
        Ok(())
    })
    .unwrap();
    let mut took = std::mem::take(&mut *took.lock().unwrap());
    took.sort_by(f64::total_cmp);
    let percentile = |of: usize| took.get(took.len() * of / 100).copied().unwrap_or(f64::NAN);
    (percentile(50), percentile(99))
}
