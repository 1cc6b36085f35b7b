//! The `waterwheel` command as a user sees it: arguments, files, streams, signals and processes.

mod ckpt;
mod data;
mod fixture;
mod generate;
mod interrupt;
mod job;
mod lost_peer;
mod model;
mod names;
mod sparse;
mod start;
mod streams;
mod supervise;
#[cfg(feature = "otlp")]
mod traces;
mod usage;
mod watched;
