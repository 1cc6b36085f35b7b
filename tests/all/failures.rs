//! Failures: whatever goes wrong anywhere ends the run everywhere, soon, with an error that says where.

mod connected;
mod fixture;
mod lifecycle;
mod loops;
mod operators;
mod parameter_server;
pub(crate) mod process;
mod sources;
