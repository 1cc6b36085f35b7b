//! The source of the jobs, and a job with a large state.

use std::path::Path;
use std::time::Duration;

use waterwheel::prelude::*;

/// The numbers up to an end, of which each split has its share.
pub struct Load {
    next: u64,
    step: u64,
    end: u64,
}

impl Source for Load {
    type Item = u64;

    fn read(&mut self, limit: usize, out: &mut Vec<u64>) -> Result<SourceStatus> {
        let end = self.end.min(self.next + self.step * limit as u64);
        while self.next < end {
            out.push(self.next);
            self.next += self.step;
        }
        Ok(if self.next >= self.end { SourceStatus::Done } else { SourceStatus::Ready })
    }

    fn position(&self) -> Result<Option<SourcePosition>> {
        SourcePosition::new(&self.next).map(Some)
    }

    fn seek(&mut self, position: &SourcePosition) -> Result<()> {
        self.next = position.get()?;
        Ok(())
    }
}

/// Opens the splits of a worker each.
pub fn open(env: &Env<'_>, end: u64) -> impl Fn(usize) -> Result<Load> + Clone + use<> {
    let step = env.workers() as u64;
    move |split| Ok(Load { next: split as u64, step, end })
}

pub fn load<'s>(env: &Env<'s>, end: u64) -> DataStream<'s, u64> {
    env.source("load", env.workers(), open(env, end)).uid("load")
}

/// The key of a number, of so many: first each once, then in an order that looks like none.
pub fn key_of(number: u64, keys: u64) -> u64 {
    if number < keys { number } else { (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20) % keys }
}

/// Checkpoints of the benchmarks.
pub fn every_second(dir: &Path, state: &CheckpointState) -> CheckpointConfig {
    let checkpoints = CheckpointConfig::new(dir.display().to_string()).interval(Duration::from_secs(1));
    checkpoints.state(state.clone())
}

/// Bytes of the state of a key beside its count.
const PAYLOAD: usize = 88;

/// Keys whose states have so many megabytes in a checkpoint, with their lengths and ages.
pub fn keys_of(megabytes: u64) -> u64 {
    megabytes * 1_000_000 / (PAYLOAD as u64 + 16)
}

/// Counts by key, with a payload in the state of each; `see` gets each count.
pub fn count_large(
    config: RuntimeConfig,
    (end, keys): (u64, u64),
    see: impl FnMut(u64) -> Result<()> + Clone + Send + Sync + 'static,
) -> Result<()> {
    let job = move |env: &Env<'_>| {
        let keyed = load(env, end).key_by(move |x| key_of(*x, keys));
        let counts = keyed.process(|key, state: &mut (u64, Vec<u8>), _x, out| {
            if state.1.is_empty() {
                // Bytes that do not shrink.
                let word = |at: usize| (key ^ (at as u64) << 48).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56;
                state.1 = (0..PAYLOAD).map(|at| word(at) as u8).collect();
            }
            state.0 += 1;
            out.emit(state.0);
        });
        counts.uid("counts").sink(see.clone());
        Ok(())
    };
    execute(config, job).map(drop)
}
