//! Random graphs: a plan is made from a seed, and run by the engine and by a naive reference.

use waterwheel::prelude::generate;

/// A way to move records between workers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Move {
    Evenly,
    ToFirst,
    ByKey,
    ToAll,
    Stay,
}

/// A step of a plan. It takes some streams of the pool and puts others back.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Source {
        records: u64,
        splits: usize,
    },
    Map {
        moved: Move,
        slow: bool,
    },
    Filter,
    Copy,
    Union,
    Loop {
        moved: Move,
        feedback_moved: Move,
        slow: bool,
    },
    /// The second stream waits unread for the end of the first.
    Await,
}

/// Steps, each with the places in the pool that it takes from.
#[derive(Clone, Debug)]
pub(super) struct Plan(Vec<(Step, [usize; 2])>);

/// Numbers that depend on the seed alone.
struct Dice {
    seed: u64,
    thrown: u64,
}

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.thrown += 1;
        (generate::unit(self.seed, self.thrown) * n as f64) as usize
    }

    fn movement(&mut self) -> Move {
        [Move::Evenly, Move::ToFirst, Move::ByKey, Move::ToAll, Move::Stay][self.below(5)]
    }
}

impl Step {
    /// Streams that it takes.
    pub(super) fn takes(self) -> usize {
        match self {
            Step::Source { .. } => 0,
            Step::Union | Step::Await => 2,
            _ => 1,
        }
    }
}

impl Plan {
    /// Two sources and `steps` steps on them.
    pub(super) fn random(seed: u64, steps: usize) -> Self {
        let mut dice = Dice { seed, thrown: 0 };
        let mut plan = Vec::new();
        for i in 0..steps + 2 {
            let (moved, slow) = (dice.movement(), dice.below(3) == 0);
            let source = Step::Source { records: 200 + dice.below(400) as u64, splits: 1 + dice.below(5) };
            let step = match dice.below(8) {
                _ if i < 2 => source,
                0 => source,
                1 => Step::Filter,
                2 => Step::Copy,
                3 => Step::Union,
                4 => Step::Loop { moved, feedback_moved: dice.movement(), slow },
                5 => Step::Await,
                _ => Step::Map { moved, slow },
            };
            plan.push((step, [dice.below(1 << 20), dice.below(1 << 20)]));
        }
        Plan(plan)
    }

    /// Runs the plan on streams of any kind and returns those that are left.
    pub(super) fn run<S>(&self, mut apply: impl FnMut(Step, Vec<S>) -> Vec<S>) -> Vec<S> {
        let mut pool: Vec<S> = Vec::new();
        for (step, places) in &self.0 {
            if step.takes() <= pool.len() {
                let taken = places[..step.takes()].iter().map(|place| pool.swap_remove(place % pool.len()));
                let taken = taken.collect();
                pool.extend(apply(*step, taken));
            }
        }
        pool
    }

    /// All records that come out, in order of value.
    pub(super) fn expected(&self) -> Vec<u64> {
        let mut all = self.run(expect).concat();
        all.sort_unstable();
        all
    }
}

pub(super) fn mapped(record: u64) -> u64 {
    record.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20
}

pub(super) fn kept(record: u64) -> bool {
    !record.is_multiple_of(7)
}

/// Whether a record leaves a loop; otherwise it goes round as `next_lap` of itself.
pub(super) fn leaves(record: u64) -> bool {
    record.is_multiple_of(3)
}

pub(super) fn next_lap(record: u64) -> u64 {
    record / 2
}

fn expect(step: Step, mut taken: Vec<Vec<u64>>) -> Vec<Vec<u64>> {
    let round = |mut record: u64| {
        while !leaves(record) {
            record = next_lap(record);
        }
        record
    };
    match step {
        Step::Source { records, splits } => {
            vec![(0..splits as u64).flat_map(|split| numbers(records, split)).collect()]
        }
        Step::Map { .. } => vec![taken.concat().into_iter().map(mapped).collect()],
        Step::Filter => vec![taken.concat().into_iter().filter(|record| kept(*record)).collect()],
        Step::Copy => {
            taken.push(taken[0].clone());
            taken
        }
        Step::Union | Step::Await => vec![taken.concat()],
        Step::Loop { .. } => vec![taken.concat().into_iter().map(round).collect()],
    }
}

/// The records of one split of a source.
pub(super) fn numbers(records: u64, split: u64) -> impl Iterator<Item = u64> + 'static {
    (0..records).map(move |i| i * 64 + split)
}
