//! Replayed data: the same in every round whatever part of them is on disk, and nothing left on disk afterwards.

mod errors;
mod fixture;
mod killed;
mod removal;
mod rounds;
