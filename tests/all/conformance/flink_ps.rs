//! Flink Parameter Server: its own tests, rebuilt, with the results it should have had, and those it lacks.
//!
//! `docs/conformance-flink-ps.md` lists the cases.

mod clocks;
mod combined;
mod end_of_input;
mod failures;
mod futures;
mod holds;
mod intent;
mod java;
mod limiter;
mod locks;
mod many;
mod memory;
mod mixed;
mod model_load;
mod offline_mf;
mod order;
mod paced;
mod parallelism;
mod passive_aggressive;
mod policies;
mod simple_server;
mod stack;
pub(super) mod support;
mod synchronous;
mod termination;
mod word_count;
