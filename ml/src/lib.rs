//! Learning algorithms on streams and on the parameter server.

pub mod generate;
pub mod graph;
pub mod mf;
