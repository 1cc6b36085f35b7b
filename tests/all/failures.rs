//! Failures: whatever goes wrong anywhere ends the run everywhere, soon, with an error that says where.

mod fixture;
mod lifecycle;
mod operators;
mod parameter_server;
pub(crate) mod process;
mod sources;
