//! What operators inside a loop can ask it for.

use crate::clock::AnyClock;
use crate::edge::Edge;
use crate::feedback::Mark;

/// The loop around a place, as the operators in its body see it.
pub trait LoopHead<'s, T: AnyClock> {
    /// An edge with one batch on every worker for each round that begins, at its time; but for the first time of
    /// all, which every operator has a promise for. An operator that reads it hears of every round before its
    /// frontier is behind the round.
    fn ticks(&self) -> Edge<'s, Vec<Mark>, T>;

    /// Whether operators that are told of rounds handle nothing of a later round before they have been told that
    /// the earlier ones are complete.
    fn in_order(&self) -> bool;
}
