//! Random graphs: a plan is made from a seed, and run by the engine and by a naive reference.

use std::collections::BTreeMap;

use waterwheel::prelude::generate;

/// A way to move records between workers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Move {
    Evenly,
    ToFirst,
    ByKey,
    ToAll,
    /// Within a process.
    Near,
    AtRandom,
    /// To worker 0.
    Global,
    /// Evenly to half of the workers.
    ToFew,
    Stay,
}

/// What becomes of the records of each key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Aggregate {
    /// Their sum, at the end.
    Sum,
    /// The greatest, at the end.
    Max,
    /// How many there were so far.
    Count,
    /// Each of them, when a timer of it is due.
    Timer,
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
    ByKey(Aggregate),
    /// Two streams in one function.
    Connect {
        few: bool,
    },
    /// Two keyed streams: how many records of each a key has had, when both have ended.
    ConnectKeyed {
        few: bool,
    },
    /// The second stream is the broadcast state of the first.
    Broadcast {
        few: bool,
    },
    /// Main and side output.
    Sides,
    AsyncMap {
        ordered: bool,
        few: bool,
    },
    MapPartition,
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
        use Move::{AtRandom, ByKey, Evenly, Global, Near, Stay, ToAll, ToFew, ToFirst};
        [Evenly, ToFirst, ByKey, ToAll, Near, AtRandom, Global, ToFew, Stay][self.below(9)]
    }

    fn aggregate(&mut self) -> Aggregate {
        [Aggregate::Sum, Aggregate::Max, Aggregate::Count, Aggregate::Timer][self.below(4)]
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 0
    }
}

impl Step {
    /// Streams that it takes.
    pub(super) fn takes(self) -> usize {
        match self {
            Step::Source { .. } => 0,
            Step::Union
            | Step::Await
            | Step::Connect { .. }
            | Step::ConnectKeyed { .. }
            | Step::Broadcast { .. } => 2,
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
            let step = match dice.below(16) {
                _ if i < 2 => source,
                0 => source,
                1 => Step::Filter,
                2 => Step::Copy,
                3 => Step::Union,
                4 => Step::Loop { moved, feedback_moved: dice.movement(), slow },
                5 => Step::Await,
                6 => Step::ByKey(dice.aggregate()),
                7 => Step::Connect { few: dice.coin() },
                8 => Step::ConnectKeyed { few: dice.coin() },
                9 => Step::Broadcast { few: dice.coin() },
                10 => Step::Sides,
                11 => Step::AsyncMap { ordered: dice.coin(), few: dice.coin() },
                12 => Step::MapPartition,
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

/// The key of a record.
pub(super) fn key(record: &u64) -> u64 {
    record % 13
}

/// A record of a key and a number.
pub(super) fn of_key(key: u64, number: u64) -> u64 {
    (key << 40) + number % (1 << 40)
}

/// Whether a record goes to the side output.
pub(super) fn aside(record: &u64) -> bool {
    record % 3 == 1
}

fn expect_by_key(records: Vec<u64>, aggregate: Aggregate) -> Vec<u64> {
    let mut keys = BTreeMap::<u64, Vec<u64>>::new();
    records.iter().for_each(|record| keys.entry(key(record)).or_default().push(*record));
    let of = |(key, records): (u64, Vec<u64>)| match aggregate {
        Aggregate::Sum => vec![of_key(key, records.into_iter().fold(0, u64::wrapping_add))],
        Aggregate::Max => vec![of_key(key, records.into_iter().max().unwrap_or(0))],
        Aggregate::Count => (1..=records.len() as u64).map(|n| of_key(key, n)).collect(),
        Aggregate::Timer => records,
    };
    keys.into_iter().flat_map(of).collect()
}

/// How many records of each stream every key of either has had.
fn expect_counts(first: &[u64], second: &[u64]) -> Vec<u64> {
    let mut counts = BTreeMap::<u64, (u64, u64)>::new();
    first.iter().for_each(|record| counts.entry(key(record)).or_default().0 += 1);
    second.iter().for_each(|record| counts.entry(key(record)).or_default().1 += 1);
    counts.into_iter().map(|(key, (a, b))| of_key(key, counted(a, b))).collect()
}

/// What two counts become.
pub(super) fn counted(first: u64, second: u64) -> u64 {
    (first << 20) + second
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
        Step::ByKey(aggregate) => vec![expect_by_key(taken.concat(), aggregate)],
        Step::Connect { .. } => {
            let (first, second) = (taken[0].iter(), taken[1].iter());
            vec![first.map(|record| mapped(*record)).chain(second.map(|record| next_lap(*record))).collect()]
        }
        Step::ConnectKeyed { .. } => vec![expect_counts(&taken[0], &taken[1])],
        Step::Broadcast { .. } => {
            let sum = taken[1].iter().fold(0, |sum: u64, record| sum.wrapping_add(*record));
            vec![taken[0].iter().map(|record| mapped(record ^ sum)).collect()]
        }
        Step::Sides => {
            let (side, main): (Vec<u64>, Vec<u64>) = taken.concat().into_iter().partition(aside);
            vec![main, side.into_iter().map(mapped).collect()]
        }
        Step::AsyncMap { .. } => vec![taken.concat().into_iter().map(mapped).collect()],
        Step::MapPartition => taken,
    }
}

/// The records of one split of a source.
pub(super) fn numbers(records: u64, split: u64) -> impl Iterator<Item = u64> + 'static {
    (0..records).map(move |i| i * 64 + split)
}
