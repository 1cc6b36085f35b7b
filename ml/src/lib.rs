//! Learning algorithms on streams, in iterations and on the parameter server.

pub mod clustering;
mod examples;
pub mod generate;
pub mod graph;
pub mod lda;
pub mod linear;
mod matrix;
pub mod mf;
mod once;
pub mod online;
pub mod ranking;
pub mod retrieval;
pub mod sketch;
pub mod sparse;
pub mod word2vec;
mod words;

pub use examples::Examples;
pub use matrix::Matrix;
