//! What the programs do: requests of so many keys each, on rows of so many floats.

use std::sync::{Arc, LazyLock};

use waterwheel::prelude::*;

/// Keys of all cases.
pub const KEYS: u64 = 1_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Pull,
    Push,
    /// Fused: the update, and the row after it.
    PushPull,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    Uniform,
    /// Exponent 1.1; ranks are scattered over the keys.
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
}

impl Work {
    pub fn name(&self) -> String {
        let op = match self.op {
            Op::Pull => "pull",
            Op::Push => "push",
            Op::PushPull => "push+pull",
        };
        let spread = if self.spread == Spread::Zipf { " zipf" } else { "" };
        let model = match self.model {
            Model::Asynchronous => String::new(),
            Model::Bounded(0) => " BSP".into(),
            Model::Bounded(staleness) => format!(" SSP({staleness})"),
        };
        format!("{op} {}x{}{spread}{model}", self.batch, self.width)
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
        generate::split_range((self.n / self.batch) as u64, worker, workers).start as usize
            ..generate::split_range((self.n / self.batch) as u64, worker, workers).end as usize
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
        [op, spread, self.batch, self.width, self.n]
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
            model: u64::try_from(number(5)).map_or(Model::Asynchronous, Model::Bounded),
        }
    }
}

/// Keys that are drawn before the clock runs.
const DRAWN: usize = 2_000_000;

fn uniform() -> Vec<u32> {
    (0..DRAWN as u64).map(|i| (generate::unit(1, i) * KEYS as f64) as u32).collect()
}

/// By inverting the distribution function.
fn zipf() -> Vec<u32> {
    let mut sums: Vec<f64> = (1..=KEYS).map(|rank| (rank as f64).powf(-1.1)).collect();
    for i in 1..sums.len() {
        sums[i] += sums[i - 1];
    }
    let total = sums[sums.len() - 1];
    let rank = |i| sums.partition_point(|sum| *sum < generate::unit(2, i) * total) as u64;
    (0..DRAWN as u64).map(|i| ((rank(i) * 7_919) % KEYS) as u32).collect()
}
