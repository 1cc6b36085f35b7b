//! Exact retrieval of the vectors with the largest inner products (maximum inner product search), for recommendations
//! from factors.
//!
//! [`InnerProductIndex`] keeps vectors by id in buckets ordered by length. A query goes through the buckets from the
//! longest vectors on, ends where no vector is long enough, and leaves out what a [`Pruning`] strategy rules out. The
//! answer is that of a full scan, for any vectors.
//!
//! # References
//! Teflioudi, Gemulla and Mykytiuk, *LEMP: fast retrieval of large entries in a matrix product*, SIGMOD 2015.

mod bucket;
mod filter;
mod index;
mod pruning;
mod query;
mod search;
#[cfg(test)]
mod tests;
mod top_k;

pub use index::InnerProductIndex;
pub use pruning::Pruning;
pub use search::Retrieved;
pub use top_k::Scored;
pub(crate) use top_k::TopK;
