//! What a node does when it is told something.

use serde::{Deserialize, Serialize};
use waterwheel_engine::{Diff, Error, Result};
use waterwheel_iteration::{Workset, WorksetFunction};

use crate::graph::Node;
use crate::graph::pagerank::PageRankParams;
use crate::graph::pagerank::score::{ONE, Score};

/// Binary digits of the damping behind the point: all that an `f64` has, for an error in it counts 1 / (1 - damping)
/// fold.
const DAMPING_BITS: u32 = 60;

/// What a node is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Work<N> {
    /// An edge from it has come or gone.
    Edge { to: N, diff: Diff },
    /// An edge to it has come or gone.
    EndOfEdge { diff: Diff },
    /// What an in-neighbour adds to its score, in units.
    Score(i64),
}

/// Tells neighbours of differences until all that is left is below the threshold.
pub(super) struct Ranker {
    /// In units of 2^-60.
    damping: i64,
    /// In units of a score.
    tolerance: i64,
}

/// One node. What it has told each neighbour is the same for all, [`told`](Self::told).
pub(super) struct State<N> {
    neighbours: Vec<N>,
    incoming: Diff,
    /// What its in-neighbours have told it, added up.
    received: i64,
    told: i64,
    /// The score on which `told` is based.
    told_at: i64,
    /// The score that was last emitted.
    published: Option<i64>,
}

impl<N> Default for State<N> {
    fn default() -> Self {
        State { neighbours: Vec::new(), incoming: 0, received: 0, told: 0, told_at: 0, published: None }
    }
}

impl Ranker {
    pub(super) fn new(params: &PageRankParams) -> Self {
        let unit = (1i64 << DAMPING_BITS) as f64;
        // A damping next to 0 or 1 must stay between them.
        let damping = ((params.damping * unit) as i64).clamp(1, (1 << DAMPING_BITS) - 1);
        Ranker { damping, tolerance: (params.tolerance * ONE as f64) as i64 }
    }

    /// What a node with `score` tells each of `n` neighbours.
    fn share(&self, score: i64, n: usize) -> i64 {
        let all = (i128::from(score) * i128::from(self.damping)) >> DAMPING_BITS;
        // A part of a score is no larger than the score.
        i64::try_from(all / n.max(1) as i128).unwrap_or(i64::MAX)
    }

    /// By how much the score of a node with `n` neighbours may differ from what they know. Less than this, and
    /// rounding could add to the untold differences of all nodes what damping takes from them.
    fn threshold(&self, n: usize) -> i64 {
        let units = ((n as i128) << DAMPING_BITS) / i128::from((1 << DAMPING_BITS) - self.damping) + 1;
        i64::try_from(units).unwrap_or(i64::MAX).max(self.tolerance)
    }

    /// Tells all neighbours what has changed, those of new edges all of it.
    fn tell<N: Node>(&self, state: &mut State<N>, added: &[N], next: &mut Workset<N, Work<N>>) {
        let score = ONE + state.received;
        let share = self.share(score, state.neighbours.len());
        for neighbour in &state.neighbours {
            let known = if added.binary_search(neighbour).is_ok() { 0 } else { state.told };
            if share != known {
                next.add(*neighbour, Work::Score(share - known));
            }
        }
        (state.told, state.told_at) = (share, score);
    }
}

impl<N: Node> State<N> {
    /// Takes in what the node is told; the edges that have come and those that have gone, each in order.
    fn take(&mut self, node: &N, work: &mut Vec<Work<N>>) -> Result<[Vec<N>; 2]> {
        let mut changed = [Vec::new(), Vec::new()];
        for work in work.drain(..) {
            match work {
                Work::Edge { to, diff } => changed[usize::from(diff < 0)].push(to),
                Work::EndOfEdge { diff } => self.incoming += diff,
                Work::Score(units) => {
                    let sum = self.received.checked_add(units).filter(|sum| *sum <= i64::MAX - ONE);
                    self.received = sum
                        .ok_or_else(|| Error::operator(format!("the score of node {node:?} exceeds 2^23")))?;
                }
            }
        }
        changed.iter_mut().for_each(|nodes| nodes.sort_unstable());
        Ok(changed)
    }

    fn exists(&self) -> bool {
        self.incoming > 0 || !self.neighbours.is_empty()
    }
}

impl<N: Node> WorksetFunction<N, Work<N>> for Ranker {
    type State = State<N>;
    type Out = ((N, Score), Diff);

    fn step(
        &mut self,
        node: &N,
        work: &mut Vec<Work<N>>,
        state: &mut State<N>,
        next: &mut Workset<N, Work<N>>,
    ) -> Result<()> {
        let [added, removed] = state.take(node, work)?;
        if !added.is_empty() || !removed.is_empty() {
            if state.told != 0 {
                removed.iter().for_each(|neighbour| next.add(*neighbour, Work::Score(-state.told)));
            }
            state.neighbours.retain(|neighbour| removed.binary_search(neighbour).is_err());
            state.neighbours.extend(&added);
            state.neighbours.sort_unstable();
            self.tell(state, &added, next);
        } else if (ONE + state.received - state.told_at).abs() > self.threshold(state.neighbours.len()) {
            self.tell(state, &[], next);
        }
        Ok(())
    }

    fn settled(&mut self, node: &N, state: &mut State<N>, out: &mut Vec<((N, Score), Diff)>) -> Result<bool> {
        let score = state.exists().then_some(ONE + state.received);
        if score != state.published {
            out.extend(state.published.map(|old| ((*node, Score(old)), -1)));
            out.extend(score.map(|new| ((*node, Score(new)), 1)));
            state.published = score;
        }
        Ok(state.exists())
    }
}
