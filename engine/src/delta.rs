//! Collections that change: differential dataflow behind our own types.
//!
//! A [`Collection`] is a multiset of records as of every time of its clock. It travels as changes, and what an
//! operator makes of it is kept up to date by work in proportion to what changed. Inside
//! [`iterate`](Collection::iterate) that holds for every round too, so that a fixed point follows its input
//! without being computed anew.
//!
//! Changes come in batches: [`Env::batches`](crate::Env::batches) reads them, each batch at a time of its own in
//! the clock [`BatchClock`], and [`changes`](Collection::changes) says what each of them came to as soon as it is
//! complete.

mod arrange;
mod assign;
mod batches;
mod clock;
mod collection;
mod entry;
mod exit;
mod iterate;
mod join;
mod reduce;

pub use arrange::Arrangement;
pub use batches::{BatchSource, BatchStatus};
pub use clock::{BatchClock, BatchNumber, DeltaClock, InLoop};
pub use collection::{Collection, Diff};
pub use exit::Change;
pub use iterate::{IterateScope, LoopVariable};
pub use join::{EnteredArrangement, JoinSide};
