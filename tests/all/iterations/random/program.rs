//! Bodies of loops, drawn at random.

use waterwheel::prelude::generate::sm;

/// What makes one more stream of the streams before it, which it names by index.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Map(usize, u64),
    Filter(usize, u64),
    Union(usize, usize),
    /// Holds records until their epoch is complete.
    Hold(usize),
    /// The sum of all records, in each epoch.
    Sum(usize),
    /// Counts records by key over all epochs.
    Count(usize, u64),
    /// Counts records by key in each round anew.
    CountPerRound(usize, u64),
    /// The sum of the records of each round.
    SumPerRound(usize),
    /// A loop in each round.
    Nested(usize, Program),
}

/// What ends the outer loop, besides the number of its rounds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ending {
    Feedback,
    Criteria(usize),
}

/// The body of a loop.
#[derive(Clone, Debug)]
pub(super) struct Program {
    /// The variable, data of epoch 0, and replayed data; the inner loop has a variable only.
    pub(super) inputs: [Vec<u64>; 3],
    pub(super) ops: Vec<Op>,
    /// The stream that is fed back.
    pub(super) feedback: usize,
    pub(super) ending: Ending,
    pub(super) max_rounds: u64,
}

/// Draws numbers.
struct Draws {
    seed: u64,
    n: u64,
}

impl Draws {
    fn below(&mut self, n: usize) -> usize {
        self.n += 1;
        (sm(self.seed, self.n) % n as u64) as usize
    }
}

impl Program {
    pub(super) fn random(seed: u64) -> Self {
        Self::draw(&mut Draws { seed, n: 0 }, 3, true)
    }

    /// Whether a function in an inner loop keeps something over all rounds of all runs.
    pub(super) fn keeps_state_over_runs(&self) -> bool {
        let keeps = |op: &Op| matches!(op, Op::Hold(_) | Op::Sum(_) | Op::Count(..));
        self.ops.iter().any(|op| matches!(op, Op::Nested(_, inner) if inner.ops.iter().any(keeps)))
    }

    fn draw(draws: &mut Draws, n_inputs: usize, is_outer: bool) -> Self {
        let inputs = [(); 3].map(|()| (0..draws.below(6)).map(|_| draws.below(64) as u64).collect());
        let mut ops = Vec::new();
        for n_streams in n_inputs..n_inputs + 2 + draws.below(5) {
            let (i, j, modulus) = (draws.below(n_streams), draws.below(n_streams), 2 + draws.below(3) as u64);
            ops.push(match draws.below(if is_outer { 10 } else { 8 }) {
                0 => Op::Map(i, modulus),
                1 => Op::Filter(i, modulus),
                2 => Op::Union(i, j),
                3 => Op::Hold(i),
                4 => Op::Sum(i),
                5 => Op::Count(i, modulus),
                6 => Op::CountPerRound(i, modulus),
                7 => Op::SumPerRound(i),
                _ => Op::Nested(i, Self::draw(draws, 1, false)),
            });
        }
        let n_streams = n_inputs + ops.len();
        let feedback = draws.below(n_streams);
        let ending = match draws.below(2) {
            0 => Ending::Feedback,
            _ => Ending::Criteria(draws.below(n_streams)),
        };
        let max_rounds = 1 + draws.below(5) as u64;
        Program { inputs, ops, feedback, ending, max_rounds }
    }
}
