//! What the programs do: requests of so many keys each, on rows of so many floats.

use std::fmt;
use std::sync::{Arc, LazyLock};

use waterwheel::prelude::*;

/// Of Zipf's law.
const EXPONENT: f64 = 1.1;

/// Keys of all cases.
pub const KEYS: u64 = 1_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Pull,
    Push,
    /// Fused: the update, and the row after it.
    PushPull,
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Op::Pull => "pull",
            Op::Push => "push",
            Op::PushPull => "push+pull",
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    Uniform,
    /// Exponent [`EXPONENT`]; ranks are scattered over the keys.
    Zipf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    Asynchronous,
    /// Staleness 4 or 0; a clock is 100,000 keys of one worker.
    Bounded(u64),
}

/// Threads per process, and processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    pub workers: usize,
    pub processes: usize,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.workers, self.processes) {
            (1, 1) => f.write_str("1 worker"),
            (workers, 1) => write!(f, "{workers} workers"),
            (_, processes) => write!(f, "{processes} processes"),
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Work {
    pub op: Op,
    /// Keys of a request.
    pub batch: usize,
    /// Floats of a row.
    pub width: usize,
    pub spread: Spread,
    pub model: Model,
    /// Keys of all requests together.
    pub n: usize,
    /// How often all requests are made.
    pub repetitions: usize,
}

impl Work {
    pub fn name(&self) -> String {
        let spread = if self.spread == Spread::Zipf { "zipf" } else { "uniform" };
        let model = match self.model {
            Model::Asynchronous => "async".into(),
            Model::Bounded(0) => "BSP".into(),
            Model::Bounded(staleness) => format!("SSP({staleness})"),
        };
        format!("{} {}x{} {spread} {model}", self.op, self.batch, self.width)
    }

    pub fn name_on(&self, shape: Shape) -> String {
        format!("{}, {shape}", self.name())
    }

    /// All keys in order of request.
    pub fn keys(&self) -> Arc<Vec<u32>> {
        static UNIFORM: LazyLock<Arc<Vec<u32>>> = LazyLock::new(|| Arc::new(uniform()));
        static ZIPF: LazyLock<Arc<Vec<u32>>> = LazyLock::new(|| Arc::new(zipf()));
        match self.spread {
            Spread::Uniform => Arc::clone(&UNIFORM),
            Spread::Zipf => Arc::clone(&ZIPF),
        }
    }

    /// Requests of one worker.
    pub fn requests(&self, worker: usize, workers: usize) -> std::ops::Range<usize> {
        let requests = generate::split_range((self.n / self.batch) as u64, worker, workers);
        requests.start as usize..requests.end as usize
    }

    /// Where the keys of a request stand; there are fewer keys than requests may ask for, so they come again.
    #[inline]
    pub fn range(&self, request: usize) -> std::ops::Range<usize> {
        let start = request * self.batch % (DRAWN - self.batch);
        start..start + self.batch
    }

    /// Requests of a clock.
    pub fn per_clock(&self) -> usize {
        (100_000 / self.batch).max(1)
    }

    /// The words that make a second process do the same.
    pub fn args(&self) -> Vec<String> {
        let (op, spread) = (self.op as usize, self.spread as usize);
        let model = match self.model {
            Model::Asynchronous => -1,
            Model::Bounded(staleness) => staleness as i64,
        };
        [op, spread, self.batch, self.width, self.n, self.repetitions]
            .map(|n| n.to_string())
            .into_iter()
            .chain([model.to_string()])
            .collect()
    }

    pub fn from_args(args: &[String]) -> Self {
        let number = |i: usize| args[i].parse::<i64>().unwrap();
        Work {
            op: [Op::Pull, Op::Push, Op::PushPull][number(0) as usize],
            spread: [Spread::Uniform, Spread::Zipf][number(1) as usize],
            batch: number(2) as usize,
            width: number(3) as usize,
            n: number(4) as usize,
            repetitions: number(5) as usize,
            model: u64::try_from(number(6)).map_or(Model::Asynchronous, Model::Bounded),
        }
    }
}

/// Keys that are drawn before the clock runs.
const DRAWN: usize = 2_000_000;

fn uniform() -> Vec<u32> {
    (0..DRAWN as u64).map(|i| (generate::unit(1, i) * KEYS as f64) as u32).collect()
}

/// By inverting the distribution function of the density that falls as ranks do.
fn zipf() -> Vec<u32> {
    let (power, last) = (1.0 - EXPONENT, (KEYS + 1) as f64);
    let rank = |i| (1.0 - generate::unit(2, i) * (1.0 - last.powf(power))).powf(1.0 / power) as u64;
    (0..DRAWN as u64).map(|i| (((rank(i).clamp(1, KEYS) - 1) * 7_919) % KEYS) as u32).collect()
}
