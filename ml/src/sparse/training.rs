//! How a learner is trained.

use waterwheel_engine::{Error, Result};
use waterwheel_ps::{Consistency, Placement, PsConfig};

/// How a learner on sparse rows is trained.
///
/// | setting | default | valid |
/// |---|---|---|
/// | `passes` over the examples | 1: online | 1 or more |
/// | `consistency` | asynchronous | not serialisable |
/// | `clock_every`: examples of a clock, at each worker | 1 | 1 or more |
/// | `credit`: weights that a worker waits for | 1,024 | 1 or more |
/// | `features`: their number, if it is known | unknown | below 2^32 |
/// | `seed` of the order of later passes | 1 | |
///
/// With [`Consistency::BULK_SYNCHRONOUS`] and a clock of one example, one worker learns exactly as a sequential program
/// does; several learn one example each from the same weights. Asynchronously each worker has as many examples under
/// way as `credit` allows, and they do not see what the others learn: with 1 it is one example, and one worker is again
/// exactly sequential. A worker asks for the weights of as many examples together as half of the credit allows; so more is
/// faster, above all with several workers, and what is learned from one example comes later to the others. Where examples
/// share most of their features, 1,024 may be too many.
///
/// Knowing the number of features, servers find weights by position, which is faster than by hash.
///
/// With several passes the workers keep the examples, and learn them again in an order that depends on the seed and
/// their ids. Asynchronously a pass begins when all workers have finished the one before. Examples without a label are
/// then predicted at the end.
#[derive(Clone, Debug)]
pub struct SparseTraining {
    pub(super) passes: u32,
    pub(super) consistency: Consistency,
    pub(super) clock_every: u64,
    pub(super) credit: usize,
    pub(super) features: Option<u32>,
    pub(super) seed: u64,
}

impl Default for SparseTraining {
    fn default() -> Self {
        SparseTraining {
            passes: Self::PASSES,
            consistency: Consistency::Asynchronous,
            clock_every: Self::CLOCK_EVERY,
            credit: Self::CREDIT,
            features: None,
            seed: Self::SEED,
        }
    }
}

/// The defaults, for flags that offer the same settings.
impl SparseTraining {
    /// Passes over the examples.
    pub const PASSES: u32 = 1;
    /// Examples of a clock.
    pub const CLOCK_EVERY: u64 = 1;
    /// Weights that a worker waits for.
    pub const CREDIT: usize = 1_024;
    /// Seed.
    pub const SEED: u64 = 1;
}

impl SparseTraining {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the number of passes over the examples.
    #[must_use]
    pub fn passes(mut self, passes: u32) -> Self {
        self.passes = passes;
        self
    }

    /// Sets what a worker is guaranteed to see of what the others have learned.
    #[must_use]
    pub fn consistency(mut self, consistency: Consistency) -> Self {
        self.consistency = consistency;
        self
    }

    /// Sets how many examples of a worker make a clock, where staleness is bounded.
    #[must_use]
    pub fn clock_every(mut self, examples: u64) -> Self {
        self.clock_every = examples;
        self
    }

    /// Sets how many weights a worker may wait for. An example is admitted while it waits for fewer.
    #[must_use]
    pub fn credit(mut self, weights: usize) -> Self {
        self.credit = weights;
        self
    }

    /// Says that features are `0..n`. One that is not ends the run.
    #[must_use]
    pub fn features(mut self, n: u32) -> Self {
        self.features = Some(n);
        self
    }

    /// Sets the seed of the order of later passes.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Checks the settings and makes those of the parameter server.
    pub(super) fn config(&self, width: usize) -> Result<PsConfig<u32>> {
        let wrong = |what: &str, expected: &str| {
            Err(Error::config(format!("training on sparse rows: {what}: found 0, expected {expected}")))
        };
        if self.passes == 0 {
            return wrong("passes", "1 or more");
        }
        if self.clock_every == 0 {
            return wrong("clock_every", "1 or more");
        }
        if self.consistency == Consistency::Serialisable {
            return Err(Error::config(
                "training on sparse rows: found serialisable consistency, where an example's weights can not be pulled \
                 together; expected asynchronous or bounded",
            ));
        }
        let block_len = self.credit.saturating_mul(2).clamp(1_024, 65_536);
        let config = PsConfig::new().width(width).credit(self.credit).block_len(block_len);
        let config = config.consistency(self.consistency).combine_pushes(false);
        Ok(match self.features {
            Some(n) => config.placement(Placement::Range(u64::from(n))),
            None => config,
        })
    }

    /// Weights that are pulled together: half of the credit, so that a worker has something to do while it waits.
    pub(super) fn batch_len(&self) -> usize {
        self.credit / 2
    }

    /// Examples of a clock, where there are clocks.
    pub(super) fn clock_len(&self) -> Option<u64> {
        matches!(self.consistency, Consistency::Bounded(_)).then_some(self.clock_every)
    }
}
